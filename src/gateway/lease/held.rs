//! What one exchange is bound to, shared by its two directions and found by those who watch it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::AccessMode;
use crate::domain::ids::{GrantId, Partition};
use crate::domain::time::Timestamp;
use crate::gateway::admit::{Permit, ends_at};
use crate::gateway::ports::MatchedGrant;
use crate::store::{Head, Seen};
use crate::telemetry::decision::{DecisionRecord, LeaseCut};
use crate::telemetry::events::gateway::StreamCut;

use super::cause::Cause;
use super::places::Place;
use super::registry::Leases;

/// So long before its end a lease is asked what will still permit it then.
pub const AHEAD: Duration = Duration::from_secs(1);

/// The permit of one exchange, and the lease on it.
pub struct Held {
    permit: Box<Permit>,
    /// Of the decision that made the permit.
    record: Arc<DecisionRecord>,
    opened: Instant,
    /// `None`: it is bound to nothing, the rule is public.
    bond: Option<Bond>,
}

struct Bond {
    leases: Rc<Leases>,
    place: Cell<Option<Place>>,
    /// Where its grants are; known once it is watched.
    partition: Cell<Option<Partition>>,
    /// What it was last found to be permitted by.
    seen: Cell<Seen>,
    ends_at: Cell<Option<Timestamp>>,
    /// Those of the permit until it was looked at again.
    grants: RefCell<Option<Vec<GrantId>>>,
    /// When the last read was sent that showed it permitted.
    good: Cell<Instant>,
    /// The end beyond which was looked already.
    looked_beyond: Cell<Option<Timestamp>>,
    /// Something else than grants moved: the policy has to be asked again.
    in_doubt: Cell<bool>,
    is_checked: Cell<bool>,
    cause: Cell<Option<Cause>>,
    /// Whoever waits in the direction of the response, and in that of the request.
    waiting: [Cell<Option<Waker>>; 2],
}

/// Which direction of an exchange waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Response,
    Request,
}

/// What the clock says of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Over(Cause),
    /// Its end is near: what will permit it then?
    Near,
    Later(Instant),
}

impl Held {
    #[must_use]
    pub fn new(permit: Box<Permit>, record: Arc<DecisionRecord>, leases: &Rc<Leases>) -> Self {
        let opened = permit.since();
        let bond = permit.seen().map(|seen| Bond {
            leases: Rc::clone(leases),
            place: Cell::new(None),
            partition: Cell::new(None),
            seen: Cell::new(seen),
            ends_at: Cell::new(permit.ends_at().filter(|_| is_by_grant(&permit))),
            grants: RefCell::new(None),
            good: Cell::new(opened),
            looked_beyond: Cell::new(None),
            in_doubt: Cell::new(false),
            is_checked: Cell::new(false),
            cause: Cell::new(None),
            waiting: Default::default(),
        });
        Self { permit, record, opened, bond }
    }

    pub fn permit(&self) -> &Permit {
        &self.permit
    }

    pub fn record(&self) -> &Arc<DecisionRecord> {
        &self.record
    }

    pub fn opened(&self) -> Instant {
        self.opened
    }

    pub fn is_bound(&self) -> bool {
        self.bond.is_some()
    }

    /// Whether the access has ended by now; the first to notice cuts it.
    pub fn has_ended(&self) -> bool {
        let Some(bond) = &self.bond else { return false };
        if bond.cause.get().is_some() {
            return true;
        }
        let Some(end) = bond.ends_at.get() else { return false };
        if bond.leases.now() < end {
            return false;
        }
        self.cut(Cause::Expired, None);
        true
    }

    /// Without a look at the clock.
    pub fn cause(&self) -> Option<Cause> {
        self.bond.as_ref()?.cause.get()
    }

    /// The time to its end, by the wall clock of now.
    pub fn left(&self) -> Option<Duration> {
        let bond = self.bond.as_ref()?;
        bond.ends_at.get().map(|end| end.since(bond.leases.now()))
    }

    /// Whoever waits is woken when it is cut.
    pub fn waits(&self, side: Side, waker: &Waker) {
        let Some(bond) = &self.bond else { return };
        let [response, request] = &bond.waiting;
        let place = match side {
            Side::Response => response,
            Side::Request => request,
        };
        let known = place.take().filter(|known| known.will_wake(waker));
        place.set(Some(known.unwrap_or_else(|| waker.clone())));
    }

    /// Ends the access: once, with the first cause. `since`: when it was taken away.
    pub fn cut(&self, cause: Cause, since: Option<Timestamp>) {
        let Some(bond) = self.bond.as_ref().filter(|bond| bond.cause.get().is_none()) else {
            return;
        };
        bond.cause.set(Some(cause));
        bond.waiting.iter().filter_map(Cell::take).for_each(Waker::wake);
        let (shared, at) = (bond.leases.shared(), bond.leases.now());
        let effect = since.filter(|_| cause.is_taken_away()).map(|since| at.since(since));
        let (record, grants) = (Arc::clone(&self.record), self.grants());
        let cut =
            LeaseCut { record, grants, cause: cause.as_str(), at, open: self.opened.elapsed() };
        StreamCut { cut: &cut, effect }.emit(&shared.metrics);
        shared.decisions.cut(Arc::new(cut));
    }

    /// The grants that permit it.
    pub fn grants(&self) -> Vec<GrantId> {
        let again = self.bond.as_ref().and_then(|bond| bond.grants.borrow().clone());
        again.unwrap_or_else(|| self.permit.grants().to_vec())
    }

    pub fn seen(&self) -> Option<Seen> {
        self.bond.as_ref().map(|bond| bond.seen.get())
    }

