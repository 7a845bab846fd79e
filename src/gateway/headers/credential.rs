//! The credential that was consumed does not go on.

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderValue};

use super::{Outbound, remove_spellings};
use crate::config::{AccessMode, CredentialSource};

/// On a public route nothing was consumed, but a bearer token for us is still none of the tool's
/// business.
pub(super) fn remove_credential(headers: &mut HeaderMap, out: &Outbound<'_>) {
    if out.forward_credential {
        return;
    }
    match out.credential {
        CredentialSource::Header(name) => remove_spellings(headers, name),
        CredentialSource::Cookie(name) => remove_cookie(headers, name),
        CredentialSource::Bearer => {
            // Any of them: with two, the tool may look at another one than we do.
            let bearer = headers.get_all(AUTHORIZATION).iter().any(|value| {
                value.as_bytes().get(..6).is_some_and(|s| s.eq_ignore_ascii_case(b"bearer"))
            });
            if bearer || out.access != AccessMode::Public {
                headers.remove(AUTHORIZATION);
            }
        }
    }
}

fn remove_cookie(headers: &mut HeaderMap, name: &str) {
    let is_ours = |pair: &[u8]| {
        let key = pair.split(|&byte| byte == b'=').next().unwrap_or_default();
        key.trim_ascii() == name.as_bytes()
    };
    let mut kept: Vec<HeaderValue> = Vec::new();
    for value in headers.get_all(COOKIE) {
        let pairs = value.as_bytes().split(|&byte| byte == b';');
        let rest: Vec<&[u8]> =
            pairs.map(<[u8]>::trim_ascii).filter(|p| !p.is_empty() && !is_ours(p)).collect();
        if let (false, Ok(value)) =
            (rest.is_empty(), HeaderValue::from_bytes(&rest.join(&b"; "[..])))
        {
            kept.push(value);
        }
    }
    headers.remove(COOKIE);
    for value in kept {
        headers.append(COOKIE, value);
    }
}
