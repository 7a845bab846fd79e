//! No byte of one person's answer reaches another: tools that misbehave, and clients that go away.

use std::collections::BTreeMap;
use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::harness::client::{Answer, read_answer};
use crate::harness::scale;

use super::draft::{Draft, Fate, mark};
use super::families::Case;
use super::hostile::{at_once, seed};
use super::oracle::{self, Cases};
use super::recorder::{Recorder, Reply, Seen, addressee, plain};
use super::rng::Rng;
use super::scene::{Ground, Scene, Who};

/// A request that is permitted, by one of those who have a token; to read unless `written` is given.
fn permitted(rng: &mut Rng, ground: &Ground, number: usize, written: usize) -> Draft {
    let who = *rng.pick(&[Who::Alice, Who::Anna, Who::Mallory]);
    let area = if who == Who::Mallory { "me" } else { "grant" };
    if who == Who::Anna && written > 0 {
        let mut made = Draft::by(rng, ground, number, who, "write");
        made.sized(&mark(number).repeat(written).into_bytes());
        return made;
    }
    Draft::by(rng, ground, number, who, area)
}

fn connect(gateway: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(gateway).expect("the gateway listens");
    stream.set_nodelay(true).expect("an option");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("an option");
    stream
}

/// A number that goes with a request, the same for tool and client.
fn lot(id: &str, of: usize) -> usize {
    let digits: String = id.chars().filter(char::is_ascii_digit).collect();
    Rng::new(digits.parse().unwrap_or(0)).below(of)
}

const FAULTS: usize = 26;

/// An answer that is wrong in some way; every byte of a body names its addressee. The first ones are
/// right, so that connections go back to the pool.
fn faulty(seen: &Seen) -> Reply {
    let to = addressee(seen);
    let (length, good) = (to.len(), String::from_utf8_lossy(&plain(seen)).into_owned());
    let head = |fields: &str, body: &str| {
        format!("HTTP/1.1 200 OK\r\nX-To: {to}\r\n{fields}\r\n\r\n{body}")
    };
    let chunk = format!("{length:x}\r\n{to}\r\n");
    let sized = format!("Content-Length: {length}");
    let (text, closes) = match lot(seen.one("x-request-id").unwrap_or_default(), FAULTS) {
        0 => (format!("{good}{good}"), false),
        1 => (format!("{good}{to}"), false),
        2 => (format!("{good}\r\n"), false),
        3 => (head(&format!("{sized}\r\nTransfer-Encoding: chunked"), &chunk), false),
        4 => (head(&format!("{sized}\r\nContent-Length: 1"), &to), false),
        5 => (head(&format!("Content-Length: 1\r\n{sized}"), &to), false),
        6 => (head("Content-Length: 3", &to), false),
        7 => (head(&format!("Content-Length: {}", length + 50), &to), true),
        8 => (head("Content-Length: -1", &to), false),
        9 => (head(&format!("Content-Length: +{length}"), &to), false),
        10 => (format!("HTTP/1.1 204 No Content\r\n{sized}\r\n\r\n{to}"), false),
        11 => (format!("HTTP/1.1 304 Not Modified\r\n{sized}\r\n\r\n{good}"), false),
        12 => (String::new(), true),
        13 => (format!("HTTP/1.1 200 OK\r\nX-To: {to}"), true),
        14 => (head("Transfer-Encoding: chunked", &chunk), true),
        15 => (head("Transfer-Encoding: chunked", &format!("{chunk}0\r\n\r\n{good}")), false),
        16 => (head("Transfer-Encoding: chunked", &format!("+{chunk}0\r\n\r\n")), false),
        17 => (head("Transfer-Encoding: gzip, chunked", &format!("{chunk}0\r\n\r\n")), false),
        18 => (head("Transfer-Encoding: identity", &to), true),
        19 => (format!("{to}\r\n\r\n"), false),
        20 => (
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n{good}"
            ),
            false,
        ),
        21 => (format!("HTTP/1.1 100 Continue\r\n\r\n{good}HTTP/1.1 100 Continue\r\n\r\n"), false),
        22 => (format!("HTTP/1.1 200 OK\nContent-Length: {length}\n\n{to}{to}"), false),
        _ => (good, false),
    };
    Reply { bytes: text.into_bytes(), closes, ..Reply::default() }
}

/// Answers from this one on are right.
const RIGHT: usize = 23;

/// Those whose end cannot be told, or that are none: 502.
const UNREADABLE: [usize; 11] = [3, 4, 5, 8, 9, 12, 13, 17, 18, 19, 20];

fn is_right(id: &str) -> bool {
    lot(id, FAULTS) >= RIGHT
}

