//! What a partition was, as far as the store and those who answered can tell.

use std::fmt;

use bytes::Bytes;

use crate::domain::ids::{OrderId, Partition};
use crate::domain::markers::{KillOrder, KillTarget, Markers};
use crate::domain::subject::Subject;
use crate::domain::time::Timestamp;
use crate::entropy;
use crate::store::backend::Backend;
use crate::store::keys;
use crate::store::ledger::Ledger;
use crate::store::record::{MarkersRecord, open_json, parse_head};
use crate::store::{Head, StoreFault};

use super::Answers;
use super::message::PartitionSays;

/// A head is not sealed. One that claims a higher place than any log comes to would leave none behind
/// it.
const HIGHEST_SEQ: u64 = 1 << 48;

/// Why a partition is repaired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// This instance keeps it closed.
    Closed(String),
    /// This instance remembers a commit, or markers, that the store does not have.
    Forgotten(String),
    /// Head or markers are not there, or cannot be trusted.
    NoBase,
    /// So many grants count, or could, that were ended.
    Revived(usize),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(by) => write!(f, "{by} keeps it closed"),
            Self::Forgotten(by) => write!(f, "{by} remembers more than the store"),
            Self::NoBase => f.write_str("head or markers are missing or cannot be trusted"),
            Self::Revived(1) => f.write_str("1 revoked grant is open again"),
            Self::Revived(count) => write!(f, "{count} revoked grants are open again"),
        }
    }
}

/// One partition, before it is put on a new base.
pub struct Plan {
    /// The head as it stands in the store.
    pub found: Option<Bytes>,
    pub reasons: Vec<Reason>,
    /// Above every epoch that anybody has seen.
    pub epoch: u64,
    /// Above every place of the log that anybody has seen.
    pub seq_above: u64,
    /// With a generation above every one that anybody has seen.
    pub markers: Markers,
}

/// What the store itself has. The head is not sealed: it counts when the sealed markers confirm it.
struct Found {
    head: Option<Head>,
    markers: Option<MarkersRecord>,
}

impl<B: Backend> Ledger<B> {
    pub(super) async fn plan(
        &self,
        partition: Partition,
        answers: &Answers,
        now: Timestamp,
    ) -> Result<Plan, StoreFault> {
        let pair = [keys::head(partition), keys::markers(partition)];
        let [head, markers] = self.get(partition, pair).await?;
        let found = self.found(partition, head.as_ref(), markers.as_ref());
        let mut reasons = Vec::new();
        if found.head.is_none() {
            reasons.push(Reason::NoBase);
        }
        let mut says = Vec::new();
        for gateway in &answers.gateways {
            let Some(remembered) = gateway.partitions.get(&partition) else { continue };
            says.push(remembered);
            if remembered.closed {
                reasons.push(Reason::Closed(gateway.instance.clone()));
            } else if self.forgot(partition, &found, remembered).await? {
                reasons.push(Reason::Forgotten(gateway.instance.clone()));
            }
        }
        let heads = says.iter().filter_map(|says| remembered_head(says)).chain(found.head);
        let (epochs, seqs): (Vec<u64>, Vec<u64>) = heads.map(|head| (head.epoch, head.seq)).unzip();
        let seqs = seqs.into_iter().filter(|seq| *seq <= HIGHEST_SEQ);
        let all = says.iter().filter_map(|says| says.markers.as_ref()).chain(&found.markers);
        let epochs = epochs.into_iter().chain(all.clone().map(|markers| markers.epoch));
        let generation = says.iter().map(|says| says.generation).max().unwrap_or(0);
        Ok(Plan {
            found: head,
            reasons,
            epoch: epochs.max().unwrap_or(0).saturating_add(1),
            seq_above: seqs.max().unwrap_or(0).saturating_add(1),
            markers: merged(all.map(|record| &record.markers), generation, now)?,
        })
    }

    fn found(&self, partition: Partition, head: Option<&Bytes>, markers: Option<&Bytes>) -> Found {
        let key = keys::markers(partition);
        let opened = markers.and_then(|value| open_json(&self.checks.sealer, &key, value).ok());
        let markers = opened
            .filter(|(version, record): &(u64, MarkersRecord)| {
                *version == record.markers.generation
            })
            .map(|(_, record)| record);
        let head = head.and_then(|head| parse_head(head));
        let confirmed = |head: &Head| markers.as_ref().is_some_and(|m| m.epoch == head.epoch);
        Found { head: head.filter(confirmed), markers }
    }

    /// Whether somebody remembers what the store does not have. Who has not looked since the epoch
    /// was raised remembers nothing that counts.
    async fn forgot(
        &self,
        partition: Partition,
        found: &Found,
        remembered: &PartitionSays,
    ) -> Result<bool, StoreFault> {
        let (Some(head), Some(markers)) = (&found.head, &found.markers) else { return Ok(false) };
        let older = |theirs: &MarkersRecord| {
            (markers.epoch, markers.markers.generation) < (theirs.epoch, theirs.markers.generation)
        };
        if remembered.markers.as_ref().is_some_and(older) {
            return Ok(true);
        }
        let Some(known) = remembered_head(remembered) else { return Ok(false) };
        if known.epoch != head.epoch {
            return Ok(known.epoch > head.epoch);
        }
        if markers.markers.generation < remembered.generation || head.seq < known.seq {
            return Ok(true);
        }
        if head.seq == known.seq {
            return Ok(head.id != known.id);
        }
        Ok(self.backend.commit_at(partition, known.seq).await? != Some(known.id))
    }
}

fn remembered_head(says: &PartitionSays) -> Option<Head> {
    parse_head(says.head.as_ref()?.as_bytes())
}

/// When nobody has the markers any more, nobody can say what was killed: then everything is.
fn merged<'m>(
    all: impl Iterator<Item = &'m Markers>,
    generation: u64,
    now: Timestamp,
) -> Result<Markers, StoreFault> {
    let merged = all.cloned().reduce(|one, other| one.merged_with(&other));
    if let Some(mut markers) = merged {
        markers.generation = markers.generation.max(generation).saturating_add(1);
        return Ok(markers);
    }
    let no_entropy = |fault: entropy::NoEntropy| StoreFault::Unreachable(fault.to_string());
    let order = KillOrder {
        id: OrderId(entropy::bytes().map_err(no_entropy)?),
        target: KillTarget::Everything,
        at: now,
        by: Subject::new("", "reconcile"),
        reason: "the kill switch's own records were lost".into(),
    };
    // Above any generation that kills can have come to one by one.
    let unknown = Markers { generation: generation.max(now.millis()), ..Markers::default() };
    Ok(unknown.with_kill(&order))
}
