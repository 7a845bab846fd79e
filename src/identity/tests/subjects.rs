//! Whom a token is about (T16).

use super::*;

async fn subject_of(sub: Value) -> Result<String, IdentityRefused> {
    let shown = Desk::new().show(&ec().mint(&with("sub", Some(sub))).unwrap()).await;
    shown.map(|identity| identity.person.subject.name.to_string())
}

#[tokio::test]
async fn t16_a_subject_is_kept_byte_for_byte() {
    let mut keys = std::collections::BTreeSet::new();
    let names = ["alice", "Alice", "alice ", "аlice", "alice.", "alice:x", "e\u{301}", "\u{e9}"];
    for name in names {
        assert_eq!(subject_of(json!(name)).await.as_deref(), Ok(name));
        assert!(keys.insert(crate::domain::subject::SubjectKey::new(ISSUER, name)));
    }
}

#[tokio::test]
async fn t16_a_subject_that_is_no_plain_name_is_refused() {
    for sub in [
        json!(""),
        json!("a\nb"),
        json!("a\0"),
        json!("a\u{85}"),
        json!("a".repeat(257)),
        json!(1),
        json!(null),
        json!(["alice"]),
        json!({}),
    ] {
        let refused = subject_of(sub.clone()).await;
        assert_eq!(refused, Err(TokenRefused::SubjectClaim.into()), "{sub}");
    }
    let without = ec().mint(&with("sub", None)).unwrap();
    assert_eq!(Desk::new().refusal(&without).await, Some(TokenRefused::SubjectClaim));
}

#[tokio::test]
async fn t16_an_address_with_several_at_signs_or_unverified_is_nobodys_address() {
    let email = async |claims: Value| {
        Desk::new().show(&ec().mint(&claims).unwrap()).await.map(|who| who.person.email.clone())
    };
    for bad in ["a@b@example.test", "a", "@example.test", "a@", "a b@example.test", "a@x\ny"] {
        let claims = with("email", Some(json!(bad)));
        assert_eq!(email(claims).await, Err(TokenRefused::EmailClaim.into()), "{bad}");
    }
    for verified in [json!(false), json!("false"), json!(null), json!(1)] {
        let mut claims = with("email", Some(json!("a@example.test")));
        claims["email_verified"] = verified;
        assert_eq!(email(claims).await, Ok(None));
    }
}

/// Two issuers, of which the first has no prefix and the second `partner:`.
fn two_issuers() -> (Desk, Minter, Minter) {
    let (own, partner) = (Minter::es256("own").unwrap(), Minter::es256("partner").unwrap());
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, minter: &Minter| {
        let path = directory.path().join(name);
        std::fs::write(&path, jwks(&[minter]).to_string()).unwrap();
        KeySource::JwksFile(path)
    };
    let first = issuer(ISSUER, file("own.json", &own));
    let mut second = issuer("https://partner.example.test", file("partner.json", &partner));
    second.prefix = "partner:".into();
    (Desk::of(directory, vec![first, second]), own, partner)
}

#[tokio::test]
async fn t16_no_issuer_can_produce_a_name_of_another() {
    let (desk, own, partner) = two_issuers();
    let mut theirs = claims();
    theirs["iss"] = json!("https://partner.example.test");
    let identity = desk.show(&partner.mint(&theirs).unwrap()).await.unwrap();
    assert_eq!(&*identity.person.subject.name, "partner:alice");
    assert_eq!(&*identity.person.subject.issuer, "https://partner.example.test");
    let posing = with("sub", Some(json!("partner:alice")));
    let refused = desk.refusal(&own.mint(&posing).unwrap()).await;
    assert_eq!(refused, Some(TokenRefused::SubjectOfAnotherIssuer));
    // A key of one issuer signs nothing for the other.
    assert_eq!(
        desk.refusal(&partner.mint(&claims()).unwrap()).await,
        Some(TokenRefused::UnknownKey)
    );
}

#[test]
fn t16_a_name_resolves_to_the_issuer_with_the_longest_prefix() {
    let (desk, _, _) = two_issuers();
    let resolved = |name: &str| desk.authenticator.resolve(name).map(|s| s.issuer.to_string());
    assert_eq!(resolved("alice").as_deref(), Some(ISSUER));
    assert_eq!(resolved("partner:alice").as_deref(), Some("https://partner.example.test"));
    assert_eq!(resolved("partner:"), None, "no subject is empty");
    assert_eq!(resolved(""), None);
    assert_eq!(resolved("a\nb"), None);
}

#[test]
fn issuers_with_the_same_name_or_prefix_are_refused() {
    let one = || issuer(ISSUER, KeySource::Discovery);
    let other = || issuer("https://other.example.test", KeySource::Discovery);
    assert!(super::super::Issuers::new(vec![one(), one()]).is_err());
    assert!(super::super::Issuers::new(vec![one(), other()]).is_err());
    assert!(super::super::Issuers::new(vec![one()]).is_ok());
}
