//! How slow a message of HTTP/1.1 may be. Nobody sleeps: a wait is made to have begun earlier.

use std::future::poll_fn;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex,
};
use tokio::time::Instant;

use super::{Guard, HeadLimits, Watch};

const LIMITS: HeadLimits = HeadLimits { head_bytes: 4096, header_count: 20, target_bytes: 1024 };
const PATIENCE: Duration = Duration::from_secs(600);
/// What the test itself may take.
const SLACK: Duration = Duration::from_secs(100);
const SECOND: Duration = Duration::from_secs(1);
const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";

struct Scene {
    guard: Guard<DuplexStream>,
    watch: Rc<Watch>,
    client: DuplexStream,
}

impl Scene {
    fn new(rate: u32) -> Self {
        let (client, ours) = duplex(16 * 1024);
        let watch = Rc::new(Watch::new(NonZeroU32::new(rate)));
        let guard = Guard::new(ours, LIMITS, Rc::clone(&watch));
        Self { guard, watch, client }
    }

    /// Reads what is there, and then waits for more.
    async fn read(&mut self) {
        let mut bytes = vec![0; 16 * 1024];
        let mut buf = ReadBuf::new(&mut bytes);
        let all = |cx: &mut std::task::Context<'_>| {
            while Pin::new(&mut self.guard).poll_read(cx, &mut buf).is_ready() {
                buf.clear();
            }
            Poll::Ready(())
        };
        poll_fn(all).await;
    }

    /// Whatever is awaited has been for so much longer.
    fn later(&self, pause: Duration) {
        for since in [&self.watch.body_since, &self.watch.write_since] {
            since.set(since.get().and_then(|since| since.checked_sub(pause)));
        }
    }

    /// Sends so many bytes after a pause.
    async fn sends(&mut self, bytes: usize, pause: Duration) {
        self.later(pause);
        self.client.write_all(&vec![b'x'; bytes]).await.expect("room");
        self.read().await;
    }

    async fn begins(&mut self) {
        self.client.write_all(POST).await.expect("room");
        self.read().await;
    }

    /// Writes until nothing more is taken.
    async fn writes(&mut self) {
        let fill = |cx: &mut std::task::Context<'_>| {
            while Pin::new(&mut self.guard).poll_write(cx, &[b'x'; 1000]).is_ready() {}
            Poll::Ready(())
        };
        poll_fn(fill).await;
    }

    fn is_patient(&self) -> bool {
        self.left() + SLACK > PATIENCE
    }

    fn left(&self) -> Duration {
        let ends = self.watch.stall_ends(PATIENCE).expect("it waits");
        ends.saturating_duration_since(Instant::now())
    }
}

#[tokio::test]
async fn a_body_that_trickles_uses_up_its_patience_and_one_of_the_rate_never_does() {
    let mut scene = Scene::new(64);
    scene.begins().await;
    assert!(scene.is_patient());
    for _ in 0..600 {
        scene.sends(1, SECOND).await;
    }
    assert!(scene.left() < SLACK, "{:?}", scene.left());
    let mut scene = Scene::new(64);
    scene.begins().await;
    for _ in 0..1000 {
        scene.sends(64, SECOND).await;
        assert!(scene.is_patient());
    }
}

#[tokio::test]
async fn what_came_quickly_is_not_saved_up_for_a_trickle_but_makes_up_for_a_pause() {
    let mut scene = Scene::new(64);
    scene.begins().await;
    scene.sends(10_000, Duration::ZERO).await;
    for _ in 0..599 {
        scene.sends(1, SECOND).await;
    }
    assert!(scene.left() < SLACK, "{:?}", scene.left());
    for _ in 0..4 {
        scene.sends(10_000, Duration::ZERO).await;
    }
    scene.sends(1, Duration::ZERO).await;
    assert!(scene.is_patient());
}

#[tokio::test]
async fn time_in_which_nobody_waits_for_the_client_does_not_count() {
    let mut scene = Scene::new(64);
    scene.begins().await;
    scene.sends(1, Duration::ZERO).await;
    // Bytes are there, but the tool takes none.
    for _ in 0..100 {
        scene.client.write_all(b"x").await.expect("room");
        scene.read().await;
        scene.client.write_all(b"x").await.expect("room");
        let mut one = [0; 1];
        scene.guard.read_exact(&mut one).await.expect("it is there");
        scene.later(SECOND * 10);
    }
    scene.read().await;
    assert!(scene.is_patient());
}

#[tokio::test]
async fn without_a_rate_each_pause_is_bounded_alone() {
    let mut scene = Scene::new(0);
    scene.begins().await;
    for _ in 0..1000 {
        scene.sends(1, SECOND * 400).await;
    }
    assert!(scene.is_patient());
    scene.later(PATIENCE);
    assert!(scene.left().is_zero());
}

#[tokio::test]
async fn a_client_that_reads_in_a_trickle_uses_up_its_patience_too() {
    let mut scene = Scene::new(64);
    scene.writes().await;
    for _ in 0..599 {
        scene.later(SECOND);
        scene.client.read_u8().await.expect("a byte");
        scene.writes().await;
    }
    assert!(scene.left() < SLACK, "{:?}", scene.left());
    let mut scene = Scene::new(64);
    scene.writes().await;
    for _ in 0..1000 {
        scene.later(SECOND);
        scene.client.read_exact(&mut [0; 64]).await.expect("bytes");
        scene.writes().await;
    }
    assert!(scene.is_patient());
}

#[tokio::test]
async fn each_request_has_its_own_patience() {
    let mut scene = Scene::new(64);
    scene
        .client
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300\r\n\r\n")
        .await
        .expect("room");
    scene.read().await;
    for _ in 0..300 {
        scene.sends(1, SECOND).await;
    }
    scene.begins().await;
    assert!(scene.is_patient());
}
