//! A raw client.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::tool::with_trailers;

const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// Line by line.
    pub trailers: String,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        let mut of_name = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        of_name.next().map(|(_, value)| value.trim())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// The code of a problem.
    pub fn code(&self) -> String {
        let json = self.json();
        let urn = json["type"].as_str().expect("a type");
        urn.strip_prefix("urn:tidegate:problem:").expect("our type").to_owned()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

pub struct Client {
    pub stream: TcpStream,
    pub bytes: Vec<u8>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        Self { stream, bytes: Vec::new() }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("it reads");
    }

    async fn more(&mut self) -> bool {
        let mut chunk = [0; 4096];
        let read = timeout(PATIENCE, self.stream.read(&mut chunk)).await.expect("bytes in time");
        let count = read.unwrap_or(0);
        self.bytes.extend_from_slice(&chunk[..count]);
        count > 0
    }

    /// The next response, if one comes before the end.
    pub async fn next(&mut self) -> Option<Response> {
        self.next_of("GET").await
    }

    pub async fn next_of(&mut self, method: &str) -> Option<Response> {
        loop {
            if let Some(response) = self.take(method) {
                return Some(response);
            }
            if !self.more().await {
                return None;
            }
        }
    }

    fn take(&mut self, method: &str) -> Option<Response> {
        let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&self.bytes[..end]).into_owned();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let mut response = Response { status, head, body: Vec::new(), trailers: String::new() };
        let rest = &self.bytes[end..];
        let used = if method == "HEAD" || status == 204 || status == 304 || status < 200 {
            0
        } else if response.header("transfer-encoding").is_some() {
            let used;
            (response.body, response.trailers, used) = with_trailers(rest)?;
            used
        } else {
            let length = response.header("content-length").map_or(0, |v| v.parse().unwrap_or(0));
            response.body = rest.get(..length)?.to_vec();
            length
        };
        self.bytes.drain(..end + used);
        Some(response)
    }

    pub async fn call(&mut self, request: &str) -> Response {
        self.send(request.as_bytes()).await;
        let method = request.split(' ').next().unwrap_or_default().to_owned();
        self.next_of(&method).await.expect("a response")
    }

    /// Reads until `text` came, and forgets everything up to its end.
    pub async fn until(&mut self, text: &str) {
        let text = text.as_bytes();
        loop {
            if let Some(at) = self.bytes.windows(text.len()).position(|it| it == text) {
                self.bytes.drain(..at + text.len());
                return;
            }
            assert!(self.more().await, "it ended before {text:?}: {:?}", self.bytes);
        }
    }

    /// What comes until the connection ends.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.bytes)
    }

    /// Whether the connection ends without another byte.
    pub async fn ends(&mut self) -> bool {
        self.bytes.is_empty() && !self.more().await
    }
}
