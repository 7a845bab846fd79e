//! Small writes of one turn of a thread's event loop, handed to the kernel together.
//!
//! A write that is made at once wakes whoever reads on the other side, who may take the core before the next
//! write is made: with many connections every request then costs a change of threads or two. On a thread that
//! runs [`Turns`] what [`Batched`] streams write waits until every task that was ready has had its turn, and
//! is handed over with one system call (`io_uring_enter`, Linux 5.6). Where there is no `io_uring`, or it is
//! forbidden, everything is written at once, as without this package.
//!
//! A write is pending until the kernel has said how much of it was taken; its task is woken then. So a stream
//! behaves as one that is sometimes not ready, and whoever writes to it needs to know nothing of turns.
//! Until then nothing may be written but the same bytes again, with more behind them, as for
//! [`poll_write_vectored`](tokio::io::AsyncWrite::poll_write_vectored) of any stream.

#[cfg(target_os = "linux")]
mod ring;
#[cfg(not(target_os = "linux"))]
#[path = "no_ring.rs"]
mod ring;
mod stream;
#[cfg(test)]
mod tests;
mod turn;

pub use stream::{Batched, Outlet};
pub use turn::{Turns, begin};
