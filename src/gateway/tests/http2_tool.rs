//! A tool that speaks HTTP/2, and writes down what it gets.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What the tool does with a request.
#[derive(Clone, Copy, Debug)]
pub enum Does {
    Answers,
    /// `ok`, and `grpc-status: 0` after it.
    AnswersWithTrailers,
    Refuses,
    /// Gives the stream up for this reason.
    Resets(Reason),
    /// Answers, and closes the connection for others.
    SaysGoodbye,
    /// Nothing, ever.
    Nothing,
    /// Answers at once, and neither reads the body nor gives it up.
    AnswersUnread,
    /// A longer body than it announced.
    SaysTooMuch,
    /// gRPC: every piece comes back at once, and `grpc-status: 0` at the end.
    Echoes,
    /// The answer to a health check of gRPC: whether it serves.
    Serves(bool),
}

#[derive(Clone, Debug)]
pub struct Got {
    /// Counts connections from 0.
    pub connection: usize,
    pub method: String,
    pub uri: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

type Plan = Arc<dyn Fn(&Request<()>, usize) -> Does + Send + Sync>;

#[derive(Clone)]
pub struct Http2Tool {
    pub address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
    connections: Arc<Mutex<usize>>,
    /// From the head of a request, and how many came before it.
    plan: Arc<Mutex<Plan>>,
}

impl Http2Tool {
    pub async fn start(acceptor: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let plan: Plan = Arc::new(|_, _| Does::Answers);
        let tool = Self {
            address: listener.local_addr().expect("bound"),
            got: Arc::default(),
            connections: Arc::default(),
            plan: Arc::new(Mutex::new(plan)),
        };
        let serving = tool.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, tool) = (acceptor.clone(), serving.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => tool.converse(stream).await,
                        Some(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => tool.converse(stream).await,
                            Err(_refused) => (),
                        },
                    }
                });
            }
        });
        tool
    }

    pub fn does(&self, plan: impl Fn(&Request<()>, usize) -> Does + Send + Sync + 'static) {
        *self.plan.lock().expect("not poisoned") = Arc::new(plan);
    }

    pub fn got(&self) -> Vec<Got> {
        self.got.lock().expect("not poisoned").clone()
    }

    pub fn connections(&self) -> usize {
        *self.connections.lock().expect("not poisoned")
    }

    async fn converse<S: AsyncRead + AsyncWrite + Unpin>(self, stream: S) {
        let number = {
            let mut count = self.connections.lock().expect("not poisoned");
            *count += 1;
            *count - 1
        };
        let Ok(mut connection) = h2::server::handshake(stream).await else { return };
        let mut before = 0;
        while let Some(Ok((request, reply))) = connection.accept().await {
            let (head, body) = request.into_parts();
            let head = Request::from_parts(head, ());
            let plan = self.plan.lock().expect("not poisoned").clone();
            let does = plan(&head, before);
            before += 1;
            if matches!(does, Does::SaysGoodbye) {
                connection.graceful_shutdown();
            }
            tokio::spawn(self.clone().answer((head, body), reply, (does, number)));
        }
    }

    async fn answer(
        self,
        (head, mut body): (Request<()>, RecvStream),
        mut reply: SendResponse<Bytes>,
        (does, connection): (Does, usize),
    ) {
        if matches!(does, Does::Refuses) {
            reply.send_reset(Reason::REFUSED_STREAM);
            return;
        }
        if let Does::Resets(reason) = does {
            reply.send_reset(reason);
            return;
        }
        if matches!(does, Does::Echoes) {
            return self.echo((head, body), reply, connection).await;
        }
        if matches!(does, Does::AnswersUnread) {
            self.note(connection, &head, Vec::new());
            let answer = Response::new(());
            let Ok(mut stream) = reply.send_response(answer, false) else { return };
            let _gone = stream.send_data(Bytes::from_static(b"early"), true);
            return std::future::pending().await;
        }
        let mut read = Vec::new();
        while let Some(Ok(piece)) = body.data().await {
            let _broken = body.flow_control().release_capacity(piece.len());
            read.extend_from_slice(&piece);
        }
        self.note(connection, &head, read);
        let response = |status| Response::builder().status(status);
        match does {
            Does::Nothing => std::future::pending().await,
            Does::SaysTooMuch => {
                let head = response(200).header("content-length", "1").body(()).expect("a head");
                if let Ok(mut stream) = reply.send_response(head, false) {
                    let _gone = stream.send_data(Bytes::from_static(b"okok"), true);
                }
            }
            Does::Answers
            | Does::AnswersWithTrailers
            | Does::SaysGoodbye
            | Does::Serves(_)
            | Does::Echoes
            | Does::Refuses
            | Does::AnswersUnread
            | Does::Resets(_) => {
                let head = response(200).body(()).expect("a head");
                let Ok(mut stream) = reply.send_response(head, false) else { return };
                let trailers = matches!(does, Does::AnswersWithTrailers | Does::Serves(_));
                let body: &'static [u8] = match does {
                    Does::Serves(true) => &[0, 0, 0, 0, 2, 8, 1],
                    Does::Serves(false) => &[0, 0, 0, 0, 2, 8, 2],
                    _ => b"ok",
                };
                let _gone = stream.send_data(Bytes::from_static(body), !trailers);
                if trailers {
                    let status = ("grpc-status".parse().expect("a name"), "0".parse().expect("0"));
                    let _gone = stream.send_trailers([status].into_iter().collect());
                }
            }
        }
    }

    fn note(&self, connection: usize, head: &Request<()>, body: Vec<u8>) {
        self.got.lock().expect("not poisoned").push(Got {
            connection,
            method: head.method().to_string(),
            uri: head.uri().to_string(),
            headers: head.headers().clone(),
            body,
        });
    }

    /// It is noted when it is over, however it ended.
    async fn echo(
        self,
        (head, mut body): (Request<()>, RecvStream),
        mut reply: SendResponse<Bytes>,
        connection: usize,
    ) {
        let answer = Response::builder().header("content-type", "application/grpc");
        let answer = answer.body(()).expect("a head");
        let Ok(mut stream) = reply.send_response(answer, false) else { return };
        let mut read = Vec::new();
        while let Some(Ok(piece)) = body.data().await {
            let _broken = body.flow_control().release_capacity(piece.len());
            read.extend_from_slice(&piece);
            let _gone = stream.send_data(piece, false);
        }
        let status = ("grpc-status".parse().expect("a name"), "0".parse().expect("0"));
        let _gone = stream.send_trailers([status].into_iter().collect());
        self.note(connection, &head, read);
    }
}
