//! What one client writes on one connection, and what it is told.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::harness::client::{Answer, read_answer};

use super::draft::{After, Draft};
use super::families::{Case, hostile};
use super::rng::Rng;
use super::scene::Ground;

/// Numbers of requests that belong to one conversation.
pub const NUMBERS: usize = 16;

/// Longer than every deadline of the gateway.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Debug)]
pub struct Conversation {
    pub index: usize,
    pub cases: Vec<Case>,
    /// The bytes, as they are written one after the other.
    pub pieces: Vec<Vec<u8>>,
}

impl Conversation {
    /// Good and hostile requests, the last one of which ends the connection.
    pub fn new(seed: u64, index: usize, ground: &Ground) -> Self {
        let mut rng = Rng::new(seed ^ (index as u64).wrapping_mul(0x2545_f491_4f6c_dd1d));
        let mut cases: Vec<Case> = Vec::new();
        let number = |cases: &Vec<Case>| index * NUMBERS + cases.len();
        let most = 1 + rng.below(5);
        let mut going_on = true;
        while going_on && cases.iter().filter(|case| !case.is_good()).count() < most {
            if rng.percent(40) {
                let draft = Draft::new(&mut rng, ground, number(&cases));
                cases.push(Case::good(&draft));
            }
            let case = hostile(&mut rng, ground, number(&cases));
            going_on = case.fate.after == After::GoesOn;
            cases.push(case);
        }
        // Nobody answers these, unless the hostile one before them left the connection in step.
        for _ in 0..=usize::from(!going_on) {
            let mut last = Draft::new(&mut rng, ground, number(&cases));
            last.field("connection", "close");
            last.fate = last.fate.and_ends();
            cases.push(Case::good(&last));
        }
        let pieces = split(&mut rng, &cases);
        Self { index, cases, pieces }
    }

    pub fn hostile(&self) -> usize {
        self.cases.iter().filter(|case| !case.is_good()).count()
    }

    /// Writes everything and reads until the gateway ends the connection.
    pub fn hold(&self, gateway: SocketAddr) -> Told {
        let mut stream = TcpStream::connect(gateway).expect("the gateway listens");
        stream.set_nodelay(true).expect("an option");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        let began = Instant::now();
        for piece in &self.pieces {
            // What is refused in the middle need not be taken to its end.
            if stream.write_all(piece).is_err() {
                break;
            }
            std::thread::yield_now();
        }
        let mut told = Told { writing: began.elapsed(), ..Told::default() };
        let mut reader = BufReader::new(stream);
        loop {
            match read_answer(&mut reader, false) {
                Ok(answer) => told.answers.push(answer),
                Err(error) => {
                    told.in_time = error.kind() != std::io::ErrorKind::WouldBlock;
                    return told;
                }
            }
        }
    }
}

/// What came back on a connection, without interim answers.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub answers: Vec<Answer>,
    /// The connection ended before the client's patience did.
    pub in_time: bool,
    /// How long it took to write everything.
    writing: Duration,
}

impl Told {
    /// The machine kept this client waiting between two pieces for so long that the gateway may have
    /// ended the connection: the body of a refused request has to come within 250 ms.
    pub fn was_slow(&self) -> bool {
        self.writing > Duration::from_millis(200)
    }

    /// Status and id of every answer.
    pub fn shown(&self) -> String {
        let id = |answer: &Answer| answer.header("x-request-id").unwrap_or("-").to_owned();
        let all = self.answers.iter().map(|answer| format!("{} {}", answer.status, id(answer)));
        let (all, writing) = (all.collect::<Vec<_>>().join(", "), self.writing);
        format!("told: {all}; written in {writing:?}")
    }
}

/// In one piece, in a few, or byte by byte.
fn split(rng: &mut Rng, cases: &[Case]) -> Vec<Vec<u8>> {
    let all: Vec<u8> = cases.iter().flat_map(|case| case.bytes.iter().copied()).collect();
    match rng.below(20) {
        0 if all.len() < 2_000 => all.chunks(1).map(<[u8]>::to_vec).collect(),
        0..8 => {
            let mut cuts: Vec<usize> = (0..=rng.below(4)).map(|_| rng.below(all.len())).collect();
            cuts.extend([0, all.len()]);
            cuts.sort_unstable();
            cuts.windows(2).map(|two| all[two[0]..two[1]].to_vec()).collect()
        }
        8..12 => cases.iter().map(|case| case.bytes.clone()).collect(),
        _ => vec![all],
    }
}
