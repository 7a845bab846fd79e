//! The kill switch of one partition: raise the generation, add the kill, in one commit.

use std::sync::Arc;

use crate::domain::ids::Partition;
use crate::entropy;
use crate::store::backend::{Backend, Expect, Outcome, Put, WriteSet};
use crate::store::keys;
use crate::store::memory::{Learned, VerifiedMarkers};
use crate::store::record::{MarkersRecord, seal_json};
use crate::store::{Durability, Head, KillOrder, StoreFault};

use super::Ledger;

/// How often a kill that was overtaken by another is made again.
const TRIES: usize = 8;

impl<B: Backend> Ledger<B> {
    pub(super) async fn kill_partition(
        &self,
        partition: Partition,
        order: KillOrder,
    ) -> Result<Durability, StoreFault> {
        for _ in 0..TRIES {
            if let Some(durability) = self.try_kill(partition, &order).await? {
                return Ok(durability);
            }
        }
        Err(StoreFault::Unreachable("the markers changed faster than they could be raised".into()))
    }

    /// How well the kill is kept, made by this call or an earlier one; `None`: somebody else raised
    /// the generation meanwhile.
    async fn try_kill(
        &self,
        partition: Partition,
        order: &KillOrder,
    ) -> Result<Option<Durability>, StoreFault> {
        let base = self.read_base(partition).await?;
        if base.markers.carried_out(order) {
            // Only the call that wrote it knew.
            let settled = self.backend.settle(partition).await;
            return Ok(Some(settled.unwrap_or(Durability::Unconfirmed)));
        }
        let markers = base.markers.with_kill(order);
        let generation = markers.generation;
        let key = keys::markers(partition);
        let epoch = base.head.epoch;
        let record = MarkersRecord { epoch, markers };
        let value = seal_json(&self.checks.sealer, &key, generation, &record)?;
        let no_entropy = |fault: entropy::NoEntropy| StoreFault::Unreachable(fault.to_string());
        let id = entropy::commit_id().map_err(no_entropy)?;
        let write = WriteSet {
            partition,
            commit: id,
            expect: Expect { head: base.head, generation: base.markers.generation, version: None },
            new_version: generation,
            remember_until: order.at,
            only_ends: true,
            puts: vec![Put { key, value: value.clone(), sweep_at: None }],
            deletes: Vec::new(),
            sets: Vec::new(),
            events: Vec::new(),
        };
        match self.backend.commit(write).await? {
            Outcome::Done { seq, durability, version: _ } => {
                // Should the store lose it before anybody reads it, this process still knows.
                let markers = Arc::new(record.markers);
                let verified = VerifiedMarkers { bytes: value, epoch, markers };
                self.checks.memory.remember_markers(partition, verified);
                let head = Head { epoch, seq, id };
                let learned = Learned { head, generation, subject: None };
                self.checks.memory.learn(partition, learned)?;
                Ok(Some(durability))
            }
            Outcome::Missing(what) => Err(StoreFault::Missing { partition, what }),
            Outcome::HeadDoesNotFit => {
                self.went_back(partition, &base).await?;
                Ok(None)
            }
            Outcome::GenerationMoved | Outcome::VersionConflict => Ok(None),
        }
    }
}
