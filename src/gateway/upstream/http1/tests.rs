//! A tool that says anything, and takes requests as it likes.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRAILER, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::upload::Rest;
use super::{Connection, Error};
use crate::gateway::body::Cut;
use crate::gateway::upstream::link::Link;
use crate::gateway::upstream::names::Reached;

const PATIENCE: Duration = Duration::from_secs(20);

/// A body of these pieces, and then of those that come from a channel.
#[derive(Default)]
struct Pieces {
    now: VecDeque<Frame<Bytes>>,
    later: Option<mpsc::UnboundedReceiver<Frame<Bytes>>>,
    sized: bool,
}

impl Pieces {
    fn of(pieces: &[&[u8]]) -> Self {
        let frames = pieces.iter().map(|piece| Frame::data(Bytes::copy_from_slice(piece)));
        Self { now: frames.collect(), ..Self::default() }
    }

    fn later() -> (mpsc::UnboundedSender<Frame<Bytes>>, Self) {
        let (sender, later) = mpsc::unbounded_channel();
        (sender, Self { later: Some(later), ..Self::default() })
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
        match &mut self.later {
            Some(later) => later.poll_recv(cx).map(|frame| frame.map(Ok)),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.now.is_empty() && self.later.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.now.iter().filter_map(Frame::data_ref).map(Bytes::len).sum::<usize>();
        if self.sized { SizeHint::with_exact(length as u64) } else { SizeHint::default() }
    }
}

impl Rest for Pieces {
    fn rest(&mut self) -> Self {
        std::mem::take(self)
    }
}

fn ask(method: &str, body: Pieces) -> Request<Pieces> {
    let asked = Request::builder().method(method).uri("/a?b").header("host", "notes.test");
    asked.body(body).expect("a request")
}

fn connected() -> (Connection, UnixStream) {
    connected_for(PATIENCE)
}

fn connected_for(patience: Duration) -> (Connection, UnixStream) {
    let (ours, tools) = UnixStream::pair().expect("a pair");
    let connection = Connection::new((Link::Unix(ours), Reached::SOCKET), None, patience);
    (connection, tools)
}

/// Everything that a reader of a whole response has.
#[derive(Debug, Default, PartialEq, Eq)]
struct Whole {
    status: u16,
    body: Vec<u8>,
    trailers: HeaderMap,
}

/// Reads a body to its end.
async fn read(connection: &mut Connection, response: &Response<()>) -> Result<Whole, Error> {
    let mut whole = Whole { status: response.status().as_u16(), ..Whole::default() };
    let next = |connection: &mut Connection, cx: &mut Context<'_>| connection.poll_frame(cx);
    while let Some(frame) = poll_fn(|cx| next(connection, cx)).await {
        match frame?.into_data() {
            Ok(data) => whole.body.extend_from_slice(&data),
            Err(frame) => whole.trailers = frame.into_trailers().expect("trailers"),
        }
    }
    assert!(connection.has_ended() || whole.status == 101);
    Ok(whole)
}

/// What becomes of an exchange in which the tool sends these pieces, and then closes, or does not.
async fn exchanged(
    method: &str,
    pieces: &[&[u8]],
    closes: bool,
) -> Result<(Whole, Option<Box<Connection>>), Error> {
    let (mut connection, mut tool) = connected();
    let saying = async {
        for piece in pieces {
            tool.write_all(piece).await.expect("it reads");
            // The other side reads before the next one is there.
            tokio::task::yield_now().await;
        }
        if closes {
            tool.shutdown().await.expect("open");
        }
    };
    let mut request = ask(method, Pieces::default());
    let reading = async {
        let response = connection.answer(&mut request, None).await?;
        read(&mut connection, &response).await
    };
    let (whole, ()) = tokio::join!(timeout(PATIENCE, reading), saying);
    let whole = whole.expect("in time")?;
    Ok((whole, Box::new(connection).reusable()))
}

async fn refused(method: &str, bytes: &[u8]) -> Error {
    match exchanged(method, &[bytes], false).await {
        Ok((whole, _)) => panic!("{:?}: {whole:?}", String::from_utf8_lossy(bytes)),
        Err(error) => error,
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\n";

#[tokio::test]
async fn a_head_that_can_be_read_in_two_ways_is_no_response() {
    for lines in [
        "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        "Content-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
        "Content-Length: 2, 2\r\n\r\nok",
        "Content-Length: -2\r\n\r\nok",
        "Content-Length: +2\r\n\r\nok",
        "Content-Length: 0x2\r\n\r\nok",
        "Content-Length: 2 2\r\n\r\nok",
        "Content-Length:\r\n\r\nok",
        "Content-Length: 18446744073709551616\r\n\r\nok",
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: identity\r\n\r\nok",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked;x\r\n\r\n0\r\n\r\n",
        "Content-Length : 2\r\n\r\nok",
        " Content-Length: 2\r\n\r\nok",
        "X: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
        "X: a\r\n\tb\r\nContent-Length: 2\r\n\r\nok",
        "X: a\nContent-Length: 2\r\n\r\nok",
        "X: a\rY: b\r\nContent-Length: 2\r\n\r\nok",
        "Content-Length: 2\n\nok",
        "Content-Length: 2\r\n\nok",
        "X: a\0b\r\nContent-Length: 2\r\n\r\nok",
        "X: a\x7fb\r\nContent-Length: 2\r\n\r\nok",
        "X a: b\r\nContent-Length: 2\r\n\r\nok",
        ": b\r\nContent-Length: 2\r\n\r\nok",
        "no colon\r\nContent-Length: 2\r\n\r\nok",
    ] {
        for method in ["GET", "HEAD"] {
            let error = refused(method, format!("{OK}{lines}").as_bytes()).await;
            assert!(matches!(error, Error::Malformed(_)), "{lines:?}: {error:?}");
        }
    }
}

#[tokio::test]
async fn what_does_not_begin_with_a_status_line_is_no_response() {
    for bytes in [
        "HTTP/1.1 xyz\r\n\r\n",
        "HTTP/1.1 20\r\n\r\n",
        "HTTP/1.1 099 Low\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.2 200 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/0.9 200 OK\r\n\r\n",
        "http/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 O\nK\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "\nHTTP/1.1 200 OK\r\n\r\n",
        " HTTP/1.1 200 OK\r\n\r\n",
        "garbage",
        "<html>",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\n\r\ngarbage\r\n\r\n",
    ] {
        let error = refused("GET", bytes.as_bytes()).await;
        assert!(matches!(error, Error::Malformed(_)), "{bytes:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_chunked_body_has_one_form() {
    let head = format!("{OK}Transfer-Encoding: chunked\r\n\r\n");
    let many = format!("1;{}\r\nx\r\n", "e".repeat(3000)).repeat(6);
    let long = format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(5000));
    let trailers = format!("0\r\n{}\r\n", "X: yyyyyyyyyyyyyyyyyyyy\r\n".repeat(800));
    for body in [
        "2\nok\r\n0\r\n\r\n",
        "2\r\nok\n0\r\n\r\n",
        "2\r\nok0\r\n\r\n",
        "2\r\nokay\r\n0\r\n\r\n",
        "2\r\nokay0\r\n\r\n",
        "2\r\nok\r\r\n0\r\n\r\n",
        "2\r\nok\r\n0\n\r\n",
        "2\r\nok\r\n0\r\n\n",
        "0x2\r\nok\r\n0\r\n\r\n",
        "+2\r\nok\r\n0\r\n\r\n",
        "-2\r\nok\r\n0\r\n\r\n",
        " 2\r\nok\r\n0\r\n\r\n",
        "2 \r\nok\r\n0\r\n\r\n",
        "2 x\r\nok\r\n0\r\n\r\n",
        "2,\r\nok\r\n0\r\n\r\n",
        "2;a\x01\r\nok\r\n0\r\n\r\n",
        "2;a\rb\r\nok\r\n0\r\n\r\n",
        "\r\nok\r\n0\r\n\r\n",
        ";a\r\nok\r\n0\r\n\r\n",
        "g\r\nok\r\n0\r\n\r\n",
        "0000000000000002\r\nok\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nok",
        "10000000000000002\r\nok\r\n0\r\n\r\n",
        "0\r\nX: a\r\n b\r\n\r\n",
        "0\r\nX: a\nY: b\r\n\r\n",
        "0\r\nno colon\r\n\r\n",
        "0\r\nX : a\r\n\r\n",
        "0\r\nX: a\0\r\n\r\n",
        &many,
        &long,
        &trailers,
    ] {
        let error = refused("GET", format!("{head}{body}").as_bytes()).await;
        assert!(matches!(error, Error::Malformed(_)), "{body:?}: {error:?}");
    }
}

/// Responses of every form, their bodies, and whether the connection can be used again.
fn valid() -> Vec<(&'static str, String, &'static str, bool)> {
    let ok = |lines: &str| format!("{OK}{lines}");
    vec![
        ("GET", ok("Content-Length: 2\r\n\r\nok"), "ok", true),
        ("GET", ok("content-length:002\r\n\r\nok"), "ok", true),
        ("GET", ok("Content-Length: 0\r\n\r\n"), "", true),
        ("GET", ok("Transfer-Encoding: Chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"), "ok", true),
        ("GET", ok("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "", true),
        (
            "GET",
            ok(
                "Transfer-Encoding: chunked\r\n\r\n1;a=\"b\"\r\no\r\nA ; c\r\n123456789k\r\n00\r\nX: y\r\n\r\n",
            ),
            "o123456789k",
            true,
        ),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n".into(), "", true),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n".into(), "", true),
        ("HEAD", ok("Content-Length: 9\r\n\r\n"), "", true),
        ("HEAD", ok("Transfer-Encoding: chunked\r\n\r\n"), "", true),
        (
            "GET",
            format!("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n{OK}Content-Length: 2\r\n\r\nok"),
            "ok",
            true,
        ),
        ("GET", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok".into(), "ok", true),
        ("GET", ok("Connection: close\r\nContent-Length: 2\r\n\r\nok"), "ok", false),
        ("GET", ok("Connection: x, Close\r\nContent-Length: 2\r\n\r\nok"), "ok", false),
        ("GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok".into(), "ok", false),
        (
            "GET",
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok".into(),
            "ok",
            false,
        ),
    ]
}

#[tokio::test]
async fn a_response_is_the_same_however_its_bytes_come() {
    for (method, bytes, body, again) in valid() {
        let bytes = bytes.as_bytes();
        let singly: Vec<&[u8]> = bytes.chunks(1).collect();
        let mut ways = vec![vec![bytes], singly];
        ways.extend((1..bytes.len()).map(|at| vec![&bytes[..at], &bytes[at..]]));
        for pieces in ways {
            let (whole, left) = exchanged(method, &pieces, false).await.expect("valid");
            assert_eq!(whole.body, body.as_bytes(), "{pieces:?}");
            assert_eq!(left.is_some(), again, "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}

#[tokio::test]
async fn a_response_that_breaks_off_anywhere_never_ends() {
    for (method, bytes, ..) in valid() {
        for at in 0..bytes.len() {
            let error = exchanged(method, &[&bytes.as_bytes()[..at]], true).await;
            let error = error.map(|(whole, _)| whole).expect_err("not whole");
            assert!(matches!(error, Error::Closed), "{:?}: {error:?}", &bytes[..at]);
        }
    }
}

#[tokio::test]
async fn whatever_follows_a_response_is_nobodys() {
    for (method, bytes, body, _) in valid() {
        for extra in
            ["x", "\r\n", "0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"]
        {
            let bytes = format!("{bytes}{extra}");
            let (whole, left) = exchanged(method, &[bytes.as_bytes()], false).await.expect("valid");
            assert_eq!(whole.body, body.as_bytes());
            assert!(left.is_none(), "{bytes:?}");
        }
    }
}

#[tokio::test]
async fn a_body_without_a_length_ends_with_its_connection() {
    let bytes = format!("{OK}\r\nall of it");
    let (whole, left) = exchanged("GET", &[bytes.as_bytes()], true).await.expect("valid");
    assert_eq!((whole.body.as_slice(), left.is_none()), (&b"all of it"[..], true));
}

#[tokio::test]
async fn trailers_come_behind_the_body() {
    let bytes =
        format!("{OK}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: 1\r\nY: 2\r\n\r\n");
    let (whole, left) = exchanged("GET", &[bytes.as_bytes()], false).await.expect("valid");
    assert_eq!(
        (whole.trailers["x"].as_bytes(), whole.trailers["y"].as_bytes()),
        (&b"1"[..], &b"2"[..])
    );
    assert!(left.is_some());
}

#[tokio::test]
async fn heads_and_interim_responses_are_bounded() {
    let lines = |count: usize| {
        format!("{OK}{}\r\n", "X: y\r\n".repeat(count - 1) + "Content-Length: 0\r\n")
    };
    assert!(exchanged("GET", &[lines(256).as_bytes()], false).await.is_ok());
    refused("GET", lines(257).as_bytes()).await;
    let sized = |length: usize| {
        let rest = length - OK.len() - "X: \r\nContent-Length: 0\r\n\r\n".len();
        format!("{OK}X: {}\r\nContent-Length: 0\r\n\r\n", "y".repeat(rest))
    };
    assert!(exchanged("GET", &[sized(64 << 10).as_bytes()], false).await.is_ok());
    refused("GET", sized((64 << 10) + 1).as_bytes()).await;
    refused("GET", format!("{OK}X: {}", "y".repeat(64 << 10)).as_bytes()).await;
    let hints = |count: usize| "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(count) + &lines(1);
    for way in [1, 7] {
        let many = hints(100);
        let pieces: Vec<&[u8]> = many.as_bytes().chunks(many.len() / way).collect();
        assert!(exchanged("GET", &pieces, false).await.is_ok());
        let more = hints(101);
        let pieces: Vec<&[u8]> = more.as_bytes().chunks(more.len() / way).collect();
        assert!(exchanged("GET", &pieces, false).await.is_err());
    }
}

#[tokio::test]
async fn what_comes_while_nobody_asks_is_seen_and_wakes_the_watcher() {
    for closes in [false, true] {
        let (connection, mut tool) = connected();
        assert!(connection.is_quiet(Waker::noop()));
        let woken =
            poll_fn(
                |cx| if connection.is_quiet(cx.waker()) { Poll::Pending } else { Poll::Ready(()) },
            );
        let saying =
            async { if closes { tool.shutdown().await } else { tool.write_all(b"x").await } };
        let (woken, said) = tokio::join!(timeout(PATIENCE, woken), saying);
        woken.expect("in time");
        said.expect("open");
    }
}

/// Sends a request to a tool that answers once it has `until`; what the tool got.
async fn sent(request: &mut Request<Pieces>, until: &str) -> String {
    let (mut connection, mut tool) = connected();
    let serving = async {
        let mut got = Vec::new();
        while !String::from_utf8_lossy(&got).ends_with(until) {
            assert_ne!(tool.read_buf(&mut got).await.expect("open"), 0);
        }
        tool.write_all(format!("{OK}Content-Length: 0\r\n\r\n").as_bytes())
            .await
            .expect("it reads");
        got
    };
    let (answer, got) = tokio::join!(connection.answer(request, None), serving);
    assert_eq!(answer.expect("an answer").status(), 200);
    assert!(Box::new(connection).reusable().is_some());
    String::from_utf8(got).expect("text")
}

#[tokio::test]
async fn a_request_is_framed_as_its_headers_say_or_its_body_knows() {
    let head = "POST /a?b HTTP/1.1\r\nhost: notes.test\r\n";
    let mut plain = ask("POST", Pieces::default());
    assert_eq!(sent(&mut plain, "\r\n\r\n").await, format!("{head}\r\n"));
    let mut announced = ask("POST", Pieces::of(&[b"abc", b"de"]));
    announced.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("5"));
    assert_eq!(
        sent(&mut announced, "abcde").await,
        format!("{head}content-length: 5\r\n\r\nabcde")
    );
    let mut known = ask("POST", Pieces { sized: true, ..Pieces::of(&[b"abc"]) });
    assert_eq!(sent(&mut known, "abc").await, format!("{head}content-length: 3\r\n\r\nabc"));
    let chunked = "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n";
    let mut unknown = ask("POST", Pieces::of(&[b"abc", b"", b"0123456789"]));
    assert_eq!(sent(&mut unknown, "0\r\n\r\n").await, format!("{head}{chunked}"));
    unknown = ask("POST", Pieces::of(&[b"abc", b"0123456789"]));
    unknown.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    assert_eq!(sent(&mut unknown, "0\r\n\r\n").await, format!("{head}{chunked}"));
    // It says that there is a body, and has none.
    let mut empty = ask("POST", Pieces::default());
    empty.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    assert_eq!(sent(&mut empty, "\r\n\r\n").await, format!("{head}\r\n"));
}

#[tokio::test]
async fn only_trailers_that_were_announced_are_sent() {
    let mut trailers = HeaderMap::new();
    for name in ["x-sum", "x-other"] {
        trailers.insert(HeaderName::from_static(name), HeaderValue::from_static("7"));
    }
    let mut body = Pieces::of(&[b"hi"]);
    body.now.push_back(Frame::trailers(trailers));
    let mut request = ask("POST", body);
    request.headers_mut().insert(TRAILER, HeaderValue::from_static("X-Sum, X-None"));
    let got = sent(&mut request, "\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n").await;
    assert!(got.contains("transfer-encoding: chunked\r\n"), "{got}");
}

#[tokio::test]
async fn a_request_that_would_be_misread_is_not_sent_to_its_end() {
    let with = |name: HeaderName, value: &'static str, pieces: &[&[u8]]| {
        let mut request = ask("POST", Pieces::of(pieces));
        request.headers_mut().append(name, HeaderValue::from_static(value));
        request
    };
    let mut twice = with(CONTENT_LENGTH, "2", &[b"ab"]);
    twice.headers_mut().append(CONTENT_LENGTH, HeaderValue::from_static("2"));
    let mut absolute = ask("GET", Pieces::default());
    *absolute.uri_mut() = "http://notes.test/a".parse().expect("a URI");
    for mut request in [
        with(CONTENT_LENGTH, "3", &[b"ab"]),
        with(CONTENT_LENGTH, "1", &[b"ab"]),
        with(CONTENT_LENGTH, "2", &[]),
        with(CONTENT_LENGTH, "x", &[b"ab"]),
        with(TRANSFER_ENCODING, "gzip", &[b"ab"]),
        twice,
        absolute,
    ] {
        let (mut connection, _tool) = connected();
        let failed =
            timeout(PATIENCE, connection.answer(&mut request, None)).await.expect("in time");
        assert!(failed.expect_err("unsendable").is_of_request(), "{:?}", request.headers());
        assert!(Box::new(connection).reusable().is_none());
    }
}

#[tokio::test]
async fn a_request_of_which_nothing_was_sent_is_known() {
    for (body, unsent) in [(Pieces::default(), true), (Pieces::of(&[b"ab"]), false)] {
        let (mut connection, tool) = connected();
        drop(tool);
        let failed = connection.answer(&mut ask("POST", body), None).await;
        assert!(matches!(failed, Err(Error::Io(_) | Error::Closed)), "{failed:?}");
        assert_eq!(connection.is_unsent(), unsent);
    }
    let (mut connection, mut tool) = connected();
    let mut asked = ask("GET", Pieces::default());
    let (failed, ()) = tokio::join!(connection.answer(&mut asked, None), async {
        tool.read_u8().await.expect("a request");
        drop(tool);
    });
    assert!(failed.is_err() && !connection.is_unsent());
}

const EARLY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly";

#[tokio::test]
async fn an_upload_goes_on_behind_its_response_and_spoils_the_connection() {
    LocalSet::new()
        .run_until(async {
            let (mut connection, mut tool) = connected();
            let (client, body) = Pieces::later();
            tool.write_all(EARLY).await.expect("open");
            let response =
                connection.answer(&mut ask("POST", body), None).await.expect("an answer");
            assert_eq!(read(&mut connection, &response).await.expect("whole").body, b"early");
            assert!(Box::new(connection).reusable().is_none());
            client.send(Frame::data(Bytes::from_static(b"rest"))).expect("it is still read");
            drop(client);
            let mut got = String::new();
            timeout(PATIENCE, tool.read_to_string(&mut got)).await.expect("it ends").expect("open");
            assert!(got.ends_with("\r\n\r\n4\r\nrest\r\n0\r\n\r\n"), "{got}");
        })
        .await;
}

#[tokio::test]
async fn an_upload_behind_its_response_ends_when_the_tool_hangs_up() {
    LocalSet::new()
        .run_until(async {
            let (mut connection, mut tool) = connected();
            let (client, body) = Pieces::later();
            tool.write_all(EARLY).await.expect("open");
            let response =
                connection.answer(&mut ask("POST", body), None).await.expect("an answer");
            read(&mut connection, &response).await.expect("whole");
            assert!(Box::new(connection).reusable().is_none());
            assert!(!client.is_closed());
            drop(tool);
            timeout(PATIENCE, client.closed()).await.expect("nobody waits for the client");
        })
        .await;
}

#[tokio::test]
async fn an_upload_that_ended_before_its_response_did_leaves_the_connection_good() {
    LocalSet::new()
        .run_until(async {
            let (mut connection, mut tool) = connected();
            let (client, body) = Pieces::later();
            tool.write_all(&EARLY[..EARLY.len() - 1]).await.expect("open");
            let response =
                connection.answer(&mut ask("POST", body), None).await.expect("an answer");
            drop(client);
            let mut got = Vec::new();
            while !got.ends_with(b"0\r\n\r\n") {
                timeout(PATIENCE, tool.read_buf(&mut got)).await.expect("in time").expect("open");
            }
            tool.write_all(b"y").await.expect("open");
            assert_eq!(read(&mut connection, &response).await.expect("whole").body, b"early");
            let mut again = Box::new(connection).reusable().expect("good");
            tool.write_all(EARLY).await.expect("open");
            let response =
                again.answer(&mut ask("GET", Pieces::default()), None).await.expect("an answer");
            assert_eq!(read(&mut again, &response).await.expect("whole").body, b"early");
        })
        .await;
}

#[tokio::test]
async fn an_upload_ends_when_its_response_is_given_up() {
    LocalSet::new()
        .run_until(async {
            let (mut connection, mut tool) = connected();
            let (client, body) = Pieces::later();
            tool.write_all(&EARLY[..EARLY.len() - 1]).await.expect("open");
            connection.answer(&mut ask("POST", body), None).await.expect("an answer");
            drop(connection);
            let mut got = String::new();
            timeout(PATIENCE, tool.read_to_string(&mut got)).await.expect("it ends").expect("open");
            assert!(got.ends_with("\r\n\r\n") && client.is_closed(), "{got}");
        })
        .await;
}

#[tokio::test]
async fn a_tool_that_has_answered_and_takes_nothing_more_is_left() {
    LocalSet::new()
        .run_until(async {
            let (mut connection, mut tool) = connected_for(Duration::from_millis(50));
            let (client, body) = Pieces::later();
            tool.write_all(EARLY).await.expect("open");
            let response =
                connection.answer(&mut ask("POST", body), None).await.expect("an answer");
            read(&mut connection, &response).await.expect("whole");
            assert!(Box::new(connection).reusable().is_none());
            for _ in 0..64 {
                let _over = client.send(Frame::data(Bytes::from(vec![0; 64 << 10])));
            }
            timeout(PATIENCE, client.closed()).await.expect("it ends");
        })
        .await;
}

#[tokio::test]
async fn a_tool_may_answer_and_close_before_it_has_read_everything() {
    let (mut connection, mut tool) = connected();
    let large = vec![b'x'; 4 << 20];
    let mut request = ask("POST", Pieces::of(&[&large, &large]));
    let refusing = async move {
        tool.read_u8().await.expect("a request");
        let answer = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno";
        tool.write_all(answer).await.expect("open");
        tool.shutdown().await.expect("open");
        // What is unread when it is dropped breaks the other side's writes.
    };
    LocalSet::new()
        .run_until(async {
            let (response, ()) = tokio::join!(connection.answer(&mut request, None), refusing);
            assert_eq!(response.expect("an answer").status(), 413);
            assert!(Box::new(connection).reusable().is_none());
        })
        .await;
}

#[tokio::test]
async fn what_follows_a_switch_belongs_to_whoever_takes_the_connection() {
    let (mut connection, mut tool) = connected();
    tool.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\nearly").await.expect("open");
    let response =
        connection.answer(&mut ask("GET", Pieces::default()), None).await.expect("a switch");
    assert_eq!(response.status(), 101);
    assert!(!connection.has_ended());
    let mut switched = connection.switched();
    tool.write_all(b" and late").await.expect("open");
    tool.shutdown().await.expect("open");
    let mut got = String::new();
    switched.read_to_string(&mut got).await.expect("open");
    assert_eq!(got, "early and late");
    switched.write_all(b"back").await.expect("open");
    switched.shutdown().await.expect("open");
    let mut back = String::new();
    tool.read_to_string(&mut back).await.expect("open");
    assert!(back.ends_with("\r\n\r\nback"));
}

#[tokio::test]
async fn a_switch_leaves_no_connection_for_others() {
    let switch = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
    let (_, left) = exchanged("GET", &[switch], false).await.expect("a switch");
    assert!(left.is_none());
}
