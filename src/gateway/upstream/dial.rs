//! New connections.

use std::io;

use hyper::client::conn::http1::Builder;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::Sender;

pub(super) async fn dial(host: &str, port: u16) -> io::Result<Sender> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) =
        Builder::new().handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::task::spawn_local(async move {
        // Its end is seen by whoever waits for a response on it.
        let _ended = connection.with_upgrades().await;
    });
    Ok(sender)
}
