//! Load: everything about a subject that a command may look at, as it was at one moment.

use std::collections::BTreeMap;
use std::hash::Hash;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::domain::apply::grant_status;
use crate::domain::command::SubjectState;
use crate::domain::grant::{Grant, GrantStatus};
use crate::domain::ids::{GrantId, Partition, RequestId};
use crate::domain::request::Request;
use crate::domain::subject::{Subject, SubjectKey};
use crate::store::backend::Backend;
use crate::store::keys::{self, Key};
use crate::store::record::{AnswerRecord, Listed, SubjectRecord, open_json};
use crate::store::seal::{Sealer, invalid};
use crate::store::{Load, Loaded, StoreFault, StoredAnswer};

use super::templates::open_templates;
use super::{Ledger, READ_TRIES};

/// How long an idempotency answer holds.
pub const ANSWER_LIFE: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

/// A request or a grant: what lists and loads have in common.
pub trait Item: DeserializeOwned + Send + Sized {
    type Id: Copy + Ord + Hash + Send + Sync;
    fn key(id: Self::Id) -> Key;
    fn id(&self) -> Self::Id;
    fn subject(&self) -> &Subject;
    /// Listed in the subject's record: pending or owed a review, not ended.
    fn is_listed(&self) -> bool;
}

impl Item for Request {
    type Id = RequestId;
    fn key(id: RequestId) -> Key {
        keys::request(id)
    }
    fn id(&self) -> RequestId {
        self.id
    }
    fn subject(&self) -> &Subject {
        Request::subject(self)
    }
    fn is_listed(&self) -> bool {
        self.is_open()
    }
}

impl Item for Grant {
    type Id = GrantId;
    fn key(id: GrantId) -> Key {
        keys::grant(id)
    }
    fn id(&self) -> GrantId {
        self.id
    }
    fn subject(&self) -> &Subject {
        &self.subject
    }
    fn is_listed(&self) -> bool {
        self.ended.is_none()
    }
}

impl<B: Backend> Ledger<B> {
    pub(in crate::store) async fn load_subject(
        &self,
        load: Load<'_>,
    ) -> Result<Loaded, StoreFault> {
        let partition = load.subject.key().partition(self.checks.partitions);
        let anchor = keys::subject(partition, load.subject.key());
        let [mut anchor_value] = self.get(partition, [anchor]).await?;
        for _ in 0..READ_TRIES {
            let read = self.load_listed(&load, partition, anchor_value.as_ref()).await?;
            match read {
                Read::Whole(loaded) => return Ok(*loaded),
                Read::Overtaken(newer) => anchor_value = newer,
            }
        }
        Err(StoreFault::Unreachable("a subject changed faster than it could be read".into()))
    }

    /// Reads everything that `expected`, the subject's record as it was a moment ago, lists, and
    /// that record again with it, in one atomic read.
    async fn load_listed(
        &self,
        load: &Load<'_>,
        partition: Partition,
        expected: Option<&Bytes>,
    ) -> Result<Read, StoreFault> {
        let subject = load.subject.key();
        let anchor = keys::subject(partition, subject);
        let record = self.open_anchor(&anchor, expected, load.subject)?;
        let (version, record) = record.map_or((0, None), |(version, r)| (version, Some(r)));
        let requests = wanted(
            record.as_ref().map(|r| &r.pending[..]),
            load.request.filter(|id| id.partition == partition),
        );
        let grants = wanted(
            record.as_ref().map(|r| &r.open[..]),
            load.grant.filter(|id| id.partition == partition),
        );
        let answer = load.idempotency.map(|key| keys::answer(partition, *key));

        let mut keys = vec![keys::head(partition), keys::markers(partition), anchor];
        // Without an idempotency key, the head is asked a second time and not looked at.
        keys.push(answer.unwrap_or_else(|| keys::head(partition)));
        keys.extend(requests.iter().map(|listed| Request::key(listed.id)));
        keys.extend(grants.iter().map(|listed| Grant::key(listed.id)));
        let templates = record.as_ref().map(|r| &r.templates[..]).unwrap_or_default();
        keys.extend(templates.iter().map(|listed| keys::template(partition, &listed.name)));
        let known = self.checks.memory.known(partition, Some(subject));
        let values = self.backend.get(partition, &keys).await?;
        let Some(([head, markers, found, stored], rest)) = values.split_first_chunk::<4>() else {
            return Err(StoreFault::Unreachable("an answer of another length".into()));
        };

        let base = self.base(partition, &known, head.as_ref(), markers.as_ref()).await?;
        if found.as_ref() != expected {
            return Ok(Read::Overtaken(found.clone()));
        }
        self.checks.version(partition, &known, &base, version)?;
        self.checks.learn(partition, &known, &base, Some((subject, version)))?;
        let (request_values, rest) = rest.split_at_checked(requests.len()).unwrap_or_default();
        let (grant_values, templates_values) =
            rest.split_at_checked(grants.len()).unwrap_or_default();
        let sealer = &self.checks.sealer;
        let state = SubjectState {
            subject: load.subject.clone(),
            partition,
            version,
            confirms_later: self.backend.can_lose_commits(),
            markers: base.markers,
            supervised_until: record.as_ref().and_then(|record| record.supervised_until),
            requests: open_items(sealer, load.subject, &requests, request_values)?,
            grants: open_items(sealer, load.subject, &grants, grant_values)?,
            templates: open_templates(sealer, partition, templates, templates_values),
        };
        let answer = answer.zip(stored.as_ref());
        let answer =
            answer.map(|(key, value)| self.open_answer(&key, value, &state)).transpose()?;
        Ok(Read::Whole(Box::new(Loaded { state, answer: answer.flatten() })))
    }

