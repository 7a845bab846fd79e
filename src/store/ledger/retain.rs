//! Retention: what everybody has and is old leaves the log, what is long over is forgotten. The
//! subject's own record stays, and with it the version that nothing older may fall behind.

use bytes::Bytes;

use crate::domain::grant::Grant;
use crate::domain::ids::Partition;
use crate::domain::request::{Request, RequestStatus};
use crate::domain::time::Timestamp;
use crate::store::backend::{Backend, KEPT_ENTRIES, LogEntry, Range, Scored};
use crate::store::keys::{self, Key, Member, Slice};
use crate::store::record::{SubjectRecord, open_json};
use crate::store::seal::invalid;
use crate::store::{RetainPlace, Retained, Retention, StoreFault};

use super::Ledger;
use super::list::Listable;

/// How many entries of the log are looked at in one go.
const ENTRIES: usize = 256;
/// How many records are looked at in one go.
const RECORDS: usize = 64;

/// A record that is over one day.
trait Passing: Listable {
    /// Ended before this moment, and past every end that it was to have.
    fn was_over(&self, before: Timestamp) -> bool;
    fn stands_in(&self, subject: &SubjectRecord) -> bool;
    /// Records that lead to this one and have to be gone first.
    fn needed_by(&self) -> Vec<Key>;
    /// Everything that goes with it, itself included.
    fn keys(&self) -> Vec<Key>;
    fn place_after(place: Scored) -> RetainPlace;
}

impl Passing for Grant {
    fn was_over(&self, before: Timestamp) -> bool {
        self.ended.as_ref().is_some_and(|ended| ended.at < before) && self.expires_at < before
    }
    fn stands_in(&self, subject: &SubjectRecord) -> bool {
        subject.open.iter().any(|listed| listed.id == self.id)
    }
    fn needed_by(&self) -> Vec<Key> {
        Vec::new()
    }
    fn keys(&self) -> Vec<Key> {
        vec![keys::grant(self.id), keys::grant_use(self.id)]
    }
    fn place_after(place: Scored) -> RetainPlace {
        RetainPlace::Grants(Some(place))
    }
}

impl Passing for Request {
    fn was_over(&self, before: Timestamp) -> bool {
        self.status.decided_at().is_some_and(|at| at < before) && !self.is_open()
    }
    fn stands_in(&self, subject: &SubjectRecord) -> bool {
        subject.pending.iter().any(|listed| listed.id == self.id)
    }
    fn needed_by(&self) -> Vec<Key> {
        match &self.status {
            RequestStatus::Approved { grants, .. } => {
                grants.iter().copied().map(keys::grant).collect()
            }
            RequestStatus::Pending
            | RequestStatus::Denied { .. }
            | RequestStatus::Cancelled { .. }
            | RequestStatus::Expired { .. } => Vec::new(),
        }
    }
    fn keys(&self) -> Vec<Key> {
        vec![keys::request(self.id)]
    }
    fn place_after(place: Scored) -> RetainPlace {
        RetainPlace::Requests(Some(place))
    }
}

impl<B: Backend> Ledger<B> {
    /// A partition that went back in time is left as it is: reading its head fails.
    pub(super) async fn retain_page(
        &self,
        partition: Partition,
        retention: Retention,
    ) -> Result<Retained, StoreFault> {
        let head = self.read_base(partition).await?.head.seq;
        match retention.from.unwrap_or(RetainPlace::Log { after: 0 }) {
            RetainPlace::Log { after } => {
                let up_to = retention.delivered.min(head.saturating_sub(KEPT_ENTRIES));
                self.trim_page(partition, retention.before, after, up_to).await
            }
            RetainPlace::Grants(above) => {
                let done = self.forget_page::<Grant>(partition, retention.before, above).await?;
                let next = done.next.or(Some(RetainPlace::Requests(None)));
                let (grants, broken) = (done.count, done.broken);
                Ok(Retained { grants, broken, next, ..Retained::default() })
            }
            RetainPlace::Requests(above) => {
                let done = self.forget_page::<Request>(partition, retention.before, above).await?;
                let (requests, broken, next) = (done.count, done.broken, done.next);
                Ok(Retained { requests, broken, next, ..Retained::default() })
            }
        }
    }

