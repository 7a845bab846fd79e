//! Which key, which algorithm (T01 to T04, T08, T09).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use serde_json::{Value, json};

use super::*;

fn header(extra: &Value) -> String {
    let mut header = json!({ "alg": "ES256", "kid": "ec" });
    header.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    header.to_string()
}

async fn refusal_of(extra: Value) -> Option<TokenRefused> {
    let token = ec().mint_raw(header(&extra), claims().to_string()).unwrap();
    Desk::new().refusal(&token).await
}

#[tokio::test]
async fn a_token_of_each_kind_of_key_is_accepted() {
    let desk = Desk::new();
    for minter in [ec(), rsa(), ed()] {
        let identity = desk.show(&minter.mint(&claims()).unwrap()).await.unwrap();
        assert_eq!(&*identity.person.subject.name, "alice");
        assert_eq!(identity.key, identity.person.subject.key());
        assert_eq!(identity.expires_at, at(NOW + 600));
    }
}

#[tokio::test]
async fn t01_an_unsigned_token_is_refused_in_every_spelling() {
    let desk = Desk::new();
    let payload = URL_SAFE_NO_PAD.encode(claims().to_string());
    for alg in ["none", "None", "NONE", "nOnE", " none", "none "] {
        let head = URL_SAFE_NO_PAD.encode(json!({ "alg": alg }).to_string());
        for signature in ["", "AA", "e30"] {
            let refused = desk.refusal(&format!("{head}.{payload}.{signature}")).await;
            assert_eq!(refused, Some(TokenRefused::Unsigned), "{alg:?} {signature:?}");
        }
    }
    for alg in [json!(""), json!(null), json!(["ES256"]), json!("es256"), json!("ES256 "), json!(1)]
    {
        assert_eq!(refusal_of(json!({ "alg": alg })).await, Some(TokenRefused::Algorithm));
    }
    let good = ec().mint(&claims()).unwrap();
    let (signed, _) = good.rsplit_once('.').unwrap();
    assert_eq!(desk.refusal(&format!("{signed}.")).await, Some(TokenRefused::Signature));
    assert_eq!(desk.refusal(signed).await, Some(TokenRefused::NotCompact));
}

#[tokio::test]
async fn t02_a_public_key_is_never_taken_for_a_shared_secret() {
    let pem = rsa().public_pem().unwrap();
    let public = rsa().jwk()["n"].as_str().unwrap().to_owned();
    let raw = URL_SAFE_NO_PAD.decode(&public).unwrap();
    let everything = vec![Algorithm::RS256, Algorithm::HS256, Algorithm::HS512];
    let strict = Desk::new();
    // Even an issuer whose list wrongly names HMAC beside its key set does not take it.
    let lax = Desk::changed(|issuer| issuer.algorithms = everything);
    for secret in [pem.as_bytes(), pem.trim().as_bytes(), public.as_bytes(), &raw] {
        let forged = hmac("HS256", "rsa", secret);
        assert_eq!(strict.refusal(&forged).await, Some(TokenRefused::Algorithm));
        assert_eq!(lax.refusal(&forged).await, Some(TokenRefused::Algorithm));
    }
}

fn hmac(alg: &str, kid: &str, secret: &[u8]) -> String {
    let head = URL_SAFE_NO_PAD.encode(json!({ "alg": alg, "kid": kid }).to_string());
    let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims().to_string()));
    let key = EncodingKey::from_secret(secret);
    let signature =
        jsonwebtoken::crypto::sign(signed.as_bytes(), &key, alg.parse().unwrap()).unwrap();
    format!("{signed}.{signature}")
}

#[tokio::test]
async fn t02_a_shared_secret_is_used_only_where_it_was_configured_by_hand() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, [7; 32]).unwrap();
    let mut config = issuer(ISSUER, KeySource::Secret(path));
    config.algorithms = vec![Algorithm::HS256];
    let desk = Desk::of(directory, vec![config]);
    assert_eq!(desk.refusal(&hmac("HS256", "x", &[7; 32])).await, None);
    assert_eq!(desk.refusal(&hmac("HS256", "x", &[8; 32])).await, Some(TokenRefused::Signature));
    assert_eq!(desk.refusal(&hmac("HS384", "x", &[7; 32])).await, Some(TokenRefused::Algorithm));
    let other = desk.refusal(&ec().mint(&claims()).unwrap()).await;
    assert_eq!(other, Some(TokenRefused::Algorithm));
}

