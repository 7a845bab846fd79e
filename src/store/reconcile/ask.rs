//! The asking side: a fresh question, and everything that was said to it within a while.

use std::collections::BTreeMap;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};

use bytes::Bytes;

use crate::domain::markers::Generation;
use crate::entropy;
use crate::store::StoreFault;
use crate::store::backend::Backend;
use crate::store::ledger::Ledger;
use crate::store::record::parse_head;

use super::message::{Message, Nonce, Part, PartitionSays, Question, Says};
use super::{Answers, Asking, Gateway};

/// More parts of one answer, or more answers, than any deployment gives are not collected.
const MOST_PARTS: u32 = 65_536;
const MOST_ANSWERS: usize = 1024;

/// The parts of one answer that have arrived.
struct Collected {
    instance: String,
    of: u32,
    parts: BTreeMap<u32, Vec<Says>>,
}

#[derive(Default)]
struct Heard(BTreeMap<Nonce, Collected>);

impl<B: Backend> Ledger<B> {
    /// The question is asked a second time half way, for whoever was not listening yet.
    pub(super) async fn ask_all(&self, asking: Asking) -> Result<Answers, StoreFault> {
        let mut channel = self.backend.announcements();
        let (mut questions, mut heard) = (Vec::new(), Heard::default());
        let begin = Instant::now();
        for end in [begin + asking.wait / 2, begin + asking.wait] {
            if heard.is_enough(&asking) {
                break;
            }
            questions.push(self.ask_once().await?);
            while !heard.is_enough(&asking) {
                let Some(message) = next(&mut channel, end).await? else { break };
                match self.opened(&message) {
                    Some(Message::Part(part)) if questions.contains(&part.nonce) => heard.add(part),
                    Some(Message::Part(_) | Message::Question(_)) | None => (),
                }
            }
        }
        Ok(heard.answers())
    }

    async fn ask_once(&self) -> Result<Nonce, StoreFault> {
        let no_entropy = |fault: entropy::NoEntropy| StoreFault::Unreachable(fault.to_string());
        let nonce = entropy::bytes().map_err(no_entropy)?;
        let question = Question { nonce, at: self.clock.now() };
        self.backend.announce(question.sealed(&self.checks.sealer)?).await?;
        Ok(nonce)
    }
}

/// `None`: it is time to stop.
async fn next(
    channel: &mut broadcast::Receiver<Bytes>,
    end: Instant,
) -> Result<Option<Bytes>, StoreFault> {
    loop {
        match timeout_at(end, channel.recv()).await {
            Err(_elapsed) => return Ok(None),
            Ok(Ok(message)) => return Ok(Some(message)),
            // What was missed shows as a part that is not there.
            Ok(Err(RecvError::Lagged(_))) => (),
            Ok(Err(RecvError::Closed)) => {
                return Err(StoreFault::Unreachable("the channel of the store is closed".into()));
            }
        }
    }
}

impl Heard {
    fn add(&mut self, part: Part) {
        let full = self.0.len() >= MOST_ANSWERS && !self.0.contains_key(&part.answer);
        if full || part.of > MOST_PARTS || part.number >= part.of {
            return;
        }
        let (instance, of) = (part.instance, part.of);
        let new = Collected { instance, of, parts: BTreeMap::new() };
        let collected = self.0.entry(part.answer).or_insert(new);
        if collected.of == of {
            collected.parts.insert(part.number, part.says);
        }
    }

    fn is_enough(&self, asking: &Asking) -> bool {
        asking.enough.is_some_and(|enough| self.instances() >= enough)
    }

    /// Of how many processes an answer is whole.
    fn instances(&self) -> usize {
        let whole = self.0.values().filter(|collected| collected.is_whole());
        whole.map(|collected| &collected.instance).collect::<std::collections::BTreeSet<_>>().len()
    }

    fn answers(self) -> Answers {
        let (mut whole, mut partial) = (BTreeMap::new(), Vec::new());
        for collected in self.0.into_values() {
            if collected.is_whole() {
                // Of two whole answers of one process, both are true; what either says is kept.
                let gateway: &mut Gateway = whole.entry(collected.instance.clone()).or_default();
                gateway.instance = collected.instance;
                for says in collected.parts.into_values().flatten() {
                    gateway.take(says);
                }
            } else {
                partial.push(collected.instance);
            }
        }
        partial.retain(|instance| !whole.contains_key(instance));
        Answers { gateways: whole.into_values().collect(), incomplete: partial }
    }
}

impl Collected {
    fn is_whole(&self) -> bool {
        u32::try_from(self.parts.len()).is_ok_and(|parts| parts == self.of)
    }
}

impl Gateway {
    fn take(&mut self, says: Says) {
        match says {
            Says::Partition(says) => {
                let known = self.partitions.get(&says.partition);
                if known.is_none_or(|known| later(known) < later(&says)) {
                    self.partitions.insert(says.partition, says);
                }
            }
            Says::Ended(revocation) => {
                self.revocations.insert(revocation.grant, revocation);
            }
        }
    }
}

/// Within an epoch what a process remembers only grows, and a partition that it closed stays closed: of
/// two answers the newer compares as greater, in whatever order they came.
fn later(says: &PartitionSays) -> (Option<u64>, bool, Generation, Option<u64>) {
    let head = says.head.as_ref().and_then(|text| parse_head(text.as_bytes()));
    let (epoch, seq) = (head.map(|head| head.epoch), head.map(|head| head.seq));
    (epoch, says.closed, says.generation, seq)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::Partition;

    fn says(closed: bool, generation: Generation, seq: u64) -> PartitionSays {
        let head = Some(format!("1 {seq} {}", "ab".repeat(16)));
        PartitionSays { partition: Partition(3), closed, head, generation, markers: None }
    }

    #[test]
    fn of_two_answers_of_a_process_the_newer_counts_in_whatever_order_they_came() {
        for (older, newer) in [
            (says(false, 1, 9), says(false, 2, 10)),
            (says(false, 1, 9), says(false, 1, 10)),
            (says(false, 1, 10), says(true, 1, 9)),
        ] {
            for order in [[older.clone(), newer.clone()], [newer.clone(), older]] {
                let mut gateway = Gateway::default();
                for says in order {
                    gateway.take(Says::Partition(says));
                }
                assert_eq!(gateway.partitions[&Partition(3)].head, newer.head);
            }
        }
    }
}
