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

pub(super) fn first_check<P: Ports>(core: &Core<P>) -> Duration {
    core.shared.limits.header_timeout.min(core.shared.limits.idle_timeout)
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
        // A head may begin at any moment; its own deadline is shorter.
        return Due::Nothing(at.min(now + limits.header_timeout));
    }
    Due::Nothing(now + first_check(core))
}
