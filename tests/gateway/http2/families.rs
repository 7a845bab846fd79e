//! Hostile streams: the families that every transport has, and those that only frames can say.

use super::super::draft::{Draft, Fate, Forwarded};
use super::super::families::{Case, MUTANTS, parts};
use super::super::rng::Rng;
use super::super::scene::Ground;
use super::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Fields, HEADERS, PADDED, PING, RST_STREAM,
    SETTINGS, block, frame, headers,
};

/// A request on a stream.
pub struct Stream {
    pub case: Case,
    pub id: u32,
    pub frames: Vec<u8>,
    /// They may end the whole connection.
    pub ends_connection: bool,
    /// The client ended the stream itself: nothing has to come back.
    pub is_reset: bool,
}

/// Names that HTTP/2 does not have (RFC 9113, section 8.2.2).
const OF_HTTP_1: &[&[u8]] =
    &[b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"te"];

fn fields(draft: &Draft) -> Fields {
    let mut fields: Fields = vec![
        (b":method".to_vec(), draft.method.clone()),
        (b":scheme".to_vec(), b"http".to_vec()),
        (b":path".to_vec(), draft.target.clone()),
    ];
    let mut hosts = draft.hosts.iter();
    if let Some(host) = hosts.next() {
        fields.push((b":authority".to_vec(), host.clone()));
    }
    fields.extend(hosts.map(|host| (b"host".to_vec(), host.clone())));
    let lower = |(name, value): &(Vec<u8>, Vec<u8>)| (name.to_ascii_lowercase(), value.clone());
    fields.extend(draft.fields.iter().map(lower));
    fields
}

fn data(id: u32, content: &[u8]) -> Vec<u8> {
    frame(DATA, END_STREAM, id, content)
}

fn whole(id: u32, fields: &Fields, content: &[u8]) -> Vec<u8> {
    let head = headers(id, &block(fields), 16_000, content.is_empty());
    if content.is_empty() { head } else { [head, data(id, content)].concat() }
}

pub fn good(draft: &Draft, id: u32) -> Stream {
    let frames = whole(id, &fields(draft), &draft.content);
    Stream { case: Case::good(draft), id, frames, ends_connection: false, is_reset: false }
}

pub fn hostile(rng: &mut Rng, ground: &Ground, number: usize, id: u32) -> Stream {
    if rng.percent(45) {
        return of_every_transport(rng, ground, number, id);
    }
    let mut draft = Draft::new(rng, ground, number);
    let (name, family) = *rng.pick(FAMILIES);
    let made = family(rng, &mut draft, id);
    let mut case = Case::bent(name, &draft, made.fate);
    case.content = made.content.unwrap_or(draft.content);
    Stream {
        case,
        id,
        frames: made.frames,
        ends_connection: made.ends_connection,
        is_reset: name == BROKEN,
    }
}

/// A family that also HTTP/1.1 has.
fn of_every_transport(rng: &mut Rng, ground: &Ground, number: usize, id: u32) -> Stream {
    let (name, draft, mut fate) = parts(rng, ground, number);
    let told = fields(&draft);
    let foreign = told.iter().any(|(name, _)| OF_HTTP_1.contains(&name.as_slice()));
    fate.forwarded = match fate.forwarded {
        _ if foreign => Forwarded::Never,
        // A Host that is the authority once more is none too many.
        Forwarded::Never if name == "hosts" && draft.hosts.len() == 2 => Forwarded::Maybe,
        Forwarded::Must | Forwarded::Maybe => Forwarded::Maybe,
        Forwarded::Broken => Forwarded::Broken,
        Forwarded::Never => Forwarded::Never,
    };
    // The version is no field here.
    if name == "versions" {
        fate.forwarded = Forwarded::Maybe;
    }
    let frames = whole(id, &told, &draft.content);
    Stream {
        case: Case::bent(name, &draft, fate),
        id,
        frames,
        ends_connection: name == "sizes",
        is_reset: false,
    }
}

struct Made {
    fate: Fate,
    frames: Vec<u8>,
    /// What a tool reads, when it is not the draft's.
    content: Option<Vec<u8>>,
    ends_connection: bool,
}

impl Made {
    fn of(fate: Fate, frames: Vec<u8>) -> Self {
        Self { fate, frames, content: None, ends_connection: false }
    }

    fn ending(fate: Fate, frames: Vec<u8>) -> Self {
        Self { ends_connection: true, ..Self::of(fate, frames) }
    }
}

type Family = fn(&mut Rng, &mut Draft, u32) -> Made;

const FAMILIES: &[(&str, Family)] = &[
    ("odd names", odd_names),
    ("odd values", odd_values),
    ("pseudo-headers", pseudo),
    ("split requests", split),
    ("lengths of data", lengths),
    ("trailers", trailers),
    ("cut into frames", pieces),
    (BROKEN, broken),
    ("frames out of place", out_of_place),
    (MUTANTS, mutants),
];

