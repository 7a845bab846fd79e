//! `listeners`: where Tidegate listens.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::config::Listeners;
use crate::config::map::Map;
use crate::config::reader::At;

const SHAPE: &str = "`{ address: IP:PORT }`";

pub fn listeners(map: &Map<'_>) -> Option<Listeners> {
    let defaults = Listeners { proxy: vec![local(8080)], api: local(8081), admin: local(9090) };
    map.or("listeners", defaults, |at| {
        let map = at.map("a mapping with proxy, api and admin")?;
        let proxy = map.or("proxy", vec![local(8080)], |at| {
            at.filled("a list of at least one `{ address: IP:PORT }`", address)
        });
        let api = map.or("api", local(8081), address);
        let admin = map.or("admin", local(9090), admin);
        map.finish();
        Some(Listeners { proxy: proxy?, api: api?, admin: admin? })
    })
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

fn address(at: &At<'_>) -> Option<SocketAddr> {
    let found = bare_address(at)?;
    if !found.ip().is_loopback() {
        at.warn("listens beyond loopback without TLS: put it behind something that has TLS");
    }
    Some(found)
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
    let expected = "an address IP:PORT, like 127.0.0.1:8080 or [::1]:8080";
    let address = map.need("address", expected, |at| at.parse(expected, |text| text.parse().ok()));
    map.finish();
    address
}
