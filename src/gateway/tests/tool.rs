//! A tool that writes down every byte it gets.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

/// A connection that is no longer HTTP.
pub type Switched = Box<dyn Both>;

pub trait Both: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Both for T {}

/// One whole request as the tool saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When its first byte came.
    pub at: Instant,
    /// Counts connections from 0.
    pub connection: usize,
    pub head: String,
    pub body: Vec<u8>,
    /// Line by line.
    pub trailers: String,
}

impl Seen {
    pub fn method(&self) -> &str {
        self.head.split(' ').next().unwrap_or_default()
    }

    pub fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// Every value of a header, whatever its case.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim()).collect()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }
}

pub type Pipe = Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Vec<u8>>>>;

pub type Reply = Arc<dyn Fn(&Seen) -> Answer + Send + Sync>;

/// What the tool does with a request.
#[derive(Clone, Debug)]
pub enum Answer {
    Bytes(Vec<u8>),
    /// These bytes, then the end of the connection.
    Last(Vec<u8>),
    /// These pieces, with this pause before each.
    Slow(Vec<Vec<u8>>, std::time::Duration),
    /// Whatever comes out of this, until it is closed.
    Piped(Pipe),
    /// These bytes; then the connection is the test's: [`Tool::switched`].
    Switch(Vec<u8>),
    /// Nothing, ever.
    Silence,
}

impl Answer {
    pub fn text(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }

