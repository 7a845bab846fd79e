//! Clients of HTTP/2: one that keeps the rules, and one that writes frames as they come.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub const PATIENCE: Duration = Duration::from_secs(20);

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: HeaderMap,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The code of a problem.
    pub fn code(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).expect("JSON");
        let urn = json["type"].as_str().expect("a type");
        urn.strip_prefix("urn:tidegate:problem:").expect("our type").to_owned()
    }
}

#[derive(Clone)]
pub struct H2 {
    send: SendRequest<Bytes>,
}

/// A request by alice for the tool `notes`.
pub fn ask(method: &str, target: &str) -> http::request::Builder {
    let uri = format!("http://notes.localhost{target}");
    Request::builder().method(method).uri(uri).header("authorization", "Bearer alice")
}

impl H2 {
    pub async fn plain(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.expect("it listens")).await
    }

    pub async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (send, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
        tokio::spawn(async move {
            let _ended = connection.await;
        });
        Self { send }
    }

    /// Waits until the other side has said that it does (RFC 8441, section 3).
    pub async fn allows_extended_connect(&self) {
        let said = async {
            while !self.send.is_extended_connect_protocol_enabled() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, said).await.expect("it is allowed");
    }

    /// Begins an exchange; `None`: the connection takes no more.
    pub async fn begin(
        &self,
        request: Request<()>,
        ends: bool,
    ) -> Option<(ResponseFuture, SendStream<Bytes>)> {
        let ready = timeout(PATIENCE, self.send.clone().ready()).await.expect("in time");
        ready.ok()?.send_request(request, ends).ok()
    }

    pub async fn call(&self, request: http::request::Builder) -> Answer {
        let request = request.body(()).expect("a request");
        let (response, _) = self.begin(request, true).await.expect("it is taken");
        whole(timeout(PATIENCE, response).await.expect("in time").expect("an answer")).await
    }

    pub async fn call_owned(self, request: http::request::Builder) -> Answer {
        self.call(request).await
    }

    pub async fn get(&self, target: &str) -> Answer {
        self.call(ask("GET", target)).await
    }
}

/// Reads an answer to its end.
pub async fn whole(response: Response<RecvStream>) -> Answer {
    let (head, mut stream) = response.into_parts();
    let mut body = Vec::new();
    while let Some(piece) = timeout(PATIENCE, stream.data()).await.expect("in time") {
        let piece = piece.expect("a whole body");
        stream.flow_control().release_capacity(piece.len()).expect("capacity");
        body.extend_from_slice(&piece);
    }
    let trailers = stream.trailers().await.expect("trailers, or none").unwrap_or_default();
    Answer { status: head.status.as_u16(), headers: head.headers, body, trailers }
}

/// The status of an answer that may never come.
pub async fn status(response: ResponseFuture) -> Option<StatusCode> {
    timeout(PATIENCE, response).await.expect("in time").ok().map(|response| response.status())
}

/// A client that writes frames by hand, and reads only how it ends.
pub struct Raw {
    pub stream: TcpStream,
}

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A header block without compression (RFC 7541, section 6.2.2); names and values below 127 bytes.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            bytes.push(u8::try_from(text.len()).ok().filter(|n| *n < 127).expect("short"));
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes
}

/// The fields of a request by alice for the tool `notes`.
pub fn fields(path: &str) -> Vec<(&str, &str)> {
    vec![
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "notes.localhost"),
        (":path", path),
        ("authorization", "Bearer alice"),
    ]
}

/// A whole request without a body.
pub fn request(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &block(fields))
}

impl Raw {
    pub async fn open(address: SocketAddr) -> Self {
        let mut raw = Self { stream: TcpStream::connect(address).await.expect("it listens") };
        let hello = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(SETTINGS, 0, 0, &[])[..]].concat();
        raw.stream.write_all(&hello).await.expect("it reads");
        raw
    }

    /// Writes, until the other side takes no more.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// Reads frames, until one of this kind comes (`true`) or the connection ends.
    pub async fn sees(&mut self, kind: u8) -> bool {
        self.next_of(kind).await.is_some()
    }

    /// The payload of the next frame of this kind.
    pub async fn next_of(&mut self, kind: u8) -> Option<Vec<u8>> {
        loop {
            let (found, _, payload) = self.next().await?;
            if found == kind {
                return Some(payload);
            }
        }
    }

    /// The next frame: its kind, flags and payload.
    pub async fn next(&mut self) -> Option<(u8, u8, Vec<u8>)> {
        let mut head = [0; 9];
        let read = timeout(PATIENCE, self.stream.read_exact(&mut head)).await;
        read.expect("a frame, or the end").ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).expect("short")];
        timeout(PATIENCE, self.stream.read_exact(&mut payload)).await.expect("in time").ok()?;
        Some((head[3], head[4], payload))
    }

    /// Whether the connection ends, whatever is said before.
    pub async fn ends(&mut self) -> bool {
        self.next_of(u8::MAX).await.is_none()
    }
}
