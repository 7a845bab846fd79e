//! Connections of HTTP/1.1 that nobody uses at present.

use std::cell::{Cell, RefCell};
use std::task::Waker;

use super::http1::Connection;

/// As many may be busy at once, and none of them is opened anew for every request.
const MOST_IDLE: usize = 1024;

/// The time for which a connection is kept is counted in so many parts, so that nobody has to look at
/// the clock for a request. The last one may be cut short.
pub const TURNS: u32 = 4;

/// Connections of HTTP/1.1 to one backend that nobody uses at present.
#[derive(Debug, Default)]
pub struct Idle {
    /// The one that was used last is at the end.
    kept: RefCell<Vec<Kept>>,
    /// Whoever closes those on which something comes.
    watcher: RefCell<Option<Waker>>,
    /// Parts of the time that went by while somebody looked after them.
    turn: Cell<u32>,
}

#[derive(Debug)]
struct Kept {
    connection: Box<Connection>,
    /// The turn in which it was used last.
    since: u32,
}

impl Idle {
    /// The good one that was used last.
    pub fn take(&self, is_good: impl Fn(&Connection) -> bool) -> Option<Box<Connection>> {
        let mut kept = self.kept.borrow_mut();
        while let Some(last) = kept.pop() {
            if !self.is_young(&last) {
                // So are all before it.
                kept.clear();
            } else if is_good(&last.connection) && last.connection.is_still_quiet() {
                return Some(last.connection);
            }
        }
        None
    }

    /// `false`: there are enough of them, or it is of no use.
    pub fn keep(&self, connection: Box<Connection>) -> bool {
        let mut kept = self.kept.borrow_mut();
        if kept.len() >= MOST_IDLE || !self.is_quiet(&connection) {
            return false;
        }
        kept.push(Kept { connection, since: self.turn.get() });
        true
    }

    /// One more part of the time for which they are kept is over.
    pub fn turns(&self) {
        self.turn.set(self.turn.get().wrapping_add(1));
    }

    /// Closes what is of no use any more, or is old. The watcher is woken when there may be more.
    /// `false`: nothing is left.
    pub fn sweep(&self, watcher: &Waker, is_good: impl Fn(&Connection) -> bool) -> bool {
        self.watcher.borrow_mut().get_or_insert_with(|| watcher.clone()).clone_from(watcher);
        let mut kept = self.kept.borrow_mut();
        kept.retain(|it| {
            self.is_young(it) && is_good(&it.connection) && it.connection.is_quiet(watcher)
        });
        !kept.is_empty()
    }

    /// Nobody looks after them any more.
    pub fn is_left_alone(&self) {
        self.watcher.borrow_mut().take();
    }

    fn is_young(&self, kept: &Kept) -> bool {
        self.turn.get().wrapping_sub(kept.since) < TURNS
    }

    /// Bytes that came before anybody asked for them are nobody's response.
    fn is_quiet(&self, connection: &Connection) -> bool {
        let watcher = self.watcher.borrow();
        connection.is_quiet(watcher.as_ref().unwrap_or(Waker::noop()))
    }
}
