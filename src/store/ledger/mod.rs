//! The typed store over any back end: encodes, seals and derives on the way in, verifies and
//! compares with what this process knew on the way out.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::clock::SharedClock;
use crate::domain::grant::Grant;
use crate::domain::ids::{GrantId, Partition, PartitionCount, RequestId};
use crate::domain::made::{MadeTemplates, MadeVersion};
use crate::domain::markers::Markers;
use crate::domain::request::Request;
use crate::domain::time::Timestamp;
use crate::domain::uses::Use;
use crate::entropy;

use super::backend::{Backend, HeldPut, Owner};
use super::checks::{Base, Checks};
use super::keys::{self, Key};
use super::memory::Known;
use super::record::{number, open_json, parse_head};
use super::{
    Answer, Commit, Committed, DeadLetters, DuePlace, DueTimers, Durability, KillOrder, Killed,
    KilledPlace, LetterChange, LettersChanged, ListQuery, Load, Loaded, Page, RELAY_LIFE, Retained,
    Retention, Store, StoreFault, StoredEvent,
};

mod commit;
mod derive;
mod events;
mod inspect;
mod kill;
mod killed;
mod letters;
mod list;
mod load;
mod retain;
mod templates;
mod timers;
mod uses;

/// How often a read that was overtaken by a commit is made again.
const READ_TRIES: usize = 8;

pub struct Ledger<B> {
    pub(super) backend: B,
    pub(super) checks: Arc<Checks>,
    pub(super) clock: SharedClock,
    /// Who this process is to leases; drawn when it is first needed.
    owner: OnceLock<Owner>,
}

impl<B: Backend> Ledger<B> {
    pub fn new(backend: B, checks: Arc<Checks>, clock: SharedClock) -> Self {
        Self { backend, checks, clock, owner: OnceLock::new() }
    }

    /// Head and markers from a reply, checked and proven. What they show is remembered by
    /// [`Checks::learn`], together with the subject's version.
    async fn base(
        &self,
        partition: Partition,
        known: &Known,
        head: Option<&Bytes>,
        markers: Option<&Bytes>,
    ) -> Result<Base, StoreFault> {
        let head = self.checks.head(partition, head, |bytes| parse_head(bytes))?;
        let verify = |bytes: &Bytes| {
            let verified = self.checks.markers(partition, bytes)?;
            Ok((verified.epoch, verified.markers))
        };
        let (base, proof) = self.checks.base(partition, known, head, (markers, verify))?;
        if let Some(proof) = proof {
            let found = self.backend.commit_at(partition, proof.seq).await?;
            self.checks.prove(partition, proof, found)?;
        }
        Ok(base)
    }

    /// Reads head and markers by themselves.
    async fn read_base(&self, partition: Partition) -> Result<Base, StoreFault> {
        let known = self.checks.memory.known(partition, None);
        let keys = [keys::head(partition), keys::markers(partition)];
        let [head, markers] = self.get(partition, keys).await?;
        let base = self.base(partition, &known, head.as_ref(), markers.as_ref()).await?;
        self.checks.learn(partition, &known, &base, None)?;
        Ok(base)
    }

    pub(super) async fn get<const N: usize>(
        &self,
        partition: Partition,
        keys: [Key; N],
    ) -> Result<[Option<Bytes>; N], StoreFault> {
        let values = self.backend.get(partition, &keys).await?;
        values.try_into().map_err(|_| StoreFault::Unreachable("an answer of another length".into()))
    }

    fn owner(&self) -> Result<Owner, StoreFault> {
        if let Some(owner) = self.owner.get() {
            return Ok(*owner);
        }
        let no_entropy = |fault: entropy::NoEntropy| StoreFault::Unreachable(fault.to_string());
        let drawn = entropy::bytes().map_err(no_entropy)?;
        Ok(*self.owner.get_or_init(|| drawn))
    }

    fn exists(&self, partition: Partition) -> bool {
        partition.0 < self.checks.partitions.get()
    }

    async fn read_request(&self, id: RequestId) -> Result<Option<Request>, StoreFault> {
        if !self.exists(id.partition) {
            return Ok(None);
        }
        let key = keys::request(id);
        let [value] = self.get(id.partition, [key]).await?;
        value.map(|value| Ok(open_json(&self.checks.sealer, &key, &value)?.1)).transpose()
    }

    async fn read_grant(&self, id: GrantId) -> Result<Option<Grant>, StoreFault> {
        if !self.exists(id.partition) {
            return Ok(None);
        }
        let key = keys::grant(id);
        let [value] = self.get(id.partition, [key]).await?;
        value.map(|value| Ok(open_json(&self.checks.sealer, &key, &value)?.1)).transpose()
    }

    async fn read_cursor(&self, sink: &str, partition: Partition) -> Result<u64, StoreFault> {
        let key = keys::sink(partition, sink);
        let [value] = self.get(partition, [key]).await?;
        let Some(value) = value else { return Ok(0) };
        let seq = std::str::from_utf8(&value).ok().and_then(number);
        seq.ok_or_else(|| super::seal::invalid(&key, "not a sequence number"))
    }
}

