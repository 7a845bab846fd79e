//! A DNS server that says what a test wants (RFC 1035): A records over UDP, nothing else.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;

/// Of one name: its address and TTL, or the code of an answer without any (RFC 1035, section 4.1.1).
#[derive(Clone, Copy)]
pub enum Says {
    Address(Ipv4Addr, u32),
    Code(u8),
    Nothing,
}

pub const SERVER_FAILURE: u8 = 2;
pub const NO_SUCH_NAME: u8 = 3;

const A: [u8; 2] = [0, 1];
const ALIAS: [u8; 2] = [0, 5];

#[derive(Default)]
struct Zone {
    says: BTreeMap<String, Says>,
    aliases: BTreeMap<String, (String, u32)>,
    asked: BTreeMap<String, usize>,
}

pub struct Dns {
    pub address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
}

impl Dns {
    pub async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let address = socket.local_addr().expect("bound");
        let zone = Arc::<Mutex<Zone>>::default();
        let answers = Arc::clone(&zone);
        tokio::spawn(async move {
            let mut bytes = [0; 1500];
            loop {
                let (length, from) = socket.recv_from(&mut bytes).await.expect("a question");
                let answer = answers.lock().expect("whole").answer(&bytes[..length]);
                if let Some(answer) = answer {
                    socket.send_to(&answer, from).await.expect("sent");
                }
            }
        });
        Self { address, zone }
    }

    pub fn says(&self, name: &str, says: Says) {
        self.zone.lock().expect("whole").says.insert(name.to_owned(), says);
    }

    pub fn alias(&self, name: &str, of: &str, ttl: u32) {
        let of = (of.to_owned(), ttl);
        self.zone.lock().expect("whole").aliases.insert(name.to_owned(), of);
    }

    /// How often the addresses (A) of a name were asked for.
    pub fn asked(&self, name: &str) -> usize {
        self.zone.lock().expect("whole").asked.get(name).copied().unwrap_or(0)
    }
}

impl Zone {
    fn answer(&mut self, question: &[u8]) -> Option<Vec<u8>> {
        let (name, end) = name(question);
        let is_address = question[end..end + 2] == A;
        *self.asked.entry(name.clone()).or_default() += usize::from(is_address);
        let alias = self.aliases.get(&name).cloned();
        let target = alias.as_ref().map_or(&name, |(target, _)| target);
        let says = *self.says.get(target).unwrap_or(&Says::Code(NO_SUCH_NAME));
        let mut records = Vec::new();
        let code = match says {
            Says::Nothing => return None,
            Says::Code(code) => code,
            Says::Address(..) if !is_address => 0,
            Says::Address(address, ttl) => {
                let mut owner = vec![0xc0, 12];
                if let Some((target, ttl)) = &alias {
                    let target = labels(target);
                    records.push(record(&owner, ALIAS, *ttl, &target));
                    owner = target;
                }
                records.push(record(&owner, A, ttl, &address.octets()));
                0
            }
        };
        let count = u8::try_from(records.len()).expect("few");
        let mut answer = question[..2].to_vec();
        answer.extend([0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]);
        answer.extend(&question[12..end + 4]);
        answer.extend(records.concat());
        Some(answer)
    }
}

/// What is asked for, and where it ends.
fn name(question: &[u8]) -> (String, usize) {
    let (mut at, mut name) = (12, String::new());
    while question[at] != 0 {
        let end = at + 1 + usize::from(question[at]);
        name.push_str(std::str::from_utf8(&question[at + 1..end]).expect("a label"));
        name.push('.');
        at = end;
    }
    (name.trim_end_matches('.').to_ascii_lowercase(), at + 1)
}

fn labels(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).expect("short"));
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

fn record(owner: &[u8], kind: [u8; 2], ttl: u32, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).expect("short").to_be_bytes();
    [owner, &kind, &[0, 1], &ttl.to_be_bytes(), &length, data].concat()
}
