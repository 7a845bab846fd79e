//! Methods, versions, expectations and sizes of heads.

use super::super::draft::{Draft, Fate};
use super::super::rng::Rng;
use super::super::scene::Ground;

const UNKNOWN: &[&str] = &[
    "get", "Get", "gET", "TRACE", "TRACK", "DEBUG", "PROPFIND", "GETX", "G", "M-SEARCH", "*", "-",
    "PURGE", "POSTT", "post", "SEARCH", "MKCOL", "LINK", "__METHOD", "GET!", "x'y", "%47ET",
];

/// Known ones that no rule of the scene names.
const UNLISTED: &[&str] = &["PUT", "DELETE", "PATCH", "OPTIONS"];

pub fn methods(rng: &mut Rng, _: &Ground, draft: &mut Draft) -> Fate {
    if rng.percent(8) {
        draft.method = (*rng.pick(&["PRI", "CONNECT"])).into();
        return Fate::BARRED;
    }
    if rng.percent(5) {
        draft.method = vec![b'A'; 20 + rng.below(400)];
        return Fate::BARRED;
    }
    let names = if rng.percent(70) { UNKNOWN } else { UNLISTED };
    draft.method = (*rng.pick(names)).into();
    Fate::REFUSED
}

const OVERRIDES: &[&str] = &[
    "X-HTTP-Method-Override",
    "X-HTTP-Method",
    "X-Method-Override",
    "x_http_method_override",
    "X.HTTP.Method.Override",
    "X-Original-URL",
    "X-Original-Method",
    "X-Original-URI",
    "X-Rewrite-URL",
    "x_rewrite_url",
    "X-Forwarded-Uri",
    "X-Forwarded-Method",
    "X-Forwarded-Prefix",
    "X-Forwarded-Host",
    "X-Forwarded-Server",
    "Forwarded",
    "X-Real-IP",
    "True-Client-IP",
    "Client-IP",
];

pub fn overrides(rng: &mut Rng, _: &Ground, draft: &mut Draft) -> Fate {
    for name in rng.some(OVERRIDES, 3) {
        draft
            .field(name, *rng.pick(&["DELETE forged", "/forged", "for=forged", "10.0.0.1 forged"]));
    }
    draft.fate
}

const VERSIONS: &[&str] = &[
    "HTTP/0.9",
    "HTTP/1.2",
    "HTTP/2.0",
    "HTTP/2",
    "HTTP/3",
    "HTTP/1.10",
    "HTTP/01.1",
    "HTTP/1.01",
    "http/1.1",
    "Http/1.1",
    "HTTP/1.1x",
    "HTTP1.1",
    "HTTP/1,1",
    "HTTP/ 1.1",
    "HTTP/1. 1",
    "HTTP/1.1 ",
    "HTTP /1.1",
    "HTTP/+1.1",
    "HTTP/-1.1",
    "HTTP/1.1.1",
    "HTTPS/1.1",
    "ICY/1.1",
    "HTTP/1",
    "HTTP/",
    "HTTP/1.1\t",
    "X HTTP/1.1",
    "",
    " HTTP/1.1",
    "HTTP/1.1;",
    "HTTP/0x1.1",
    "HTTP/9.9",
];

pub fn versions(rng: &mut Rng, _: &Ground, draft: &mut Draft) -> Fate {
    if rng.percent(60) {
        draft.version = (*rng.pick(VERSIONS)).into();
        return Fate::FATAL;
    }
    draft.version = b"HTTP/1.0".to_vec();
    if rng.percent(50) {
        draft.field("connection", "keep-alive");
    }
    if !draft.body.is_empty() {
        return Fate::FATAL;
    }
    draft.fate.and_ends()
}

pub fn expectations(rng: &mut Rng, _: &Ground, draft: &mut Draft) -> Fate {
    let odd = ["200-ok", "", "100-continue, x", "100", "100-continue;q=1", "x100-continue", "\"\""];
    match rng.below(4) {
        0 => {
            draft.field("expect", *rng.pick(&["100-continue", "100-Continue", "100-CONTINUE"]));
            // A refused body that waits to be asked for is not read.
            let waits = !draft.body.is_empty() && draft.fate == Fate::REFUSED;
            if waits { Fate::BARRED } else { draft.fate }
        }
        1 => {
            draft.field("expect", "100-continue");
            draft.field("Expect", *rng.pick(&["100-continue", "100-Continue", "x"]));
            refused(draft)
        }
        _ => {
            draft.field("expect", *rng.pick(&odd));
            refused(draft)
        }
    }
}

/// A refusal; with a body that waits it ends the connection, too.
fn refused(draft: &Draft) -> Fate {
    if draft.body.is_empty() { Fate::REFUSED } else { Fate::BARRED }
}

pub fn sizes(rng: &mut Rng, _: &Ground, draft: &mut Draft) -> Fate {
    match rng.below(3) {
        0 => draft.target.extend(vec![b'a'; 20_000]),
        1 => draft.field("x-large", vec![b'a'; 17_000]),
        _ => {
            for _ in 0..110 {
                draft.field("x", "y");
            }
        }
    }
    Fate::FATAL
}
