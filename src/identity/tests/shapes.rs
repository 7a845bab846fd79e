//! What is a token at all (T09 to T11).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;

use super::super::compact::UnverifiedToken;
use super::*;

const HEADER: &str = r#"{"alg":"ES256","kid":"ec"}"#;

async fn refusal_of(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> Option<TokenRefused> {
    Desk::new().refusal(&ec().mint_raw(header, payload).unwrap()).await
}

#[tokio::test]
async fn t09_an_encrypted_a_nested_and_a_json_token_are_refused() {
    let desk = Desk::new();
    let good = ec().mint(&claims()).unwrap();
    let parts: Vec<&str> = good.split('.').collect();
    let json = json!({ "protected": parts[0], "payload": parts[1], "signature": parts[2] });
    for (token, refused) in [
        ("a.b.c.d.e".to_owned(), TokenRefused::Encrypted),
        ("a..c.d.e".to_owned(), TokenRefused::Encrypted),
        (format!("{good}.{}", parts[2]), TokenRefused::NotCompact),
        ("..".to_owned(), TokenRefused::NotCompact),
        (".".to_owned(), TokenRefused::NotCompact),
        (json.to_string(), TokenRefused::NotCompact),
        (ec().mint_raw(HEADER, &good).unwrap(), TokenRefused::Json),
    ] {
        assert_eq!(desk.refusal(&token).await, Some(refused), "{token}");
    }
}

#[tokio::test]
async fn t10_a_member_that_occurs_twice_is_refused_in_both_halves() {
    let payload = claims().to_string();
    let twice = payload.replacen('{', r#"{"sub":"mallory","#, 1);
    assert_eq!(refusal_of(HEADER, twice).await, Some(TokenRefused::DuplicateMember));
    let deep = payload.replacen('{', r#"{"x":{"a":1,"a":2},"#, 1);
    assert_eq!(refusal_of(HEADER, deep).await, Some(TokenRefused::DuplicateMember));
    let header = r#"{"alg":"none","alg":"ES256","kid":"ec"}"#;
    assert_eq!(refusal_of(header, payload).await, Some(TokenRefused::DuplicateMember));
}

#[tokio::test]
async fn t10_a_byte_order_mark_and_invalid_utf_8_are_refused() {
    let payload = claims().to_string();
    let marked = [b"\xef\xbb\xbf", payload.as_bytes()].concat();
    assert_eq!(refusal_of(HEADER, &marked).await, Some(TokenRefused::Json));
    let broken = payload.replace("alice", "al\u{1}ce").into_bytes();
    let broken: Vec<u8> = broken.into_iter().map(|b| if b == 1 { 0xff } else { b }).collect();
    assert_eq!(refusal_of(HEADER, &broken).await, Some(TokenRefused::Json));
    assert_eq!(refusal_of(b"\xef\xbb\xbf{}", &payload).await, Some(TokenRefused::Json));
}

/// Time that this thread has spent on a CPU, from the scheduler: no matter how busy the machine is.
fn thread_cpu() -> Duration {
    let text =
        std::fs::read_to_string("/proc/thread-self/schedstat").expect("the scheduler's figures");
    let nanos = text.split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanos.expect("nanoseconds"))
}

#[tokio::test]
async fn t10_a_huge_or_deep_token_is_refused_cheaply() {
    let desk = Desk::new();
    let huge = "a".repeat(1024 * 1024);
    let deep = ec().mint_raw(HEADER, format!("{{\"a\":{}", "[".repeat(10_000))).unwrap();
    let before = thread_cpu();
    for _ in 0..20 {
        assert_eq!(desk.refusal(&huge).await, Some(TokenRefused::TooLong));
        assert_eq!(desk.refusal(&deep).await, Some(TokenRefused::TooDeep));
    }
    // 5 ms of CPU each, asserted with four times the bound: nothing here is optimised.
    let spent = thread_cpu().saturating_sub(before);
    assert!(spent < 40 * 4 * Duration::from_millis(5), "{spent:?}");
    assert!(desk.remembered.is_empty());
}

#[tokio::test]
async fn t11_other_spellings_of_base64_are_refused() {
    let desk = Desk::new();
    let good = ec().mint(&claims()).unwrap();
    assert_eq!(desk.refusal(&good).await, None);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    for other in [
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}==.{signature}"),
        format!("{header}.{payload}.{signature}=="),
        format!("{header}.{payload}.{signature}+"),
        format!("{header}.{payload}.{}", signature.replace(['-', '_'], "+")) + "+/",
    ] {
        assert_eq!(desk.refusal(&other).await, Some(TokenRefused::Base64), "{other}");
    }
    for space in [" ", "\n", "\t", "\r\n", "\0"] {
        for other in [
            format!("{good}{space}"),
            format!("{space}{good}"),
            format!("{header}{space}.{payload}.{signature}"),
        ] {
            assert!(desk.refusal(&other).await.is_some());
            assert!(UnverifiedToken::parse(&other).is_err());
        }
    }
}

#[test]
fn t11_the_unused_bits_of_the_last_character_must_be_zero() {
    let good = ec().mint(&claims()).unwrap();
    // 64 bytes of signature end in a character with four unused bits.
    let (start, last) = good.split_at(good.len() - 1);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let accepted: Vec<char> = alphabet
        .chars()
        .filter(|other| UnverifiedToken::parse(&format!("{start}{other}")).is_ok())
        .collect();
    assert!(accepted.contains(&last.chars().next().unwrap()));
    assert_eq!(accepted, ['A', 'Q', 'g', 'w']);
}

proptest! {
    /// No text but the one that was issued passes: change, insert or remove any character.
    #[test]
    fn t11_no_second_text_of_a_token_verifies(
        at in any::<prop::sample::Index>(),
        byte in prop::sample::select(b"ABCXYZabcxyz019-_+/=. \n\t".to_vec()),
        how in 0_u8..3,
    ) {
        let token = fixed();
        let mut other = token.clone().into_bytes();
        let at = at.index(other.len());
        match how {
            0 => other[at] = byte,
            1 => other.insert(at, byte),
            _ => { other.remove(at); }
        }
        let other = String::from_utf8(other).unwrap();
        prop_assume!(other != token);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        prop_assert!(runtime.block_on(Desk::new().show(&other)).is_err());
    }

    /// What decodes encodes back to the same text.
    #[test]
    fn t11_there_is_one_text_per_value(part in "[A-Za-z0-9_=+/-]{0,12}") {
        if let Ok(value) = URL_SAFE_NO_PAD.decode(&part) {
            prop_assert_eq!(URL_SAFE_NO_PAD.encode(value), part);
        }
    }
}

fn fixed() -> String {
    static TOKEN: OnceLock<String> = OnceLock::new();
    TOKEN.get_or_init(|| ed().mint(&claims()).unwrap()).clone()
}
