//! A client that says anything, and services that answer as they like.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRAILER};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::timeout;

use super::server::{Broken, Server};
use crate::clock::ManualClock;
use crate::domain::time::Timestamp;
use crate::gateway::body::{Cut, Received};
use crate::gateway::framing::{Guard, HeadLimits, Watch};

const PATIENCE: Duration = Duration::from_secs(20);
const LIMITS: HeadLimits = HeadLimits { head_bytes: 4096, header_count: 20, target_bytes: 1024 };
const DATE: &str = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
const NOW: Timestamp = Timestamp::from_millis(784_111_777_000);

/// A body of these pieces, and then of those that come from a channel.
#[derive(Default)]
struct Pieces {
    now: VecDeque<Frame<Bytes>>,
    later: Option<mpsc::UnboundedReceiver<Frame<Bytes>>>,
    length: Option<u64>,
    breaks: bool,
}

impl Pieces {
    fn of(pieces: &[&[u8]]) -> Self {
        let frames = pieces.iter().map(|piece| Frame::data(Bytes::copy_from_slice(piece)));
        Self { now: frames.collect(), ..Self::default() }
    }

    fn sized(piece: &[u8]) -> Self {
        Self { length: Some(piece.len() as u64), ..Self::of(&[piece]) }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(frame) = self.now.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        if self.breaks {
            return Poll::Ready(Some(Err(Cut::AccessEnded)));
        }
        match &mut self.later {
            Some(later) => later.poll_recv(cx).map(|frame| frame.map(Ok)),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.now.is_empty() && self.later.is_none() && !self.breaks
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

type Answer = Pin<Box<dyn Future<Output = Response<Pieces>>>>;

/// Serves the connection as its task does.
fn serve(
    room: usize,
    service: impl Fn(Request<Received>) -> Answer + 'static,
) -> (DuplexStream, JoinHandle<Result<(), Broken>>) {
    let (client, ours) = duplex(room);
    let task = spawn_local(async move {
        let watch = Rc::new(Watch::new(None));
        let guard = Guard::new(ours, LIMITS, Rc::clone(&watch));
        let clock = ManualClock::at(NOW);
        let mut server = Server::new(guard, (watch, &*clock), LIMITS.header_count, service);
        poll_fn(|cx| server.poll(cx)).await?;
        let (mut guard, _) = server.into_parts();
        let _best_effort = guard.shutdown().await;
        Ok(())
    });
    (client, task)
}

fn answer(body: Pieces) -> Response<Pieces> {
    Response::new(body)
}

/// Says what was asked, the body and the trailers too.
fn echo(request: Request<Received>) -> Answer {
    Box::pin(async move {
        let (head, body) = request.into_parts();
        let body = match body.collect().await {
            Ok(all) => {
                let trailers = all.trailers().map(|trailers| format!("{trailers:?} "));
                let text = String::from_utf8_lossy(&all.to_bytes()).into_owned();
                trailers.unwrap_or_default() + &text
            }
            Err(cut) => cut.to_string(),
        };
        let said = format!("{} {} {body}", head.method, head.uri);
        answer(Pieces::sized(said.as_bytes()))
    })
}

async fn here<T>(work: impl Future<Output = T>) -> T {
    LocalSet::new().run_until(async { timeout(PATIENCE, work).await.expect("in time") }).await
}

/// Reads as much as is awaited.
async fn hear(client: &mut DuplexStream, awaited: &str) {
    let mut got = vec![0; awaited.len()];
    let read = timeout(PATIENCE, client.read_exact(&mut got)).await;
    assert!(matches!(read, Ok(Ok(_))), "{}", String::from_utf8_lossy(&got));
    assert_eq!(String::from_utf8_lossy(&got), awaited);
}

/// Everything up to the end.
async fn rest(client: &mut DuplexStream) -> String {
    let mut got = String::new();
    timeout(PATIENCE, client.read_to_string(&mut got)).await.expect("it ends").expect("open");
    got
}

fn ok(length: usize, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n{DATE}\r\n{body}")
}

fn said(body: &str) -> String {
    ok(body.len(), body)
}

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const SIZED: &str = "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
const CHUNKED: &str = "PUT /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
                       3;e=f\r\nabc\r\n2\r\nde\r\n0\r\nX-T: y\r\n\r\n";

fn all_said() -> String {
    let chunked = "PUT /c {\"x-t\": \"y\"} abcde";
    [said("GET /a "), said("POST /b hello"), said(chunked)].concat()
}

#[tokio::test]
async fn pipelined_requests_with_bodies_are_answered_in_their_order_wherever_they_are_cut() {
    let asked = [GET, SIZED, CHUNKED].concat();
    for at in 1..=asked.len() {
        here(async {
            let (mut client, _task) = serve(64 * 1024, echo);
            client.write_all(&asked.as_bytes()[..at]).await.expect("open");
            tokio::task::yield_now().await;
            client.write_all(&asked.as_bytes()[at..]).await.expect("open");
            hear(&mut client, &all_said()).await;
        })
        .await;
    }
}

#[tokio::test]
async fn requests_may_come_byte_by_byte_and_responses_be_taken_so() {
    let asked = [GET, SIZED, CHUNKED].concat();
    for room in 1..40 {
        here(async {
            let (client, task) = serve(room, echo);
            let (mut read, mut write) = tokio::io::split(client);
            let sent = spawn_local({
                let asked = asked.clone();
                async move {
                    for byte in asked.as_bytes() {
                        write.write_all(&[*byte]).await.expect("open");
                    }
                    write
                }
            });
            let mut got = vec![0; all_said().len()];
            read.read_exact(&mut got).await.expect("answers");
            assert_eq!(String::from_utf8_lossy(&got), all_said());
            drop((sent.await.expect("sent"), read));
            assert_eq!(task.await.expect("no panic"), Ok(()), "it ends with its client");
        })
        .await;
    }
}

/// 17,000 bytes, which no buffer of ours holds at once.
fn large() -> Vec<u8> {
    (0..17_000_u32).map(|n| b'a' + u8::try_from(n % 26).expect("a letter")).collect()
}

#[tokio::test]
async fn no_byte_of_a_response_is_lost_however_little_is_taken_at_once() {
    for room in [1, 2, 3, 7, 1000, 8191, 8192, 8193, 16_384, 20_000] {
        here(async {
            let (mut client, _task) = serve(room, |request| {
                let body = match request.uri().path() {
                    "/sized" => Pieces::sized(&large()),
                    _ => Pieces::of(&[b"", b"ab", &large(), b"", b"cde"]),
                };
                Box::pin(async { answer(body) })
            });
            let whole = String::from_utf8(large()).expect("text");
            let coded = format!(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n{DATE}\r\n\
                 2\r\nab\r\n4268\r\n{whole}\r\n3\r\ncde\r\n0\r\n\r\n"
            );
            for (path, awaited) in [("/sized", said(&whole)), ("/chunked", coded)] {
                let request = format!("GET {path} HTTP/1.1\r\n\r\n");
                client.write_all(request.as_bytes()).await.expect("open");
                hear(&mut client, &awaited).await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_head_and_a_small_body_are_one_write() {
    here(async {
        let (mut client, _task) = serve(64 * 1024, echo);
        client.write_all(GET.as_bytes()).await.expect("open");
        let mut got = vec![0; 1024];
        let count = client.read(&mut got).await.expect("open");
        assert_eq!(String::from_utf8_lossy(&got[..count]), said("GET /a "));
    })
    .await;
}

const EXPECTING: &str =
    "POST /e HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";

#[tokio::test]
async fn a_client_is_told_to_continue_when_its_body_is_asked_for_and_not_before() {
    here(async {
        let (ask, asks) = oneshot::channel();
        let asks = RefCell::new(Some(asks));
        let (mut client, _task) = serve(64 * 1024, move |request| {
            let asks = asks.borrow_mut().take().expect("one request");
            Box::pin(async {
                asks.await.expect("asked");
                echo(request).await
            })
        });
        client.write_all(EXPECTING.as_bytes()).await.expect("open");
        let mut early = [0; 1];
        let nothing = poll_fn(|cx| {
            let read = std::pin::pin!(client.read(&mut early));
            Poll::Ready(read.poll(cx).is_pending())
        });
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(nothing.await, "nobody has asked");
        ask.send(()).expect("it waits");
        hear(&mut client, "HTTP/1.1 100 Continue\r\n\r\n").await;
        client.write_all(b"hello").await.expect("open");
        hear(&mut client, &said("POST /e hello")).await;
    })
    .await;
}

#[tokio::test]
async fn nobody_is_told_to_continue_behind_a_response_or_without_a_body() {
    here(async {
        let (mut client, task) =
            serve(64 * 1024, |_| Box::pin(async { answer(Pieces::sized(b"no")) }));
        let none = "GET / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n";
        client.write_all(none.as_bytes()).await.expect("open");
        hear(&mut client, &ok(2, "no")).await;
        client.write_all(EXPECTING.as_bytes()).await.expect("open");
        // The body was not asked for, and may come all the same: nothing can follow.
        let closed = format!("content-length: 2\r\nconnection: close\r\n{DATE}\r\nno");
        assert_eq!(rest(&mut client).await, format!("HTTP/1.1 200 OK\r\n{closed}"));
        drop(client);
        assert_eq!(task.await.expect("no panic"), Ok(()));
    })
    .await;
}

#[tokio::test]
async fn a_body_that_nobody_takes_is_skipped_when_it_is_there_and_ends_the_connection_when_not() {
    here(async {
        let service = |request: Request<Received>| -> Answer {
            drop(request);
            Box::pin(async { answer(Pieces::sized(b"no")) })
        };
        for asked in [SIZED, CHUNKED] {
            let (mut client, _task) = serve(64 * 1024, service);
            client.write_all(&[asked, asked].concat().into_bytes()).await.expect("open");
            hear(&mut client, &[ok(2, "no"), ok(2, "no")].concat()).await;
            for cut in 1..6 {
                let (mut client, _task) = serve(64 * 1024, service);
                let some = &asked.as_bytes()[..asked.len() - cut];
                client.write_all(some).await.expect("open");
                let got = rest(&mut client).await;
                assert!(got.contains("\r\nconnection: close\r\n") && got.ends_with("no"), "{got}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_left_of_a_half_taken_body_is_never_the_next_request() {
    here(async {
        let served = Rc::new(Cell::new(0));
        let (mut client, _task) = serve(64 * 1024, {
            let served = Rc::clone(&served);
            move |mut request| {
                served.set(served.get() + 1);
                Box::pin(async move {
                    let piece = request.body_mut().frame().await.expect("a frame").expect("data");
                    assert!(!piece.into_data().expect("data").is_empty());
                    drop(request);
                    answer(Pieces::sized(b"no"))
                })
            }
        });
        let head = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\nab", GET.len() + 2);
        client.write_all(head.as_bytes()).await.expect("open");
        let got = rest(&mut client).await;
        assert!(got.contains("\r\nconnection: close\r\n") && got.ends_with("no"), "{got}");
        let _closed = client.write_all([GET, GET].concat().as_bytes()).await;
        assert_eq!(served.get(), 1);
    })
    .await;
}

/// Tells when it is dropped.
struct Tells(Option<oneshot::Sender<()>>);

impl Drop for Tells {
    fn drop(&mut self) {
        let _nobody_waits = self.0.take().expect("once").send(());
    }
}

/// A service that begins, and then waits for ever.
fn endless() -> (oneshot::Receiver<()>, impl Fn(Request<Received>) -> Answer + 'static) {
    let (gone, is_gone) = oneshot::channel();
    let gone = RefCell::new(Some(Tells(Some(gone))));
    let service = move |request: Request<Received>| -> Answer {
        let gone = gone.borrow_mut().take();
        Box::pin(async move {
            let _held = (gone, request);
            std::future::pending().await
        })
    };
    (is_gone, service)
}

#[tokio::test]
async fn a_client_that_goes_away_ends_what_is_done_for_it() {
    here(async {
        for asked in [GET, SIZED] {
            let (is_gone, service) = endless();
            let (mut client, task) = serve(64 * 1024, service);
            client.write_all(asked.as_bytes()).await.expect("open");
            tokio::task::yield_now().await;
            if asked == SIZED {
                // Nobody takes its body, so nobody looks behind it.
                task.abort();
            }
            drop(client);
            is_gone.await.expect("it is dropped");
            if asked == GET {
                assert_eq!(task.await.expect("no panic"), Err(Broken));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_goes_away_while_its_response_is_sent_ends_it() {
    here(async {
        let (pieces, later) = mpsc::unbounded_channel();
        let later = RefCell::new(Some(later));
        let (mut client, task) = serve(64 * 1024, move |_| {
            let later = later.borrow_mut().take();
            Box::pin(async { answer(Pieces { later, ..Pieces::of(&[b"ab"]) }) })
        });
        client.write_all(GET.as_bytes()).await.expect("open");
        hear(
            &mut client,
            &format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n{DATE}\r\n2\r\nab\r\n"),
        )
        .await;
        drop(client);
        pieces.closed().await;
        assert_eq!(task.await.expect("no panic"), Err(Broken));
    })
    .await;
}

#[tokio::test]
async fn a_body_that_breaks_off_is_told_to_whoever_takes_it_and_the_answer_is_the_last() {
    let broken = "the client broke off, or sent what cannot be read";
    let bad = "PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX";
    for (asked, ends) in [(SIZED, true), (CHUNKED, true), (bad, false)] {
        here(async {
            let (client, _task) = serve(64 * 1024, echo);
            let (mut read, mut write) = tokio::io::split(client);
            let some = if ends { &asked[..asked.len() - 2] } else { asked };
            write.write_all(some.as_bytes()).await.expect("open");
            if ends {
                write.shutdown().await.expect("open");
            }
            let mut got = String::new();
            read.read_to_string(&mut got).await.expect("an answer");
            assert!(got.contains("\r\nconnection: close\r\n") && got.ends_with(broken), "{got}");
        })
        .await;
    }
}

#[tokio::test]
async fn an_answer_may_come_before_the_body_has_and_the_rest_still_goes_to_whoever_takes_it() {
    here(async {
        let (taken, is_taken) = oneshot::channel();
        let taken = RefCell::new(Some(taken));
        let (mut client, _task) = serve(64 * 1024, move |request| {
            let Some(taken) = taken.borrow_mut().take() else { return echo(request) };
            let body = request.into_body();
            spawn_local(async move {
                let all = body.collect().await.expect("whole").to_bytes();
                taken.send(all).expect("awaited");
            });
            Box::pin(async { answer(Pieces::sized(b"early")) })
        });
        let head = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", large().len());
        client.write_all(head.as_bytes()).await.expect("open");
        hear(&mut client, &ok(5, "early")).await;
        for piece in large().chunks(1000) {
            client.write_all(piece).await.expect("open");
        }
        client.write_all(GET.as_bytes()).await.expect("open");
        assert_eq!(is_taken.await.expect("taken"), large());
        hear(&mut client, &said("GET /a ")).await;
    })
    .await;
}

#[tokio::test]
async fn no_more_is_read_of_a_body_than_somebody_takes() {
    here(async {
        let (is_gone, service) = endless();
        let (mut client, task) = serve(1024, service);
        client
            .write_all(b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n")
            .await
            .expect("open");
        let mut sent = 0;
        let fill = |cx: &mut Context<'_>| {
            while let Poll::Ready(count) = Pin::new(&mut client).poll_write_some(cx) {
                sent += count;
            }
            Poll::Ready(())
        };
        let mut fill = fill;
        for _ in 0..100 {
            poll_fn(&mut fill).await;
            tokio::task::yield_now().await;
        }
        assert!((1..16 * 1024).contains(&sent), "{sent}");
        task.abort();
        is_gone.await.expect("it is dropped");
    })
    .await;
}

trait WriteSome {
    fn poll_write_some(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize>;
}

impl WriteSome for DuplexStream {
    fn poll_write_some(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        tokio::io::AsyncWrite::poll_write(self, cx, &[b'x'; 512]).map(|count| count.expect("open"))
    }
}

#[tokio::test]
async fn http_1_0_gets_bodies_without_chunks_and_then_the_end() {
    here(async {
        for (sized, lines) in [(true, "content-length: 2\r\n"), (false, "")] {
            let (mut client, _task) = serve(64 * 1024, move |request| {
                assert_eq!(request.version(), http::Version::HTTP_10);
                let body = if sized { Pieces::sized(b"ab") } else { Pieces::of(&[b"a", b"b"]) };
                Box::pin(async { answer(body) })
            });
            let asked = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
            client.write_all([asked, asked].concat().as_bytes()).await.expect("open");
            let awaited = format!("HTTP/1.0 200 OK\r\n{lines}connection: close\r\n{DATE}\r\nab");
            assert_eq!(rest(&mut client).await, awaited);
        }
    })
    .await;
}

#[tokio::test]
async fn nothing_is_answered_behind_a_request_or_a_response_that_says_close() {
    here(async {
        for by_request in [true, false] {
            let (mut client, _task) = serve(64 * 1024, move |_| {
                let mut answer = answer(Pieces::sized(b"ab"));
                if !by_request {
                    answer.headers_mut().insert("connection", HeaderValue::from_static("close"));
                }
                Box::pin(async { answer })
            });
            let said = if by_request { "Connection: x, Close\r\n" } else { "" };
            let asked = format!("GET / HTTP/1.1\r\n{said}\r\n{GET}");
            client.write_all(asked.as_bytes()).await.expect("open");
            let got = rest(&mut client).await;
            assert_eq!(got.matches("HTTP/1.1").count(), 1, "{got}");
            assert_eq!(got.matches("connection: close\r\n").count(), 1, "{got}");
        }
    })
    .await;
}

/// What a service answers, to which request, and the lines that say so, and the body.
type Form = (StatusCode, &'static str, Option<&'static str>, Option<bool>, &'static str);

#[tokio::test]
async fn the_form_of_a_response_follows_its_status_its_method_and_its_length() {
    let (sized, streamed) = (Some(true), Some(false));
    let forms: &[Form] = &[
        (StatusCode::OK, "GET", None, None, "content-length: 0\r\n|"),
        (StatusCode::OK, "GET", None, sized, "content-length: 2\r\n|ab"),
        (StatusCode::OK, "GET", Some("2"), sized, "content-length: 2\r\n|ab"),
        (StatusCode::OK, "GET", Some("2"), streamed, "content-length: 2\r\n|ab"),
        (
            StatusCode::OK,
            "GET",
            None,
            streamed,
            "transfer-encoding: chunked\r\n|2\r\nab\r\n0\r\n\r\n",
        ),
        (StatusCode::OK, "GET", Some("7"), None, "content-length: 0\r\n|"),
        (StatusCode::OK, "HEAD", None, None, "|"),
        (StatusCode::OK, "HEAD", Some("7"), None, "content-length: 7\r\n|"),
        (StatusCode::OK, "HEAD", None, sized, "content-length: 2\r\n|"),
        (StatusCode::OK, "HEAD", None, streamed, "|"),
        (StatusCode::NO_CONTENT, "GET", None, None, "|"),
        (StatusCode::NO_CONTENT, "GET", Some("2"), sized, "|"),
        (StatusCode::NOT_MODIFIED, "GET", Some("7"), None, "|"),
        (StatusCode::NOT_MODIFIED, "GET", None, streamed, "|"),
        (StatusCode::NOT_MODIFIED, "HEAD", Some("7"), None, "content-length: 7\r\n|"),
        (StatusCode::NOT_FOUND, "GET", None, None, "content-length: 0\r\n|"),
    ];
    for &(status, method, length, body, awaited) in forms {
        here(async {
            let (mut client, _task) = serve(64 * 1024, move |request| {
                if request.uri() == "/a" {
                    return echo(request);
                }
                let mut answer = answer(match body {
                    None => Pieces::default(),
                    Some(true) => Pieces::sized(b"ab"),
                    Some(false) => Pieces::of(&[b"ab"]),
                });
                *answer.status_mut() = status;
                if let Some(length) = length {
                    answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static(length));
                }
                Box::pin(async { answer })
            });
            let asked = format!("{method} / HTTP/1.1\r\n\r\n{GET}");
            client.write_all(asked.as_bytes()).await.expect("open");
            let (lines, body) = awaited.split_once('|').expect("both");
            let reason = status.canonical_reason().expect("a reason");
            let first = format!("HTTP/1.1 {} {reason}\r\n{lines}{DATE}\r\n{body}", status.as_str());
            hear(&mut client, &(first + &said("GET /a "))).await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_response_that_is_not_as_long_as_it_says_is_broken_off() {
    here(async {
        for (length, said, breaks) in [
            ("3", None, false),
            ("1", None, false),
            ("3", Some(2), false),
            ("x", None, false),
            ("-2", None, false),
            ("18446744073709551616", None, false),
            ("2", None, true),
        ] {
            let (mut client, task) = serve(64 * 1024, move |_| {
                let body = Pieces { length: said, breaks, ..Pieces::of(&[b"ab"]) };
                let mut answer = answer(body);
                answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static(length));
                Box::pin(async { answer })
            });
            client.write_all([GET, GET].concat().as_bytes()).await.expect("open");
            let got = rest(&mut client).await;
            assert!(got.matches("HTTP/1.1").count() <= 1, "{got}");
            if !breaks {
                assert_eq!(task.await.expect("no panic"), Err(Broken), "{length}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_interim_status_is_no_answer_and_a_second_length_neither() {
    here(async {
        for twice in [false, true] {
            let (mut client, task) = serve(64 * 1024, move |_| {
                let mut answer = answer(Pieces::sized(b"ab"));
                if twice {
                    answer.headers_mut().append(CONTENT_LENGTH, HeaderValue::from_static("2"));
                    answer.headers_mut().append(CONTENT_LENGTH, HeaderValue::from_static("2"));
                } else {
                    *answer.status_mut() = StatusCode::PROCESSING;
                }
                Box::pin(async { answer })
            });
            client.write_all(GET.as_bytes()).await.expect("open");
            assert_eq!(rest(&mut client).await, "");
            assert_eq!(task.await.expect("no panic"), Err(Broken));
        }
    })
    .await;
}

#[tokio::test]
async fn trailers_are_sent_to_whoever_takes_them_and_only_those_that_were_announced() {
    let service = |_: Request<Received>| -> Answer {
        let mut trailers = HeaderMap::new();
        for name in ["x-sum", "x-other", "content-type"] {
            trailers.insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        let mut body = Pieces::of(&[b"ab"]);
        body.now.push_back(Frame::trailers(trailers));
        let mut answer = answer(body);
        let announced = HeaderValue::from_static("X-Sum, Content-Type");
        answer.headers_mut().insert(TRAILER, announced);
        Box::pin(async { answer })
    };
    for (takes, sum) in [("TE: gzip, Trailers\r\n", "x-sum: 1\r\n"), ("", "")] {
        here(async {
            let (mut client, _task) = serve(64 * 1024, service);
            let asked = format!("GET / HTTP/1.1\r\n{takes}\r\n");
            client.write_all([asked.as_str(), &asked].concat().as_bytes()).await.expect("open");
            let awaited = format!(
                "HTTP/1.1 200 OK\r\ntrailer: X-Sum, Content-Type\r\n\
                 transfer-encoding: chunked\r\n{DATE}\r\n2\r\nab\r\n0\r\n{sum}\r\n"
            );
            hear(&mut client, &[awaited.as_str(), &awaited].concat()).await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_date_of_the_answer_stays_the_only_one() {
    here(async {
        let (mut client, _task) = serve(64 * 1024, |_| {
            let mut answer = answer(Pieces::default());
            answer.headers_mut().insert("date", HeaderValue::from_static("then"));
            Box::pin(async { answer })
        });
        client.write_all(GET.as_bytes()).await.expect("open");
        hear(&mut client, "HTTP/1.1 200 OK\r\ndate: then\r\ncontent-length: 0\r\n\r\n").await;
    })
    .await;
}

/// Goes on as far as it can, which is not to its end.
async fn turn<F, R>(server: &mut Server<'_, DuplexStream, F, R, Pieces>)
where
    F: Fn(Request<Received>) -> R,
    R: Future<Output = Response<Pieces>>,
{
    let is_pending = poll_fn(|cx| Poll::Ready(server.poll(cx).is_pending())).await;
    assert!(is_pending);
}

#[tokio::test]
async fn a_connection_that_waits_for_its_next_request_holds_no_memory_for_it() {
    let (mut client, ours) = duplex(64 * 1024);
    let watch = Rc::new(Watch::new(None));
    let clock = ManualClock::at(NOW);
    let guard = Guard::new(ours, LIMITS, Rc::clone(&watch));
    let mut server = Server::new(guard, (watch, &*clock), LIMITS.header_count, echo);
    turn(&mut server).await;
    assert_eq!(server.held(), (0, 0));
    for _ in 0..3 {
        client.write_all(&[SIZED, GET].concat().into_bytes()).await.expect("open");
        turn(&mut server).await;
        hear(&mut client, &[said("POST /b hello"), said("GET /a ")].concat()).await;
        assert_eq!(server.held(), (0, 0));
    }
}

#[tokio::test]
async fn a_connection_that_is_shut_ends_at_once_or_with_its_response() {
    for busy in [false, true] {
        let (mut client, ours) = duplex(64 * 1024);
        let (watch, clock) = (Rc::new(Watch::new(None)), ManualClock::at(NOW));
        let guard = Guard::new(ours, LIMITS, Rc::clone(&watch));
        let (say, says) = oneshot::channel();
        let says = RefCell::new(Some(says));
        let service = |_| {
            let says = says.borrow_mut().take();
            let answer: Answer = Box::pin(async {
                says.expect("one request").await.expect("said");
                answer(Pieces::sized(b"ab"))
            });
            answer
        };
        let mut server = Server::new(guard, (watch, &*clock), LIMITS.header_count, service);
        if busy {
            client.write_all(GET.as_bytes()).await.expect("open");
        }
        turn(&mut server).await;
        server.shut();
        if busy {
            turn(&mut server).await;
            say.send(()).expect("awaited");
        }
        let ended = timeout(PATIENCE, poll_fn(|cx| server.poll(cx))).await;
        assert_eq!(ended.expect("in time"), Ok(()));
        drop(server);
        let closed = format!("content-length: 2\r\nconnection: close\r\n{DATE}\r\nab");
        let awaited = if busy { format!("HTTP/1.1 200 OK\r\n{closed}") } else { String::new() };
        assert_eq!(rest(&mut client).await, awaited);
    }
}
