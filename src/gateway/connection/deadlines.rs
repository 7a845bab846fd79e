//! How long a client of HTTP/1.1 may keep its connection waiting.

use std::time::Duration;

use tokio::time::Instant;

use crate::gateway::core::Core;
use crate::gateway::framing::{Violation, Watch};
use crate::gateway::ports::Ports;

/// What is to happen to a connection whose deadline came.
pub(super) enum Due {
    Nothing(Instant),
    /// Finish what runs, then end.
    End,
    /// Drop it: the client keeps us waiting in the middle of a message.
    Abort,
}

/// Before this nothing can be due: a connection that is busy, or waits for its next request, is not
/// looked at for as long as that. What is due earlier is told by [`sooner`].
pub(super) fn first_check<P: Ports>(core: &Core<P>) -> Duration {
    core.shared.limits.idle_timeout
}

/// A deadline that began since the connection was looked at; asked whenever it moved.
pub(super) fn sooner<P: Ports>(core: &Core<P>, seen: &Watch) -> Option<Instant> {
    let limits = &core.shared.limits;
    let head = seen.head_since().map(|begun| begun + limits.header_timeout);
    seen.stall_ends(limits.idle_timeout).or(head)
}

/// The first deadline that has come, or when to look again.
pub(super) fn due<P: Ports>(core: &Core<P>, seen: &Watch, now: Instant) -> Due {
    let limits = &core.shared.limits;
    if let Some(at) = seen.stall_ends(limits.idle_timeout) {
        return if at <= now { Due::Abort } else { Due::Nothing(at) };
    }
    if let Some(begun) = seen.head_since() {
        let at = begun + limits.header_timeout;
        if at > now {
            return Due::Nothing(at);
        }
        seen.violated(Violation::HeadTooSlow);
        return Due::End;
    }
    if seen.is_idle() {
        let at = seen.idle_since() + limits.idle_timeout;
        if at <= now {
            return Due::End;
        }
        return Due::Nothing(at);
    }
    Due::Nothing(now + first_check(core))
}
