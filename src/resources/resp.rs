//! As much of RESP2 as `HGETALL` needs: commands out; statuses, errors and arrays of bulk strings in.

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Status,
    /// The first word of the error, which never has a value in it.
    Refused(String),
    Texts(Vec<String>),
}

const STRANGE: &str = "the answer is none that Redis gives to such a question";
/// Longer lines are not Redis's.
const LONGEST_LINE: usize = 1024;
/// More fields than this do not fit into what is read anyway.
const MOST_PARTS: usize = 32 << 10;

/// Appends a command. Every part is counted, so there is nothing that it could end early with.
pub fn command(out: &mut Vec<u8>, parts: &[&str]) {
    out.extend_from_slice(format!("*{}\r\n", parts.len()).as_bytes());
    for part in parts {
        out.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        out.extend_from_slice(part.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// Exactly `count` replies; `None` while more bytes are needed.
///
/// # Errors
/// The bytes are no such replies, or there is something behind them.
pub fn replies(bytes: &[u8], count: usize) -> Result<Option<Vec<Reply>>, &'static str> {
    let (mut rest, mut found) = (bytes, Vec::new());
    for _ in 0..count {
        match reply(&mut rest) {
            Ok(reply) => found.push(reply),
            Err(Stop::Early) => return Ok(None),
            Err(Stop::Strange) => return Err(STRANGE),
        }
    }
    if rest.is_empty() { Ok(Some(found)) } else { Err(STRANGE) }
}

enum Stop {
    Early,
    Strange,
}

fn reply(rest: &mut &[u8]) -> Result<Reply, Stop> {
    let line = line(rest)?;
    match line.split_first() {
        Some((b'+', _)) => Ok(Reply::Status),
        Some((b'-', text)) => {
            let word: String = String::from_utf8_lossy(text)
                .chars()
                .take_while(char::is_ascii_uppercase)
                .take(32)
                .collect();
            Ok(Reply::Refused(if word.is_empty() { "an error".to_owned() } else { word }))
        }
        Some((b'*', count)) => texts(number(count)?, rest),
        Some(_) | None => Err(Stop::Strange),
    }
}

fn texts(count: usize, rest: &mut &[u8]) -> Result<Reply, Stop> {
    if count > MOST_PARTS {
        return Err(Stop::Strange);
    }
    let mut parts = Vec::new();
    for _ in 0..count {
        let head = line(rest)?;
        let length = head.strip_prefix(b"$").ok_or(Stop::Strange)?;
        let bytes = take(rest, number(length)?)?;
        let end = take(rest, 2)?;
        let text = std::str::from_utf8(bytes).map_err(|_| Stop::Strange)?;
        if end != b"\r\n" {
            return Err(Stop::Strange);
        }
        parts.push(text.to_owned());
    }
    Ok(Reply::Texts(parts))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], Stop> {
    let (taken, after) = rest.split_at_checked(count).ok_or(Stop::Early)?;
    *rest = after;
    Ok(taken)
}

/// Up to CRLF, without it.
fn line<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Stop> {
    let Some(end) = memchr::memchr(b'\r', rest) else {
        return Err(if rest.len() > LONGEST_LINE { Stop::Strange } else { Stop::Early });
    };
    let line = take(rest, end)?;
    if line.len() > LONGEST_LINE {
        return Err(Stop::Strange);
    }
    if take(rest, 2)? == b"\r\n" { Ok(line) } else { Err(Stop::Strange) }
}

fn number(digits: &[u8]) -> Result<usize, Stop> {
    let is_number = (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_number).ok_or(Stop::Strange)?;
    text.parse().map_err(|_| Stop::Strange)
}
