//! Dead letters that somebody asked to be sent again: one try each, between the lane's own events.

use std::collections::VecDeque;

use tokio::time::Instant;

use crate::domain::ids::Partition;
use crate::store::{DeadLetter, LetterChange, Store, StoreFault, StoredEvent};
use crate::telemetry::events::outbox::LetterReplayed;

use super::lane::{LOOK_AGAIN, Lane, letter};

/// What is to be sent again, as the last look found it.
#[derive(Default)]
pub struct Replay {
    looked: Option<Instant>,
    marked: VecDeque<DeadLetter>,
    /// The lane's own events have their turn.
    paused: bool,
}

impl Replay {
    pub fn has_more(&self) -> bool {
        !self.marked.is_empty()
    }

    /// Every other call gives nothing, so that new events are not held up by old ones.
    pub async fn next(
        &mut self,
        store: &dyn Store,
        sink: &str,
        partition: Partition,
    ) -> Result<Option<DeadLetter>, StoreFault> {
        if self.marked.is_empty() && self.looked.is_none_or(|at| at.elapsed() >= LOOK_AGAIN) {
            let letters = store.dead_letters(sink, partition).await?;
            self.marked = letters.0.into_iter().filter(|letter| letter.replay).collect();
            self.looked = Some(Instant::now());
        }
        self.paused = !self.paused;
        Ok(if self.paused { self.marked.pop_front() } else { None })
    }
}

impl Lane {
    /// Taken, its letter is gone; else it is a letter again, with one more try.
    pub(super) async fn send_again(&mut self, old: DeadLetter) -> Result<(), StoreFault> {
        let Some(event) = self.event_of(&old).await? else {
            self.webhook.count_letters("gone", 1);
            LetterReplayed { sink: &self.webhook.name, letter: &old, outcome: "gone" }.emit();
            return self.change(LetterChange::Remove(old.place)).await;
        };
        let Some(sent) = self.send(&event).await else { return Ok(()) };
        let (outcome, change) = match sent {
            Ok(()) => ("delivered", LetterChange::Remove(old.place)),
            Err(fault) => {
                let letter = letter(&event, &fault, old.tries.saturating_add(1), &self.webhook);
                (fault.why().word(), LetterChange::Put { letter, most: usize::MAX })
            }
        };
        if outcome == "delivered" {
            self.webhook.count_letters("replayed", 1);
        }
        LetterReplayed { sink: &self.webhook.name, letter: &old, outcome }.emit();
        self.change(change).await
    }

    async fn event_of(&self, letter: &DeadLetter) -> Result<Option<StoredEvent>, StoreFault> {
        let before = letter.place.seq.saturating_sub(1);
        let events = self.webhook.store.read_events(self.partition, before, 1).await?;
        let mut of_commit = events.into_iter().filter(|event| event.seq == letter.place.seq);
        Ok(of_commit.find(|event| event.index == letter.place.index))
    }

    async fn change(&self, change: LetterChange) -> Result<(), StoreFault> {
        let (store, name) = (&self.webhook.store, &self.webhook.name);
        store.change_dead_letters(name, self.partition, change).await.map(drop)
    }
}
