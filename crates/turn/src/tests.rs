//! Streams of a thread with turns. Each test has a thread of its own.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::UnixStream;
use tokio::runtime::LocalOptions;
use tokio::task::{JoinSet, spawn_local};

use crate::turn::flush;
use crate::{Batched, Outlet, Turns, begin};

/// A stream that may be written to until it is told otherwise.
#[derive(Debug)]
struct Line {
    stream: UnixStream,
    is_closed: bool,
    wrote: usize,
}

impl Outlet for Line {
    fn socket(&self) -> io::Result<Option<BorrowedFd<'_>>> {
        if self.is_closed {
            return Err(ErrorKind::PermissionDenied.into());
        }
        Ok(Some(self.stream.as_fd()))
    }

    fn wrote(&mut self, bytes: usize) {
        self.wrote += bytes;
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Counts how often it was woken.
#[derive(Debug, Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Woken {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn pair() -> (Batched<Line>, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    (Batched::new(Line { stream: ours, is_closed: false, wrote: 0 }), theirs)
}

fn write(line: &mut Batched<Line>, bytes: &[u8], waker: &Waker) -> Poll<io::Result<usize>> {
    Pin::new(line).poll_write(&mut Context::from_waker(waker), bytes)
}

fn written(line: &mut Batched<Line>, bytes: &[u8]) -> usize {
    match write(line, bytes, Waker::noop()) {
        Poll::Ready(Ok(count)) => count,
        other => panic!("{other:?}"),
    }
}

/// What has come.
fn come(theirs: &UnixStream) -> Vec<u8> {
    let mut bytes = vec![0; 1 << 20];
    // Not through the runtime: what it knows of the socket may be older.
    let got = read(theirs, &mut bytes);
    bytes.truncate(got);
    bytes
}

fn read(theirs: &UnixStream, bytes: &mut [u8]) -> usize {
    let copy = theirs.as_fd().try_clone_to_owned().expect("a copy");
    let copy = std::os::unix::net::UnixStream::from(copy);
    match io::Read::read(&mut &copy, bytes) {
        Ok(count) => count,
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        Err(error) => panic!("{error}"),
    }
}

/// Turns that end with [`flush`]. `None`: there is no `io_uring` here.
fn turns() -> Option<Turns> {
    let turns = Turns::by_hand(64);
    if let Err(error) = &turns {
        eprintln!("nothing to see without io_uring: {error}");
    }
    turns.ok()
}

#[tokio::test]
async fn a_write_goes_when_the_turn_ends_and_its_task_learns_what_was_taken() {
    let Some(_turns) = turns() else { return };
    let ((mut line, theirs), woken) = (pair(), Arc::new(Woken::default()));
    let waker = Waker::from(Arc::clone(&woken));
    assert!(write(&mut line, b"hello", &waker).is_pending());
    // The same bytes, and more behind them.
    assert!(write(&mut line, b"hello, world", &waker).is_pending());
    assert_eq!((come(&theirs), woken.count()), (vec![], 0));
    flush();
    assert_eq!((come(&theirs), woken.count()), (b"hello".to_vec(), 1));
    assert_eq!(line.get_ref().wrote, 0);
    assert_eq!(written(&mut line, b"hello, world"), 5);
    assert_eq!(line.get_ref().wrote, 5);
    flush();
    assert!(come(&theirs).is_empty(), "nothing goes twice");
}

#[tokio::test]
async fn without_turns_everything_is_written_at_once() {
    let (mut line, theirs) = pair();
    for _ in 0..3 {
        assert_eq!(written(&mut line, b"now"), 3);
        assert_eq!(come(&theirs), b"now");
    }
}

#[tokio::test]
async fn what_is_large_is_written_at_once() {
    let Some(_turns) = turns() else { return };
    let (mut line, theirs) = pair();
    assert_eq!(written(&mut line, &vec![7; 17 * 1024]), 17 * 1024);
    assert_eq!(come(&theirs).len(), 17 * 1024);
}

#[tokio::test]
async fn bytes_of_a_stream_that_is_gone_reach_nobody() {
    let Some(_turns) = turns() else { return };
    let (mut line, theirs) = pair();
    assert!(write(&mut line, b"secret", Waker::noop()).is_pending());
    let number = line.get_ref().stream.as_raw_fd();
    drop(line);
    // Somebody else gets its number.
    let others: Vec<_> = (0..4).map(|_| pair()).collect();
    let heir = others.iter().find(|(line, _)| line.get_ref().stream.as_raw_fd() == number);
    let (_, heirs) = heir.expect("numbers are used again");
    flush();
    assert!(come(heirs).is_empty() && come(&theirs).is_empty());
}

#[tokio::test]
async fn what_waits_can_be_taken_back_and_what_was_sent_cannot() {
    let Some(_turns) = turns() else { return };
    let (mut line, theirs) = pair();
    assert!(line.takes_back(), "nothing is under way");
    assert!(write(&mut line, b"first", Waker::noop()).is_pending());
    assert!(line.takes_back());
    assert!(write(&mut line, b"second", Waker::noop()).is_pending());
    flush();
    assert_eq!(come(&theirs), b"second");
    assert!(!line.takes_back());
}

