//! One partition of one endpoint: its events, one after the other.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};

use crate::cloudevents::CloudEvent;
use crate::domain::ids::Partition;
use crate::domain::time::Timestamp;
use crate::entropy;
use crate::outbox::backoff::Backoff;
use crate::store::{DeadLetter, EventPlace, LetterChange, RELAY_LIFE, StoreFault, StoredEvent};
use crate::telemetry::events::outbox::{EventGivenUp, RelayStoreFailed, SinkFailed, SinkRecovered};

use super::replay::Replay;
use super::retry::{Next, Tries};
use super::{Fault, Webhook};

/// Without a word from the store, a lane looks this often.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(3);
/// A partition that is delivered is claimed again after this time.
const RENEW_AFTER: Duration = Duration::from_secs(3);
/// So many events are read at once.
const READ_AHEAD: usize = 32;

pub struct Lane {
    pub(super) webhook: Arc<Webhook>,
    pub(super) partition: Partition,
    wake: Arc<Notify>,
    stop: watch::Receiver<bool>,
    /// While this process delivers the partition.
    held: Option<Held>,
    /// Read and not delivered yet, the oldest first.
    queue: VecDeque<StoredEvent>,
    /// Of the oldest.
    tries: Tries,
    /// Not before this it is tried again.
    due: Option<Due>,
    replay: Replay,
    store_backoff: Backoff,
}

/// How far the endpoint is in the partition, and how far its cursor says it is.
#[derive(Clone, Copy, Debug)]
struct Held {
    delivered: u64,
    saved: u64,
    claimed: Instant,
}

/// A pause by the clock that a test holds in its hand.
#[derive(Clone, Copy, Debug)]
struct Due {
    failed: Timestamp,
    at: Timestamp,
}

impl Due {
    /// Nothing, too, when the clock was put back.
    fn left(self, now: Timestamp) -> Duration {
        if now < self.failed { Duration::ZERO } else { self.at.since(now) }
    }
}

enum Step {
    Again,
    /// Until then, or until the store has something new: then it looks again whether it may.
    Idle(Duration),
    /// Until then, whatever is new.
    Wait(Duration),
}

