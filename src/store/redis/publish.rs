//! What other processes say: which partition moved, and whatever they announce.
//!
//! One connection per process listens, on whichever node answers: a Cluster passes every message to
//! every node. Messages may be lost; listeners re-read everything after each new connection.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use redis::Msg;
use redis::aio::{PubSub, PubSubStream};
use tokio::sync::broadcast;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::Shared;
use super::backend::LONGEST_MESSAGE;
use super::link::{not_let_in, settings};
use crate::config::RedisAddress;
use crate::domain::ids::{CommitId, Partition};
use crate::entropy;
use crate::store::keys;
use crate::store::record::parse_head;
use crate::store::{Head, StoreFault};

/// So many moves may be waiting for a slow listener before it is told to re-read everything.
const MOVES: usize = 4096;
const MESSAGES: usize = 256;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

pub struct Listeners {
    heard: Arc<Heard>,
    task: Mutex<Option<AbortHandle>>,
}

/// What the listening task and the listeners have in common.
struct Heard {
    shared: Arc<Shared>,
    moved: broadcast::Sender<Partition>,
    said: broadcast::Sender<Bytes>,
    /// The last commit of this process in each partition: nobody needs to be told twice.
    own: Vec<Mutex<Option<CommitId>>>,
}

impl Listeners {
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        let own = shared.checks.partitions.all().map(|_| Mutex::default()).collect();
        let (moved, said) = (broadcast::channel(MOVES).0, broadcast::channel(MESSAGES).0);
        Self { heard: Arc::new(Heard { shared, moved, said, own }), task: Mutex::default() }
    }

    /// Listens until this is dropped.
    pub fn start(&self) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.is_none() {
            *task = Some(tokio::spawn(listen(self.heard.clone())).abort_handle());
        }
    }

    #[must_use]
    pub fn moved(&self) -> broadcast::Receiver<Partition> {
        self.heard.moved.subscribe()
    }

    #[must_use]
    pub fn said(&self) -> broadcast::Receiver<Bytes> {
        self.heard.said.subscribe()
    }

    /// Tells of a commit of this process at once.
    pub fn tell_own(&self, partition: Partition, commit: CommitId) {
        if let Some(own) = self.heard.own.get(usize::from(partition.0)) {
            *own.lock().unwrap_or_else(PoisonError::into_inner) = Some(commit);
        }
        // Nobody may be listening; that is theirs to know.
        let _ = self.heard.moved.send(partition);
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task.take() {
            task.abort();
        }
    }
}

async fn listen(heard: Arc<Heard>) {
    let mut pause = FIRST_PAUSE;
    let mut place = 0;
    loop {
        match subscribe(&heard.shared, place).await {
            Ok(messages) => {
                pause = FIRST_PAUSE;
                heard.everything_may_have_moved();
                hear(&heard, messages).await;
                tracing::info!("the connection that listens for commits ended");
            }
            Err(fault) => tracing::warn!(%fault, "nobody can be listened to for commits"),
        }
        place = place.wrapping_add(1);
        heard.shared.routes.went_stale();
        tokio::time::sleep(jittered(pause)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Half of `pause` to all of it, so that processes do not come back at the same moment.
pub fn jittered(pause: Duration) -> Duration {
    let [byte] = entropy::bytes::<1>().unwrap_or([128]);
    pause / 2 + pause * u32::from(byte) / 512
}

async fn subscribe(shared: &Shared, place: usize) -> Result<PubSubStream, StoreFault> {
    let nodes = shared.routes.table().nodes.clone();
    let nobody = || StoreFault::Unreachable("no node is known".into());
    let at = place.checked_rem(nodes.len()).ok_or_else(nobody)?;
    let address = nodes.get(at).ok_or_else(nobody)?;
    let subscribing = subscribe_at(shared, address);
    timeout(shared.connector.deadline, subscribing).await.unwrap_or(Err(StoreFault::Deadline))
}

async fn subscribe_at(shared: &Shared, address: &RedisAddress) -> Result<PubSubStream, StoreFault> {
    let failed = |fault: redis::RedisError| StoreFault::from(not_let_in(&fault));
    let stream = shared.connector.dial(address).await;
    let stream = stream.map_err(|fault| StoreFault::Unreachable(fault.to_string()))?;
    let settings = settings(&shared.connector.login, shared.connector.database);
    let (mut sink, messages) = PubSub::new(&settings, stream).await.map_err(failed)?.split();
    let database = shared.config.database;
    sink.psubscribe(keys::moved_pattern(database)).await.map_err(failed)?;
    sink.subscribe(keys::gateways_channel(database)).await.map_err(failed)?;
    Ok(messages)
}

/// Until the connection ends.
async fn hear(heard: &Heard, mut messages: PubSubStream) {
    while let Some(message) = next(&mut messages).await {
        heard.take(&message);
    }
}

async fn next(messages: &mut PubSubStream) -> Option<Msg> {
    std::future::poll_fn(|cx| std::pin::Pin::new(&mut *messages).poll_next(cx)).await
}

impl Heard {
    fn take(&self, message: &Msg) {
        let payload = message.get_payload_bytes();
        if payload.len() > LONGEST_MESSAGE {
            return;
        }
        let database = self.shared.config.database;
        if message.get_channel_name() == keys::gateways_channel(database) {
            let _ = self.said.send(Bytes::copy_from_slice(payload));
            return;
        }
        let Some(head) = parse_head(payload) else { return };
        let named = |partition: &Partition| {
            message.get_channel_name() == keys::moved_channel(database, *partition)
        };
        if let Some(partition) = self.shared.checks.partitions.all().find(named) {
            self.take_head(partition, head);
        }
    }

    /// Nothing vouches for a message, so it only makes this process look: the read that follows
    /// proves that the remembered commit is still in the log. Remembering the told head here would
    /// forget that commit, and a roll-back that somebody committed on top of would pass.
    fn take_head(&self, partition: Partition, head: Head) {
        let own = self.own.get(usize::from(partition.0));
        let told = own.is_some_and(|own| {
            *own.lock().unwrap_or_else(PoisonError::into_inner) == Some(head.id)
        });
        if !told {
            let _ = self.moved.send(partition);
        }
    }

    fn everything_may_have_moved(&self) {
        for partition in self.shared.checks.partitions.all() {
            let _ = self.moved.send(partition);
        }
    }
}
