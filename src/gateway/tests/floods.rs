//! What is done to a server of HTTP/2 to wear it out. Each of these ends its own connection, and
//! nobody else's.

use std::time::Duration;

use super::h2_client::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, H2, HEADERS, PING, PRIORITY, RST_STREAM, Raw,
    SETTINGS, WINDOW_UPDATE, block, fields, frame, request,
};
use super::harness::{Harness, limits, with};
use super::tool::Answer;
use crate::config::Limits;
use crate::telemetry::metrics::CauseLabel;

/// More than the frames that are free.
const MESSAGES: usize = 1000;

/// Sends pieces until the connection ends; at most 64 MiB of them.
async fn floods(raw: &mut Raw, mut piece: impl FnMut(u32) -> Vec<u8>) -> bool {
    let mut sent = 0;
    for number in 0.. {
        let bytes: Vec<u8> = (0..64).flat_map(|n| piece(number * 64 + n)).collect();
        sent += bytes.len();
        if sent > 64 << 20 {
            return false;
        }
        // What is answered has to be read, or the flood stops by itself.
        let mut answers = vec![0; 64 * 1024];
        match raw.stream.try_read(&mut answers) {
            Ok(0) => return true,
            Ok(_) => (),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => (),
            Err(_) => return true,
        }
        if !raw.send(&bytes).await {
            return true;
        }
    }
    true
}

async fn is_ended_by(gateway: &Harness, what: &str, piece: impl FnMut(u32) -> Vec<u8>) {
    let good = H2::plain(gateway.address()).await;
    assert_eq!(good.get("/healthz").await.status, 200);
    let mut raw = Raw::open(gateway.address()).await;
    assert!(floods(&mut raw, piece).await, "{what} went on and on");
    assert_eq!(good.get("/healthz").await.status, 200, "{what}");
}

#[tokio::test]
async fn floods_of_frames_that_carry_nothing_end_their_connection() {
    let gateway = Harness::start().await;
    is_ended_by(&gateway, "PING", |_| frame(PING, 0, 0, &[7; 8])).await;
    is_ended_by(&gateway, "SETTINGS", |_| frame(SETTINGS, 0, 0, &[])).await;
    is_ended_by(&gateway, "PRIORITY", |_| frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])).await;
    is_ended_by(&gateway, "WINDOW_UPDATE", |_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])).await;
    is_ended_by(&gateway, "unknown frames", |_| frame(0xbe, 0, 0, &[])).await;
    let refused = &gateway.shared.metrics.connections_refused;
    assert_eq!(refused.get_or_create(&CauseLabel { cause: "flood" }).get(), 5);
}

#[tokio::test]
async fn streams_that_are_opened_to_be_reset_end_their_connection() {
    let gateway = Harness::start().await;
    gateway.tool.answers(|_| Answer::Silence);
    let rapid = |n: u32| {
        let reset = frame(RST_STREAM, 0, n * 2 + 1, &8_u32.to_be_bytes());
        [request(n * 2 + 1, &fields("/healthz?rapid")), reset].concat()
    };
    let mut raw = Raw::open(gateway.address()).await;
    assert!(floods(&mut raw, rapid).await, "rapid resets");
    // The server is made to reset: a window update of nothing on every new stream.
    let made = |n: u32| {
        let nothing = frame(WINDOW_UPDATE, 0, n * 2 + 1, &[0; 4]);
        [request(n * 2 + 1, &fields("/healthz?made")), nothing].concat()
    };
    let mut raw = Raw::open(gateway.address()).await;
    assert!(floods(&mut raw, made).await, "made to reset");
    // Whatever was begun was given up.
    while gateway.shared.metrics.http_server_active.get() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    gateway.tool.answers(|_| Answer::ok());
    assert_eq!(H2::plain(gateway.address()).await.get("/healthz").await.status, 200);
    assert!(gateway.tool.seen().len() < 3000, "{}", gateway.tool.seen().len());
}

#[tokio::test]
async fn floods_of_headers_end_their_connection() {
    let gateway = Harness::start().await;
    let mut is_open = false;
    let continuations = |_| {
        let first = !std::mem::replace(&mut is_open, true);
        let begin =
            if first { frame(HEADERS, 0, 1, &block(&fields("/healthz"))) } else { Vec::new() };
        [begin, frame(CONTINUATION, 0, 1, &[])].concat()
    };
    is_ended_by(&gateway, "empty CONTINUATION", continuations).await;
    let mut is_open = false;
    let large = |_| {
        let first = !std::mem::replace(&mut is_open, true);
        let begin =
            if first { frame(HEADERS, 0, 1, &block(&fields("/healthz"))) } else { Vec::new() };
        let value = "v".repeat(120);
        let many: Vec<(&str, &str)> = (0..100).map(|_| ("x-a", value.as_str())).collect();
        [begin, frame(CONTINUATION, 0, 1, &block(&many))].concat()
    };
    is_ended_by(&gateway, "large CONTINUATION", large).await;
    // One large field in the table of the compression (RFC 7541), named a thousand times.
    let mut bomb = block(&fields("/healthz"));
    bomb.extend_from_slice(&[0x40, 3]);
    bomb.extend_from_slice(b"x-b");
    // 127 + 3873 bytes
    bomb.extend_from_slice(&[0x7f, 0xa1, 0x1e]);
    bomb.extend(std::iter::repeat_n(b'b', 4000));
    bomb.extend(std::iter::repeat_n(0xbe, 4000));
    let bomb = frame(HEADERS, END_STREAM | END_HEADERS, 1, &bomb);
    let mut raw = Raw::open(gateway.address()).await;
    raw.send(&bomb).await;
    assert!(raw.ends().await, "a header bomb");
    let seen = gateway.tool.seen();
    assert!(seen.iter().all(|seen| seen.header("x-b").is_none() && seen.header("x-a").is_none()));
}

