//! No second text of a good token verifies (T11): every small change, every mixture of two tokens,
//! and the same signature written as another number.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

/// Everything that a token may be written with, and what other alphabets have.
const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=.~";

async fn accepts(desk: &Desk, token: &str) -> bool {
    desk.show(token).await.is_ok()
}

#[tokio::test]
async fn t11_no_token_with_one_character_changed_verifies() {
    let desk = Desk::new();
    for minter in [ec(), rsa(), ed()] {
        let good = minter.mint(&claims()).unwrap();
        assert!(accepts(&desk, &good).await);
        let mut tried = 0;
        for (at, old) in good.char_indices() {
            let (before, after) = (&good[..at], &good[at + 1..]);
            // In the signature everything, elsewhere what is next to it: the signature says no.
            let all = at > good.rfind('.').unwrap();
            let near = |letter: &char| all || (*letter as u32).abs_diff(old as u32) < 4;
            for new in LETTERS.chars().filter(|letter| *letter != old).filter(near) {
                assert!(!accepts(&desk, &format!("{before}{new}{after}")).await, "{at} {new}");
                tried += 1;
            }
            assert!(!accepts(&desk, &format!("{before}{after}")).await, "{at} left out");
            assert!(!accepts(&desk, &format!("{before}{old}{old}{after}")).await, "{at} doubled");
        }
        for new in LETTERS.chars() {
            assert!(!accepts(&desk, &format!("{good}{new}")).await, "{new} behind");
            assert!(!accepts(&desk, &format!("{new}{good}")).await, "{new} before");
        }
        assert!(tried > 4_000, "{tried}");
        assert!(accepts(&desk, &good).await, "and the good one still does");
    }
}

#[tokio::test]
async fn t11_parts_of_two_good_tokens_do_not_make_a_third() {
    let desk = Desk::new();
    let other = with("sub", Some(json!("mallory")));
    let mut tokens = Vec::new();
    for minter in [ec(), rsa(), ed()] {
        tokens.push(minter.mint(&claims()).unwrap());
        tokens.push(minter.mint(&other).unwrap());
    }
    let parts: Vec<Vec<&str>> = tokens.iter().map(|token| token.split('.').collect()).collect();
    let mut made = 0;
    for header in parts.iter().map(|part| part[0]) {
        for payload in parts.iter().map(|part| part[1]) {
            for signature in parts.iter().map(|part| part[2]) {
                let token = format!("{header}.{payload}.{signature}");
                assert_eq!(accepts(&desk, &token).await, tokens.contains(&token), "{token}");
                made += 1;
            }
        }
    }
    assert_eq!(made, 216);
}

/// `a + b`, both with the most significant byte first; `None` when it needs a byte more.
fn sum(a: &[u8], b: &[u8]) -> Option<Vec<u8>> {
    let mut carry = 0_u16;
    let mut digits: Vec<u8> = Vec::new();
    for (x, y) in a.iter().rev().zip(b.iter().rev()) {
        let digit = u16::from(*x) + u16::from(*y) + carry;
        digits.push((digit & 0xff) as u8);
        carry = digit >> 8;
    }
    digits.reverse();
    (carry == 0).then_some(digits)
}

/// The same token with its signature replaced.
fn signed(token: &str, signature: &[u8]) -> String {
    let (signed, _) = token.rsplit_once('.').unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn signature(token: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(token.rsplit('.').next().unwrap()).unwrap()
}

#[tokio::test]
async fn t11_a_signature_plus_the_order_of_its_group_is_refused() {
    // RFC 8032, section 5.1: the order of the group of Ed25519, least significant byte first.
    let mut order = [0; 32];
    order[31] = 0x10;
    order[..16].copy_from_slice(&0x14de_f9de_a2f7_9cd6_5812_631a_5cf5_d3ed_u128.to_le_bytes());
    order.reverse();
    let desk = Desk::new();
    let good = ed().mint(&claims()).unwrap();
    let mut bytes = signature(&good);
    bytes[32..].reverse();
    let mut twin = sum(&bytes[32..], &order).expect("it has room");
    twin.reverse();
    bytes.truncate(32);
    bytes.extend(twin);
    assert_eq!(desk.refusal(&signed(&good, &bytes)).await, Some(TokenRefused::Signature));
}

#[tokio::test]
async fn t11_a_signature_plus_its_modulus_is_refused() {
    let desk = Desk::new();
    let modulus = URL_SAFE_NO_PAD.decode(rsa().jwk()["n"].as_str().unwrap()).unwrap();
    let mut tried = 0;
    for number in 0..200 {
        let good = rsa().mint(&with("sub", Some(json!(format!("u{number}"))))).unwrap();
        let Some(twin) = sum(&signature(&good), &modulus) else { continue };
        assert_eq!(desk.refusal(&signed(&good, &twin)).await, Some(TokenRefused::Signature));
        tried += 1;
        if tried == 3 {
            break;
        }
    }
    // One byte longer it always has room, and is no signature of this length.
    let good = rsa().mint(&claims()).unwrap();
    let longer = [&[0], signature(&good).as_slice()].concat();
    assert_eq!(desk.refusal(&signed(&good, &longer)).await, Some(TokenRefused::Signature));
}