    /// Entries stand in the order of their commits, so that the first young one ends the walk. One
    /// that tells no time (no events, or none that can be trusted) goes with what follows it.
    async fn trim_page(
        &self,
        partition: Partition,
        before: Timestamp,
        after: u64,
        up_to: u64,
    ) -> Result<Retained, StoreFault> {
        let log_is_done = Some(RetainPlace::Grants(None));
        let mut done = Retained { next: log_is_done, ..Retained::default() };
        if after >= up_to {
            return Ok(done);
        }
        let entries = self.backend.log(partition, after, ENTRIES).await?;
        if let Some(last) = entries.last().filter(|_| entries.len() >= ENTRIES) {
            done.next = Some(RetainPlace::Log { after: last.seq });
        }
        let mut last_old = None;
        for (seen, entry) in (1..).zip(&entries) {
            let recorded = self.recorded_at(partition, entry);
            let is_young = matches!(recorded, Ok(Some(at)) if at >= before);
            if is_young || entry.seq > up_to {
                done.next = log_is_done;
                break;
            }
            match recorded {
                Ok(Some(_old)) => last_old = Some((seen, entry.seq)),
                Ok(None) => (),
                Err(fault) => done.broken.push(fault),
            }
        }
        if let Some((seen, seq)) = last_old {
            self.backend.trim(partition, seq).await?;
            done.entries = seen;
        }
        Ok(done)
    }

    /// All events of a commit carry its time.
    fn recorded_at(
        &self,
        partition: Partition,
        entry: &LogEntry,
    ) -> Result<Option<Timestamp>, StoreFault> {
        let Some(first) = entry.events.first() else { return Ok(None) };
        Ok(Some(self.open_event(partition, 0, first)?.1.event.at))
    }

    async fn forget_page<T: Passing>(
        &self,
        partition: Partition,
        before: Timestamp,
        above: Option<Scored>,
    ) -> Result<Forgotten, StoreFault> {
        let set = T::set(partition, Slice::All);
        let range = Range::UpTo(before.millis(), above);
        let members = self.backend.members(partition, &set, range, RECORDS).await?;
        let last = members.last().copied().filter(|_| members.len() >= RECORDS);
        let mut done = Forgotten { next: last.map(T::place_after), ..Forgotten::default() };
        let over: Vec<T> = self.read_members::<T>(partition, &members, &mut done.broken).await?;
        let over: Vec<T> = over.into_iter().filter(|item| item.was_over(before)).collect();
        let gone = self.unneeded(partition, over, &mut done.broken).await?;
        if gone.is_empty() {
            return Ok(done);
        }
        done.count = gone.len();
        let keys = gone.iter().flat_map(Passing::keys).collect();
        let places = gone.iter().flat_map(|item| places_of(partition, item)).collect();
        self.backend.forget(partition, keys, places).await?;
        Ok(done)
    }

    async fn read_members<T: Passing>(
        &self,
        partition: Partition,
        members: &[Scored],
        broken: &mut Vec<StoreFault>,
    ) -> Result<Vec<T>, StoreFault> {
        let ids = members.iter().filter_map(|found| keys::member_id(partition, &found.member));
        let keys: Vec<Key> = ids.map(|random| T::key(T::id_of(partition, random))).collect();
        let values = self.get_some(partition, &keys).await?;
        let mut items = Vec::new();
        for (key, value) in keys.iter().zip(values) {
            // Forgotten by another process since the set was read.
            let Some(value) = value else { continue };
            match open_json::<T>(&self.checks.sealer, key, &value) {
                Ok((_, item)) => items.push(item),
                Err(fault) => broken.push(fault),
            }
        }
        Ok(items)
    }

    /// Leaves out what its subject lists as open, and what a kept record leads to. A record that
    /// is over never opens again, so that nothing is lost when its subject moves meanwhile.
    async fn unneeded<T: Passing>(
        &self,
        partition: Partition,
        over: Vec<T>,
        broken: &mut Vec<StoreFault>,
    ) -> Result<Vec<T>, StoreFault> {
        let mut unneeded = Vec::new();
        for item in over {
            let anchor = keys::subject(partition, item.subject().key());
            let keys = [vec![anchor], item.needed_by()].concat();
            let values = self.get_some(partition, &keys).await?;
            let Some((found, needing)) = values.split_first() else { continue };
            let opened = self.open_anchor(&anchor, found.as_ref(), item.subject());
            match opened.and_then(|record| record.ok_or_else(|| invalid(&anchor, "it is gone"))) {
                Ok((_, record)) if item.stands_in(&record) => {
                    broken.push(invalid(&anchor, "it lists as open what is over"));
                }
                Ok(_) if needing.iter().any(Option::is_some) => (),
                Ok(_) => unneeded.push(item),
                Err(fault) => broken.push(fault),
            }
        }
        Ok(unneeded)
    }

    async fn get_some(
        &self,
        partition: Partition,
        keys: &[Key],
    ) -> Result<Vec<Option<Bytes>>, StoreFault> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.backend.get(partition, keys).await
    }
}

#[derive(Default)]
struct Forgotten {
    count: usize,
    broken: Vec<StoreFault>,
    next: Option<RetainPlace>,
}

fn places_of<T: Passing>(partition: Partition, item: &T) -> Vec<(Key, Member)> {
    let member = T::member(item.id());
    let slices = [Slice::All, Slice::Open, Slice::Of(item.subject().key())];
    slices.map(|slice| (T::set(partition, slice), member)).to_vec()
}
