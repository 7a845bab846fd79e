//! Tunnels over HTTP/2 (RFC 8441): an extended CONNECT in the form of the handshake that HTTP/1.1
//! has, so that one form is admitted and forwarded.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY};
use http::request::Parts;
use http::{HeaderValue, Method};
use hyper::ext::Protocol;

use super::handshake::{Handshake, mark};
use crate::entropy;

/// Marks a request that was an extended CONNECT. It is no header: no client can send it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExtendedConnect;

/// Makes a `GET` with a handshake, and a key of ours, of an extended CONNECT for `websocket`. What asks
/// for anything else, or not in the one valid form, stays a CONNECT, which is refused.
pub fn into_handshake(head: &mut Parts) {
    let protocol = head.extensions.get::<Protocol>().map(Protocol::as_str);
    if head.method != Method::CONNECT || protocol != Some("websocket") {
        return;
    }
    let Some(key) = key() else { return };
    head.headers.insert(SEC_WEBSOCKET_KEY, key);
    head.headers.remove(SEC_WEBSOCKET_ACCEPT);
    mark(&mut head.headers);
    head.extensions.insert(ExtendedConnect);
    head.method = Method::GET;
    if Handshake::asked(head).is_none() {
        head.method = Method::CONNECT;
        head.extensions.remove::<ExtendedConnect>();
    }
}

/// `None`: there is no entropy.
fn key() -> Option<HeaderValue> {
    let nonce: [u8; 16] = entropy::bytes().ok()?;
    HeaderValue::try_from(STANDARD.encode(nonce)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Version};

    fn head(protocol: Option<&'static str>, lines: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method("CONNECT").uri("/").version(Version::HTTP_2);
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let mut head = request.body(()).expect("a request").into_parts().0;
        head.extensions.extend(
            protocol
                .map(|it| {
                    let mut one = http::Extensions::new();
                    one.insert(Protocol::from_static(it));
                    one
                })
                .unwrap_or_default(),
        );
        into_handshake(&mut head);
        head
    }

    const GOOD: (&str, &str) = ("sec-websocket-version", "13");

    #[test]
    fn a_websocket_becomes_a_get_with_a_key_of_ours() {
        let theirs = "dGhlIHNhbXBsZSBub25jZQ==";
        let one = head(Some("websocket"), &[GOOD, ("sec-websocket-key", theirs)]);
        let other = head(Some("websocket"), &[GOOD]);
        for head in [&one, &other] {
            assert_eq!(head.method, Method::GET);
            assert!(Handshake::asked(head).is_some_and(|asked| asked.is_over_http2()));
            assert_eq!(head.headers.get_all(SEC_WEBSOCKET_KEY).iter().count(), 1);
        }
        assert_ne!(one.headers[SEC_WEBSOCKET_KEY], theirs);
        assert_ne!(one.headers[SEC_WEBSOCKET_KEY], other.headers[SEC_WEBSOCKET_KEY]);
    }

    #[test]
    fn anything_else_stays_a_connect() {
        for (protocol, lines) in [
            (None, vec![GOOD]),
            (Some("connect-udp"), vec![GOOD]),
            (Some("WebSocket"), vec![GOOD]),
            (Some("websocket "), vec![GOOD]),
            (Some("websocket"), vec![]),
            (Some("websocket"), vec![("sec-websocket-version", "8")]),
            (Some("websocket"), vec![GOOD, GOOD]),
            (Some("websocket"), vec![GOOD, ("content-length", "0")]),
            (Some("websocket"), vec![GOOD, ("sec-websocket-protocol", "a b")]),
        ] {
            let head = head(protocol, &lines);
            assert_eq!(head.method, Method::CONNECT, "{protocol:?} {lines:?}");
            assert!(Handshake::asked(&head).is_none(), "{protocol:?} {lines:?}");
        }
    }

    #[test]
    fn a_get_of_http2_with_the_same_headers_asks_for_nothing() {
        let mut head = head(Some("websocket"), &[GOOD]);
        head.extensions.clear();
        assert!(Handshake::asked(&head).is_none());
    }
}
