//! The same over HTTP/2, by prior knowledge, frame by frame.

mod families;
mod frames;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::harness::scale;

use super::conversation::NUMBERS;
use super::draft::{Draft, Forwarded, mark};
use super::families::Case;
use super::hostile::{at_once, seed};
use super::oracle::{self, Cases};
use super::recorder::Recorder;
use super::rng::Rng;
use super::scene::{Ground, Scene};
use families::{Stream, good, hostile};
use frames::{DATA, END_STREAM, GOAWAY, HEADERS, RST_STREAM, preface, read};

/// Streams of one connection, the last of which may end it.
struct Connection {
    index: usize,
    streams: Vec<Stream>,
    bytes: Vec<u8>,
}

impl Connection {
    fn new(seed: u64, index: usize, ground: &Ground) -> Self {
        let mut rng = Rng::new(seed ^ (index as u64).wrapping_mul(0x9e6c_63d0_876a_68de));
        let mut streams: Vec<Stream> = Vec::new();
        let most = 2 + rng.below(NUMBERS - 2);
        while streams.len() < most && streams.last().is_none_or(|stream| !stream.ends_connection) {
            let (number, id) = (index * NUMBERS + streams.len(), stream_id(streams.len()));
            streams.push(if rng.percent(30) {
                good(&Draft::new(&mut rng, ground, number), id)
            } else {
                hostile(&mut rng, ground, number, id)
            });
        }
        let frames = streams.iter().flat_map(|stream| stream.frames.iter().copied());
        let bytes = preface().into_iter().chain(frames).collect();
        Self { index, streams, bytes }
    }

    /// Writes everything and reads until every stream has ended, or the connection.
    fn hold(&self, gateway: SocketAddr) -> Told {
        let mut socket = TcpStream::connect(gateway).expect("the gateway listens");
        socket.set_nodelay(true).expect("an option");
        socket.set_read_timeout(Some(Duration::from_secs(30))).expect("an option");
        let _refused = socket.write_all(&self.bytes);
        let (mut told, mut bytes, mut piece) = (Told::default(), Vec::new(), [0; 16 * 1024]);
        while !self.streams.iter().all(|it| it.is_reset || told.ended(it.id)) {
            match socket.read(&mut piece) {
                Ok(count) if count > 0 => bytes.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    told.left_open = true;
                    break;
                }
                Ok(_) | Err(_) => break,
            }
            while let Some(used) = told.take(&bytes) {
                bytes.drain(..used);
            }
        }
        told
    }

    fn ends(&self) -> bool {
        self.streams.last().is_some_and(|stream| stream.ends_connection)
    }
}

fn stream_id(at: usize) -> u32 {
    u32::try_from(at).expect("few") * 2 + 1
}

/// What came back: the data of every stream, and how it ended.
#[derive(Debug, Default)]
struct Told {
    data: BTreeMap<u32, Vec<u8>>,
    ended: BTreeMap<u32, &'static str>,
    goodbye: bool,
    left_open: bool,
}

impl Told {
    fn ended(&self, stream: u32) -> bool {
        self.ended.contains_key(&stream)
    }

    fn take(&mut self, bytes: &[u8]) -> Option<usize> {
        let (frame, used) = read(bytes)?;
        if frame.kind == DATA {
            self.data.entry(frame.stream).or_default().extend_from_slice(frame.payload);
        }
        if matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0 {
            self.ended.insert(frame.stream, "ended");
        }
        if frame.kind == RST_STREAM {
            self.ended.entry(frame.stream).or_insert("reset");
        }
        self.goodbye |= frame.kind == GOAWAY;
        Some(used)
    }

    fn shown(&self) -> String {
        let text = |data: &[u8]| String::from_utf8_lossy(&data[..data.len().min(60)]).into_owned();
        let data: Vec<String> =
            self.data.iter().map(|(id, data)| format!("{id}: {}", text(data))).collect();
        format!("told: {}; {:?}; goodbye: {}", data.join(", "), self.ended, self.goodbye)
    }

    /// What the tool said on a stream, if it was asked.
    fn of_the_tool(&self, case: &Case, stream: u32) -> Option<String> {
        let text = String::from_utf8_lossy(self.data.get(&stream)?).into_owned();
        text.starts_with(&mark(case.number)).then_some(text)
    }
}

fn hold_told(connection: &Connection, told: &Told) -> Result<(), String> {
    let shown = |case: &Case| format!("{}\n{}", oracle::shown(Some(case)), told.shown());
    for Stream { case, id, .. } in &connection.streams {
        let text = told.data.get(id).map(|data| String::from_utf8_lossy(data).into_owned());
        let own =
            oracle::marked(&text.unwrap_or_default()).iter().all(|number| *number == case.number);
        let answered = told.of_the_tool(case, *id);
        let addressed = answered.as_ref().is_none_or(|text| oracle::is_to(case, text));
        if !own || !addressed {
            return Err(format!("somebody else's: {}", shown(case)));
        }
        // A header block that cannot be decoded ends the connection, with all of its streams.
        let spoilt = told.goodbye || connection.ends();
        let must = case.fate.forwarded == Forwarded::Must && !spoilt;
        if must && answered.is_none() {
            return Err(format!("connection {}: not allowed: {}", connection.index, shown(case)));
        }
        if case.fate.forwarded == Forwarded::Never && answered.is_some() {
            return Err(format!("connection {}: not refused: {}", connection.index, shown(case)));
        }
    }
    if told.left_open { Err(format!("left open: {}", told.shown())) } else { Ok(()) }
}

#[test]
fn whatever_hostile_clients_send_over_http2_a_tool_sees_only_what_was_allowed() {
    let seed = seed();
    println!("seed {seed}");
    let recorder = Recorder::start();
    let mut scene = Scene::start(&[("warehouse", recorder.address)]);
    let ground = scene.ground.at(&[("warehouse.localhost", ""), ("any.test", "/warehouse")]);
    let (mut connections, mut count) = (Vec::new(), 0);
    while count < scale(10_000, 100_000) {
        let connection = Connection::new(seed, connections.len(), &ground);
        count += connection.streams.iter().filter(|stream| !stream.case.is_good()).count();
        connections.push(connection);
    }
    let told = at_once(connections.len(), |index| connections[index].hold(scene.gateway.proxy));
    let found = connections.iter().zip(&told).map(|(connection, told)| hold_told(connection, told));
    oracle::all_hold(found.collect());
    let audit = scene.stop();
    let cases: Vec<Case> = connections
        .iter()
        .flat_map(|it| it.streams.iter().map(|stream| stream.case.clone()))
        .collect();
    let tally = oracle::hold(&Cases::in_order(&cases), None, &recorder.seen(), &audit);
    println!(
        "proof: {} streams, {count} of them hostile, on {} connections, seed {seed}: {tally:?}",
        cases.len(),
        connections.len()
    );
    assert!(tally.seen * 10 > cases.len(), "hardly anything was allowed: {tally:?}");
}
