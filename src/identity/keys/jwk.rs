//! One key of a key set (RFC 7517, section 4; RFC 7518, section 6; RFC 8037).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::key::{Key, KeyId, Material};
use super::police::{self, KeyDropped};
use crate::config::Algorithm;
use crate::identity::header::algorithm_named;

/// Reads one member of `keys` for an issuer that accepts `algorithms`.
///
/// # Errors
/// The key must not be used, see [`KeyDropped`].
pub fn read(jwk: &Value, algorithms: &[Algorithm]) -> Result<Key, KeyDropped> {
    let jwk = jwk.as_object().ok_or(KeyDropped::Shape)?;
    let id = id(jwk)?;
    check_purpose(jwk)?;
    let material = material(jwk)?;
    let only = match jwk.get("alg") {
        None => None,
        Some(name) => {
            let known = name.as_str().and_then(algorithm_named);
            Some(known.filter(|alg| material.fits(*alg)).ok_or(KeyDropped::AlgorithmMismatch)?)
        }
    };
    let key = Key::new(id, only, material);
    let accepted = algorithms.iter().any(|algorithm| key.fits(*algorithm));
    if accepted { Ok(key) } else { Err(KeyDropped::NotAccepted) }
}

fn id(jwk: &Map<String, Value>) -> Result<KeyId, KeyDropped> {
    match jwk.get("kid") {
        None => Ok(KeyId::Unnamed),
        Some(Value::String(id)) if (1..=256).contains(&id.len()) => {
            Ok(KeyId::Named(id.as_str().into()))
        }
        Some(_) => Err(KeyDropped::Id),
    }
}

fn check_purpose(jwk: &Map<String, Value>) -> Result<(), KeyDropped> {
    if jwk.get("use").is_some_and(|purpose| purpose != "sig") {
        return Err(KeyDropped::Use);
    }
    let Some(operations) = jwk.get("key_ops") else { return Ok(()) };
    let verify = operations.as_array().is_some_and(|all| all.iter().any(|one| one == "verify"));
    if verify { Ok(()) } else { Err(KeyDropped::Operations) }
}

fn material(jwk: &Map<String, Value>) -> Result<Material, KeyDropped> {
    let kind = text(jwk, "kty")?;
    if kind == "oct" {
        return Err(KeyDropped::Symmetric);
    }
    if ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].iter().any(|name| jwk.contains_key(*name)) {
        return Err(KeyDropped::Private);
    }
    match kind {
        "RSA" => police::rsa(&number(jwk, "n")?, &number(jwk, "e")?),
        "EC" => match text(jwk, "crv")? {
            "P-256" => police::p256(point(jwk, 32)?),
            "P-384" => police::p384(point(jwk, 48)?),
            _ => Err(KeyDropped::Curve),
        },
        "OKP" => match text(jwk, "crv")? {
            "Ed25519" => police::ed25519(&number(jwk, "x")?),
            _ => Err(KeyDropped::Curve),
        },
        _ => Err(KeyDropped::Type),
    }
}

/// Both coordinates have the full width of the field (RFC 7518, section 6.2.1.2).
fn point(jwk: &Map<String, Value>, width: usize) -> Result<Vec<u8>, KeyDropped> {
    let (x, y) = (number(jwk, "x")?, number(jwk, "y")?);
    if x.len() != width || y.len() != width {
        return Err(KeyDropped::Point);
    }
    Ok([&[4], &x[..], &y[..]].concat())
}

fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> Result<&'a str, KeyDropped> {
    jwk.get(name).and_then(Value::as_str).ok_or(KeyDropped::Shape)
}

fn number(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, KeyDropped> {
    URL_SAFE_NO_PAD.decode(text(jwk, name)?).map_err(|_| KeyDropped::Base64)
}
