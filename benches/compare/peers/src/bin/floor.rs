//! The floor: the least a proxy can do that remembers tokens and reads a grant for every request.
//!
//! One epoll loop per thread; every client connection has an upstream connection of its own; heads
//! are scanned for the path and the token and passed on as they came; what one round of events asks
//! of Redis is sent in one write. No bodies, no timeouts, no limits: a yardstick, not a gateway.
//!
//! `floor ADDRESS THREADS`, with UPSTREAM, REDIS, JWKS, ISSUER and AUDIENCE.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use tidegate_bench_peers::token::Tokens;
use tidegate_bench_peers::{address, grant_key, listener, push_get, take_reply};

const LISTENER: u64 = u64::MAX;
const REDIS: u64 = u64::MAX - 1;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().and_then(|text| text.parse().ok()).expect("ADDRESS:PORT");
    let threads: usize = arguments.next().and_then(|text| text.parse().ok()).expect("THREADS");
    let workers = (0..threads).map(|_| std::thread::spawn(move || Worker::new(listen).run()));
    for worker in workers.collect::<Vec<_>>() {
        worker.join().expect("a worker ended");
    }
}

/// A client connection with its upstream connection; events carry twice its number, plus one for
/// the upstream.
struct Pair {
    client: TcpStream,
    upstream: TcpStream,
    head: Vec<u8>,
    open: bool,
}

struct Worker {
    epoll: OwnedFd,
    listener: TcpListener,
    upstream: SocketAddr,
    tokens: Tokens,
    pairs: Vec<Pair>,
    redis: TcpStream,
    asked: Vec<u8>,
    answered: Vec<u8>,
    /// Whose answer comes next.
    waiting: VecDeque<usize>,
    buffer: Vec<u8>,
}

impl Worker {
    fn new(listen: SocketAddr) -> Self {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("epoll");
        let listener = listener(listen);
        let redis = TcpStream::connect(address("REDIS")).expect("Redis");
        redis.set_nodelay(true).expect("no delay");
        watch(&epoll, &listener, LISTENER);
        watch(&epoll, &redis, REDIS);
        Self {
            epoll,
            listener,
            upstream: address("UPSTREAM"),
            tokens: Tokens::from_environment(),
            pairs: Vec::new(),
            redis,
            asked: Vec::new(),
            answered: Vec::new(),
            waiting: VecDeque::new(),
            buffer: vec![0; 64 * 1024],
        }
    }

    fn run(mut self) {
        let mut events = Vec::with_capacity(256);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) => (),
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => panic!("epoll: {error}"),
            }
            for event in &events {
                match event.data.u64() {
                    LISTENER => self.accept(),
                    REDIS => self.hear_redis(),
                    number if number % 2 == 1 => self.relay_answer(pair_of(number)),
                    number => self.hear_client(pair_of(number)),
                }
            }
            if !self.asked.is_empty() {
                self.redis.write_all(&self.asked).expect("Redis");
                self.asked.clear();
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((client, _)) = self.listener.accept() {
            let upstream = TcpStream::connect(self.upstream).expect("the upstream");
            client.set_nodelay(true).expect("no delay");
            upstream.set_nodelay(true).expect("no delay");
            let number = self.pairs.len() as u64 * 2;
            watch(&self.epoll, &client, number);
            watch(&self.epoll, &upstream, number + 1);
            self.pairs.push(Pair { client, upstream, head: Vec::new(), open: true });
        }
    }

    fn hear_client(&mut self, number: usize) {
        let pair = &mut self.pairs[number];
        match pair.client.read(&mut self.buffer) {
            Ok(0) | Err(_) => return pair.close(&self.epoll),
            Ok(read) => pair.head.extend_from_slice(&self.buffer[..read]),
        }
        if !pair.head.ends_with(b"\r\n\r\n") {
            return;
        }
        match wanted(&pair.head, &mut self.tokens) {
            Some(key) => {
                push_get(&mut self.asked, &key);
                self.waiting.push_back(number);
            }
            None => pair.refuse("401 Unauthorized"),
        }
    }

    fn hear_redis(&mut self) {
        let read = self.redis.read(&mut self.buffer).expect("Redis");
        assert!(read > 0, "Redis hung up");
        self.answered.extend_from_slice(&self.buffer[..read]);
        let mut taken = 0;
        while let Some((granted, length)) = take_reply(&self.answered[taken..]) {
            taken += length;
            let number = self.waiting.pop_front().expect("somebody asked");
            let pair = &mut self.pairs[number];
            match granted {
                _ if !pair.open => (),
                true => pair.forward(),
                false => pair.refuse("403 Forbidden"),
            }
        }
        self.answered.drain(..taken);
    }

    fn relay_answer(&mut self, number: usize) {
        let pair = &mut self.pairs[number];
        match pair.upstream.read(&mut self.buffer) {
            Ok(0) | Err(_) => pair.close(&self.epoll),
            Ok(read) => drop(pair.client.write_all(&self.buffer[..read])),
        }
    }
}

impl Pair {
    fn forward(&mut self) {
        drop(self.upstream.write_all(&self.head));
        self.head.clear();
    }

    fn refuse(&mut self, status: &str) {
        self.head.clear();
        drop(write!(self.client, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n"));
    }

    fn close(&mut self, epoll: &OwnedFd) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        for stream in [&self.client, &self.upstream] {
            let _unwatched = epoll::delete(epoll, stream);
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

/// The key of the grant that this request needs; `None`: nobody is known.
fn wanted(head: &[u8], tokens: &mut Tokens) -> Option<String> {
    const NAME: &str = "authorization: bearer ";
    let head = std::str::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n");
    let path = lines.next()?.split(' ').nth(1)?;
    let token = lines.find_map(|line| {
        let named = line.get(..NAME.len())?.eq_ignore_ascii_case(NAME);
        named.then(|| &line[NAME.len()..])
    })?;
    Some(grant_key(tokens.subject(token)?, path))
}

fn pair_of(event: u64) -> usize {
    usize::try_from(event / 2).expect("a number of a pair")
}

fn watch(epoll: &OwnedFd, source: impl AsFd, number: u64) {
    let data = epoll::EventData::new_u64(number);
    epoll::add(epoll, source, data, epoll::EventFlags::IN).expect("epoll");
}
