//! The access that this process saw ended by its own commits, until it would have ended anyway. A
//! store that goes back in time forgets revocations; whoever made them does not
//! (docs/store.md, "Reconciliation").

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::grant::{Ended, EndedWhy, Grant};
use crate::domain::ids::GrantId;
use crate::domain::subject::Subject;
use crate::domain::time::Timestamp;

/// More than these in one process: those that would end soonest are forgotten first.
pub const MOST: usize = 1 << 17;
/// Of a longer reason this many characters are remembered.
const LONGEST_REASON: usize = 256;

/// A grant that ended before its time, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    pub subject: Subject,
    pub grant: GrantId,
    pub ended: Ended,
    pub expires_at: Timestamp,
}

#[derive(Debug)]
pub struct Revoked {
    by_grant: BTreeMap<GrantId, Revocation>,
    by_end: BTreeSet<(Timestamp, GrantId)>,
    most: usize,
}

impl Default for Revoked {
    fn default() -> Self {
        Self { by_grant: BTreeMap::new(), by_end: BTreeSet::new(), most: MOST }
    }
}

impl Revoked {
    pub fn remember(&mut self, grants: &[Grant], now: Timestamp) {
        for revocation in grants.iter().filter_map(revocation) {
            let (grant, end) = (revocation.grant, revocation.expires_at);
            if self.by_grant.insert(grant, revocation).is_none() {
                self.by_end.insert((end, grant));
            }
        }
        self.forget(now);
    }

    /// What is remembered at `now`.
    pub fn all(&mut self, now: Timestamp) -> Vec<Revocation> {
        self.forget(now);
        self.by_grant.values().cloned().collect()
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some((end, grant)) = self.by_end.first().copied() {
            if end > now && self.by_end.len() <= self.most {
                return;
            }
            self.by_end.remove(&(end, grant));
            self.by_grant.remove(&grant);
        }
    }
}

/// A grant that simply ran out ends by its time, whatever the store says.
fn revocation(grant: &Grant) -> Option<Revocation> {
    let ended = grant.ended.as_ref()?;
    match ended.why {
        EndedWhy::Expired => return None,
        EndedWhy::Revoked | EndedWhy::Released => (),
    }
    let mut ended = ended.clone();
    if let Some((end, _)) = ended.reason.char_indices().nth(LONGEST_REASON) {
        ended.reason.truncate(end);
    }
    let (subject, expires_at) = (grant.subject.clone(), grant.expires_at);
    Some(Revocation { subject, grant: grant.id, ended, expires_at })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract::fixtures::{HOUR, ONE_MS, START, alice, ended, grant};

    #[test]
    fn only_what_ended_early_is_remembered_and_only_until_it_would_have_ended() {
        let mut revoked = Revoked::default();
        let open = grant(&alice(), START);
        let expired = ended(grant(&alice(), START), EndedWhy::Expired, START.plus(HOUR));
        let mut early = ended(grant(&alice(), START), EndedWhy::Revoked, START);
        early.ended.as_mut().expect("ended").reason = "\u{e9}".repeat(300);
        revoked.remember(&[open, expired, early.clone()], START);
        let all = revoked.all(START.plus(HOUR).minus(ONE_MS));
        assert_eq!(all.iter().map(|r| r.grant).collect::<Vec<_>>(), [early.id]);
        assert_eq!(all[0].ended.reason.chars().count(), LONGEST_REASON);
        assert_eq!(revoked.all(START.plus(HOUR)), []);
        assert!(revoked.by_end.is_empty());
    }

    #[test]
    fn when_there_are_too_many_those_that_end_soonest_are_forgotten() {
        let mut revoked = Revoked { most: 10, ..Revoked::default() };
        let at = |n: u64| START.plus(HOUR / 3600 * u32::try_from(n).expect("small"));
        let grants: Vec<Grant> =
            (0..30).map(|n| ended(grant(&alice(), at(n)), EndedWhy::Released, at(n))).collect();
        for grant in &grants {
            revoked.remember(std::slice::from_ref(grant), START);
        }
        let kept: BTreeSet<GrantId> = revoked.all(START).iter().map(|r| r.grant).collect();
        assert_eq!(kept, grants[20..].iter().map(|grant| grant.id).collect());
    }
}
