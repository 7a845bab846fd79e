//! Short texts of requests under way, cut from one buffer of their core: a header value costs no
//! allocation of its own.
//!
//! A text keeps the piece of the buffer it was cut from, so these are for what is gone when the
//! request is: heads of messages, and nothing that is kept.

use std::cell::RefCell;
use std::fmt::{self, Write};

use bytes::{Bytes, BytesMut};
use http::HeaderValue;

/// Bytes of one buffer. The next one begins when a text may not fit any more.
const BUFFER: usize = 16 * 1024;
/// Most texts are shorter; a longer one makes the buffer grow.
const USUAL: usize = 256;

/// The buffer of one core.
#[derive(Debug, Default)]
pub struct Texts(RefCell<BytesMut>);

impl Texts {
    /// What `write` writes.
    pub fn cut(
        &self,
        write: impl FnOnce(&mut BytesMut) -> fmt::Result,
    ) -> Result<Bytes, fmt::Error> {
        let mut buffer = self.0.borrow_mut();
        if buffer.capacity() < USUAL {
            buffer.reserve(BUFFER);
        }
        let written = write(&mut buffer);
        let text = buffer.split().freeze();
        written.map(|()| text)
    }

    /// A text as a header value; `None` when it cannot be one.
    pub fn value(&self, write: impl FnOnce(&mut BytesMut) -> fmt::Result) -> Option<HeaderValue> {
        HeaderValue::from_maybe_shared(self.cut(write).ok()?).ok()
    }

    /// `bytes` as a header value; `None` when they cannot be one.
    pub fn bytes(&self, bytes: &[u8]) -> Option<HeaderValue> {
        self.value(|value| {
            value.extend_from_slice(bytes);
            Ok(())
        })
    }

    /// `text` as a header value; `None` when it cannot be one.
    pub fn copy(&self, text: &str) -> Option<HeaderValue> {
        self.value(|value| value.write_str(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_what_they_were_while_the_buffer_is_used_again() {
        let texts = Texts::default();
        let made: Vec<HeaderValue> = (0..5000)
            .map(|n| texts.value(|value| write!(value, "text {n}")).expect("text"))
            .collect();
        for (n, value) in made.iter().enumerate() {
            assert_eq!(value, &format!("text {n}"));
        }
    }

    #[test]
    fn what_is_longer_than_the_buffer_and_what_no_value_can_be() {
        let texts = Texts::default();
        let long = "x".repeat(BUFFER + 1);
        assert_eq!(texts.copy(&long).expect("a value"), &long);
        assert!(texts.copy("a\nb").is_none());
        assert_eq!(texts.copy("after it").expect("a value"), "after it");
    }
}
