//! A tunnel between pipes that take a few bytes at a time.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::sync::oneshot;

use super::frames::Frames;
use super::handshake::Agreed;
use super::run::{Ended, Patience, Tunnel};
use crate::telemetry::events::tunnel::TunnelEnd;

const PATIENCE: Patience =
    Patience { idle: Duration::from_secs(60), stalled: Duration::from_secs(60) };

fn frame(first: u8, masked: bool, payload: &[u8]) -> Vec<u8> {
    let mask = if masked { 0x80 } else { 0 };
    let mut bytes = vec![first];
    if let Ok(length @ 0..=125) = u8::try_from(payload.len()) {
        bytes.push(mask + length);
    } else {
        bytes.push(mask + 126);
        bytes.extend_from_slice(&u16::try_from(payload.len()).expect("short").to_be_bytes());
    }
    bytes.extend_from_slice(if masked { b"\0\0\0\0" } else { b"" });
    bytes.extend_from_slice(payload);
    bytes
}

fn frames(masked: bool) -> Vec<Vec<u8>> {
    vec![
        frame(0x01, masked, b"frag"),
        frame(0x89, masked, b""),
        frame(0x80, masked, b"ment"),
        frame(0x82, masked, &[7; 200]),
        frame(0x81, masked, b"last"),
    ]
}

/// A tunnel over pipes of `size` bytes, and the far ends of both.
fn tunnel(
    size: usize,
    early: Vec<u8>,
) -> (Tunnel<'static, DuplexStream, DuplexStream>, DuplexStream, DuplexStream) {
    let ((client, far_client), (tool, far_tool)) = (duplex(size), duplex(size));
    let agreed = Agreed { extended: false };
    (Tunnel::new((client, early), tool, agreed, None, PATIENCE), far_client, far_tool)
}

/// Writes all of `bytes`, and says so if it `ends` there; what came meanwhile, up to the end.
async fn exchange(end: DuplexStream, bytes: Vec<u8>, ends: bool) -> Vec<u8> {
    let (mut read, mut write) = split(end);
    let mut got = Vec::new();
    let sending = async {
        write.write_all(&bytes).await.expect("it reads");
        if ends {
            write.shutdown().await.expect("a pipe");
        }
    };
    let ((), count) = tokio::join!(sending, read.read_to_end(&mut got));
    count.expect("a pipe");
    got
}

#[tokio::test]
async fn bytes_arrive_unchanged_however_few_a_side_takes_at_once() {
    for size in [1, 2, 3, 5, 7, 64, 4096] {
        let (up, down) = (frames(true).concat(), frames(false).concat());
        for early in [0, 3, up.len()] {
            let (tunnel, client, tool) = tunnel(size, up[..early].to_vec());
            let (ended, at_client, at_tool) = tokio::join!(
                tunnel.run(std::future::pending()),
                exchange(client, up[early..].to_vec(), true),
                exchange(tool, down.clone(), true),
            );
            assert!(at_client == down && at_tool == up, "pipes of {size}, {early} early");
            let Ended { end, to_tool, to_client, .. } = ended;
            assert_eq!(end, TunnelEnd::Closed);
            assert_eq!((to_tool, to_client), (up.len() as u64, down.len() as u64));
        }
    }
}

#[tokio::test]
async fn a_close_stands_at_the_next_end_of_a_frame_wherever_the_cut_comes() {
    let stream = frames(true).concat();
    for size in [1, 3, 64] {
        for seen in 0..=stream.len() {
            let (tunnel, client, tool) = tunnel(size, Vec::new());
            let (tell, told) = oneshot::channel();
            let far_tool = async {
                let mut tool = tool;
                let mut got = vec![0; seen];
                tool.read_exact(&mut got).await.expect("so much");
                tell.send(()).expect("it runs");
                tool.read_to_end(&mut got).await.expect("a pipe");
                got
            };
            let closing = async {
                let _sender_is_there = told.await;
            };
            let (ended, at_client, at_tool) = tokio::join!(
                tunnel.run(closing),
                exchange(client, stream.clone(), false),
                far_tool
            );
            let shown = format!("pipes of {size}, cut at {seen}");
            assert_eq!(ended.end, TunnelEnd::Shutdown, "{shown}");
            assert_eq!(at_client[..4], [0x88, 12, 0x03, 0xe9], "{shown}");
            let close = 6 + 2 + "going away".len();
            let (before, close) = at_tool.split_at(at_tool.len() - close);
            assert_eq!(before, &stream[..before.len()], "{shown}");
            assert_eq!(close[..2], [0x88, 0x8c], "{shown}");
            let mut frames = Frames::new(true, false);
            frames.accept(before).expect("good frames");
            assert!(frames.is_at_boundary(), "{shown}");
            // What the pipe held already, and then no frame more than the one that had begun.
            let mut until = Frames::new(true, false);
            let sent = (seen + size).min(stream.len());
            until.accept(&stream[..sent]).expect("good frames");
            let most = sent + until.rest_of_frame(&stream[sent..]);
            assert!((seen..=most).contains(&before.len()), "{shown}: {}", before.len());
        }
    }
}
