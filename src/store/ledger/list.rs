//! Lists over all partitions, newest first by (time, id), without reading more than a page.

use std::collections::VecDeque;

use crate::domain::grant::{Grant, GrantStatus};
use crate::domain::ids::{GrantId, Partition, RequestId};
use crate::domain::request::{Request, RequestStatus};
use crate::store::backend::{Backend, Range, Scored};
use crate::store::keys::{self, Key, Member, Slice};
use crate::store::record::open_json;
use crate::store::{Cursor, ListQuery, Page, StoreFault};

use super::Ledger;
use super::load::Item;

/// The longest page.
const LONGEST: usize = 200;
/// How many records a page looks at before it is handed out short.
const MOST_EXAMINED: usize = 2_000;
/// How many members of one partition are fetched at a time.
const FETCH: usize = 32;

/// A kind of record that can be listed.
pub trait Listable: Item {
    fn set(partition: Partition, slice: Slice) -> Key;
    fn id_of(partition: Partition, random: [u8; 16]) -> Self::Id;
    fn member(id: Self::Id) -> Member;
    /// Whether every record of this status is in the set of open ones.
    fn is_open_status(status: &str) -> bool;
    fn fits(&self, query: &ListQuery) -> bool;
}

impl Listable for Request {
    fn set(partition: Partition, slice: Slice) -> Key {
        keys::requests(partition, slice)
    }
    fn id_of(partition: Partition, random: [u8; 16]) -> RequestId {
        RequestId { partition, random }
    }
    fn member(id: RequestId) -> Member {
        keys::member(id.random)
    }
    fn is_open_status(status: &str) -> bool {
        status == RequestStatus::Pending.word()
    }
    fn fits(&self, query: &ListQuery) -> bool {
        let status = self.status.word();
        query.subject.as_ref().is_none_or(|subject| self.subject() == subject)
            && query.status.as_deref().is_none_or(|wanted| wanted == status)
            && query.template.as_deref().is_none_or(|wanted| *wanted == *self.template.name)
    }
}

impl Listable for Grant {
    fn set(partition: Partition, slice: Slice) -> Key {
        keys::grants(partition, slice)
    }
    fn id_of(partition: Partition, random: [u8; 16]) -> GrantId {
        GrantId { partition, random }
    }
    fn member(id: GrantId) -> Member {
        keys::member(id.random)
    }
    fn is_open_status(status: &str) -> bool {
        let open = [GrantStatus::Active, GrantStatus::Scheduled, GrantStatus::Unconfirmed];
        open.iter().any(|open| open.word() == status)
    }
    fn fits(&self, query: &ListQuery) -> bool {
        let status = self.status(query.now).word();
        query.subject.as_ref().is_none_or(|subject| self.subject == *subject)
            && query.status.as_deref().is_none_or(|wanted| wanted == status)
            && query.tool.as_deref().is_none_or(|wanted| *wanted == *self.access.tool)
    }
}

/// The members of one partition's set, from the newest down.
struct Lane {
    partition: Partition,
    set: Key,
    below: Option<Scored>,
    fetched: VecDeque<Scored>,
    is_empty: bool,
}

impl<B: Backend> Ledger<B> {
    pub(super) async fn page<T: Listable>(&self, query: &ListQuery) -> Result<Page<T>, StoreFault> {
        let limit = query.limit.clamp(1, LONGEST);
        let mut lanes = self.lanes::<T>(query);
        let mut items = Vec::new();
        let mut examined = 0;
        let mut last = None;
        while items.len() < limit && examined < MOST_EXAMINED {
            let Some((partition, next)) = self.newest(&mut lanes).await? else {
                return Ok(Page { items, next: None });
            };
            examined += 1;
            let Some(random) = keys::member_id(partition, &next.member) else { continue };
            last = Some((next.score, random));
            if let Some(item) = self.listed_item::<T>(partition, random).await?
                && item.fits(query)
            {
                items.push(item);
            }
        }
        let more = self.newest(&mut lanes).await?.is_some();
        let at =
            |(score, id)| Cursor { at: crate::domain::time::Timestamp::from_millis(score), id };
        Ok(Page { items, next: last.map(at).filter(|_| more) })
    }

    fn lanes<T: Listable>(&self, query: &ListQuery) -> Vec<Lane> {
        let open = query.status.as_deref().is_some_and(T::is_open_status);
        let slice = match &query.subject {
            Some(subject) => Slice::Of(subject.key()),
            None if open => Slice::Open,
            None => Slice::All,
        };
        let below = query
            .cursor
            .map(|cursor| Scored { score: cursor.at.millis(), member: keys::member(cursor.id) });
        let only = query.subject.as_ref().map(|s| s.key().partition(self.checks.partitions));
        let partitions = self.checks.partitions.all();
        let wanted = partitions.filter(|partition| only.is_none_or(|only| only == *partition));
        let lane = |partition| Lane {
            partition,
            set: T::set(partition, slice),
            below,
            fetched: VecDeque::new(),
            is_empty: false,
        };
        wanted.map(lane).collect()
    }

    /// Takes the newest member over all lanes.
    async fn newest(&self, lanes: &mut [Lane]) -> Result<Option<(Partition, Scored)>, StoreFault> {
        for lane in lanes.iter_mut() {
            self.fill(lane).await?;
        }
        let order = |scored: &Scored| (scored.score, scored.member);
        let newest = lanes
            .iter_mut()
            .filter(|lane| !lane.fetched.is_empty())
            .max_by_key(|lane| lane.fetched.front().map(order));
        Ok(newest.and_then(|lane| Some((lane.partition, lane.fetched.pop_front()?))))
    }

    async fn fill(&self, lane: &mut Lane) -> Result<(), StoreFault> {
        if !lane.fetched.is_empty() || lane.is_empty {
            return Ok(());
        }
        let range = Range::Below(lane.below);
        let members = self.backend.members(lane.partition, &lane.set, range, FETCH).await?;
        lane.is_empty = members.len() < FETCH;
        lane.below = members.last().copied().or(lane.below);
        lane.fetched = members.into();
        Ok(())
    }

    async fn listed_item<T: Listable>(
        &self,
        partition: Partition,
        random: [u8; 16],
    ) -> Result<Option<T>, StoreFault> {
        let key = T::key(T::id_of(partition, random));
        let [value] = self.get(partition, [key]).await?;
        // Swept since the set was read.
        let Some(value) = value else { return Ok(None) };
        let (_, item): (u64, T) = open_json(&self.checks.sealer, &key, &value)?;
        Ok(Some(item))
    }
}
