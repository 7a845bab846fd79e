//! The opening handshake (RFC 6455, section 4).

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use super::extended::ExtendedConnect;
use crate::gateway::framing::is_token;

/// Section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A client's valid wish for a WebSocket.
#[derive(Debug)]
pub struct Handshake {
    /// The only `Sec-WebSocket-Accept` that belongs to its key.
    accept: String,
    protocols: Vec<Box<[u8]>>,
    extensions: Vec<Box<[u8]>>,
    over_http2: bool,
}

/// What client and tool agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Some extension: it may use the reserved bits of a frame.
    pub extended: bool,
}

impl Handshake {
    /// `None`: nothing is asked for, or not in the one valid form; the request is an ordinary one.
    #[must_use]
    pub fn asked(head: &Parts) -> Option<Self> {
        let headers = &head.headers;
        let upgrade = only(headers, &UPGRADE)?;
        let key = only(headers, &SEC_WEBSOCKET_KEY)?;
        let version = only(headers, &SEC_WEBSOCKET_VERSION)?;
        let over_http2 =
            head.version == Version::HTTP_2 && head.extensions.get::<ExtendedConnect>().is_some();
        let fits = head.method == Method::GET
            && (head.version == Version::HTTP_11 || over_http2)
            && upgrade.eq_ignore_ascii_case(b"websocket")
            && version == b"13"
            && STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16)
            && !headers.contains_key(CONTENT_LENGTH)
            && !headers.contains_key(TRANSFER_ENCODING)
            && connection_agrees(headers);
        if !fits {
            return None;
        }
        let protocols = offered(headers, &SEC_WEBSOCKET_PROTOCOL)?;
        let extensions = offered(headers, &SEC_WEBSOCKET_EXTENSIONS)?;
        Some(Self { accept: accept(key), protocols, extensions, over_http2 })
    }

    /// The client asked by an extended CONNECT: to it, any 2xx says that there is a tunnel.
    #[must_use]
    pub const fn is_over_http2(&self) -> bool {
        self.over_http2
    }

    /// Whether a 101 with these headers is the answer to this handshake.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn answered(&self, headers: &HeaderMap) -> Result<Agreed, &'static str> {
        let upgrade = only(headers, &UPGRADE).ok_or("its 101 has not one Upgrade")?;
        if !upgrade.eq_ignore_ascii_case(b"websocket") || !has_option(headers, b"upgrade") {
            return Err("its 101 does not switch to websocket");
        }
        if only(headers, &SEC_WEBSOCKET_ACCEPT) != Some(self.accept.as_bytes()) {
            return Err("its Sec-WebSocket-Accept does not belong to the client's key");
        }
        let sized = headers.get_all(CONTENT_LENGTH).iter().any(|value| value != "0");
        if sized || headers.contains_key(TRANSFER_ENCODING) {
            return Err("its 101 announces a body");
        }
        let within = |name: &HeaderName, offers: &[Box<[u8]>]| {
            let chosen = offered(headers, name).ok_or("a list in its 101 cannot be read")?;
            let known = chosen.iter().all(|one| offers.contains(one));
            if known { Ok(chosen.len()) } else { Err("its 101 chooses what was not offered") }
        };
        if within(&SEC_WEBSOCKET_PROTOCOL, &self.protocols)? > 1 {
            return Err("its 101 chooses more than one protocol");
        }
        Ok(Agreed { extended: within(&SEC_WEBSOCKET_EXTENSIONS, &self.extensions)? > 0 })
    }
}

/// The headers that ask the next hop for the switch, or grant it; whatever stood there is gone.
pub fn mark(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

fn accept(key: &[u8]) -> String {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat());
    STANDARD.encode(hash)
}

/// The value of a header that stands there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.as_bytes()),
        (Some(_) | None, _) => None,
    }
}

fn options<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let values = headers.get_all(name).into_iter();
    values.flat_map(|value| value.as_bytes().split(|&byte| byte == b',')).map(<[u8]>::trim_ascii)
}

fn has_option(headers: &HeaderMap, wanted: &[u8]) -> bool {
    options(headers, &CONNECTION).any(|option| option.eq_ignore_ascii_case(wanted))
}

/// It asks for the upgrade, for no end, and takes no part of the handshake away.
fn connection_agrees(headers: &HeaderMap) -> bool {
    let spoils = |option: &[u8]| {
        option.eq_ignore_ascii_case(b"close")
            || option.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"sec-"))
    };
    has_option(headers, b"upgrade") && !options(headers, &CONNECTION).any(spoils)
}

