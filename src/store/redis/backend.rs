//! Everything but the read of every request, as commands and scripts.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redis::cmd;
use tokio::sync::broadcast;

use super::super::backend::{
    Backend, HeldPut, LogEntry, Outcome, Owner, Range, Rebase, Scored, WriteSet,
};
use super::super::inspect::BackendStatus;
use super::super::keys::{self, Key, Member};
use super::super::{Answer, Durability, StoreFault};
pub use super::asking::RedisBackend;
use super::asking::Skewed;
use super::link::{Link, only};
use super::pool::Ask;
use super::{acknowledge, answers, calls, script, status};
use crate::domain::ids::{CommitId, Partition};
use crate::domain::uses::Use;

/// The longest message from process to process.
pub const LONGEST_MESSAGE: usize = 1 << 20;

impl RedisBackend {
    async fn commit_write(&self, write: &WriteSet) -> Result<Outcome, StoreFault> {
        let partition = write.partition;
        let call = calls::commit(write, &self.shared.config, self.slack)?;
        let skewed = if write.only_ends { Skewed::GoOn } else { Skewed::Refuse };
        let ask = Ask::Script(&script::COMMIT, &call);
        let (mut lease, replies) = self.ask(&self.commits, partition, ask, skewed).await?;
        let answered = answers::commit(partition, write.commit, only(replies)?)?;
        let Outcome::Done { version, seq, durability: _ } = answered.outcome else {
            lease.give_back();
            return Ok(answered.outcome);
        };
        // It binds now, whether it is kept or not.
        self.listeners.tell_own(partition, write.commit);
        let durability = self.wait_until_kept(&mut lease.link, partition, answered.again).await;
        lease.give_back();
        Ok(Outcome::Done { version, seq, durability })
    }

    async fn wait_until_kept(
        &self,
        link: &mut Link,
        partition: Partition,
        again: bool,
    ) -> Durability {
        if again {
            // Somebody else's connection wrote it: waiting on this one would be over at once.
            return acknowledge::is_everything_kept(&self.shared, link, partition).await;
        }
        acknowledge::is_kept(&self.shared, link).await
    }

    async fn settle_partition(&self, partition: Partition) -> Result<Durability, StoreFault> {
        self.shared.gate.pass()?;
        let address = self.address_of(partition)?;
        let mut lease = self.commits.lease(&address).await?;
        let kept = acknowledge::is_everything_kept(&self.shared, &mut lease.link, partition).await;
        lease.give_back();
        Ok(kept)
    }

    async fn rebase_partition(&self, rebase: &Rebase) -> Result<Option<u64>, StoreFault> {
        let call = calls::rebase(rebase, &self.shared.config);
        let ask = Ask::Script(&script::REBASE, &call);
        // Once: what was written would not be recognised as one's own the second time.
        let asked = self.ask_once(&self.commits, rebase.partition, ask, Skewed::GoOn).await;
        let (mut lease, replies) = asked?;
        let said = answers::said(only(replies)?)?;
        if said.word != "done" {
            lease.give_back();
            return Ok(None);
        }
        let seq = said.rest.first().and_then(|seq| std::str::from_utf8(seq).ok());
        let seq = seq.and_then(super::super::record::number);
        let seq = seq.ok_or_else(|| super::link::strange("a rebase"))?;
        self.listeners.tell_own(rebase.partition, rebase.commit);
        let kept = acknowledge::is_kept(&self.shared, &mut lease.link).await;
        lease.give_back();
        match kept {
            Durability::Confirmed => Ok(Some(seq)),
            Durability::Unconfirmed => {
                let why = "the new base is written, but not kept at the configured level";
                Err(StoreFault::Unreachable(why.into()))
            }
        }
    }

    /// All of it or nothing: a record that no set lists would never be found again.
    async fn forget_all(
        &self,
        partition: Partition,
        keys: &[Key],
        places: &[(Key, Member)],
    ) -> Result<(), StoreFault> {
        if keys.is_empty() && places.is_empty() {
            return Ok(());
        }
        let call = calls::forget(keys, places);
        answers::yes(self.script(partition, &script::FORGET, &call).await?).map(drop)
    }
}

impl Backend for Arc<RedisBackend> {
    fn get<'a>(&'a self, partition: Partition, keys: &'a [Key]) -> Answer<'a, Vec<Option<Bytes>>> {
        Box::pin(async move {
            if keys.is_empty() {
                return Ok(Vec::new());
            }
            let reply = self.command(partition, &calls::get(keys)).await?;
            Ok(answers::values(reply, keys.len())?)
        })
    }

