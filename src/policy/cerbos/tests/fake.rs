//! A gRPC server that answers what a test wants.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpListener;

use super::super::messages::{CheckResourcesRequest, CheckResourcesResponse};

pub enum Reply {
    Answer(CheckResourcesResponse),
    /// The bytes of a message, whatever they are.
    Bytes(Bytes),
    /// No message, and this gRPC status.
    Status(u16),
    Never,
}

pub struct Fake {
    pub port: u16,
    pub asked: Arc<AtomicUsize>,
}

impl Fake {
    pub async fn start(
        reply: impl Fn(CheckResourcesRequest) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = listener.local_addr().expect("an address").port();
        let (reply, asked) = (Arc::new(reply), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&asked);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("accepts");
                let (reply, asked) = (Arc::clone(&reply), Arc::clone(&counted));
                let service = service_fn(move |request| {
                    asked.fetch_add(1, Ordering::SeqCst);
                    answer(request, Arc::clone(&reply))
                });
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { port, asked }
    }
}

async fn answer(
    request: Request<Incoming>,
    reply: Arc<impl Fn(CheckResourcesRequest) -> Reply>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let body = request.into_body().collect().await.expect("a body").to_bytes();
    let question = CheckResourcesRequest::decode(&body[5..]).expect("a message");
    let (message, status) = match reply(question) {
        Reply::Answer(answer) => (Some(Bytes::from(answer.encode_to_vec())), 0),
        Reply::Bytes(bytes) => (Some(bytes), 0),
        Reply::Status(status) => (None, status),
        Reply::Never => std::future::pending().await,
    };
    let mut framed = BytesMut::new();
    if let Some(message) = message {
        framed.put_u8(0);
        framed.put_u32(u32::try_from(message.len()).expect("small"));
        framed.extend_from_slice(&message);
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(status));
    let body = Full::new(framed.freeze()).with_trailers(async move { Some(Ok(trailers)) });
    let response = Response::builder().header("content-type", "application/grpc");
    Ok(response.body(body.boxed()).expect("a response"))
}
