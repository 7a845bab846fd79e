//! Credentials that are two, or none.

use super::super::draft::{Draft, Fate, mark};
use super::super::rng::Rng;
use super::super::scene::{Ground, Who};

pub fn credentials(rng: &mut Rng, ground: &Ground, draft: &mut Draft) -> Fate {
    draft.without("authorization");
    draft.without("content-length");
    (draft.body, draft.content) = (Vec::new(), Vec::new());
    draft.method = b"GET".to_vec();
    (draft.who, draft.fate) = (Who::Alice, Fate::ALLOWED);
    let path = format!("/{}/{}", rng.pick(&["grant", "me", "policy"]), mark(draft.number));
    draft.path(&path);
    let token = ground.token(Who::Alice).expect("she has one").to_owned();
    let other = ground.token(Who::Mallory).expect("she has one").to_owned();
    let bearer = format!("Bearer {token}");
    if rng.percent(15) {
        return of_no_use(rng, draft, &bearer);
    }
    match rng.below(16) {
        0 => {
            draft.field("authorization", &bearer);
            draft.field("Authorization", &bearer);
        }
        1 => {
            draft.field("authorization", &bearer);
            draft.field("authorization", format!("Bearer {other}"));
        }
        2 => draft.field("authorization", format!("Bearer {token}, Bearer {other}")),
        3 => {
            draft.field("authorization", &bearer);
            draft.target.extend_from_slice(format!("?access_token={other}").as_bytes());
        }
        4 => draft.target.extend_from_slice(format!("?access_token={token}").as_bytes()),
        5 => draft.field("cookie", format!("authorization={token}; session={token}")),
        6 => draft.field("authorization", &token),
        7 => draft.field("authorization", format!("Basic {token}")),
        8 => draft.field("proxy-authorization", &bearer),
        9 => draft.field("authorization", format!("Bearer  {token}")),
        10 => draft.field("authorization", format!("Bearer {token} x")),
        11 => draft.field("authorization", format!("Bearer {token}=")),
        12 => draft.field("authorization", "Bearer"),
        13 => draft.field("authorization", format!("Bearer {}", unsigned(&token))),
        14 => draft.field("x-authorization", &bearer),
        _ => draft.field("authorization", format!("Bearer {}", changed(rng, &token))),
    }
    Fate::REFUSED
}

/// Where nobody is asked for: no token goes on to the tool all the same.
fn of_no_use(rng: &mut Rng, draft: &mut Draft, bearer: &str) -> Fate {
    draft.path(&format!("/public/{}", mark(draft.number)));
    let other = *rng.pick(&["Basic YTpi", "Digest x", "", "Bea\u{e4}rer x", "Bearer"]);
    let mut both = [other, bearer];
    if rng.percent(50) {
        both.reverse();
    }
    for value in both {
        draft.field(*rng.pick(&["authorization", "Authorization"]), value);
    }
    Fate::OPEN
}

fn unsigned(token: &str) -> String {
    let claims = token.split('.').nth(1).unwrap_or_default();
    // {"alg":"none"}
    format!("eyJhbGciOiJub25lIn0.{claims}.")
}

/// One character is another one.
fn changed(rng: &mut Rng, token: &str) -> String {
    let at = rng.below(token.len());
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/";
    let other: Vec<char> = letters.chars().filter(|new| !token[at..].starts_with(*new)).collect();
    let new = rng.pick(&other);
    format!("{}{new}{}", &token[..at], &token[at + 1..])
}
