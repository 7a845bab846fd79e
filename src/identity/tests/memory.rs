//! What is remembered, and for how long.

use super::super::claims::Validity;
use super::super::remembered::{Found, Memory, fingerprint};
use super::super::token::Audiences;
use super::*;

#[tokio::test]
async fn a_remembered_token_is_answered_from_memory_until_it_expires() {
    let desk = Desk::new();
    let token = ec().mint(&claims()).unwrap();
    let first = desk.show(&token).await.unwrap();
    let second = desk.show(&token).await.unwrap();
    assert!(Arc::ptr_eq(&first, &second), "verified once");
    desk.clock.set(Timestamp::from_millis((NOW + 600) * 1000 - 1));
    assert!(Arc::ptr_eq(&first, &desk.show(&token).await.unwrap()));
    desk.clock.set(at(NOW + 600));
    assert_eq!(desk.refusal(&token).await, Some(TokenRefused::Expired));
}

#[tokio::test]
async fn new_keys_make_every_memory_of_the_old_ones_worthless() {
    let desk = Desk::new();
    let token = ec().mint(&claims()).unwrap();
    let first = desk.show(&token).await.unwrap();
    desk.authenticator.reload(at(NOW)).unwrap();
    let same = desk.show(&token).await.unwrap();
    assert!(Arc::ptr_eq(&first, &same), "the same keys have the same generation");
    std::fs::write(desk.file("jwks.json"), jwks(&[ec()]).to_string()).unwrap();
    desk.authenticator.reload(at(NOW)).unwrap();
    let again = desk.show(&token).await.unwrap();
    assert!(!Arc::ptr_eq(&first, &again), "verified anew");
}

#[tokio::test]
async fn another_configuration_does_not_believe_what_the_old_one_remembered() {
    let lax = Desk::new();
    let token = ec().mint(&claims()).unwrap();
    lax.show(&token).await.unwrap();
    let mut strict = Desk::changed(|issuer| issuer.audiences = vec!["elsewhere".into()]);
    strict.remembered = lax.remembered;
    assert_eq!(strict.refusal(&token).await, Some(TokenRefused::AudienceClaim));
}

#[tokio::test]
async fn a_bad_signature_is_checked_once_and_only_a_bad_signature_is_remembered() {
    let desk = Desk::new();
    let forged = Minter::es256("ec").unwrap().mint(&claims()).unwrap();
    for _ in 0..3 {
        assert_eq!(desk.refusal(&forged).await, Some(TokenRefused::Signature));
        assert_eq!(desk.remembered.len(), 1);
    }
    let expired = ec().mint(&with("exp", Some(json!(1)))).unwrap();
    assert!(desk.refusal(&expired).await.is_some());
    assert_eq!(desk.remembered.len(), 1);
}

#[test]
fn memory_is_bounded_and_a_flood_of_bad_tokens_pushes_no_good_one_out() {
    let remembered = Remembered::new(4, 2);
    let print = |n: u64| fingerprint(Token::new(&n.to_string()).unwrap());
    let bad = || Memory { issuer_at: 0, generation: 1, found: Found::BadSignature };
    remembered.put(print(1), good());
    for n in 100..10_100 {
        remembered.put(print(n), bad());
    }
    assert_eq!(remembered.len(), 3);
    assert!(remembered.get(&print(1)).is_some());
    // An entry in use outlives those that were seen once.
    for n in 2..1000 {
        remembered.put(print(n), good());
        assert!(remembered.get(&print(1)).is_some(), "{n}");
    }
    assert!(remembered.get(&print(999)).is_some());
    assert!(remembered.get(&print(2)).is_none());
    assert_eq!(remembered.len(), 6);
    let none = Remembered::new(0, 0);
    none.put(print(1), good());
    assert!(none.is_empty());
}

#[test]
fn tokens_with_large_claims_leave_room_for_fewer() {
    let remembered = Remembered::new(10_000, 1);
    let print = |n: u64| fingerprint(Token::new(&n.to_string()).unwrap());
    for n in 0..1000 {
        remembered.put(print(n), weighing(1 << 20));
        assert!(remembered.get(&print(0)).is_some(), "the one in use stays: {n}");
    }
    assert!(remembered.get(&print(999)).is_some(), "and the one that came last");
    assert!((2..=64).contains(&remembered.len()), "{}", remembered.len());
    for n in 1000..11_000 {
        remembered.put(print(n), weighing(0));
    }
    assert_eq!(remembered.len(), 10_000, "what is small finds room again");
    remembered.put(print(1), weighing(1 << 30));
    remembered.put(print(2), weighing(0));
    assert!(remembered.get(&print(2)).is_some());
}

fn good() -> Memory {
    weighing(0)
}

fn weighing(claims_bytes: usize) -> Memory {
    let subject = crate::domain::subject::Subject::new(ISSUER, "alice");
    let key = subject.key();
    let person = crate::domain::subject::Person::named(subject);
    let identity = Identity {
        person,
        key,
        roles: vec![],
        claims: Arc::default(),
        expires_at: at(NOW),
        proof: crate::identity::Proof { claims_bytes, ..Default::default() },
        prepared: crate::identity::Prepared::default(),
    };
    let found = Found::Good {
        identity: Arc::new(identity),
        validity: Validity { from: at(0), until: at(NOW), expires_at: at(NOW) },
        audiences: Audiences { tools: true, api: false },
    };
    Memory { issuer_at: 0, generation: 1, found }
}