/// The names in a list, without their parameters; `None` when one of them is no token.
fn offered(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<Box<[u8]>>> {
    let names = options(headers, name).filter(|item| !item.is_empty()).map(|item| {
        let name = item.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        is_token(name).then(|| name.into())
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    fn asked(method: &str, lines: &[(&str, &str)]) -> Option<Handshake> {
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        Handshake::asked(&request.body(()).expect("a request").into_parts().0)
    }

    const GOOD: [(&str, &str); 4] = [
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-key", KEY),
        ("sec-websocket-version", "13"),
    ];

    fn with<'a>(at: usize, line: (&'a str, &'a str)) -> Vec<(&'a str, &'a str)> {
        let mut lines = GOOD.to_vec();
        lines[at] = line;
        lines
    }

    fn plus<'a>(line: (&'a str, &'a str)) -> Vec<(&'a str, &'a str)> {
        [&GOOD[..], &[line]].concat()
    }

    #[test]
    fn the_key_of_the_standard_has_the_accept_of_the_standard() {
        assert_eq!(asked("GET", &GOOD).expect("a handshake").accept, ACCEPT);
    }

    #[test]
    fn every_part_of_a_handshake_has_one_valid_form() {
        assert!(asked("GET", &with(0, ("upgrade", "WebSocket"))).is_some());
        assert!(asked("GET", &with(1, ("connection", "keep-alive, upgrade"))).is_some());
        for method in ["POST", "HEAD", "PUT", "CONNECT", "OPTIONS"] {
            assert!(asked(method, &GOOD).is_none(), "{method}");
        }
        for missing in 0..GOOD.len() {
            assert!(asked("GET", &with(missing, ("x-other", "x"))).is_none(), "{missing}");
        }
        for (at, value) in [
            (0, "h2c"),
            (0, "foo"),
            (0, ""),
            (0, "websocket, h2c"),
            (0, "websocket/13"),
            (0, "websockets"),
            (1, "close"),
            (1, "upgrade, close"),
            (1, "keep-alive"),
            (1, "upgrade, sec-websocket-key"),
            (1, "upgrades"),
            (2, ""),
            (2, "dGhlIHNhbXBsZSBub25jZQ="),
            (2, "dGhlIHNhbXBsZSBub25jZQ"),
            (2, "dGhlIHNhbXBsZSBub25jZR=="),
            (2, "dGhlIHNhbXBsZSBub25jZTE="),
            (2, "dGhlIHNhbXBsZSBub25j"),
            (2, "dGhlIHNhbXBsZSBub25jZQ== "),
            (3, "1337"),
            (3, "8"),
            (3, "013"),
            (3, "13, 8"),
            (3, ""),
        ] {
            assert!(asked("GET", &with(at, (GOOD[at].0, value))).is_none(), "{at} {value:?}");
        }
        for line in [
            ("upgrade", "websocket"),
            ("upgrade", "h2c"),
            ("sec-websocket-key", KEY),
            ("sec-websocket-version", "13"),
            ("content-length", "0"),
            ("transfer-encoding", "chunked"),
            ("connection", "close"),
            ("sec-websocket-protocol", "a b"),
            ("sec-websocket-extensions", "\"x\""),
        ] {
            assert!(asked("GET", &plus(line)).is_none(), "{line:?}");
        }
    }

    fn answered(lines: &[(&str, &str)]) -> Result<Agreed, &'static str> {
        let offer = [
            &GOOD[..],
            &[("sec-websocket-protocol", "chat, Super"), ("sec-websocket-protocol", "x")],
            &[("sec-websocket-extensions", "permessage-deflate; client_max_window_bits")],
        ];
        let handshake = asked("GET", &offer.concat()).expect("a handshake");
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            headers.append(name, value.parse().expect("a value"));
        }
        handshake.answered(&headers)
    }

    const TAKEN: [(&str, &str); 3] =
        [("upgrade", "websocket"), ("connection", "upgrade"), ("sec-websocket-accept", ACCEPT)];

    #[test]
    fn only_the_answer_to_this_handshake_switches() {
        assert_eq!(answered(&TAKEN), Ok(Agreed { extended: false }));
        for (at, line) in TAKEN.into_iter().enumerate() {
            let mut lines = TAKEN.to_vec();
            lines.remove(at);
            assert!(answered(&lines).is_err(), "without {at}");
            let twice = [&TAKEN[..], &[line]].concat();
            assert_eq!(answered(&twice).is_ok(), at == 1, "twice {at}");
        }
        for (at, value) in [
            (0, "h2c"),
            (1, "close"),
            (2, "S3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            (2, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo"),
            (2, ""),
        ] {
            let mut lines = TAKEN.to_vec();
            lines[at].1 = value;
            assert!(answered(&lines).is_err(), "{at} {value:?}");
        }
        for (line, fits) in [
            (("content-length", "0"), true),
            (("content-length", "5"), false),
            (("transfer-encoding", "chunked"), false),
            (("sec-websocket-protocol", "chat"), true),
            (("sec-websocket-protocol", "x"), true),
            (("sec-websocket-protocol", "Chat"), false),
            (("sec-websocket-protocol", "chat, x"), false),
            (("sec-websocket-protocol", "other"), false),
            (("sec-websocket-extensions", "permessage-deflate"), true),
            (("sec-websocket-extensions", "permessage-deflate; server_max_window_bits=9"), true),
            (("sec-websocket-extensions", "x-other"), false),
            (("sec-websocket-extensions", "permessage-deflate, x-other"), false),
        ] {
            let lines = [&TAKEN[..], &[line]].concat();
            assert_eq!(answered(&lines).is_ok(), fits, "{line:?}");
            let extended = line.0 == "sec-websocket-extensions";
            assert!(answered(&lines).is_ok_and(|agreed| agreed.extended == extended) || !fits);
        }
    }
}