    pub fn ok() -> Self {
        Self::text("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    }
}

pub struct Tool {
    pub address: SocketAddr,
    pub log: Arc<Log>,
    reply: Arc<Mutex<Reply>>,
}

#[derive(Default)]
pub struct Log {
    pub seen: Mutex<Vec<Seen>>,
    /// Bytes of requests that broke off.
    pub partial: Mutex<Vec<Vec<u8>>>,
    pub connections: Mutex<usize>,
    /// Connections that are no longer HTTP, and what had come on them already.
    pub switched: Mutex<Vec<(Switched, Vec<u8>)>>,
    /// Those that the other side has closed.
    pub ended: Mutex<usize>,
}

impl Tool {
    /// Behind TLS.
    pub async fn tls(acceptor: TlsAcceptor) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let (tool, replies) = Self::at(listener.local_addr().expect("bound"));
        let to = tool.log.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, to, replies) = (acceptor.clone(), to.clone(), replies.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        converse(stream, to, replies).await;
                    }
                });
            }
        });
        tool
    }

    /// On a socket in the file system.
    pub fn unix(path: &std::path::Path) -> Self {
        let listener = UnixListener::bind(path).expect("a socket");
        let (tool, replies) = Self::at(SocketAddr::from(([0, 0, 0, 0], 0)));
        let to = tool.log.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, to.clone(), replies.clone()));
            }
        });
        tool
    }

    fn at(address: SocketAddr) -> (Self, Arc<Mutex<Reply>>) {
        let reply: Arc<Mutex<Reply>> = Arc::new(Mutex::new(Arc::new(|_: &Seen| Answer::ok())));
        let replies = reply.clone();
        (Self { address, log: Arc::default(), reply }, replies)
    }

    pub async fn start() -> Self {
        Self::on("127.0.0.1:0".parse().expect("an address")).await
    }

    pub async fn on(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let (tool, replies) = Self::at(listener.local_addr().expect("bound"));
        let to = tool.log.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, to.clone(), replies.clone()));
            }
        });
        tool
    }

    pub fn answers(&self, reply: impl Fn(&Seen) -> Answer + Send + Sync + 'static) {
        *self.reply.lock().expect("not poisoned") = Arc::new(reply);
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.log.seen.lock().expect("not poisoned").clone()
    }

    /// The next connection that has switched.
    pub async fn switched(&self) -> (Switched, Vec<u8>) {
        loop {
            if let Some(switched) = self.log.switched.lock().expect("not poisoned").pop() {
                return switched;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Connections that were closed by the other side.
    pub fn ended(&self) -> usize {
        *self.log.ended.lock().expect("not poisoned")
    }

    pub fn connections(&self) -> usize {
        *self.log.connections.lock().expect("not poisoned")
    }
}

async fn converse<S>(mut stream: S, log: Arc<Log>, reply: Arc<Mutex<Reply>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = {
        let mut count = log.connections.lock().expect("not poisoned");
        *count += 1;
        *count - 1
    };
    let mut bytes = Vec::new();
    let mut began = None;
    // A request whose target says `early` is answered before its body has come.
    let mut answered_early = false;
    loop {
        if let Some((seen, used)) = whole(&bytes, began, connection) {
            bytes.drain(..used);
            began = (!bytes.is_empty()).then(Instant::now);
            log.seen.lock().expect("not poisoned").push(seen.clone());
            let reply = reply.lock().expect("not poisoned").clone();
            match reply(&seen) {
                Answer::Bytes(answer) => {
                    if stream.write_all(&answer).await.is_err() {
                        return;
                    }
                }
                Answer::Last(answer) => {
                    let _broken = stream.write_all(&answer).await;
                    return;
                }
                Answer::Slow(pieces, pause) => {
                    for piece in pieces {
                        tokio::time::sleep(pause).await;
                        if stream.write_all(&piece).await.is_err() {
                            return;
                        }
                    }
                }
                Answer::Piped(pipe) => {
                    let mut pipe = pipe.lock().await;
                    loop {
                        let (mut ended, mut byte) = (false, [0]);
                        let piece = tokio::select! {
                            piece = pipe.recv() => piece,
                            _gone = stream.read(&mut byte) => { ended = true; None }
                        };
                        match piece {
                            Some(piece) if stream.write_all(&piece).await.is_ok() => (),
                            _ if ended => return,
                            _ => break,
                        }
                    }
                }
                Answer::Switch(answer) => {
                    if stream.write_all(&answer).await.is_ok() {
                        log.switched.lock().expect("not poisoned").push((Box::new(stream), bytes));
                    }
                    return;
                }
                Answer::Silence => std::future::pending().await,
            }
            continue;
        }
        let line = bytes.get(..200).unwrap_or(&bytes);
        if !answered_early && line.windows(5).any(|five| five == b"early") && ends_head(&bytes) {
            answered_early = true;
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly";
            stream.write_all(answer).await.expect("it reads");
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => {
                *log.ended.lock().expect("not poisoned") += 1;
                if !bytes.is_empty() {
                    log.partial.lock().expect("not poisoned").push(bytes);
                }
                return;
            }
            Ok(count) => {
                began.get_or_insert_with(Instant::now);
                bytes.extend_from_slice(&chunk[..count]);
            }
        }
    }
}

fn ends_head(bytes: &[u8]) -> bool {
    bytes.windows(4).any(|four| four == b"\r\n\r\n")
}

/// The first whole request in `bytes`, read plainly.
fn whole(bytes: &[u8], began: Option<Instant>, connection: usize) -> Option<(Seen, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let (body, trailers) = (Vec::new(), String::new());
    let mut seen = Seen { at: began?, connection, head, body, trailers };
    let rest = &bytes[end..];
    if seen.header("transfer-encoding").is_some() {
        let used;
        (seen.body, seen.trailers, used) = with_trailers(rest)?;
        return Some((seen, end + used));
    }
    let length = seen.header("content-length").map_or(0, |v| v.parse().expect("a length"));
    seen.body = rest.get(..length)?.to_vec();
    Some((seen, end + length))
}

/// Body, trailer lines, and how many bytes they took.
pub fn with_trailers(bytes: &[u8]) -> Option<(Vec<u8>, String, usize)> {
    let (mut body, mut trailers, mut at) = (Vec::new(), String::new(), 0);
    let line = |at: usize| {
        let length = bytes.get(at..)?.windows(2).position(|two| two == b"\r\n")?;
        Some((std::str::from_utf8(&bytes[at..at + length]).ok()?, at + length + 2))
    };
    loop {
        let (size, next) = line(at)?;
        let size = usize::from_str_radix(size, 16).ok()?;
        at = next;
        if size == 0 {
            break;
        }
        body.extend_from_slice(bytes.get(at..at + size)?);
        bytes.get(at + size..at + size + 2)?;
        at += size + 2;
    }
    loop {
        let (text, next) = line(at)?;
        at = next;
        if text.is_empty() {
            return Some((body, trailers, at));
        }
        trailers.push_str(text);
        trailers.push('\n');
    }
}
