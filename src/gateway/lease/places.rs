//! Where the open exchanges of a core are found. Nothing here keeps one open: each gives its place
//! back when it ends.

use std::rc::{Rc, Weak};

use crate::gateway::body::Progress;

/// One exchange's place. Numbers never come twice, so that an old place finds nobody else's
/// exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    at: usize,
    number: u64,
}

#[derive(Debug, Default)]
pub struct Places {
    all: Vec<Option<(u64, Weak<Progress>)>>,
    free: Vec<usize>,
    next: u64,
}

impl Places {
    pub fn take(&mut self, exchange: Weak<Progress>) -> Place {
        let number = self.next;
        self.next += 1;
        let taken = Some((number, exchange));
        if let Some(at) = self.free.pop()
            && let Some(place) = self.all.get_mut(at)
        {
            *place = taken;
            return Place { at, number };
        }
        self.all.push(taken);
        Place { at: self.all.len() - 1, number }
    }

    pub fn give_back(&mut self, place: Place) {
        if let Some(taken) = self.all.get_mut(place.at)
            && taken.as_ref().is_some_and(|(number, _)| *number == place.number)
        {
            *taken = None;
            self.free.push(place.at);
        }
    }

    pub fn get(&self, place: Place) -> Option<Rc<Progress>> {
        let (number, exchange) = self.all.get(place.at)?.as_ref()?;
        exchange.upgrade().filter(|_| *number == place.number)
    }
}
