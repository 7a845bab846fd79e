//! Frames of HTTP/2 as bytes (RFC 9113, section 4), with header blocks that are literals alone
//! (RFC 7541, section 6.2.2): what is written is exactly what was meant.

pub const DATA: u8 = 0x0;
pub const HEADERS: u8 = 0x1;
pub const RST_STREAM: u8 = 0x3;
pub const SETTINGS: u8 = 0x4;
pub const PING: u8 = 0x6;
pub const GOAWAY: u8 = 0x7;
pub const CONTINUATION: u8 = 0x9;

pub const END_STREAM: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;
pub const PADDED: u8 = 0x8;

pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// The preface of a client, and its empty settings.
pub fn preface() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &[])].concat()
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short");
    let mut bytes = length.to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A header block.
pub fn block(fields: &Fields) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        text(&mut bytes, name);
        text(&mut bytes, value);
    }
    bytes
}

/// A string without Huffman code: its length in a prefix of seven bits, and its bytes.
fn text(bytes: &mut Vec<u8>, text: &[u8]) {
    let mut length = text.len();
    if length < 127 {
        bytes.push(u8::try_from(length).expect("below 127"));
    } else {
        bytes.push(127);
        length -= 127;
        while length >= 128 {
            bytes.push(u8::try_from(length % 128).expect("below 128") | 0x80);
            length /= 128;
        }
        bytes.push(u8::try_from(length).expect("below 128"));
    }
    bytes.extend_from_slice(text);
}

/// The frames of a header block, in pieces of at most `most` bytes.
pub fn headers(stream: u32, block: &[u8], most: usize, end: bool) -> Vec<u8> {
    let end = if end { END_STREAM } else { 0 };
    let parts: Vec<&[u8]> = if block.is_empty() { vec![b""] } else { block.chunks(most).collect() };
    let mut bytes = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let last = if at + 1 == parts.len() { END_HEADERS } else { 0 };
        let (kind, flags) = if at == 0 { (HEADERS, end | last) } else { (CONTINUATION, last) };
        bytes.extend(frame(kind, flags, stream, part));
    }
    bytes
}

/// One frame that was read.
pub struct Read<'a> {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: &'a [u8],
}

/// The first frame of `bytes`, and how long it is.
pub fn read(bytes: &[u8]) -> Option<(Read<'_>, usize)> {
    let head = bytes.get(..9)?;
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    let payload = bytes.get(9..9 + length)?;
    let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
    Some((Read { kind: head[3], flags: head[4], stream, payload }, 9 + length))
}
