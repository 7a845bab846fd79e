//! What RFC 9113 and RFC 7541 say of frames that must not be: the connection ends with a GOAWAY, or the
//! stream with a `RST_STREAM`, for a reason that they name. Where the library knows only the unspecific
//! `PROTOCOL_ERROR`, that one counts, too.

use super::h2_client::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM, Raw,
    SETTINGS, WINDOW_UPDATE, block, fields, frame, request,
};
use super::harness::Harness;
use super::tool::Answer;

const PUSH_PROMISE: u8 = 5;
const UNKNOWN: u8 = 0xbe;
const PADDED: u8 = 8;
const ACK: u8 = 1;

/// The codes of RFC 9113, section 7.
const PROTOCOL: u32 = 1;
const FLOW_CONTROL: u32 = 3;
const CLOSED: u32 = 5;
const FRAME_SIZE: u32 = 6;
const REFUSED: u32 = 7;
const COMPRESSION: u32 = 9;

const SIZE: &[u32] = &[FRAME_SIZE, PROTOCOL];
const LATE: &[u32] = &[CLOSED, PROTOCOL];
const WINDOW: &[u32] = &[FLOW_CONTROL, PROTOCOL];
const UNREADABLE: &[u32] = &[COMPRESSION, PROTOCOL];

#[derive(Clone, Copy, Debug)]
enum Fate {
    /// GOAWAY for one of these reasons.
    Ends(&'static [u32]),
    /// `RST_STREAM` for one of these reasons. Any error of a stream may be one of the connection
    /// (section 5.4.2).
    Resets(&'static [u32]),
    /// A malformed request (section 8.1.1): the stream is reset, or answered with 400.
    Malformed,
    /// Nothing happens: a PING behind it is answered.
    Lives,
    /// The tool's answer comes, as if it had not been there.
    Passes,
}

use Fate::{Ends, Lives, Malformed, Passes, Resets};

#[derive(Debug, PartialEq, Eq)]
enum Seen {
    GoAway(u32),
    Reset(u32),
    /// An answer that begins with this byte of its header block.
    Answered(Option<u8>),
    Pong,
    Nothing,
}

impl Fate {
    fn is(self, seen: &Seen) -> bool {
        match (self, seen) {
            (Ends(codes), Seen::GoAway(code))
            | (Resets(codes), Seen::GoAway(code) | Seen::Reset(code)) => codes.contains(code),
            (Malformed, Seen::GoAway(code) | Seen::Reset(code)) => *code == PROTOCOL,
            // `:status: 400` in the static table (RFC 7541, appendix A), and 200 below.
            (Malformed, Seen::Answered(first)) => *first == Some(0x8c),
            (Passes, Seen::Answered(first)) => *first == Some(0x88),
            (Lives, Seen::Pong) => true,
            (Ends(_) | Resets(_) | Malformed | Lives | Passes, _) => false,
        }
    }
}

/// What comes first of that which decides.
async fn seen(raw: &mut Raw) -> Seen {
    loop {
        let Some((kind, flags, payload)) = raw.next().await else { return Seen::Nothing };
        let code = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().expect("four"));
        match kind {
            GOAWAY => return Seen::GoAway(code(4)),
            RST_STREAM => return Seen::Reset(code(0)),
            HEADERS => return Seen::Answered(payload.first().copied()),
            PING if flags & ACK != 0 => return Seen::Pong,
            _ => (),
        }
    }
}

/// Before the frames of a case.
#[derive(Clone, Copy, Debug)]
enum Before {
    Nothing,
    /// Stream 1 is open: its request has a body that has not come.
    Open,
    /// Half closed: the request is whole, and not answered yet.
    HalfClosed,
    /// The client reset it.
    Reset,
    /// It was answered.
    Closed,
}

use Before::{Closed, HalfClosed, Nothing, Open, Reset};

const QUIET: &str = "/healthz?quiet";

fn open(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &block(&fields(QUIET)))
}

async fn after(gateway: &Harness, before: Before) -> Raw {
    let mut raw = Raw::open(gateway.address()).await;
    let cancel = frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes());
    let begun = match before {
        Nothing => Vec::new(),
        Open => open(1),
        HalfClosed => request(1, &fields(QUIET)),
        Reset => [open(1), cancel].concat(),
        Closed => request(1, &fields("/healthz")),
    };
    assert!(raw.send(&begun).await);
    let mut is_answered = !matches!(before, Closed);
    while !is_answered {
        let (kind, flags, _) = raw.next().await.expect("an answer");
        is_answered = matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0;
    }
    raw
}

