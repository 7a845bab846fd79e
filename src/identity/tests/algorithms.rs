//! Every algorithm with keys of the cryptographic library itself, not of our own minter.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
    RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaKeyPair,
    RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::super::keys::key::KeyId;
use super::super::keys::{Key, Material, jwk, pem, police};
use super::*;

fn in_pem(der: &[u8]) -> Vec<u8> {
    let body = STANDARD.encode(der);
    format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n").into_bytes()
}

#[test]
fn p_384_keys_verify_from_a_key_set_and_from_pem() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let half = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
    let listed = json!({ "kty": "EC", "crv": "P-384", "x": half(1..49), "y": half(49..97) });
    let from_set = jwk::read(&listed, &[Algorithm::ES384]).unwrap();
    let from_pem = pem::read(&in_pem(pair.public_key().as_der().unwrap().as_ref())).unwrap();
    assert!(from_set == Key::new(KeyId::Unnamed, None, from_pem));
    let signature = pair.sign(&SystemRandom::new(), b"signed").unwrap();
    let signature = URL_SAFE_NO_PAD.encode(signature.as_ref());
    assert!(from_set.verifies(Algorithm::ES384, b"signed", &signature));
    assert!(!from_set.verifies(Algorithm::ES384, b"Signed", &signature));
    assert!(!from_set.verifies(Algorithm::ES256, b"signed", &signature));
    assert!(jwk::read(&listed, &[Algorithm::ES256]).is_err());
}

#[test]
fn every_rsa_algorithm_verifies_its_own_signatures_and_no_other() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let parts = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
    let key = Key::new(KeyId::Any, None, police::rsa(&parts.n, &parts.e).unwrap());
    let encodings: [(Algorithm, &'static dyn aws_lc_rs::signature::RsaEncoding); 6] = [
        (Algorithm::RS256, &RSA_PKCS1_SHA256),
        (Algorithm::RS384, &RSA_PKCS1_SHA384),
        (Algorithm::RS512, &RSA_PKCS1_SHA512),
        (Algorithm::PS256, &RSA_PSS_SHA256),
        (Algorithm::PS384, &RSA_PSS_SHA384),
        (Algorithm::PS512, &RSA_PSS_SHA512),
    ];
    for (own, encoding) in encodings {
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(encoding, &SystemRandom::new(), b"signed", &mut signature).unwrap();
        let signature = URL_SAFE_NO_PAD.encode(signature);
        for (other, _) in encodings {
            assert_eq!(
                key.verifies(other, b"signed", &signature),
                own == other,
                "{own:?} {other:?}"
            );
        }
    }
}

#[test]
fn a_secret_verifies_only_with_a_hash_that_it_is_long_enough_for() {
    let secret = |bytes: usize| Key::new(KeyId::Any, None, Material::Secret(vec![7; bytes]));
    let sizes = [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)];
    for (algorithm, bytes) in sizes {
        let encoding = jsonwebtoken::EncodingKey::from_secret(&vec![7; bytes]);
        let name = format!("{algorithm:?}").parse().unwrap();
        let signature = jsonwebtoken::crypto::sign(b"signed", &encoding, name).unwrap();
        assert!(secret(bytes).verifies(algorithm, b"signed", &signature));
        assert!(!secret(bytes).verifies(algorithm, b"other", &signature));
        assert!(!secret(bytes - 1).fits(algorithm));
    }
    let shortened = jsonwebtoken::EncodingKey::from_secret(&[7; 31]);
    let name = jsonwebtoken::Algorithm::HS256;
    let signature = jsonwebtoken::crypto::sign(b"signed", &shortened, name).unwrap();
    assert!(!secret(31).verifies(Algorithm::HS256, b"signed", &signature));
}
