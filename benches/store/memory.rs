//! What the records of one partition weigh in Redis, by its own `MEMORY USAGE`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use tidegate::domain::ids::PartitionCount;

use crate::fill::{GRANTS, subject};
use crate::servers::Server;

/// Bytes of a live value per grant in it.
const LIVE_BOUND: f64 = 400.0;
const AT_ONCE: usize = 500;

/// Whether the live values keep the bound; the rest is printed only.
pub fn report(server: &Server, subjects: usize) -> bool {
    let partition = subject(0).key().partition(PartitionCount::DEFAULT);
    let inside =
        |number: &usize| subject(*number).key().partition(PartitionCount::DEFAULT) == partition;
    let grants = (0..subjects).filter(inside).count() * GRANTS;
    let prefix = format!("tg:{{p{:02}}}:", partition.0);
    let keys = keys(server, &prefix);
    let mut kinds: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (key, bytes) in keys.iter().zip(weigh(server, &keys)) {
        let sum = kinds.entry(kind(key, &prefix)).or_default();
        sum.0 += 1;
        sum.1 += bytes;
    }
    println!("MEMORY USAGE of one partition with {grants} live grants:\n");
    println!("| keys | number | bytes | bytes per live grant |\n|---|---|---|---|");
    for (kind, (number, bytes)) in &kinds {
        println!("| {kind} | {number} | {bytes} | {:.0} |", per(*bytes, grants));
    }
    let live = per(kinds.get("live").map_or(usize::MAX, |sum| sum.1), grants);
    let good = live < LIVE_BOUND;
    println!("\nlive value per grant: {live:.0} bytes, bound {LIVE_BOUND}: {}", crate::met(good));
    good
}

/// `tg:{p07}:grants:of:<subject>` is of the kind `grants:of`.
fn kind<'a>(key: &'a str, prefix: &str) -> &'a str {
    let name = key.strip_prefix(prefix).unwrap_or(key);
    match name.rsplit_once(':') {
        Some((kind, "pending" | "open")) if kind == "requests" || kind == "grants" => name,
        Some((kind, _)) => kind,
        None => name,
    }
}

fn keys(server: &Server, prefix: &str) -> Vec<String> {
    let pattern = format!("{prefix}*");
    let (mut found, mut cursor) = (Vec::new(), "0".to_owned());
    loop {
        let reply = server.ask(&["SCAN", &cursor, "MATCH", &pattern, "COUNT", "20000"]);
        let mut lines = reply.split("\r\n");
        lines.nth(2).expect("a cursor").clone_into(&mut cursor);
        found.extend(lines.filter(|line| line.starts_with(prefix)).map(str::to_owned));
        if cursor == "0" {
            found.sort_unstable();
            found.dedup();
            return found;
        }
    }
}

/// In the order of `keys`.
fn weigh(server: &Server, keys: &[String]) -> Vec<usize> {
    let mut stream = TcpStream::connect(server.address()).expect("Redis");
    let mut replies = BufReader::new(stream.try_clone().expect("a stream")).lines();
    let mut weights = Vec::with_capacity(keys.len());
    for some in keys.chunks(AT_ONCE) {
        let asked: Vec<String> = some.iter().map(|key| memory_usage(key)).collect();
        stream.write_all(asked.concat().as_bytes()).expect("Redis");
        weights.extend(replies.by_ref().take(some.len()).map(|line| {
            let line = line.expect("a reply");
            line.strip_prefix(':')
                .and_then(|bytes| bytes.parse::<usize>().ok())
                .unwrap_or_else(|| panic!("{line}"))
        }));
    }
    weights
}

/// Without sampling: everything in the value is counted.
fn memory_usage(key: &str) -> String {
    let length = key.len();
    format!(
        "*5\r\n$6\r\nMEMORY\r\n$5\r\nUSAGE\r\n${length}\r\n{key}\r\n$7\r\nSAMPLES\r\n$1\r\n0\r\n"
    )
}

#[expect(clippy::cast_precision_loss, reason = "a figure to read")]
fn per(bytes: usize, grants: usize) -> f64 {
    bytes as f64 / grants.max(1) as f64
}