/// The request with one field put instead of another (or none), or behind all others.
fn with_field(instead_of: &str, field: Option<(&'static str, &'static str)>) -> Vec<u8> {
    let mut all = fields("/healthz");
    match all.iter().position(|(name, _)| *name == instead_of) {
        Some(at) => drop(all.splice(at..=at, field)),
        None => all.extend(field),
    }
    request(1, &all)
}

fn setting(id: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
}

fn body_of(length: &'static str, pieces: &[&[u8]]) -> Vec<u8> {
    let mut all = fields("/healthz");
    all.push(("content-length", length));
    let mut bytes = frame(HEADERS, END_HEADERS, 1, &block(&all));
    for (at, piece) in pieces.iter().enumerate() {
        let end = if at + 1 == pieces.len() { END_STREAM } else { 0 };
        bytes.extend(frame(DATA, end, 1, piece));
    }
    bytes
}

type Case = (&'static str, Before, Vec<u8>, Fate);

async fn hold(cases: Vec<Case>) {
    let gateway = Harness::start().await;
    gateway.tool.answers(|seen| match seen.target() {
        QUIET => Answer::Silence,
        _ => Answer::ok(),
    });
    let mut wrong = Vec::new();
    for (name, before, frames, fate) in cases {
        let mut raw = after(&gateway, before).await;
        raw.send(&frames).await;
        if matches!(fate, Lives) {
            raw.send(&frame(PING, 0, 0, b"are you?")).await;
        }
        let seen = seen(&mut raw).await;
        if !fate.is(&seen) {
            wrong.push(format!("{name}: {seen:?}, not {fate:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    gateway.partial_is_fine.store(true, std::sync::atomic::Ordering::SeqCst);
}

#[tokio::test]
async fn frames_that_are_malformed_end_the_connection_or_their_stream() {
    let large = vec![0; 16_385];
    let head = block(&fields("/healthz"));
    hold(vec![
        ("4.1 unknown type", Nothing, frame(UNKNOWN, 0, 0, &[1]), Lives),
        ("4.1 unknown flags", Nothing, frame(PING, 0xf0 | ACK, 0, &[0; 8]), Lives),
        ("4.1 reserved bit", Nothing, frame(UNKNOWN, 0, 1 << 31, &[]), Lives),
        ("4.2 large DATA", Open, frame(DATA, 0, 1, &large), Resets(SIZE)),
        ("4.2 large HEADERS", Nothing, frame(HEADERS, 5, 1, &large), Ends(SIZE)),
        ("6.1 DATA on 0", Nothing, frame(DATA, 0, 0, b"x"), Ends(&[PROTOCOL])),
        ("6.1 padding", Open, frame(DATA, PADDED, 1, &[5, 1]), Ends(&[PROTOCOL])),
        ("6.2 HEADERS on 0", Nothing, frame(HEADERS, 5, 0, &head), Ends(&[PROTOCOL])),
        ("6.2 padding", Nothing, frame(HEADERS, 5 | PADDED, 1, &[9, 0x82]), Ends(&[PROTOCOL])),
        ("6.3 PRIORITY on 0", Nothing, frame(PRIORITY, 0, 0, &[0; 5]), Ends(&[PROTOCOL])),
        ("6.3 length", Nothing, frame(PRIORITY, 0, 1, &[0; 4]), Resets(SIZE)),
        ("6.3 on idle", Nothing, frame(PRIORITY, 0, 7, &[0, 0, 0, 1, 1]), Lives),
        ("6.4 RST_STREAM on 0", Nothing, frame(RST_STREAM, 0, 0, &[0; 4]), Ends(&[PROTOCOL])),
        ("6.4 length", Open, frame(RST_STREAM, 0, 1, &[0; 3]), Ends(SIZE)),
        ("6.5 ACK with content", Nothing, frame(SETTINGS, ACK, 0, &[0; 6]), Ends(SIZE)),
        ("6.5 on a stream", Nothing, frame(SETTINGS, 0, 1, &[]), Ends(&[PROTOCOL])),
        ("6.5 length", Nothing, frame(SETTINGS, 0, 0, &[0; 5]), Ends(SIZE)),
        ("6.5.2 ENABLE_PUSH", Nothing, setting(2, 2), Ends(&[PROTOCOL])),
        ("6.5.2 window", Nothing, setting(4, 1 << 31), Ends(WINDOW)),
        ("6.5.2 small frames", Nothing, setting(5, 16_383), Ends(&[PROTOCOL])),
        ("6.5.2 large frames", Nothing, setting(5, 1 << 24), Ends(&[PROTOCOL])),
        ("6.5.2 unknown", Nothing, setting(0xff, 1), Lives),
        ("6.6 from a client", Nothing, frame(PUSH_PROMISE, 4, 1, &[0, 0, 0, 2]), Ends(&[PROTOCOL])),
        ("6.7 on a stream", Nothing, frame(PING, 0, 1, &[0; 8]), Ends(&[PROTOCOL])),
        ("6.7 length", Nothing, frame(PING, 0, 0, &[0; 7]), Ends(SIZE)),
        ("6.8 on a stream", Nothing, frame(GOAWAY, 0, 1, &[0; 8]), Ends(&[PROTOCOL])),
        ("6.9 nothing", Nothing, frame(WINDOW_UPDATE, 0, 0, &[0; 4]), Ends(&[PROTOCOL])),
        ("6.9 nothing of 1", Open, frame(WINDOW_UPDATE, 0, 1, &[0; 4]), Resets(&[PROTOCOL])),
        ("6.9 length", Nothing, frame(WINDOW_UPDATE, 0, 0, &[0; 3]), Ends(SIZE)),
        ("6.9.1 too much", Nothing, frame(WINDOW_UPDATE, 0, 0, &MOST), Ends(WINDOW)),
        ("6.9.1 too much of 1", Open, frame(WINDOW_UPDATE, 0, 1, &MOST), Resets(WINDOW)),
        ("6.9.2 too much of 1", Open, grown(), Ends(WINDOW)),
    ])
    .await;
}

const MOST: [u8; 4] = (u32::MAX >> 1).to_be_bytes();

/// A window that is as large as it may be, and then begins larger.
fn grown() -> Vec<u8> {
    let rest = (u32::MAX >> 1) - 65_535;
    [frame(WINDOW_UPDATE, 0, 1, &rest.to_be_bytes()), setting(4, 65_536)].concat()
}

#[tokio::test]
async fn frames_in_the_wrong_state_end_the_connection_or_their_stream() {
    let data = || frame(DATA, END_STREAM, 1, b"x");
    let again = || request(1, &fields("/healthz"));
    let piece = || frame(CONTINUATION, END_HEADERS, 1, &[]);
    let update = |stream| frame(WINDOW_UPDATE, 0, stream, &[0, 0, 0, 1]);
    let begun = || frame(HEADERS, END_STREAM, 1, &block(&fields("/healthz")));
    let reset = || frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes());
    let then = |second: Vec<u8>| [begun(), second].concat();
    hold(vec![
        ("5.1 idle: DATA", Nothing, data(), Ends(&[PROTOCOL])),
        ("5.1 idle: RST_STREAM", Nothing, reset(), Ends(&[PROTOCOL])),
        ("5.1 idle: WINDOW_UPDATE", Nothing, update(1), Ends(&[PROTOCOL])),
        ("5.1 idle: CONTINUATION", Nothing, piece(), Ends(&[PROTOCOL])),
        ("5.1 half closed: DATA", HalfClosed, data(), Resets(LATE)),
        ("5.1 half closed: HEADERS", HalfClosed, again(), Resets(LATE)),
        ("5.1 half closed: CONTINUATION", HalfClosed, piece(), Ends(LATE)),
        ("5.1 half closed: WINDOW_UPDATE", HalfClosed, update(1), Lives),
        ("5.1 reset: DATA", Reset, data(), Resets(LATE)),
        ("5.1 reset: HEADERS", Reset, again(), Resets(LATE)),
        ("5.1 reset: CONTINUATION", Reset, piece(), Ends(LATE)),
        ("5.1 closed: DATA", Closed, data(), Resets(LATE)),
        ("5.1 closed: HEADERS", Closed, again(), Resets(LATE)),
        ("5.1 closed: CONTINUATION", Closed, piece(), Ends(LATE)),
        ("5.1 closed: PRIORITY", Closed, frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1]), Lives),
        ("5.1.1 even", Nothing, request(2, &fields("/healthz")), Ends(&[PROTOCOL])),
        ("5.1.1 lower", Nothing, [open(5), open(3)].concat(), Ends(LATE)),
        ("5.1.2 too many", Nothing, (0..101).flat_map(|n| open(n * 2 + 1)).collect(), {
            Resets(&[REFUSED, PROTOCOL])
        }),
        ("4.3 PRIORITY within", Nothing, then(frame(PRIORITY, 0, 1, &[0; 5])), Ends(&[PROTOCOL])),
        ("4.3 HEADERS within", Nothing, then(request(3, &[])), Ends(&[PROTOCOL])),
        ("4.3 another's", Nothing, then(frame(CONTINUATION, 4, 3, &[])), Ends(&[PROTOCOL])),
        ("5.5 unknown within", Nothing, then(frame(UNKNOWN, 0, 0, &[])), Ends(&[PROTOCOL])),
        ("6.10 on 0", Nothing, then(frame(CONTINUATION, 4, 0, &[])), Ends(&[PROTOCOL])),
        ("6.10 after the end", HalfClosed, [update(0), piece()].concat(), Ends(LATE)),
    ])
    .await;
}

#[tokio::test]
async fn header_blocks_that_cannot_be_decoded_end_the_connection() {
    let head = |bytes: &[u8]| frame(HEADERS, END_STREAM | END_HEADERS, 1, bytes);
    let size = |block: &[u8]| [block, &[0x20]].concat();
    hold(vec![
        ("7541 6.1 index 0", Nothing, head(&[0x80]), Ends(UNREADABLE)),
        ("7541 2.3.3 no such index", Nothing, head(&[0xff, 0x20]), Ends(UNREADABLE)),
        ("7541 4.2 size at the end", Nothing, head(&size(&block(&fields("/healthz")))), {
            Ends(UNREADABLE)
        }),
        ("7541 6.3 size too large", Nothing, head(&[0x3f, 0xe1, 0xff, 0x03]), Ends(UNREADABLE)),
        ("7541 5.2 end of string", Nothing, head(&[0x00, 0x85, 0xff, 0xff, 0xff, 0xff, 0xff]), {
            Ends(UNREADABLE)
        }),
        ("7541 5.2 too short", Nothing, head(&[0x00, 0x05, b'x']), Ends(UNREADABLE)),
        ("7541 5.1 endless number", Nothing, head(&[0xff; 20]), Ends(UNREADABLE)),
    ])
    .await;
}

#[tokio::test]
async fn malformed_requests_reach_no_tool() {
    let odd = |field| with_field("", Some(field));
    let without = |name| with_field(name, None);
    let trailers = |end, field: (&str, &str)| {
        let first = frame(HEADERS, END_HEADERS, 1, &block(&fields("/healthz")));
        [first, frame(HEADERS, END_HEADERS | end, 1, &block(&[field]))].concat()
    };
    hold(vec![
        ("8.2.1 upper case", Nothing, odd(("X-Odd", "1")), Malformed),
        ("8.2.1 space", Nothing, odd(("x odd", "1")), Malformed),
        ("8.2.2 connection", Nothing, odd(("connection", "keep-alive")), Malformed),
        ("8.2.2 transfer-encoding", Nothing, odd(("transfer-encoding", "chunked")), Malformed),
        ("8.2.2 te", Nothing, odd(("te", "gzip")), Malformed),
        ("8.3 unknown", Nothing, odd((":odd", "1")), Malformed),
        ("8.3 of a response", Nothing, odd((":status", "200")), Malformed),
        ("8.3 after others", Nothing, odd((":path", "/healthz")), Malformed),
        // The library leaves it out of the trailers, where it should refuse the request.
        ("8.3 in trailers", Nothing, trailers(END_STREAM, (":path", "/")), Passes),
        ("8.1 trailers without an end", Nothing, trailers(0, ("x-odd", "1")), Malformed),
        ("8.3.1 empty path", Nothing, with_field(":path", Some((":path", ""))), Malformed),
        ("8.3.1 no method", Nothing, without(":method"), Malformed),
        ("8.3.1 no scheme", Nothing, without(":scheme"), Malformed),
        ("8.3.1 no path", Nothing, without(":path"), Malformed),
        ("8.1.1 shorter", Nothing, body_of("2", &[b"x"]), Malformed),
        ("8.1.1 longer", Nothing, body_of("1", &[b"x", b"y"]), Malformed),
    ])
    .await;
}
