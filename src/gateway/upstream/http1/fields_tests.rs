//! What passes of a response is the same whether it is read line by line or comes as a map, and is what
//! a plain reading of the rules says.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRAILER, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::head::{Head, parse};
use crate::gateway::headers::{is_framed_clearly, rewrite_response};

type Line = (String, String);

fn head(status: u16, lines: &[Line]) -> Option<Head> {
    let mut text = format!("HTTP/1.1 {status} X\r\n");
    for (name, value) in lines {
        text += name;
        text += ": ";
        text += value;
        text += "\r\n";
    }
    let mut spare = map(&[("X-Spare".to_owned(), "x".to_owned())]);
    parse(&Bytes::from(text + "\r\n"), &mut spare).ok()
}

/// Every line, as it was sent.
fn map(lines: &[Line]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        headers.append(name, HeaderValue::from_str(value.trim()).expect("a value"));
    }
    headers
}

fn folded(name: &str) -> String {
    let sign = |it: char| if it.is_ascii_alphanumeric() { it.to_ascii_lowercase() } else { '-' };
    name.chars().map(sign).collect()
}

fn stays_here(name: &str) -> bool {
    let name = folded(name);
    let named = [
        "connection",
        "keep-alive",
        "te",
        "transfer-encoding",
        "upgrade",
        "proxy",
        "http2-settings",
    ];
    named.contains(&&*name) || name.starts_with("proxy-") || name.starts_with("tidegate-")
}

/// May not come behind a body.
fn is_of_heads(name: &str) -> bool {
    let named = [
        "host",
        "content-length",
        "content-type",
        "content-encoding",
        "content-range",
        "trailer",
        "set-cookie",
        "location",
        "www-authenticate",
    ];
    stays_here(name) || named.contains(&&*folded(name))
}

fn listed(lines: &[Line], of: &HeaderName) -> Vec<String> {
    let values = lines.iter().filter(|(name, _)| name.eq_ignore_ascii_case(of.as_str()));
    let names = values.flat_map(|(_, value)| value.split(',')).map(|it| it.trim().to_owned());
    names.collect()
}

/// The rules, read as they are written down.
fn expected(lines: &[Line]) -> HeaderMap {
    let nominated = listed(lines, &CONNECTION);
    let is_nominated = |name: &str| {
        let exempt = ["content-length", "host"].iter().any(|it| name.eq_ignore_ascii_case(it));
        !exempt && nominated.iter().any(|it| it.eq_ignore_ascii_case(name))
    };
    let passing: Vec<Line> = lines
        .iter()
        .filter(|(name, _)| !stays_here(name) && !is_nominated(name))
        .cloned()
        .collect();
    let mut headers = map(&passing);
    if headers.remove(TRAILER).is_some() {
        let may_come =
            |name: &String| HeaderName::from_bytes(name.as_bytes()).is_ok() && !is_of_heads(name);
        let kept: Vec<String> = listed(&passing, &TRAILER).into_iter().filter(may_come).collect();
        if !kept.is_empty() {
            headers.insert(TRAILER, kept.join(", ").parse().expect("a value"));
        }
    }
    headers
}

const NAMES: [&str; 38] = [
    "Date",
    "server",
    "Content-Type",
    "CONTENT-LENGTH",
    "Content-Length",
    "content_length",
    "ETag",
    "Transfer-Encoding",
    "transfer-encoding",
    "Transfer_Encoding",
    "Connection",
    "connection",
    "Connection",
    "Conn.ection",
    "Keep-Alive",
    "keep_alive",
    "Upgrade",
    "TE",
    "te.",
    "Trailer",
    "trailer",
    "Trailers",
    "Proxy",
    "Proxy-Authenticate",
    "proxy_connection",
    "Proxys",
    "Host",
    "Tidegate-Decision-Id",
    "tidegate_user",
    "Tidegate-",
    "Tidegate",
    "X-Tidegate-User",
    "Set-Cookie",
    "HTTP2-Settings",
    "http2.settings",
    "Vary",
    "X-A",
    "x-b",
];

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        9 => proptest::sample::select(&NAMES[..]).prop_map(str::to_owned),
        1 => "[A-Za-z!#$%&'*+.^_`|~0-9-]{1,70}",
    ]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => proptest::collection::vec(name(), 0..4).prop_map(|names| names.join(", ")),
        1 => proptest::collection::vec(name(), 0..4).prop_map(|names| names.join(" ,")),
        2 => "[0-9]{1,4}",
        2 => proptest::sample::select(&["chunked", "Chunked", "gzip", "close", "Close, x-a", ""][..])
            .prop_map(str::to_owned),
        1 => "[ -~]{0,20}",
    ]
}

/// Most of them say in one way where they end.
fn lines() -> impl Strategy<Value = Vec<Line>> {
    let any = proptest::collection::vec((name(), value()), 0..12);
    let framings = ["Content-Length", "Transfer-Encoding"].map(str::to_owned).to_vec();
    (any, 0..4_u8).prop_map(move |(mut lines, framing)| {
        let is_framing = |name: &String| framings.iter().any(|it| it.eq_ignore_ascii_case(name));
        if framing > 0 {
            lines.retain(|(name, _)| !is_framing(name));
        }
        match framing {
            1 => lines.push(("Content-Length".into(), "7".into())),
            2 => lines.insert(0, ("transfer-Encoding".into(), "chunked".into())),
            _ => (),
        }
        lines
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn lines_and_a_map_are_cleaned_alike_and_by_the_rules(lines in lines()) {
        let mut cleaned = map(&lines);
        let clear = is_framed_clearly(&cleaned);
        rewrite_response(&mut cleaned);
        prop_assert_eq!(&cleaned, &expected(&lines));
        match head(200, &lines) {
            Some(head) => {
                prop_assert!(clear);
                prop_assert_eq!(&head.fields.headers, &cleaned);
                let closes = listed(&lines, &CONNECTION);
                let closes = closes.iter().any(|it| it.eq_ignore_ascii_case("close"));
                prop_assert_eq!(head.goes_on(), !closes);
            }
            None => prop_assert!(!clear),
        }
    }

    #[test]
    fn a_switch_of_protocols_keeps_every_line_and_is_framed_as_clearly(lines in lines()) {
        let sent = map(&lines);
        match head(101, &lines) {
            Some(head) => {
                prop_assert!(is_framed_clearly(&sent));
                prop_assert_eq!(&head.fields.headers, &sent);
            }
            None => prop_assert!(!is_framed_clearly(&sent)),
        }
    }
}

#[test]
fn an_interim_response_is_not_read_further() {
    let lines = [(TRANSFER_ENCODING.as_str(), "x"), (CONTENT_LENGTH.as_str(), "x"), ("link", "x")];
    let lines = lines.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert!(head(200, &lines).is_none());
    for status in [100, 102, 103, 199] {
        let head = head(status, &lines).expect("a head");
        assert!(head.is_interim() && head.fields.headers.is_empty());
    }
}
