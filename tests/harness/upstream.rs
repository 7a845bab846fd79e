//! A tool that records every request it sees, on a parser of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::tokens::now_millis;

#[derive(Clone, Debug)]
pub struct Seen {
    pub at_millis: u64,
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn count(&self, name: &str) -> usize {
        self.headers.iter().filter(|(key, _)| key == name).count()
    }
}

pub struct Upstream {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Upstream {
    /// Serves until the test process ends.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = seen.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let record = record.clone();
                thread::spawn(move || serve(stream, &record));
            }
        });
        Self { address, seen }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic inside").clone()
    }

    /// What was seen since this was last called.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().expect("no panic inside"))
    }

    pub fn last(&self) -> Seen {
        self.seen().last().expect("a request").clone()
    }
}

/// Answers until the connection ends. Anything that does not parse is recorded as a request too:
/// no byte may reach the tool unnoticed.
fn serve(stream: TcpStream, record: &Mutex<Vec<Seen>>) {
    stream.set_nodelay(true).expect("an option");
    let mut writer = stream.try_clone().expect("a second handle");
    let mut reader = BufReader::new(stream);
    while let Some(seen) = read_request(&mut reader) {
        let (target, head) = (seen.target.clone(), seen.method == "HEAD");
        record.lock().expect("no panic inside").push(seen);
        if answer(&mut writer, &target, head).is_err() {
            return;
        }
    }
}

fn answer(writer: &mut TcpStream, target: &str, head: bool) -> std::io::Result<()> {
    if target.starts_with("/stream") {
        return stream_forever(writer);
    }
    let body = if head { "" } else { "hello" };
    write!(writer, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntidegate-subject: forged\r\n\r\n{body}")
}

/// A body that ends only when the reader goes away.
fn stream_forever(writer: &mut TcpStream) -> std::io::Result<()> {
    write!(writer, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
    loop {
        write!(writer, "5\r\ntick\n\r\n")?;
        thread::park_timeout(std::time::Duration::from_millis(20));
    }
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Seen> {
    let line = read_line(reader)?;
    let mut words = line.split(' ');
    let mut seen = Seen {
        at_millis: now_millis(),
        method: words.next().unwrap_or_default().to_owned(),
        target: words.next().unwrap_or_default().to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    loop {
        let line = read_line(reader)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        seen.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if let Some(length) = seen.header("content-length") {
        let mut body = vec![0; length.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        seen.body = body;
    } else if seen.header("transfer-encoding").is_some() {
        seen.body = read_chunks(reader)?;
    }
    Some(seen)
}

fn read_chunks(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = usize::from_str_radix(&read_line(reader)?, 16).ok()?;
        let mut chunk = vec![0; size];
        reader.read_exact(&mut chunk).ok()?;
        body.extend_from_slice(&chunk);
        read_line(reader)?;
        if size == 0 {
            return Some(body);
        }
    }
}

fn read_line(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = Vec::new();
    match reader.read_until(b'\n', &mut line) {
        Ok(count) if count > 0 => {
            Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
        }
        Ok(_) | Err(_) => None,
    }
}
