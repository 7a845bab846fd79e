//! From a transition to bytes: the records, the live value, the tombstones, the sets.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use bytes::Bytes;

use crate::domain::access::is_name;
use crate::domain::command::{TimerChange, Transition};
use crate::domain::event::EventKind;
use crate::domain::grant::{Grant, Tombstone};
use crate::domain::ids::{GrantId, Partition};
use crate::domain::made::{self, TemplateChange};
use crate::domain::request::{Request, RequestStatus};
use crate::domain::subject::SubjectKey;
use crate::domain::time::Timestamp;
use crate::store::backend::{Put, SetChange};
use crate::store::compact::{self, DoesNotFit, MOST_GRANTS};
use crate::store::keys::{self, Key, Slice};
use crate::store::reader::TOMBSTONE_LIFE;
use crate::store::record::{
    AnswerRecord, EventRecord, Listed, ListedTemplate, SubjectRecord, TimerRecord, seal_json,
};
use crate::store::seal::{Sealer, invalid};
use crate::store::{Commit, StoreFault};

use super::load::ANSWER_LIFE;

/// A live value may be swept this long after the last end in it.
const SWEEP_AFTER: std::time::Duration = TOMBSTONE_LIFE;
/// More ended grants than this within a day: the oldest are forgotten first.
const MOST_TOMBSTONES: usize = 128;

/// What the subject's records said when the commit was prepared.
pub struct Before {
    pub record: SubjectRecord,
    /// Open grants that the transition does not touch.
    pub untouched: Vec<Grant>,
    pub tombstones: Vec<Tombstone>,
    pub has_live_value: bool,
}

/// The writes of one commit, while they are collected.
pub struct Writes<'a> {
    sealer: &'a Sealer,
    commit: &'a Commit,
    partition: Partition,
    subject: SubjectKey,
    version: u64,
    pub puts: Vec<Put>,
    pub deletes: Vec<Key>,
    pub sets: Vec<SetChange>,
    pub events: Vec<Bytes>,
}

impl<'a> Writes<'a> {
    /// # Errors
    /// Something that no record can hold.
    pub fn of(
        sealer: &'a Sealer,
        commit: &'a Commit,
        partition: Partition,
        version: u64,
        before: Before,
    ) -> Result<Self, StoreFault> {
        let subject = commit.subject.key();
        let (puts, deletes, sets) = (Vec::new(), Vec::new(), Vec::new());
        let events = Vec::new();
        let mut writes =
            Self { sealer, commit, partition, subject, version, puts, deletes, sets, events };
        for request in &commit.transition.requests {
            writes.request(request)?;
        }
        for grant in &commit.transition.grants {
            writes.grant(grant)?;
        }
        for change in &commit.transition.templates {
            writes.template(change)?;
        }
        writes.live(&before)?;
        writes.ended(&before)?;
        writes.anchor(before.record)?;
        writes.timers()?;
        writes.answer()?;
        writes.events()?;
        Ok(writes)
    }

    fn request(&mut self, request: &Request) -> Result<(), StoreFault> {
        let key = keys::request(request.id);
        self.belongs(&key, request.id.partition, request.subject().key())?;
        self.put(key, request, None)?;
        let (at, id) = (request.created_at.millis(), request.id.random);
        self.listed(keys::requests, at, id, request.is_open());
        Ok(())
    }

    fn grant(&mut self, grant: &Grant) -> Result<(), StoreFault> {
        let key = keys::grant(grant.id);
        self.belongs(&key, grant.id.partition, grant.subject.key())?;
        self.put(key, grant, None)?;
        let (at, id) = (grant.granted_at.millis(), grant.id.random);
        self.listed(keys::grants, at, id, grant.ended.is_none());
        Ok(())
    }

    fn template(&mut self, change: &TemplateChange) -> Result<(), StoreFault> {
        if !is_name(&change.name) || self.subject != made::subject().key() {
            let why = "it is no template of the subject of this commit";
            return Err(invalid(&keys::events(self.partition), why));
        }
        let key = keys::template(self.partition, &change.name);
        if let Some(template) = &change.template {
            return self.put(key, template, None);
        }
        self.deletes.push(key);
        Ok(())
    }

