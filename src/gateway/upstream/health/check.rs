//! One check of one backend.

use std::io;

use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::JoinSet;

use crate::config::HealthCheck;

use super::super::backend::Backend;
use super::super::dial::{Protocol, dial};
use super::super::link::Link;
use super::grpc;

const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("tidegate-health/", env!("CARGO_PKG_VERSION")));

/// # Errors
/// Why the backend cannot be used, for a log.
pub async fn check(backend: &Backend, check: &HealthCheck) -> Result<(), String> {
    let (link, protocol, _) = dial(backend, false).await.map_err(|error| error.to_string())?;
    let mut driver = JoinSet::new();
    match check {
        HealthCheck::Tcp => Ok(()),
        HealthCheck::Http { path, status } => {
            let request = request(backend, protocol, Method::GET, path, Bytes::new())?;
            let response = over(link, protocol, request, &mut driver).await?;
            match response.status().as_u16() {
                found if found == *status => Ok(()),
                found => Err(format!("status {found} instead of {status}")),
            }
        }
        HealthCheck::Grpc { .. } if protocol == Protocol::Http1 => {
            Err("it does not speak HTTP/2, which gRPC needs".to_owned())
        }
        HealthCheck::Grpc { service } => {
            let body = grpc::question(service);
            let mut request = request(backend, protocol, Method::POST, grpc::METHOD, body)?;
            grpc::add_headers(request.headers_mut());
            let response = over(link, protocol, request, &mut driver).await?;
            grpc::answer(response).await
        }
    }
}

fn request(
    backend: &Backend,
    protocol: Protocol,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, String> {
    let host = match backend.address() {
        (host, Some(port)) if host.contains(':') => format!("[{host}]:{port}"),
        (host, Some(port)) => format!("{host}:{port}"),
        (_socket, None) => "localhost".to_owned(),
    };
    let scheme = if backend.tls.is_some() { "https" } else { "http" };
    let builder = Request::builder().method(method).header(USER_AGENT, AGENT);
    let builder = match protocol {
        Protocol::Http1 => builder.uri(path).header(HOST, host),
        Protocol::Http2 => {
            let uri = Uri::builder().scheme(scheme).authority(host).path_and_query(path).build();
            builder.uri(uri.map_err(|error| error.to_string())?)
        }
    };
    builder.body(Full::new(body)).map_err(|error| error.to_string())
}

/// Whatever drives the connection ends with `driver`.
async fn over(
    link: Link,
    protocol: Protocol,
    request: Request<Full<Bytes>>,
    driver: &mut JoinSet<()>,
) -> Result<Response<Incoming>, String> {
    sent(link, protocol, request, driver).await.map_err(|error| error.to_string())
}

async fn sent(
    link: Link,
    protocol: Protocol,
    request: Request<Full<Bytes>>,
    driver: &mut JoinSet<()>,
) -> io::Result<Response<Incoming>> {
    let stream = TokioIo::new(link);
    let response = match protocol {
        Protocol::Http1 => {
            let handshake = http1::Builder::new().handshake(stream).await;
            let (mut sender, connection) = handshake.map_err(io::Error::other)?;
            driver.spawn(async { drop(connection.await) });
            sender.send_request(request).await
        }
        Protocol::Http2 => {
            let handshake = http2::Builder::new(TokioExecutor::new()).handshake(stream).await;
            let (mut sender, connection) = handshake.map_err(io::Error::other)?;
            driver.spawn(async { drop(connection.await) });
            sender.send_request(request).await
        }
    };
    response.map_err(io::Error::other)
}
