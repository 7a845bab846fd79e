//! How responses that are open when the grant ends come to their end.

use std::time::Duration;

use tokio::io::AsyncReadExt;

use super::harness::{Harness, get};
use super::tool::Answer;
use super::wire::Client;

const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";

/// Everything up to the end of the connection, or up to `last`.
async fn until(client: &mut Client, last: Option<&str>) -> String {
    let mut text = String::new();
    let mut chunk = [0; 4096];
    while last.is_none_or(|last| !text.ends_with(last)) {
        match client.stream.read(&mut chunk).await {
            Ok(0) | Err(_) => break,
            Ok(count) => text.push_str(&String::from_utf8_lossy(&chunk[..count])),
        }
    }
    text
}

/// What a client gets of an answer of which the tool says no more than `pieces`, when the grant
/// ends after the last of them came.
async fn cut_after(head: &str, pieces: &[&str], seen_last: &str) -> (Harness, String) {
    let gateway = Harness::start().await;
    gateway.world.grant(1, "alice", "notes", "operator");
    let answer = format!("{head}\r\n{}", pieces.concat());
    // The answer never ends: the tool says nothing more, and does not hang up.
    gateway.tool.answers(move |_| Answer::text(&answer));
    let mut client = gateway.client().await;
    client.send(get("/events").as_bytes()).await;
    let begun = until(&mut client, Some(seen_last)).await;
    gateway.world.clock.advance(Duration::from_mins(1));
    let rest = until(&mut client, Some("\r\n0\r\n\r\n")).await;
    (gateway, begun + &rest)
}

/// The body of a chunked response, and whether it came to its proper end.
fn body(response: &str) -> (String, bool) {
    let (_, mut rest) = response.split_once("\r\n\r\n").expect("a head");
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a size");
        if size == 0 {
            return (body, after == "\r\n");
        }
        body.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
    (body, false)
}

/// Types and data of the events that a client makes of a stream (HTML, section 9.2.6).
fn events(stream: &str) -> Vec<(String, String)> {
    let lines = stream.replace("\r\n", "\n").replace('\r', "\n");
    let (mut found, mut kind, mut data) = (Vec::new(), String::new(), String::new());
    for line in lines.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        match line.split_once(": ").unwrap_or((line, "")) {
            ("", _) => {
                if !data.is_empty() {
                    found.push((std::mem::take(&mut kind), std::mem::take(&mut data)));
                }
                kind.clear();
            }
            ("event", value) => kind = value.to_owned(),
            ("data", value) => data.push_str(value),
            _ => (),
        }
    }
    found
}

#[tokio::test]
async fn a_stream_of_events_ends_with_one_that_says_why() {
    let chunked = format!("{EVENTS}Transfer-Encoding: chunked\r\n");
    for (said, heard) in [
        ("", vec![]),
        ("data: 1\n\n", vec!["1"]),
        ("data: 1\r\n\r\n", vec!["1"]),
        ("data: 1\r\r", vec!["1"]),
        ("data: 1\n\ndata: 2", vec!["1", "2"]),
        ("data: 1\n\ndata: 2\n", vec!["1", "2"]),
        ("data: 1\n\ndata: 2\r", vec!["1", "2"]),
        ("data: 1\n\ndata: 2\r\n", vec!["1", "2"]),
        ("data: 1\n\nevent: half", vec!["1"]),
    ] {
        let chunk = format!("{:X}\r\n{said}\r\n", said.len());
        let pieces = if said.is_empty() { vec![] } else { vec![chunk.as_str()] };
        let last = if said.is_empty() { "\r\n\r\n" } else { &chunk };
        let (gateway, response) = cut_after(&chunked, &pieces, last).await;
        let (stream, ended) = body(&response);
        assert!(ended, "{said:?}: {response:?}");
        let mut events = events(&stream);
        let (kind, data) = events.pop().expect("a last event");
        assert_eq!(kind, "access-ended", "{said:?}: {stream:?}");
        let data: serde_json::Value = serde_json::from_str(&data).expect("JSON");
        let decision = gateway.world.records()[0].id.to_string();
        assert_eq!(
            data,
            serde_json::json!({ "code": "grant-expired", "decision_id": decision }),
            "{said:?}"
        );
        let before: Vec<String> = events.into_iter().map(|(_, data)| data).collect();
        assert_eq!(before, heard, "{said:?}");
    }
}

#[tokio::test]
async fn a_stream_of_events_without_any_framing_gets_its_last_event_too() {
    let (_gateway, response) = cut_after(EVENTS, &["data: 1\n\n"], "data: 1\n\n\r\n").await;
    let (stream, ended) = body(&response);
    assert!(ended && stream.contains("event: access-ended\n"), "{response:?}");
}

#[tokio::test]
async fn anything_else_is_broken_off_so_that_no_client_takes_it_for_whole() {
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (head, piece) in [
        (format!("HTTP/1.1 200 OK\r\n{chunked}"), "3\r\nabc\r\n"),
        (format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{chunked}"), "3\r\nabc\r\n"),
        (format!("HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\n{chunked}"), "3\r\nabc\r\n"),
        (format!("{EVENTS}Content-Encoding: gzip\r\n{chunked}"), "3\r\nabc\r\n"),
    ] {
        let (gateway, response) = cut_after(&head, &[piece], piece).await;
        assert_eq!(body(&response), ("abc".to_owned(), false), "{head}");
        assert_eq!(gateway.shared.metrics.open_leases.get(), 0);
    }
    for head in [
        format!("{EVENTS}Content-Length: 9\r\n"),
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n".into(),
    ] {
        let (_gateway, response) = cut_after(&head, &["abc"], "abc").await;
        assert!(response.ends_with("\r\n\r\nabc"), "{response:?}");
    }
}

#[tokio::test]
async fn the_tools_connection_is_not_used_again_after_a_last_event() {
    let chunked = format!("{EVENTS}Transfer-Encoding: chunked\r\n");
    let (gateway, _) = cut_after(&chunked, &["1\r\n\n\r\n"], "1\r\n\n\r\n").await;
    gateway.tool.answers(|_| Answer::ok());
    assert_eq!(gateway.get("/healthz").await.status, 200);
    assert_eq!(gateway.tool.seen().iter().map(|seen| seen.connection).collect::<Vec<_>>(), [0, 1]);
}
