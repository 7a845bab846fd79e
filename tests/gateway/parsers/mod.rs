//! Real web servers as tools: each says how it read what the gateway let through.

mod servers;

use percent_encoding::percent_decode_str;

use crate::harness::scale;

use super::conversation::Conversation;
use super::hostile::{conversations, hold_all, hold_told, seed};
use super::oracle::{self, Cases};
use super::recorder::Seen;
use super::scene::Scene;
use servers::{Kind, Parser};

/// Line by line what a server logged, fields apart by tabs: method, target, the path as it
/// understood it, host, subject, grants, trace, request id, status.
fn read(log: &str) -> Vec<Result<Seen, String>> {
    log.lines().map(read_line).collect()
}

fn read_line(line: &str) -> Result<Seen, String> {
    let fields: Vec<Vec<u8>> = line.split('\t').map(unescaped).collect();
    let fields: Vec<String> =
        fields.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
    let [method, line_or_target, path, host, subject, grants, trace, id, _status] = &fields[..]
    else {
        return Err(format!("what no request is: {line:?}"));
    };
    // Some log the whole request line.
    let target = line_or_target.split(' ').nth(1).unwrap_or(line_or_target).to_owned();
    let plain = target.split('?').next().unwrap_or_default();
    let decoded = percent_decode_str(plain).decode_utf8_lossy();
    // Some log it decoded, and some as they wrote it again.
    let again = percent_decode_str(path).decode_utf8_lossy();
    if decoded != path.as_str() && decoded != again {
        return Err(format!("another path was understood: {line:?}"));
    }
    let told = [
        ("host", host),
        ("tidegate-subject", subject),
        ("tidegate-grants", grants),
        ("traceparent", trace),
        ("x-request-id", id),
    ];
    let told = told.into_iter().filter(|(_, value)| *value != "-");
    let fields = told.map(|(name, value)| (name.to_owned(), value.clone())).collect();
    let method = method.clone();
    Ok(Seen {
        at_millis: None,
        method,
        target,
        fields,
        body: Vec::new(),
        whole: false,
        connection: 0,
    })
}

/// `\xHH` and `\"` as servers write them into their logs.
fn unescaped(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let escaped = (byte == b'\\').then(|| rest.split_first()).flatten();
        match escaped {
            None => bytes.push(byte),
            Some((b'x', hex)) => {
                let (digits, after) = hex.split_at(hex.len().min(2));
                let digits = std::str::from_utf8(digits).unwrap_or_default();
                bytes.push(u8::from_str_radix(digits, 16).unwrap_or(b'?'));
                rest = after;
            }
            Some((other, after)) => {
                bytes.push(*other);
                rest = after;
            }
        }
    }
    bytes
}

#[test]
fn real_servers_behind_the_gateway_read_exactly_what_was_allowed() {
    let seed = seed();
    println!("seed {seed}");
    let mut servers: Vec<Parser> = Kind::ALL.into_iter().map(Parser::start).collect();
    let tools: Vec<_> = servers.iter().map(|it| (it.kind.name(), it.address())).collect();
    let mut scene = Scene::start(&tools);
    let mut all: Vec<Conversation> = Vec::new();
    for server in &servers {
        let ground = scene.ground.at(&[(server.kind.host(), "")]);
        all.extend(conversations(seed, all.len(), scale(1_000, 20_000), &ground));
    }
    let told = hold_all(&all, scene.gateway.proxy);
    let late = hold_told(&all, &told, false);
    let audit = scene.stop();
    let cases = Cases::of(&all);
    for server in &mut servers {
        let (name, log) = (server.kind.name(), server.stop());
        let mut requests = Vec::new();
        let lines = read(&log).into_iter().map(|line| line.map(|request| requests.push(request)));
        oracle::all_hold(lines.map(|line| line.map_err(|why| format!("{name}: {why}"))).collect());
        let tally = oracle::hold(&cases, Some(name), &requests, &audit);
        println!("proof: {name}: {tally:?}, {late} late, seed {seed}");
        assert_eq!(tally.allowed, tally.seen + tally.unsent, "{name}");
        assert!(tally.seen > 100, "{name} has seen little: {tally:?}");
    }
}
