//! JSON text (RFC 8259), appended to bytes: escaped exactly as `serde_json` escapes it.

use crate::domain::ids::{Base32, GrantId, hex_digits};

/// What stands between the quotes. A line end is escaped, so that one event stays one line.
pub fn text(to: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    if has_escaped(bytes) {
        escaped(to, bytes);
    } else {
        to.extend_from_slice(bytes);
    }
}

/// Eight bytes at once and without an early end: most texts are short, and nearly none has any. Some
/// bytes may be looked at twice.
fn has_escaped(bytes: &[u8]) -> bool {
    if let Some(last) = bytes.last_chunk() {
        let (words, _rest) = bytes.as_chunks();
        let mark = |found, word: &[u8; 8]| found | escaped_in(u64::from_le_bytes(*word));
        return words.iter().fold(mark(0, last), mark) != 0;
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let half = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
        return escaped_in(half(first) << 32 | half(last)) != 0;
    }
    bytes.iter().any(|&byte| is_escaped(byte))
}

/// Not zero if some byte of the word has to be escaped: borrows only ever come from one that has.
const fn escaped_in(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let (quote, backslash) = (word ^ (ONES * b'"' as u64), word ^ (ONES * b'\\' as u64));
    let below_space = word.wrapping_sub(ONES * b' ' as u64) & !word;
    let is_quote = quote.wrapping_sub(ONES) & !quote;
    let is_backslash = backslash.wrapping_sub(ONES) & !backslash;
    (below_space | is_quote | is_backslash) & HIGH
}

/// At least `least` digits.
pub fn number(to: &mut Vec<u8>, value: u64, least: usize) {
    let (mut digits, mut left, mut first) = ([b'0'; 20], value, 20);
    for (place, digit) in digits.iter_mut().enumerate().rev() {
        *digit = ascii(left % 10);
        left /= 10;
        first = place;
        if left == 0 && 20 - place >= least {
            break;
        }
    }
    to.extend_from_slice(digits.get(first..).unwrap_or_default());
}

/// Lower-case hexadecimal digits.
pub fn hex<const N: usize>(to: &mut Vec<u8>, bytes: &[u8; N]) {
    to.extend_from_slice(hex_digits(bytes).as_flattened());
}

/// As [`GrantId`] shows itself.
pub fn grant(to: &mut Vec<u8>, id: &GrantId) {
    to.extend_from_slice(b"grt_");
    number(to, id.partition.0.into(), 2);
    to.push(b'_');
    to.extend_from_slice(&Base32(id.random).digits());
}

const fn is_escaped(byte: u8) -> bool {
    matches!(byte, 0..b' ' | b'"' | b'\\')
}

fn escaped(to: &mut Vec<u8>, bytes: &[u8]) {
    for run in bytes.split_inclusive(|&byte| is_escaped(byte)) {
        match run.split_last() {
            Some((&last, clean)) if is_escaped(last) => {
                to.extend_from_slice(clean);
                escape(to, last);
            }
            Some(_) | None => to.extend_from_slice(run),
        }
    }
}

fn escape(to: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        _ => {
            to.extend_from_slice(b"\\u00");
            return hex(to, &[byte]);
        }
    };
    to.extend_from_slice(&[b'\\', short]);
}

fn ascii(digit: u64) -> u8 {
    b'0'.wrapping_add(u8::try_from(digit).unwrap_or_default())
}
