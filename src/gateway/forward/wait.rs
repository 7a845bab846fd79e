//! Waiting for the head of the response.

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
    let mut deadline = Instant::now() + limit;
    loop {
        let look = lease.as_ref().map_or(deadline, |lease| lease.look_again().min(deadline));
        match timeout_at(look, answer.as_mut()).await {
            Ok(answer) => return Some(answer),
            Err(_elapsed) if lease.as_mut().is_some_and(|lease| lease.has_ended()) => return None,
            Err(_elapsed) if look < deadline => (),
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
