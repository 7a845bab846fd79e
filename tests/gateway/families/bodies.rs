//! Bodies whose length two parsers could read differently, and requests hidden in bodies.

use super::super::draft::{Draft, Fate};
use super::super::rng::Rng;
use super::super::scene::Ground;

/// `N` is the length of the body as sized, `M` another one.
const LENGTHS: &[&str] = &[
    "Content-Length: N\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: N",
    "Transfer-Encoding: chunked\r\nContent-Length: 0",
    "content-length: M\r\ntransfer-encoding: chunked",
    "Content-Length: N\r\nContent-Length: M",
    "Content-Length: M\r\nContent-Length: N",
    "Content-Length: N\r\nContent-Length: N",
    "Content-Length: 0\r\nContent-Length: N",
    "Content-Length: N, N",
    "Content-Length: N, M",
    "Content-Length: M,N",
    "Content-Length: +N",
    "Content-Length: -N",
    "Content-Length: 0xN",
    "Content-Length: 0N",
    "Content-Length: N.0",
    "Content-Length: N_0",
    "Content-Length: N N",
    "Content-Length: N;",
    "Content-Length: \"N\"",
    "Content-Length: Na",
    "Content-Length:",
    "Content-Length: 99999999999999999999",
    "Content-Length: 18446744073709551617",
    "Content_Length: N",
    "content.length: N",
    "Content~Length: N",
    "Content-Length\t: N",
    "Content-Length : N",
    "Content-Length: N\r\n ",
    "X: y\r\n Content-Length: N",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: identity, chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: x",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunkedx",
    "Transfer-Encoding: chunk",
    "Transfer-Encoding: chunked;q=1",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding: 'chunked'",
    "Transfer-Encoding: ,chunked",
    "Transfer-Encoding: chunked,",
    "Transfer-Encoding:",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: \u{b}chunked",
    "Transfer-Encoding: chunked\u{0}",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding\u{b}: chunked",
    "Transfer-Encoding:\r\n chunked",
    "X: y\nTransfer-Encoding: chunked",
    "X: y\rTransfer-Encoding: chunked",
    "Transfer_Encoding: chunked",
    "transfer.encoding: chunked",
    "Transfer+Encoding: chunked",
    "\u{1}Transfer-Encoding: chunked",
];

/// What ends a body for those who read chunks, and begins one for the others.
const BEFORE: &[&[u8]] =
    &[b"0\r\n\r\n", b"", b"5\r\nhello\r\n0\r\n\r\n", b"1\r\nZ\r\nQ\r\n\r\n", b"x="];

pub fn lengths(rng: &mut Rng, draft: &mut Draft) -> (Fate, Vec<u8>) {
    draft.without("content-length");
    draft.method = (*rng.pick(&["GET", "POST"])).into();
    let hidden = draft.hidden();
    let before = *rng.pick(BEFORE);
    let body = [before, &hidden].concat();
    let short = if before.is_empty() { body.len() / 2 } else { before.len() };
    let framing = rng.pick(LENGTHS).replace('N', &body.len().to_string());
    let framing = framing.replace('M', &short.to_string());
    let mut lines = draft.lines();
    let at = 1 + rng.below(lines.len());
    lines.insert(at, cased(rng, &framing).into_bytes());
    let bytes = [lines.join(&b"\r\n"[..]), b"\r\n\r\n".to_vec(), body].concat();
    (Fate::FATAL, bytes)
}

/// Names of headers have no case.
fn cased(rng: &mut Rng, text: &str) -> String {
    match rng.below(3) {
        0 => text.to_ascii_lowercase(),
        1 => text.replace("Content-Length", "CONTENT-LENGTH").replace("Transfer", "tRANSFER"),
        _ => text.to_owned(),
    }
}

