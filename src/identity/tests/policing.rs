//! Which keys of a key set are used (T05).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::super::keys::police::{self, KeyDropped};
use super::super::keys::{KeySet, jwks as document};
use super::*;

const ALL: [Algorithm; 4] =
    [Algorithm::ES256, Algorithm::ES384, Algorithm::RS256, Algorithm::EdDSA];

fn set(keys: &Value) -> KeySet {
    document::parse(json!({ "keys": keys }).to_string().as_bytes(), &ALL, at(NOW)).unwrap()
}

/// Why a key is dropped; a good key beside it stays.
fn dropped(jwk: impl std::borrow::Borrow<Value>) -> Option<KeyDropped> {
    let set = set(&json!([jwk.borrow(), Minter::eddsa("good").unwrap().jwk()]));
    assert!(set.choose(Some("good"), Algorithm::EdDSA).is_ok());
    assert_eq!(set.keys.len() + set.dropped.len(), 2);
    set.dropped.first().map(|dropped| dropped.why)
}

fn changed(minter: &Minter, name: &str, value: Value) -> Value {
    let mut jwk = minter.jwk();
    jwk[name] = value;
    jwk
}

fn base64(bytes: &[u8]) -> Value {
    json!(URL_SAFE_NO_PAD.encode(bytes))
}

#[test]
fn t05_good_keys_are_kept() {
    for minter in [ec(), rsa(), ed()] {
        assert_eq!(dropped(minter.jwk()), None);
        assert_eq!(dropped(changed(minter, "key_ops", json!(["verify"]))), None);
    }
}

#[test]
fn t05_a_key_for_another_purpose_is_dropped() {
    for (name, value, why) in [
        ("use", json!("enc"), KeyDropped::Use),
        ("use", json!("SIG"), KeyDropped::Use),
        ("use", json!(["sig"]), KeyDropped::Use),
        ("key_ops", json!(["sign"]), KeyDropped::Operations),
        ("key_ops", json!([]), KeyDropped::Operations),
        ("key_ops", json!("verify"), KeyDropped::Operations),
        ("alg", json!("ES384"), KeyDropped::AlgorithmMismatch),
        ("alg", json!("HS256"), KeyDropped::AlgorithmMismatch),
        ("alg", json!("none"), KeyDropped::AlgorithmMismatch),
        ("alg", json!(null), KeyDropped::AlgorithmMismatch),
        ("kid", json!(1), KeyDropped::Id),
        ("kid", json!(""), KeyDropped::Id),
        ("kty", json!("ec"), KeyDropped::Type),
        ("kty", json!(1), KeyDropped::Shape),
        ("crv", json!("P-521"), KeyDropped::Curve),
        ("crv", json!("secp256k1"), KeyDropped::Curve),
        ("d", json!("AA"), KeyDropped::Private),
    ] {
        assert_eq!(dropped(changed(ec(), name, value.clone())), Some(why), "{name} {value}");
    }
    assert_eq!(dropped(changed(rsa(), "p", json!("AA"))), Some(KeyDropped::Private));
    assert_eq!(dropped(changed(rsa(), "alg", json!("RS512"))), Some(KeyDropped::NotAccepted));
    assert_eq!(dropped(changed(ed(), "crv", json!("X25519"))), Some(KeyDropped::Curve));
    assert_eq!(dropped(json!("key")), Some(KeyDropped::Shape));
    let oct =
        json!({ "kty": "oct", "k": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "kid": "o" });
    assert_eq!(dropped(oct), Some(KeyDropped::Symmetric));
}

#[test]
fn t05_weak_rsa_keys_are_dropped() {
    let modulus = URL_SAFE_NO_PAD.decode(rsa().jwk()["n"].as_str().unwrap()).unwrap();
    let mut even = modulus.clone();
    *even.last_mut().unwrap() &= 0xfe;
    let mut short = modulus.clone();
    short[0] = 0x7f; // 2047 bits
    let huge = [&modulus[..]; 5].concat();
    for bad in [&modulus[..128], &even, &short, &huge, &[], &[0; 256]] {
        assert_eq!(dropped(changed(rsa(), "n", base64(bad))), Some(KeyDropped::Modulus));
    }
    for bad in [&[1][..], &[0, 1], &[], &[0], &[2], &[1, 0, 0], &[1, 0, 0, 0, 1]] {
        assert_eq!(
            dropped(changed(rsa(), "e", base64(bad))),
            Some(KeyDropped::Exponent),
            "{bad:?}"
        );
    }
    let padded = [&[0], &modulus[..]].concat();
    assert_eq!(dropped(changed(rsa(), "n", base64(&padded))), None, "a leading zero is harmless");
    assert_eq!(dropped(changed(rsa(), "n", json!("A=="))), Some(KeyDropped::Base64));
}

#[test]
fn t05_points_off_the_curve_or_of_small_order_are_dropped() {
    let point = |name: &str| URL_SAFE_NO_PAD.decode(ec().jwk()[name].as_str().unwrap()).unwrap();
    let mut off = point("y");
    off[31] ^= 1;
    for bad in [&off[..], &[0; 32], &[0xff; 32], &point("y")[..31], &[&[0], &off[..]].concat(), &[]]
    {
        assert_eq!(dropped(changed(ec(), "y", base64(bad))), Some(KeyDropped::Point));
    }
    let mut identity = [0; 32];
    identity[0] = 1;
    for bad in [&[0; 32][..], &identity, &[0; 31], &[0; 33]] {
        assert_eq!(dropped(changed(ed(), "x", base64(bad))), Some(KeyDropped::Point));
    }
    assert_eq!(police::p384(vec![4; 97]).err(), Some(KeyDropped::Point));
}

#[test]
fn t05_keys_with_the_same_id_are_all_dropped() {
    let twin = Minter::es256("rsa").unwrap();
    let set = set(&json!([rsa().jwk(), twin.jwk(), ed().jwk()]));
    let why: Vec<KeyDropped> = set.dropped.iter().map(|dropped| dropped.why).collect();
    assert_eq!(why, [KeyDropped::DuplicateId, KeyDropped::DuplicateId]);
    assert_eq!(set.keys.len(), 1);
}

#[test]
fn t05_what_is_no_key_set_is_refused_as_a_whole() {
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, "<html>", "null"] {
        assert!(document::parse(text.as_bytes(), &ALL, at(NOW)).is_err(), "{text}");
    }
    let many = json!({ "keys": vec![json!({}); 257] }).to_string();
    assert!(document::parse(many.as_bytes(), &ALL, at(NOW)).is_err());
    let large = format!("{{\"keys\":[]}}{}", " ".repeat(1024 * 1024));
    assert!(document::parse(large.as_bytes(), &ALL, at(NOW)).is_err());
}

#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn t05_the_reason_for_a_dropped_key_is_logged_and_the_key_is_not() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let private = changed(ec(), "d", json!("c2VjcmV0"));
    tracing::subscriber::with_default(subscriber, || set(&json!([private])).log(ISSUER));
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("private key") && text.contains(ISSUER), "{text}");
    assert!(text.contains("no usable key"), "{text}");
    assert!(!text.contains("c2VjcmV0") && !text.contains(private["x"].as_str().unwrap()));
}
