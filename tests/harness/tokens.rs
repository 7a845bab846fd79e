//! An identity provider reduced to its key: mints the tokens of the people in the tests.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

pub const ISSUER: &str = "https://idp.test";
pub const AUDIENCE: &str = "tidegate";

pub struct Issuer {
    key: EncodingKey,
    public: Vec<u8>,
}

impl Issuer {
    pub fn new() -> Self {
        let random = SystemRandom::new();
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref())
            .expect("the key");
        let public = pair.public_key().as_ref().to_vec();
        Self { key: EncodingKey::from_ec_der(pkcs8.as_ref()), public }
    }

    pub fn jwks(&self) -> Value {
        let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&self.public[range]);
        json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "test",
            "x": part(1..33), "y": part(33..65),
        }]})
    }

    /// A token with exactly these claims.
    pub fn mint(&self, claims: &Value) -> String {
        let header = Header { kid: Some("test".into()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, claims, &self.key).expect("a token")
    }

    /// The people of the tests: `bob`, `ben` and `bea` lead, `carol` is security and administrator,
    /// `erin` audits, `dave` is suspended, everybody else is an engineer.
    pub fn token_of(&self, user: &str) -> String {
        let (groups, roles) = match user {
            "bob" | "ben" | "bea" => (json!(["engineering", "leads"]), json!(["approver"])),
            "carol" => (json!(["engineering", "security"]), json!(["approver", "admin"])),
            "erin" => (json!(["audit"]), json!(["auditor"])),
            "dave" => (json!(["engineering"]), json!(["suspended"])),
            _ => (json!(["engineering"]), json!([])),
        };
        self.mint(&json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": user, "exp": now() + 3600, "iat": now(),
            "email": format!("{user}@example.test"), "groups": groups, "roles": roles,
        }))
    }
}

#[expect(clippy::disallowed_methods, reason = "tokens of a real process need the real time")]
pub fn now_millis() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(since.expect("after 1970").as_millis()).expect("a time")
}

pub fn now() -> u64 {
    now_millis() / 1000
}
