//! `tools[].upstreams` and what holds for them: TLS, choice, health, limits.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Uri};

use crate::config::map::Map;
use crate::config::reader::At;
use crate::config::{
    Balance, EjectionConfig, HashKey, HealthCheck, HealthConfig, ToolTimeouts, Upstream,
    UpstreamOptions, UpstreamTls,
};

use super::{distinct, files};

const LEAST: Duration = Duration::from_millis(1);
const UPSTREAM: &str = "an address http://HOST:PORT, https://HOST:PORT, h2c://HOST:PORT (no \
                        credentials, path or query) or unix:/PATH";
const SOME: &str = "a list of at least one http://HOST:PORT";
const HASH: &str = "{ header: NAME }, { cookie: NAME }, path or subject";

pub fn upstreams(map: &Map<'_>) -> Option<Vec<Upstream>> {
    map.need("upstreams", SOME, |at| {
        let found = at.filled(SOME, |at| at.parse(UPSTREAM, parsed))?;
        distinct(at, "upstream", &found).then_some(found)
    })
}

fn parsed(text: &str) -> Option<Upstream> {
    if let Some(path) = text.strip_prefix("unix:") {
        let fits = path.starts_with('/') && path.len() < 108 && !path.contains('\0');
        return fits.then(|| Upstream::Unix(path.into()));
    }
    let uri: Uri = text.parse().ok()?;
    let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    if !bare || text.contains(['@', '#', '?']) {
        return None;
    }
    let usual = match uri.scheme_str()? {
        "http" | "h2c" => 80,
        "https" => 443,
        _ => return None,
    };
    let authority = uri.authority()?;
    let port = match authority.port_u16() {
        Some(port) => port,
        None if authority.as_str() == authority.host() => usual,
        None => return None,
    };
    let host = authority.host();
    let host = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() || port == 0 {
        return None;
    }
    let host = host.to_ascii_lowercase().into();
    Some(match uri.scheme_str()? {
        "http" => Upstream::Http { host, port },
        "https" => Upstream::Https { host, port },
        _ => Upstream::H2c { host, port },
    })
}

pub fn options(
    map: &Map<'_>,
    upstreams: Option<&[Upstream]>,
    strict: bool,
) -> Option<UpstreamOptions> {
    let usual = UpstreamOptions::default();
    let dns = map.or("resolver", usual.dns, servers);
    let tls = map.or("tls", usual.tls, |at| tls(at, upstreams, strict));
    let balance = balance(map);
    let health = map.maybe("health", |at| {
        let found = health(at)?;
        let http2 = tls.as_ref().is_none_or(|tls| tls.http2);
        grpc_fits(at, &found, upstreams.unwrap_or_default(), http2)?;
        Some(found)
    });
    let ejection = map.or("ejection", usual.ejection, ejection);
    let retry_budget = map.or("retry_budget", usual.retry_budget, percent);
    let max_concurrent = map.maybe("max_concurrent", |at| {
        at.count(&(1..=1_000_000)).and_then(|count| usize::try_from(count).ok())
    });
    Some(UpstreamOptions {
        dns: dns?,
        tls: tls?,
        balance: balance?,
        health: health?,
        ejection: ejection?,
        retry_budget: retry_budget?,
        max_concurrent: max_concurrent?,
    })
}

fn servers(at: &At<'_>) -> Option<Arc<[SocketAddr]>> {
    let map = at.map("`{ servers: [IP] }`")?;
    let found = map.need("servers", "a list of at least one IP or IP:PORT", |at| {
        let expected = "a list of at least one IP or IP:PORT (UDP and TCP, 53 without a port)";
        let found = at.filled(expected, |at| at.parse(expected, server))?;
        distinct(at, "server", &found).then_some(found)
    });
    map.finish();
    Some(found?.into())
}

fn server(text: &str) -> Option<SocketAddr> {
    let of_ip = |ip: IpAddr| SocketAddr::new(ip, 53);
    let found = text.parse().or_else(|_no_port| text.parse().map(of_ip)).ok()?;
    (found.port() != 0 && !found.ip().is_unspecified()).then_some(found)
}

