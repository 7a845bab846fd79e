//! One request head, read line by line as it arrives.

use super::HeadLimits;
use super::bytes::{content_length, field, is_token};
use super::violation::Violation;

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    Nothing,
    /// Nothing, or a tunnel when the answer says so.
    Undecided,
    Sized(u64),
    Chunked,
}

/// A head as far as it has been seen. Offsets count from the head's first byte.
#[derive(Debug, Default)]
pub struct Head {
    scanned: usize,
    line_start: usize,
    began_with_empty_line: bool,
    version: Option<Version>,
    fields: usize,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

impl Head {
    /// The head's length and what follows it; `None` while it is incomplete. `bytes` begins at the
    /// head's first byte and only grows from call to call.
    pub fn scan(
        &mut self,
        bytes: &[u8],
        limits: HeadLimits,
    ) -> Result<Option<(usize, Follows)>, Violation> {
        loop {
            let rest = bytes.get(self.line_start..).unwrap_or_default();
            let known = self.scanned.saturating_sub(self.line_start);
            let Some((line, used)) = super::bytes::line(rest, known).map_err(Violation::Head)?
            else {
                self.scanned = bytes.len();
                self.check_size(bytes.len(), limits)?;
                return Ok(None);
            };
            self.line_start += used;
            self.scanned = self.line_start;
            self.check_size(self.line_start, limits)?;
            if let Some(follows) = self.line(line, limits)? {
                return Ok(Some((self.line_start, follows)));
            }
        }
    }

    fn check_size(&self, seen: usize, limits: HeadLimits) -> Result<(), Violation> {
        // A method and a version fit into 64 bytes.
        if self.version.is_none() && seen > limits.target_bytes + 64 {
            return Err(Violation::TargetTooLong);
        }
        if seen > limits.head_bytes { Err(Violation::HeadTooLarge) } else { Ok(()) }
    }

    fn line(&mut self, line: &[u8], limits: HeadLimits) -> Result<Option<Follows>, Violation> {
        let Some(version) = self.version else {
            if line.is_empty() && !self.began_with_empty_line {
                self.began_with_empty_line = true;
            } else {
                self.version = Some(request_line(line, limits)?);
            }
            return Ok(None);
        };
        if line.is_empty() {
            return self.end(version).map(Some);
        }
        self.fields += 1;
        if self.fields > limits.header_count {
            return Err(Violation::HeadTooLarge);
        }
        let (name, value) = field(line).map_err(Violation::Head)?;
        self.field(name, value)?;
        Ok(None)
    }

    fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), Violation> {
        if is_spelled_like(name, b"content-length")? {
            if self.length.is_some() {
                return Err(Violation::Head("more than one Content-Length"));
            }
            self.length = Some(content_length(value)?);
        } else if is_spelled_like(name, b"transfer-encoding")? {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Violation::Head("a Transfer-Encoding other than one chunked"));
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.upgrade = true;
        }
        Ok(())
    }

    fn end(&self, version: Version) -> Result<Follows, Violation> {
        let follows = match (self.chunked, self.length) {
            (true, Some(_)) => {
                return Err(Violation::Head("both Content-Length and Transfer-Encoding"));
            }
            (true, None) => Follows::Chunked,
            (false, None | Some(0)) if self.upgrade => Follows::Undecided,
            (false, None | Some(0)) => Follows::Nothing,
            (false, Some(length)) => Follows::Sized(length),
        };
        match (version, follows) {
            (Version::Http11, _) | (Version::Http10, Follows::Nothing) => Ok(follows),
            // Only HTTP/1.1 switches.
            (Version::Http10, Follows::Undecided) => Ok(Follows::Nothing),
            (Version::Http10, Follows::Sized(_) | Follows::Chunked) => {
                Err(Violation::Head("an HTTP/1.0 request with a body"))
            }
        }
    }

    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.scanned > 0
    }
}

/// A framing header under another spelling (`Content_Length`) is read as the real one by some
/// servers, so it is not let through.
pub fn is_spelled_like(name: &[u8], real: &[u8]) -> Result<bool, Violation> {
    if name.len() != real.len() {
        return Ok(false);
    }
    if name.eq_ignore_ascii_case(real) {
        return Ok(true);
    }
    let folded = |&byte: &u8| if byte.is_ascii_alphanumeric() { byte } else { b'-' };
    let alike = name.iter().map(folded).map(|b| b.to_ascii_lowercase()).eq(real.iter().copied());
    if alike { Err(Violation::Head("a framing header in another spelling")) } else { Ok(false) }
}

fn request_line(line: &[u8], limits: HeadLimits) -> Result<Version, Violation> {
    let odd = Violation::Head("a request line that is not METHOD TARGET HTTP/1.1");
    let method_end = memchr::memchr(b' ', line).ok_or(odd)?;
    let target_end = memchr::memrchr(b' ', line).ok_or(odd)?;
    let method = line.get(..method_end).ok_or(odd)?;
    let target = line.get(method_end + 1..target_end).ok_or(odd)?;
    let version = match line.get(target_end + 1..) {
        Some(b"HTTP/1.1") => Version::Http11,
        Some(b"HTTP/1.0") => Version::Http10,
        Some(_) | None => return Err(Violation::Head("a version other than HTTP/1.1")),
    };
    if !is_token(method) || target.is_empty() {
        return Err(odd);
    }
    if target.len() > limits.target_bytes {
        return Err(Violation::TargetTooLong);
    }
    check_target(target)?;
    Ok(version)
}

/// What the URI type would cut or refuse by itself is refused here, so that exactly one place
/// answers.
pub fn check_target(target: &[u8]) -> Result<(), Violation> {
    if target.first() == Some(&b'/') && target.iter().fold(true, |good, &b| good & is_plain(b)) {
        return Ok(());
    }
    for &byte in target {
        match byte {
            b'#' => return Err(Violation::Head("a # in the target")),
            0..=b' ' | 0x7f..=0xff => {
                return Err(Violation::Head("a control, blank or non-ASCII byte in the target"));
            }
            _ => (),
        }
    }
    if http::Uri::try_from(target).is_ok() {
        return Ok(());
    }
    Err(Violation::Head("a byte in the target that a URI cannot have"))
}

/// Bytes of which the URI type takes any sequence behind a slash. Without a branch, see
/// [`is_field_value`](super::bytes::is_field_value).
const fn is_plain(byte: u8) -> bool {
    let odd = (byte == b'"') | (byte == b'#') | (byte == b'<') | (byte == b'>');
    let odder = (byte == b'^') | (byte == b'`') | ((byte >= b'{') & (byte <= b'}'));
    (byte > b' ') & (byte < 0x7f) & !odd & !odder
}
