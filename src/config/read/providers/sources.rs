//! One source of attributes: a static map, HTTP or Redis.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;

use crate::config::load;
use crate::config::map::Map;
use crate::config::reader::{At, Context};
use crate::config::{
    Attributes, CacheConfig, HttpSourceConfig, LookupTemplate, RedisSourceConfig, SourceConfig,
};

use super::super::{files, redis_url};
use super::{attributes, parts, template};

const KINDS: &str = "one of `static`, `http` and `redis`";
const URL: &str = "an address like http://127.0.0.1:9000/documents/{key}, with {key} or {id} after the host alone";
const USUAL: Duration = Duration::from_millis(250);
const LEAST: Duration = Duration::from_millis(1);

type Documents = BTreeMap<Arc<str>, Attributes>;

pub fn source(at: &At<'_>, strict: bool) -> Option<SourceConfig> {
    let map = at.map(KINDS)?;
    let fixed = map.get("static").map(|at| documents(&at).map(Arc::new).map(SourceConfig::Static));
    let http = map.get("http").map(|at| http(&at, strict).map(SourceConfig::Http));
    let redis = map.get("redis").map(|at| redis(&at, strict).map(SourceConfig::Redis));
    map.finish();
    match (fixed, http, redis) {
        (Some(found), None, None) | (None, Some(found), None) | (None, None, Some(found)) => found,
        (None, None, None) => at.refuse_as("no source", KINDS),
        _ => at.refuse_as("several sources in one", KINDS),
    }
}

/// Ids with their attributes, or a file with them.
fn documents(at: &At<'_>) -> Option<Documents> {
    let map = at.map("a mapping of ids to attributes, or `{ file: ./documents.yaml }`")?;
    match map.get("file").filter(|file| !file.is_map()) {
        None => inline(&map),
        Some(file) => {
            let path = files::readable(&file);
            map.finish();
            let path = path?;
            let context = Context::new(&path, None);
            let expected = "a mapping of ids to attributes";
            let read = |root: &At<'_>| inline(&root.map(expected)?);
            let found = load::read(&path, &context, expected, read);
            let (problems, _) = context.finish();
            let is_good = problems.is_empty();
            at.context.adopt(problems);
            found.filter(|_| is_good)
        }
    }
}

fn inline(map: &Map<'_>) -> Option<Documents> {
    let found = map.entries(|id, at| Some((Arc::from(id), attributes(at)?)))?;
    Some(found.into_iter().collect())
}

fn http(at: &At<'_>, strict: bool) -> Option<HttpSourceConfig> {
    let map = at.map("`{ url: \"http://127.0.0.1:9000/documents/{key}\" }`")?;
    let url = map.need("url", URL, |at| url(at, strict));
    let timeout = timeout(&map);
    let token_file = map.maybe("token_file", |at| files::private(at, strict));
    let cache = map.maybe("cache", cache);
    map.finish();
    let (origin, target) = url?;
    let (timeout, token_file, cache) = (timeout?, token_file?, cache?);
    Some(HttpSourceConfig { origin, target, timeout, token_file, cache })
}

fn timeout(map: &Map<'_>) -> Option<Duration> {
    map.or("timeout", USUAL, |at| at.duration(&(LEAST..=Duration::from_secs(10))))
}

fn cache(at: &At<'_>) -> Option<CacheConfig> {
    let map = at.map("`{ ttl: 5s, entries: 1000 }`")?;
    let ttl = map
        .need("ttl", "a duration like 5s", |at| at.duration(&(LEAST..=Duration::from_secs(3600))));
    let entries = map.or("entries", 1000, |at| at.count(&(1..=10_000)));
    map.finish();
    Some(CacheConfig { ttl: ttl?, entries: usize::try_from(entries?).ok()? })
}

fn url(at: &At<'_>, strict: bool) -> Option<(Arc<str>, LookupTemplate)> {
    let text = at.text(URL)?;
    let Some((origin, target)) = divided(&text) else { return at.refuse(URL) };
    let Ok(parsed) = origin.parse::<Uri>() else { return at.refuse(URL) };
    let Some(authority) = parsed.authority().filter(|it| !it.as_str().contains('@')) else {
        return at.refuse(format!("{URL}, and without credentials"));
    };
    let Some(target) = parts(target, true) else { return at.refuse(URL) };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    protected(at, parsed.scheme_str() == Some("https"), host, strict, "https://")?;
    Some((origin.into(), LookupTemplate(target)))
}

/// `http://host:port` and what begins with the `/` after it.
fn divided(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let slash = rest.find('/')?;
    let at = scheme.len() + "://".len() + slash;
    let (origin, target) = (text.get(..at)?, text.get(at..)?);
    let is_plain = target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
        && !target.split(['/', '?']).any(|segment| matches!(segment, "." | ".."));
    let is_origin = matches!(scheme, "http" | "https") && !origin.contains(['{', '}', '?', '#']);
    (is_origin && is_plain && slash > 0).then_some((origin, target))
}

fn redis(at: &At<'_>, strict: bool) -> Option<RedisSourceConfig> {
    let map = at.map("`{ url: \"redis://127.0.0.1:6379\", key: \"doc:{key}\" }`")?;
    let url = map.need("url", redis_url::EXPECTED, |at| redis_address(at, strict));
    let key = map.need("key", "the key of the hash, like doc:{key}", |at| template(at, true));
    let timeout = timeout(&map);
    map.finish();
    let (url, key, timeout) = (url?, key?, timeout?);
    let (address, login) = (url.address, url.login);
    Some(RedisSourceConfig { address, login, database: url.database.unwrap_or(0), key, timeout })
}

fn redis_address(at: &At<'_>, strict: bool) -> Option<redis_url::RedisUrl> {
    let expected = "an address like redis://HOST:6379";
    let url = match at.quiet_text() {
        Ok(text) => redis_url::parse(&text, 6379),
        Err(found) => return at.refuse_as(found, expected),
    };
    match url {
        Err(found) => at.refuse_as(found, expected),
        Ok(url) if url.encrypted => {
            at.refuse_as("rediss://, which a source does not support yet", expected)
        }
        Ok(url) => {
            protected(at, false, &url.address.host, strict, "a server on loopback")?;
            Some(url)
        }
    }
}

/// Whoever can change an answer on its way decides about access.
pub fn protected(
    at: &At<'_>,
    encrypted: bool,
    host: &str,
    strict: bool,
    expected: &str,
) -> Option<()> {
    let is_here =
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if encrypted || is_here {
        return Some(());
    }
    let found = "a server off loopback without TLS";
    if strict {
        return at.refuse_as(found, expected);
    }
    at.warn(&format!("found {found}, production expects {expected}"));
    Some(())
}