const BROKEN: &str = "broken off";

const ODD_NAMES: &[&[u8]] = &[
    b"",
    b" ",
    b"x y",
    b"x:",
    b":x",
    b"x\r\ntidegate-subject",
    b"x\n",
    b"x\0",
    b"X-Upper",
    b"Tidegate-Subject",
    b"tidegate-subject ",
    b" tidegate-subject",
    b"tidegate-subject\t",
    b"x\x7f",
    b"x\xe4",
    b"(x)",
    b"x/y",
    b"\"x\"",
    b"connection",
    b"upgrade",
    b"transfer-encoding",
    b"keep-alive",
    b"proxy-connection",
    b"http2-settings:",
];

fn odd_names(rng: &mut Rng, draft: &mut Draft, id: u32) -> Made {
    let (mut fields, name) = (fields(draft), rng.pick(ODD_NAMES).to_vec());
    fields.push((name.clone(), b"forged".to_vec()));
    // For those who read of a failure.
    draft.field(name, "forged");
    Made::ending(Fate::REFUSED, whole(id, &fields, &draft.content))
}

const ODD_VALUES: &[&[u8]] = &[
    b"x\r\ntidegate-subject: forged",
    b"x\ntidegate-subject: forged",
    b"x\rforged",
    b"x\0forged",
    b"x\r\n\r\nGET /forged HTTP/1.1\r\n",
    b"\x01forged",
    b"forged\x7f",
    b"\x0bforged",
];

fn odd_values(rng: &mut Rng, draft: &mut Draft, id: u32) -> Made {
    let mut fields = fields(draft);
    fields.push((b"x-value".to_vec(), rng.pick(ODD_VALUES).to_vec()));
    Made::ending(Fate::REFUSED, whole(id, &fields, &draft.content))
}

fn pseudo(rng: &mut Rng, draft: &mut Draft, id: u32) -> Made {
    let mut fields = fields(draft);
    let named = |fields: &Fields, name: &[u8]| fields.iter().position(|(key, _)| key == name);
    let mut fate = Fate::REFUSED;
    match rng.below(12) {
        0 => fields.insert(0, fields[0].clone()),
        1 => fields.insert(2, (b":path".to_vec(), b"/public/forged".to_vec())),
        2 => fields.insert(2, (b":authority".to_vec(), b"evil.test".to_vec())),
        3 => {
            fields.remove(rng.below(3));
        }
        4 => fields[2].1.clear(),
        5 => {
            let moved = fields.remove(rng.below(3));
            fields.push(moved);
        }
        6 => fields.insert(3, (b":forged".to_vec(), b"x".to_vec())),
        7 => fields.insert(3, (b":status".to_vec(), b"200".to_vec())),
        8 => fields.insert(3, (b":protocol".to_vec(), b"websocket".to_vec())),
        9 => {
            fields[1].1 = rng
                .pick(&["ftp", "", "http:", "HTTP/1.1\r\nX: y", "http://x/", "ws"])
                .as_bytes()
                .to_vec();
        }
        10 => {
            fields[0].1 = b"CONNECT".to_vec();
            // With a length the library ends the connection, and every stream on it.
            if rng.percent(50) && named(&fields, b"content-length").is_none() {
                fields.insert(3, (b":protocol".to_vec(), b"forged".to_vec()));
            }
        }
        _ => {
            if let Some(at) = named(&fields, b":authority") {
                let host = fields[at].1.clone();
                let odd: [&[u8]; 4] = [b"user@", b"http://", b"evil.test,", b"evil.test@"];
                fields[at].1 = [*rng.pick(&odd), &host].concat();
            }
            fate = Fate::REFUSED;
        }
    }
    Made::of(fate, whole(id, &fields, &draft.content))
}

/// Values that would be a request of their own on HTTP/1.1.
fn split(rng: &mut Rng, draft: &mut Draft, id: u32) -> Made {
    let mut fields = fields(draft);
    let at = *rng.pick(&[0, 2, 3]);
    let hidden = draft.hidden();
    let mut odd = match rng.below(3) {
        0 => [fields[at].1.as_slice(), b" HTTP/1.1\r\nHost: x\r\n\r\n", &hidden].concat(),
        1 => [fields[at].1.as_slice(), b"\r\n", &hidden].concat(),
        _ => [fields[at].1.as_slice(), b" x"].concat(),
    };
    std::mem::swap(&mut fields[at].1, &mut odd);
    Made::ending(Fate::REFUSED, whole(id, &fields, &draft.content))
}