impl<B: Backend> Store for Ledger<B> {
    fn partitions(&self) -> PartitionCount {
        self.checks.partitions
    }

    fn load<'a>(&'a self, load: Load<'a>) -> Answer<'a, Loaded> {
        Box::pin(self.load_subject(load))
    }

    fn commit(&self, commit: Commit) -> Answer<'_, Committed> {
        Box::pin(self.commit_transition(commit))
    }

    fn request(&self, id: RequestId) -> Answer<'_, Option<Request>> {
        Box::pin(self.read_request(id))
    }

    fn grant(&self, id: GrantId) -> Answer<'_, Option<Grant>> {
        Box::pin(self.read_grant(id))
    }

    fn list_requests<'a>(&'a self, query: &'a ListQuery) -> Answer<'a, Page<Request>> {
        Box::pin(self.page(query))
    }

    fn list_grants<'a>(&'a self, query: &'a ListQuery) -> Answer<'a, Page<Grant>> {
        Box::pin(self.page(query))
    }

    fn markers(&self, partition: Partition) -> Answer<'_, Arc<Markers>> {
        Box::pin(async move { Ok(self.read_base(partition).await?.markers) })
    }

    fn kill(&self, partition: Partition, kill: KillOrder) -> Answer<'_, Durability> {
        Box::pin(self.kill_partition(partition, kill))
    }

    fn killed(&self, partition: Partition, from: Option<KilledPlace>) -> Answer<'_, Killed> {
        Box::pin(self.killed_page(partition, from))
    }

    fn templates(&self, known: Option<MadeVersion>) -> Answer<'_, Option<MadeTemplates>> {
        Box::pin(self.templates_since(known))
    }

    fn add_uses<'a>(&'a self, partition: Partition, uses: &'a [(GrantId, Use)]) -> Answer<'a, ()> {
        Box::pin(self.add_uses_of(partition, uses))
    }

    fn uses<'a>(
        &'a self,
        partition: Partition,
        grants: &'a [GrantId],
    ) -> Answer<'a, BTreeMap<GrantId, Use>> {
        Box::pin(self.uses_of(partition, grants))
    }

    fn due_timers(
        &self,
        partition: Partition,
        now: Timestamp,
        after: Option<DuePlace>,
        limit: usize,
    ) -> Answer<'_, DueTimers> {
        Box::pin(self.timers_due(partition, now, after, limit))
    }

    fn read_events(
        &self,
        partition: Partition,
        after: u64,
        limit: usize,
    ) -> Answer<'_, Vec<StoredEvent>> {
        Box::pin(self.events_after(partition, after, limit))
    }

    fn cursor<'a>(&'a self, sink: &'a str, partition: Partition) -> Answer<'a, u64> {
        Box::pin(self.read_cursor(sink, partition))
    }

    fn set_cursor<'a>(&'a self, sink: &'a str, partition: Partition, seq: u64) -> Answer<'a, bool> {
        Box::pin(async move {
            let put = HeldPut {
                partition,
                lease: keys::relay(partition, sink),
                owner: self.owner()?,
                key: keys::sink(partition, sink),
                value: seq.to_string().into(),
            };
            self.backend.put_held(put).await
        })
    }

    fn claim<'a>(&'a self, sink: &'a str, partition: Partition) -> Answer<'a, bool> {
        Box::pin(async move {
            let lease = keys::relay(partition, sink);
            self.backend.hold(partition, lease, self.owner()?, RELAY_LIFE).await
        })
    }

    fn can_lose_commits(&self) -> bool {
        self.backend.can_lose_commits()
    }

    fn settle(&self, partition: Partition) -> Answer<'_, Durability> {
        self.backend.settle(partition)
    }

    fn draw<'a>(&'a self, name: &'a str) -> Answer<'a, u64> {
        self.backend.count_up(keys::TURNS, keys::turn(name))
    }

    fn retain(&self, partition: Partition, retention: Retention) -> Answer<'_, Retained> {
        Box::pin(self.retain_page(partition, retention))
    }

    fn moved(&self) -> tokio::sync::broadcast::Receiver<Partition> {
        self.backend.moved()
    }

    fn probe(&self) -> Answer<'_, ()> {
        Box::pin(async move { self.read_base(Partition(0)).await.map(|_| ()) })
    }

    fn dead_letters<'a>(&'a self, sink: &'a str, partition: Partition) -> Answer<'a, DeadLetters> {
        Box::pin(self.read_letters(sink, partition))
    }

    fn change_dead_letters<'a>(
        &'a self,
        sink: &'a str,
        partition: Partition,
        change: LetterChange,
    ) -> Answer<'a, LettersChanged> {
        Box::pin(self.change_letters(sink, partition, change))
    }
}
