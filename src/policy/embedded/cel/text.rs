//! Values as text and back, as Go writes and reads them.

use super::value::Value;

/// cel-go's `string()`; `None` where there is no such overload.
#[must_use]
pub fn of(value: &Value) -> Option<String> {
    Some(match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Double(value) => double(*value),
        Value::String(text) => text.to_string(),
        Value::Bytes(bytes) => std::str::from_utf8(bytes).ok()?.to_owned(),
        Value::Duration(nanos) => duration(*nanos),
        Value::Timestamp(at) => at.to_text(),
        Value::Opaque(value) => value.to_text()?,
        _ => return None,
    })
}

/// Go's `strconv.FormatFloat(v, 'g', -1, 64)`: an exponent below -4 and from 6 on.
#[must_use]
pub fn double(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let shortest = shortest(value);
    let Some((digits, exponent)) = shortest.split_once('e') else { return shortest };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    format!("{value}")
}

/// The fewest digits that mean this number. Of two equally near ones Go takes the even one.
fn shortest(value: f64) -> String {
    let usual = format!("{value:e}");
    let digits = usual.split('e').next().unwrap_or_default();
    let places = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let even = format!("{value:.places$e}");
    if even.parse() == Ok(value) { even } else { usual }
}

/// Seconds with as many digits as needed: `5400s`, `0.25s`.
#[must_use]
pub fn duration(nanos: i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "Go's Duration.Seconds() is a double as well")]
    let seconds = (nanos / 1_000_000_000) as f64 + (nanos % 1_000_000_000) as f64 / 1e9;
    format!("{seconds}s")
}

/// Go's `time.ParseDuration`, in nanoseconds.
#[must_use]
pub fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let unit = unit(after.get(..end)?)?;
        rest = after.get(end..)?;
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let part = whole.checked_mul(unit)?.checked_add(fraction_of(fraction, unit))?;
        total = total.checked_add(part)?;
        if total > 1 << 63 {
            return None;
        }
    }
    let total = i128::from(total);
    i64::try_from(if negative { -total } else { total }).ok()
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn unit(name: &str) -> Option<u64> {
    Some(match name {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// Go adds the fraction as a double, cut off.
fn fraction_of(digits: &str, unit: u64) -> u64 {
    let kept = digits.get(..digits.len().min(18)).unwrap_or_default();
    let Ok(numerator) = kept.parse::<u64>() else { return 0 };
    let scale = (0..kept.len()).fold(1.0, |scale: f64, _| scale * 10.0);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "Go computes this in doubles as well; the value is at most a unit"
    )]
    let nanos = (numerator as f64 * (unit as f64 / scale)) as u64;
    nanos
}
