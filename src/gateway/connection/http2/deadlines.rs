//! How long a client of HTTP/2 may keep its connection waiting. A stream that does not move is ended
//! by itself (`stream`, `body`).

use tokio::time::Instant;

use super::frames::Pulse;
use crate::config::Limits;

pub(super) enum Due {
    Nothing(Instant),
    /// Say goodbye, finish what runs, end.
    End,
    /// Drop it.
    Abort,
}

/// The first deadline that has come, or when to look again.
pub(super) fn due(limits: &Limits, pulse: &Pulse, now: Instant) -> Due {
    let write = pulse.write_since().map(|since| since + limits.idle_timeout);
    let head = pulse.head_since().map(|since| since + limits.header_timeout);
    let hard = write.into_iter().chain(head).min();
    if hard.is_some_and(|at| at <= now) {
        return Due::Abort;
    }
    // A header block may begin at any moment; its own deadline is shorter.
    let again = now + limits.header_timeout.min(limits.idle_timeout);
    let again = hard.map_or(again, |at| at.min(again));
    match pulse.idle_since().map(|since| since + limits.idle_timeout) {
        Some(at) if at <= now => Due::End,
        Some(at) => Due::Nothing(at.min(again)),
        None => Due::Nothing(again),
    }
}
