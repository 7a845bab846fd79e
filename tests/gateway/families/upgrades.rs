//! Upgrades that are none, and bytes behind them.

use super::super::draft::{Draft, Fate};
use super::super::rng::Rng;

const UPGRADES: &[&[(&str, &str)]] = &[
    &[
        ("Connection", "Upgrade, HTTP2-Settings"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
    ],
    &[("Connection", "Upgrade"), ("Upgrade", "h2c")],
    &[("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABk")],
    &[("Connection", "Upgrade"), ("Upgrade", "h2c, websocket")],
    &[("Connection", "upgrade"), ("Upgrade", "foo")],
    &[("Connection", "upgrade"), ("Upgrade", "TLS/1.0")],
    &[
        ("Connection", "upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ],
    &[
        ("Connection", "upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "1337"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ],
    &[("Connection", "upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")],
    &[("Connection", "upgrade"), ("Upgrade", "WebSocket")],
    &[("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "x")],
    &[
        ("Connection", "keep-alive"),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Upgrade", "h2c"),
    ],
];

/// The preface of HTTP/2, then empty settings, then a ping.
const PREFACE: &[u8] =
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x08\x06\x00\x00\x00\x00\x00forged!!";

pub fn upgrades(rng: &mut Rng, draft: &mut Draft) -> (Fate, Vec<u8>) {
    if rng.percent(8) {
        return (Fate::FATAL, PREFACE.to_vec());
    }
    for (name, value) in *rng.pick(UPGRADES) {
        draft.field(name, value);
    }
    let mut bytes = draft.bytes();
    let fate = match rng.below(4) {
        // A frame of a WebSocket, masked, that hides a request.
        0 => {
            let hidden = draft.hidden();
            let length = u8::try_from(hidden.len()).expect("short").min(125);
            bytes.extend_from_slice(&[0x81, 0x80 | length, 0, 0, 0, 0]);
            bytes.extend_from_slice(&hidden);
            Fate::UNSURE
        }
        1 => {
            bytes.extend_from_slice(PREFACE);
            Fate::UNSURE
        }
        _ => draft_open(draft),
    };
    (fate, bytes)
}

/// Whether a tunnel is asked for in the right form is not for this test to say; that none is opened
/// by a tool that answers 200, is.
fn draft_open(draft: &Draft) -> Fate {
    if draft.fate == Fate::ALLOWED { Fate::OPEN } else { draft.fate }
}
