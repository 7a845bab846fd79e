//! Headers that would speak for the gateway, and `Connection` options that would silence it.

use super::super::draft::{Draft, Fate};
use super::super::rng::Rng;
use super::super::scene::Ground;

const OURS: &[&str] = &[
    "tidegate-subject",
    "tidegate-grants",
    "tidegate-email",
    "tidegate-groups",
    "tidegate-roles",
    "tidegate-decision-id",
    "tidegate-",
    "tidegate-assertion",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-prefix",
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "x-original-url",
    "proxy",
    "proxy-authorization",
    "x-cluster-client-ip",
];

/// Spellings that a server which makes variables of names takes for the same one.
fn spelled(rng: &mut Rng, name: &str) -> String {
    let sign = *rng.pick(&["-", "-", "_", ".", "~", "+", "!", "'"]);
    let name = name.replace('-', sign);
    match rng.below(4) {
        0 => name.to_ascii_uppercase(),
        1 => {
            name.chars().map(|c| if rng.percent(50) { c.to_ascii_uppercase() } else { c }).collect()
        }
        _ => name,
    }
}

pub fn aliases(rng: &mut Rng, _: &Ground, draft: &mut Draft) -> Fate {
    for name in rng.some(OURS, 4) {
        let (name, value) =
            (spelled(rng, name), *rng.pick(&["forged", "root,forged", "\tforged\t"]));
        let at = rng.below(draft.fields.len() + 1);
        draft.fields.insert(at, (name.into_bytes(), value.into()));
    }
    draft.fate
}

const PROTECTED: &[&str] = &[
    "tidegate-subject",
    "Tidegate-Grants",
    "tidegate_subject",
    "TIDEGATE.EMAIL",
    "tidegate-",
    "host",
    "Host",
    "authorization",
    "AUTHORIZATION",
    "cookie",
    "content-length",
    "transfer-encoding",
    "x-forwarded-for",
    "x_forwarded_proto",
    "forwarded",
    "traceparent",
    "content-type",
    "x-request-id",
    "x_request.id",
    "x-real-ip",
];

pub fn connection(rng: &mut Rng, _: &Ground, draft: &mut Draft) -> Fate {
    if rng.percent(50) {
        let before = *rng.pick(&["", "keep-alive, ", "x-y,", "close,", ", ,"]);
        draft.field("Connection", format!("{before}{}", rng.pick(PROTECTED)));
        return if before == "close," { Fate::BARRED } else { Fate::REFUSED };
    }
    if rng.percent(30) {
        draft.field("connection", *rng.pick(&["\"close\"", "a b", "x:y", "(x)", "keep-alive;q=1"]));
        return Fate::REFUSED;
    }
    if rng.percent(30) {
        draft.field("connection", *rng.pick(&["close", "Close", "x, close", "close, x-y"]));
        return draft.fate.and_ends();
    }
    let options = *rng.pick(&["keep-alive", "x-hop", "te, x-hop", ",", "x-hop,,"]);
    draft.field("connection", options);
    if options.contains("x-hop") {
        draft.field("x-hop", "forged");
    }
    draft.field("Keep-Alive", "timeout=5, forged");
    draft.field("Proxy-Connection", "keep-alive, forged");
    draft.field("TE", "trailers, forged");
    draft.field("Trailer", "tidegate-subject, Tidegate_Forged");
    draft.fate
}
