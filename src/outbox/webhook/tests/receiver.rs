//! A real endpoint on loopback that does what a test tells it, and remembers every call.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::domain::hash::sha256;

/// What a call is answered with.
#[derive(Clone, Debug)]
pub enum Reply {
    Status(u16),
    /// And a header line.
    With(u16, &'static str),
    /// Nothing, ever.
    Hang,
    /// The status, when [`Receiver::go_on`] was called.
    Late(u16),
    /// The connection is closed.
    Close,
}

#[derive(Clone, Debug)]
pub struct Call {
    /// The request line and headers, names in lower case.
    pub head: String,
    pub body: Vec<u8>,
    pub event: Value,
}

impl Call {
    pub fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }

    pub fn id(&self) -> String {
        self.header("webhook-id").to_owned()
    }

    /// `02` of `requests/req_02_...`
    pub fn partition(&self) -> u16 {
        let subject = self.event["subject"].as_str().expect("a subject");
        subject.split('_').nth(1).and_then(|number| number.parse().ok()).expect("a partition")
    }

    /// As the specification says it, from RFC 2104 on.
    pub fn is_signed_by(&self, secret: &[u8]) -> bool {
        let (id, time) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        let signed = [format!("{id}.{time}.").as_bytes(), &self.body].concat();
        let mut key = [0; 64];
        key[..secret.len()].copy_from_slice(secret);
        let inner = sha256(&[&key.map(|byte| byte ^ 0x36), &signed]);
        let outer = sha256(&[&key.map(|byte| byte ^ 0x5c), &inner]);
        let expected = format!("v1,{}", STANDARD.encode(outer));
        self.header("webhook-signature").split(' ').any(|signature| signature == expected)
    }
}

type Behaviour = Box<dyn FnMut(&Call) -> Reply + Send>;

#[derive(Clone)]
pub struct Receiver {
    pub url: String,
    state: Arc<Mutex<State>>,
    go_on: watch::Sender<bool>,
}

struct State {
    calls: Vec<Call>,
    behaviour: Behaviour,
    under_way: usize,
    most_under_way: usize,
}

impl Receiver {
    pub async fn start(behaviour: impl FnMut(&Call) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/in", listener.local_addr().expect("an address"));
        let state = State {
            calls: Vec::new(),
            behaviour: Box::new(behaviour),
            under_way: 0,
            most_under_way: 0,
        };
        let (go_on, _) = watch::channel(false);
        let receiver = Self { url, state: Arc::new(Mutex::new(state)), go_on };
        let own = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let own = own.clone();
                tokio::spawn(async move { own.serve(stream).await });
            }
        });
        receiver
    }

    pub fn behave(&self, behaviour: impl FnMut(&Call) -> Reply + Send + 'static) {
        self.state.lock().expect("no panic").behaviour = Box::new(behaviour);
    }

    pub fn calls(&self) -> Vec<Call> {
        self.state.lock().expect("no panic").calls.clone()
    }

    pub fn ids(&self) -> Vec<String> {
        self.calls().iter().map(Call::id).collect()
    }

    pub fn count(&self) -> usize {
        self.state.lock().expect("no panic").calls.len()
    }

    pub fn most_under_way(&self) -> usize {
        self.state.lock().expect("no panic").most_under_way
    }

    pub fn go_on(&self) {
        self.go_on.send_replace(true);
    }

    async fn serve(&self, mut stream: TcpStream) {
        let Some(call) = read(&mut stream).await else { return };
        let reply = {
            let mut state = self.state.lock().expect("no panic");
            let reply = (state.behaviour)(&call);
            state.calls.push(call);
            state.under_way += 1;
            state.most_under_way = state.most_under_way.max(state.under_way);
            reply
        };
        let mut go_on = self.go_on.subscribe();
        let (status, line) = match reply {
            Reply::Status(status) => (status, "x-nothing: 1"),
            Reply::With(status, line) => (status, line),
            Reply::Late(status) => {
                let _ = go_on.wait_for(|go_on| *go_on).await;
                (status, "x-nothing: 1")
            }
            Reply::Hang => {
                // Until the other side has had enough.
                let _ = stream.read(&mut [0]).await;
                (0, "")
            }
            Reply::Close => (0, ""),
        };
        self.state.lock().expect("no panic").under_way -= 1;
        if status != 0 {
            let body = "a body that nobody reads".repeat(1000);
            let length = body.len();
            let answer =
                format!("HTTP/1.1 {status} X\r\n{line}\r\ncontent-length: {length}\r\n\r\n{body}");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Call> {
    let mut bytes = Vec::new();
    loop {
        let mut more = [0; 4096];
        let count = stream.read(&mut more).await.ok().filter(|count| *count > 0)?;
        bytes.extend(&more[..count]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
        let body = &bytes[end + 4..];
        if body.len() >= length.parse::<usize>().ok()? {
            let (body, event) = (body.to_vec(), serde_json::from_slice(body).ok()?);
            return Some(Call { head, body, event });
        }
    }
}
