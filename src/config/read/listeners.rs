//! `listeners`: where Tidegate listens.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::config::map::Map;
use crate::config::reader::At;
use crate::config::{Listeners, ProxyListener, TlsConfig};

use super::listener_tls::tls;

const SHAPE: &str = "`{ address: IP:PORT }`";
const EXPOSED: &str = "listens beyond loopback without TLS: put it behind something that has TLS";

pub fn listeners(map: &Map<'_>, strict: bool) -> Option<Listeners> {
    let plain = vec![ProxyListener::plain(local(8080))];
    let defaults =
        Listeners { proxy: plain.clone(), api: local(8081), api_tls: None, admin: local(9090) };
    map.or("listeners", defaults, |at| {
        let map = at.map("a mapping with proxy, api and admin")?;
        let proxy = map.or("proxy", plain, |at| {
            at.filled("a list of at least one `{ address: IP:PORT }`", |at| proxy(at, strict))
        });
        let api = map.or("api", (local(8081), None), |at| api(at, strict));
        let admin = map.or("admin", local(9090), admin);
        map.finish();
        let (proxy, (api, api_tls)) = (proxy?, api?);
        Some(Listeners { proxy, api, api_tls, admin: admin? })
    })
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

fn proxy(at: &At<'_>, strict: bool) -> Option<ProxyListener> {
    let map = at.map(SHAPE)?;
    map.later(&["token"]);
    let address = address(&map);
    let http2 = map.or("http2", true, At::flag);
    let tls = map.maybe("tls", |at| tls(at, strict));
    map.finish();
    let listener = ProxyListener { address: address?, http2: http2?, tls: tls? };
    if listener.tls.is_none() && !listener.address.ip().is_loopback() {
        at.warn(EXPOSED);
    }
    Some(listener)
}

fn api(at: &At<'_>, strict: bool) -> Option<(SocketAddr, Option<TlsConfig>)> {
    let map = at.map(SHAPE)?;
    map.later(&["token"]);
    let address = address(&map);
    let tls = map.maybe("tls", |at| tls(at, strict));
    map.finish();
    let (address, tls) = (address?, tls?);
    if tls.is_none() && !address.ip().is_loopback() {
        at.warn(EXPOSED);
    }
    Some((address, tls))
}

fn admin(at: &At<'_>) -> Option<SocketAddr> {
    let found = bare_address(at)?;
    if found.ip().is_loopback() {
        return Some(found);
    }
    at.refuse_as(
        format!("the address {found}"),
        "a loopback address (the admin listener has no TLS and no token yet)",
    )
}

fn bare_address(at: &At<'_>) -> Option<SocketAddr> {
    let map = at.map(SHAPE)?;
    map.later(&["tls", "token"]);
    let address = address(&map);
    map.finish();
    address
}

fn address(map: &Map<'_>) -> Option<SocketAddr> {
    let expected = "an address IP:PORT, like 127.0.0.1:8080 or [::1]:8080";
    map.need("address", expected, |at| at.parse(expected, |text| text.parse().ok()))
}
