//! What we say to the tool: where the request came from, and who it is.
//!
//! These lines go straight into what is written. A request of HTTP/2 needs them in its map, and gets
//! the same ones there.

use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::REQUEST_ID;
use crate::domain::ids::GrantId;
use crate::gateway::connection::Peer;
use crate::gateway::texts::Texts;
use crate::identity::Identity;
use crate::telemetry::trace::{TRACEPARENT, TraceContext};

const SUBJECT: HeaderName = HeaderName::from_static("tidegate-subject");
const EMAIL: HeaderName = HeaderName::from_static("tidegate-email");
const GROUPS: HeaderName = HeaderName::from_static("tidegate-groups");
const GRANTS: HeaderName = HeaderName::from_static("tidegate-grants");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// What is said of one request. None of these names is left in the client's headers
/// ([`rewrite_request`](super::rewrite_request)).
#[derive(Clone, Copy, Debug)]
pub struct Added<'a> {
    pub peer: &'a Peer,
    /// The prefix that was stripped, with its final slash.
    pub prefix: Option<&'a str>,
    pub identity: Option<&'a Identity>,
    /// Sorted.
    pub grants: &'a [GrantId],
    pub request_id: &'a HeaderValue,
    pub trace: TraceContext,
}

impl Added<'_> {
    /// Each line: a name, and a value of visible ASCII and blanks. `host`: the request's.
    pub fn each(&self, host: Option<&HeaderValue>, mut line: impl FnMut(&HeaderName, &[u8])) {
        if let Some(address) = self.peer.forwarded_for() {
            line(&FORWARDED_FOR, address.as_bytes());
        }
        line(&FORWARDED_PROTO, self.peer.scheme().as_bytes());
        self.peer.forwarded(host, |forwarded| line(&FORWARDED, forwarded.as_bytes()));
        if let Some(host) = host {
            line(&FORWARDED_HOST, host.as_bytes());
        }
        if let Some(prefix) = self.prefix {
            line(&FORWARDED_PREFIX, prefix.trim_end_matches('/').as_bytes());
        }
        if let Some(identity) = self.identity {
            self.person(identity, &mut line);
        }
        line(&REQUEST_ID, self.request_id.as_bytes());
        line(&TRACEPARENT, &self.trace.spelled());
    }

    fn person(&self, identity: &Identity, line: &mut impl FnMut(&HeaderName, &[u8])) {
        let told = identity.told();
        let known = [(&SUBJECT, &told.subject), (&EMAIL, &told.email), (&GROUPS, &told.groups)];
        for (name, value) in known {
            if let Some(value) = value {
                line(name, value.as_bytes());
            }
        }
        let Some((first, others)) = self.grants.split_first() else { return };
        let mut all = SmallVec::<[u8; 128]>::new();
        first.pieces(|piece| all.extend_from_slice(piece));
        for grant in others {
            all.push(b',');
            grant.pieces(|piece| all.extend_from_slice(piece));
        }
        line(&GRANTS, &all);
    }

    /// Puts them into a map.
    pub fn put(&self, headers: &mut HeaderMap, texts: &Texts) {
        let host = headers.get(HOST).cloned();
        self.each(host.as_ref(), |name, value| {
            // Nothing here is what no value can be; if it were, it would be left out.
            if let Some(value) = texts.bytes(value) {
                headers.insert(name.clone(), value);
            }
        });
    }

    /// The value of the line with this name, if there is one.
    #[must_use]
    pub fn value(&self, name: &HeaderName, host: Option<&HeaderValue>) -> Option<HeaderValue> {
        let mut found = None;
        self.each(host, |other, value| {
            if other == name {
                found = HeaderValue::from_bytes(value).ok();
            }
        });
        found
    }
}
