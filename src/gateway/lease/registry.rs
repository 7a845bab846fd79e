//! The leases of one core: who is open, and what is to be asked of the store.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use crate::domain::ids::Partition;
use crate::domain::subject::SubjectKey;
use crate::domain::time::Timestamp;
use crate::gateway::body::Progress;
use crate::gateway::core::Shared;
use crate::store::Head;

use super::LOOK_AGAIN;
use super::held::{AHEAD, Look};
use super::places::{Place, Places};

/// An exchange that is still open at this age is watched before it is 100 ms old.
const AGE: Duration = Duration::from_millis(75);
/// Ages and ends that are closer together than this are looked at together.
const GRAIN: Duration = Duration::from_millis(15);
/// So many subjects are read at once: requests read over the same connection.
const AT_ONCE: usize = 1024;

pub struct Leases {
    shared: Arc<Shared>,
    book: RefCell<Book>,
    /// Something is due earlier than the keeper knows.
    pub(super) sooner: Notify,
    /// There is something to ask.
    pub(super) asking: Notify,
    pub(super) room: Rc<Semaphore>,
}

#[derive(Default)]
struct Book {
    places: Places,
    /// In the order of their beginning; most of them are over when their time comes.
    young: VecDeque<(Instant, Place)>,
    watched: FxHashMap<Partition, Watched>,
    next_look: Option<Instant>,
    /// Partitions whose heads are to be read.
    asked: FxHashSet<Partition>,
    /// Leases that end soon.
    near: Vec<Place>,
    /// What began before this is in doubt.
    doubted: Option<Instant>,
}

/// A partition that has leases.
#[derive(Default)]
struct Watched {
    leases: FxHashSet<Place>,
    /// As it was last read, and when that read was sent.
    head: Option<(Head, Instant)>,
    /// It is being read now, and whether it is to be read once more.
    reading: bool,
    again: bool,
}

impl Leases {
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Rc<Self> {
        Rc::new(Self {
            shared,
            book: RefCell::default(),
            sooner: Notify::new(),
            asking: Notify::new(),
            room: Rc::new(Semaphore::new(AT_ONCE)),
        })
    }

    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    pub fn enter(&self, exchange: &Rc<Progress>) {
        let mut book = self.book.borrow_mut();
        let place = book.places.take(Rc::downgrade(exchange));
        let Some(opened) = exchange.held.entered(place) else { return };
        book.young.push_back((opened, place));
        if book.young.len() == 1 {
            self.sooner.notify_one();
        }
    }

    pub(super) fn leave(&self, place: Place, partition: Option<Partition>) {
        let mut book = self.book.borrow_mut();
        book.places.give_back(place);
        let Some(partition) = partition else { return };
        let Some(watched) = book.watched.get_mut(&partition) else { return };
        watched.leases.remove(&place);
        if watched.leases.is_empty() {
            book.watched.remove(&partition);
        }
    }

    /// Begins to watch what has become old enough.
    pub(super) fn grow(&self, now: Instant, partition_of: impl Fn(SubjectKey) -> Partition) {
        loop {
            let Some(place) = self.book.borrow_mut().next_grown(now) else { return };
            let Some(exchange) = self.book.borrow().places.get(place) else { continue };
            let Some(identity) = exchange.held.permit().identity() else { continue };
            let partition = partition_of(identity.key);
            self.book.borrow_mut().watch(place, &exchange, partition);
            self.asking.notify_one();
            self.look_at(place, &exchange, (now, self.now()));
        }
    }

    /// Cuts it if it is over, by the clock of the core and by the one on the wall.
    fn look_at(&self, place: Place, exchange: &Progress, (now, wall): (Instant, Timestamp)) {
        let look = exchange.held.look(now, wall, self.shared.limits.stream_grace);
        let at = match look {
            Look::Over(cause) => return exchange.held.cut(cause, None),
            Look::Later(at) => at.min(now + LOOK_AGAIN),
            Look::Near => {
                self.book.borrow_mut().near.push(place);
                self.asking.notify_one();
                now + AHEAD / 4
            }
        };
        self.book.borrow_mut().look_at(at);
    }

    /// When the keeper has something to do; `None`: when it is told.
    pub(super) fn next_wake(&self, now: Instant) -> Option<Instant> {
        let book = self.book.borrow();
        let grown = book.young.front().map(|(opened, _)| (*opened + AGE).max(now + GRAIN));
        let look = book.next_look.filter(|_| !book.watched.is_empty());
        let look = look.map(|at| at.max(now + GRAIN));
        grown.into_iter().chain(look).min()
    }

    /// Looks at the clock for every lease, if it is time to.
    pub(super) fn look(&self, now: Instant) {
        if self.book.borrow().next_look.is_none_or(|at| now < at) {
            return;
        }
        self.book.borrow_mut().next_look = Some(now + LOOK_AGAIN);
        let (open, wall) = (self.book.borrow().open(), self.now());
        for (place, exchange) in &open {
            self.look_at(*place, exchange, (now, wall));
        }
    }

