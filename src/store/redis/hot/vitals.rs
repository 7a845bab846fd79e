//! Whether the server at the other end may be read from: a primary, with its replicas, on time.

use std::time::Duration;

use super::super::super::StoreFault;
use super::codec::{Broken, Parts};
use crate::domain::time::Timestamp;

/// How often ROLE and TIME are asked.
pub const EVERY: Duration = Duration::from_secs(1);
/// An answer older than this is no sign of health.
pub const GOOD_FOR: Duration = Duration::from_secs(3);

/// The answer to ROLE: whether this is a primary.
pub fn is_primary(mut parts: Parts) -> Result<bool, Broken> {
    let count = parts.list()?;
    if parts.string()? != b"master"[..] {
        return Ok(false);
    }
    let _offset = parts.integer()?;
    let replicas = parts.list()?;
    for _ in 0..replicas {
        if parts.list()? != 3 {
            return Err(Broken);
        }
        for _ in 0..3 {
            parts.string()?;
        }
    }
    parts.end()?;
    if count == 3 { Ok(true) } else { Err(Broken) }
}

/// The answer to `INFO replication`: how many replicas are online and answered within `lag`.
pub fn replicas_online(mut parts: Parts, lag: Duration) -> Result<usize, Broken> {
    let text = parts.string()?;
    parts.end()?;
    let text = std::str::from_utf8(&text).map_err(|_bytes| Broken)?;
    if !text.starts_with("# Replication") {
        return Err(Broken);
    }
    Ok(text.lines().filter(|line| is_online_replica(line, lag)).count())
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
pub fn time(mut parts: Parts) -> Result<u64, Broken> {
    if parts.list()? != 2 {
        return Err(Broken);
    }
    let (seconds, micros) = (parts.string()?, parts.string()?);
    parts.end()?;
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<u64>().ok();
    let millis = number(&seconds).and_then(|seconds| seconds.checked_mul(1000));
    millis
        .zip(number(&micros))
        .and_then(|(millis, micros)| millis.checked_add(micros / 1000))
        .ok_or(Broken)
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
