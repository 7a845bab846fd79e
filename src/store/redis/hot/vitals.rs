//! Whether the server at the other end may be read from: a primary, with its replicas, on time.

use std::time::Duration;

use super::super::super::StoreFault;
use super::codec::Parts;
use crate::domain::time::Timestamp;

/// How often ROLE and TIME are asked.
pub const EVERY: Duration = Duration::from_secs(1);
/// An answer older than this is no sign of health.
pub const GOOD_FOR: Duration = Duration::from_secs(3);

/// The answer to ROLE; `None`: not an answer to it.
pub fn is_primary(mut parts: Parts) -> Option<bool> {
    let count = parts.list()?;
    if parts.string()? != b"master"[..] {
        return Some(false);
    }
    let _offset = parts.integer()?;
    let replicas = parts.list()?;
    for _ in 0..replicas {
        if parts.list()? != 3 {
            return None;
        }
        for _ in 0..3 {
            parts.string()?;
        }
    }
    parts.end()?;
    (count == 3).then_some(true)
}

/// The answer to `INFO replication`: how many replicas are online and answered within `lag`.
pub fn replicas_online(mut parts: Parts, lag: Duration) -> Option<usize> {
    let text = parts.string()?;
    parts.end()?;
    let text = std::str::from_utf8(&text).ok()?;
    if !text.starts_with("# Replication") {
        return None;
    }
    Some(text.lines().filter(|line| is_online_replica(line, lag)).count())
}

/// Such as `slave0:ip=127.0.0.1,port=6380,state=online,offset=14,lag=0`.
fn is_online_replica(line: &str, bound: Duration) -> bool {
    let Some((number, facts)) = line.strip_prefix("slave").and_then(|rest| rest.split_once(':'))
    else {
        return false;
    };
    let fact =
        |name: &str| facts.split(',').find_map(|fact| fact.strip_prefix(name)?.strip_prefix('='));
    let lag = fact("lag").and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    number.bytes().all(|byte| byte.is_ascii_digit())
        && fact("state") == Some("online")
        && lag.is_some_and(|lag| lag <= bound)
}

/// The answer to TIME in milliseconds since 1970.
pub fn time(mut parts: Parts) -> Option<u64> {
    if parts.list()? != 2 {
        return None;
    }
    let mut number = || std::str::from_utf8(&parts.string()?).ok()?.parse::<u64>().ok();
    let (seconds, micros) = (number()?, number()?);
    parts.end()?;
    seconds.checked_mul(1000)?.checked_add(micros / 1000)
}

/// How far the server's clock is ahead, in milliseconds; what lies between question and answer is
/// no difference.
pub fn skew(server: u64, asked: Timestamp, answered: Timestamp) -> i64 {
    let signed = |millis: u64| i64::try_from(millis).unwrap_or(i64::MAX);
    if server < asked.millis() {
        -signed(asked.millis() - server)
    } else {
        signed(server.saturating_sub(answered.millis()))
    }
}

/// # Errors
/// The clocks are further apart than `bound`.
pub fn check_skew(skew: i64, bound: Duration) -> Result<(), StoreFault> {
    let apart = Duration::from_millis(skew.unsigned_abs());
    if apart > bound { Err(StoreFault::ClockSkew(apart)) } else { Ok(()) }
}
