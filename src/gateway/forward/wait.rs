//! Waiting for the head of the response.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::gateway::body::Progress;
use crate::gateway::lease::Lease;

/// `None` once the tool has been silent for `limit`, counted from the last byte it was given, or
/// the access has ended.
pub(super) async fn in_time<T>(
    answer: impl Future<Output = T>,
    limit: Duration,
    progress: &Progress,
    mut lease: Option<&mut Lease>,
) -> Option<T> {
    let mut answer = std::pin::pin!(answer);
    let mut answer_or_end = poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => match &mut lease {
            Some(lease) => lease.poll_ended(cx).map(|()| None),
            None => Poll::Pending,
        },
    });
    let mut deadline = Instant::now() + limit;
    loop {
        match timeout_at(deadline, &mut answer_or_end).await {
            Ok(answer) => return answer,
            Err(_elapsed) => {
                let moved = progress.moved_at.get() + limit;
                if moved <= deadline {
                    return None;
                }
                deadline = moved;
            }
        }
    }
}