    /// The keeper looks at the clock no later than that.
    pub(super) fn look_within(&self, span: Duration) {
        if self.book.borrow_mut().look_at(Instant::now() + span) {
            self.sooner.notify_one();
        }
    }

    pub(super) fn is_watching(&self) -> bool {
        !self.book.borrow().watched.is_empty()
    }

    /// A partition may have moved.
    pub(super) fn ask(&self, partition: Partition) {
        self.book.borrow_mut().ask(partition);
        self.asking.notify_one();
    }

    pub(super) fn ask_all(&self) {
        let mut book = self.book.borrow_mut();
        let all: Vec<Partition> = book.watched.keys().copied().collect();
        for partition in all {
            book.ask(partition);
        }
    }

    /// What permits no longer stands by grants alone: everything that is open now is asked anew.
    pub(super) fn doubt_all(&self) {
        let mut book = self.book.borrow_mut();
        book.doubted = Some(Instant::now());
        for (_, exchange) in &book.open() {
            exchange.held.doubt();
        }
    }

    /// Partitions whose heads are to be read now; nobody else reads them until
    /// [`Leases::was_read`].
    pub(super) fn take_asked(&self) -> Vec<Partition> {
        let mut book = self.book.borrow_mut();
        let asked: Vec<Partition> = book.asked.drain().collect();
        asked.into_iter().filter(|partition| book.begin_reading(*partition)).collect()
    }

    pub(super) fn take_near(&self) -> Vec<Rc<Progress>> {
        let mut book = self.book.borrow_mut();
        let near = std::mem::take(&mut book.near);
        near.into_iter().filter_map(|place| book.places.get(place)).collect()
    }

    /// The head of a partition by a read that was sent at `sent`: gives the leases for which it
    /// moved.
    pub(super) fn learned(
        &self,
        partition: Partition,
        head: Head,
        sent: Instant,
    ) -> Vec<Rc<Progress>> {
        let mut book = self.book.borrow_mut();
        if let Some(watched) = book.watched.get_mut(&partition) {
            watched.head = Some((head, sent));
        }
        let mut moved = book.open_in(partition);
        moved.retain(|exchange| exchange.held.compare(head, sent));
        moved
    }

    /// The read is over; asks again if it was asked for meanwhile.
    pub(super) fn was_read(&self, partition: Partition) {
        let mut book = self.book.borrow_mut();
        let Some(watched) = book.watched.get_mut(&partition) else { return };
        watched.reading = false;
        if std::mem::take(&mut watched.again) {
            book.asked.insert(partition);
            self.asking.notify_one();
        }
    }

    /// A subject was read at `head`. Whoever came with a later head found its leases occupied.
    pub(super) fn was_seen_at(&self, partition: Partition, head: Head) {
        let known = self.book.borrow().watched.get(&partition).and_then(|known| known.head);
        if known.is_some_and(|(known, _)| (known.epoch, known.seq) > (head.epoch, head.seq)) {
            self.ask(partition);
        }
    }
}

impl Book {
    fn next_grown(&mut self, now: Instant) -> Option<Place> {
        let (opened, place) = *self.young.front()?;
        (opened + AGE <= now).then(|| {
            self.young.pop_front();
            place
        })
    }

    fn watch(&mut self, place: Place, exchange: &Progress, partition: Partition) {
        let held = &exchange.held;
        held.is_watched_in(partition, self.doubted);
        let watched = self.watched.entry(partition).or_default();
        watched.leases.insert(place);
        // What is known of the partition may be older than what admission saw, or newer.
        let same = watched.head.is_some_and(|(head, sent)| !held.compare(head, sent));
        if !same {
            self.ask(partition);
        }
    }

    /// Whether that is sooner than what was known.
    fn look_at(&mut self, at: Instant) -> bool {
        let sooner = self.next_look.is_none_or(|known| at < known);
        if sooner {
            self.next_look = Some(at);
        }
        sooner
    }

    fn ask(&mut self, partition: Partition) {
        if self.watched.contains_key(&partition) {
            self.asked.insert(partition);
        }
    }

    fn begin_reading(&mut self, partition: Partition) -> bool {
        let Some(watched) = self.watched.get_mut(&partition) else { return false };
        let free = !watched.reading;
        watched.again = !free;
        watched.reading = true;
        free
    }

    fn open(&self) -> Vec<(Place, Rc<Progress>)> {
        let places = self.watched.values().flat_map(|watched| &watched.leases);
        places.filter_map(|place| Some((*place, self.places.get(*place)?))).collect()
    }

    fn open_in(&self, partition: Partition) -> Vec<Rc<Progress>> {
        let Some(watched) = self.watched.get(&partition) else { return Vec::new() };
        watched.leases.iter().filter_map(|place| self.places.get(*place)).collect()
    }
}
