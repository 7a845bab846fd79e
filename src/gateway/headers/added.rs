//! What we say to the tool: where the request came from, and who it is.

use std::fmt::Write;

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
    set(headers, FORWARDED_FOR, out.peer.forwarded_for());
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(out.peer.scheme()));
    set(headers, FORWARDED, out.peer.forwarded(host.as_ref()));
    if let Some(host) = host {
        headers.insert(FORWARDED_HOST, host);
    }
    if let Some(prefix) = out.prefix {
        set(headers, FORWARDED_PREFIX, out.texts.copy(prefix.trim_end_matches('/')));
    }
}

pub(super) fn add_identity(headers: &mut HeaderMap, out: &Outbound<'_>) {
    let Some(identity) = out.identity else { return };
    let told = identity.told();
    set(headers, SUBJECT, told.subject.clone());
    if told.email.is_some() {
        set(headers, EMAIL, told.email.clone());
    }
    if told.groups.is_some() {
        set(headers, GROUPS, told.groups.clone());
    }
    if let Some((first, others)) = out.grants.split_first() {
        let all = out.texts.value(|text| {
            write!(text, "{first}")?;
            others.iter().try_for_each(|grant| write!(text, ",{grant}"))
        });
        set(headers, GRANTS, all);
    }
}
