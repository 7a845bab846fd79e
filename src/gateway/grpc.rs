//! gRPC over HTTP/2: how its clients are told that they were refused. The status stays what it is
//! for everybody; beside it stands what gRPC makes of it
//! (<https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md>).

use std::fmt::Write;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::problem::ProblemCode;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Bytes of a message; a client may refuse headers that are too long.
const MOST_MESSAGE: usize = 1024;

/// Whether the message is gRPC: `application/grpc`, alone, with `+proto` and the like, or with
/// parameters. gRPC-Web is another protocol.
#[must_use]
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE) else { return false };
    let name = b"application/grpc";
    let (begin, rest) = kind.as_bytes().split_at(kind.len().min(name.len()));
    let ends = matches!(rest.first(), None | Some(b'+' | b';' | b' '));
    begin.eq_ignore_ascii_case(name) && ends
}

/// The status code of gRPC for a refusal.
#[must_use]
pub const fn status(code: ProblemCode) -> u8 {
    match code.status() {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

/// Adds status and message to the head of a refusal.
pub fn add_status(headers: &mut HeaderMap, code: ProblemCode, message: &str) {
    headers.insert(STATUS, HeaderValue::from(u16::from(status(code))));
    if let Ok(message) = HeaderValue::from_str(&encoded(message)) {
        headers.insert(MESSAGE, message);
    }
}

/// Percent-encoded, as gRPC wants it: blank to `~` but `%` stand for themselves.
fn encoded(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    for byte in message.bytes() {
        if text.len() >= MOST_MESSAGE {
            break;
        }
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            text.push(char::from(byte));
        } else {
            let _infallible = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: &str) -> bool {
        let kind = HeaderValue::from_str(kind).expect("a value");
        is_grpc(&HeaderMap::from_iter([(CONTENT_TYPE, kind)]))
    }

    #[test]
    fn grpc_is_told_by_its_content_type_alone() {
        for kind in ["application/grpc", "application/grpc+proto", "Application/GRPC;x=y"] {
            assert!(of(kind), "{kind}");
        }
        for kind in ["application/grpc-web", "application/grpcx", "application/json", "text/plain"]
        {
            assert!(!of(kind), "{kind}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }

    #[test]
    fn every_refusal_has_a_status_and_never_the_one_of_success() {
        assert!(ProblemCode::ALL.into_iter().all(|code| status(code) != 0));
        assert_eq!(status(ProblemCode::NoCredential), 16);
        assert_eq!(status(ProblemCode::PolicyDenied), 7);
        assert_eq!(status(ProblemCode::NoRoute), 12);
        assert_eq!(status(ProblemCode::BadRequest), 13);
        assert_eq!(status(ProblemCode::StoreUnreachable), 14);
        assert_eq!(status(ProblemCode::UpstreamTimeout), 14);
        assert_eq!(status(ProblemCode::Misdirected), 2);
    }

    #[test]
    fn a_message_is_one_line_of_visible_letters() {
        assert_eq!(encoded("50 %\r\nz\u{fc}rich~"), "50 %25%0D%0Az%C3%BCrich~");
        assert!(encoded(&"x".repeat(5000)).len() <= MOST_MESSAGE);
    }
}
