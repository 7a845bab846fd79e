//! Repairing a partition: what was revoked ends again first, through the ordinary commands; only
//! then the epoch is raised, which opens the partition in every process that keeps it closed.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::apply::apply;
use crate::domain::command::{Command, SubjectState, Transition};
use crate::domain::grant::Grant;
use crate::domain::ids::{GrantId, Partition};
use crate::domain::refused::Refused;
use crate::domain::subject::{Actor, Subject, SubjectKey};
use crate::entropy;
use crate::store::backend::{Backend, Rebase};
use crate::store::keys;
use crate::store::ledger::Ledger;
use crate::store::record::{FORMAT, MarkersRecord, Meta, open_json, seal_json};
use crate::store::revoked::Revocation;
use crate::store::{Commit, Committed, Load, StoreFault, compact};

use super::plan::{Plan, Reason};
use super::{Answers, Outcome, Repaired};

/// How often what somebody overtook is made again.
const TRIES: usize = 8;
/// So many revocations are looked up in one read.
const LOOKED_UP: usize = 128;

type ToEnd<'a> = BTreeMap<GrantId, &'a Revocation>;

impl<B: Backend> Ledger<B> {
    pub(super) async fn repair_all(&self, answers: &Answers) -> Result<Vec<Outcome>, StoreFault> {
        let mut revoked: BTreeMap<Partition, ToEnd<'_>> = BTreeMap::new();
        for revocation in answers.gateways.iter().flat_map(|gateway| gateway.revocations.values()) {
            let of = revoked.entry(revocation.grant.partition).or_default();
            of.insert(revocation.grant, revocation);
        }
        let mut outcomes = Vec::new();
        for partition in self.checks.partitions.all() {
            let revoked = revoked.remove(&partition).unwrap_or_default();
            let repaired = self.repair_partition(partition, answers, &revoked).await;
            outcomes.push(repaired.unwrap_or_else(|fault| Outcome::Failed(partition, fault)));
        }
        Ok(outcomes)
    }

    async fn repair_partition(
        &self,
        partition: Partition,
        answers: &Answers,
        revoked: &ToEnd<'_>,
    ) -> Result<Outcome, StoreFault> {
        let mut plan = self.plan(partition, answers, self.clock.now()).await?;
        let mut reasons = std::mem::take(&mut plan.reasons);
        let has_base = !reasons.contains(&Reason::NoBase);
        let open = self.open_again(partition, revoked).await?;
        if !open.is_empty() {
            reasons.push(Reason::Revived(open.len()));
        }
        if reasons.is_empty() {
            return Ok(Outcome::Fine(partition));
        }
        let mut held_back = Vec::new();
        if !has_base {
            self.backend.put_meta(self.meta()?).await?;
            if !open.is_empty() {
                held_back = self.begin_suspended(partition, plan, &open).await?;
            }
        }
        self.end_all(&open).await?;
        let (plan, seq) = self.raise(partition, answers, &held_back).await?;
        Ok(Outcome::Repaired(Repaired {
            partition,
            why: reasons,
            ended: open.keys().copied().collect(),
            epoch: plan.epoch,
            seq,
            kills: plan.markers.kills.len(),
            suspended: plan.markers.suspended.len(),
        }))
    }

