//! `policy.cerbos`: where the real policy decision point is, and how it is asked.

use std::net::IpAddr;
use std::time::Duration;

use http::Uri;

use crate::config::map::Map;
use crate::config::reader::At;
use crate::config::{CerbosAddress, CerbosConfig};

use super::files;

const ADDRESS: &str = "an address like http://127.0.0.1:3593, https://HOST:PORT or unix:/PATH";
const PORT: u16 = 3593;

pub fn cerbos(at: &At<'_>, strict: bool) -> Option<CerbosConfig> {
    let map = at.map("`{ address: \"http://127.0.0.1:3593\" }`")?;
    let address = map.need("address", ADDRESS, |at| at.parse(ADDRESS, parsed));
    let range = Duration::from_millis(1)..=Duration::from_secs(5);
    let timeout = map.or("timeout", Duration::from_millis(100), |at| at.duration(&range));
    let send_token = map.or("send_token", false, At::flag);
    let ca = map.maybe("ca", files::readable);
    let certificate = map.maybe("certificate", files::readable);
    let key = map.maybe("key", |at| files::private(at, strict));
    map.finish();
    let config = CerbosConfig {
        address: address?,
        timeout: timeout?,
        send_token: send_token?,
        ca: ca?,
        client: files::pair(&map, certificate?, key?)?,
    };
    fits(&map, &config)?;
    protected(&map, &config, strict)?;
    Some(config)
}

fn parsed(text: &str) -> Option<CerbosAddress> {
    if let Some(path) = text.strip_prefix("unix:") {
        return path.starts_with('/').then(|| CerbosAddress::Unix(path.into()));
    }
    let uri: Uri = text.parse().ok()?;
    let bare = matches!(uri.path(), "" | "/") && uri.query().is_none() && !text.contains('#');
    let authority = uri.authority().filter(|it| bare && !it.as_str().contains('@'))?;
    let host = authority.host();
    let host = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
    let port = match authority.as_str().strip_suffix(':') {
        Some(_) => return None,
        None => authority.port_u16().unwrap_or(PORT),
    };
    match uri.scheme_str() {
        _ if host.is_empty() || port == 0 => None,
        Some("http") => Some(CerbosAddress::Tcp { host: host.into(), port }),
        Some("https") => Some(CerbosAddress::Tls { host: host.into(), port }),
        Some(_) | None => None,
    }
}

/// Files for TLS beside an address without it would protect nothing.
fn fits(map: &Map<'_>, config: &CerbosConfig) -> Option<()> {
    let has_files = config.ca.is_some() || config.client.is_some();
    match &config.address {
        CerbosAddress::Tcp { .. } | CerbosAddress::Unix(_) if has_files => {
            map.refuse("ca, certificate or key beside an address without TLS", "https://")
        }
        CerbosAddress::Tls { .. } | CerbosAddress::Tcp { .. } | CerbosAddress::Unix(_) => Some(()),
    }
}

/// Whoever is between us and the PDP could answer in its place.
fn protected(map: &Map<'_>, config: &CerbosConfig, strict: bool) -> Option<()> {
    let is_here = |host: &str| {
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    };
    match &config.address {
        CerbosAddress::Tcp { host, .. } if !is_here(host) => {
            let (found, expected) = ("a PDP off loopback without TLS", "https://");
            if strict {
                return map.refuse(found, expected);
            }
            map.context.warn(&map.path, &format!("found {found}, production expects {expected}"));
            Some(())
        }
        CerbosAddress::Tcp { .. } | CerbosAddress::Tls { .. } | CerbosAddress::Unix(_) => Some(()),
    }
}
