//! The answering side: every gateway says what it remembers to whoever can seal a question.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::broadcast::error::RecvError;

use crate::domain::time::Timestamp;
use crate::entropy;
use crate::store::StoreFault;
use crate::store::backend::Backend;
use crate::store::ledger::Ledger;
use crate::store::record::{MarkersRecord, head_text};

use super::message::{Message, Nonce, Part, PartitionSays, Question, Says, portions};

/// An older question, or one from so far ahead, is not answered.
const FRESH: Duration = Duration::from_secs(60);
/// So many questions are answered in twice that time; a repeated one never is.
const MOST_QUESTIONS: usize = 64;

/// The questions that were answered while they could still be repeated.
#[derive(Default)]
struct Answered(VecDeque<(Timestamp, Nonce)>);

impl Answered {
    /// Whether to answer; says so once for each question.
    fn is_new(&mut self, question: &Question, now: Timestamp) -> bool {
        if question.at.plus(FRESH) < now || question.at > now.plus(FRESH) {
            return false;
        }
        while self.0.front().is_some_and(|(at, _)| at.plus(FRESH * 2) < now) {
            self.0.pop_front();
        }
        if self.0.len() >= MOST_QUESTIONS || self.0.iter().any(|(_, n)| *n == question.nonce) {
            return false;
        }
        self.0.push_back((now, question.nonce));
        true
    }
}

impl<B: Backend> Ledger<B> {
    pub(super) async fn answer_questions(&self, instance: &str) -> Result<(), StoreFault> {
        let mut heard = self.backend.announcements();
        let mut answered = Answered::default();
        loop {
            let message = match heard.recv().await {
                Ok(message) => message,
                Err(RecvError::Lagged(_)) => continue,
                // The back end is gone, and the process with it.
                Err(RecvError::Closed) => std::future::pending().await,
            };
            let now = self.clock.now();
            let Some(Message::Question(question)) = self.opened(&message) else { continue };
            if !answered.is_new(&question, now) {
                continue;
            }
            if let Err(fault) = self.say_all(instance, &question, now).await {
                tracing::warn!(%fault, "a question about what is remembered could not be answered");
            }
        }
    }

    pub(super) fn opened(&self, message: &Bytes) -> Option<Message> {
        Message::open(&self.checks.sealer, message)
    }

    async fn say_all(
        &self,
        instance: &str,
        question: &Question,
        now: Timestamp,
    ) -> Result<(), StoreFault> {
        let no_entropy = |fault: entropy::NoEntropy| StoreFault::Unreachable(fault.to_string());
        let answer = entropy::bytes().map_err(no_entropy)?;
        let portions = portions(self.remembered(now))?;
        let of = u32::try_from(portions.len()).unwrap_or(u32::MAX);
        for (number, says) in (0..of).zip(portions) {
            let (nonce, instance) = (question.nonce, instance.to_owned());
            let part = Part { nonce, answer, instance, number, of, says };
            self.backend.announce(part.sealed(&self.checks.sealer)?).await?;
        }
        tracing::info!(parts = of, "told a reconciliation what is remembered");
        Ok(())
    }

    fn remembered(&self, now: Timestamp) -> Vec<Says> {
        let memory = &self.checks.memory;
        let says = |partition| {
            let remembered = memory.remembered(partition);
            let head = remembered.head.as_ref().map(head_text);
            let markers = remembered.markers.map(|verified| MarkersRecord {
                epoch: verified.epoch,
                markers: (*verified.markers).clone(),
            });
            Says::Partition(PartitionSays {
                partition,
                closed: remembered.closed,
                head: head.map(|head| String::from_utf8_lossy(&head).into_owned()),
                generation: remembered.generation,
                markers,
            })
        };
        let partitions = self.checks.partitions.all().map(says);
        partitions.chain(memory.revocations(now).into_iter().map(Says::Ended)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_answered_once_while_it_is_fresh() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let question = |n: u8, at| Question { nonce: [n; 16], at };
        let mut answered = Answered::default();
        assert!(answered.is_new(&question(1, now), now));
        assert!(!answered.is_new(&question(1, now), now));
        assert!(answered.is_new(&question(2, now), now));
        let late = now.plus(FRESH).plus(Duration::from_millis(1));
        assert!(!answered.is_new(&question(3, now), late));
        assert!(!answered.is_new(&question(3, late), now));
        for n in 10..200 {
            answered.is_new(&question(n, now), now);
        }
        assert_eq!(answered.0.len(), MOST_QUESTIONS);
        let later = now.plus(FRESH * 3);
        assert!(answered.is_new(&question(1, later), later));
        assert_eq!(answered.0.len(), 1);
    }
}
