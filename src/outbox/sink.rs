//! A sink, and the task that owns it: transitions and decisions reach it one batch at a time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::cloudevents::CloudEvent;

/// One batch in the order in which it is to be delivered: JSON lines (<https://jsonlines.org>), one
/// event each, every one ended.
#[derive(Clone, Debug, Default)]
pub struct Lines(Arc<Vec<u8>>);

impl Lines {
    /// # Errors
    /// An event that cannot be written as JSON; there is none.
    pub fn of(events: &[CloudEvent]) -> Result<Self, SinkFault> {
        let mut lines = Vec::with_capacity(events.len() * 1024);
        for event in events {
            serde_json::to_writer(&mut lines, event)?;
            lines.push(b'\n');
        }
        Ok(Self::from(lines))
    }

    /// Its memory, emptied, to be filled anew; `None` while somebody else still has it.
    #[must_use]
    pub fn into_memory(self) -> Option<Vec<u8>> {
        let mut memory = Arc::into_inner(self.0)?;
        memory.clear();
        Some(memory)
    }
}

/// Whole lines.
impl From<Vec<u8>> for Lines {
    fn from(lines: Vec<u8>) -> Self {
        Self(Arc::new(lines))
    }
}

impl AsRef<[u8]> for Lines {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

pub type Delivered<'a> = Pin<Box<dyn Future<Output = Result<(), SinkFault>> + Send + 'a>>;

/// Why a sink did not take a batch. It may have taken a part of it; the whole batch is sent again,
/// and each event carries the same id as before.
#[derive(Debug, thiserror::Error)]
pub enum SinkFault {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("an event cannot be written as JSON: {0}")]
    Encode(#[from] serde_json::Error),
    /// Its task has ended, by a defect or with the program.
    #[error("the sink has stopped")]
    Stopped,
}

/// What has to be true before a batch counts as delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// It survives a crash of this process: the operating system has it. For decision records,
    /// which come by the ten thousand a second and of which a crash may lose 100 ms.
    Flushed,
    /// It survives a crash of the machine as well, where the sink can promise it. For transitions,
    /// whose cursor moves on.
    Forced,
}

/// Where events go.
pub trait Sink: Send + 'static {
    /// Takes a batch. The answer is `Ok` only when the promise holds for every event.
    fn deliver(&mut self, lines: Lines, promise: Promise) -> Delivered<'_>;
}

/// The way to one sink. All who send share it; the sink's task ends with the last of them.
#[derive(Clone, Debug)]
pub struct SinkHandle {
    name: Arc<str>,
    queue: mpsc::Sender<Delivery>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Delivery {
    lines: Lines,
    promise: Promise,
    done: oneshot::Sender<Result<(), SinkFault>>,
}

impl SinkHandle {
    /// Starts the task that owns `sink`. `name` is the key of its cursors in the store and its
    /// metric label; it has to be the same after a restart.
    pub fn start(name: &str, sink: impl Sink) -> Self {
        let (queue, deliveries) = mpsc::channel(1);
        let task = tokio::spawn(serve(sink, deliveries)).abort_handle();
        Self { name: name.into(), queue, task }
    }

    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Tells later whether the sink's task has ended, without keeping it alive.
    #[must_use]
    pub fn task(&self) -> AbortHandle {
        self.task.clone()
    }

    /// Returns when the sink has taken, or failed to take, the whole batch.
    ///
    /// # Errors
    /// See [`SinkFault`]; the batch is to be sent again.
    pub async fn deliver(&self, lines: Lines, promise: Promise) -> Result<(), SinkFault> {
        let (done, answer) = oneshot::channel();
        let sent = self.queue.send(Delivery { lines, promise, done }).await;
        sent.map_err(|_closed| SinkFault::Stopped)?;
        answer.await.map_err(|_closed| SinkFault::Stopped)?
    }
}

async fn serve(mut sink: impl Sink, mut deliveries: mpsc::Receiver<Delivery>) {
    while let Some(Delivery { lines, promise, done }) = deliveries.recv().await {
        let answer = sink.deliver(lines, promise).await;
        // Whoever asked may have been stopped meanwhile; what was delivered is delivered.
        let _ = done.send(answer);
    }
}
