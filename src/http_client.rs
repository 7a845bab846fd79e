//! A small HTTP(S) client: one total deadline, one bound on the body, no redirects, no pool.
//!
//! For the few calls that Tidegate makes on its own behalf (key sets, the command line). Requests
//! to tools never go through here. HTTPS trusts the roots of Mozilla's list, or those of
//! one file.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::builderstates::WantsProtocols1;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::tls::{self, Trust, UnusableTls};

mod names;

use names::{Names, Reach};

/// Why there is no response. The text names no address, header or body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    #[error("there was no complete response within {0:?}")]
    Deadline(Duration),
    #[error("the response is larger than {0} bytes")]
    TooLarge(usize),
    #[error("no connection: {0}")]
    Unreachable(String),
    #[error("the exchange broke off: {0}")]
    Broken(String),
    #[error("this is not a request that can be sent: {0}")]
    BadRequest(String),
}

/// Cloning is cheap and shares the TLS configuration. Connections are not kept: the client may be
/// used from several runtimes, and none of them has to outlive a call of another.
#[derive(Clone)]
pub struct HttpClient {
    inner: Client<HttpsConnector<HttpConnector<Names>>, Full<Bytes>>,
    reach: Reach,
}

impl Default for HttpClient {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpClient {
    #[must_use]
    pub fn new() -> Self {
        let builder = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http();
        Self::over(builder, Reach::Anywhere)
    }

    /// Trusts the roots in `ca` (PEM) and no others.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn trusting(ca: &Path) -> Result<Self, UnusableTls> {
        let config = tls::client(Trust { ca: Some(ca), ..Trust::default() })?;
        let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
        Ok(Self::over(builder, Reach::Anywhere))
    }

    /// For addresses outside of the deployment: link-local ones, where machines keep what they tell
    /// only to themselves, are never called. Trusts the roots in `ca`, or Mozilla's.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn outward(ca: Option<&Path>) -> Result<Self, UnusableTls> {
        let builder = HttpsConnectorBuilder::new();
        let builder = match ca {
            Some(_) => builder.with_tls_config(tls::client(Trust { ca, ..Trust::default() })?),
            None => builder.with_webpki_roots(),
        };
        Ok(Self::over(builder.https_or_http(), Reach::NoLinkLocal))
    }

    /// Whether a call of `uri` is not refused for the address that stands in it.
    #[must_use]
    pub fn may_call(&self, uri: &Uri) -> bool {
        self.reach.permits_literal(uri)
    }

    fn over(builder: HttpsConnectorBuilder<WantsProtocols1>, reach: Reach) -> Self {
        let mut http = HttpConnector::new_with_resolver(Names::within(reach));
        http.enforce_http(false);
        let connector = builder.enable_http1().wrap_connector(http);
        let inner =
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Self { inner, reach }
    }

    /// # Errors
    /// See [`ClientError`]. Any status is a response, also a redirect.
    pub async fn get(
        &self,
        uri: Uri,
        deadline: Duration,
        max_bytes: usize,
    ) -> Result<Response<Bytes>, ClientError> {
        let request = Request::builder()
            .method(Method::GET)
            .uri(uri)
            .header(header::ACCEPT, "application/json")
            .body(Full::default())
            .map_err(|error| ClientError::BadRequest(error.to_string()))?;
        self.send(request, deadline, max_bytes).await
    }

    /// `deadline` covers everything from the name's lookup to the last byte of the body;
    /// `max_bytes` bounds that body.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
        deadline: Duration,
        max_bytes: usize,
    ) -> Result<Response<Bytes>, ClientError> {
        tokio::time::timeout(deadline, self.exchange(request, max_bytes))
            .await
            .unwrap_or(Err(ClientError::Deadline(deadline)))
    }

    /// As [`HttpClient::send`], but nobody cares for the response's body: nothing of it is read.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn send_for_head(
        &self,
        request: Request<Full<Bytes>>,
        deadline: Duration,
    ) -> Result<Response<()>, ClientError> {
        let response = tokio::time::timeout(deadline, self.answer(request)).await;
        let (head, _body) = response.unwrap_or(Err(ClientError::Deadline(deadline)))?.into_parts();
        Ok(Response::from_parts(head, ()))
    }

    async fn answer(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, ClientError> {
        if !self.may_call(request.uri()) {
            return Err(ClientError::BadRequest("a link-local address".to_owned()));
        }
        let agent =
            header::HeaderValue::from_static(concat!("tidegate/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().entry(header::USER_AGENT).or_insert(agent);
        self.inner.request(request).await.map_err(|error| {
            let text = innermost(&error);
            if error.is_connect() {
                ClientError::Unreachable(text)
            } else {
                ClientError::Broken(text)
            }
        })
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        max_bytes: usize,
    ) -> Result<Response<Bytes>, ClientError> {
        let response = self.answer(request).await?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, max_bytes).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                ClientError::TooLarge(max_bytes)
            } else {
                ClientError::Broken(innermost(error.as_ref()))
            }
        })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

