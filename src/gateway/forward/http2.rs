//! A request as HTTP/2 wants it (RFC 9113, section 8.3.1): the host in the address, and no header of
//! the connection; and which ones may be sent once more.

use std::rc::Rc;

use http::header::{HOST, TE, TRANSFER_ENCODING};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};

use crate::gateway::body::{ClientBody, Progress};
use crate::gateway::refusal::Refusal;
use crate::gateway::upstream::Failed;

/// The client reads trailers (RFC 9110, section 10.1.4); gRPC servers ask for this.
pub(super) fn wants_trailers(headers: &HeaderMap) -> bool {
    headers.get_all(TE).iter().any(|value| {
        let mut codings = value.as_bytes().split(|&byte| byte == b',');
        codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
    })
}

/// # Errors
/// `bad-request`: its host cannot stand in an address.
pub(super) fn into_http2(
    request: &mut Request<ClientBody>,
    scheme: &'static str,
    wants_trailers: bool,
) -> Result<(), Refusal> {
    let unclear = || Refusal::bad_request("the host cannot be forwarded over HTTP/2");
    if request.uri().authority().is_none() {
        let host = request.headers_mut().remove(HOST).ok_or_else(unclear)?;
        let authority = Authority::try_from(host.as_bytes()).map_err(|_odd| unclear())?;
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        let scheme = if scheme == "https" { Scheme::HTTPS } else { Scheme::HTTP };
        (parts.scheme, parts.authority) = (Some(scheme), Some(authority));
        *request.uri_mut() = Uri::from_parts(parts).map_err(|_odd| unclear())?;
    }
    let headers = request.headers_mut();
    headers.remove(TRANSFER_ENCODING);
    headers.remove(TE);
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    Ok(())
}

/// Back to the form of HTTP/1.1, for a request that was given back.
pub(super) fn into_http1(request: &mut Request<ClientBody>) -> Result<(), Refusal> {
    let Some(authority) = request.uri().authority() else { return Ok(()) };
    let odd = || Refusal::bad_request("the host cannot be forwarded over HTTP/1.1");
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_odd| odd())?;
    let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    let target: Uri = path.parse().map_err(|_odd| odd())?;
    *request.uri_mut() = target;
    request.headers_mut().insert(HOST, host);
    request.headers_mut().remove(TE);
    Ok(())
}

/// What is kept of a request so that it can be sent once more, should the backend refuse its stream.
#[derive(Debug)]
pub(super) struct Spare {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl Spare {
    /// `None` for a request that must not be repeated (RFC 9110, section 9.2.2), or has a body.
    pub(super) fn of(request: &Request<ClientBody>) -> Option<Self> {
        let has_body = !http_body::Body::is_end_stream(request.body());
        let is_idempotent = matches!(
            *request.method(),
            Method::GET
                | Method::HEAD
                | Method::OPTIONS
                | Method::TRACE
                | Method::PUT
                | Method::DELETE
        );
        (is_idempotent && !has_body).then(|| Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
        })
    }

    pub(super) fn into_request(self, progress: &Rc<Progress>) -> Request<ClientBody> {
        let mut request = Request::new(ClientBody::empty(Rc::clone(progress)));
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.headers;
        request
    }
}

/// Whether the backend says that it did nothing with the request (RFC 9113, section 8.7): it refused
/// the stream, or will not come to it any more.
pub(super) fn was_refused(failed: &Failed) -> bool {
    let Some(error) = of_http2(failed) else { return false };
    let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    error.is_remote() && (refused || error.is_go_away())
}

/// Whether the backend gave up this one stream (RFC 9113, section 5.4.2). What a client sends may
/// have made it: that tells nothing of the connection, or of the backend.
pub(super) fn was_reset(failed: &Failed) -> bool {
    let reset = |error: &h2::Error| error.is_remote() && error.is_reset();
    of_http2(failed).is_some_and(reset) && !was_refused(failed)
}

fn of_http2(failed: &Failed) -> Option<&h2::Error> {
    std::error::Error::source(failed.of_http2()?)?.downcast_ref()
}