impl Lane {
    pub fn new(
        webhook: &Arc<Webhook>,
        partition: Partition,
        wake: Arc<Notify>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            webhook: Arc::clone(webhook),
            partition,
            wake,
            stop,
            held: None,
            queue: VecDeque::new(),
            tries: Tries::default(),
            due: None,
            replay: Replay::default(),
            store_backoff: Backoff::default(),
        }
    }

    /// Until it is told to stop; then it tries once more to deliver what there is.
    pub async fn run(mut self) {
        loop {
            let stopping = *self.stop.borrow() || self.stop.has_changed().is_err();
            let step = match self.step(stopping).await {
                Ok(step) => {
                    self.store_backoff.after_success();
                    step
                }
                Err(fault) => {
                    self.store_failed(&fault);
                    Step::Wait(self.store_backoff.after_failure())
                }
            };
            let oldest = self.queue.front().map(|event| event.event.at);
            self.webhook.lag.lane(self.partition, oldest);
            match step {
                Step::Again => (),
                Step::Idle(_) | Step::Wait(_) if stopping => return,
                Step::Idle(pause) => {
                    tokio::select! {
                        () = sleep(pause) => (),
                        () = self.wake.notified() => (),
                        _ = self.stop.changed() => (),
                    }
                }
                Step::Wait(pause) => {
                    tokio::select! {
                        () = sleep(pause) => (),
                        _ = self.stop.changed() => (),
                    }
                }
            }
        }
    }

    async fn step(&mut self, stopping: bool) -> Result<Step, StoreFault> {
        let Some(held) = self.claim().await? else {
            return Ok(Step::Wait(LOOK_AGAIN));
        };
        if !stopping && let Some(letter) = self.next_replay().await? {
            self.send_again(letter).await?;
            return Ok(Step::Again);
        }
        if self.queue.is_empty() {
            let store = &self.webhook.store;
            self.queue =
                store.read_events(self.partition, held.delivered, READ_AHEAD).await?.into();
            if self.queue.is_empty() {
                self.save().await?;
                return Ok(self.unless_replaying(stopping, Step::Idle(LOOK_AGAIN)));
            }
        }
        self.skip_unwanted();
        let left = self.due.map(|due| due.left(self.webhook.clock.now()));
        if let Some(left) = left.filter(|left| !left.is_zero()) {
            return Ok(self.unless_replaying(stopping, Step::Idle(left.min(RENEW_AFTER))));
        }
        if let Some(event) = self.queue.front().cloned() {
            self.deliver(&event).await?;
        }
        Ok(Step::Again)
    }

    fn unless_replaying(&self, stopping: bool, step: Step) -> Step {
        if !stopping && self.replay.has_more() { Step::Again } else { step }
    }

    async fn next_replay(&mut self) -> Result<Option<DeadLetter>, StoreFault> {
        let Webhook { name, store, .. } = &*self.webhook;
        self.replay.next(&**store, name, self.partition).await
    }

    /// How far this process has delivered; `None`: another one delivers the partition.
    async fn claim(&mut self) -> Result<Option<Held>, StoreFault> {
        let known = self.held;
        if let Some(held) = known.filter(|held| held.claimed.elapsed() < RENEW_AFTER) {
            return Ok(Some(held));
        }
        let claimed = Instant::now();
        let (store, name) = (&self.webhook.store, &self.webhook.name);
        if !store.claim(name, self.partition).await? {
            self.lose();
            return Ok(None);
        }
        // Whoever had it before may have come further, and said so with the cursor.
        let fresh = known.filter(|held| held.claimed.elapsed() < RELAY_LIFE);
        let held = if let Some(held) = fresh {
            Held { claimed, ..held }
        } else {
            let seq = store.cursor(name, self.partition).await?;
            self.lose();
            Held { delivered: seq, saved: seq, claimed }
        };
        self.held = Some(held);
        Ok(Some(held))
    }

    /// Another process has the partition, and delivers again what it cannot know of.
    fn lose(&mut self) {
        self.held = None;
        self.queue.clear();
        self.replay = Replay::default();
        self.next_event();
    }

    fn next_event(&mut self) {
        self.tries = Tries::default();
        self.due = None;
    }

    fn skip_unwanted(&mut self) {
        while let Some(event) = self.queue.front()
            && !self.webhook.filter.wants(event)
        {
            self.pass();
        }
    }

    /// The oldest event is dealt with. Whether it was the last one of its commit.
    fn pass(&mut self) -> bool {
        let Some(event) = self.queue.pop_front() else { return false };
        self.next_event();
        let is_last = self.queue.front().is_none_or(|next| next.seq != event.seq);
        if let Some(held) = self.held.as_mut().filter(|_| is_last) {
            held.delivered = event.seq;
        }
        is_last
    }

    async fn deliver(&mut self, event: &StoredEvent) -> Result<(), StoreFault> {
        let Some(sent) = self.send(event).await else { return Ok(()) };
        match sent {
            Ok(()) => {
                let tries = self.tries.count;
                if tries > 0 {
                    let sink = &self.webhook.name;
                    SinkRecovered { sink, what: "transitions", tries }.emit();
                }
            }
            Err(fault) => match self.next_try(event, &fault) {
                Next::After(retry_in) => {
                    let sink = &self.webhook.name;
                    SinkFailed { sink, what: "transitions", fault: &fault, retry_in }.emit();
                    let failed = self.webhook.clock.now();
                    self.due = Some(Due { failed, at: failed.plus(retry_in) });
                    return Ok(());
                }
                Next::GiveUp => self.give_up(event, &fault).await?,
            },
        }
        if self.pass() {
            self.save().await?;
        }
        Ok(())
    }

    fn next_try(&mut self, event: &StoredEvent, fault: &Fault) -> Next {
        let age = self.webhook.clock.now().since(event.event.at);
        let chance = entropy::bytes().map_or(u16::MAX, u16::from_be_bytes);
        self.tries.failed(fault, age, self.webhook.retry_for, chance)
    }

    /// `None`: meanwhile another process took over.
    pub(super) async fn send(&mut self, event: &StoredEvent) -> Option<Result<(), Fault>> {
        let webhook = Arc::clone(&self.webhook);
        let event = CloudEvent::of_stored(event, &webhook.origin);
        let mut call = pin!(webhook.send(&event));
        loop {
            tokio::select! {
                biased;
                sent = &mut call => return Some(sent),
                () = sleep(RENEW_AFTER) => match self.claim().await {
                    Ok(Some(_)) => (),
                    Ok(None) => return None,
                    // The cursor will show whose it is.
                    Err(fault) => self.store_failed(&fault),
                },
            }
        }
    }

    /// The letter is written before the cursor moves: a crash in between delivers once more.
    async fn give_up(&mut self, event: &StoredEvent, fault: &Fault) -> Result<(), StoreFault> {
        let webhook = &self.webhook;
        let letter = letter(event, fault, self.tries.count, webhook);
        let most = webhook.most_letters();
        let change = LetterChange::Put { letter: letter.clone(), most };
        let changed = webhook.store.change_dead_letters(&webhook.name, self.partition, change);
        let dropped = changed.await?.dropped;
        webhook.count_letters("kept", 1);
        webhook.count_letters("dropped", dropped);
        EventGivenUp { sink: &webhook.name, letter: &letter, fault, dropped }.emit();
        Ok(())
    }

    async fn save(&mut self) -> Result<(), StoreFault> {
        let Some(held) = self.held.filter(|held| held.saved != held.delivered) else {
            return Ok(());
        };
        let (store, name) = (&self.webhook.store, &self.webhook.name);
        if store.set_cursor(name, self.partition, held.delivered).await? {
            self.held = Some(Held { saved: held.delivered, ..held });
        } else {
            self.lose();
        }
        Ok(())
    }

    fn store_failed(&self, fault: &StoreFault) {
        let (sink, partition) = (&*self.webhook.name, self.partition);
        RelayStoreFailed { sink, partition, fault }.emit(&self.webhook.metrics);
    }
}

pub(super) fn letter(
    event: &StoredEvent,
    fault: &Fault,
    tries: u32,
    webhook: &Webhook,
) -> DeadLetter {
    DeadLetter {
        place: EventPlace { seq: event.seq, index: event.index },
        id: CloudEvent::of_stored(event, &webhook.origin).id,
        event_type: event.event.kind.cloud_event_type().to_owned(),
        at: event.event.at,
        died: webhook.clock.now(),
        tries,
        why: fault.why(),
        status: fault.status(),
        replay: false,
    }
}
