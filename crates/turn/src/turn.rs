//! What a thread's streams have written in this turn.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::marker::PhantomData;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::ring::Ring;

/// So many writes, or so many bytes, go without waiting for the end of the turn.
const MOST: u32 = 64;
const MOST_BYTES: usize = 256 * 1024;

thread_local! {
    static TURN: RefCell<Option<Turn>> = const { RefCell::new(None) };
}

/// The turns of this thread. Dropped, they are over: what waits is handed over, and everything is written at
/// once again.
#[derive(Debug)]
pub struct Turns(PhantomData<Rc<()>>);

/// Gives this thread turns. Small writes of its streams wait as long as [`Turns::run`] is there to hand them
/// over.
///
/// # Errors
/// There is no `io_uring` for this thread, or it has turns already.
pub fn begin() -> io::Result<Turns> {
    if TURN.with_borrow(Option::is_some) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let turn = Turn::new(Ring::new(MOST)?);
    TURN.set(Some(turn));
    Ok(Turns(PhantomData))
}

impl Turns {
    /// A task of this thread, which never ends. It is woken by the first write of a turn, so that it has its
    /// turn behind all tasks that were ready then, and hands over what they have written: nobody waits
    /// longer than for these, however busy the thread is.
    pub async fn run(self) {
        loop {
            poll_fn(|cx| {
                TURN.with_borrow_mut(|turn| turn.as_mut().map_or(Poll::Pending, |it| it.poll(cx)))
            })
            .await;
            flush();
        }
    }

    /// Without a task: whoever tests calls [`flush`].
    ///
    /// # Errors
    /// There is no `io_uring`.
    #[cfg(test)]
    pub fn by_hand(most: u32) -> io::Result<Self> {
        let turn = Turn { keeper: Keeper::Called, ..Turn::new(Ring::new(most)?) };
        TURN.set(Some(turn));
        Ok(Self(PhantomData))
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        flush();
        TURN.set(None);
    }
}

/// Hands everything over that waits, and wakes whoever waits for that.
pub fn flush() {
    let told = TURN.with_borrow_mut(|turn| Some(turn.as_mut()?.send()));
    told.into_iter().for_each(wake);
}

/// Without anything borrowed: a waker may do whatever it likes, also when it is only dropped.
fn wake(mut all: Vec<Told>) {
    for told in all.drain(..) {
        if told.wakes {
            told.waker.wake();
        }
    }
    TURN.with_borrow_mut(|turn| {
        if let Some(turn) = turn {
            turn.told = all;
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

    /// Whoever waits now is woken in the end; see [`Ask::quiet`].
    pub fn waits_by(&self, waker: &Waker, quiet: bool) {
        let State::Waits(number) = self.0.get() else { return };
        let _dropped_outside = TURN.with_borrow_mut(|turn| {
            let write = turn.as_mut()?.writes.get_mut(number)?;
            write.quiet = quiet;
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
        let turn = turn.as_mut().filter(|turn| turn.can_wait())?;
        turn.add(ask, place);
        Some((turn.call(), turn.is_full().then(|| turn.send())))
    });
    let Some((keeper, told)) = added else { return false };
    if let Some(keeper) = keeper {
        keeper.wake();
    }
    told.into_iter().for_each(wake);
    true
}

#[derive(Debug)]
struct Turn {
    ring: Ring,
    keeper: Keeper,
    bytes: Vec<u8>,
    writes: Vec<Write>,
    /// Whoever is to hear of a write; empty, and kept for its memory.
    told: Vec<Told>,
    is_broken: bool,
}

/// The task that hands over.
#[derive(Debug)]
enum Keeper {
    /// Nothing may wait: nobody would hand it over.
    Absent,
    Asleep(Waker),
    /// It comes as soon as it has its turn.
    Called,
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
        Self {
            ring,
            keeper: Keeper::Absent,
            bytes: Vec::new(),
            writes: Vec::new(),
            told: Vec::new(),
            is_broken: false,
        }
    }

    /// Ready when something waits.
    fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.writes.is_empty() {
            self.keeper = Keeper::Asleep(cx.waker().clone());
            return Poll::Pending;
        }
        self.keeper = Keeper::Called;
        Poll::Ready(())
    }

    const fn can_wait(&self) -> bool {
        !self.is_broken && !matches!(self.keeper, Keeper::Absent)
    }

    /// The keeper, if it has to be woken.
    fn call(&mut self) -> Option<Waker> {
        match std::mem::replace(&mut self.keeper, Keeper::Called) {
            Keeper::Asleep(waker) => Some(waker),
            Keeper::Absent | Keeper::Called => None,
        }
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
        let mut told = std::mem::take(&mut self.told);
        if self.writes.is_empty() {
            return told;
        }
        let writes = &self.writes;
        // What was given up meanwhile has no socket any more.
        let there = writes.iter().enumerate().filter(|(number, write)| write.waits(*number));
        let sends = there.map(|(at, write)| (at as u64, write.socket, write.bytes.clone()));
        let sent = self.ring.send(&mut self.bytes, sends, |number, result| {
            let write = usize::try_from(number).ok().and_then(|number| writes.get(number));
            if let Some(write) = write {
                write.place.0.set(State::Told(result));
            }
        });
        if sent.is_err() {
            self.breaks();
        }
        told.extend(self.writes.drain(..).map(Write::told));
        self.bytes.clear();
        told
    }

    /// Nothing waits from now on. Nobody knows whether the rest was sent: to its writers it is an error.
    fn breaks(&mut self) {
        self.is_broken = true;
        for (number, write) in self.writes.iter().enumerate() {
            if write.waits(number) {
                write.place.0.set(State::Told(-libc::EIO));
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
