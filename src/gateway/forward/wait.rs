//! Waiting for the head of the response.

use std::future::poll_fn;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use crate::gateway::body::Progress;
use crate::gateway::lease::Lease;
use crate::gateway::timers::Timers;

/// `None` once the tool has been silent for `limit`, counted from `begun` or the last byte it was
/// given, or the access has ended. `at_once`: it was permitted just now.
pub(super) async fn in_time<T>(
    answer: impl Future<Output = T>,
    (timers, limit, begun): (&Timers, Duration, Instant),
    progress: &Progress,
    (mut lease, mut at_once): (Option<&mut Lease>, bool),
) -> Option<T> {
    let mut answer = std::pin::pin!(answer);
    let mut due = begun + limit;
    let mut timer = None;
    poll_fn(|cx| {
        if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
            return Poll::Ready(Some(answer));
        }
        if let Some(lease) = &mut lease {
            let is_new = std::mem::take(&mut at_once);
            let ended = if is_new { lease.poll_cut(cx) } else { lease.poll_ended(cx) };
            if ended.is_ready() {
                return Poll::Ready(None);
            }
        }
        let timer = timer.get_or_insert_with(|| timers.until(due));
        loop {
            ready!(timer.poll(cx));
            let moved = progress.moved_at.get() + limit;
            if moved <= due {
                return Poll::Ready(None);
            }
            due = moved;
            timer.reset(due);
        }
    })
    .await
}
