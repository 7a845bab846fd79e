//! Targets in every odd form.

use super::super::draft::{Draft, Fate, mark};
use super::super::rng::Rng;
use super::super::scene::Ground;

/// Segments that some server takes for `.` or `..`, or for the end of one.
const DOTS: &[&str] = &[
    ".",
    "..",
    "%2e",
    "%2E",
    "%2e%2e",
    "%2E%2e",
    "%2e%2E",
    "%2E%2E",
    ".%2e",
    ".%2E",
    "%2e.",
    "%2E.",
    "%252e%252e",
    "%252E%252e",
    "%25%32%65",
    "%%32%65",
    "%%32e",
    "..;",
    "..;x=y",
    ".;a",
    ";..",
    "..\\",
    "\\..",
    ".\\",
    "..%5c",
    "..%5C..",
    "%5c..",
    "..%2f",
    "..%2F",
    "%2f..",
    "%2e%2e%2f",
    "%2e%2e%2F..",
    "%c0%ae%c0%ae",
    "%C0%AE",
    "%e0%80%ae",
    "%f0%80%80%ae",
    "%u002e%u002e",
    "%uff0e",
    "..%00",
    "%00..",
    "..%0d",
    "..%0a",
    "%2e%2e%3b",
    "%2E%2E%3Ba",
    "%2e%2e;",
    "..%23",
    "..%3f",
    "..%25",
    "%ef%bc%8e%ef%bc%8e%",
    "..%ff",
    "%2e%00%2e",
];

pub fn dots(rng: &mut Rng, _: &Ground, draft: &mut Draft) -> Fate {
    let (dots, mark) = (*rng.pick(DOTS), mark(draft.number));
    let path = match rng.below(5) {
        0 => format!("/public/{dots}/{mark}"),
        1 => format!("/{dots}/public/{mark}"),
        2 => format!("/public/{mark}/{dots}"),
        3 => format!("/public/{mark}/{dots}/{dots}/grant/x"),
        _ => format!("/public/x/{dots}/{mark}/?/../"),
    };
    draft.path(&path);
    Fate::REFUSED
}

fn escaped(rng: &mut Rng, byte: u8) -> String {
    let hex = format!("{byte:02x}");
    let cased = |letter: char| {
        if rng.percent(50) { letter.to_ascii_uppercase() } else { letter }
    };
    format!("%{}", hex.chars().map(cased).collect::<String>())
}

const BROKEN: &[&str] =
    &["%", "%2", "%zz", "%u0041", "%-1", "%+1", "%0x41", "%4", "%%41", "%4%31", "a%", "%e", "%g0"];

pub fn escapes(rng: &mut Rng, _: &Ground, draft: &mut Draft) -> Fate {
    let mark = mark(draft.number);
    if rng.percent(20) {
        let broken = *rng.pick(BROKEN);
        draft.path(&format!("/public/{mark}/{broken}"));
        return Fate::REFUSED;
    }
    if rng.percent(15) {
        let whole = *rng.pick(&["%c3%bc", "%E2%82%ac", "%f0%9f%8c%8A", "%ef%bc%8f"]);
        draft.path(&format!("/public/{mark}/{whole}"));
        draft.method = b"GET".to_vec();
        return Fate { forwarded: super::super::draft::Forwarded::Must, ..bodiless(draft) };
    }
    let byte = u8::try_from(rng.below(256)).expect("a byte");
    let escape = escaped(rng, byte);
    draft.path(&format!("/public/{mark}/a{escape}b"));
    draft.method = b"GET".to_vec();
    let odd = matches!(byte, 0..=0x1f | 0x7f..=0xff | b'/' | b'%' | b';' | b'\\' | b'#' | b'?');
    if odd { Fate::REFUSED } else { bodiless(draft) }
}

/// What becomes of a request for a public path.
fn bodiless(draft: &mut Draft) -> Fate {
    draft.without("content-length");
    (draft.body, draft.content) = (Vec::new(), Vec::new());
    Fate::ALLOWED
}

