//! A plain blocking HTTP/1.1 client over one connection, so that a test sees what is on the wire.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The last part of the problem's `type`: `no-grant`.
    pub fn problem(&self) -> String {
        let json = self.json();
        let kind = json["type"].as_str().unwrap_or_default();
        kind.trim_start_matches("urn:tidegate:problem:").to_owned()
    }
}

pub struct Client {
    address: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, connection: None }
    }

    pub fn get(&mut self, host: &str, target: &str, token: Option<&str>) -> Answer {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<(&str, &str)> =
            bearer.iter().map(|value| ("authorization", value.as_str())).collect();
        self.send("GET", host, target, &headers, b"")
    }

    /// Sends one request and reads its answer; connects again when the last answer closed.
    pub fn send(
        &mut self,
        method: &str,
        host: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        self.try_send(method, host, target, headers, body).expect("an answer")
    }

    pub fn try_send(
        &mut self,
        method: &str,
        host: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() || method == "POST" {
            head += &format!("content-length: {}\r\n", body.len());
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        let result = self.write(&bytes).and_then(|()| self.read(method == "HEAD"));
        if result.is_err() {
            self.connection = None;
        }
        result
    }

    /// Only writes a request; [`Client::read`] takes its answer. So one thread can keep many
    /// connections busy.
    pub fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.connect()?.get_mut().write_all(bytes)
    }

    pub fn read(&mut self, head_only: bool) -> std::io::Result<Answer> {
        let answer = read_answer(self.connect()?, head_only)?;
        if answer.header("connection") == Some("close") {
            self.connection = None;
        }
        Ok(answer)
    }

    fn connect(&mut self) -> std::io::Result<&mut BufReader<TcpStream>> {
        if self.connection.is_none() {
            let stream = TcpStream::connect(self.address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(30)))?;
            self.connection = Some(BufReader::new(stream));
        }
        self.connection.as_mut().ok_or_else(|| std::io::Error::other("no connection"))
    }
}

/// Reads one whole answer, whatever frames its body.
pub fn read_answer(stream: &mut impl BufRead, head_only: bool) -> std::io::Result<Answer> {
    let status_line = read_line(stream)?;
    let status = status_line.get(9..12).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other(format!("{status_line:?}")))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').expect("a header");
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut answer = Answer { status, headers, body: Vec::new() };
    if head_only || status == 204 || status == 304 || status < 200 {
        return Ok(answer);
    }
    if let Some(length) = answer.header("content-length") {
        let mut body = vec![0; length.parse().expect("a length")];
        stream.read_exact(&mut body)?;
        answer.body = body;
    } else if answer.header("transfer-encoding") == Some("chunked") {
        answer.body = read_chunks(stream)?;
    } else {
        stream.read_to_end(&mut answer.body)?;
    }
    Ok(answer)
}

fn read_chunks(stream: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(stream)?;
        let size = usize::from_str_radix(&line, 16).map_err(std::io::Error::other)?;
        let mut chunk = vec![0; size];
        stream.read_exact(&mut chunk)?;
        body.extend_from_slice(&chunk);
        read_line(stream)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

fn read_line(stream: &mut impl BufRead) -> std::io::Result<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let text = String::from_utf8_lossy(&line);
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Writes `bytes` as they are on a fresh connection and gives everything that came back until the
/// other side closed (or nothing came for two seconds).
pub fn raw(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(2))).expect("a time-out");
    // The other side may refuse before everything is written; what it said is read all the same.
    let _written = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ended = stream.read_to_end(&mut answer);
    answer
}
