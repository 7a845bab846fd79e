//! The check of a signature alone, by the library that Tidegate uses, with a key parsed before.
//!
//! `signature JWKS TOKENS`: microseconds of CPU for each token of a file (one a line), over a third of a second.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustix::time::{ClockId, Timespec, clock_gettime};
use serde_json::Value;

const MEASURED: f64 = 0.3;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut text = || {
        let path = arguments.next().expect("JWKS TOKENS");
        std::fs::read_to_string(path).expect("a file")
    };
    let (set, tokens) = (text(), text());
    let set: Value = serde_json::from_str(&set).expect("JSON");
    let signed: Vec<_> = tokens.lines().map(|token| Signed::new(token, &set)).collect();
    let (start, mut count) = (spent(), 0_u32);
    while spent() - start < MEASURED {
        for one in &signed {
            one.key.verify_sig(one.text.as_bytes(), &one.signature).expect("a good signature");
            count += 1;
        }
    }
    println!("{:.3}", (spent() - start) * 1e6 / f64::from(count));
}

struct Signed<'a> {
    key: ParsedPublicKey,
    text: &'a str,
    signature: Vec<u8>,
}

impl<'a> Signed<'a> {
    fn new(token: &'a str, set: &Value) -> Self {
        let (text, signature) = token.rsplit_once('.').expect("a token");
        let header = bytes(text.split('.').next().expect("a header"));
        let header: Value = serde_json::from_slice(&header).expect("JSON");
        let keys = set["keys"].as_array().expect("keys");
        let jwk = keys.iter().find(|key| key["kid"] == header["kid"]).expect("a key");
        Self { key: key(jwk), text, signature: bytes(signature) }
    }
}

fn key(jwk: &Value) -> ParsedPublicKey {
    let part = |name: &str| bytes(jwk[name].as_str().expect("a part of the key"));
    let parsed = match jwk["kty"].as_str() {
        Some("EC") => {
            let point = [vec![4], part("x"), part("y")].concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).parse()
        }
        Some("OKP") => UnparsedPublicKey::new(&ED25519, part("x")).parse(),
        _ => RsaPublicKeyComponents { n: part("n"), e: part("e") }
            .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256),
    };
    parsed.expect("a key")
}

fn bytes(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

/// Seconds of CPU of this thread.
fn spent() -> f64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::ThreadCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "seconds of one run")]
    let seconds = tv_sec as f64 + tv_nsec as f64 / 1e9;
    seconds
}
