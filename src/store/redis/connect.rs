//! Opens streams to servers: resolving, connecting and, where configured, TLS.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::config::{RedisAddress, RedisConfig, RedisLogin, RedisTls};
use crate::tls::{self, Trust, UnusableTls};

/// A connected stream on which nothing was said yet.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}
pub type Stream = Box<dyn Duplex>;

/// How every connection of this process begins.
#[derive(Clone)]
pub struct Connector {
    pub login: RedisLogin,
    pub database: u16,
    /// For resolving, connecting and TLS together.
    pub deadline: Duration,
    tls: Option<TlsConnector>,
}

fn connector(files: &RedisTls) -> Result<TlsConnector, UnusableTls> {
    let client = files.client.as_ref().map(|(chain, key)| (chain.as_path(), key.as_path()));
    let config = tls::client(Trust { ca: files.ca.as_deref(), client, valid_at: None })?;
    Ok(TlsConnector::from(Arc::new(config)))
}

impl Connector {
    /// Reads the files that TLS needs, once.
    ///
    /// # Errors
    /// TLS is asked for and its files cannot be used.
    pub fn new(config: &RedisConfig) -> Result<Self, UnusableTls> {
        Ok(Self {
            login: config.login.clone(),
            database: config.database,
            deadline: Duration::from_secs(1).max(config.timeout),
            tls: config.tls.as_ref().map(connector).transpose()?,
        })
    }

    /// A stream to `address`; authentication is the first thing that its user sends. The name is
    /// resolved each time.
    ///
    /// # Errors
    /// The name does not resolve, nobody accepts, TLS fails, or all of it takes too long.
    pub async fn dial(&self, address: &RedisAddress) -> io::Result<Stream> {
        let dialling = tokio::time::timeout(self.deadline, self.dial_slowly(address));
        dialling.await.unwrap_or_else(|_late| {
            Err(io::Error::new(io::ErrorKind::TimedOut, "connecting took too long"))
        })
    }

    async fn dial_slowly(&self, address: &RedisAddress) -> io::Result<Stream> {
        let stream = TcpStream::connect((&*address.host, address.port)).await;
        let stream = stream.map_err(|fault| told("connecting", &fault))?;
        stream.set_nodelay(true)?;
        // A peer that vanished is noticed on idle connections, too.
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_secs(15))
            .with_interval(Duration::from_secs(5));
        SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from(address.host.to_string())
            .map_err(|fault| io::Error::new(io::ErrorKind::InvalidInput, fault))?;
        let stream = tls.connect(name, stream).await;
        Ok(Box::new(stream.map_err(|fault| told("TLS", &fault))?))
    }
}

fn told(step: &str, fault: &io::Error) -> io::Error {
    io::Error::new(fault.kind(), format!("{step}: {fault}"))
}

#[cfg(test)]
mod tests;
