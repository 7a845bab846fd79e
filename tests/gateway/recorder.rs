//! A tool that writes down every byte that reaches it, on a parser of its own that knows one way to
//! read a request and takes everything else for a stray.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::harness::eventually;
use crate::harness::tokens::now_millis;

/// One request as a tool saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When its first byte had come; `None` from tools that do not tell.
    pub at_millis: Option<u64>,
    pub method: String,
    pub target: String,
    /// Names in lower case.
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// It came to its end.
    pub whole: bool,
    /// Counts connections from 0.
    pub connection: usize,
}

impl Seen {
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The only value of a header.
    pub fn one(&self, name: &str) -> Option<&str> {
        let mut values = self.all(name);
        let value = values.next();
        assert!(values.next().is_none(), "more than one {name}: {self:?}");
        value
    }
}

/// What the tool does with a request.
#[derive(Default)]
pub struct Reply {
    pub bytes: Vec<u8>,
    /// Written a moment later, when nobody waits for an answer.
    pub late: Vec<u8>,
    pub closes: bool,
}

type Replies = dyn Fn(&Seen) -> Reply + Send + Sync;

pub struct Recorder {
    pub address: SocketAddr,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log {
    seen: Mutex<Vec<Seen>>,
    /// Bytes that are no request.
    strays: Mutex<Vec<Vec<u8>>>,
    open: AtomicUsize,
    connections: AtomicUsize,
}

impl Recorder {
    /// Answers every request with who it was for; serves until the test's process ends.
    pub fn start() -> Self {
        Self::answering(|seen| Reply { bytes: plain(seen), ..Reply::default() })
    }

    pub fn answering(reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let log = Arc::<Log>::default();
        let (shared, reply): (_, Arc<Replies>) = (log.clone(), Arc::new(reply));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, reply) = (shared.clone(), reply.clone());
                log.open.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    serve(stream, &log, &*reply);
                    log.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, log }
    }

    /// Waits until the gateway has ended every connection.
    pub fn is_left(&self) {
        eventually("the tool's connections to end", Duration::from_secs(20), || {
            (self.log.open.load(Ordering::SeqCst) == 0).then_some(())
        });
    }

    /// Everything, once the last connection has ended. Bytes that are no request are a failure.
    pub fn seen(&self) -> Vec<Seen> {
        self.is_left();
        let strays = self.log.strays.lock().expect("no panic inside");
        let shown: Vec<_> = strays.iter().take(5).map(|it| String::from_utf8_lossy(it)).collect();
        assert!(strays.is_empty(), "{} times bytes that are no request: {shown:?}", strays.len());
        self.log.seen.lock().expect("no panic inside").clone()
    }
}

/// Whom a request is answered for: its id, and the subject that came with it.
pub fn addressee(seen: &Seen) -> String {
    let id = seen.one("x-request-id").unwrap_or("-");
    format!("{id} {}", seen.one("tidegate-subject").unwrap_or("-"))
}

/// A good answer: the addressee in a header and in the body.
pub fn plain(seen: &Seen) -> Vec<u8> {
    let to = addressee(seen);
    let body = if seen.method == "HEAD" { "" } else { &to };
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nX-To: {to}\r\n\r\n{body}", to.len()).into()
}

fn serve(mut stream: TcpStream, log: &Log, reply: &Replies) {
    stream.set_nodelay(true).expect("an option");
    let connection = log.connections.fetch_add(1, Ordering::SeqCst);
    let mut bytes = Vec::new();
    let mut began = None;
    let mut chunk = [0; 16 * 1024];
    loop {
        match whole(&bytes, began) {
            Whole::Request(mut seen, used) => {
                seen.connection = connection;
                bytes.drain(..used);
                // Requests come one after the other: what is left is the beginning of a stray.
                began = (!bytes.is_empty()).then(now_millis);
                let answer = reply(&seen);
                log.seen.lock().expect("no panic inside").push(seen);
                if stream.write_all(&answer.bytes).is_err() || answer.closes {
                    break;
                }
                if !answer.late.is_empty() {
                    thread::park_timeout(Duration::from_millis(20));
                    let _gone = stream.write_all(&answer.late);
                }
                continue;
            }
            Whole::Stray => break,
            Whole::NotYet => (),
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(count) => {
                began.get_or_insert_with(now_millis);
                bytes.extend_from_slice(&chunk[..count]);
            }
        }
    }
    if bytes.is_empty() {
        return;
    }
    // The client broke off: its head is a request all the same.
    match broken_off(&bytes, began) {
        Some(seen) => log.seen.lock().expect("no panic inside").push(seen),
        None => log.strays.lock().expect("no panic inside").push(bytes),
    }
}

