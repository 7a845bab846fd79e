//! `tools`: what stands behind the gateway, and under which names.

use std::sync::Arc;

use http::{HeaderName, header};

use crate::config::reader::At;
use crate::config::{CredentialSource, Encoded, ToolConfig};

use super::{distinct, name, rules, upstreams};

const HOST: &str = "a host name in lower case without scheme, port, path or `*`";
const PREFIX: &str = "a path prefix like /warehouse/ (plain segments between two slashes)";

pub fn tools(at: &At<'_>, strict: bool) -> Option<Vec<ToolConfig>> {
    let found = at.filled("a list of at least one tool", |at| tool(at, strict))?;
    let names: Vec<&str> = found.iter().map(|tool| &*tool.name).collect();
    distinct(at, "name", &names).then_some(found)
}

fn tool(at: &At<'_>, strict: bool) -> Option<ToolConfig> {
    let map = at.map("a mapping with name, hosts or path_prefix, upstreams and rules")?;
    let name = map.need("name", "the tool's name", name);
    let hosts = map.or("hosts", Vec::new(), hosts);
    let path_prefix = map.maybe("path_prefix", path_prefix);
    let unreachable =
        matches!((&hosts, &path_prefix), (Some(hosts), Some(None)) if hosts.is_empty());
    if unreachable {
        map.refuse::<()>("a tool without hosts and without path_prefix", "one of them, or both");
    }
    let backends = upstreams::upstreams(&map);
    let options = upstreams::options(&map, backends.as_deref(), strict);
    let encoded = map.or("encoded", Encoded::Refuse, |at| {
        at.one_of(&[("refuse", Encoded::Refuse), ("opaque", Encoded::Opaque)])
    });
    let credential = map.or("credential", CredentialSource::Bearer, credential);
    let forward_credential = map.or("forward_credential", false, At::flag);
    let rules = map.need("rules", rules::SOME, rules::rules);
    let timeouts = upstreams::timeouts(&map);
    map.finish();
    Some(ToolConfig {
        name: name?,
        hosts: hosts?,
        path_prefix: path_prefix?,
        upstreams: backends?,
        upstream: options?,
        encoded: encoded?,
        credential: credential?,
        forward_credential: forward_credential?,
        rules: rules?,
        timeouts: timeouts?,
    })
}

/// Names in lower case, none twice.
pub fn hosts(at: &At<'_>) -> Option<Vec<Arc<str>>> {
    let hosts = at.filled("a list of at least one host", |at| {
        let text = at.text(HOST)?;
        if text == "*" || text.contains('*') {
            return at.refuse(format!(
                "{HOST} (a host that matches everything would catch other tools' requests)"
            ));
        }
        if is_host(&text) { Some(text.into()) } else { at.refuse(HOST) }
    })?;
    distinct(at, "host", &hosts).then_some(hosts)
}

/// Labels of letters, digits, `-` and `_`; or an IP address, with brackets when it is IPv6.
fn is_host(text: &str) -> bool {
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<std::net::Ipv6Addr>().is_ok() && inner == inner.to_ascii_lowercase();
    }
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(letter);
    text.len() <= 253 && text.split('.').all(label)
}

fn path_prefix(at: &At<'_>) -> Option<Arc<str>> {
    let text = at.text(PREFIX)?;
    let inner = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
    let letter = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()+,=:@".contains(&b);
    let segment = |s: &str| !matches!(s, "" | "." | "..") && s.bytes().all(letter);
    match inner {
        Some(inner) if text.len() <= 256 && inner.split('/').all(segment) => Some(text.into()),
        Some(_) | None => at.refuse(PREFIX),
    }
}

fn credential(at: &At<'_>) -> Option<CredentialSource> {
    let expected = "bearer, { header: NAME } or { cookie: NAME }";
    if !at.is_map() {
        return at.parse(expected, |text| (text == "bearer").then_some(CredentialSource::Bearer));
    }
    let map = at.map(expected)?;
    let header = map.get("header").map(|at| credential_header(&at));
    let cookie = map.get("cookie").map(|at| cookie_name(&at));
    map.finish();
    match (header, cookie) {
        (Some(header), None) => header.map(CredentialSource::Header),
        (None, Some(cookie)) => cookie.map(CredentialSource::Cookie),
        (Some(_), Some(_)) => at.refuse_as("two credential sources", expected),
        (None, None) => at.refuse(expected),
    }
}

fn credential_header(at: &At<'_>) -> Option<HeaderName> {
    let expected = "a header name of its own (bearer reads authorization, cookie reads cookie)";
    let taken = |name: &HeaderName| {
        [header::AUTHORIZATION, header::COOKIE, header::HOST, header::CONNECTION].contains(name)
            || name.as_str().starts_with("tidegate-")
    };
    at.parse(expected, |text| text.parse().ok().filter(|name| !taken(name)))
}

/// A token of RFC 6265, section 4.1.1.
pub(super) fn cookie_name(at: &At<'_>) -> Option<Arc<str>> {
    let letter = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    at.parse("the name of a cookie", |text| {
        (!text.is_empty() && text.bytes().all(letter)).then(|| text.into())
    })
}
