//! Which of the headers that we ask for a request has at all. Most have few of them, and looking into
//! a map for one that is not there costs as much as for one that is.

use http::{HeaderMap, HeaderName};

/// The names that are there, of those below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Present(u16);

impl Present {
    pub const CONNECTION: Self = Self(1);
    pub const CONTENT_TYPE: Self = Self(1 << 1);
    pub const EXPECT: Self = Self(1 << 2);
    pub const TE: Self = Self(1 << 3);
    pub const TRACEPARENT: Self = Self(1 << 4);
    pub const TRACESTATE: Self = Self(1 << 5);
    pub const TRAILER: Self = Self(1 << 6);
    pub const TRANSFER_ENCODING: Self = Self(1 << 7);
    pub const UPGRADE: Self = Self(1 << 8);
    pub const REQUEST_ID: Self = Self(1 << 9);

    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        headers.keys().fold(Self::default(), |found, name| Self(found.0 | Self::one(name).0))
    }

    fn one(name: &HeaderName) -> Self {
        match name.as_str() {
            "connection" => Self::CONNECTION,
            "content-type" => Self::CONTENT_TYPE,
            "expect" => Self::EXPECT,
            "te" => Self::TE,
            "traceparent" => Self::TRACEPARENT,
            "tracestate" => Self::TRACESTATE,
            "trailer" => Self::TRAILER,
            "transfer-encoding" => Self::TRANSFER_ENCODING,
            "upgrade" => Self::UPGRADE,
            "x-request-id" => Self::REQUEST_ID,
            _ => Self::default(),
        }
    }

    #[must_use]
    pub const fn has(self, name: Self) -> bool {
        self.0 & name.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{CONNECTION, CONTENT_TYPE, EXPECT, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};

    use super::*;
    use crate::gateway::headers::{REQUEST_ID, TRACESTATE};
    use crate::telemetry::trace::TRACEPARENT;

    #[test]
    fn each_name_is_seen_when_it_is_there_and_only_then() {
        let names = [
            (CONNECTION, Present::CONNECTION),
            (CONTENT_TYPE, Present::CONTENT_TYPE),
            (EXPECT, Present::EXPECT),
            (TE, Present::TE),
            (TRACEPARENT, Present::TRACEPARENT),
            (TRACESTATE, Present::TRACESTATE),
            (TRAILER, Present::TRAILER),
            (TRANSFER_ENCODING, Present::TRANSFER_ENCODING),
            (UPGRADE, Present::UPGRADE),
            (REQUEST_ID, Present::REQUEST_ID),
        ];
        for there in 0_u32..1 << names.len() {
            let mut headers = HeaderMap::new();
            headers.insert("x-other", HeaderValue::from_static("1"));
            for (at, (name, _)) in names.iter().enumerate() {
                if there & 1 << at != 0 {
                    headers.append(name, HeaderValue::from_static("1"));
                    headers.append(name, HeaderValue::from_static("2"));
                }
            }
            let present = Present::of(&headers);
            for (name, one) in &names {
                assert_eq!(present.has(*one), headers.contains_key(name), "{name} in {there:b}");
            }
        }
    }
}
