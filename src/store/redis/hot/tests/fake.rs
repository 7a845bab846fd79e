//! A server that answers honestly until its script says otherwise.

use std::cell::Cell;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::codec::{Parts, measure};
use super::*;
use crate::clock::Clock;

/// What came in one go, with the honest reply to each.
pub type Batch = Vec<(Vec<String>, Vec<u8>)>;

/// What is sent in return; `None` closes the connection.
pub type Script = dyn Fn(Batch) -> Option<Vec<u8>>;

pub struct Fake {
    pub port: u16,
    pub connections: Rc<Cell<usize>>,
    /// Batches with reads so far.
    pub reads: Rc<Cell<usize>>,
}

impl Fake {
    /// Batches without a read are answered honestly; the script has the others.
    pub async fn start(script: impl Fn(Batch) -> Option<Vec<u8>> + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let fake = Self { port, connections: Rc::default(), reads: Rc::default() };
        let (connections, reads) = (Rc::clone(&fake.connections), Rc::clone(&fake.reads));
        let script: Rc<Script> = Rc::new(script);
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.set(connections.get() + 1);
                tokio::task::spawn_local(serve(stream, Rc::clone(&script), Rc::clone(&reads)));
            }
        });
        fake
    }
}

async fn serve(mut stream: TcpStream, script: Rc<Script>, reads: Rc<Cell<usize>>) {
    // Room for every batch whole.
    let mut bytes = bytes::BytesMut::with_capacity(1 << 20);
    while stream.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {
        let mut batch = Batch::new();
        while let Some(length) = measure(&bytes).unwrap() {
            let mut parts = Parts::new(bytes.split_to(length).freeze());
            let command: Vec<String> = (0..parts.list().unwrap())
                .map(|_| String::from_utf8(parts.string().unwrap().to_vec()).unwrap())
                .collect();
            let reply = honest(&command);
            batch.push((command, reply));
        }
        let is_read = batch.iter().any(|(command, _)| command[0] == "MGET");
        let replies = if is_read {
            reads.set(reads.get() + 1);
            script(batch)
        } else {
            Some(all(&batch))
        };
        let Some(replies) = replies else { return };
        if stream.write_all(&replies).await.is_err() {
            return;
        }
    }
}

/// The honest replies, in order.
pub fn all(batch: &Batch) -> Vec<u8> {
    batch.iter().flat_map(|(_, reply)| reply.clone()).collect()
}

pub fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

fn honest(command: &[String]) -> Vec<u8> {
    let reply = match command[0].as_str() {
        "ECHO" => bulk(&command[1]),
        "ROLE" => "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n".into(),
        "TIME" => {
            let now = SystemClock.now().millis();
            format!("*2\r\n{}{}", bulk(&(now / 1000).to_string()), bulk("0"))
        }
        "MGET" => {
            format!("*3\r\n{}{}{}", bulk(&command[1]), bulk(&command[2]), bulk(&command[3]))
        }
        other => format!("-ERR {other} is not known\r\n"),
    };
    reply.into_bytes()
}
