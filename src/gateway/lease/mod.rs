//! Open exchanges are leases: each ends with the grants that permitted it, unless others still do.
//!
//! ```text
//! forward -- enter --> young (a place in a list)
//!                        | 100 ms old, by the keeper's clock
//!                        v
//!                      watched, with what admission saw --+-- its end, or the grace, has come --> cut
//!                        ^                                |
//!                        | still permitted                v head moved (push, or the look of a second)
//!                        +------------------------- admission again --> revoked, denied, ... --> cut
//! ```
//!
//! Every core keeps its own leases: the [`keeper`] looks at the clock and never waits for anything,
//! the [`checker`] asks the store, once per partition. Each direction of an exchange asks its lease
//! whenever it moves and is woken when it was cut, so nobody needs a timer of his own.

mod again;
mod cause;
mod checker;
mod held;
mod keeper;
mod moves;
mod places;
mod registry;

use std::fmt;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::JoinSet;

use super::body::Progress;
use super::core::Core;
use super::ports::Ports;
use crate::problem::ProblemCode;

pub use cause::Cause;
pub use held::{Held, Side};
pub use moves::Moves;
pub use registry::Leases;

/// The wall clock may be moved: it is looked at again at least this often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Watches the leases of one core, as long as the core runs: neither of these tasks ends by itself.
pub fn watch<P: Ports>(core: &Rc<Core<P>>, tasks: &mut JoinSet<()>) {
    tasks.spawn_local(keeper::keep_time(Rc::clone(core)));
    tasks.spawn_local(checker::check(Rc::clone(core)));
}

/// The lease of one exchange, as the direction of the response holds it. It lasts as long as any
/// direction does.
pub struct Lease {
    progress: Rc<Progress>,
}

impl Lease {
    /// Binds an exchange to what permitted it; `None`: nothing does, the rule is public.
    #[must_use]
    pub fn begin(leases: &Leases, progress: &Rc<Progress>) -> Option<Self> {
        if !progress.held.is_bound() {
            return None;
        }
        leases.enter(progress);
        Some(Self { progress: Rc::clone(progress) })
    }

    /// The exchange that it is on.
    #[must_use]
    pub const fn exchange(&self) -> &Rc<Progress> {
        &self.progress
    }

    /// Whether the access has ended by now; the first to notice cuts it.
    pub fn has_ended(&mut self) -> bool {
        self.progress.held.has_ended()
    }

    /// Why it was cut; `None`: it was not.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        self.progress.held.cause()
    }

    /// What a client is told when it has ended.
    #[must_use]
    pub fn code(&self) -> ProblemCode {
        self.cause().map_or(ProblemCode::GrantExpired, Cause::code)
    }

    /// [`Self::poll_ended`] of what was permitted just now: without a look at the clock.
    pub fn poll_cut(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.cause().is_some() {
            return Poll::Ready(());
        }
        self.progress.held.waits(Side::Response, cx.waker());
        Poll::Pending
    }

    /// Ready once the access has ended; until then the task is woken when it does. To be asked when
    /// the exchange has nothing to do.
    pub fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.progress.held.has_ended() {
            return Poll::Ready(());
        }
        self.progress.held.waits(Side::Response, cx.waker());
        Poll::Pending
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("cause", &self.cause()).finish_non_exhaustive()
    }
}
