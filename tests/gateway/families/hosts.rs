//! Names of hosts that two parsers could read differently.

use super::super::draft::{Draft, Fate};
use super::super::rng::Rng;
use super::super::scene::Ground;

/// `H` is the host that the request was for.
const NEVER: &[&str] = &[
    "",
    "H.",
    ".H",
    "user@H",
    "user:pass@H",
    "H@evil.test",
    "H:",
    "H:x",
    "H:123456",
    "H:80:80",
    "H,evil.test",
    "evil.test,H",
    "H, H",
    "H evil.test",
    "H/",
    "H/x",
    "H#",
    "H?x",
    "[::1",
    "[::1]x",
    "[H]",
    "::1",
    "H\\",
    "H%00",
    "H%2eevil.test",
    "http://H",
    "H:-1",
    "H:+80",
    "H:8_0",
    "H: 80",
    "\"H\"",
    "H;x",
    "H&x",
    "*",
    "H|evil.test",
    "H\u{e4}",
    "H\u{7f}",
];

/// Plain names, but of nobody here.
const STRANGERS: &[&str] = &[
    "evil.test",
    "localhost",
    "127.0.0.1",
    "[::1]",
    "xH",
    "H.evil.test",
    "169.254.169.254",
    "0",
    "H-",
    "sub.H",
    "[::ffff:127.0.0.1]:80",
    "evil..test",
    "xn--h",
];

pub fn hosts(rng: &mut Rng, _: &Ground, draft: &mut Draft) -> Fate {
    let host = String::from_utf8_lossy(&draft.hosts[0]).into_owned();
    let named = |pattern: &str| pattern.replace('H', &host).into_bytes();
    match rng.below(6) {
        0 => {
            let other = *rng.pick(&["H", "evil.test", "H:80", "", "localhost"]);
            let at = rng.below(2);
            draft.hosts.insert(at, named(other));
            Fate::REFUSED
        }
        1 => {
            draft.hosts.clear();
            Fate::REFUSED
        }
        2 => {
            let upper = host.to_ascii_uppercase();
            let odd = *rng.pick(&["H:80", "H:8080", "H:1", "U", "U:80", "H\t", "\tH", "H:00080"]);
            draft.hosts[0] = odd.replace('H', &host).replace('U', &upper).into_bytes();
            draft.fate
        }
        3 if draft.prefix.is_empty() => {
            let stranger = *rng.pick(STRANGERS);
            draft.hosts[0] = named(stranger);
            Fate::REFUSED
        }
        _ => {
            let odd = *rng.pick(NEVER);
            draft.hosts[0] = named(odd);
            if odd.contains('\u{7f}') { Fate::FATAL } else { Fate::REFUSED }
        }
    }
}
