//! `issuers`: whose tokens are accepted.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;

use crate::config::map::Map;
use crate::config::reader::At;
use crate::config::{Algorithm, ClaimNames, IdentityKeys, IssuerConfig, KeySource};

use super::{distinct, files, word, words};

const SOURCES: &str = "exactly one of jwks_file, jwks_url, discovery: true, pem_file, secret_file";
const MOST_LEEWAY: Duration = Duration::from_secs(60);
/// Of identity, each a claim that every token is searched for.
const MOST_KEYS: usize = 16;
const STALE: Duration = Duration::from_hours(24);
/// Ten minutes outlast one refresh that fails.
const STALENESS: RangeInclusive<Duration> = Duration::from_mins(10)..=Duration::from_hours(7 * 24);
const ALGORITHMS: [(&str, Algorithm); 12] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
    ("HS256", Algorithm::HS256),
    ("HS384", Algorithm::HS384),
    ("HS512", Algorithm::HS512),
];

pub fn issuers(at: &At<'_>, strict: bool, same: &IdentityKeys) -> Option<Vec<IssuerConfig>> {
    let found = at.filled("a list of at least one issuer", |at| issuer(at, strict, same))?;
    let names: Vec<&str> = found.iter().map(|issuer| &*issuer.issuer).collect();
    let prefixes: Vec<&str> = found.iter().map(|issuer| &*issuer.prefix).collect();
    let fits = distinct(at, "issuer", &names) & distinct(at, "prefix", &prefixes);
    fits.then_some(found)
}

/// The subject is always among them: without it nobody would be the same person as themselves.
pub fn identity_keys(at: &At<'_>) -> Option<IdentityKeys> {
    let expected = "a list like [subject, email, employee_id], with `subject` and no name twice";
    let found = words(at)?;
    if !distinct(at, "key", &found) {
        return None;
    }
    let has = |name: &str| found.iter().any(|key| **key == *name);
    if !has("subject") || found.len() > MOST_KEYS {
        return at.refuse(expected);
    }
    let email = has("email");
    let is_claim = |name: &Arc<str>| !matches!(&**name, "subject" | "email");
    Some(IdentityKeys { email, claims: found.into_iter().filter(is_claim).collect() })
}

fn issuer(at: &At<'_>, strict: bool, same: &IdentityKeys) -> Option<IssuerConfig> {
    let map = at.map("a mapping with issuer, a key source and audiences")?;
    let issuer = map.need("issuer", "the value of `iss`", word);
    let keys = keys(&map, strict);
    let audiences = map.need("audiences", "a list of at least one accepted audience", words);
    let algorithms = algorithms(&map, keys.as_ref());
    let typ = map.or("typ", vec!["absent".into(), "JWT".into(), "at+jwt".into()], words);
    let claims = claims(&map);
    let prefix = map.or("prefix", "".into(), word);
    let leeway =
        map.or("leeway", Duration::ZERO, |at| at.duration(&(Duration::ZERO..=MOST_LEEWAY)));
    let ca = map.maybe("ca", files::readable);
    let max_stale = map.or("max_stale", STALE, |at| at.duration(&STALENESS));
    map.finish();
    let typ = typ?;
    let (issuer, keys) = (issuer?, keys?);
    if matches!(keys, KeySource::Discovery) && !is_trusted(&issuer, strict) {
        return map.refuse("discovery with an issuer that is no https address", address_of(strict));
    }
    Some(IssuerConfig {
        issuer,
        keys,
        audiences: audiences?,
        algorithms: algorithms?,
        allow_absent_typ: typ.iter().any(|word| **word == *"absent"),
        types: typ.into_iter().filter(|word| **word != *"absent").collect(),
        claims: claims?,
        prefix: prefix?,
        identity_keys: same.clone(),
        leeway: leeway?,
        ca: ca?,
        max_stale: max_stale?,
    })
}