    fn commit(&self, write: WriteSet) -> Answer<'_, Outcome> {
        Box::pin(async move { self.commit_write(&write).await })
    }

    fn commit_at(&self, partition: Partition, seq: u64) -> Answer<'_, Option<CommitId>> {
        Box::pin(async move {
            let range = calls::log(partition, seq, Some(seq), 1);
            let entries = answers::log(self.command(partition, &range).await?)?;
            let entry = entries.first().filter(|entry| entry.seq == seq);
            Ok(entry.map(|entry| entry.commit))
        })
    }

    fn log(&self, partition: Partition, after: u64, limit: usize) -> Answer<'_, Vec<LogEntry>> {
        Box::pin(async move {
            let Some(first) = after.checked_add(1) else { return Ok(Vec::new()) };
            let range = calls::log(partition, first, None, limit);
            Ok(answers::log(self.command(partition, &range).await?)?)
        })
    }

    fn members<'a>(
        &'a self,
        partition: Partition,
        set: &'a Key,
        range: Range,
        limit: usize,
    ) -> Answer<'a, Vec<Scored>> {
        Box::pin(async move {
            if let Some(first) = calls::first_members(set, range, limit) {
                return Ok(answers::members(self.command(partition, &first).await?)?);
            }
            let call = calls::members(set, range, limit);
            let reply = self.script(partition, &script::MEMBERS, &call).await?;
            let mut members = answers::members(reply)?;
            if matches!(range, Range::Below(_)) {
                members.reverse();
            }
            Ok(members)
        })
    }

    fn put_lazily(&self, partition: Partition, key: Key, value: Bytes) -> Answer<'_, ()> {
        Box::pin(async move {
            let mut set = cmd("SET");
            set.arg(key.as_bytes()).arg(&value[..]);
            self.command(partition, &set).await.map(drop)
        })
    }

    fn add_uses(&self, partition: Partition, uses: Vec<(Key, Use)>) -> Answer<'_, ()> {
        Box::pin(async move {
            if uses.is_empty() {
                return Ok(());
            }
            let call = calls::add_uses(&uses);
            answers::yes(self.script(partition, &script::ADD_USES, &call).await?).map(drop)
        })
    }

    fn hold(
        &self,
        partition: Partition,
        key: Key,
        owner: Owner,
        life: Duration,
    ) -> Answer<'_, bool> {
        Box::pin(async move {
            let call = calls::hold(key, owner, life);
            answers::yes(self.script(partition, &script::HOLD, &call).await?)
        })
    }

    fn put_held(&self, put: HeldPut) -> Answer<'_, bool> {
        Box::pin(async move {
            let call = calls::put_held(&put);
            answers::yes(self.script(put.partition, &script::PUT_HELD, &call).await?)
        })
    }

    fn count_up(&self, partition: Partition, key: Key) -> Answer<'_, u64> {
        Box::pin(async move {
            let mut incr = cmd("INCR");
            incr.arg(key.as_bytes());
            // A number that was counted twice, over two connections, is a gap.
            answers::count(&self.command(partition, &incr).await?)
        })
    }

    fn swap(
        &self,
        partition: Partition,
        key: Key,
        found: Option<Bytes>,
        value: Bytes,
    ) -> Answer<'_, bool> {
        Box::pin(async move {
            let call = calls::swap(&key, found.as_deref(), &value);
            answers::yes(self.script(partition, &script::SWAP, &call).await?)
        })
    }

    fn moved(&self) -> broadcast::Receiver<Partition> {
        self.listeners.moved()
    }

    fn can_lose_commits(&self) -> bool {
        self.shared.config.acknowledge != crate::config::Acknowledge::Memory
    }

    fn settle(&self, partition: Partition) -> Answer<'_, Durability> {
        Box::pin(self.settle_partition(partition))
    }

    fn trim(&self, partition: Partition, up_to: u64) -> Answer<'_, ()> {
        Box::pin(async move {
            let reply =
                self.script(partition, &script::TRIM, &calls::trim(partition, up_to)).await?;
            match answers::said(reply)?.word.as_str() {
                "done" => Ok(()),
                _ => Err(StoreFault::Missing { partition, what: "head" }),
            }
        })
    }

    fn forget(
        &self,
        partition: Partition,
        keys: Vec<Key>,
        places: Vec<(Key, Member)>,
    ) -> Answer<'_, ()> {
        Box::pin(async move { self.forget_all(partition, &keys, &places).await })
    }

    fn rebase(&self, rebase: Rebase) -> Answer<'_, Option<u64>> {
        Box::pin(async move { self.rebase_partition(&rebase).await })
    }

    fn put_meta(&self, value: Bytes) -> Answer<'_, ()> {
        Box::pin(async move {
            let mut set = cmd("SET");
            set.arg(keys::meta().as_bytes()).arg(&value[..]).arg("NX");
            Ok(self.ask_somewhere(&set).await.map(drop)?)
        })
    }

    fn announce(&self, message: Bytes) -> Answer<'_, ()> {
        Box::pin(async move {
            if message.len() > LONGEST_MESSAGE {
                return Err(StoreFault::Unreachable("the message is too long".into()));
            }
            self.shared.gate.pass()?;
            let mut publish = cmd("PUBLISH");
            publish.arg(keys::gateways_channel(self.shared.config.database)).arg(&message[..]);
            Ok(self.ask_somewhere(&publish).await.map(drop)?)
        })
    }

    fn announcements(&self) -> broadcast::Receiver<Bytes> {
        self.listeners.said()
    }

    fn status(&self) -> Answer<'_, BackendStatus> {
        Box::pin(status::status(self))
    }
}
