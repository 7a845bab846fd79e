//! What a thread's streams have written in this turn.

use std::cell::{Cell, RefCell};
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::rc::Rc;
use std::task::Waker;

use crate::ring::Ring;

/// So many writes, or so many bytes, go without waiting for the end of the turn.
const MOST: u32 = 64;
const MOST_BYTES: usize = 256 * 1024;

thread_local! {
    static TURN: RefCell<Option<Turn>> = const { RefCell::new(None) };
}

/// From now on small writes of this thread's streams wait for [`flush`], which has to be called before the
/// thread sleeps.
///
/// # Errors
/// There is no `io_uring` for this thread; everything is written at once.
pub fn begin() -> io::Result<()> {
    begin_with(MOST)
}

/// With room for so many at once in the ring.
pub fn begin_with(most: u32) -> io::Result<()> {
    let ring = Ring::new(most)?;
    TURN.set(Some(Turn::new(ring)));
    Ok(())
}

/// Hands everything over that was written since the last call, and wakes whoever waits for that.
pub fn flush() {
    let woken = TURN.with_borrow_mut(|turn| Some(turn.as_mut()?.send()));
    woken.into_iter().for_each(wake);
}

/// Without anything borrowed: a waker may do whatever it likes, also when it is only dropped.
fn wake(mut woken: Vec<Told>) {
    for told in woken.drain(..) {
        if told.wakes {
            told.waker.wake();
        }
    }
    TURN.with_borrow_mut(|turn| {
        if let Some(turn) = turn {
            turn.woken = woken;
        }
    });
}

/// A write of one stream. At most one is under way at a time.
#[derive(Debug, Default)]
pub struct Place(Cell<State>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// None is under way.
    #[default]
    Free,
    /// It is under this number.
    Waits(usize),
    /// So much was taken, or the error as a negative number. The writer has not learned it yet.
    Told(i32),
}

impl Place {
    pub fn state(&self) -> State {
        self.0.get()
    }

    /// Nothing is under way any more: what was not handed over never will be.
    pub fn clear(&self) {
        self.0.set(State::Free);
    }

    /// Whoever waits now is woken in the end.
    pub fn waits_by(&self, waker: &Waker) {
        let State::Waits(number) = self.0.get() else { return };
        let _dropped_outside = TURN.with_borrow_mut(|turn| {
            let write = turn.as_mut()?.writes.get_mut(number)?;
            let is_new = !write.waker.will_wake(waker);
            is_new.then(|| std::mem::replace(&mut write.waker, waker.clone()))
        });
    }
}

/// What is to be written, by whom.
pub struct Ask<'a> {
    pub socket: BorrowedFd<'a>,
    pub parts: &'a [io::IoSlice<'a>],
    pub waker: &'a Waker,
    /// Nobody needs to be woken when all of it was taken.
    pub quiet: bool,
}

/// Whether it waits for the end of the turn now; `false`: it is to be written at once. The socket has to stay
/// open until the place is cleared.
pub fn add(ask: &Ask<'_>, place: &Rc<Place>) -> bool {
    let added = TURN.with_borrow_mut(|turn| {
        let turn = turn.as_mut().filter(|turn| !turn.is_broken)?;
        turn.add(ask, place);
        Some(turn.is_full().then(|| turn.send()))
    });
    let Some(woken) = added else { return false };
    woken.into_iter().for_each(wake);
    true
}

#[derive(Debug)]
struct Turn {
    ring: Ring,
    bytes: Vec<u8>,
    writes: Vec<Write>,
    /// Whoever is to hear of a write; empty, and kept for its memory.
    woken: Vec<Told>,
    is_broken: bool,
}

#[derive(Debug)]
struct Told {
    waker: Waker,
    wakes: bool,
}

#[derive(Debug)]
struct Write {
    socket: RawFd,
    bytes: Range<usize>,
    place: Rc<Place>,
    waker: Waker,
    quiet: bool,
}

impl Turn {
    const fn new(ring: Ring) -> Self {
        Self { ring, bytes: Vec::new(), writes: Vec::new(), woken: Vec::new(), is_broken: false }
    }

    fn add(&mut self, ask: &Ask<'_>, place: &Rc<Place>) {
        let from = self.bytes.len();
        for part in ask.parts {
            self.bytes.extend_from_slice(part);
        }
        place.0.set(State::Waits(self.writes.len()));
        self.writes.push(Write {
            socket: ask.socket.as_raw_fd(),
            bytes: from..self.bytes.len(),
            place: Rc::clone(place),
            waker: ask.waker.clone(),
            quiet: ask.quiet,
        });
    }

    fn is_full(&self) -> bool {
        self.writes.len() >= MOST as usize || self.bytes.len() >= MOST_BYTES
    }

    /// Sends everything. Returned: whoever is to hear of it.
    fn send(&mut self) -> Vec<Told> {
        let mut woken = std::mem::take(&mut self.woken);
        if self.writes.is_empty() {
            return woken;
        }
        let (writes, bytes) = (&self.writes, &self.bytes);
        // What was given up meanwhile has no socket any more.
        let there = writes.iter().enumerate().filter(|(number, write)| write.waits(*number));
        let sends = there.filter_map(|(number, write)| {
            Some((number as u64, write.socket, bytes.get(write.bytes.clone())?))
        });
        let sent = self.ring.send(sends, |number, result| {
            let write = usize::try_from(number).ok().and_then(|number| writes.get(number));
            if let Some(write) = write {
                write.place.0.set(State::Told(result));
            }
        });
        if sent.is_err() {
            self.breaks();
        }
        woken.extend(self.writes.drain(..).map(Write::told));
        self.bytes.clear();
        woken
    }

    /// What was not sent is left to its writers; nothing waits from now on.
    fn breaks(&mut self) {
        self.is_broken = true;
        // The kernel may still read them.
        std::mem::forget(std::mem::take(&mut self.bytes));
        for (number, write) in self.writes.iter().enumerate() {
            if write.waits(number) {
                write.place.clear();
            }
        }
    }
}

impl Write {
    fn waits(&self, number: usize) -> bool {
        self.place.state() == State::Waits(number)
    }

    fn told(self) -> Told {
        let all = i32::try_from(self.bytes.len());
        let is_whole = all.is_ok_and(|all| self.place.state() == State::Told(all));
        Told { waker: self.waker, wakes: !(is_whole && self.quiet) }
    }
}
