//! W3C Trace Context (<https://www.w3.org/TR/trace-context/>): read, continued, passed on.

use std::fmt;

use http::{HeaderMap, HeaderName};

use crate::domain::ids::hex_digits;

pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The only flag that version 00 knows: whoever asked may have recorded the trace.
const SAMPLED: u8 = 1;

/// A `traceparent`, version 00.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    pub trace_id: [u8; 16],
    /// The span that is the parent of whatever is started under this context.
    pub span_id: [u8; 8],
    pub flags: u8,
}

impl TraceContext {
    /// `None` for anything the specification calls invalid (all-zero ids, upper case, bad length).
    #[must_use]
    pub fn parse(header: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(header).ok()?;
        let mut parts = text.split('-');
        let (version, trace, span, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let known = version == "00" && parts.next().is_none();
        let later = hex::<1>(version).is_some_and(|[v]| v != 0 && v != 0xff);
        if !known && !later {
            return None;
        }
        let context =
            Self { trace_id: hex(trace)?, span_id: hex(span)?, flags: hex::<1>(flags)?[0] };
        (context.trace_id != [0; 16] && context.span_id != [0; 8]).then_some(context)
    }

    /// What a request brought along; a header that is repeated or cannot be read is none (section
    /// 3.2 of the specification).
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let only = values.next().filter(|_| values.next().is_none())?;
        Self::parse(only.as_bytes())
    }

    /// The same trace with another span.
    #[must_use]
    pub const fn with_span(self, span_id: [u8; 8]) -> Self {
        Self { span_id, ..self }
    }

    /// The header value, as ASCII.
    #[must_use]
    pub fn spelled(&self) -> [u8; 55] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        let (trace, span) = (hex_digits(&self.trace_id), hex_digits(&self.span_id));
        let flags = hex_digits(&[self.flags]);
        let parts = [trace.as_flattened(), span.as_flattened(), flags.as_flattened()];
        let places = [3, 36, 53].into_iter().zip(parts);
        for (at, part) in places {
            if let Some(place) = text.get_mut(at..at + part.len()) {
                place.copy_from_slice(part);
            }
        }
        text
    }

    #[must_use]
    pub fn trace_id_hex(&self) -> String {
        crate::domain::ids::hex(&self.trace_id)
    }
}

/// A span of ours in its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The trace, and the id of this span.
    pub context: TraceContext,
    /// The span of the caller that it continues; none in a trace that begins here.
    pub parent: Option<[u8; 8]>,
}

impl Place {
    /// Continues the caller's trace, or begins one. One that begins here is marked as sampled, so
    /// that whoever comes after may record it.
    #[must_use]
    pub fn new(
        sent: Option<TraceContext>,
        span_id: [u8; 8],
        trace_id: impl FnOnce() -> [u8; 16],
    ) -> Self {
        match sent {
            Some(sent) => Self { context: sent.with_span(span_id), parent: Some(sent.span_id) },
            None => Self {
                context: TraceContext { trace_id: trace_id(), span_id, flags: SAMPLED },
                parent: None,
            },
        }
    }

    #[must_use]
    pub const fn is_continued(&self) -> bool {
        self.parent.is_some()
    }
}

/// Thirty-two lower-case hexadecimal digits. The label of an exemplar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(pub [u8; 16]);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(hex_digits(&self.0).as_flattened()).unwrap_or_default())
    }
}

/// Sixteen lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId(pub [u8; 8]);

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(hex_digits(&self.0).as_flattened()).unwrap_or_default())
    }
}

/// The header value.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.spelled()).unwrap_or_default())
    }
}

fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != N * 2 || !text.bytes().all(lower) {
        return None;
    }
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}