fn keys(map: &Map<'_>, strict: bool) -> Option<KeySource> {
    let sources = [
        map.get("jwks_file").map(|at| files::readable(&at).map(KeySource::JwksFile)),
        map.get("jwks_url").map(|at| jwks_url(&at, strict)),
        map.get("discovery").map(|at| discovery(&at)),
        map.get("pem_file").map(|at| files::readable(&at).map(KeySource::Pem)),
        map.get("secret_file")
            .map(|at| files::secret(&at, strict).map(|(path, _)| KeySource::Secret(path))),
    ];
    let mut named = sources.into_iter().flatten();
    match (named.next(), named.next()) {
        (Some(source), None) => source,
        (None, _) => map.refuse("no source of keys", SOURCES),
        (Some(_), Some(_)) => map.refuse("more than one source of keys", SOURCES),
    }
}

fn jwks_url(at: &At<'_>, strict: bool) -> Option<KeySource> {
    let expected = address_of(strict);
    let text = at.text(expected)?;
    let uri = text.parse::<Uri>().ok().filter(|_| is_trusted(&text, strict));
    uri.map_or_else(|| at.refuse(expected), |uri| Some(KeySource::JwksUrl(uri)))
}

fn discovery(at: &At<'_>) -> Option<KeySource> {
    if at.flag()? { Some(KeySource::Discovery) } else { at.refuse("true, or another key source") }
}

const fn address_of(strict: bool) -> &'static str {
    if strict {
        "an https address without credentials (http only on loopback)"
    } else {
        "an http or https address without credentials"
    }
}

/// Keys that came over plain http could be anybody's.
fn is_trusted(text: &str, strict: bool) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let Some(authority) = uri.authority() else { return false };
    if authority.as_str().contains('@') || text.contains('#') {
        return false;
    }
    match uri.scheme_str() {
        Some("https") => true,
        Some("http") => !strict || is_loopback(authority.host()),
        Some(_) | None => false,
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// HMAC goes with `secret_file` and with nothing else, so that no public key ever serves as one.
fn algorithms(map: &Map<'_>, keys: Option<&KeySource>) -> Option<Vec<Algorithm>> {
    let usual = vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
    let has_secret = matches!(keys, Some(KeySource::Secret(_)));
    if has_secret && !map.has("algorithms") {
        return map
            .refuse("secret_file without algorithms", "algorithms: [HS256] (or HS384, HS512)");
    }
    map.or("algorithms", usual, |at| {
        at.filled("a list of at least one algorithm", |at| {
            let algorithm = at.one_of(&ALGORITHMS)?;
            match (is_hmac(algorithm), keys) {
                (true, Some(KeySource::Secret(_))) | (false | true, None) => Some(algorithm),
                (true, Some(_)) => {
                    at.refuse("an algorithm with public keys (HS* needs secret_file)")
                }
                (false, Some(KeySource::Secret(_))) => {
                    at.refuse("HS256, HS384 or HS512 with secret_file")
                }
                (false, Some(_)) => Some(algorithm),
            }
        })
    })
}

const fn is_hmac(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512)
}

fn claims(map: &Map<'_>) -> Option<ClaimNames> {
    let usual = ClaimNames {
        subject: "sub".into(),
        email: "email".into(),
        groups: "groups".into(),
        roles: "roles".into(),
        scopes: "scopes".into(),
    };
    let named = |map: &Map<'_>, key, default: Arc<str>| map.or(key, default, word);
    map.or("claims", usual.clone(), |at| {
        let map = at.map("a mapping with subject, email, groups, roles, scopes")?;
        let subject = named(&map, "subject", usual.subject);
        let email = named(&map, "email", usual.email);
        let groups = named(&map, "groups", usual.groups);
        let roles = named(&map, "roles", usual.roles);
        let scopes = named(&map, "scopes", usual.scopes);
        map.finish();
        Some(ClaimNames {
            subject: subject?,
            email: email?,
            groups: groups?,
            roles: roles?,
            scopes: scopes?,
        })
    })
}