enum Whole {
    Request(Seen, usize),
    NotYet,
    Stray,
}

fn whole(bytes: &[u8], began: Option<u64>) -> Whole {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else { return Whole::NotYet };
    let Some(mut seen) = head(&bytes[..end], began) else { return Whole::Stray };
    let rest = &bytes[end + 4..];
    let read = match (seen.one("content-length"), seen.one("transfer-encoding")) {
        (None, None) => Some((Vec::new(), 0)),
        (Some(length), None) => {
            let Ok(length) = length.parse::<usize>() else { return Whole::Stray };
            rest.get(..length).map(|body| (body.to_vec(), length))
        }
        (None, Some("chunked")) => match dechunked(rest) {
            Ok(read) => read,
            Err(()) => return Whole::Stray,
        },
        (_, Some(_)) => return Whole::Stray,
    };
    let Some((body, used)) = read else { return Whole::NotYet };
    (seen.body, seen.whole) = (body, true);
    Whole::Request(seen, end + 4 + used)
}

fn broken_off(bytes: &[u8], began: Option<u64>) -> Option<Seen> {
    let end = memchr::memmem::find(bytes, b"\r\n\r\n")?;
    let seen = head(&bytes[..end], began)?;
    // A whole request that is followed by something is not broken off.
    matches!(whole(bytes, began), Whole::NotYet).then_some(seen)
}

/// `METHOD /target HTTP/1.1` and `name: value` lines, nothing else.
fn head(bytes: &[u8], at_millis: Option<u64>) -> Option<Seen> {
    let text = std::str::from_utf8(bytes).ok().map_or_else(
        || bytes.iter().map(|&byte| char::from(byte)).collect::<String>(),
        ToOwned::to_owned,
    );
    let mut lines = text.split("\r\n");
    let words: Vec<&str> = lines.next()?.split(' ').collect();
    let [method, target, "HTTP/1.1"] = words[..] else { return None };
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_word(method) || !is_word(target) || !target.starts_with('/') {
        return None;
    }
    let mut fields = Vec::new();
    for line in lines {
        let (name, value) =
            line.split_once(": ").or_else(|| Some((line.strip_suffix(':')?, "")))?;
        let odd = |byte: u8| byte < b' ' && byte != b'\t' || byte == 0x7f;
        if !is_token(name) || value.bytes().any(odd) {
            return None;
        }
        fields.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let (method, target) = (method.to_owned(), target.to_owned());
    Some(Seen { at_millis, method, target, fields, body: Vec::new(), whole: false, connection: 0 })
}

/// RFC 9110, section 5.6.2.
fn is_token(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(plain)
}

type Dechunked = Result<Option<(Vec<u8>, usize)>, ()>;

/// Plain chunks, no extensions, no trailers: what the gateway writes.
fn dechunked(bytes: &[u8]) -> Dechunked {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let rest = &bytes[at..];
        let Some(line) = memchr::memmem::find(rest, b"\r\n") else {
            return if rest.len() > 20 { Err(()) } else { Ok(None) };
        };
        let size = std::str::from_utf8(&rest[..line]).map_err(drop)?;
        if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(());
        }
        let size = usize::from_str_radix(size, 16).map_err(drop)?;
        at += line + 2;
        let Some(chunk) = bytes.get(at..at + size + 2) else { return Ok(None) };
        if !chunk.ends_with(b"\r\n") {
            return Err(());
        }
        at += size + 2;
        if size == 0 {
            return Ok(Some((body, at)));
        }
        body.extend_from_slice(&chunk[..size]);
    }
}
