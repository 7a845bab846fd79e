//! gRPC from end to end: a client of HTTP/2, and a tool of HTTP/2.

use std::time::Duration;

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use tokio::time::timeout;

use super::h2_client::{Answer, H2, PATIENCE, ask, whole};
use super::harness::{Harness, limits};
use super::http2_tool::{Does, Http2Tool};
use super::world::{START, grant_id};
use crate::config::Upstream;
use crate::domain::grant::{EndedWhy, Tombstone};

async fn start() -> (Harness, Http2Tool) {
    let tool = Http2Tool::start(None).await;
    tool.does(|_, _| Does::Echoes);
    let port = tool.address.port();
    let gateway = Harness::with(limits(), |tool| {
        tool.upstreams = vec![Upstream::H2c { host: "127.0.0.1".into(), port }];
        tool.timeouts.response = PATIENCE;
    });
    (gateway.await, tool)
}

fn call(method: &str) -> http::request::Builder {
    ask("POST", &format!("/notes.v1.Notes/{method}"))
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers")
}

/// A message with its prefix.
fn message(text: &str) -> Bytes {
    let length = u32::try_from(text.len()).expect("short").to_be_bytes();
    Bytes::from([&[0], &length[..], text.as_bytes()].concat())
}

async fn begin(client: &H2, method: &str) -> (SendStream<Bytes>, http::Response<RecvStream>) {
    let request = call(method).body(()).expect("a request");
    let (response, body) = client.begin(request, false).await.expect("taken");
    (body, timeout(PATIENCE, response).await.expect("in time").expect("a head"))
}

/// Says each word, and hears it before the next.
async fn talk(body: &mut SendStream<Bytes>, answer: &mut RecvStream, words: &[&str]) {
    for word in words {
        body.send_data(message(word), false).expect("sent");
        let mut heard = Vec::new();
        while heard.len() < message(word).len() {
            let piece = timeout(PATIENCE, answer.data()).await.expect("in time");
            heard.extend_from_slice(&piece.expect("a piece").expect("whole"));
        }
        assert_eq!(heard, message(word));
    }
}

fn trailer<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.trailers.get(name).and_then(|value| value.to_str().ok())
}

#[tokio::test]
async fn a_call_of_grpc_has_its_message_and_its_trailers() {
    let (gateway, tool) = start().await;
    gateway.world.grant(1, "alice", "notes", "operator");
    let client = H2::plain(gateway.address()).await;
    let request = call("Get").body(()).expect("a request");
    let (response, mut body) = client.begin(request, false).await.expect("taken");
    body.send_data(message("tide"), true).expect("sent");
    let answer = whole(timeout(PATIENCE, response).await.expect("in time").expect("a head")).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/grpc")));
    assert_eq!(
        (&answer.body[..], trailer(&answer, "grpc-status")),
        (&message("tide")[..], Some("0"))
    );
    let got = &tool.got()[0];
    assert_eq!((&*got.method, &got.body[..]), ("POST", &message("tide")[..]));
    assert_eq!(got.uri, "http://notes.localhost/notes.v1.Notes/Get");
    let header = |name: &str| got.headers.get(name).and_then(|value| value.to_str().ok());
    assert_eq!((header("te"), header("tidegate-subject")), (Some("trailers"), Some("alice")));
    assert_eq!(
        (header("content-type"), header("authorization")),
        (Some("application/grpc+proto"), None)
    );
    assert_eq!(gateway.verdict(), (true, "allowed"));
}

#[tokio::test]
async fn a_stream_of_grpc_carries_messages_both_ways_at_once() {
    let (gateway, tool) = start().await;
    gateway.world.grant(1, "alice", "notes", "operator");
    let client = H2::plain(gateway.address()).await;
    let (mut body, response) = begin(&client, "Talk").await;
    let (head, mut answer) = response.into_parts();
    assert_eq!(head.status, 200);
    talk(&mut body, &mut answer, &["ebb", "flow", "slack"]).await;
    body.send_data(Bytes::new(), true).expect("sent");
    let answer = whole(http::Response::from_parts(head, answer)).await;
    assert_eq!((answer.body.len(), trailer(&answer, "grpc-status")), (0, Some("0")));
    assert_eq!(tool.got()[0].body, [message("ebb"), message("flow"), message("slack")].concat());
}

#[tokio::test]
async fn a_refused_call_of_grpc_never_reaches_the_tool_and_has_a_status() {
    let (gateway, tool) = start().await;
    let client = H2::plain(gateway.address()).await;
    let refused = client.call(call("Get")).await;
    assert_eq!((refused.status, refused.header("grpc-status")), (403, Some("7")));
    assert_eq!(refused.header("grpc-message"), Some("no live grant for notes"));
    let nobody = http::Request::post("http://notes.localhost/notes.v1.Notes/Get");
    let nobody = client.call(nobody.header("content-type", "application/grpc")).await;
    assert_eq!((nobody.status, nobody.header("grpc-status")), (401, Some("16")));
    assert_eq!(tool.connections(), 0);
}

#[tokio::test]
async fn a_stream_of_grpc_that_is_cut_ends_with_status_7_and_the_tool_hears_no_more() {
    for (code, revoked) in [("grant-revoked", true), ("grant-expired", false)] {
        let (gateway, tool) = start().await;
        gateway.world.grant(1, "alice", "notes", "operator");
        let client = H2::plain(gateway.address()).await;
        let (mut body, response) = begin(&client, "Talk").await;
        let (head, mut answer) = response.into_parts();
        talk(&mut body, &mut answer, &["ebb"]).await;
        if revoked {
            gateway.world.commit(|state| {
                state.grants.retain(|grant| grant.id != grant_id(1));
                let (grant, tool) = (grant_id(1), "notes".into());
                state.ended.push(Tombstone { grant, tool, why: EndedWhy::Revoked, at: START });
            });
        } else {
            gateway.world.clock.advance(Duration::from_mins(1));
        }
        let answer = whole(http::Response::from_parts(head, answer)).await;
        assert!(answer.body.is_empty(), "{code}");
        assert_eq!(trailer(&answer, "grpc-status"), Some("7"), "{code}");
        assert_eq!(trailer(&answer, "grpc-message"), Some(code));
        let _reset = body.send_data(message("too late"), false);
        let over = async {
            while tool.got().is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, over).await.expect("the tool's stream ends");
        assert_eq!(tool.got()[0].body, message("ebb"), "{code}");
        gateway.world.grant(2, "alice", "notes", "operator");
        tool.does(|_, _| Does::Answers);
        assert_eq!(client.get("/healthz").await.status, 200, "the connection goes on");
    }
}