    /// Which of the remembered revocations the store does not know of: the grant is open in its
    /// record, or still stands in the value that gateways read.
    async fn open_again<'a>(
        &self,
        partition: Partition,
        revoked: &ToEnd<'a>,
    ) -> Result<ToEnd<'a>, StoreFault> {
        let mut open = BTreeMap::new();
        let all: Vec<&'a Revocation> = revoked.values().copied().collect();
        for some in all.chunks(LOOKED_UP) {
            let pair =
                |r: &&Revocation| [keys::grant(r.grant), keys::live(partition, r.subject.key())];
            let keys: Vec<_> = some.iter().flat_map(pair).collect();
            let values = self.backend.get(partition, &keys).await?;
            let pairs = keys.as_chunks::<2>().0.iter().zip(values.as_chunks::<2>().0);
            for (revocation, ([record_key, live_key], [record, live])) in some.iter().zip(pairs) {
                let sealer = &self.checks.sealer;
                let record = record.as_ref().map(|value| open_json(sealer, record_key, value));
                let record: Option<(u64, Grant)> = record.transpose()?;
                let is_open = record.is_some_and(|(_, grant)| grant.ended.is_none());
                // A value with a bad seal counts nowhere.
                let live = live.as_ref().and_then(|value| sealer.open(live_key, value).ok());
                let counts = live.is_some_and(|live| {
                    compact::grants(&live.content).any(|grant| grant.id == revocation.grant)
                });
                if is_open || counts {
                    open.insert(revocation.grant, *revocation);
                }
            }
        }
        Ok(open)
    }

    /// Commits need head and markers. Until the revocations are made again, those whom they concern
    /// are suspended, so that no process that knew nothing allows them in between.
    async fn begin_suspended(
        &self,
        partition: Partition,
        mut plan: Plan,
        open: &ToEnd<'_>,
    ) -> Result<Vec<SubjectKey>, StoreFault> {
        let already: BTreeSet<SubjectKey> = plan.markers.suspended.iter().copied().collect();
        let held_back: BTreeSet<SubjectKey> = open.values().map(|r| r.subject.key()).collect();
        plan.markers.suspend(held_back.iter().copied());
        self.rebase(partition, &plan).await?.ok_or_else(overtaken)?;
        Ok(held_back.difference(&already).copied().collect())
    }

    async fn end_all(&self, open: &ToEnd<'_>) -> Result<(), StoreFault> {
        let mut by_subject: BTreeMap<SubjectKey, Vec<&Revocation>> = BTreeMap::new();
        for revocation in open.values() {
            by_subject.entry(revocation.subject.key()).or_default().push(revocation);
        }
        for revocations in by_subject.into_values() {
            self.end_again(&revocations).await?;
        }
        Ok(())
    }

    /// One commit for all of a subject. It is made also when the records say that they have ended:
    /// it makes the live value anew.
    async fn end_again(&self, revocations: &[&Revocation]) -> Result<(), StoreFault> {
        let Some(first) = revocations.first() else { return Ok(()) };
        for _ in 0..TRIES {
            let commit = self.end_again_once(&first.subject, revocations).await?;
            match self.commit_transition(commit).await? {
                Committed::Done { .. } => return Ok(()),
                Committed::VersionConflict | Committed::GenerationMoved => (),
            }
        }
        Err(overtaken())
    }

    async fn end_again_once(
        &self,
        subject: &Subject,
        revocations: &[&Revocation],
    ) -> Result<Commit, StoreFault> {
        let load = Load { subject, request: None, grant: None, idempotency: None };
        let state = self.load_subject(load).await?.state;
        let now = self.clock.now();
        let mut transition = Transition::default();
        for revocation in revocations {
            transition.append(ended_in(&state, revocation, now)?);
        }
        Ok(Commit {
            id: entropy::commit_id().map_err(|none| StoreFault::Unreachable(none.to_string()))?,
            subject: subject.clone(),
            expected_version: state.version,
            generation: state.markers.generation,
            transition,
            fired: None,
            answer: None,
            traceparent: None,
            now,
        })
    }

    /// Puts the partition on its new base, on top of whatever was committed meanwhile.
    async fn raise(
        &self,
        partition: Partition,
        answers: &Answers,
        held_back: &[SubjectKey],
    ) -> Result<(Plan, u64), StoreFault> {
        for _ in 0..TRIES {
            let mut plan = self.plan(partition, answers, self.clock.now()).await?;
            plan.markers.suspended.retain(|subject| !held_back.contains(subject));
            if let Some(seq) = self.rebase(partition, &plan).await? {
                return Ok((plan, seq));
            }
        }
        Err(overtaken())
    }

    async fn rebase(&self, partition: Partition, plan: &Plan) -> Result<Option<u64>, StoreFault> {
        let key = keys::markers(partition);
        let record = MarkersRecord { epoch: plan.epoch, markers: plan.markers.clone() };
        let markers = seal_json(&self.checks.sealer, &key, record.markers.generation, &record)?;
        let rebase = Rebase {
            partition,
            found: plan.found.clone(),
            epoch: plan.epoch,
            seq_above: plan.seq_above,
            commit: entropy::commit_id().map_err(|e| StoreFault::Unreachable(e.to_string()))?,
            markers,
        };
        self.backend.rebase(rebase).await
    }

    fn meta(&self) -> Result<bytes::Bytes, StoreFault> {
        let meta = Meta { format: FORMAT, partitions: self.checks.partitions };
        seal_json(&self.checks.sealer, &keys::meta(), 0, &meta)
    }
}

/// Nothing, where the record says that it has ended.
fn ended_in(
    state: &SubjectState,
    revocation: &Revocation,
    now: crate::domain::time::Timestamp,
) -> Result<Transition, StoreFault> {
    let seed = entropy::seed().map_err(|none| StoreFault::Unreachable(none.to_string()))?;
    let (grant, ended) = (revocation.grant, revocation.ended.clone());
    match apply(state, &Command::EndAgain { grant, ended }, &Actor::System, seed, now) {
        Ok(transition) => Ok(transition),
        Err(Refused::NothingDue | Refused::NoSuchGrant) => Ok(Transition::default()),
        Err(other) => Err(StoreFault::Unreachable(other.to_string())),
    }
}

fn overtaken() -> StoreFault {
    StoreFault::Unreachable("the partition changed faster than it could be repaired".into())
}