#[tokio::test]
async fn a_stream_that_may_not_be_written_to_says_so() {
    let Some(_turns) = turns() else { return };
    let (mut line, theirs) = pair();
    line.io.is_closed = true;
    assert!(matches!(write(&mut line, b"x", Waker::noop()), Poll::Ready(Err(_))));
    flush();
    assert!(come(&theirs).is_empty());
}

#[tokio::test]
async fn a_closed_socket_is_an_error_and_a_full_one_is_waited_for() {
    let Some(_turns) = turns() else { return };
    let ((mut closed, gone), woken) = (pair(), Arc::new(Woken::default()));
    drop(gone);
    let waker = Waker::from(Arc::clone(&woken));
    closed.set_quiet(true);
    assert!(write(&mut closed, b"x", &waker).is_pending());
    let (mut full, mut theirs) = pair();
    let mut sent = 0;
    while let Ok(count) = full.get_ref().stream.try_write(&[0; 1024]) {
        sent += count;
    }
    assert!(write(&mut full, b"last", Waker::noop()).is_pending());
    flush();
    assert_eq!(woken.count(), 1, "also who is quiet hears of that");
    let told = write(&mut closed, b"x", &waker);
    assert!(matches!(&told, Poll::Ready(Err(error)) if error.kind() == ErrorKind::BrokenPipe));
    assert!(write(&mut full, b"last", Waker::noop()).is_pending());
    let reads = async {
        let mut all = vec![0; sent + 4];
        theirs.read_exact(&mut all).await.expect("all of it");
        all
    };
    let writes = async {
        let count = poll_fn(|cx| {
            let polled = Pin::new(&mut full).poll_write(cx, b"last");
            flush();
            polled
        });
        assert_eq!(count.await.expect("written"), 4);
    };
    let (all, ()) = tokio::join!(reads, writes);
    assert!(all.ends_with(b"last"));
}

#[tokio::test]
async fn who_is_quiet_is_not_woken_when_all_was_taken() {
    let Some(_turns) = turns() else { return };
    let ((mut line, theirs), woken) = (pair(), Arc::new(Woken::default()));
    let waker = Waker::from(Arc::clone(&woken));
    line.set_quiet(true);
    assert!(write(&mut line, b"request", &waker).is_pending());
    flush();
    assert_eq!((come(&theirs), woken.count()), (b"request".to_vec(), 0));
    assert_eq!(written(&mut line, b"request"), 7);
}

#[tokio::test]
async fn many_writes_do_not_wait_for_the_end_of_the_turn() {
    let Some(_turns) = turns() else { return };
    let mut pairs: Vec<_> = (0..64).map(|_| pair()).collect();
    for (line, _) in &mut pairs {
        assert!(write(line, b"x", Waker::noop()).is_pending());
    }
    assert!(pairs.iter().all(|(_, theirs)| come(theirs) == b"x"));
    let (mut line, theirs) = pair();
    for _ in 0..16 {
        let mut other = pair();
        assert!(write(&mut other.0, &vec![0; 16 * 1024], Waker::noop()).is_pending());
        pairs.push(other);
    }
    assert!(write(&mut line, b"x", Waker::noop()).is_pending());
    assert!(come(&theirs).is_empty());
    assert!(pairs[64..].iter().all(|(_, theirs)| !come(theirs).is_empty()));
}

#[tokio::test]
async fn when_the_ring_breaks_what_waited_is_an_error_and_what_follows_is_written_at_once() {
    let Some(turns) = turns() else { return };
    drop(turns);
    let _turns = Turns::by_hand(1).expect("a ring");
    let mut pairs: Vec<_> = (0..3).map(|_| pair()).collect();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    for (line, _) in &mut pairs {
        line.set_quiet(true);
        assert!(write(line, b"x", &waker).is_pending());
    }
    flush();
    assert_eq!(woken.count(), 3);
    for (line, theirs) in &mut pairs {
        assert!(matches!(write(line, b"x", &waker), Poll::Ready(Err(_))));
        assert!(come(theirs).is_empty());
        assert_eq!(written(line, b"more"), 4);
        assert_eq!(come(theirs), b"more");
    }
}

#[tokio::test]
async fn a_full_socket_is_asked_itself_until_it_takes_something() {
    let Some(_turns) = turns() else { return };
    let ((mut full, theirs), woken) = (pair(), Arc::new(Woken::default()));
    while full.get_ref().stream.try_write(&[0; 1024]).is_ok() {}
    let waker = Waker::from(Arc::clone(&woken));
    for _ in 0..10 {
        assert!(write(&mut full, b"last", &waker).is_pending());
        flush();
    }
    assert_eq!(woken.count(), 1, "nobody is woken before there is room");
    while !come(&theirs).is_empty() {}
    full.get_ref().stream.writable().await.expect("room");
    assert_eq!(written(&mut full, b"last"), 4);
    assert!(write(&mut full, b"waits again", &waker).is_pending());
    flush();
    assert_eq!(come(&theirs), b"lastwaits again");
}

