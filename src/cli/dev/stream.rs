//! Reads a stream of events until the other side cuts it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How many events came before the stream was cut.
///
/// # Errors
/// The stream was not answered with 200, ended without the event that says why, or was still open
/// after `deadline`.
pub async fn read_until_cut(
    at: SocketAddr,
    target: &str,
    token: &str,
    deadline: Duration,
) -> io::Result<usize> {
    let mut stream = TcpStream::connect(at).await?;
    let head = format!(
        "GET {target} HTTP/1.1\r\nhost: {at}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut text = Vec::new();
    let cut = tokio::time::timeout(deadline, stream.read_to_end(&mut text)).await;
    if cut.is_err() {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "the stream was still open"));
    }
    let text = String::from_utf8_lossy(&text);
    if !text.starts_with("HTTP/1.1 200") {
        return Err(io::Error::other(text.lines().next().unwrap_or("no answer").to_owned()));
    }
    if !text.contains("event: access-ended") {
        return Err(io::Error::other("the stream ended without saying that the access had"));
    }
    Ok(text.matches("event: tick").count())
}