    /// A record of another subject or partition in this commit would be written where nothing
    /// finds or protects it.
    fn belongs(
        &self,
        key: &Key,
        partition: Partition,
        subject: SubjectKey,
    ) -> Result<(), StoreFault> {
        if partition != self.partition || subject != self.subject {
            return Err(invalid(key, "it is not of the subject of this commit"));
        }
        Ok(())
    }

    fn listed(&mut self, set: fn(Partition, Slice) -> Key, at: u64, id: [u8; 16], open: bool) {
        let member = keys::member(id);
        let add = |slice, score| SetChange { set: set(self.partition, slice), member, score };
        let changes = [
            add(Slice::All, Some(at)),
            add(Slice::Of(self.subject), Some(at)),
            add(Slice::Open, open.then_some(at)),
        ];
        self.sets.extend(changes);
    }

    /// The live value is made whole from the grants, never edited: a broken one heals.
    fn live(&mut self, before: &Before) -> Result<(), StoreFault> {
        let changed = self.commit.transition.grants.iter().filter(|grant| grant.ended.is_none());
        let by_id: BTreeMap<GrantId, &Grant> =
            before.untouched.iter().chain(changed).map(|grant| (grant.id, grant)).collect();
        // Grants past their end count nowhere; they make room before anything is refused.
        let crowded = by_id.len() > MOST_GRANTS;
        let now = self.commit.now;
        let grants: Vec<&Grant> =
            by_id.into_values().filter(|grant| !crowded || grant.is_open(now)).collect();
        if grants.is_empty() && !before.has_live_value {
            return Ok(());
        }
        let key = keys::live(self.partition, self.subject);
        let last = grants.iter().map(|grant| grant.expires_at).max().unwrap_or_default();
        let content =
            compact::encode(grants.into_iter()).map_err(|DoesNotFit(why)| invalid(&key, why))?;
        let sweep_at = Some(last.max(now).plus(SWEEP_AFTER));
        let value = self.sealer.seal(&key, self.version, &content);
        self.puts.push(Put { key, value, sweep_at });
        Ok(())
    }

    fn ended(&mut self, before: &Before) -> Result<(), StoreFault> {
        let ended: Vec<Tombstone> =
            self.commit.transition.grants.iter().filter_map(tombstone).collect();
        if ended.is_empty() {
            return Ok(());
        }
        let oldest = self.commit.now.minus(TOMBSTONE_LIFE);
        let stays =
            |old: &&Tombstone| old.at > oldest && !ended.iter().any(|new| new.grant == old.grant);
        let mut all: Vec<Tombstone> = before.tombstones.iter().filter(stays).cloned().collect();
        all.extend_from_slice(&ended);
        all.sort_by_key(|tombstone| Reverse(tombstone.at));
        all.truncate(MOST_TOMBSTONES);
        let key = keys::ended(self.partition, self.subject);
        self.put(key, &all, Some(self.commit.now.plus(TOMBSTONE_LIFE)))
    }

    fn anchor(&mut self, mut record: SubjectRecord) -> Result<(), StoreFault> {
        let version = self.version;
        for request in &self.commit.transition.requests {
            record.pending.retain(|listed| listed.id != request.id);
            if request.is_open() {
                record.pending.push(Listed { id: request.id, version });
            }
        }
        for grant in &self.commit.transition.grants {
            record.open.retain(|listed| listed.id != grant.id);
            if grant.ended.is_none() {
                record.open.push(Listed { id: grant.id, version });
            }
        }
        for change in &self.commit.transition.templates {
            record.templates.retain(|listed| listed.name != change.name);
            record.templates.push(listed_template(change, version));
        }
        let until = self.commit.transition.supervised_until;
        record.supervised_until = until.or(record.supervised_until);
        self.put(keys::subject(self.partition, self.subject), &record, None)
    }

