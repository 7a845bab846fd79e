//! The parts of timestamps, in any time zone, and of durations.

use super::error::EvalError;
use super::library::{Function, Overload, member};
use super::timestamp::{Civil, Timestamp};
use super::types::Type;
use super::value::Value;

const SECOND: i64 = 1_000_000_000;
const FOUR_CENTURIES: i64 = 146_097 * 86_400;

pub(super) fn overloads() -> Vec<Overload> {
    let getters: [(&str, Function); 10] = [
        ("getFullYear", |_, args| part(args, |it, _| it.year)),
        ("getMonth", |_, args| part(args, |it, _| it.month - 1)),
        ("getDayOfYear", |_, args| part(args, |it, _| it.year_day)),
        ("getDayOfMonth", |_, args| part(args, |it, _| it.day - 1)),
        ("getDate", |_, args| part(args, |it, _| it.day)),
        ("getDayOfWeek", |_, args| part(args, |it, _| it.weekday)),
        ("getHours", |_, args| of_either(args, |it, _| it.hour, 3600 * SECOND)),
        ("getMinutes", |_, args| of_either(args, |it, _| it.minute, 60 * SECOND)),
        ("getSeconds", |_, args| of_either(args, |it, _| it.second, SECOND)),
        ("getMilliseconds", |_, args| {
            of_either(args, |_, nanos| i64::from(nanos) / 1_000_000, SECOND / 1000)
        }),
    ];
    let mut all = Vec::new();
    for (name, run) in getters {
        all.push(member(name, [Type::Timestamp], Type::Int, run));
        all.push(member(name, [Type::Timestamp, Type::String], Type::Int, run));
        if matches!(name, "getHours" | "getMinutes" | "getSeconds" | "getMilliseconds") {
            all.push(member(name, [Type::Duration], Type::Int, run));
        }
    }
    all
}

fn of_either(args: &[&Value], pick: fn(Civil, u32) -> i64, unit: i64) -> Result<Value, EvalError> {
    match args {
        [Value::Duration(nanos)] => Ok(Value::Int(nanos / unit)),
        _ => part(args, pick),
    }
}

fn part(args: &[&Value], pick: fn(Civil, u32) -> i64) -> Result<Value, EvalError> {
    let (at, offset) = match args {
        [Value::Timestamp(at)] => (at, 0),
        [Value::Timestamp(at), Value::String(zone)] => (at, offset(*at, zone)?),
        _ => return Err(EvalError::no_such_overload()),
    };
    Ok(Value::Int(pick(at.civil(offset), at.nanos())))
}

/// Seconds east of UTC in a zone at a time: `Europe/Berlin`, `-02:30`.
fn offset(at: Timestamp, zone: &str) -> Result<i32, EvalError> {
    let unknown = || EvalError::new(format!("unknown time zone '{zone}'"));
    if let Some((hours, minutes)) = zone.split_once(':') {
        let negative = hours.starts_with('-');
        let hours: i32 = hours.parse().map_err(|_| unknown())?;
        let minutes: i32 = minutes.parse().map_err(|_| unknown())?;
        if hours.abs() > 24 || !(0..60).contains(&minutes) {
            return Err(unknown());
        }
        let minutes = if negative { -minutes } else { minutes };
        return Ok(hours * 3600 + minutes * 60);
    }
    if matches!(zone, "" | "UTC") {
        return Ok(0);
    }
    let known = jiff::tz::TimeZone::get(zone).map_err(|_| unknown())?;
    // Go minds the case of the letters.
    if known.iana_name() != Some(zone) {
        return Err(unknown());
    }
    // The last hours of the year 9999 are no time of this library; the calendar repeats itself.
    let at = jiff::Timestamp::from_second(at.seconds())
        .or_else(|_| jiff::Timestamp::from_second(at.seconds() - FOUR_CENTURIES))
        .map_err(|_| unknown())?;
    Ok(known.to_offset(at).seconds())
}
