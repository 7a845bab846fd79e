//! Classes of bytes (RFC 9110, section 5.6.2; RFC 9112).

use super::violation::Violation;

/// Of each byte whether it may stand in a token.
static TOKEN_BYTES: [bool; 256] = token_bytes();

const fn token_bytes() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    // Tokens are ASCII.
    while byte < 0x80 {
        let sign = matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        );
        table[byte as usize] = sign || byte.is_ascii_alphanumeric();
        byte += 1;
    }
    table
}

/// A method or a field name.
#[must_use]
pub fn is_token(text: &[u8]) -> bool {
    let fits = |&byte: &u8| TOKEN_BYTES.get(usize::from(byte)).copied().unwrap_or(false);
    !text.is_empty() && text.iter().all(fits)
}

/// A field value: no control byte but the tab. Looks at every byte without a branch, so that the
/// compiler takes many at once.
#[must_use]
pub fn is_field_value(text: &[u8]) -> bool {
    let fits = |byte: u8| (byte >= b' ') & (byte != 0x7f) | (byte == b'\t');
    text.iter().fold(true, |good, &byte| good & fits(byte))
}

/// Name and value of one field line, the value without surrounding blanks.
pub fn field(line: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    if line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
        return Err("a folded or indented header line");
    }
    let colon = memchr::memchr(b':', line).ok_or("a header line without a colon")?;
    let (name, value) = line.split_at(colon);
    let value = value.get(1..).unwrap_or_default();
    if !is_token(name) {
        return Err("a header name that is not a token");
    }
    if !is_field_value(value) {
        return Err("a control byte in a header");
    }
    Ok((name, value.trim_ascii()))
}

/// One line without its CRLF, and how many bytes it took; `None` while its end is not there.
/// `scanned` bytes are known to hold no line feed.
pub fn line(bytes: &[u8], scanned: usize) -> Result<Option<(&[u8], usize)>, &'static str> {
    let rest = bytes.get(scanned..).unwrap_or_default();
    let Some(at) = memchr::memchr(b'\n', rest) else { return Ok(None) };
    let end = scanned + at;
    let line = bytes.get(..end).and_then(|line| line.strip_suffix(b"\r"));
    let line = line.ok_or("a line that ends in a bare LF")?;
    Ok(Some((line, end + 1)))
}

/// `1*DIGIT` without a sign, a list or needless zeros.
pub fn content_length(value: &[u8]) -> Result<u64, Violation> {
    let odd = Violation::Head("a Content-Length that is not one plain number");
    let digits = value.iter().all(u8::is_ascii_digit);
    let padded = value.len() > 1 && value.first() == Some(&b'0');
    if value.is_empty() || value.len() > 18 || !digits || padded {
        return Err(odd);
    }
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or(odd)
}
