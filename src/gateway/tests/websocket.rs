//! The two ends of a WebSocket, by hand.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::harness::{Harness, with};
use super::tool::{Answer, Switched};
use super::wire::Response;

/// The key of RFC 6455, section 1.3, and what belongs to it.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const PATIENCE: Duration = Duration::from_secs(10);

/// The header lines of a good handshake.
pub fn wish() -> String {
    format!(
        "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: {KEY}\r\n\
         Sec-WebSocket-Version: 13\r\n"
    )
}

/// A tool's answer to it.
pub fn switch() -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n"
    )
}

pub fn frame(first: u8, masked: bool, payload: &[u8]) -> Vec<u8> {
    let mask = if masked { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(mask | u8::try_from(length).expect("short")),
        length @ 126..=0xffff => {
            bytes.push(mask + 126);
            bytes.extend_from_slice(&u16::try_from(length).expect("short").to_be_bytes());
        }
        length => {
            bytes.push(mask + 127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    if masked {
        bytes.extend_from_slice(b"mask");
        bytes.extend(payload.iter().zip(b"mask".iter().cycle()).map(|(byte, mask)| byte ^ mask));
    } else {
        bytes.extend_from_slice(payload);
    }
    bytes
}

/// A text message of a client.
pub fn said(text: &str) -> Vec<u8> {
    frame(0x81, true, text.as_bytes())
}

/// A text message of a tool.
pub fn told(text: &str) -> Vec<u8> {
    frame(0x81, false, text.as_bytes())
}

/// Its first byte, whether it had a mask, and its payload.
type Frame = (u8, bool, Vec<u8>);

/// One end of a tunnel.
pub struct End {
    pub stream: Switched,
    pub bytes: Vec<u8>,
}

impl End {
    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("it reads");
    }

    async fn more(&mut self) -> bool {
        let mut chunk = vec![0; 64 * 1024];
        let read = timeout(PATIENCE, self.stream.read(&mut chunk)).await.expect("bytes in time");
        let count = read.unwrap_or(0);
        self.bytes.extend_from_slice(&chunk[..count]);
        count > 0
    }

    /// So many bytes as they came.
    pub async fn raw(&mut self, count: usize) -> Vec<u8> {
        while self.bytes.len() < count {
            assert!(self.more().await, "only {:?}", self.bytes);
        }
        self.bytes.drain(..count).collect()
    }

    /// `None` at the end.
    pub async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some((found, used)) = whole(&self.bytes) {
                self.bytes.drain(..used);
                return Some(found);
            }
            if !self.more().await {
                assert!(self.bytes.is_empty(), "half a frame: {:?}", self.bytes);
                return None;
            }
        }
    }

    pub async fn text(&mut self) -> String {
        let (first, _, payload) = self.frame().await.expect("a frame");
        assert_eq!(first, 0x81);
        String::from_utf8(payload).expect("text")
    }

    /// A Close frame, its code and its reason, and then the end.
    pub async fn closed(&mut self, masked: bool) -> (u16, String) {
        let (first, mask, payload) = self.frame().await.expect("a Close");
        assert_eq!((first, mask), (0x88, masked), "{payload:?}");
        let (code, reason) = payload.split_at(2);
        assert_eq!(self.frame().await, None, "nothing after a Close");
        let code = u16::from_be_bytes(code.try_into().expect("two bytes"));
        (code, String::from_utf8(reason.to_vec()).expect("text"))
    }

    /// What still comes up to the end.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.bytes)
    }
}

/// A whole frame, and how many bytes it took.
fn whole(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (length, mut at) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?, 10),
        short => (usize::from(short), 2),
    };
    let masked = second & 0x80 != 0;
    let mut mask = [0; 4];
    if masked {
        mask = bytes.get(at..at + 4)?.try_into().ok()?;
        at += 4;
    }
    let payload = bytes.get(at..at + length)?;
    let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    Some(((first, masked, payload), at + length))
}

/// A tunnel of alice's through `gateway`: the client's end, the tool's end, and the 101. `early`
/// goes out with the handshake.
pub async fn open(gateway: &Harness, early: &[u8]) -> (End, End, Response) {
    gateway.tool.answers(|_| Answer::Switch(format!("{}\r\n", switch()).into_bytes()));
    let mut client = gateway.client().await;
    client.send(&[with("GET", "/socket", &wish()).as_bytes(), early].concat()).await;
    let response = client.next_of("HEAD").await.expect("an answer");
    assert_eq!(response.status, 101, "{}", response.head);
    let client = End { stream: Box::new(client.stream), bytes: client.bytes };
    let (stream, bytes) = gateway.tool.switched().await;
    (client, End { stream, bytes }, response)
}