    pub(super) fn entered(&self, place: Place) -> Option<Instant> {
        let bond = self.bond.as_ref()?;
        bond.place.set(Some(place));
        Some(self.opened)
    }

    /// From now on it is watched. An exchange that no grant has to permit is given the time that it
    /// takes to ask what will permit it.
    pub(super) fn is_watched_in(&self, partition: Partition, doubted: Option<Instant>) {
        let Some(bond) = &self.bond else { return };
        bond.partition.set(Some(partition));
        bond.in_doubt.set(doubted.is_some_and(|doubted| self.opened <= doubted));
        if !is_by_grant(&self.permit) {
            let soonest = bond.leases.now().plus(AHEAD);
            bond.ends_at.set(self.permit.ends_at().map(|end| end.max(soonest)));
        }
        bond.leases.shared().metrics.open_leases.inc();
    }

    pub(super) fn look(&self, now: Instant, wall: Timestamp, grace: Duration) -> Look {
        let Some(bond) = self.bond.as_ref().filter(|bond| bond.cause.get().is_none()) else {
            return Look::Later(now + super::LOOK_AGAIN);
        };
        let end = bond.ends_at.get();
        if end.is_some_and(|end| wall >= end) {
            return Look::Over(Cause::Expired);
        }
        let grace_ends = bond.good.get() + grace;
        if now >= grace_ends {
            return Look::Over(Cause::Unreachable);
        }
        let Some(end) = end else { return Look::Later(grace_ends) };
        let left = end.since(wall);
        if bond.looked_beyond.get() == Some(end) {
            return Look::Later(grace_ends.min(now + left));
        }
        match left.checked_sub(AHEAD).filter(|rest| !rest.is_zero()) {
            Some(rest) => Look::Later(grace_ends.min(now + rest)),
            None => Look::Near,
        }
    }

    /// Its end, which is to be looked beyond; `None`: somebody did, or it is over.
    pub(super) fn begin_beyond(&self) -> Option<Timestamp> {
        let bond = self.bond.as_ref().filter(|bond| bond.cause.get().is_none())?;
        let end = bond.ends_at.get()?;
        let known = bond.looked_beyond.replace(Some(end));
        (known != Some(end)).then_some(end)
    }

    /// Nobody could say what is beyond its end.
    pub(super) fn beyond_is_unknown(&self) {
        if let Some(bond) = &self.bond {
            bond.looked_beyond.set(None);
            bond.leases.look_within(AHEAD / 4);
        }
    }

    /// The head of its partition was read at `sent`. Whether it moved since the lease was found to
    /// be permitted; if not, it still is.
    pub(super) fn compare(&self, head: Head, sent: Instant) -> bool {
        let Some(bond) = self.bond.as_ref().filter(|bond| bond.cause.get().is_none()) else {
            return false;
        };
        if bond.seen.get().head != head || bond.in_doubt.get() {
            return true;
        }
        bond.good.set(bond.good.get().max(sent));
        false
    }

    /// Whether nothing has changed of what permitted it.
    pub(super) fn is_same(&self, seen: Seen) -> bool {
        let Some(bond) = &self.bond else { return true };
        let known = bond.seen.get();
        !bond.in_doubt.get()
            && known.head.epoch == seen.head.epoch
            && known.generation == seen.generation
            && known.version == seen.version
    }

    /// It is as it was, by a read that was sent at `sent`.
    pub(super) fn goes_on(&self, seen: Seen, sent: Instant) {
        let Some(bond) = &self.bond else { return };
        bond.seen.set(seen);
        bond.good.set(bond.good.get().max(sent));
    }

    /// It is permitted by these grants from now on.
    pub(super) fn stays(&self, grants: &[MatchedGrant], seen: Seen, sent: Instant) {
        let Some(bond) = &self.bond else { return };
        self.goes_on(seen, sent);
        bond.in_doubt.set(false);
        bond.looked_beyond.set(None);
        self.ends_with(grants);
    }

    /// These grants, of the read that showed `seen`, permit it also beyond its present end. What
    /// was found out since is not overruled by them.
    pub(super) fn ends_later(&self, grants: &[MatchedGrant], seen: Seen) {
        if self.is_same(seen) {
            self.ends_with(grants);
        } else {
            self.beyond_is_unknown();
        }
    }

    fn ends_with(&self, grants: &[MatchedGrant]) {
        let Some(bond) = &self.bond else { return };
        bond.grants.replace(Some(grants.iter().map(|grant| grant.id).collect()));
        bond.ends_at.set(ends_at(grants));
        if let Some(left) = self.left() {
            bond.leases.look_within(left.saturating_sub(AHEAD));
        }
    }

    pub(super) fn doubt(&self) {
        if let Some(bond) = &self.bond {
            bond.in_doubt.set(true);
        }
    }

    /// `false`: somebody is asking for it already.
    pub(super) fn begin_check(&self) -> bool {
        self.bond.as_ref().is_some_and(|bond| !bond.is_checked.replace(true))
    }

    pub(super) fn end_check(&self) {
        if let Some(bond) = &self.bond {
            bond.is_checked.set(false);
        }
    }
}

fn is_by_grant(permit: &Permit) -> bool {
    permit.rule().access == AccessMode::Grant
}

impl Drop for Bond {
    fn drop(&mut self) {
        let Some(place) = self.place.get() else { return };
        let partition = self.partition.get();
        if partition.is_some() {
            self.leases.shared().metrics.open_leases.dec();
        }
        self.leases.leave(place, partition);
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("cause", &self.cause()).finish_non_exhaustive()
    }
}
