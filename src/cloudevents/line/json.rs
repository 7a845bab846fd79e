//! JSON text (RFC 8259), appended to bytes: escaped exactly as `serde_json` escapes it.

use crate::domain::ids::{Base32, GrantId, hex_digits};

/// What stands between the quotes. A line end is escaped, so that one event stays one line.
pub fn text(to: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    // No early end: the whole text is looked at several bytes at once, and nearly none has any.
    if bytes.iter().fold(false, |any, &byte| any | is_escaped(byte)) {
        escaped(to, bytes);
    } else {
        to.extend_from_slice(bytes);
    }
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
    to.extend_from_slice(bytes.map(hex_digits).as_flattened());
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