#[tokio::test]
async fn floods_of_empty_data_end_their_connection_and_their_request() {
    let gateway = Harness::start().await;
    gateway.partial_is_fine.store(true, std::sync::atomic::Ordering::SeqCst);
    gateway.world.grant(1, "alice", "notes", "operator");
    let mut post = fields("/a");
    post[0] = (":method", "POST");
    let begin = frame(HEADERS, END_HEADERS, 1, &block(&post));
    let mut is_open = false;
    let empty = |_| {
        let first = !std::mem::replace(&mut is_open, true);
        [if first { begin.clone() } else { Vec::new() }, frame(DATA, 0, 1, &[])].concat()
    };
    is_ended_by(&gateway, "empty DATA", empty).await;
    assert!(gateway.tool.seen().iter().all(|seen| seen.method() == "GET"));
}

#[tokio::test]
async fn an_orderly_client_may_send_as_many_pings_as_its_work_pays_for() {
    let gateway = Harness::start().await;
    gateway.tool.answers(|_| {
        let body = vec![b'x'; 60_000];
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        Answer::Bytes([head.into_bytes(), body].concat())
    });
    let mut raw = Raw::open(gateway.address()).await;
    for n in 0..300_u32 {
        let room = 60_000_u32.to_be_bytes();
        let asked = request(n * 2 + 1, &fields("/healthz"));
        let updates =
            [frame(WINDOW_UPDATE, 0, 0, &room), frame(WINDOW_UPDATE, 0, n * 2 + 1, &room)];
        let pings: Vec<u8> = (0..10).flat_map(|_| frame(PING, 0, 0, &[7; 8])).collect();
        assert!(raw.send(&[asked, updates.concat(), pings].concat()).await);
        let mut taken = 0;
        while taken < 60_000 {
            taken += raw.next_of(DATA).await.expect("it goes on").len();
        }
    }
    assert_eq!(gateway.tool.seen().len(), 300);
}

#[tokio::test]
async fn a_client_may_measure_the_connection_with_every_small_message() {
    let gateway = Harness::start().await;
    gateway.tool.answers(|_| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {MESSAGES}\r\n\r\n");
        let messages = std::iter::repeat_n(b"x".to_vec(), MESSAGES);
        let all = std::iter::once(head.into_bytes()).chain(messages).collect();
        Answer::Slow(all, Duration::from_millis(1))
    });
    let mut raw = Raw::open(gateway.address()).await;
    assert!(raw.send(&request(1, &fields("/healthz"))).await);
    let one = 1_u32.to_be_bytes();
    let updates = [frame(WINDOW_UPDATE, 0, 0, &one), frame(WINDOW_UPDATE, 0, 1, &one)].concat();
    let answers = [frame(PING, 0, 0, &[7; 8]), updates].concat();
    let mut taken = 0;
    while taken < MESSAGES {
        taken += raw.next_of(DATA).await.expect("it goes on").len();
        assert!(raw.send(&answers).await, "after {taken}");
    }
}

/// Many answers that are not taken, on many streams: what waits is bounded, and it ends.
#[tokio::test]
async fn windows_that_stay_shut_hold_nothing_for_long() {
    let quick = Limits { idle_timeout: Duration::from_millis(400), ..limits() };
    let gateway = Harness::with(quick, |_| ()).await;
    gateway.tool.answers(|_| {
        let body = vec![b'x'; 256 << 10];
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        Answer::Bytes([head.into_bytes(), body].concat())
    });
    let mut raw = Raw::open(gateway.address()).await;
    // SETTINGS_INITIAL_WINDOW_SIZE of 0
    raw.send(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).await;
    let all: Vec<u8> = (0..20).flat_map(|n| request(n * 2 + 1, &fields("/healthz"))).collect();
    raw.send(&all).await;
    for _ in 0..20 {
        assert!(raw.sees(RST_STREAM).await);
    }
    while gateway.shared.metrics.http_server_active.get() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(gateway.call(&with("GET", "/healthz", "")).await.status, 200);
}
