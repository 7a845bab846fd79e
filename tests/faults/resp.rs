//! The wire format of Redis, as far as a proxy that acts on single commands and replies needs it
//! (redis.io, "Redis serialization protocol"), and a connection for raw commands.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One value. What a line says is not looked into: nulls and numbers are lines, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `+`, `-`, `:` and others of one line, without the line's end.
    Line(u8, Vec<u8>),
    /// `$` and others of a given length.
    Blob(u8, Vec<u8>),
    /// `*` and others of several values; a map has twice as many as it says.
    List(u8, Vec<Value>),
}

impl Value {
    pub fn error(text: &str) -> Self {
        Self::Line(b'-', text.as_bytes().to_vec())
    }

    pub fn null() -> Self {
        Self::Line(b'$', b"-1".to_vec())
    }

    pub fn command(parts: &[&[u8]]) -> Self {
        Self::List(b'*', parts.iter().map(|part| Self::Blob(b'$', part.to_vec())).collect())
    }

    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Blob(_, bytes) => Some(bytes),
            Self::Line(b'+' | b':', text) => Some(text),
            Self::Line(..) | Self::List(..) => None,
        }
    }

    pub fn text(&self) -> String {
        match self {
            Self::Line(_, bytes) | Self::Blob(_, bytes) => {
                String::from_utf8_lossy(bytes).into_owned()
            }
            Self::List(_, values) => values.iter().map(Self::text).collect::<Vec<_>>().join(" "),
        }
    }

    pub fn is_error(&self) -> bool {
        matches!(self, Self::Line(b'-', _) | Self::Blob(b'!', _))
    }

    /// Something that nobody asked for on this connection.
    pub fn is_push(&self) -> bool {
        matches!(self, Self::List(b'>', _))
    }

    pub fn items(&self) -> &[Self] {
        match self {
            Self::List(_, items) => items,
            Self::Line(..) | Self::Blob(..) => &[],
        }
    }

    /// Every value of a given length in it, changed by `change`.
    pub fn map_blobs(self, change: &impl Fn(Vec<u8>) -> Vec<u8>) -> Self {
        match self {
            Self::Blob(kind, bytes) => Self::Blob(kind, change(bytes)),
            Self::List(kind, values) => {
                Self::List(kind, values.into_iter().map(|v| v.map_blobs(change)).collect())
            }
            Self::Line(..) => self,
        }
    }

    pub fn encoded(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Line(kind, text) => {
                out.push(*kind);
                out.extend_from_slice(text);
                out.extend_from_slice(b"\r\n");
            }
            Self::Blob(kind, bytes) => {
                out.push(*kind);
                out.extend_from_slice(format!("{}\r\n", bytes.len()).as_bytes());
                out.extend_from_slice(bytes);
                out.extend_from_slice(b"\r\n");
            }
            Self::List(kind, values) => {
                let count = if is_map(*kind) { values.len() / 2 } else { values.len() };
                out.push(*kind);
                out.extend_from_slice(format!("{count}\r\n").as_bytes());
                for value in values {
                    value.encode(out);
                }
            }
        }
    }

    /// The first value of `bytes` and its length; `None`: it is not all there yet.
    pub fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
        let (kind, line, after) = (*bytes.first()?, bytes.get(1..end)?, end + 2);
        let number = std::str::from_utf8(line).ok().and_then(|text| text.parse::<usize>().ok());
        match (kind, number) {
            (b'$' | b'=' | b'!', Some(length)) => {
                let blob = bytes.get(after..after + length)?.to_vec();
                let end = after + length + 2;
                (bytes.len() >= end).then_some((Self::Blob(kind, blob), end))
            }
            (b'*' | b'~' | b'>' | b'%', Some(count)) => {
                let count = if is_map(kind) { count * 2 } else { count };
                let (mut values, mut at) = (Vec::new(), after);
                for _ in 0..count {
                    let (value, length) = Self::parse(bytes.get(at..)?)?;
                    values.push(value);
                    at += length;
                }
                Some((Self::List(kind, values), at))
            }
            _ => Some((Self::Line(kind, line.to_vec()), after)),
        }
    }
}

fn is_map(kind: u8) -> bool {
    kind == b'%'
}

/// Reads whole values from a stream.
pub struct Values {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Values {
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// The next value; an error when the stream ended or broke.
    pub fn next(&mut self) -> std::io::Result<Value> {
        let mut chunk = [0; 16 << 10];
        loop {
            if let Some((value, length)) = Value::parse(&self.buffer) {
                self.buffer.drain(..length);
                return Ok(value);
            }
            match self.stream.read(&mut chunk)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                read => self.buffer.extend_from_slice(&chunk[..read]),
            }
        }
    }
}

/// A connection for raw commands, as somebody with `redis-cli` has it.
pub struct Raw {
    values: Values,
}

impl Raw {
    pub fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self { values: Values::new(stream) })
    }

    pub fn send(&mut self, parts: &[&[u8]]) -> std::io::Result<()> {
        self.values.stream.write_all(&Value::command(parts).encoded())
    }

    /// The next value, whoever asked for it.
    pub fn next(&mut self) -> std::io::Result<Value> {
        self.values.next()
    }

    /// How long a value may take.
    pub fn timeout(&self, time: Duration) {
        self.values.stream.set_read_timeout(Some(time)).expect("a time-out");
    }

    /// Also an error reply is an answer.
    pub fn try_ask(&mut self, parts: &[&[u8]]) -> std::io::Result<Value> {
        self.send(parts)?;
        self.values.next()
    }

    /// The reply; an error reply fails the test.
    pub fn ask(&mut self, parts: &[&[u8]]) -> Value {
        let reply = self.try_ask(parts).expect("a reply");
        assert!(!reply.is_error(), "{:?}: {}", Value::command(parts).text(), reply.text());
        reply
    }

    /// A command of words.
    pub fn say(&mut self, words: &[&str]) -> Value {
        let parts: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        self.ask(&parts)
    }

    pub fn get(&mut self, key: &str) -> Option<Vec<u8>> {
        self.say(&["GET", key]).bytes().map(<[u8]>::to_vec)
    }

    /// Keeps the key's time to live, so that nothing but the value is forged.
    pub fn set(&mut self, key: &str, value: &[u8]) {
        self.ask(&[b"SET", key.as_bytes(), value, b"KEEPTTL"]);
    }
}

#[test]
fn values_read_back_as_they_were_written_and_wait_for_their_end() {
    let value = Value::List(
        b'*',
        vec![
            Value::Blob(b'$', b"a\r\nb".to_vec()),
            Value::null(),
            Value::Line(b':', b"7".to_vec()),
            Value::List(b'%', vec![Value::Line(b'+', b"k".to_vec()), Value::error("ERR x")]),
            Value::List(b'*', Vec::new()),
        ],
    );
    let bytes = value.encoded();
    assert_eq!(Value::parse(&bytes), Some((value, bytes.len())));
    for cut in 0..bytes.len() {
        assert_eq!(Value::parse(&bytes[..cut]), None, "{cut}");
    }
}
