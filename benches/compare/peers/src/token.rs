//! ES256 tokens of one issuer, verified once and then remembered until they expire.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::Value;

pub struct Tokens {
    keys: HashMap<String, UnparsedPublicKey<Vec<u8>>>,
    issuer: String,
    audience: String,
    remembered: HashMap<String, Verified>,
}

struct Verified {
    subject: String,
    expires: u64,
}

impl Tokens {
    /// From `JWKS` (a file), `ISSUER` and `AUDIENCE`.
    #[must_use]
    pub fn from_environment() -> Self {
        let text = std::fs::read(crate::setting("JWKS")).expect("the key set");
        let set: Value = serde_json::from_slice(&text).expect("JSON");
        let keys = set["keys"].as_array().expect("keys").iter();
        let keys = keys.filter(|key| key["kty"] == "EC").map(key).collect();
        let (issuer, audience) = (crate::setting("ISSUER"), crate::setting("AUDIENCE"));
        Self { keys, issuer, audience, remembered: HashMap::new() }
    }

    /// The subject of a good token.
    pub fn subject(&mut self, token: &str) -> Option<&str> {
        let now = now();
        let fresh = self.remembered.get(token).is_some_and(|known| known.expires > now);
        if !fresh {
            let verified = self.verify(token).filter(|verified| verified.expires > now)?;
            self.remembered.insert(token.to_owned(), verified);
        }
        self.remembered.get(token).map(|known| known.subject.as_str())
    }

    fn verify(&self, token: &str) -> Option<Verified> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let (header, claims) = (json(header)?, json(claims)?);
        if header["alg"] != "ES256" {
            return None;
        }
        let key = self.keys.get(header["kid"].as_str()?)?;
        key.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
        let audience = &claims["aud"];
        let listed =
            audience.as_array().is_some_and(|all| all.iter().any(|one| *one == self.audience));
        if claims["iss"] != self.issuer || !(listed || *audience == self.audience) {
            return None;
        }
        let (subject, expires) = (claims["sub"].as_str()?.to_owned(), claims["exp"].as_u64()?);
        Some(Verified { subject, expires })
    }
}

fn key(jwk: &Value) -> (String, UnparsedPublicKey<Vec<u8>>) {
    let part = |name: &str| {
        URL_SAFE_NO_PAD.decode(jwk[name].as_str().expect("a coordinate")).expect("base64url")
    };
    let point = [vec![4], part("x"), part("y")].concat();
    let id = jwk["kid"].as_str().expect("a key id").to_owned();
    (id, UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point))
}

fn json(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[expect(clippy::disallowed_methods, reason = "no clock to be held in a hand here")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(u64::MAX, |since| since.as_secs())
}
