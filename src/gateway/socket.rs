//! Streams that are sockets themselves: what is written to them may go with the other writes of a turn
//! (docs/decisions/0030-writes-of-one-turn-go-together.md).

use std::os::fd::{AsFd, BorrowedFd};

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A client's stream.
pub trait Socket {
    /// Its socket, if what is written to it leaves as it is; the same one for as long as there is the stream.
    fn socket(&self) -> Option<BorrowedFd<'_>>;
}

impl Socket for TcpStream {
    fn socket(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
}

impl Socket for TlsStream<TcpStream> {
    fn socket(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

#[cfg(test)]
impl Socket for tokio::io::DuplexStream {
    fn socket(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
