//! Addresses of Redis servers: `redis://[user[:password]@]host[:port][/database]`, `rediss://` with
//! TLS. What is wrong is told without the address, as it may carry a password.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use crate::config::{RedisAddress, RedisLogin};

pub const EXPECTED: &str = "an address like redis://HOST:6379 or, with TLS, rediss://HOST:6379";

#[derive(Debug, PartialEq, Eq)]
pub struct RedisUrl {
    pub encrypted: bool,
    pub address: RedisAddress,
    pub login: RedisLogin,
    pub database: Option<u16>,
}

/// # Errors
/// What was found instead, without the text.
pub fn parse(text: &str, default_port: u16) -> Result<RedisUrl, &'static str> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err("an address without redis:// or rediss:// (not shown)");
    };
    let encrypted = match scheme {
        "redis" => false,
        "rediss" => true,
        _ => return Err("an address that begins with neither redis:// nor rediss:// (not shown)"),
    };
    if rest.contains(['?', '#']) || rest.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err("an address with ?, #, white space or a control character (not shown)");
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, place) = match authority.rsplit_once('@') {
        Some((user, place)) => (login(user)?, place),
        None => (RedisLogin::default(), authority),
    };
    let address = address(place, default_port)?;
    Ok(RedisUrl { encrypted, address, login, database: database(path)? })
}

fn login(text: &str) -> Result<RedisLogin, &'static str> {
    let Some((username, password)) = text.split_once(':') else {
        return Err("an address with a user and no password (not shown)");
    };
    let username = decoded(username)?;
    match decoded(password)? {
        Some(password) => Ok(RedisLogin { username, password: Some(password) }),
        None => Err("an address with an empty password (not shown)"),
    }
}

fn decoded(text: &str) -> Result<Option<Arc<str>>, &'static str> {
    let bad = "an address with a login that is not percent-encoded UTF-8 (not shown)";
    let broken = |(at, _): (usize, &str)| {
        let digits = text.get(at + 1..at + 3);
        !digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    if text.match_indices('%').any(broken) {
        return Err(bad);
    }
    let text = percent_decode_str(text).decode_utf8().map_err(|_invalid| bad)?;
    Ok((!text.is_empty()).then(|| text.into()))
}

fn address(place: &str, default_port: u16) -> Result<RedisAddress, &'static str> {
    let bad = "an address without a host name or IP address (not shown)";
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or(bad)?;
            host.parse::<Ipv6Addr>().map_err(|_invalid| bad)?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or(bad)?) })
        }
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let is_ip = host.parse::<IpAddr>().is_ok();
    if !is_ip && (host.is_empty() || host.len() > 253 || !host.bytes().all(is_name)) {
        return Err(bad);
    }
    let port = match port {
        None => Some(default_port),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
        Some(_) => None,
    };
    match port {
        None | Some(0) => Err("an address with a port that is none (not shown)"),
        Some(port) => Ok(RedisAddress { host: host.into(), port }),
    }
}

fn database(path: &str) -> Result<Option<u16>, &'static str> {
    if path.is_empty() {
        return Ok(None);
    }
    let digits = path.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { path.parse().ok() } else { None };
    number.map(Some).ok_or("an address with a path that is no database number (not shown)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        let full = parse("rediss://me:p%40s:s%2F@redis.example.com:7000/3", 6379).expect("fits");
        assert!(full.encrypted);
        assert_eq!((&*full.address.host, full.address.port), ("redis.example.com", 7000));
        assert_eq!(full.login.username.as_deref(), Some("me"));
        assert_eq!(full.login.password.as_deref(), Some("p@s:s/"));
        assert_eq!(full.database, Some(3));
        let bare = parse("redis://127.0.0.1", 26379).expect("fits");
        assert_eq!((&*bare.address.host, bare.address.port), ("127.0.0.1", 26379));
        assert_eq!((bare.login, bare.database), (RedisLogin::default(), None));
        let ip6 = parse("redis://:secret@[::1]:1/", 6379).expect("fits");
        assert_eq!((&*ip6.address.host, ip6.address.port), ("::1", 1));
        assert_eq!(ip6.login.username, None);
    }

    #[test]
    fn what_is_no_address_is_refused_without_showing_it() {
        for text in [
            "",
            "hunter2",
            "127.0.0.1:6379",
            "http://hunter2",
            "redis://",
            "redis://:@hunter2",
            "redis://hunter2@h",
            "redis://:hunter2@",
            "redis://:hunter2@h:0",
            "redis://:hunter2@h:65536",
            "redis://:hunter2@h:+1",
            "redis://:hunter2@h:1:2",
            "redis://:hunter2@h/x",
            "redis://:hunter2@h/1/2",
            "redis://:hunter2@h/70000",
            "redis://:hunter2@h?db=1",
            "redis://:hunter2@[::1",
            "redis://:hunter2@[h]:1",
            "redis://:hunter2@[::1]1",
            "redis://:hunter2%zz@h",
            "redis://:hunter2%f@h",
            "redis://:hunter2%ff@h",
            "redis://:hunter2@h h",
            "redis://:hunter2@ä",
        ] {
            let told = parse(text, 6379).expect_err(text);
            assert!(!told.contains("hunter2"), "{text}: {told}");
        }
    }
}
