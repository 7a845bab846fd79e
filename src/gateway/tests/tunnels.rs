//! What passes through a WebSocket tunnel, and how it ends.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::config::Limits;
use crate::domain::grant::EndedWhy;
use crate::telemetry::metrics::{CauseLabel, EndLabel};

use super::harness::{Harness, get, limits, with};
use super::tool::Answer;
use super::websocket::{ACCEPT, End, KEY, frame, open, said, switch, told, wish};

async fn granted(limits: Limits) -> Harness {
    let gateway = Harness::with(limits, |_| ()).await;
    gateway.world.grant(1, "alice", "notes", "operator");
    gateway
}

/// Waits for the end of a tunnel and of all that it held.
async fn over(gateway: &Harness, cause: &'static str) {
    let metrics = &gateway.shared.metrics;
    while metrics.tunnels_closed.get_or_create(&EndLabel { cause }).get() == 0 {
        tokio::task::yield_now().await;
    }
    while metrics.http_server_active.get() != 0 || metrics.open_leases.get() != 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_tunnel_is_admitted_recorded_and_carries_frames_both_ways() {
    let gateway = granted(limits()).await;
    let (mut client, mut tool, response) = open(&gateway, b"").await;
    assert_eq!(response.header("upgrade"), Some("websocket"));
    assert_eq!(response.header("connection"), Some("Upgrade"));
    assert_eq!(response.header("sec-websocket-accept"), Some(ACCEPT));
    assert!(response.header("tidegate-decision-id").is_some());
    assert_eq!(response.header("content-length"), None);
    assert_eq!(gateway.verdict(), (true, "allowed"));
    let seen = gateway.one_seen();
    assert_eq!(seen.all("upgrade"), ["websocket"]);
    assert_eq!(seen.all("connection"), ["Upgrade"]);
    assert_eq!(seen.all("sec-websocket-key"), [KEY]);
    assert_eq!(seen.all("sec-websocket-version"), ["13"]);
    assert_eq!(seen.header("authorization"), None);
    while gateway.shared.metrics.open_leases.get() != 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(gateway.shared.metrics.http_server_active.get(), 1);
    client.send(&said("hello")).await;
    assert_eq!(tool.text().await, "hello");
    tool.send(&told("well met")).await;
    assert_eq!(client.text().await, "well met");
    client.send(&frame(0x88, true, &1000u16.to_be_bytes())).await;
    assert_eq!(tool.frame().await.expect("a Close").0, 0x88);
    tool.send(&frame(0x88, false, &1000u16.to_be_bytes())).await;
    assert_eq!(client.frame().await.expect("a Close").0, 0x88);
    drop(tool);
    assert_eq!(client.frame().await, None);
    drop(client);
    over(&gateway, "closed").await;
}

#[tokio::test]
async fn frames_of_one_side_pass_while_the_other_says_nothing() {
    let gateway = granted(limits()).await;
    let (mut client, mut tool, _) = open(&gateway, b"").await;
    for n in 0..5 {
        let text = format!("to the tool, {n}");
        client.send(&said(&text)).await;
        assert_eq!(tool.text().await, text);
    }
    for n in 0..5 {
        let text = format!("to the client, {n}");
        tool.send(&told(&text)).await;
        assert_eq!(client.text().await, text);
    }
}

#[tokio::test]
async fn large_messages_pass_at_once_in_both_directions() {
    let gateway = granted(limits()).await;
    let (client, tool, _) = open(&gateway, b"").await;
    let large: Vec<u8> =
        (0..3_000_000_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
    let both = [(client, true), (tool, false)].map(|(mut end, masked)| {
        let large = large.clone();
        tokio::spawn(async move {
            let bytes = [frame(0x82, masked, &large), frame(0x82, masked, b"end")].concat();
            let (mut read, mut write) = tokio::io::split(end.stream);
            let writing = tokio::spawn(async move {
                write.write_all(&bytes).await.expect("it reads");
                write
            });
            let mut got = Vec::new();
            let wanted = large.len() + 10 + 5 + if masked { 0 } else { 8 };
            while got.len() < wanted {
                use tokio::io::AsyncReadExt;
                let mut chunk = vec![0; 64 * 1024];
                let count = read.read(&mut chunk).await.expect("bytes");
                assert!(count > 0, "only {}", got.len());
                got.extend_from_slice(&chunk[..count]);
            }
            let write = writing.await.expect("written");
            end = End { stream: read.unsplit(write), bytes: got };
            let (_, _, payload) = end.frame().await.expect("a frame");
            assert!(payload == large);
            assert_eq!(end.frame().await.expect("another").2, b"end");
            end
        })
    });
    for end in both {
        end.await.expect("all of it");
    }
}

#[tokio::test]
async fn what_was_sent_with_the_handshake_reaches_the_tool_after_it_switched() {
    let gateway = granted(limits()).await;
    // Nothing in it is looked for lines, however much it looks like some.
    let lines = b"\x81\x95\0\0\0\0\r\nGET /x HTTP/1.1\r\n\r\n".to_vec();
    let early = [lines, said("two")].concat();
    let (mut client, mut tool, _) = open(&gateway, &early).await;
    assert!(tool.bytes.is_empty(), "nothing came before the switch");
    assert_eq!(tool.text().await, "\r\nGET /x HTTP/1.1\r\n\r\n");
    client.send(&said("three")).await;
    assert_eq!((tool.text().await, tool.text().await), ("two".into(), "three".into()));
}

#[tokio::test]
async fn a_request_behind_a_handshake_that_was_taken_is_no_request_and_no_frame() {
    let gateway = granted(limits()).await;
    let (mut client, mut tool, _) = open(&gateway, get("/healthz").as_bytes()).await;
    assert_eq!(client.closed(false).await.0, 1002);
    assert_eq!(tool.closed(true).await.0, 1002);
    assert_eq!(gateway.world.records().len(), 1);
    assert_eq!(gateway.one_seen().target(), "/socket");
}

#[tokio::test]
async fn what_the_tool_says_right_behind_its_switch_reaches_the_client() {
    let gateway = granted(limits()).await;
    let answer = [format!("{}\r\n", switch()).as_bytes(), &told("first")].concat();
    gateway.tool.answers(move |_| Answer::Switch(answer.clone()));
    let mut client = gateway.client().await;
    client.send(with("GET", "/socket", &wish()).as_bytes()).await;
    assert_eq!(client.next_of("HEAD").await.expect("an answer").status, 101);
    let mut client = End { stream: Box::new(client.stream), bytes: client.bytes };
    assert_eq!(client.text().await, "first");
}

#[tokio::test]
async fn a_tunnel_may_begin_behind_other_requests_on_a_connection() {
    let gateway = granted(limits()).await;
    let before = [get("/healthz"), get("/a")].concat();
    gateway.tool.answers(|seen| match seen.target() {
        "/socket" => Answer::Switch(format!("{}\r\n", switch()).into_bytes()),
        _ => Answer::ok(),
    });
    let mut client = gateway.client().await;
    let asked = with("GET", "/socket", &wish());
    client.send(&[before.as_bytes(), asked.as_bytes(), &said("early")].concat()).await;
    for _ in 0..2 {
        assert_eq!(client.next().await.expect("an answer").status, 200);
    }
    assert_eq!(client.next_of("HEAD").await.expect("an answer").status, 101);
    let (stream, bytes) = gateway.tool.switched().await;
    assert_eq!(End { stream, bytes }.text().await, "early");
}

#[tokio::test]
async fn a_side_that_has_said_all_still_hears_the_other() {
    let gateway = granted(limits()).await;
    let (mut client, mut tool, _) = open(&gateway, b"").await;
    client.send(&said("bye")).await;
    client.stream.shutdown().await.expect("a socket");
    assert_eq!(tool.text().await, "bye");
    assert_eq!(tool.frame().await, None);
    tool.send(&told("still here")).await;
    assert_eq!(client.text().await, "still here");
    drop(tool);
    assert_eq!(client.frame().await, None);
    over(&gateway, "closed").await;
}

#[tokio::test]
async fn the_end_of_the_access_closes_both_sides_with_1008() {
    let gateway = granted(limits()).await;
    let (mut client, mut tool, _) = open(&gateway, b"").await;
    client.send(&said("hello")).await;
    assert_eq!(tool.text().await, "hello");
    gateway.world.clock.advance(Duration::from_mins(1));
    let (at_client, at_tool) = tokio::join!(client.closed(false), tool.closed(true));
    assert_eq!(at_client, (1008, "grant-expired".to_owned()));
    assert_eq!(at_tool, at_client);
    drop((client, tool));
    over(&gateway, "access-ended").await;
    let cut = gateway.shared.metrics.leases_cut.get_or_create(&CauseLabel { cause: "expired" });
    assert_eq!(cut.get(), 1);
}

#[tokio::test]
async fn a_close_waits_for_the_end_of_the_frame_that_has_begun_and_for_nothing_more() {
    let gateway = granted(limits()).await;
    let (mut client, mut tool, _) = open(&gateway, b"").await;
    let (down, up) = (told("from the tool"), said("from the client"));
    tool.send(&down[..5]).await;
    client.send(&up[..9]).await;
    assert_eq!(client.raw(5).await, down[..5]);
    assert_eq!(tool.raw(9).await, up[..9]);
    gateway.world.clock.advance(Duration::from_mins(1));
    while gateway.shared.metrics.leases_cut.get_or_create(&CauseLabel { cause: "expired" }).get()
        == 0
    {
        tokio::task::yield_now().await;
    }
    tool.send(&[&down[5..], &told("too late")].concat()).await;
    client.send(&[&up[9..], &said("too late")].concat()).await;
    assert_eq!(client.raw(down.len() - 5).await, down[5..]);
    assert_eq!(tool.raw(up.len() - 9).await, up[9..]);
    let (at_client, at_tool) = tokio::join!(client.closed(false), tool.closed(true));
    assert_eq!((at_client.0, at_tool.0), (1008, 1008));
}

#[tokio::test]
async fn a_frame_that_does_not_end_is_broken_off() {
    let gateway = granted(limits()).await;
    let (mut client, mut tool, _) = open(&gateway, b"").await;
    let huge = frame(0x82, false, &vec![7; 70_000]);
    tool.send(&huge[..20_000]).await;
    assert_eq!(client.raw(20_000).await, huge[..20_000]);
    gateway.world.clock.advance(Duration::from_mins(1));
    assert_eq!(tool.closed(true).await.0, 1008, "its own direction was between frames");
    assert!(client.rest().await.is_empty(), "no Close inside of a frame");
    over(&gateway, "access-ended").await;
}

#[tokio::test]
async fn a_client_that_never_hangs_up_does_not_keep_a_tunnel_that_was_closed() {
    let gateway = granted(limits()).await;
    let (client, tool, _) = open(&gateway, b"").await;
    gateway.world.clock.advance(Duration::from_mins(1));
    over(&gateway, "access-ended").await;
    drop((client, tool));
}

#[tokio::test]
async fn a_frame_that_breaks_the_rules_ends_the_tunnel_and_passes_no_further() {
    for bad in [
        frame(0x81, false, b"no mask"),
        frame(0x83, true, b"reserved"),
        frame(0xc1, true, b"reserved bit"),
        frame(0x89, true, &[0; 126]),
        frame(0x80, true, b"continues nothing"),
    ] {
        let gateway = granted(limits()).await;
        let (mut client, mut tool, _) = open(&gateway, &said("good")).await;
        assert_eq!(tool.text().await, "good");
        client.send(&[bad.clone(), said("behind it")].concat()).await;
        assert_eq!(tool.closed(true).await, (1002, "malformed frame".to_owned()), "{bad:?}");
        assert_eq!(client.closed(false).await, (1002, "malformed frame".to_owned()));
        drop((client, tool));
        over(&gateway, "malformed").await;
    }
    let gateway = granted(limits()).await;
    let (mut client, mut tool, _) = open(&gateway, b"").await;
    tool.send(&told("good")).await;
    assert_eq!(client.text().await, "good");
    tool.send(&frame(0x81, true, b"a tool has no mask")).await;
    assert_eq!((client.closed(false).await.0, tool.closed(true).await.0), (1002, 1002));
}

#[tokio::test]
async fn an_idle_tunnel_is_closed_and_one_that_moves_is_not() {
    let gateway = granted(Limits { tunnel_idle: Duration::from_millis(300), ..limits() }).await;
    let (mut client, mut tool, _) = open(&gateway, b"").await;
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        tool.send(&told("tick")).await;
        assert_eq!(client.text().await, "tick");
    }
    assert_eq!(client.closed(false).await, (1001, "idle".to_owned()));
    assert_eq!(tool.closed(true).await, (1001, "idle".to_owned()));
    drop((client, tool));
    over(&gateway, "idle").await;
}

#[tokio::test]
async fn a_side_that_takes_nothing_holds_the_other_back_and_is_dropped() {
    let gateway = granted(Limits { idle_timeout: Duration::from_millis(300), ..limits() }).await;
    let (client, mut tool, _) = open(&gateway, b"").await;
    let piece = frame(0x82, false, &vec![1; 60_000]);
    let mut taken = 0;
    while tool.stream.write_all(&piece).await.is_ok() {
        taken += piece.len();
        assert!(taken < 200_000_000, "nobody held it back");
    }
    over(&gateway, "stalled").await;
    drop(client);
}

#[tokio::test]
async fn at_the_end_of_the_drain_tunnels_are_closed_with_1001() {
    let quick = Limits {
        drain_timeout: Duration::from_millis(200),
        stream_grace: Duration::from_secs(5),
        ..limits()
    };
    let mut gateway = granted(quick).await;
    let (mut client, mut tool, _) = open(&gateway, b"").await;
    gateway.drain.send_replace(true);
    client.send(&said("while it drains")).await;
    assert_eq!(tool.text().await, "while it drains");
    assert_eq!(client.closed(false).await, (1001, "going away".to_owned()));
    assert_eq!(tool.closed(true).await, (1001, "going away".to_owned()));
    drop((client, tool));
    gateway.gateway.drained().await.expect("drained");
    over(&gateway, "shutdown").await;
}

#[tokio::test]
async fn a_tunnel_holds_its_place_among_the_requests() {
    let gateway = granted(Limits { concurrent_requests: 1, ..limits() }).await;
    let (client, tool, _) = open(&gateway, b"").await;
    assert_eq!(gateway.get("/healthz").await.code(), "overloaded");
    gateway.tool.answers(|_| Answer::ok());
    drop((client, tool));
    over(&gateway, "closed").await;
    assert_eq!(gateway.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_tunnel_that_nobody_granted_is_refused_before_the_tool_hears_of_it() {
    let gateway = Harness::start().await;
    let ended = gateway.shared.clock.now();
    gateway.world.end(1, "notes", EndedWhy::Revoked, ended);
    let mut client = gateway.client().await;
    let asked = with("GET", "/socket", &wish());
    client.send(&[asked.as_bytes(), get("/healthz").as_bytes()].concat()).await;
    assert_eq!(client.next().await.expect("a refusal").code(), "grant-revoked");
    assert_eq!(client.next().await.expect("the next answer").status, 200);
    assert_eq!(gateway.one_seen().target(), "/healthz");
}