fn tls(at: &At<'_>, upstreams: Option<&[Upstream]>, strict: bool) -> Option<UpstreamTls> {
    let map = at.map("`{ ca: ./ca.pem, certificate: ./client.pem, key: ./client.key }`")?;
    let ca = map.maybe("ca", files::readable);
    let certificate = map.maybe("certificate", files::readable);
    let key = map.maybe("key", |at| files::private(at, strict));
    let http2 = map.or("http2", false, At::flag);
    map.finish();
    let client = files::pair(&map, certificate?, key?);
    let is_tls = |upstream: &Upstream| matches!(upstream, Upstream::Https { .. });
    if upstreams.is_some_and(|all| !all.iter().any(is_tls)) {
        return map.refuse("tls beside upstreams without TLS", "an https:// upstream");
    }
    Some(UpstreamTls { ca: ca?, client: client?, http2: http2? })
}

#[derive(Clone, Copy)]
enum Named {
    RoundRobin,
    LeastLoaded,
    ConsistentHash,
}

fn balance(map: &Map<'_>) -> Option<Balance> {
    let choices = [
        ("least_loaded", Named::LeastLoaded),
        ("round_robin", Named::RoundRobin),
        ("consistent_hash", Named::ConsistentHash),
    ];
    let named = map.or("balance", Named::LeastLoaded, |at| at.one_of(&choices));
    let hash = map.maybe("hash", hash_key);
    let (named, hash) = (named?, hash?);
    match (named, hash) {
        (Named::ConsistentHash, Some(key)) => Some(Balance::ConsistentHash(key)),
        (Named::ConsistentHash, None) => map.refuse("consistent_hash without hash", HASH),
        (Named::RoundRobin | Named::LeastLoaded, Some(_)) => {
            map.refuse("hash without consistent_hash", "`balance: consistent_hash` beside it")
        }
        (Named::RoundRobin, None) => Some(Balance::RoundRobin),
        (Named::LeastLoaded, None) => Some(Balance::LeastLoaded),
    }
}

fn hash_key(at: &At<'_>) -> Option<HashKey> {
    if !at.is_map() {
        let words = at.one_of(&[("path", true), ("subject", false)]);
        return words.map(|is_path| if is_path { HashKey::Path } else { HashKey::Subject });
    }
    let map = at.map(HASH)?;
    let header = map.maybe("header", |at| {
        at.parse("the name of a header", |text| text.parse::<HeaderName>().ok())
    });
    let cookie = map.maybe("cookie", super::tools::cookie_name);
    map.finish();
    match (header?, cookie?) {
        (Some(header), None) => Some(HashKey::Header(header)),
        (None, Some(cookie)) => Some(HashKey::Cookie(cookie)),
        (Some(_), Some(_)) | (None, None) => at.refuse(HASH),
    }
}

