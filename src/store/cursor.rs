//! A cursor as text: opaque, url-safe, exactly one spelling.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::time::Timestamp;

use super::Cursor;

/// Thirty-two characters of base64url (RFC 4648, section 5) over 8 bytes of time and 16 of id.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.at.millis().to_be_bytes()[..], &self.id].concat();
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl Cursor {
    /// `None` when no page ever gave out such a cursor.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 24] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (at, id) = bytes.split_first_chunk::<8>()?;
        let at = Timestamp::from_millis(u64::from_be_bytes(*at));
        Some(Self { at, id: id.try_into().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_as_itself_and_nothing_else_is_one() {
        let cursor = Cursor { at: Timestamp::from_millis(1_795_339_800_123), id: [0xfb; 16] };
        let text = cursor.to_string();
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        assert_eq!(Cursor::parse(&text), Some(cursor));
        for wrong in ["", "abc", &text[1..], &format!("{text}="), &format!("{text}AAAA"), "é"] {
            assert_eq!(Cursor::parse(wrong), None, "{wrong}");
        }
    }
}
