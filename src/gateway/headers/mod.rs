//! Which headers pass, in both directions, and which ones are ours.

mod added;
mod credential;
mod names;
mod present;
mod response;
mod trailers;

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::{AccessMode, CredentialSource};

pub use added::Added;
use names::{Folded, HOP_BY_HOP, NOT_FROM_CLIENTS};
pub use names::{is_protected, is_spelling_of};
pub use present::Present;
pub use response::{Field, Struck, is_framed_clearly, rewrite_response};
pub use trailers::{filter_request_trailers, filter_response_trailers};

pub const DECISION_ID: HeaderName = HeaderName::from_static("tidegate-decision-id");
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// What decides which of the client's headers pass.
#[derive(Clone, Copy, Debug)]
pub struct Outbound<'a> {
    pub access: AccessMode,
    pub credential: &'a CredentialSource,
    pub forward_credential: bool,
    pub keep_tracestate: bool,
    /// Of the client's headers.
    pub present: Present,
}

/// Leaves of the client's headers those that the tool gets. What we say ourselves is [`Added`].
pub fn rewrite_request(headers: &mut HeaderMap, out: &Outbound<'_>) {
    let present = |name| out.present.has(name);
    let chunked = present(Present::TRANSFER_ENCODING);
    if present(Present::CONNECTION) {
        remove_nominated(headers);
    }
    remove_matching(headers, |name| name.is_any(&HOP_BY_HOP) || name.is_any(&NOT_FROM_CLIENTS));
    if present(Present::TRAILER) {
        trailers::keep_announced(headers, trailers::passes_to_tool);
    }
    if present(Present::EXPECT) {
        headers.remove(EXPECT);
    }
    if !out.keep_tracestate && present(Present::TRACESTATE) {
        headers.remove(TRACESTATE);
    }
    credential::remove_credential(headers, out);
    if chunked {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// Every header that a tool could take for `real`.
fn remove_spellings(headers: &mut HeaderMap, real: &HeaderName) {
    let gone = headers.keys().filter(|name| is_spelling_of(name, real)).cloned();
    for name in gone.collect::<Vec<HeaderName>>() {
        headers.remove(name);
    }
}

fn remove_matching(headers: &mut HeaderMap, matches: impl Fn(&Folded) -> bool) {
    let gone: Vec<HeaderName> =
        headers.keys().filter(|name| matches(&Folded::new(name.as_ref()))).cloned().collect();
    for name in gone {
        headers.remove(name);
    }
}

/// Removes what `Connection` names, `Content-Length` and `Host` excepted.
fn remove_nominated(headers: &mut HeaderMap) {
    let mut gone: Vec<HeaderName> = Vec::new();
    for value in headers.get_all(CONNECTION) {
        let options = value.as_bytes().split(|&byte| byte == b',');
        gone.extend(options.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()));
    }
    for name in gone {
        if name != CONTENT_LENGTH && name != HOST {
            headers.remove(name);
        }
    }
}
