//! The small sections: `api`, `limits`, `catalog`, `audit`.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;

use crate::config::map::Map;
use crate::config::reader::At;
use crate::config::units;
use crate::config::{ApiConfig, AuditConfig, IssuerConfig, Limits, Listeners, OnFull};

use super::{sinks, words};

const LEAST: Duration = Duration::from_millis(1);
const NOWHERE: &str = "is needed: links to an API that listens on every address lead nowhere";
const DAY: Duration = Duration::from_secs(86_400);

/// Without `audiences`, those of the issuers; without `public_url`, the API's listener.
pub fn api(
    map: &Map<'_>,
    issuers: Option<&[IssuerConfig]>,
    listeners: Option<&Listeners>,
) -> Option<ApiConfig> {
    let mut usual: Vec<Arc<str>> =
        issuers.unwrap_or_default().iter().flat_map(|issuer| issuer.audiences.clone()).collect();
    usual.sort();
    usual.dedup();
    let address = listeners.map_or_else(String::new, |listeners| {
        let scheme = if listeners.api_tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", listeners.api)
    });
    let defaults = ApiConfig { audiences: usual, public_url: address.into() };
    let everywhere = listeners.is_some_and(|l| l.api.ip().is_unspecified());
    if everywhere && !map.has("api") {
        map.context.warn("api.public_url", NOWHERE);
    }
    map.or("api", defaults.clone(), |at| {
        let map = at.map("a mapping with audiences and public_url")?;
        if everywhere && !map.has("public_url") {
            map.context.warn("api.public_url", NOWHERE);
        }
        let audiences = map.or("audiences", defaults.audiences, words);
        let public_url = map.or("public_url", defaults.public_url, public_url);
        map.finish();
        Some(ApiConfig { audiences: audiences?, public_url: public_url? })
    })
}

fn public_url(at: &At<'_>) -> Option<Arc<str>> {
    let expected = "an http or https address without credentials, query or fragment";
    let text = at.text(expected)?;
    let fits = |uri: &Uri| {
        let plain = uri.authority().is_some_and(|a| !a.as_str().contains('@'));
        matches!(uri.scheme_str(), Some("http" | "https")) && plain && uri.query().is_none()
    };
    match text.parse::<Uri>() {
        Ok(uri) if fits(&uri) && !text.contains('#') => Some(text.trim_end_matches('/').into()),
        Ok(_) | Err(_) => at.refuse(expected),
    }
}

/// In seconds. Records are swept a day late, by the store's clock: half of that is always safe.
const MOST_SKEW: u64 = 12 * 60 * 60;

pub fn limits(map: &Map<'_>) -> Option<Limits> {
    let usual = Limits {
        stream_grace: Duration::from_secs(10),
        drain_timeout: Duration::from_secs(30),
        clock_skew: Duration::from_secs(2),
        header_bytes: 16 << 10,
        header_count: 100,
        header_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(60),
        tunnel_idle: Duration::from_mins(10),
        body_rate: NonZeroU32::new(64),
        concurrent_requests: 4096,
        connections_per_client: 16_384,
        streams_per_connection: 100,
    };
    map.or("limits", usual, |at| {
        let map = at.map("a mapping of limits")?;
        let stream_grace = span(&map, "stream_grace", usual.stream_grace, 60);
        let drain_timeout = span(&map, "drain_timeout", usual.drain_timeout, 3600);
        let clock_skew = span(&map, "clock_skew", usual.clock_skew, MOST_SKEW);
        let header_bytes = size(&map, "header_bytes", usual.header_bytes, &(1024..=1 << 20));
        let header_count = size(&map, "header_count", usual.header_count, &(8..=1000));
        let header_timeout = span(&map, "header_timeout", usual.header_timeout, 300);
        let idle_timeout = span(&map, "idle_timeout", usual.idle_timeout, 3600);
        let tunnel_idle = span(&map, "tunnel_idle", usual.tunnel_idle, 24 * 3600);
        let body_rate = map.or("body_rate", usual.body_rate, rate);
        let concurrent_requests =
            size(&map, "concurrent_requests", usual.concurrent_requests, &(1..=1_000_000));
        let connections_per_client =
            size(&map, "connections_per_client", usual.connections_per_client, &(1..=1_000_000));
        let streams_per_connection =
            map.or("streams_per_connection", usual.streams_per_connection, streams);
        map.finish();
        Some(Limits {
            stream_grace: stream_grace?,
            drain_timeout: drain_timeout?,
            clock_skew: clock_skew?,
            header_bytes: header_bytes?,
            header_count: header_count?,
            header_timeout: header_timeout?,
            idle_timeout: idle_timeout?,
            tunnel_idle: tunnel_idle?,
            body_rate: body_rate?,
            concurrent_requests: concurrent_requests?,
            connections_per_client: connections_per_client?,
            streams_per_connection: streams_per_connection?,
        })
    })
}

fn span(map: &Map<'_>, key: &'static str, usual: Duration, most: u64) -> Option<Duration> {
    map.or(key, usual, |at| at.duration(&(LEAST..=Duration::from_secs(most))))
}

fn size(
    map: &Map<'_>,
    key: &'static str,
    usual: usize,
    range: &RangeInclusive<u64>,
) -> Option<usize> {
    map.or(key, usual, |at| at.count(range).and_then(|count| usize::try_from(count).ok()))
}

fn streams(at: &At<'_>) -> Option<u32> {
    u32::try_from(at.count(&(1..=1000))?).ok()
}

#[expect(clippy::option_option, reason = "wrong, off and on are three answers")]
fn rate(at: &At<'_>) -> Option<Option<NonZeroU32>> {
    at.parse("bytes per second from 1 to 1 MiB, or off", |text| {
        if text == "off" {
            return Some(None);
        }
        let rate = units::count(text).filter(|rate| *rate <= 1 << 20)?;
        NonZeroU32::new(u32::try_from(rate).ok()?).map(Some)
    })
}

pub fn catalog(at: &At<'_>) -> Option<PathBuf> {
    let map = at.map("`{ directory: ./catalog }`")?;
    let directory = map.need("directory", "the directory of the catalog", At::directory);
    map.finish();
    directory
}

pub fn audit(map: &Map<'_>, strict: bool) -> Option<AuditConfig> {
    let usual = AuditConfig { retention: DAY * 90, on_full: OnFull::Refuse, sinks: Vec::new() };
    map.or("audit", usual.clone(), |at| {
        let map = at.map("a mapping with retention, decisions and sinks")?;
        let retention = map.or("retention", usual.retention, |at| at.duration(&(DAY..=DAY * 3650)));
        let on_full = map.or("decisions", usual.on_full, decisions);
        let sinks = map.or("sinks", usual.sinks, |at| sinks::sinks(at, strict));
        map.finish();
        Some(AuditConfig { retention: retention?, on_full: on_full?, sinks: sinks? })
    })
}

fn decisions(at: &At<'_>) -> Option<OnFull> {
    let map = at.map("`{ on_full: refuse }`")?;
    let on_full = map.or("on_full", OnFull::Refuse, |at| {
        at.one_of(&[("refuse", OnFull::Refuse), ("drop", OnFull::Drop)])
    });
    map.finish();
    on_full
}
