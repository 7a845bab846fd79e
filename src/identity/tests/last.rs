//! The token that a connection showed last.

use super::super::last::LONGEST;
use super::super::remembered::fingerprint;
use super::*;

fn token_of(sub: &str) -> String {
    ed().mint(&with("sub", Some(json!(sub)))).unwrap()
}

async fn name(desk: &Desk, token: &str) -> String {
    desk.show(token).await.unwrap().person.subject.name.to_string()
}

/// The desk after somebody showed the token often enough for its connection to keep it.
async fn kept(token: &str) -> Desk {
    let desk = Desk::new();
    for _ in 0..3 {
        desk.show(token).await.unwrap();
    }
    assert!(desk.last.keeps(token));
    desk
}

#[tokio::test]
async fn people_who_take_turns_on_one_connection_are_told_apart() {
    let (alice, other) = (token_of("alice"), token_of("clara"));
    assert_eq!(alice.len(), other.len());
    let desk = kept(&alice).await;
    for _ in 0..3 {
        assert_eq!(name(&desk, &other).await, "clara");
        assert_eq!(name(&desk, &alice).await, "alice");
        assert_eq!(name(&desk, &alice).await, "alice");
    }
}

#[tokio::test]
async fn a_token_that_differs_in_any_byte_from_the_last_is_another() {
    let token = token_of("alice");
    let desk = kept(&token).await;
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(desk.show(&changed).await.is_err(), "byte {at}");
        assert!(desk.show(&changed).await.is_err(), "byte {at}, once more");
    }
    for length in 1..token.len() {
        assert!(desk.show(&token[..length]).await.is_err(), "{length} bytes");
    }
    assert!(desk.show(&format!("{token}A")).await.is_err());
    assert_eq!(name(&desk, &token).await, "alice");
}

#[tokio::test]
async fn what_the_core_forgot_its_connections_do_not_remember() {
    let (token, print) = (token_of("alice"), |token| fingerprint(Token::new(token).unwrap()));
    let mut desk = kept(&token).await;
    let first = desk.show(&token).await.unwrap();
    desk.remembered = Remembered::new(1, 1);
    let second = desk.show(&token).await.unwrap();
    assert!(!Arc::ptr_eq(&first, &second), "verified anew");
    // In the place of the first there is another now.
    let other = token_of("bob");
    for _ in 0..2 {
        let (shown, on) = (Token::new(&other).unwrap(), &desk.remembered);
        let identity = desk.authenticator.authenticate(on, shown, Audience::Tools, at(NOW)).await;
        assert_eq!(&*identity.unwrap().person.subject.name, "bob");
    }
    assert!(desk.remembered.get(&print(&token)).is_none());
    let third = desk.show(&token).await.unwrap();
    assert_eq!(&*third.person.subject.name, "alice");
    assert!(!Arc::ptr_eq(&second, &third), "verified anew");
}

#[tokio::test]
async fn a_connection_that_keeps_a_token_refuses_it_once_it_has_expired_or_its_key_is_gone() {
    let token = token_of("alice");
    let desk = kept(&token).await;
    desk.clock.set(at(NOW + 600));
    assert_eq!(desk.refusal(&token).await, Some(TokenRefused::Expired));
    let desk = kept(&token).await;
    std::fs::write(desk.file("jwks.json"), jwks(&[ec()]).to_string()).unwrap();
    desk.authenticator.reload(at(NOW)).unwrap();
    assert_eq!(desk.refusal(&token).await, Some(TokenRefused::UnknownKey));
}

#[tokio::test]
async fn a_token_for_tools_that_a_connection_keeps_is_none_for_the_api() {
    let token = token_of("alice");
    let desk = kept(&token).await;
    assert!(desk.show_for(Audience::Api, &token).await.is_err());
    assert!(desk.show(&token).await.is_ok());
}

#[tokio::test]
async fn neither_a_bad_token_nor_a_long_one_is_kept() {
    let desk = Desk::new();
    let forged = Minter::eddsa("ed").unwrap().mint(&claims()).unwrap();
    for _ in 0..3 {
        assert_eq!(desk.refusal(&forged).await, Some(TokenRefused::Signature));
    }
    assert!(!desk.last.keeps(&forged));
    let long = ed().mint(&with("note", Some(json!("x".repeat(LONGEST))))).unwrap();
    for _ in 0..3 {
        assert_eq!(name(&desk, &long).await, "alice");
    }
    assert!(!desk.last.keeps(&long));
}

#[test]
fn what_shows_a_last_token_shows_nothing_of_it() {
    assert_eq!(format!("{:?}", LastToken::default()), "LastToken");
}
