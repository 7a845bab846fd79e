//! A real endpoint on loopback that does what a test tells it, and remembers every call.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// What a call is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    Status(u16),
    /// Nothing, for as long as the other side waits.
    Hang,
    /// 200, but not before the receiver behaves otherwise.
    Held,
    /// The connection is closed.
    Close,
}

#[derive(Clone, Debug)]
pub struct Call {
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub event: Value,
}

impl Call {
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map_or_else(|| panic!("no {name}: {self:?}"), |(_, value)| value.as_str())
    }

    pub fn id(&self) -> &str {
        self.header("webhook-id")
    }

    pub fn text(&self, name: &str) -> &str {
        self.event[name].as_str().unwrap_or_default()
    }

    /// `request.approved` of `dev.tidegate.request.approved.v1`
    pub fn kind(&self) -> &str {
        let kind = self.text("type").trim_start_matches("dev.tidegate.");
        kind.trim_end_matches(".v1")
    }

    /// As Standard Webhooks says it.
    pub fn is_signed_by(&self, secret: &[u8]) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let (id, time) = (self.id(), self.header("webhook-timestamp"));
        let signed = [format!("{id}.{time}.").as_bytes(), &self.body].concat();
        let expected = format!("v1,{}", STANDARD.encode(hmac::sign(&key, &signed)));
        self.header("webhook-signature").split(' ').any(|signature| signature == expected)
    }
}

struct State {
    calls: Vec<Call>,
    reply: Reply,
    /// Grows when the behaviour changes.
    turn: u64,
}

#[derive(Clone)]
pub struct Receiver {
    pub address: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Receiver {
    pub fn start(reply: Reply) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), reply)
    }

    pub fn at(address: SocketAddr, reply: Reply) -> Self {
        let listener = TcpListener::bind(address).expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Mutex::new(State { calls: Vec::new(), reply, turn: 0 });
        let receiver = Self { address, state: Arc::new((state, Condvar::new())) };
        let own = receiver.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let own = own.clone();
                thread::spawn(move || own.serve(stream));
            }
        });
        receiver
    }

    pub fn behave(&self, reply: Reply) {
        let mut state = self.state();
        state.reply = reply;
        state.turn += 1;
        self.state.1.notify_all();
    }

    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    pub fn count(&self) -> usize {
        self.state().calls.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().expect("no panic inside")
    }

    fn serve(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        while let Some(call) = read(&mut stream) {
            let mut state = self.state();
            state.calls.push(call);
            let (reply, turn) = (state.reply, state.turn);
            let status = match reply {
                Reply::Status(status) => status,
                Reply::Close => return,
                Reply::Held => {
                    let held = self.state.1.wait_while(state, |state| state.turn == turn);
                    drop(held.expect("no panic inside"));
                    200
                }
                Reply::Hang => {
                    drop(state);
                    // Until the other side has had enough.
                    let _ended = stream.read(&mut [0]);
                    return;
                }
            };
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
            if stream.get_mut().write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

fn read(stream: &mut BufReader<TcpStream>) -> Option<Call> {
    let mut headers = Vec::new();
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|count| *count > 0)?;
    assert!(line.starts_with("POST /in "), "{line}");
    loop {
        line.clear();
        stream.read_line(&mut line).ok().filter(|count| *count > 0)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
            None => break,
        }
    }
    let length = headers.iter().find(|(name, _)| name == "content-length")?;
    let mut body = vec![0; length.1.parse().ok()?];
    stream.read_exact(&mut body).ok()?;
    let event = serde_json::from_slice(&body).ok()?;
    Some(Call { headers, body, event })
}
