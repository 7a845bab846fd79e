//! What nginx's `auth_request` asks: verifies the token, reads the grant, answers with a status.
//!
//! Two threads with a listener, remembered tokens and a connection to Redis each. nginx says in
//! `X-Original-URI` what is asked for; nobody else reaches this.
//!
//! `authorize ADDRESS`, with REDIS, JWKS, ISSUER and AUDIENCE.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use tidegate_bench_peers::grants::Grants;
use tidegate_bench_peers::token::Tokens;
use tidegate_bench_peers::{grant_key, listener};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn main() {
    let listen = std::env::args().nth(1).and_then(|text| text.parse().ok()).expect("ADDRESS:PORT");
    let other = std::thread::spawn(move || serve(listen));
    serve(listen);
    other.join().expect("a thread ended");
}

fn serve(listen: SocketAddr) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let tasks = tokio::task::LocalSet::new();
    runtime.expect("a runtime").block_on(tasks.run_until(async {
        let listener = TcpListener::from_std(listener(listen)).expect("a listener");
        let tokens = Rc::new(RefCell::new(Tokens::from_environment()));
        let grants = Grants::spawn();
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            tokio::task::spawn_local(connection(stream, tokens.clone(), grants.clone()));
        }
    }));
}

async fn connection(mut stream: TcpStream, tokens: Rc<RefCell<Tokens>>, grants: Grants) {
    drop(stream.set_nodelay(true));
    let mut head = Vec::with_capacity(4096);
    loop {
        match stream.read_buf(&mut head).await {
            Ok(0) | Err(_) => return,
            Ok(_) if !head.ends_with(b"\r\n\r\n") => continue,
            Ok(_) => (),
        }
        let key = wanted(&head, &mut tokens.borrow_mut());
        head.clear();
        let status = match key {
            Some(key) => grants.status(key).await,
            None => 401,
        };
        let answer = format!("HTTP/1.1 {status} Told\r\ncontent-length: 0\r\n\r\n");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The key of the grant that is needed; `None`: nobody is known.
fn wanted(head: &[u8], tokens: &mut Tokens) -> Option<String> {
    let head = std::str::from_utf8(head).ok()?;
    let token = field(head, "authorization")?.strip_prefix("Bearer ")?;
    Some(grant_key(tokens.subject(token)?, field(head, "x-original-uri")?))
}

fn field<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    head.split("\r\n").skip(1).find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case(wanted).then_some(value)
    })
}
