//! Connections to the PDP: TCP, TLS, or a Unix socket.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::config::CerbosAddress;

/// Anything that bytes go through.
pub trait Link: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Link for T {}

/// Opens connections to one address, whatever address it is asked for.
#[derive(Clone)]
pub struct Dial {
    pub address: CerbosAddress,
    /// There for an address with TLS.
    pub tls: Option<TlsConnector>,
}

impl Dial {
    async fn link(self) -> io::Result<Box<dyn Link>> {
        match &self.address {
            CerbosAddress::Tcp { host, port } => Ok(Box::new(tcp(host, *port).await?)),
            CerbosAddress::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
            CerbosAddress::Tls { host, port } => {
                let connector = self.tls.as_ref().ok_or(io::ErrorKind::Unsupported)?;
                let name = ServerName::try_from(host.to_string()).map_err(io::Error::other)?;
                let stream = tcp(host, *port).await?;
                Ok(Box::new(connector.connect(name, stream).await?))
            }
        }
    }
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl tower_service::Service<Uri> for Dial {
    type Response = TokioIo<Box<dyn Link>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let dial = self.clone();
        Box::pin(async move { dial.link().await.map(TokioIo::new) })
    }
}
