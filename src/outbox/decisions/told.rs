//! What the data plane tells.

use std::sync::Arc;

use crate::cloudevents::{self, CloudEvent, LineWriter};
use crate::domain::time::Timestamp;
use crate::telemetry::decision::{DecisionRecord, LeaseCut};

/// Borrowed: written down at once, and kept by those alone who need more than its line.
#[derive(Clone, Copy)]
pub enum Telling<'a> {
    Decision(&'a Arc<DecisionRecord>),
    Cut(&'a Arc<LeaseCut>),
}

impl Telling<'_> {
    pub fn at(self) -> Timestamp {
        match self {
            Self::Decision(record) => record.at,
            Self::Cut(cut) => cut.at,
        }
    }

    pub fn write(self, writer: &mut LineWriter, to: &mut Vec<u8>) {
        match self {
            Self::Decision(record) => writer.decision(to, record),
            Self::Cut(cut) => writer.cut(to, cut),
        }
    }

    pub fn kept(self) -> Told {
        match self {
            Self::Decision(record) => Told::Decision(Arc::clone(record)),
            Self::Cut(cut) => Told::Cut(Arc::clone(cut)),
        }
    }
}

/// For webhooks.
#[derive(Clone)]
pub enum Told {
    Decision(Arc<DecisionRecord>),
    Cut(Arc<LeaseCut>),
}

impl Told {
    pub fn event_type(&self) -> &'static str {
        match self {
            Self::Decision(record) => cloudevents::decision_type(record.allowed),
            Self::Cut(_) => cloudevents::CUT_TYPE,
        }
    }

    pub fn subject(&self) -> Option<&str> {
        match self {
            Self::Decision(record) => record.subject.as_deref(),
            Self::Cut(cut) => cut.record.subject.as_deref(),
        }
    }

    pub fn event(&self, source: &str) -> CloudEvent {
        match self {
            Self::Decision(record) => CloudEvent::of_decision(record, source),
            Self::Cut(cut) => CloudEvent::of_cut(cut, source),
        }
    }
}
