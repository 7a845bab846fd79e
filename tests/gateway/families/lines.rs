//! Lines of a head that parsers disagree on.

use super::super::draft::{Draft, Fate};
use super::super::rng::Rng;

/// Whole lines that are no header.
const LINES: &[&[u8]] = &[
    b"Host : evil.test",
    b"Host\t: evil.test",
    b"X",
    b": y",
    b":",
    b"X Y: z",
    b"X\x00: y",
    b"X: y\x00z",
    b"X: \x01",
    b"X: y\x0bz",
    b"X: y\x0cz",
    b"X: y\x1bz",
    b"X: y\x7fz",
    b"X: y\rz",
    b"X: y\rHost: evil.test",
    b"X: y\r",
    b"\rX: y",
    b"X(: y",
    b"X): y",
    b"<X>: y",
    b"X@: y",
    b"X,Y: z",
    b"X;: y",
    b"X\\: y",
    b"\"X\": y",
    b"X/Y: z",
    b"X[0]: y",
    b"X?: y",
    b"X=Y: z",
    b"{X}: y",
    b"X\xe4: y",
    b"\xe2\x80\x8bX: y",
    b" X: y",
    b"\tX: y",
    b"Tidegate-Subject : forged",
    b"Tidegate-Subject\t: forged",
    b" Tidegate-Subject: forged",
    b"Tidegate-Subject\x00: forged",
    b"Tidegate Subject: forged",
    b"\xa0Tidegate-Subject: forged",
    b"GET /public/x HTTP/1.1",
    b"X: y\n",
    b"X: y\nTidegate-Subject: forged",
    b"X: y\n\nGET /public/x HTTP/1.1",
    b"X\n: y",
    b"X: y\r\n z",
    b"X: y\r\n\tz",
    b"X:\r\n y",
];

/// What comes before a head, and what ends it.
const BEFORE: &[&[u8]] = &[b" ", b"\n", b"\t", b"\r\n\r\n", b"\x00", b"\r", b"\xef\xbb\xbf"];
const ENDS: &[&[u8]] = &[b"\n\n", b"\r\n\n", b"\n\r\n", b"\r\n\r\r\n", b"\r\r\n\r\n"];
/// What ends a line.
const LINE_ENDS: &[&[u8]] = &[b"\n", b"\r\r\n", b"\n\r", b" \n"];

pub fn lines(rng: &mut Rng, draft: &mut Draft) -> (Fate, Vec<u8>) {
    let lines = draft.lines();
    let mut bytes = match rng.below(8) {
        0 => ended(rng, &lines),
        1 => first_line(rng, &lines),
        2 => [*rng.pick(BEFORE), head(&lines).as_slice()].concat(),
        3 => [lines.join(&b"\r\n"[..]).as_slice(), *rng.pick(ENDS)].concat(),
        _ => {
            let mut lines = lines;
            let at = 1 + rng.below(lines.len());
            lines.insert(at, rng.pick(LINES).to_vec());
            head(&lines)
        }
    };
    bytes.extend_from_slice(&draft.body);
    (Fate::FATAL, bytes)
}

fn head(lines: &[Vec<u8>]) -> Vec<u8> {
    [lines.join(&b"\r\n"[..]).as_slice(), b"\r\n\r\n"].concat()
}

/// One or all lines end oddly.
fn ended(rng: &mut Rng, lines: &[Vec<u8>]) -> Vec<u8> {
    let odd = *rng.pick(LINE_ENDS);
    let (all, one) = (rng.percent(30), rng.below(lines.len()));
    let mut bytes = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        bytes.extend_from_slice(line);
        bytes.extend_from_slice(if all || at == one { odd } else { b"\r\n" });
    }
    bytes.extend_from_slice(if all { odd } else { b"\r\n" });
    bytes
}

/// The request line in another shape.
fn first_line(rng: &mut Rng, lines: &[Vec<u8>]) -> Vec<u8> {
    let line = String::from_utf8_lossy(&lines[0]).into_owned();
    let odd = match rng.below(8) {
        0 => line.replacen(' ', "  ", 1),
        1 => line.replace(' ', "\t"),
        2 => line.replace(" HTTP", "  HTTP"),
        3 => format!(" {line}"),
        4 => format!("{line} "),
        5 => line.replace(" HTTP", "\u{b}HTTP"),
        6 => line.replacen(' ', "", 1),
        _ => line.replace(" HTTP", " x HTTP"),
    };
    let mut lines = lines.to_vec();
    lines[0] = odd.into_bytes();
    head(&lines)
}
