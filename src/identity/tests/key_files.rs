//! Keys from files: readiness, reloading, PEM and secrets (T05).

use super::*;

#[tokio::test]
async fn t05_an_issuer_without_a_usable_key_is_not_ready_and_accepts_nothing() {
    let desk = Desk::new();
    assert_eq!(desk.authenticator.ready(at(NOW)), Ok(()));
    let token = ec().mint(&claims()).unwrap();
    assert!(desk.show(&token).await.is_ok());
    std::fs::write(desk.file("jwks.json"), r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#).unwrap();
    desk.authenticator.reload(at(NOW)).unwrap();
    let why = desk.authenticator.ready(at(NOW)).unwrap_err();
    assert!(why.contains(ISSUER) && why.contains("no usable key"), "{why}");
    let refused = desk.show(&token).await.unwrap_err();
    assert_eq!(refused, IdentityRefused::KeysUnavailable { issuer: ISSUER.into() });
}

#[tokio::test]
async fn a_key_that_was_taken_out_of_the_file_is_refused_after_the_reload() {
    let desk = Desk::new();
    let token = ec().mint(&claims()).unwrap();
    assert_eq!(desk.refusal(&token).await, None);
    std::fs::write(desk.file("jwks.json"), jwks(&[rsa()]).to_string()).unwrap();
    assert_eq!(desk.refusal(&token).await, None, "nothing is re-read by itself");
    desk.authenticator.reload(at(NOW)).unwrap();
    assert_eq!(desk.refusal(&token).await, Some(TokenRefused::UnknownKey));
}

#[tokio::test]
async fn a_broken_key_file_is_reported_and_changes_nothing() {
    let desk = Desk::new();
    std::fs::write(desk.file("jwks.json"), "{").unwrap();
    let refused = desk.authenticator.reload(at(NOW)).unwrap_err();
    assert!(refused[0].contains("jwks.json"), "{refused:?}");
    assert_eq!(desk.refusal(&ec().mint(&claims()).unwrap()).await, None);
    std::fs::remove_file(desk.file("jwks.json")).unwrap();
    assert!(desk.authenticator.reload(at(NOW)).is_err());
    assert_eq!(desk.authenticator.ready(at(NOW)), Ok(()));
}

#[test]
fn a_key_file_that_is_not_there_is_refused_at_start() {
    let issuer = issuer(ISSUER, KeySource::JwksFile("/nonexistent/jwks.json".into()));
    let clock = ManualClock::at(at(NOW));
    let metrics = Metrics::unregistered();
    let opened = Authenticator::with(vec![issuer], vec![], Environment::Production, clock, metrics);
    assert!(opened.err().unwrap().to_string().contains("/nonexistent/jwks.json"));
}

fn of_pem(text: &str) -> Desk {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    std::fs::write(&path, text).unwrap();
    Desk::of(directory, vec![issuer(ISSUER, KeySource::Pem(path))])
}

#[tokio::test]
async fn a_public_key_in_pem_verifies_tokens_whatever_key_id_they_name() {
    for minter in [ec(), rsa(), ed()] {
        let desk = of_pem(&minter.public_pem().unwrap());
        assert_eq!(desk.refusal(&minter.mint(&claims()).unwrap()).await, None);
        let other = Minter::es256("other").unwrap().mint(&claims()).unwrap();
        assert!(desk.refusal(&other).await.is_some());
    }
}

#[test]
fn a_pem_file_that_is_not_one_public_key_leaves_the_issuer_not_ready() {
    let pem = ec().public_pem().unwrap();
    for text in [
        String::new(),
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".into(),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into(),
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".into(),
        format!("{pem}{pem}"),
        pem.replace("-----END", ""),
    ] {
        assert!(of_pem(&text).authenticator.ready(at(NOW)).is_err(), "{text}");
    }
}

#[test]
fn t05_a_short_or_empty_secret_is_not_used() {
    let ready = |bytes: usize, algorithms: Vec<Algorithm>| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, vec![7; bytes]).unwrap();
        let mut issuer = issuer(ISSUER, KeySource::Secret(path));
        issuer.algorithms = algorithms;
        Desk::of(directory, vec![issuer]).authenticator.ready(at(NOW)).is_ok()
    };
    assert!(!ready(0, vec![Algorithm::HS256]));
    assert!(!ready(31, vec![Algorithm::HS256]));
    assert!(ready(32, vec![Algorithm::HS256]));
    assert!(!ready(47, vec![Algorithm::HS384]));
    assert!(!ready(63, vec![Algorithm::HS256, Algorithm::HS512]));
    assert!(ready(64, vec![Algorithm::HS256, Algorithm::HS512]));
    assert!(!ready(64, vec![]));
}
