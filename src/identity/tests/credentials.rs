//! Where the one credential is (T12).

use http::{HeaderMap, HeaderName, HeaderValue};

use super::super::{CredentialRefused, credential};
use crate::config::CredentialSource;

fn headers(all: &[(&'static str, &[u8])]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in all {
        headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
    }
    headers
}

fn found(
    all: &[(&'static str, &[u8])],
    query: Option<&str>,
    source: &CredentialSource,
) -> Result<String, CredentialRefused> {
    credential(&headers(all), query, source).map(|token| token.secret().to_owned())
}

const BEARER: CredentialSource = CredentialSource::Bearer;

#[test]
fn t12_a_bearer_token_is_a_scheme_in_any_case_one_space_and_a_token() {
    for value in [&b"Bearer a.b.c"[..], b"bearer a.b.c", b"BEARER a.b.c"] {
        assert_eq!(found(&[("authorization", value)], None, &BEARER).as_deref(), Ok("a.b.c"));
    }
    for value in [
        &b"Bearer  a.b.c"[..],
        b"Bearer\ta.b.c",
        b"Bearer",
        b"Bearer ",
        b"Bearer a.b.c ",
        b"Bearer a.b.c, Bearer d",
        b"Bearer a b",
        b"Bearer: a.b.c",
        b"Bearer a.b.c\xff",
        b"Bearer,a",
        b"Bearer \"a.b.c\"",
    ] {
        let refused = found(&[("authorization", value)], None, &BEARER);
        assert_eq!(refused, Err(CredentialRefused::Malformed), "{value:?}");
    }
    for value in [&b"Basic YTpi"[..], b"a.b.c", b"", b"BearerX a.b.c", b" Bearer"] {
        let refused = found(&[("authorization", value)], None, &BEARER);
        assert_eq!(refused, Err(CredentialRefused::Absent), "{value:?}");
    }
    assert_eq!(found(&[], None, &BEARER), Err(CredentialRefused::Absent));
}

#[test]
fn t12_two_credentials_are_refused_wherever_they_are() {
    let cookie = CredentialSource::Cookie("sid".into());
    let header = CredentialSource::Header(HeaderName::from_static("x-token"));
    let bearer = ("authorization", &b"Bearer a"[..]);
    let basic = ("authorization", &b"Basic YTpi"[..]);
    let sid = ("cookie", &b"x=1; sid=a; y=2"[..]);
    let token = ("x-token", &b"a"[..]);
    let more = Err(CredentialRefused::MoreThanOne);
    assert_eq!(found(&[bearer, bearer], None, &BEARER), more);
    assert_eq!(found(&[basic, bearer], None, &BEARER), more);
    assert_eq!(found(&[bearer, sid], None, &cookie), more);
    assert_eq!(found(&[sid, sid], None, &cookie), more);
    assert_eq!(found(&[("cookie", b"sid=a; sid=a")], None, &cookie), more);
    assert_eq!(found(&[bearer, token], None, &header), more);
    assert_eq!(found(&[token, token], None, &header), more);
    assert_eq!(found(&[sid, basic], None, &cookie).as_deref(), Ok("a"));
    assert_eq!(found(&[token], None, &header).as_deref(), Ok("a"));
    assert_eq!(found(&[bearer], None, &cookie), more, "a credential in the wrong place");
}

#[test]
fn t12_a_cookie_name_is_matched_whole_and_with_its_case() {
    let cookie = CredentialSource::Cookie("sid".into());
    for value in [&b"SID=a"[..], b"xsid=a", b"sid2=a", b"x=sid=a", b"sid"] {
        let refused = found(&[("cookie", value)], None, &cookie);
        assert_eq!(refused, Err(CredentialRefused::Absent), "{value:?}");
    }
    for value in [&b"sid="[..], b"sid=a b", b"sid=\"a\"", b"sid=a\xff"] {
        let refused = found(&[("cookie", value)], None, &cookie);
        assert_eq!(refused, Err(CredentialRefused::Malformed), "{value:?}");
    }
}

#[test]
fn t12_a_token_in_the_query_is_refused_in_every_spelling() {
    let bearer = [("authorization", &b"Bearer a"[..])];
    for query in ["access_token=a", "x=1&access_token=", "access%5Ftoken=a", "%61ccess_token"] {
        let refused = found(&bearer, Some(query), &BEARER);
        assert_eq!(refused, Err(CredentialRefused::InQuery), "{query}");
        assert_eq!(found(&[], Some(query), &BEARER), Err(CredentialRefused::InQuery));
    }
    assert!(found(&bearer, Some("my_access_token=a&x=access_token"), &BEARER).is_ok());
}
