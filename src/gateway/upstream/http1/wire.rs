//! The connection itself, closed when nobody holds it any more.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use tidegate_turn::Batched;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::task::coop::unconstrained;

use crate::gateway::upstream::link::Link;
use crate::telemetry::events::upstreams::OpenConnection;

/// The connection itself. Both directions hold it; one task may read while another one writes.
#[derive(Debug)]
pub struct Wire {
    link: RefCell<Batched<Link>>,
    _open: Option<OpenConnection>,
}

impl Wire {
    pub fn new(link: Link, open: Option<OpenConnection>) -> Self {
        Self { link: RefCell::new(Batched::new(link)), _open: open }
    }

    /// Works on the link.
    pub fn with<T>(&self, work: impl FnOnce(Pin<&mut Batched<Link>>) -> T) -> T {
        work(Pin::new(&mut *self.link.borrow_mut()))
    }

    /// Takes back what waits for the end of the turn. Whether nothing was sent that its writer does not know of.
    pub fn takes_back(&self) -> bool {
        self.link.borrow_mut().takes_back()
    }

    /// What follows is no exchange any more: it is written at once.
    pub fn writes_at_once(&self) {
        self.link.borrow_mut().writes_at_once();
    }

    /// Reads once, into the room that is there; 0 at the end.
    pub fn poll_read(&self, into: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut link = self.link.borrow_mut();
        pin!(link.read_buf(into)).poll(cx)
    }

    /// Whether it is quiet as it was when [`is_quiet`](Self::is_quiet) said so; nobody is woken.
    pub fn is_still_quiet(&self) -> bool {
        !self.link.borrow().get_ref().may_have_come() || self.is_quiet(Waker::noop())
    }

    /// Whether nothing has come, and it is open. `waker` is woken when that may have changed. Costs a
    /// system call only if something did come.
    pub fn is_quiet(&self, waker: &Waker) -> bool {
        let (mut link, mut byte) = (self.link.borrow_mut(), [0]);
        // Whatever else this task has read must not make it look quiet.
        let read = pin!(unconstrained(link.read(&mut byte)));
        read.poll(&mut Context::from_waker(waker)).is_pending()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // So that the other side does not take the end for an attack.
        let link = self.link.get_mut();
        if let Link::Tls(_) = link.get_ref() {
            let mut cx = Context::from_waker(Waker::noop());
            let _best_effort = Pin::new(link).poll_shutdown(&mut cx);
        }
    }
}
