//! The one credential of a request (RFC 6750, section 2.1; RFC 9110, section 11.1).

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use super::refused::CredentialRefused;
use crate::config::CredentialSource;

/// A token as it was sent. It has no `Debug` and no `Display`: it is a secret.
#[derive(Clone, Copy)]
pub struct Token<'a>(&'a [u8]);

impl<'a> Token<'a> {
    /// The characters of a bearer token (`b64token`); anything else cannot be one.
    #[must_use]
    pub fn new(text: &'a str) -> Option<Self> {
        Self::of(text.as_bytes())
    }

    fn of(text: &'a [u8]) -> Option<Self> {
        let plain = text.iter().fold(true, |plain, &byte| plain & is_plain(byte));
        (!text.is_empty() && plain).then_some(Self(text))
    }

    /// For the verifier, and for passing it on where the configuration says so. Its characters are
    /// ASCII; looked at as a text only here, since most tokens are known already.
    #[must_use]
    pub fn secret(self) -> &'a str {
        std::str::from_utf8(self.0).unwrap_or_default()
    }

    #[must_use]
    pub const fn bytes(self) -> &'a [u8] {
        self.0
    }
}

/// Without a branch, so that the compiler looks at many bytes at once: tokens are long.
const fn is_plain(byte: u8) -> bool {
    // From `-` to the digits: `-./0123456789`.
    let digit_or_sign = matches!(byte, b'-'..=b'9' | b'+' | b'=' | b'_' | b'~');
    byte.is_ascii_alphabetic() || digit_or_sign
}

/// The token of a request, taken from where its route says, and from nowhere else.
///
/// `query` is the part of the target after `?`.
///
/// # Errors
/// None, more than one anywhere, or one that is not written as its place demands.
pub fn credential<'a>(
    headers: &'a HeaderMap,
    query: Option<&str>,
    source: &CredentialSource,
) -> Result<Token<'a>, CredentialRefused> {
    if query.is_some_and(names_access_token) {
        return Err(CredentialRefused::InQuery);
    }
    let bearer = bearer(headers)?;
    let (found, other) = match source {
        CredentialSource::Bearer => (bearer, None),
        CredentialSource::Header(name) if name == AUTHORIZATION => {
            (single(headers, name)?.map(token).transpose()?, None)
        }
        CredentialSource::Header(name) => (single(headers, name)?.map(token).transpose()?, bearer),
        CredentialSource::Cookie(name) => (cookie(headers, name)?, bearer),
    };
    if other.is_some() {
        return Err(CredentialRefused::MoreThanOne);
    }
    found.ok_or(CredentialRefused::Absent)
}

fn names_access_token(query: &str) -> bool {
    query.split('&').any(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        percent_decode_str(name).eq(b"access_token".iter().copied())
    })
}

/// The bearer token, if the scheme is `Bearer`; another scheme is nobody's business here.
fn bearer(headers: &HeaderMap) -> Result<Option<Token<'_>>, CredentialRefused> {
    let Some(value) = alone(headers, &AUTHORIZATION)? else { return Ok(None) };
    // What nearly all send: what the characters of a token are checked for is more than `visible`.
    if let Some((scheme, rest)) = value.as_bytes().split_at_checked("bearer ".len())
        && scheme.eq_ignore_ascii_case(b"bearer ")
    {
        return Token::of(rest).ok_or(CredentialRefused::Malformed).map(Some);
    }
    let value = visible(value)?;
    match value.split_once(' ') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => token(rest).map(Some),
        None if value.eq_ignore_ascii_case("bearer") => Err(CredentialRefused::Malformed),
        // A tab or the like after the scheme: no other scheme begins like this.
        Some((scheme, _)) if is_nearly_bearer(scheme) => Err(CredentialRefused::Malformed),
        None if is_nearly_bearer(value) => Err(CredentialRefused::Malformed),
        Some(_) | None => Ok(None),
    }
}

fn is_nearly_bearer(scheme: &str) -> bool {
    let Some((start, rest)) = scheme.split_at_checked("bearer".len()) else { return false };
    start.eq_ignore_ascii_case("bearer")
        && !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-')
}

fn token(text: &str) -> Result<Token<'_>, CredentialRefused> {
    Token::new(text).ok_or(CredentialRefused::Malformed)
}

fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a str>, CredentialRefused> {
    alone(headers, name)?.map(visible).transpose()
}

/// The value of a field that may be there once.
fn alone<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, CredentialRefused> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(CredentialRefused::MoreThanOne);
    }
    Ok(Some(value))
}

fn visible(value: &HeaderValue) -> Result<&str, CredentialRefused> {
    let bytes = value.as_bytes();
    let visible = |byte: u8| matches!(byte, b' '..=b'~' | b'\t');
    if !bytes.iter().fold(true, |good, &byte| good & visible(byte)) {
        return Err(CredentialRefused::Malformed);
    }
    std::str::from_utf8(bytes).map_err(|_| CredentialRefused::Malformed)
}

/// Cookies may be spread over several fields (RFC 9113, section 8.2.3); the name may occur once.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<Token<'a>>, CredentialRefused> {
    let mut found = None;
    for field in headers.get_all(COOKIE) {
        let field =
            std::str::from_utf8(field.as_bytes()).map_err(|_| CredentialRefused::Malformed)?;
        for pair in field.split(';') {
            let Some((key, value)) = pair.trim_matches([' ', '\t']).split_once('=') else {
                continue;
            };
            if key != name {
                continue;
            }
            if found.is_some() {
                return Err(CredentialRefused::MoreThanOne);
            }
            found = Some(token(value)?);
        }
    }
    Ok(found)
}