/// `content-length` and DATA that differ; lengths and codings that HTTP/2 does not need.
fn lengths(rng: &mut Rng, draft: &mut Draft, id: u32) -> Made {
    draft.without("content-length");
    let mut fields = fields(draft);
    let hidden = draft.hidden();
    let length = |length: usize| (b"content-length".to_vec(), length.to_string().into_bytes());
    match rng.below(6) {
        0 => fields.push(length(hidden.len() + 1 + rng.below(50))),
        1 => fields.push(length(hidden.len() - 1 - rng.below(20))),
        2 => fields.push(length(0)),
        3 => fields.push((b"content-length".to_vec(), b"+5".to_vec())),
        4 => {
            fields.push(length(hidden.len()));
            fields.push(length(3));
        }
        _ => fields.push((b"transfer-encoding".to_vec(), b"chunked".to_vec())),
    }
    let fate = Fate { forwarded: Forwarded::Broken, ..Fate::REFUSED };
    Made { content: Some(hidden.clone()), ..Made::of(fate, whole(id, &fields, &hidden)) }
}

fn trailers(rng: &mut Rng, draft: &mut Draft, id: u32) -> Made {
    draft.without("content-length");
    let content = draft.hidden();
    let names: [&[u8]; 7] = [
        b"tidegate-subject",
        b"tidegate_grants",
        b"host",
        b"authorization",
        b":path",
        b"content-length",
        b"\"x\"",
    ];
    let trailer: Fields = vec![(rng.pick(&names).to_vec(), b"forged".to_vec())];
    let frames = [
        headers(id, &block(&fields(draft)), 16_000, false),
        frame(DATA, 0, id, &content),
        headers(id, &block(&trailer), 16_000, true),
    ]
    .concat();
    let fate = Fate { forwarded: Forwarded::Broken, ..draft.fate };
    Made { content: Some(content), ..Made::of(fate, frames) }
}

/// A good request in many small frames, some of them padded.
fn pieces(rng: &mut Rng, draft: &mut Draft, id: u32) -> Made {
    draft.without("content-length");
    let content = draft.hidden();
    let mut frames = headers(id, &block(&fields(draft)), 20 + rng.below(200), false);
    for part in content.chunks(7 + rng.below(20)) {
        let padded = [&[3], part, b"\0\0\0"].concat();
        let padding = rng.percent(50);
        let (flags, payload) = if padding { (PADDED, padded.as_slice()) } else { (0, part) };
        frames.extend(frame(DATA, flags, id, payload));
    }
    frames.extend(data(id, b""));
    Made { content: Some(content), ..Made::of(draft.fate, frames) }
}

fn broken(rng: &mut Rng, draft: &mut Draft, id: u32) -> Made {
    let reset = frame(RST_STREAM, 0, id, &8_u32.to_be_bytes());
    let head = headers(id, &block(&fields(draft)), 16_000, false);
    let frames = match rng.below(3) {
        0 => [head, reset].concat(),
        1 => [head, frame(DATA, 0, id, &draft.hidden()), reset].concat(),
        _ => [whole(id, &fields(draft), &draft.content), reset].concat(),
    };
    Made::of(Fate { forwarded: Forwarded::Broken, ..Fate::OPEN }, frames)
}

/// Frames that belong to no stream, or to one that is over: the end of the connection.
fn out_of_place(rng: &mut Rng, draft: &mut Draft, id: u32) -> Made {
    let good = whole(id, &fields(draft), &draft.content);
    let hidden = block(&vec![
        (b":method".to_vec(), b"GET".to_vec()),
        (b":scheme".to_vec(), b"http".to_vec()),
        (b":path".to_vec(), b"/public/forged".to_vec()),
        (b":authority".to_vec(), draft.hosts[0].clone()),
    ]);
    let bad = match rng.below(9) {
        0 => headers(id - 1, &hidden, 16_000, true),
        1 => headers(0, &hidden, 16_000, true),
        2 => data(0, b"x"),
        3 => frame(CONTINUATION, END_HEADERS, id, &hidden),
        4 => frame(SETTINGS, 0, 0, b"abc"),
        5 => frame(PING, 0, 0, b"abc"),
        6 => frame(HEADERS, END_HEADERS | END_STREAM, id + 2, b"\xff\xff\xff\xff\xff"),
        7 => [frame(HEADERS, END_STREAM, id + 2, &hidden[..5]), data(id, b"x")].concat(),
        _ => frame(DATA, PADDED, id + 2, b"\xffx"),
    };
    let fate = Fate { forwarded: Forwarded::Broken, ..Fate::OPEN };
    Made::ending(fate, [good, bad].concat())
}

fn mutants(rng: &mut Rng, draft: &mut Draft, id: u32) -> Made {
    let mut frames = whole(id, &fields(draft), &draft.content);
    let kept = super::super::draft::mark(draft.number);
    for _ in 0..=rng.below(3) {
        let marks: Vec<usize> = memchr::memmem::find_iter(&frames, kept.as_bytes()).collect();
        let at = rng.below(frames.len());
        if marks.iter().all(|start| !(*start..*start + kept.len()).contains(&at)) {
            frames[at] = *rng.pick(b"\r\n\x00 \x01\x7f\xff:/.#%a5");
        }
    }
    Made::ending(Fate::UNSURE, frames)
}