/// After an answer that was wrong, nothing more is sent on that connection.
fn never_again(seen: &[Seen]) -> Vec<Result<(), String>> {
    let mut wrong: BTreeMap<usize, &Seen> = BTreeMap::new();
    let mut found = Vec::new();
    for request in seen {
        let before = wrong.get(&request.connection);
        found.push(before.map_or(Ok(()), |before| Err(format!("{before:?} and then {request:?}"))));
        if !is_right(request.one("x-request-id").unwrap_or_default()) {
            wrong.insert(request.connection, request);
        }
    }
    found
}

/// One client: good requests one after the other; whatever comes back is its own, or an error.
fn one_after_the_other(cases: &[Case], gateway: SocketAddr) -> Vec<(Case, Option<Answer>)> {
    let mut reader = BufReader::new(connect(gateway));
    let mut told = Vec::new();
    for case in cases {
        let sent = reader.get_mut().write_all(&case.bytes);
        let answer = sent.and_then(|()| read_answer(&mut reader, false));
        let ended =
            answer.as_ref().map_or(true, |answer| answer.header("connection") == Some("close"));
        told.push((case.clone(), answer.ok()));
        if ended {
            reader = BufReader::new(connect(gateway));
        }
    }
    told
}

#[test]
fn whatever_a_tool_answers_nobody_gets_what_was_meant_for_another() {
    let (seed, requests) = (seed(), scale(4_000, 200_000));
    println!("seed {seed}");
    let recorder = Recorder::answering(faulty);
    let mut scene = Scene::start(&[("warehouse", recorder.address)]);
    let ground = scene.ground.at(&[("warehouse.localhost", "")]);
    let mut rng = Rng::new(seed);
    let made = |number| {
        let mut draft = permitted(&mut rng, &ground, number, 0);
        draft.fate = Fate::OPEN;
        Case::good(&draft)
    };
    let cases: Vec<Case> = (0..requests).map(made).collect();
    let clients: Vec<&[Case]> = cases.chunks(20).collect();
    let told =
        at_once(clients.len(), |index| one_after_the_other(clients[index], scene.gateway.proxy));
    let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
    let told = told.into_iter().flatten();
    let found = told.map(|(case, answer)| {
        let Some(answer) = answer else { return Ok(()) };
        *counts.entry(answer.status).or_default() += 1;
        let fault = lot(&mark(case.number), FAULTS);
        if UNREADABLE.contains(&fault) && answer.status != 502 {
            return Err(format!("fault {fault} was told as {answer:?}"));
        }
        oracle::only_its_own(&case, &answer)
    });
    oracle::all_hold(found.collect());
    let audit = scene.stop();
    let arrived = recorder.seen();
    let tally = oracle::hold(&Cases::in_order(&cases), None, &arrived, &audit);
    oracle::all_hold(never_again(&arrived));
    println!(
        "proof: {requests} requests before a tool that misbehaves, seed {seed}: {tally:?}, told {counts:?}"
    );
    // A connection that misbehaved is not used again: what follows is answered as it should be.
    let good = (0..requests).filter(|number| is_right(&mark(*number))).count();
    assert!(counts[&200] >= good && counts[&502] > 0, "{good} good ones: {counts:?}");
}

#[test]
fn an_answer_that_nobody_asked_for_ends_the_connection_it_came_on() {
    let recorder = Recorder::answering(|seen| Reply {
        bytes: plain(seen),
        late: plain(seen),
        ..Reply::default()
    });
    let scene = Scene::start(&[("warehouse", recorder.address)]);
    let ground = scene.ground.at(&[("warehouse.localhost", "")]);
    let mut rng = Rng::new(seed());
    for number in 0..10 {
        let case = Case::good(&permitted(&mut rng, &ground, number, 0));
        let told = one_after_the_other(std::slice::from_ref(&case), scene.gateway.proxy);
        let answer = told[0].1.as_ref().expect("an answer");
        assert_eq!((answer.status, oracle::only_its_own(&case, answer)), (200, Ok(())));
        // Only when nobody waits: an answer that comes while another one is waited for cannot be told
        // from it.
        recorder.is_left();
    }
}

