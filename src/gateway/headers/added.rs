//! What we say to the tool: where the request came from, and who it is.

use std::fmt::Write;
use std::net::IpAddr;

use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Outbound, set};

const SUBJECT: HeaderName = HeaderName::from_static("tidegate-subject");
const EMAIL: HeaderName = HeaderName::from_static("tidegate-email");
const GROUPS: HeaderName = HeaderName::from_static("tidegate-groups");
const GRANTS: HeaderName = HeaderName::from_static("tidegate-grants");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

pub(super) fn add_forwarded(headers: &mut HeaderMap, out: &Outbound<'_>) {
    let host = headers.get(HOST).cloned();
    let (client, proto) = (out.peer.ip, out.peer.scheme());
    set(headers, FORWARDED_FOR, &client.to_string());
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(proto));
    let mut forwarded = match client {
        IpAddr::V4(v4) => format!("for={v4};proto={proto}"),
        IpAddr::V6(v6) => format!("for=\"[{v6}]\";proto={proto}"),
    };
    if let Some(host) = host {
        if let Ok(text) = host.to_str() {
            // A Host was checked to be a name and a port: nothing in it ends the quotes.
            let _infallible = write!(forwarded, ";host=\"{text}\"");
        }
        headers.insert(FORWARDED_HOST, host);
    }
    set(headers, FORWARDED, &forwarded);
    if let Some(prefix) = out.prefix {
        set(headers, FORWARDED_PREFIX, prefix.trim_end_matches('/'));
    }
}

pub(super) fn add_identity(headers: &mut HeaderMap, out: &Outbound<'_>) {
    let Some(identity) = out.identity else { return };
    let person = &identity.person;
    set(headers, SUBJECT, &encoded(&person.subject.name));
    if let Some(email) = &person.email {
        set(headers, EMAIL, &encoded(email));
    }
    if !person.groups.is_empty() {
        let groups: Vec<String> = person.groups.iter().map(|group| encoded(group)).collect();
        set(headers, GROUPS, &groups.join(","));
    }
    if !out.grants.is_empty() {
        set(headers, GRANTS, out.grants);
    }
}

/// Visible ASCII but `%` and `,` stands for itself, every other byte (of the UTF-8) is `%XX`: a
/// value is never split, and can always be read back.
fn encoded(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' && byte != b',' {
            value.push(char::from(byte));
        } else {
            let _infallible = write!(value, "%{byte:02X}");
        }
    }
    value
}