/// The cause at the bottom says what happened ("connection refused"); the layers above only wrap.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// One connection that gets `answer` and is then held open.
    async fn answering(answer: &'static [u8]) -> Uri {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(answer).await;
            let _ = stream.read(&mut [0; 1]).await;
        });
        uri
    }

    async fn got(answer: &'static [u8], deadline: u64) -> Result<Response<Bytes>, ClientError> {
        let uri = answering(answer).await;
        HttpClient::new().get(uri, Duration::from_millis(deadline), 10).await
    }

    #[tokio::test]
    async fn a_response_within_the_bounds_is_given_back_whatever_its_status() {
        let moved = b"HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 10\r\n\r\n0123456789";
        let response = got(moved, 10_000).await.unwrap();
        assert_eq!((response.status().as_u16(), response.body().len()), (302, 10));
    }

    #[tokio::test]
    async fn a_body_past_the_bound_is_an_error() {
        for large in [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n01234567890"[..],
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n20\r\n01234567890123456789",
        ] {
            assert_eq!(got(large, 10_000).await.unwrap_err(), ClientError::TooLarge(10));
        }
    }

    #[tokio::test]
    async fn the_deadline_covers_the_body_too() {
        for slow in [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n0"] {
            let late = got(slow, 50).await.unwrap_err();
            assert_eq!(late, ClientError::Deadline(Duration::from_millis(50)));
        }
    }

    #[tokio::test]
    async fn faults_are_told_apart() {
        assert!(matches!(got(b"nonsense\r\n\r\n", 10_000).await, Err(ClientError::Broken(_))));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        for scheme in ["http", "https"] {
            let uri = format!("{scheme}://127.0.0.1:{port}/").parse().unwrap();
            let refused = HttpClient::new().get(uri, Duration::from_secs(10), 10).await;
            assert!(matches!(refused, Err(ClientError::Unreachable(_))), "{refused:?}");
        }
    }

    /// A server on loopback that answers one request over TLS, and the root that vouches for it.
    async fn secure(folder: &std::path::Path) -> (Uri, std::path::PathBuf) {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = made.signing_key.serialize_der().try_into().unwrap();
        let provider = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider();
        let config = tokio_rustls::rustls::ServerConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("https://{}/", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            }
        });
        let ca = folder.join("ca.pem");
        std::fs::write(&ca, made.cert.pem()).unwrap();
        (uri, ca)
    }

    #[tokio::test]
    async fn a_private_root_is_trusted_where_it_is_named_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let (uri, ca) = secure(folder.path()).await;
        let wait = Duration::from_secs(10);
        let named = HttpClient::trusting(&ca).ok().unwrap();
        assert_eq!(named.get(uri.clone(), wait, 10).await.unwrap().body(), "ok");
        let outward = HttpClient::outward(Some(&ca)).ok().unwrap();
        let request = |uri: &Uri| Request::get(uri.clone()).body(Full::default()).unwrap();
        assert_eq!(outward.send_for_head(request(&uri), wait).await.unwrap().status(), 200);
        let strangers = HttpClient::outward(None).ok().unwrap();
        assert!(strangers.send_for_head(request(&uri), wait).await.is_err());
        let other = HttpClient::new().get(uri, wait, 10).await;
        assert!(matches!(other, Err(ClientError::Unreachable(_))), "{other:?}");
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "nothing").unwrap();
        assert_eq!(HttpClient::trusting(&empty).err(), Some(UnusableTls::NoRoots(empty)));
    }

    #[tokio::test]
    async fn an_outward_client_calls_no_link_local_address() {
        let outward = HttpClient::outward(None).ok().unwrap();
        let metadata = Request::get("http://169.254.169.254/").body(Full::default()).unwrap();
        let refused = outward.send_for_head(metadata, Duration::from_secs(10)).await;
        assert!(matches!(refused, Err(ClientError::BadRequest(_))), "{refused:?}");
    }

    #[tokio::test]
    async fn a_head_is_enough_however_large_its_body_and_is_given_a_deadline() {
        let client = HttpClient::new();
        let request = |uri: Uri| Request::get(uri).body(Full::default()).unwrap();
        let large = b"HTTP/1.1 202 X\r\ncontent-length: 1000000\r\n\r\n";
        let head = client.send_for_head(request(answering(large).await), Duration::from_secs(10));
        assert_eq!(head.await.unwrap().status(), 202);
        let short = Duration::from_millis(50);
        let late = client.send_for_head(request(answering(b"HTTP/1.1 ").await), short).await;
        assert_eq!(late.unwrap_err(), ClientError::Deadline(short));
    }

    #[tokio::test]
    async fn a_server_that_does_not_speak_tls_is_not_believed() {
        let plain = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let uri = plain.to_string().replacen("http", "https", 1).parse().unwrap();
        let refused = HttpClient::new().get(uri, Duration::from_secs(10), 10).await;
        assert!(matches!(refused, Err(ClientError::Unreachable(_))), "{refused:?}");
    }
}