    /// The subject's record, which has to be of this subject.
    pub(super) fn open_anchor(
        &self,
        key: &Key,
        value: Option<&Bytes>,
        subject: &Subject,
    ) -> Result<Option<(u64, SubjectRecord)>, StoreFault> {
        let Some(value) = value else { return Ok(None) };
        let (version, record): (u64, SubjectRecord) = open_json(&self.checks.sealer, key, value)?;
        if record.subject != *subject {
            return Err(invalid(key, "it is of another subject"));
        }
        Ok(Some((version, record)))
    }

    /// While a grant that the answer tells of is not confirmed, the answer is still
    /// [`StoredAnswer::unconfirmed`].
    fn open_answer(
        &self,
        key: &Key,
        value: &Bytes,
        state: &SubjectState,
    ) -> Result<Option<StoredAnswer>, StoreFault> {
        let (_, record): (u64, AnswerRecord) = open_json(&self.checks.sealer, key, value)?;
        let now = self.clock.now();
        let waits = |id: &GrantId| {
            let grant = state.grants.get(id);
            grant.map(|grant| grant_status(grant, &state.markers, now))
                == Some(GrantStatus::Unconfirmed)
        };
        let is_early = record.waits_for.iter().any(waits);
        let answer = if is_early { record.answer.unconfirmed() } else { record.answer };
        Ok((now < record.at.plus(ANSWER_LIFE)).then_some(answer))
    }
}

enum Read {
    Whole(Box<Loaded>),
    /// The subject's record is another one now.
    Overtaken(Option<Bytes>),
}

/// What to read: all that is listed, and the one that the command names.
fn wanted<I: Partitioned>(listed: Option<&[Listed<I>]>, named: Option<I>) -> Vec<Wanted<I>> {
    let mut wanted: Vec<Wanted<I>> = listed
        .unwrap_or_default()
        .iter()
        .map(|listed| Wanted { id: listed.id, listed_at: Some(listed.version) })
        .collect();
    if let Some(id) = named
        && !wanted.iter().any(|wanted| wanted.id == id)
    {
        wanted.push(Wanted { id, listed_at: None });
    }
    wanted
}

/// An identifier that can be compared.
pub trait Partitioned: Copy + PartialEq {}
impl Partitioned for RequestId {}
impl Partitioned for GrantId {}

pub struct Wanted<I> {
    pub id: I,
    /// The version it was written at, as the subject's record says; `None`: it is not listed.
    pub listed_at: Option<u64>,
}

/// Opens records and holds each against the list: a listed one is there and of the version that is
/// listed, one that is not listed is over. An older sealed value put back fits neither.
pub(super) fn open_items<T: Item>(
    sealer: &Sealer,
    subject: &Subject,
    wanted: &[Wanted<T::Id>],
    values: &[Option<Bytes>],
) -> Result<BTreeMap<T::Id, T>, StoreFault> {
    let mut items = BTreeMap::new();
    for (wanted, value) in wanted.iter().zip(values) {
        let key = T::key(wanted.id);
        let Some(value) = value else {
            match wanted.listed_at {
                Some(_) => return Err(invalid(&key, "it is listed but not there")),
                None => continue,
            }
        };
        let (version, item): (u64, T) = open_json(sealer, &key, value)?;
        if item.id() != wanted.id {
            return Err(invalid(&key, "it carries another id"));
        }
        if SubjectKey::new(&item.subject().issuer, &item.subject().name) != subject.key() {
            match wanted.listed_at {
                Some(_) => return Err(invalid(&key, "it is of another subject")),
                None => continue,
            }
        }
        let fits = match wanted.listed_at {
            Some(listed) => listed == version && item.is_listed(),
            None => !item.is_listed(),
        };
        if !fits {
            return Err(invalid(&key, "it is not the one that its subject lists"));
        }
        items.insert(item.id(), item);
    }
    Ok(items)
}