/// A request as the body of another, whose length is told rightly.
pub fn hidden(rng: &mut Rng, _: &Ground, draft: &mut Draft) -> Fate {
    let hidden = draft.hidden();
    let written = draft.method == b"POST";
    match rng.below(6) {
        // To a path that takes no body: it has one all the same.
        0 if !written => draft.sized(&hidden),
        1 if !written => {
            let body = format!("{:x}\r\n{}\r\n0\r\n\r\n", hidden.len(), lossy(&hidden));
            draft.chunked(body.as_bytes(), &hidden);
        }
        2 => draft.sized(&hidden.repeat(1 + rng.below(20))),
        3 => {
            let body = format!("{:X}\r\n{}\r\n000\r\n\r\n", hidden.len(), lossy(&hidden));
            draft.chunked(body.as_bytes(), &hidden);
        }
        // Longer than what is read of a refused request's body.
        4 if rng.percent(10) => {
            draft.sized(&hidden.repeat(70_000 / hidden.len() + 1));
            if draft.fate == Fate::REFUSED {
                return Fate::BARRED;
            }
        }
        // Shorter than it says: what follows is its body.
        5 if rng.percent(3) => {
            draft.sized(&hidden.repeat(40));
            draft.body.truncate(hidden.len());
            draft.content.clear();
            return Fate::BREAKS;
        }
        _ => draft.sized(&hidden),
    }
    draft.fate
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const BAD_CHUNKS: &[&str] = &[
    "+1\r\nx\r\n0\r\n\r\n",
    "-1\r\nx\r\n0\r\n\r\n",
    "0x1\r\nx\r\n0\r\n\r\n",
    "1_0\r\nx\r\n0\r\n\r\n",
    " 1\r\nx\r\n0\r\n\r\n",
    "1 \r\nx\r\n0\r\n\r\n",
    "1\t\r\nx\r\n0\r\n\r\n",
    "1 ;a=b\r\nx\r\n0\r\n\r\n",
    "\r\nx\r\n0\r\n\r\n",
    ";a=b\r\nx\r\n0\r\n\r\n",
    "10000000000000000\r\nx\r\n0\r\n\r\n",
    "fffffffffffffffff\r\nx\r\n0\r\n\r\n",
    "1\nx\n0\n\n",
    "1\nx\r\n0\r\n\r\n",
    "1\r\r\nx\r\n0\r\n\r\n",
    "1;a\nx\r\n0\r\n\r\n",
    "1;a\u{0}\r\nx\r\n0\r\n\r\n",
    "1;\rx\r\n0\r\n\r\n",
    "g\r\nx\r\n0\r\n\r\n",
    "0\n\r\n",
    "0\r\n\n",
    "0\r\n X: y\r\n\r\n",
    "0\r\nX : y\r\n\r\n",
    "0\r\nX\r\n\r\n",
    "0\r\nX: \u{0}\r\n\r\n",
    "1\r\nxx\r\n0\r\n\r\n",
    "1\r\nx\n0\r\n\r\n",
    "1\r\nx\rx0\r\n\r\n",
    "2\r\nx\r\n0\r\n\r\n",
    "1\r\nx0\r\n\r\n",
    "1,1\r\nx\r\n0\r\n\r\n",
    "1\r\nx\r\n0x0\r\n\r\n",
    "1\r\nx\r\n-0\r\n\r\n",
    "1\r\nx\r\n00000000000000000\r\n\r\n",
    "\u{feff}1\r\nx\r\n0\r\n\r\n",
    "1\u{b}\r\nx\r\n0\r\n\r\n",
    "1;\u{7f}\r\nx\r\n0\r\n\r\n",
    "0\r\nX: y\nTidegate-Subject: forged\r\n\r\n",
];

/// Chunks that can be read in two ways; some after a good beginning.
pub fn bad_chunks(rng: &mut Rng, draft: &mut Draft) -> (Fate, Vec<u8>) {
    let good = *rng.pick(&["", "", "3\r\nabc\r\n", "1;x=y\r\nz\r\n"]);
    let mut body = [good, *rng.pick(BAD_CHUNKS)].concat().into_bytes();
    if rng.percent(10) {
        body = format!("1;{}\r\nx\r\n0\r\n\r\n", "a".repeat(400)).into_bytes();
    }
    draft.chunked(&body, b"");
    (Fate::BREAKS, draft.bytes())
}

const LAST_CHUNKS: &[&str] = &[
    "0\r\n\r\n",
    "0;x\r\n\r\n",
    "0\r\nX-Trailer: y\r\n\r\n",
    "0\r\nTidegate-Subject: forged\r\nHost: forged\r\nContent-Length: 5\r\n\r\n",
];

/// Chunks that look odd and have one reading.
pub fn odd_chunks(rng: &mut Rng, draft: &mut Draft) -> (Fate, Vec<u8>) {
    let hidden = draft.hidden();
    let mut body = Vec::new();
    for part in hidden.chunks(1 + rng.below(hidden.len())) {
        let size = match rng.below(4) {
            0 => format!("{:x}", part.len()),
            1 => format!("{:X}", part.len()),
            2 => format!("{:08x}", part.len()),
            _ => format!("{:x};a=b;c=\"d\";0", part.len()),
        };
        body.extend_from_slice(size.as_bytes());
        body.extend_from_slice(b"\r\n");
        body.extend_from_slice(part);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(rng.pick(LAST_CHUNKS).as_bytes());
    draft.chunked(&body, &hidden);
    (draft.fate, draft.bytes())
}
