//! Opens streams to servers: resolving, connecting and, where configured, TLS.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::config::{RedisAddress, RedisConfig, RedisLogin};

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
}

impl Connector {
    #[must_use]
    pub fn new(config: &RedisConfig) -> Self {
        Self {
            login: config.login.clone(),
            database: config.database,
            deadline: Duration::from_secs(1).max(config.timeout),
        }
    }

    /// A stream to `address`; authentication is the first thing that its user sends.
    ///
    /// # Errors
    /// The name does not resolve, nobody accepts, TLS fails, or all of it takes too long.
    pub async fn dial(&self, address: &RedisAddress) -> io::Result<Stream> {
        let connecting = TcpStream::connect((&*address.host, address.port));
        let stream = tokio::time::timeout(self.deadline, connecting)
            .await
            .map_err(|_late| io::Error::from(io::ErrorKind::TimedOut))??;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}