pub fn slashes(rng: &mut Rng, _: &Ground, draft: &mut Draft) -> Fate {
    let mark = mark(draft.number);
    draft.method = b"GET".to_vec();
    let good = bodiless(draft);
    if rng.percent(30) {
        let path = *rng.pick(&["/public/{}/", "/public/x/{}/y/", "/public/...{}", "/public/..{}/"]);
        draft.path(&path.replace("{}", &mark));
        return good;
    }
    if rng.percent(30) {
        // Nearly the public path: other rules, other answers.
        let path = *rng.pick(&["/Public/{}", "/publi/{}", "/publicly/{}", "/PUBLIC/{}", "/{}"]);
        draft.path(&path.replace("{}", &mark));
        return Fate::OPEN;
    }
    let path = *rng.pick(&["//public/{}", "/public//{}", "/public/{}//", "/public/{}///x", "//"]);
    draft.path(&path.replace("{}", &mark));
    if path == "//" { Fate::BARRED } else { Fate::REFUSED }
}

const QUERIES: &[&str] = &[
    "?",
    "??",
    "?a=/../../b",
    "?%",
    "?%zz",
    "?a=%00",
    "?a=%0d%0aX:%20y",
    "?http://evil.test/",
    "?a;b=c",
    "?\\..\\",
    "?a=//b",
    "?a=b?c=d",
    "?+",
    "?%2e%2e",
    "?a=%c0%ae",
    "?a&&b",
    "?=",
    "?a%3fb",
    "?_method=DELETE",
    "?X-HTTP-Method-Override=DELETE",
    "?/",
    "?a=%u002e",
];

pub fn queries(rng: &mut Rng, _: &Ground, draft: &mut Draft) -> Fate {
    let query = *rng.pick(QUERIES);
    draft.target.extend_from_slice(query.as_bytes());
    draft.fate
}

pub fn forms(rng: &mut Rng, _: &Ground, draft: &mut Draft) -> Fate {
    let path = String::from_utf8_lossy(&draft.target).into_owned();
    let host = String::from_utf8_lossy(&draft.hosts[0]).into_owned();
    let target = match rng.below(18) {
        0 => format!("http://{host}{path}"),
        1 => format!("https://{host}{path}"),
        2 => format!("HTTP://{host}{path}"),
        3 => format!("http://evil.test{path}"),
        4 => format!("http://user@{host}{path}"),
        5 => format!("http://{host}:80{path}"),
        6 => format!("http:{path}"),
        7 => format!("http://{path}"),
        8 => format!("ftp://{host}{path}"),
        9 => format!("{host}:80"),
        10 => host,
        11 => "*".to_owned(),
        12 => path.trim_start_matches('/').to_owned(),
        13 => format!("?{path}"),
        14 => format!("ws://{host}{path}"),
        15 => format!("@{host}{path}"),
        16 => format!("//{host}{path}"),
        _ => {
            draft.method = b"CONNECT".to_vec();
            format!("{host}:443")
        }
    };
    draft.target = target.into_bytes();
    Fate::BARRED
}

/// Bytes that no target has, or that only some parsers let pass.
pub fn odd_bytes(rng: &mut Rng, draft: &mut Draft) -> (Fate, Vec<u8>) {
    let never: Vec<u8> =
        (0..=b' ').chain(0x7f..=0xff).chain([b'#']).filter(|&byte| byte != b'\n').collect();
    let maybe = b"\"<>^`{|}'()*!$&+,=:@~[]";
    let (byte, fate) = if rng.percent(60) {
        (*rng.pick(&never), Fate::FATAL)
    } else {
        (*rng.pick(maybe), Fate::UNSURE)
    };
    let end = draft.target.len();
    let at = if rng.percent(50) { end } else { end - 1 - rng.below(9) };
    draft.target.insert(at, byte);
    let bytes = draft.bytes();
    // The mark may be torn: what arrives is told by the request id alone.
    (fate, bytes)
}
