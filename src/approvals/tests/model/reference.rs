//! What should be so: too simple to be wrong. It knows no records, no versions, no markers; what
//! ends, ends at its moment; timers do what nothing else would do.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::domain::ids::{GrantId, RequestId};
use crate::domain::time::Timestamp;

pub const HOUR: Duration = Duration::from_hours(1);
pub const HOLDERS: [&str; 2] = ["alice", "dave"];
/// Two leads, the manager to whom it escalates, and the holders themselves.
pub const DECIDERS: [&str; 5] = ["bob", "ben", "max", "alice", "dave"];
/// Templates, and tools of the same name, with how many leads have to approve; none: it is given to
/// those who are eligible. `notes` is escalated, extended, and has a break-glass; `audit` must not
/// come together with it.
pub const TEMPLATES: [(&str, usize); 4] = [("notes", 1), ("pair", 2), ("audit", 1), ("duty", 0)];
pub const NOTES: usize = 0;
const CONFLICT: [usize; 2] = [NOTES, 2];

pub struct Asked {
    pub id: RequestId,
    pub who: usize,
    pub what: usize,
    pub made: Timestamp,
    pub approvals: BTreeSet<usize>,
    pub escalated: bool,
    pub status: &'static str,
    /// Until when a review is owed.
    pub debt: Option<Timestamp>,
    pub reviewed: bool,
    pub overdue: bool,
}

pub struct Given {
    pub id: GrantId,
    pub who: usize,
    pub what: usize,
    pub until: Timestamp,
    pub extended: usize,
    pub may_be_extended: bool,
    pub status: &'static str,
}

#[derive(Default)]
pub struct Reference {
    pub asked: Vec<Asked>,
    pub given: Vec<Given>,
    /// What the kill switch was thrown for: by template, or by tool.
    pub killed: BTreeSet<(usize, bool)>,
    /// Until when approvers decide on everything.
    pub supervised: [Option<Timestamp>; HOLDERS.len()],
}

impl Asked {
    pub fn new(id: RequestId, who: usize, what: usize, made: Timestamp) -> Self {
        let approvals = BTreeSet::new();
        let (escalated, status, debt) = (false, "pending", None);
        let (reviewed, overdue) = (false, false);
        Self { id, who, what, made, approvals, escalated, status, debt, reviewed, overdue }
    }

    pub fn may_be_decided(&self, by: usize) -> bool {
        let is_own = DECIDERS[by] == HOLDERS[self.who];
        self.status == "pending" && !is_own && (by < 2 || (by == 2 && self.escalated))
    }

    pub fn owes(&self) -> bool {
        self.debt.is_some() && !self.reviewed
    }
}

impl Reference {
    pub fn live(&self, who: usize, what: usize) -> BTreeSet<GrantId> {
        let live = |g: &&Given| g.status == "active" && (g.who, g.what) == (who, what);
        self.given.iter().filter(live).map(|given| given.id).collect()
    }

    pub fn conflicts(&self, who: usize, what: usize) -> bool {
        let other = CONFLICT.iter().find(|it| CONFLICT.contains(&what) && **it != what);
        other.is_some_and(|other| !self.live(who, *other).is_empty())
    }

    pub fn may_ask(&self, who: usize, what: usize) -> bool {
        let waits = |a: &Asked| a.status == "pending" && (a.who, a.what) == (who, what);
        !self.asked.iter().any(waits) && !self.conflicts(who, what)
    }

    pub fn may_break_glass(&self, who: usize, what: usize) -> bool {
        let owes = self.asked.iter().any(|asked| asked.who == who && asked.owes());
        what == NOTES && !owes && !self.is_supervised(who) && !self.conflicts(who, what)
    }

    pub fn is_supervised(&self, who: usize) -> bool {
        self.supervised[who].is_some()
    }

    pub fn end(&mut self, hit: impl Fn(usize, usize) -> bool) {
        let asked = self.asked.iter_mut().filter(|a| a.status == "pending" && hit(a.who, a.what));
        asked.for_each(|asked| asked.status = "cancelled");
        let given = self.given.iter_mut().filter(|g| g.status == "active" && hit(g.who, g.what));
        given.for_each(|given| given.status = "revoked");
    }

    pub fn pass(&mut self, now: Timestamp) {
        for until in &mut self.supervised {
            *until = until.filter(|until| now < *until);
        }
        let over =
            |asked: &&mut Asked| asked.status == "pending" && asked.made.plus(HOUR * 24) <= now;
        self.asked.iter_mut().filter(over).for_each(|asked| asked.status = "expired");
        let given = self.given.iter_mut().filter(|g| g.status == "active" && g.until <= now);
        given.for_each(|given| given.status = "expired");
    }

    pub fn timers(&mut self, now: Timestamp) {
        for asked in &mut self.asked {
            let is_late = asked.status == "pending" && asked.made.plus(HOUR) <= now;
            asked.escalated |= is_late && asked.what == NOTES;
            asked.overdue |= asked.owes() && asked.debt.is_some_and(|due| due <= now);
        }
    }
}