#[tokio::test]
async fn t02_a_key_is_not_used_with_another_algorithm_than_its_own() {
    let desk = Desk::new();
    for (alg, kid) in [("RS256", "ec"), ("ES256", "rsa"), ("EdDSA", "ec"), ("ES256", "ed")] {
        let head = json!({ "alg": alg, "kid": kid }).to_string();
        let token = ec().mint_raw(head, claims().to_string()).unwrap();
        assert_eq!(desk.refusal(&token).await, Some(TokenRefused::UnknownKey), "{alg} {kid}");
    }
    let only_rsa = Desk::changed(|issuer| issuer.algorithms = vec![Algorithm::RS256]);
    let refused = only_rsa.refusal(&ec().mint(&claims()).unwrap()).await;
    assert_eq!(refused, Some(TokenRefused::Algorithm));
}

#[tokio::test]
async fn t03_a_key_that_the_token_brings_along_or_points_to_is_refused() {
    let stranger = Minter::es256("stranger").unwrap();
    for extra in [
        json!({ "jwk": stranger.jwk() }),
        json!({ "jku": "http://127.0.0.1:1/jwks.json" }),
        json!({ "x5u": "http://127.0.0.1:1/cert.pem" }),
        json!({ "x5c": ["MIIB"] }),
    ] {
        assert_eq!(refusal_of(extra.clone()).await, Some(TokenRefused::EmbeddedKey));
        let token = stranger.mint_raw(header(&extra), claims().to_string()).unwrap();
        assert_eq!(Desk::new().refusal(&token).await, Some(TokenRefused::EmbeddedKey));
    }
    assert_eq!(refusal_of(json!({ "x5t": "abc" })).await, None, "a thumbprint is harmless");
}

#[tokio::test]
async fn t04_a_key_id_is_compared_and_nothing_else() {
    for kid in ["../../etc/passwd", "' OR 1=1 --", "EC", "ec ", "ec/", "ｅｃ"] {
        let refused = refusal_of(json!({ "kid": kid })).await;
        assert_eq!(refused, Some(TokenRefused::UnknownKey), "{kid}");
    }
    for kid in
        [json!("ec\0"), json!("k".repeat(257)), json!(""), json!(1), json!(["ec"]), json!(null)]
    {
        assert_eq!(refusal_of(json!({ "kid": kid })).await, Some(TokenRefused::KeyId), "{kid}");
    }
    let long = refusal_of(json!({ "kid": "k".repeat(64 * 1024) })).await;
    assert_eq!(long, Some(TokenRefused::TooLong));
}

#[tokio::test]
async fn t04_without_a_key_id_the_one_fitting_key_is_used_and_two_are_refused() {
    let token = ec().mint_raw(r#"{"alg":"ES256"}"#, claims().to_string()).unwrap();
    assert_eq!(Desk::new().refusal(&token).await, None);
    let second = Minter::es256("second").unwrap();
    let desk = Desk::new();
    let keys = jwks(&[ec(), &second]).to_string();
    std::fs::write(desk.file("jwks.json"), keys).unwrap();
    desk.authenticator.reload(at(NOW)).unwrap();
    assert_eq!(desk.refusal(&token).await, Some(TokenRefused::UnknownKey));
}

#[tokio::test]
async fn t08_only_the_configured_types_are_accepted() {
    for typ in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"] {
        assert_eq!(refusal_of(json!({ "typ": typ })).await, None, "{typ}");
    }
    for typ in [
        json!("id_token"),
        json!("dpop+jwt"),
        json!("logout+jwt"),
        json!(""),
        json!(null),
        json!(1),
    ] {
        assert_eq!(refusal_of(json!({ "typ": typ })).await, Some(TokenRefused::Type), "{typ}");
    }
    let strict = Desk::changed(|issuer| {
        issuer.allow_absent_typ = false;
        issuer.types = vec!["at+jwt".into()];
    });
    let absent = ec().mint_raw(header(&json!({})), claims().to_string()).unwrap();
    assert_eq!(strict.refusal(&absent).await, Some(TokenRefused::Type));
    assert_eq!(strict.refusal(&ec().mint(&claims()).unwrap()).await, None);
}

#[tokio::test]
async fn t09_extensions_nesting_and_compression_are_refused() {
    for extra in [
        json!({ "crit": ["exp"] }),
        json!({ "crit": [] }),
        json!({ "b64": false }),
        json!({ "b64": true }),
    ] {
        assert_eq!(refusal_of(extra).await, Some(TokenRefused::Critical));
    }
    for extra in [json!({ "cty": "JWT" }), json!({ "enc": "A256GCM" }), json!({ "zip": "DEF" })] {
        assert_eq!(refusal_of(extra).await, Some(TokenRefused::Nested));
    }
}
