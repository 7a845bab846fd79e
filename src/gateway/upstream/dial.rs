//! New connections: TCP, TLS, or a Unix socket.

use std::io;

use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

use crate::config::Upstream;

use super::backend::Backend;

/// Bytes to and from a backend, and the protocol that they carry.
pub enum Link {
    Tcp(TcpStream),
    /// Boxed only to be handed on.
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

/// Connects to a backend and agrees on a protocol.
///
/// # Errors
/// No connection, or the backend is not the one that its certificate has to name.
pub async fn dial(backend: &Backend) -> io::Result<(Link, Protocol)> {
    match (&backend.upstream, &backend.tls) {
        (Upstream::Unix(path), _) => {
            Ok((Link::Unix(UnixStream::connect(path).await?), Protocol::Http1))
        }
        (Upstream::Http { .. }, _) => Ok((Link::Tcp(tcp(backend).await?), Protocol::Http1)),
        (Upstream::H2c { .. }, _) => Ok((Link::Tcp(tcp(backend).await?), Protocol::Http2)),
        (Upstream::Https { .. }, Some(tls)) => {
            let stream = tcp(backend).await?;
            let stream = tls.connector.connect(tls.name.clone(), stream).await?;
            let protocol = match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => Protocol::Http2,
                Some(_) | None => Protocol::Http1,
            };
            Ok((Link::Tls(Box::new(stream)), protocol))
        }
        // Never without TLS, whatever went wrong before.
        (Upstream::Https { .. }, None) => Err(io::ErrorKind::Unsupported.into()),
    }
}

async fn tcp(backend: &Backend) -> io::Result<TcpStream> {
    let host = backend.host().ok_or(io::ErrorKind::Unsupported)?;
    let stream = TcpStream::connect(&*host.addresses().await?).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
