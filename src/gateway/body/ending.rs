//! How a response that has begun ends when its access does.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;
use serde_json::json;

use crate::problem::ProblemCode;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// `PERMISSION_DENIED` among gRPC's status codes.
const PERMISSION_DENIED: HeaderValue = HeaderValue::from_static("7");

/// The form of the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The body breaks off: no client may take what it has for the whole.
    Abort,
    /// Server-Sent Events: a last event, which names the decision.
    Event,
    /// gRPC: the status in the trailers.
    Status,
}

impl Ending {
    /// For a response with these headers. `sized`: its length was announced, so nothing can be
    /// added to it. `trailers`: the client's protocol carries them whether it asked or not.
    #[must_use]
    pub fn of(headers: &HeaderMap, sized: bool, trailers: bool) -> Self {
        if sized {
            return Self::Abort;
        }
        let Some(kind) = media_type(headers) else { return Self::Abort };
        // What is said in plain text would be garbage inside a compressed body.
        let plain = !headers.contains_key(CONTENT_ENCODING);
        if plain && kind.eq_ignore_ascii_case("text/event-stream") {
            return Self::Event;
        }
        if trailers && is_grpc(kind) {
            return Self::Status;
        }
        Self::Abort
    }

    /// The last frame before a clean end; `None`: there is no clean end.
    #[must_use]
    pub fn last_frame(self, code: ProblemCode, decision: &str) -> Option<Frame<Bytes>> {
        match self {
            Self::Abort => None,
            Self::Event => Some(Frame::data(last_event(code, decision))),
            Self::Status => Some(Frame::trailers(status(code))),
        }
    }
}

/// The type and subtype of the only `Content-Type`.
fn media_type(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    value.to_str().ok()?.split(';').next().map(str::trim)
}

/// Not gRPC-Web, whose status is inside the body.
fn is_grpc(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    kind.strip_prefix("application/grpc")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('+'))
}

/// The stream may have stopped anywhere: two line feeds end an open line, which may already have
/// its CR, and the event that it belongs to. Between events they mean nothing (HTML, section
/// 9.2.6).
fn last_event(code: ProblemCode, decision: &str) -> Bytes {
    let data = json!({ "code": code.code(), "decision_id": decision });
    Bytes::from(format!("\n\nevent: access-ended\ndata: {data}\n\n"))
}

fn status(code: ProblemCode) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert(GRPC_STATUS, PERMISSION_DENIED);
    trailers.insert(GRPC_MESSAGE, HeaderValue::from_static(code.code()));
    trailers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[(HeaderName, &str)], sized: bool, trailers: bool) -> Ending {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value.parse().expect("a value"));
        }
        Ending::of(&headers, sized, trailers)
    }

    #[test]
    fn only_a_plain_stream_of_events_of_no_known_length_gets_a_last_event() {
        let event = Ending::Event;
        assert_eq!(of(&[(CONTENT_TYPE, "text/event-stream")], false, false), event);
        let spelled = "Text/Event-Stream; charset=utf-8";
        assert_eq!(of(&[(CONTENT_TYPE, spelled)], false, true), event);
        assert_eq!(of(&[(CONTENT_TYPE, "text/event-stream")], true, false), Ending::Abort);
        for other in [
            vec![],
            vec![(CONTENT_TYPE, "text/event-streams")],
            vec![(CONTENT_TYPE, "text/plain, text/event-stream")],
            vec![(CONTENT_TYPE, "text/event-stream"), (CONTENT_TYPE, "text/plain")],
            vec![(CONTENT_TYPE, "text/event-stream"), (CONTENT_ENCODING, "gzip")],
        ] {
            assert_eq!(of(&other, false, true), Ending::Abort, "{other:?}");
        }
    }

    #[test]
    fn grpc_gets_its_status_where_trailers_always_arrive() {
        for kind in ["application/grpc", "application/grpc+proto", "Application/gRPC+json"] {
            assert_eq!(of(&[(CONTENT_TYPE, kind)], false, true), Ending::Status);
            assert_eq!(of(&[(CONTENT_TYPE, kind)], false, false), Ending::Abort);
            assert_eq!(of(&[(CONTENT_TYPE, kind)], true, true), Ending::Abort);
        }
        for kind in ["application/grpc-web", "application/grpc-web+proto", "application/grpcx"] {
            assert_eq!(of(&[(CONTENT_TYPE, kind)], false, true), Ending::Abort, "{kind}");
        }
        let frame = Ending::Status.last_frame(ProblemCode::GrantRevoked, "d-1").expect("a frame");
        let trailers = frame.into_trailers().expect("trailers");
        assert_eq!(
            (&trailers[GRPC_STATUS], &trailers[GRPC_MESSAGE]),
            (&HeaderValue::from_static("7"), &HeaderValue::from_static("grant-revoked"),)
        );
    }

    #[test]
    fn an_abort_has_no_last_frame() {
        assert!(Ending::Abort.last_frame(ProblemCode::GrantExpired, "d-1").is_none());
    }
}
