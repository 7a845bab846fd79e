//! `listeners`: where Tidegate listens.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::config::map::Map;
use crate::config::reader::At;
use crate::config::{AdminToken, Listeners, ProxyListener, TlsConfig};

use super::files;
use super::listener_tls::tls;

const SHAPE: &str = "`{ address: IP:PORT }`";
const EXPOSED: &str = "listens beyond loopback without TLS: put it behind something that has TLS";

pub fn listeners(map: &Map<'_>, strict: bool) -> Option<Listeners> {
    let plain = vec![ProxyListener::plain(local(8080))];
    let defaults = Listeners {
        proxy: plain.clone(),
        io_uring: true,
        api: local(8081),
        api_tls: None,
        admin: local(9090),
        admin_tls: None,
        admin_token: None,
    };
    map.or("listeners", defaults, |at| {
        let map = at.map("a mapping with proxy, io_uring, api and admin")?;
        let proxy = map.or("proxy", plain, |at| {
            at.filled("a list of at least one `{ address: IP:PORT }`", |at| proxy(at, strict))
        });
        let io_uring = map.or("io_uring", true, At::flag);
        let api = map.or("api", (local(8081), None), |at| api(at, strict));
        let admin = map.or("admin", (local(9090), None, None), |at| admin(at, strict));
        map.finish();
        let (proxy, io_uring, (api, api_tls)) = (proxy?, io_uring?, api?);
        let (admin, admin_tls, admin_token) = admin?;
        Some(Listeners { proxy, io_uring, api, api_tls, admin, admin_tls, admin_token })
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

fn admin(at: &At<'_>, strict: bool) -> Option<(SocketAddr, Option<TlsConfig>, Option<AdminToken>)> {
    let map = at.map("`{ address: IP:PORT, tls, token }`")?;
    let address = address(&map);
    let tls = map.maybe("tls", |at| tls(at, strict));
    let token = map.maybe("token", |at| token(at, strict));
    map.finish();
    let (address, tls, token) = (address?, tls?, token?);
    let missing = match (&tls, &token) {
        (Some(_), Some(_)) => return Some((address, tls, token)),
        (Some(_), None) => "no token",
        (None, Some(_)) => "no tls",
        (None, None) => "neither tls nor token",
    };
    if address.ip().is_loopback() {
        return Some((address, tls, token));
    }
    let found = format!("the address {address} with {missing}");
    at.refuse_as(found, "a loopback address, or both tls and token")
}

/// The text itself, or the file that it stands in. Neither is ever shown.
fn token(at: &At<'_>, strict: bool) -> Option<AdminToken> {
    let expected = "32 to 4096 visible ASCII characters, for example from the environment: \
                    \"${NAME}\", or `{ file: FILE }`";
    let (text, file) = if at.is_map() {
        let map = at.map(expected)?;
        let file = map.need("file", "the file with the token", |at| files::secret(at, strict));
        map.finish();
        let (path, bytes) = file?;
        (String::from_utf8_lossy(bytes.trim_ascii()).into_owned(), Some(path))
    } else {
        match at.quiet_text() {
            Ok(text) => (text, None),
            Err(found) => return at.refuse_as(found, expected),
        }
    };
    if AdminToken::fits(&text) {
        Some(AdminToken { text: text.into(), file })
    } else {
        at.refuse_as("a token that is none (not shown)", expected)
    }
}

fn address(map: &Map<'_>) -> Option<SocketAddr> {
    let expected = "an address IP:PORT, like 127.0.0.1:8080 or [::1]:8080";
    map.need("address", expected, |at| at.parse(expected, |text| text.parse().ok()))
}
