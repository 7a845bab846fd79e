//! Reconciliation: a store went back in time, the processes that share it know what it forgot
//! (docs/store.md, "Reconciliation"). In reading order:
//!
//! - [`message`]: what is asked and answered, sealed;
//! - `answer`: every gateway answers from its memory;
//! - `ask`: one process asks, and collects for a while;
//! - `plan`: what a partition was, as far as anybody remembers;
//! - `repair`: revoked access ends again, then the epoch is raised.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::ids::{GrantId, Partition, PartitionCount};

use super::backend::Backend;
use super::ledger::Ledger;
use super::revoked::Revocation;
use super::{Answer, StoreFault};

mod answer;
mod ask;
pub mod message;
mod plan;
mod repair;

use message::PartitionSays;
pub use plan::Reason;

/// The two sides of a reconciliation, over any back end.
pub trait Reconciler: Send + Sync + 'static {
    fn partitions(&self) -> PartitionCount;

    /// Answers the questions of others in the name of `instance`; never ends.
    fn answer<'a>(&'a self, instance: &'a str) -> Answer<'a, ()>;

    /// Asks all processes and collects what they say.
    fn ask(&self, asking: Asking) -> Answer<'_, Answers>;

    /// Repairs every partition that is not as `answers` and the store say it was, each by itself.
    /// The store need not have been whole for it.
    fn repair<'a>(&'a self, answers: &'a Answers) -> Answer<'a, Vec<Outcome>>;
}

#[derive(Clone, Copy, Debug)]
pub struct Asking {
    /// How long answers are collected.
    pub wait: Duration,
    /// Not longer than until so many processes have answered.
    pub enough: Option<usize>,
}

/// Who answered, and what.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    pub gateways: Vec<Gateway>,
    /// Processes whose answer did not arrive whole.
    pub incomplete: Vec<String>,
}

/// What one process remembers.
#[derive(Clone, Debug, Default)]
pub struct Gateway {
    pub instance: String,
    pub partitions: BTreeMap<Partition, PartitionSays>,
    pub revocations: BTreeMap<GrantId, Revocation>,
}

impl Gateway {
    /// The partitions that it keeps closed.
    pub fn closed(&self) -> impl Iterator<Item = Partition> {
        self.partitions.values().filter(|says| says.closed).map(|says| says.partition)
    }
}

/// What became of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Fine(Partition),
    Repaired(Repaired),
    /// It stays as it is: closed where somebody knew better.
    Failed(Partition, StoreFault),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    pub partition: Partition,
    pub why: Vec<Reason>,
    /// Grants that had to be ended again.
    pub ended: Vec<GrantId>,
    /// The new base.
    pub epoch: u64,
    pub seq: u64,
    pub kills: usize,
    pub suspended: usize,
}

impl<B: Backend> Reconciler for Ledger<B> {
    fn partitions(&self) -> PartitionCount {
        self.checks.partitions
    }

    fn answer<'a>(&'a self, instance: &'a str) -> Answer<'a, ()> {
        Box::pin(self.answer_questions(instance))
    }

    fn ask(&self, asking: Asking) -> Answer<'_, Answers> {
        Box::pin(self.ask_all(asking))
    }

    fn repair<'a>(&'a self, answers: &'a Answers) -> Answer<'a, Vec<Outcome>> {
        Box::pin(self.repair_all(answers))
    }
}
