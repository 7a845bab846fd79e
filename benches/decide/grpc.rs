//! A gRPC client of one method, as light as it can be: the bytes of the request are made once.

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::{SendRequest, handshake};
use http::Request;
use std::path::Path;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

const METHOD: &str = "http://localhost/cerbos.svc.v1.CerbosService/CheckResources";

#[derive(Clone)]
pub struct Client {
    sender: SendRequest<Bytes>,
}

impl Client {
    pub async fn tcp(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the PDP accepts");
        stream.set_nodelay(true).expect("no delay");
        Self::over(stream).await
    }

    pub async fn unix(path: &Path) -> Self {
        Self::over(UnixStream::connect(path).await.expect("the PDP accepts")).await
    }

    async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, connection) = handshake(stream).await.expect("HTTP/2");
        tokio::task::spawn_local(async move { connection.await.expect("the connection lasts") });
        Self { sender }
    }

    /// The body of the answer.
    pub async fn call(&self, message: &Bytes) -> Vec<u8> {
        let request = Request::post(METHOD)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .expect("a request");
        let mut sender = self.sender.clone().ready().await.expect("a free stream");
        let (answer, mut stream) = sender.send_request(request, false).expect("it is sent");
        stream.send_data(message.clone(), true).expect("its body too");
        let mut body = answer.await.expect("an answer").into_body();
        let mut read = Vec::new();
        while let Some(part) = body.data().await {
            let part = part.expect("a part of the answer");
            body.flow_control().release_capacity(part.len()).expect("room");
            read.extend_from_slice(&part);
        }
        let trailers = body.trailers().await.expect("trailers").expect("trailers");
        let status = trailers.get("grpc-status").expect("a status");
        assert_eq!(status.as_bytes(), b"0", "{trailers:?}");
        read
    }
}

/// With the five bytes in front that gRPC has: not compressed, and the length.
pub fn framed(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).expect("a short message"));
    framed.extend_from_slice(message);
    framed.freeze()
}
