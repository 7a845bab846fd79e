//! How often grants let requests through, counted per core until somebody hands it on: a request
//! pays for one place in a map under a lock that nobody else wants, and waits for nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use crate::domain::ids::GrantId;
use crate::domain::time::Timestamp;
use crate::domain::uses::Use;

/// More grants than these are not counted on a core until the others were handed on.
const MOST: usize = 16_384;

type Counters = FxHashMap<GrantId, Use>;

/// The counters of all cores.
#[derive(Debug)]
pub struct Uses(Vec<Mutex<Counters>>);

impl Uses {
    #[must_use]
    pub fn new(cores: usize) -> Self {
        Self((0..cores.max(1)).map(|_| Mutex::default()).collect())
    }

    /// Counts one request. It allocates for the first use of a grant at most.
    pub fn count(&self, core: usize, grants: &[GrantId], at: Timestamp) {
        let Some(counters) = self.0.get(core).filter(|_| !grants.is_empty()) else { return };
        let mut counters = lock(counters);
        for grant in grants {
            if let Some(used) = counters.get_mut(grant) {
                *used = used.and(Use::once(at));
            } else if counters.len() < MOST {
                counters.insert(*grant, Use::once(at));
            }
        }
    }

    /// What was counted since the last time, by grant. The maps keep their room.
    #[must_use]
    pub fn take(&self) -> Vec<(GrantId, Use)> {
        let mut all = Counters::default();
        for counters in &self.0 {
            for (grant, used) in lock(counters).drain() {
                let sum = all.entry(grant);
                sum.and_modify(|sum| *sum = sum.and(used)).or_insert(used);
            }
        }
        let mut all: Vec<_> = all.into_iter().collect();
        all.sort_unstable_by_key(|(grant, _)| *grant);
        all
    }
}

fn lock(counters: &Mutex<Counters>) -> MutexGuard<'_, Counters> {
    counters.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::Partition;

    fn id(n: u128) -> GrantId {
        GrantId { partition: Partition(1), random: n.to_be_bytes() }
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn uses_of_all_cores_add_up_and_are_handed_on_once() {
        let uses = Uses::new(2);
        uses.count(0, &[id(1), id(2)], at(5));
        uses.count(1, &[id(1)], at(3));
        uses.count(0, &[id(1)], at(9));
        uses.count(7, &[id(1)], at(9));
        uses.count(0, &[], at(1));
        let first = Use { count: 3, first: at(3), last: at(9) };
        assert_eq!(uses.take(), [(id(1), first), (id(2), Use::once(at(5)))]);
        assert!(uses.take().is_empty());
    }

    #[test]
    fn the_memory_of_uses_is_bounded_whoever_comes() {
        let uses = Uses::new(1);
        for n in 0..100_000 {
            uses.count(0, &[id(n)], at(1));
        }
        uses.count(0, &[id(0), id(99_999)], at(2));
        let taken = uses.take();
        assert_eq!(taken.len(), MOST);
        assert_eq!(taken.first(), Some(&(id(0), Use { count: 2, first: at(1), last: at(2) })));
    }
}