/// gRPC is HTTP/2 alone.
fn grpc_fits(
    at: &At<'_>,
    health: &HealthConfig,
    upstreams: &[Upstream],
    http2: bool,
) -> Option<()> {
    let without = |it: &&Upstream| match it {
        Upstream::H2c { .. } => false,
        Upstream::Https { .. } => !http2,
        Upstream::Http { .. } | Upstream::Unix(_) => true,
    };
    match (&health.check, upstreams.iter().find(without)) {
        (HealthCheck::Grpc { .. }, Some(upstream)) => at.refuse_as(
            format!("the check grpc beside {upstream}, which is not HTTP/2"),
            "h2c upstreams, or https with `tls: { http2: true }`",
        ),
        (HealthCheck::Grpc { .. } | HealthCheck::Tcp | HealthCheck::Http { .. }, _) => Some(()),
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Tcp,
    Http,
    Grpc,
}

fn health(at: &At<'_>) -> Option<HealthConfig> {
    let map = at.map("`{ check: http, path: /healthz }`")?;
    let kinds = [("tcp", Kind::Tcp), ("http", Kind::Http), ("grpc", Kind::Grpc)];
    let kind = map.need("check", "one of tcp, http, grpc", |at| at.one_of(&kinds));
    let path = map.maybe("path", check_path);
    let status = map
        .maybe("status", |at| at.count(&(200..=599)).and_then(|count| u16::try_from(count).ok()));
    let service = map.maybe("service", super::word);
    let span = |key, usual, least: Duration, most| {
        map.or(key, usual, |at: &At<'_>| at.duration(&(least..=most)))
    };
    let interval = span("interval", secs(5), Duration::from_millis(100), secs(3600));
    let timeout = span("timeout", secs(1), LEAST, secs(60));
    let healthy = threshold(&map, "healthy", 2);
    let unhealthy = threshold(&map, "unhealthy", 3);
    map.finish();
    Some(HealthConfig {
        check: check(&map, kind?, (path?, status?), service?)?,
        interval: interval?,
        timeout: timeout?,
        healthy: healthy?,
        unhealthy: unhealthy?,
    })
}

/// What belongs to another kind of check would check nothing.
fn check(
    map: &Map<'_>,
    kind: Kind,
    http: (Option<Arc<str>>, Option<u16>),
    service: Option<Arc<str>>,
) -> Option<HealthCheck> {
    match (kind, http, service) {
        (Kind::Tcp, (None, None), None) => Some(HealthCheck::Tcp),
        (Kind::Http, (path, status), None) => {
            let (path, status) = (path.unwrap_or_else(|| "/".into()), status.unwrap_or(200));
            Some(HealthCheck::Http { path, status })
        }
        (Kind::Grpc, (None, None), service) => {
            Some(HealthCheck::Grpc { service: service.unwrap_or_default() })
        }
        (Kind::Tcp | Kind::Http | Kind::Grpc, _, _) => map.refuse(
            "path, status or service beside another check",
            "path and status beside `check: http`, service beside `check: grpc`",
        ),
    }
}

const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn threshold(map: &Map<'_>, key: &'static str, usual: u32) -> Option<u32> {
    map.or(key, usual, |at| at.count(&(1..=100)).and_then(|count| u32::try_from(count).ok()))
}

fn check_path(at: &At<'_>) -> Option<Arc<str>> {
    let expected = "a path like /healthz";
    at.parse(expected, |text| {
        let plain = text.starts_with('/') && text.len() <= 1024 && !text.contains('#');
        (plain && text.parse::<http::uri::PathAndQuery>().is_ok()).then(|| text.into())
    })
}

#[expect(clippy::option_option, reason = "wrong, off and on are three answers")]
fn ejection(at: &At<'_>) -> Option<Option<EjectionConfig>> {
    let expected = "`{ failures: 5, base: 10s, most: 5m }` or off";
    if !at.is_map() {
        return at.parse(expected, |text| (text == "off").then_some(None));
    }
    let usual = EjectionConfig::default();
    let map = at.map(expected)?;
    let failures = threshold(&map, "failures", usual.failures);
    let span = |key, usual| map.or(key, usual, |at| at.duration(&(LEAST..=secs(86_400))));
    let (base, most) = (span("base", usual.base), span("most", usual.most));
    map.finish();
    let found = EjectionConfig { failures: failures?, base: base?, most: most? };
    if found.base > found.most {
        return map.refuse("a base above most", "base to be at most most");
    }
    Some(Some(found))
}

fn percent(at: &At<'_>) -> Option<u32> {
    at.parse("a share from 0% to 100%, like 20%", |text| {
        let number = text.strip_suffix('%')?;
        let digits = (1..=3).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
        number.parse().ok().filter(|share| digits && *share <= 100)
    })
}

pub fn timeouts(map: &Map<'_>) -> Option<ToolTimeouts> {
    let usual = ToolTimeouts::default();
    map.or("timeouts", usual, |at| {
        let map = at.map("`{ connect: 2s, response: 30s, idle: 30s }`")?;
        let bound = |most| move |at: &At<'_>| at.duration(&(LEAST..=secs(most)));
        let connect = map.or("connect", usual.connect, bound(60));
        let response = map.or("response", usual.response, bound(3600));
        let idle = map.or("idle", usual.idle, bound(3600));
        map.finish();
        Some(ToolTimeouts { connect: connect?, response: response?, idle: idle? })
    })
}