#[tokio::test]
async fn who_takes_a_quiet_write_over_is_woken() {
    let Some(_turns) = turns() else { return };
    for is_flushed in [false, true] {
        let ((mut line, _theirs), woken) = (pair(), Arc::new(Woken::default()));
        let waker = Waker::from(Arc::clone(&woken));
        line.set_quiet(true);
        assert!(write(&mut line, b"request", Waker::noop()).is_pending());
        if is_flushed {
            let mut cx = Context::from_waker(&waker);
            assert!(Pin::new(&mut line).poll_flush(&mut cx).is_pending());
        } else {
            line.set_quiet(false);
            assert!(write(&mut line, b"request", &waker).is_pending());
        }
        flush();
        assert_eq!(woken.count(), 1);
    }
}

#[tokio::test]
async fn who_writes_something_else_is_not_told_that_it_was_written() {
    let Some(_turns) = turns() else { return };
    let (mut line, theirs) = pair();
    assert!(write(&mut line, b"a long frame", Waker::noop()).is_pending());
    flush();
    assert!(matches!(write(&mut line, b"bye", Waker::noop()), Poll::Ready(Err(_))));
    assert_eq!(come(&theirs), b"a long frame");
}

#[tokio::test]
async fn a_stream_that_writes_at_once_from_now_on_never_waits() {
    let Some(_turns) = turns() else { return };
    let (mut line, theirs) = pair();
    assert!(write(&mut line, b"not this", Waker::noop()).is_pending());
    line.writes_at_once();
    for _ in 0..3 {
        assert_eq!(written(&mut line, b"now"), 3);
        assert_eq!(come(&theirs), b"now");
    }
    while line.get_ref().stream.try_write(&[0; 1024]).is_ok() {}
    assert!(write(&mut line, b"now", Waker::noop()).is_pending());
    while !come(&theirs).is_empty() {}
    line.get_ref().stream.writable().await.expect("room");
    assert_eq!(written(&mut line, b"now"), 3);
}

#[tokio::test]
async fn what_waits_when_the_turns_end_is_written_and_nothing_waits_behind_that() {
    let Some(turns) = turns() else { return };
    let (mut line, theirs) = pair();
    assert!(write(&mut line, b"last", Waker::noop()).is_pending());
    drop(turns);
    assert_eq!(come(&theirs), b"last");
    assert_eq!(written(&mut line, b"last"), 4);
    assert_eq!(written(&mut line, b"now"), 3);
}

#[tokio::test]
async fn a_thread_has_turns_once_and_nothing_waits_before_somebody_hands_over() {
    let Ok(turns) = begin() else { return };
    assert!(begin().is_err());
    let (mut line, theirs) = pair();
    assert_eq!(written(&mut line, b"now"), 3);
    assert_eq!(come(&theirs), b"now");
    drop(turns);
    assert!(begin().is_ok());
}

#[test]
fn a_thread_that_never_sleeps_hands_over_too() {
    on_a_thread_with_turns(async {
        let ((mut line, theirs), (mut other, others)) = (pair(), pair());
        let _writers = [
            spawn_local(async move { line.write_all(b"x").await.map(|()| line) }),
            spawn_local(async move { other.write_all(b"x").await.map(|()| other) }),
        ];
        for _ in 0..1000 {
            tokio::task::yield_now().await;
            if !come(&theirs).is_empty() {
                assert_eq!(come(&others), b"x", "both went together");
                return;
            }
        }
        panic!("nothing came");
    });
}

/// Pieces of all sizes on many streams at once, some of whose readers are slow.
#[test]
fn every_byte_arrives_in_its_order() {
    on_a_thread_with_turns(async {
        let mut tasks = JoinSet::new();
        for seed in 1..=24_usize {
            let (mut line, mut theirs) = pair();
            let length = move |turn| (turn * seed * 37) % if turn % 10 == 0 { 30_000 } else { 900 };
            tasks.spawn_local(async move {
                let mut next = 0_u8;
                for turn in 0..200 {
                    let piece: Vec<u8> = (0..length(turn)).map(|_| step(&mut next)).collect();
                    line.write_all(&piece).await.expect("written");
                    if turn % 7 == 0 {
                        line.flush().await.expect("flushed");
                    }
                }
                line.shutdown().await.expect("the end");
            });
            tasks.spawn_local(async move {
                let (mut next, mut total, mut buffer) = (0_u8, 0, vec![0; seed * 100]);
                loop {
                    let count = theirs.read(&mut buffer).await.expect("read");
                    assert!(buffer[..count].iter().all(|byte| *byte == step(&mut next)));
                    total += count;
                    if count == 0 {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                assert_eq!(total, (0..200).map(length).sum::<usize>());
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.expect("a task ended");
        }
    });
}

/// As a core of the gateway runs; without `io_uring` everything holds, too.
fn on_a_thread_with_turns(work: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build_local(LocalOptions::default()).expect("a runtime");
    runtime.block_on(async {
        if let Ok(turns) = begin() {
            drop(spawn_local(turns.run()));
            tokio::task::yield_now().await;
        }
        work.await;
    });
}

fn step(next: &mut u8) -> u8 {
    *next = if *next == 250 { 1 } else { *next + 1 };
    *next
}
