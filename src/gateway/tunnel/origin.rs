//! A page may open a WebSocket to any host, and the browser sends that host's cookies along
//! (RFC 6455, section 10.2): the page has to come from the host itself.

use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::uri::{Authority, Scheme, Uri};

use super::Handshake;
use crate::config::CredentialSource;
use crate::gateway::refusal::Refusal;
use crate::problem::ProblemCode;

/// # Errors
/// `policy-denied`: a handshake where the credential is a cookie, from a page of another origin.
pub fn check_origin(head: &Parts, source: &CredentialSource) -> Result<(), Refusal> {
    match source {
        CredentialSource::Cookie(_) => (),
        // No browser sends these by itself.
        CredentialSource::Bearer | CredentialSource::Header(_) => return Ok(()),
    }
    let origins: Vec<_> = head.headers.get_all(ORIGIN).iter().collect();
    let same = match origins.as_slice() {
        // No browser: they all send it.
        [] => true,
        [origin] => origin.to_str().is_ok_and(|origin| is_of_host(origin, head)),
        [_, _, ..] => false,
    };
    if same || Handshake::asked(head).is_none() {
        return Ok(());
    }
    let detail = "a WebSocket for a page of another origin";
    Err(Refusal::new(ProblemCode::PolicyDenied, detail))
}

/// Name and port are those of the `Host`, where the port of the origin's scheme may be left out.
fn is_of_host(origin: &str, head: &Parts) -> bool {
    let Ok(origin) = origin.parse::<Uri>() else { return false };
    let usual = match origin.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => 80,
        Some(scheme) if *scheme == Scheme::HTTPS => 443,
        Some(_) | None => return false,
    };
    let host = head.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.and_then(|host| host.parse::<Authority>().ok());
    let (Some(from), Some(to)) = (origin.authority(), host) else { return false };
    let plain = !from.as_str().contains('@') && matches!(origin.path(), "" | "/");
    let port = |of: &Authority| of.port_u16().unwrap_or(usual);
    plain && from.host().eq_ignore_ascii_case(to.host()) && port(from) == port(&to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_of_the_host_when_name_and_port_are() {
        for (origin, host, same) in [
            ("https://a.test", "a.test", true),
            ("https://A.test", "a.TEST", true),
            ("https://a.test", "a.test:443", true),
            ("http://a.test:80", "a.test", true),
            ("http://a.test:8080", "a.test:8080", true),
            ("https://[::1]:8080", "[::1]:8080", true),
            ("http://a.test", "a.test:8080", false),
            ("http://a.test:8080", "a.test", false),
            ("https://a.test", "a.test:80", false),
            ("https://a.test.evil.test", "a.test", false),
            ("https://evil.test", "a.test", false),
            ("https://a.test@evil.test", "a.test", false),
            ("https://evil.test@a.test", "a.test", false),
            ("https://a.test.", "a.test", false),
            ("https://a.test/x", "a.test", false),
            ("file://a.test", "a.test", false),
            ("null", "a.test", false),
            ("a.test", "a.test", false),
            ("", "a.test", false),
        ] {
            let request = http::Request::builder().header(HOST, host).body(()).expect("a request");
            assert_eq!(is_of_host(origin, &request.into_parts().0), same, "{origin} {host}");
        }
    }
}