    fn timers(&mut self) -> Result<(), StoreFault> {
        let fired = self.commit.fired.map(|timer| TimerChange::Remove { timer });
        for change in fired.into_iter().chain(self.commit.transition.timers.iter().copied()) {
            let (timer, at) = match change {
                TimerChange::Set { timer, at } => (timer, Some(at)),
                TimerChange::Remove { timer } => (timer, None),
            };
            let member = keys::timer_member(&timer);
            let key = keys::timer(self.partition, &member);
            // A later change of the same timer wins, also over its being fired.
            self.sets.retain(|change| change.member != member);
            self.puts.retain(|put| put.key != key);
            self.deletes.retain(|deleted| *deleted != key);
            let score = at.map(Timestamp::millis);
            self.sets.push(SetChange { set: keys::timers(self.partition), member, score });
            match at {
                None => self.deletes.push(key),
                Some(at) => {
                    let subject = self.commit.subject.clone();
                    self.put(key, &TimerRecord { subject, timer, at }, None)?;
                }
            }
        }
        Ok(())
    }

    fn answer(&mut self) -> Result<(), StoreFault> {
        let Some((key, answer)) = &self.commit.answer else { return Ok(()) };
        let at = self.commit.now;
        let waits_for = self.commit.transition.inert_grants();
        let record = AnswerRecord { at, answer: answer.clone(), waits_for };
        self.put(keys::answer(self.partition, *key), &record, Some(at.plus(ANSWER_LIFE)))
    }

    fn events(&mut self) -> Result<(), StoreFault> {
        let commit = self.commit;
        let too_many = || invalid(&keys::events(self.partition), "too many events in one commit");
        let of = u16::try_from(commit.transition.events.len()).map_err(|_| too_many())?;
        for (index, event) in (0..of).zip(&commit.transition.events) {
            let record = EventRecord {
                subject: commit.subject.clone(),
                traceparent: commit.traceparent.clone(),
                of,
                event: event.clone(),
            };
            let key = keys::event(self.partition, self.subject, index);
            let sealed = seal_json(self.sealer, &key, self.version, &record)?;
            // The subject's key stands before the seal, because the seal's name needs it.
            self.events.push([&self.subject.0[..], &sealed[..]].concat().into());
        }
        Ok(())
    }

    fn put<T: serde::Serialize>(
        &mut self,
        key: Key,
        record: &T,
        sweep_at: Option<Timestamp>,
    ) -> Result<(), StoreFault> {
        let value = seal_json(self.sealer, &key, self.version, record)?;
        self.puts.push(Put { key, value, sweep_at });
        Ok(())
    }
}

fn tombstone(grant: &Grant) -> Option<Tombstone> {
    let ended = grant.ended.as_ref()?;
    let tool = grant.access.tool.clone();
    Some(Tombstone { grant: grant.id, tool, why: ended.why, at: ended.at })
}

fn listed_template(change: &TemplateChange, version: u64) -> ListedTemplate {
    let (name, revision) = (change.name.clone(), change.version);
    let accesses = change.template.as_ref().map(|template| template.accesses.clone());
    let deleted = accesses.is_none();
    ListedTemplate { name, version, revision, accesses: accesses.unwrap_or_default(), deleted }
}

/// Whether a commit only takes access away.
pub fn only_ends(commit: &Commit) -> bool {
    let request_ends = |request: &Request| match request.status {
        RequestStatus::Pending | RequestStatus::Approved { .. } => false,
        RequestStatus::Denied { .. }
        | RequestStatus::Cancelled { .. }
        | RequestStatus::Expired { .. } => true,
    };
    let Transition { grants, requests, events, templates, .. } = &commit.transition;
    grants.iter().all(|grant| grant.ended.is_some())
        && requests.iter().all(request_ends)
        // What is over already may be talked about: that ends nothing.
        && events.iter().all(|event| is_end(event.kind))
        && templates.is_empty()
}

const fn is_end(kind: EventKind) -> bool {
    match kind {
        EventKind::RequestDenied
        | EventKind::RequestCancelled
        | EventKind::RequestExpired
        | EventKind::GrantExpired
        | EventKind::GrantRevoked
        | EventKind::GrantReleased => true,
        EventKind::RequestSubmitted
        | EventKind::RequestCommented
        | EventKind::RequestStepApproved
        | EventKind::RequestApproved
        | EventKind::RequestEscalated
        | EventKind::GrantActivated
        | EventKind::GrantExtended
        | EventKind::GrantExpiring
        | EventKind::BreakglassUsed
        | EventKind::BreakglassReviewed
        | EventKind::BreakglassOverdue
        | EventKind::TemplateChanged => false,
    }
}
