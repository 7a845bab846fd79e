//! What a token's header may say (RFC 7515, section 4; RFC 8725 for the reasons).

use serde_json::{Map, Value};

use super::refused::TokenRefused;
use crate::config::{Algorithm, IssuerConfig, KeySource};

/// Bytes of a key id.
const MAX_KEY_ID: usize = 256;

/// The two things that a header decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    pub algorithm: Algorithm,
    pub key_id: Option<&'a str>,
}

impl<'a> Header<'a> {
    /// Rules that hold for every issuer come first, so that a forged `iss` cannot choose between
    /// them.
    ///
    /// # Errors
    /// The header says something that `issuer` does not accept.
    pub fn check(
        header: &'a Map<String, Value>,
        issuer: &IssuerConfig,
    ) -> Result<Self, TokenRefused> {
        refuse_extensions(header)?;
        let algorithm = algorithm(header)?;
        let by_hand = matches!(issuer.keys, KeySource::Secret(_));
        if !issuer.algorithms.contains(&algorithm) || is_hmac(algorithm) != by_hand {
            return Err(TokenRefused::Algorithm);
        }
        check_type(header, issuer)?;
        Ok(Self { algorithm, key_id: key_id(header)? })
    }
}

fn refuse_extensions(header: &Map<String, Value>) -> Result<(), TokenRefused> {
    let has = |names: &[&str]| names.iter().any(|name| header.contains_key(*name));
    if has(&["crit", "b64"]) {
        return Err(TokenRefused::Critical);
    }
    if has(&["jwk", "jku", "x5u", "x5c"]) {
        return Err(TokenRefused::EmbeddedKey);
    }
    if has(&["cty", "enc", "zip"]) {
        return Err(TokenRefused::Nested);
    }
    Ok(())
}

fn algorithm(header: &Map<String, Value>) -> Result<Algorithm, TokenRefused> {
    let name = header.get("alg").and_then(Value::as_str).ok_or(TokenRefused::Algorithm)?;
    if name.trim().eq_ignore_ascii_case("none") {
        return Err(TokenRefused::Unsigned);
    }
    algorithm_named(name).ok_or(TokenRefused::Algorithm)
}

fn check_type(header: &Map<String, Value>, issuer: &IssuerConfig) -> Result<(), TokenRefused> {
    let Some(given) = header.get("typ") else {
        return if issuer.allow_absent_typ { Ok(()) } else { Err(TokenRefused::Type) };
    };
    let given = given.as_str().map(bare_type).ok_or(TokenRefused::Type)?;
    let accepted = issuer.types.iter().any(|one| bare_type(one).eq_ignore_ascii_case(given));
    if accepted { Ok(()) } else { Err(TokenRefused::Type) }
}

/// A media type whose `application/` is left out (RFC 7515, section 4.1.9).
fn bare_type(text: &str) -> &str {
    match text.split_at_checked("application/".len()) {
        Some((before, rest)) if before.eq_ignore_ascii_case("application/") => rest,
        Some(_) | None => text,
    }
}

/// The key id is compared with the ids of the key set and used for nothing else.
fn key_id(header: &Map<String, Value>) -> Result<Option<&str>, TokenRefused> {
    let Some(value) = header.get("kid") else { return Ok(None) };
    let id = value.as_str().ok_or(TokenRefused::KeyId)?;
    let plain = !id.chars().any(char::is_control);
    if plain && (1..=MAX_KEY_ID).contains(&id.len()) {
        Ok(Some(id))
    } else {
        Err(TokenRefused::KeyId)
    }
}

/// The name of RFC 7518, section 3.1 (and RFC 8037), byte for byte.
#[must_use]
pub fn algorithm_named(name: &str) -> Option<Algorithm> {
    Some(match name {
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        "EdDSA" => Algorithm::EdDSA,
        "HS256" => Algorithm::HS256,
        "HS384" => Algorithm::HS384,
        "HS512" => Algorithm::HS512,
        _ => return None,
    })
}

const fn is_hmac(algorithm: Algorithm) -> bool {
    match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => true,
        Algorithm::RS256
        | Algorithm::RS384
        | Algorithm::RS512
        | Algorithm::PS256
        | Algorithm::PS384
        | Algorithm::PS512
        | Algorithm::ES256
        | Algorithm::ES384
        | Algorithm::EdDSA => false,
    }
}
