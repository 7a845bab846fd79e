//! What the peers share.

use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Socket, Type};

pub mod grants;
pub mod token;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `host:port` from the environment.
#[must_use]
pub fn address(name: &str) -> SocketAddr {
    setting(name).parse().unwrap_or_else(|_| panic!("{name} has to be ADDRESS:PORT"))
}

#[must_use]
pub fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} has to be set"))
}

/// The key of the grant that a request for `path` needs; the tool is the first segment.
#[must_use]
pub fn grant_key(subject: &str, path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let tool = path.split('/').nth(1).unwrap_or_default();
    format!("grant:{subject}:{tool}")
}

/// `GET key`, as Redis reads it.
pub fn push_get(out: &mut Vec<u8>, key: &str) {
    out.extend_from_slice(b"*2\r\n$3\r\nGET\r\n$");
    out.extend_from_slice(key.len().to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Whether the first reply of `input` is a value, and how many bytes it took; `None`: not complete.
///
/// # Panics
/// An error from Redis: these programs are not made to go on then.
#[must_use]
pub fn take_reply(input: &[u8]) -> Option<(bool, usize)> {
    let line = input.windows(2).position(|pair| pair == b"\r\n")?;
    let head = std::str::from_utf8(&input[..line]).expect("ASCII");
    let length = head.strip_prefix('$').unwrap_or_else(|| panic!("Redis answered {head}"));
    let Ok(length) = length.parse::<usize>() else { return Some((false, line + 2)) };
    let total = line + 2 + length + 2;
    (input.len() >= total).then_some((true, total))
}

/// One of several that share an address.
///
/// # Panics
/// When the address is not free.
#[must_use]
pub fn listener(address: SocketAddr) -> TcpListener {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("reuse");
    socket.set_reuse_port(true).expect("reuse");
    socket.bind(&address.into()).expect("the address is free");
    socket.listen(1024).expect("listens");
    socket.set_nonblocking(true).expect("does not block");
    socket.into()
}
