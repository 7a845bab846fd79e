//! Connections of HTTP/1.1 that nobody uses at present.

use std::cell::RefCell;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use super::http1::Connection;

/// As many may be busy at once, and none of them is opened anew for every request. A connection that was
/// used has a buffer of 8 KiB.
const MOST_IDLE: usize = 1024;

/// Connections of HTTP/1.1 to one backend that nobody uses at present.
#[derive(Debug, Default)]
pub struct Idle {
    /// The one that was used last is at the end.
    kept: RefCell<Vec<Kept>>,
    /// Whoever closes those on which something comes.
    watcher: RefCell<Option<Waker>>,
}

#[derive(Debug)]
struct Kept {
    connection: Box<Connection>,
    since: Instant,
}

impl Idle {
    /// The good one that was used last, for at most `life`.
    pub fn take(
        &self,
        life: Duration,
        is_good: impl Fn(&Connection) -> bool,
    ) -> Option<Box<Connection>> {
        let mut kept = self.kept.borrow_mut();
        while let Some(last) = kept.pop() {
            if last.since.elapsed() >= life {
                // So are all before it.
                kept.clear();
            } else if is_good(&last.connection) && self.is_quiet(&last.connection) {
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
        kept.push(Kept { connection, since: Instant::now() });
        true
    }

    /// Closes what is of no use any more, or is old. The watcher is woken when there may be more.
    /// `false`: nothing is left.
    pub fn sweep(
        &self,
        watcher: &Waker,
        life: Duration,
        is_good: impl Fn(&Connection) -> bool,
    ) -> bool {
        self.watcher.borrow_mut().get_or_insert_with(|| watcher.clone()).clone_from(watcher);
        let is_young = |kept: &Kept| kept.since.elapsed() < life;
        let mut kept = self.kept.borrow_mut();
        kept.retain(|it| {
            is_young(it) && is_good(&it.connection) && it.connection.is_quiet(watcher)
        });
        !kept.is_empty()
    }

    /// Nobody looks after them any more.
    pub fn is_left_alone(&self) {
        self.watcher.borrow_mut().take();
    }

    /// Bytes that came before anybody asked for them are nobody's response.
    fn is_quiet(&self, connection: &Connection) -> bool {
        let watcher = self.watcher.borrow();
        connection.is_quiet(watcher.as_ref().unwrap_or(Waker::noop()))
    }
}