/// Up to 60 KB of the addressee, over and over.
fn long(seen: &Seen) -> Reply {
    let (to, id) = (addressee(seen), seen.one("x-request-id").unwrap_or_default());
    let body = pattern(&to, lot(id, 60_000));
    let mut bytes = b"HTTP/1.1 200 OK\r\n".to_vec();
    if lot(id, 2) == 0 {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(&body);
    } else {
        bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
        for part in body.chunks(7_001) {
            bytes.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
            bytes.extend_from_slice(part);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
    }
    Reply { bytes, ..Reply::default() }
}

fn pattern(to: &str, length: usize) -> Vec<u8> {
    format!("{to}\n").into_bytes().into_iter().cycle().take(length).collect()
}

/// A client that goes away after so many bytes of its request or of the answer.
struct Leaving {
    case: Case,
    written: usize,
    read: usize,
}

impl Leaving {
    fn new(rng: &mut Rng, ground: &Ground, number: usize) -> Self {
        let written = rng.below(800);
        let mut draft = permitted(rng, ground, number, written);
        draft.fate = Fate::UNSURE;
        let case = Case::good(&draft);
        let all = case.bytes.len();
        let written = if rng.percent(30) { rng.below(all) } else { all };
        let read = if rng.percent(20) { usize::MAX } else { rng.below(70_000) >> rng.below(17) };
        Self { case, written, read }
    }

    /// Gives what was read.
    fn leave(&self, gateway: SocketAddr) -> Vec<u8> {
        let mut stream = connect(gateway);
        if stream.write_all(&self.case.bytes[..self.written]).is_err()
            || self.written < self.case.bytes.len()
        {
            return Vec::new();
        }
        let (mut told, mut piece) = (Vec::new(), [0; 4096]);
        while told.len() < self.read && !is_whole(&told) {
            let most = piece.len().min(self.read - told.len());
            match stream.read(&mut piece[..most]) {
                Ok(0) => break,
                Ok(count) => told.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("nothing came"),
                Err(_) => break,
            }
        }
        told
    }

    /// What was read is the beginning of this request's own answer, every byte.
    fn check(&self, told: &[u8]) -> Result<(), String> {
        let Some(end) = memchr::memmem::find(told, b"\r\n\r\n") else { return Ok(()) };
        let head = String::from_utf8_lossy(&told[..end]).to_ascii_lowercase();
        let id = mark(self.case.number);
        let whose = if head.contains("transfer-encoding") {
            dechunked(&told[end + 4..])
        } else {
            told[end + 4..].to_vec()
        };
        let subject = match self.case.who {
            Who::Anna => "anna%2C%20%C3%B6%2541",
            Who::Alice | Who::Mallory | Who::Dave | Who::Nobody => self.case.who.subject(),
        };
        let expected = pattern(&format!("{id} {subject}"), lot(&id, 60_000));
        let own = head.contains(&format!("x-request-id: {id}")) && expected.starts_with(&whose);
        let status = head.starts_with("http/1.1 200");
        let shown = String::from_utf8_lossy(&whose[..whose.len().min(200)]).into_owned();
        if own && status { Ok(()) } else { Err(format!("{id}: {head}\n{shown}")) }
    }
}

fn is_whole(told: &[u8]) -> bool {
    let Some(end) = memchr::memmem::find(told, b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&told[..end]).to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    match length.and_then(|text| text.parse::<usize>().ok()) {
        Some(length) => told.len() >= end + 4 + length,
        None => told.ends_with(b"\r\n0\r\n\r\n"),
    }
}

/// The data of chunks, as far as they came.
fn dechunked(mut rest: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    while let Some(line) = memchr::memmem::find(rest, b"\r\n") {
        let size = String::from_utf8_lossy(&rest[..line]).into_owned();
        let size = usize::from_str_radix(&size, 16).unwrap_or_else(|_| panic!("a size: {size:?}"));
        rest = &rest[line + 2..];
        data.extend_from_slice(&rest[..size.min(rest.len())]);
        rest = rest.get(size + 2..).unwrap_or_default();
    }
    data
}

#[test]
fn clients_that_go_away_at_any_byte_never_get_anothers_bytes() {
    let (seed, clients) = (seed(), scale(3_000, 100_000));
    println!("seed {seed}");
    let recorder = Recorder::answering(long);
    let mut scene = Scene::start(&[("warehouse", recorder.address)]);
    let ground = scene.ground.at(&[("warehouse.localhost", "")]);
    let mut rng = Rng::new(seed);
    let leaving: Vec<Leaving> =
        (0..clients).map(|number| Leaving::new(&mut rng, &ground, number)).collect();
    let told = at_once(clients, |index| {
        let told = leaving[index].leave(scene.gateway.proxy);
        (told.len(), leaving[index].check(&told))
    });
    let bytes: usize = told.iter().map(|(bytes, _)| bytes).sum();
    oracle::all_hold(told.into_iter().map(|(_, found)| found).collect());
    let audit = scene.stop();
    let cases: Vec<Case> = leaving.iter().map(|it| it.case.clone()).collect();
    let tally = oracle::hold(&Cases::in_order(&cases), None, &recorder.seen(), &audit);
    println!(
        "proof: {clients} clients that went away, {bytes} bytes checked, seed {seed}: {tally:?}"
    );
    assert!(tally.seen * 3 > clients && bytes > clients * 1_000, "{tally:?}, {bytes} bytes");
}
