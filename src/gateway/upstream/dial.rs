//! New connections: TCP, TLS, or a Unix socket.

use std::io;

use tokio::net::UnixStream;

use crate::config::Upstream;

use super::backend::Backend;
use super::link::Link;
use super::names::Reached;

/// What a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

/// Connects to a backend and agrees on a protocol: `http1`, on no other.
///
/// # Errors
/// No connection, not this protocol, or the backend is not the one that its certificate has to name.
pub async fn dial(backend: &Backend, http1: bool) -> io::Result<(Link, Protocol, Reached)> {
    if let Upstream::Unix(path) = &backend.upstream {
        let stream = UnixStream::connect(path).await?;
        return Ok((Link::Unix(stream), Protocol::Http1, Reached::SOCKET));
    }
    if http1 && backend.is_h2c() {
        let why = "it speaks HTTP/2 without TLS (h2c), where no WebSocket can begin";
        return Err(io::Error::new(io::ErrorKind::Unsupported, why));
    }
    let host = backend.host().ok_or(io::ErrorKind::Unsupported)?;
    let (stream, reached) = host.connect().await?;
    match (&backend.upstream, &backend.tls) {
        (Upstream::Http { .. }, _) => Ok((Link::Tcp(stream), Protocol::Http1, reached)),
        (Upstream::H2c { .. }, _) => Ok((Link::Tcp(stream), Protocol::Http2, reached)),
        (Upstream::Https { .. }, Some(tls)) => {
            let stream = tls.connector(http1).connect(tls.name.clone(), stream).await?;
            let protocol = match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => Protocol::Http2,
                Some(_) | None => Protocol::Http1,
            };
            Ok((Link::Tls(Box::new(stream)), protocol, reached))
        }
        // Never without TLS, whatever went wrong before.
        (Upstream::Https { .. } | Upstream::Unix(_), _) => Err(io::ErrorKind::Unsupported.into()),
    }
}
