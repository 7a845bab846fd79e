//! `CloudEvents` 1.0 in JSON: the form in which transitions and decisions leave the program (sinks,
//! `GET /api/v1/audit/events`). <https://github.com/cloudevents/spec>, extensions `sequence`,
//! `partitionkey`, `correlationid`, `causationid`, `traceparent`, `authid`, `recordedtime`.
//!
//! **Personal data.** People appear by their subject name only: as `authid`, `data.actor.name`,
//! `data.subject`, and among a grant's `approvers`. What they wrote (justification, comment, reason)
//! stands in the event, because it is what an auditor asks for. Groups of people and claims do not,
//! and neither does any query string, header, cookie or token. E-mail addresses stand in one place:
//! `data.notice.recipients`, because whoever delivers a notice needs them. They go to the configured
//! sinks and nowhere else; `GET /api/v1/audit/events` leaves them out.
//!
//! Every text is bounded and marked when cut; JSON takes care of control characters.

use std::fmt::Display;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::ids::CommitId;
use crate::domain::iso8601;
use crate::store::StoredEvent;
use crate::telemetry::bounded;
use crate::telemetry::decision::{DecisionRecord, LeaseCut};

mod cut;
mod decision;
mod line;
mod notice;
mod transition;

pub use cut::CutData;
pub use decision::{DecisionData, event_type as decision_type};
pub use line::LineWriter;
pub use notice::{NoticeData, RecipientData};
pub use transition::{ActorData, BoundsData, SnapshotData, TransitionData};

/// The `type` of a cut's event.
pub const CUT_TYPE: &str = "dev.tidegate.lease.cut.v1";

/// Serving or sending this has the media type `application/cloudevents+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CloudEvent {
    /// `1.0`
    pub specversion: String,
    /// The same for every delivery of the same event; unique within `source`.
    pub id: String,
    /// `/tidegate/<deployment>`
    pub source: String,
    /// `dev.tidegate.<what happened>.v1`
    #[serde(rename = "type")]
    pub event_type: String,
    /// `requests/<id>`, `grants/<id>` or `templates/<name>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When it happened (RFC 3339, UTC, milliseconds).
    pub time: String,
    /// `application/json`
    pub datacontenttype: String,
    /// Grows within a partition, compared as text: `<seq>.<index>`, both padded with zeros.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<String>,
    /// The digest of the subject (issuer and name) whose access it is: 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitionkey: Option<String>,
    /// The request that all of this belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlationid: Option<String>,
    /// The commit that made it true; events of one commit share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causationid: Option<String>,
    /// W3C Trace Context of the call that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Who did it: a subject's name, or `system`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authid: Option<String>,
    /// When it was recorded.
    pub recordedtime: String,
    pub data: EventData,
}

/// Where events come from, and where people open what they are about.
#[derive(Clone, Debug)]
pub struct Origin {
    /// See [`source`].
    pub source: Arc<str>,
    /// The API's address as people reach it, without a slash at the end.
    pub public_url: Arc<str>,
}

/// A transition of a request or grant, the decision on one proxied request, or the cut of one that
/// was still open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum EventData {
    Decision(Box<DecisionData>),
    Cut(Box<CutData>),
    Transition(Box<TransitionData>),
}

impl CloudEvent {
    /// The event as it is told to those who deliver its notice.
    #[must_use]
    pub fn of_stored(stored: &StoredEvent, origin: &Origin) -> Self {
        let event = &stored.event;
        let at = iso8601::time(event.at);
        Self {
            specversion: "1.0".to_owned(),
            id: id_of(stored.commit, stored.index),
            source: origin.source.to_string(),
            event_type: event.kind.cloud_event_type().to_owned(),
            subject: Some(event.resource.to_string()),
            time: at.clone(),
            datacontenttype: "application/json".to_owned(),
            sequence: Some(sequence(stored.seq, stored.index)),
            partitionkey: Some(stored.subject.key().to_string()),
            correlationid: event.correlation.map(|id| id.to_string()),
            causationid: Some(stored.commit.to_string()),
            traceparent: stored.traceparent.as_ref().map(|t| bounded::text(t, 64)),
            authid: Some(bounded::text(event.actor.name(), bounded::NAME)),
            recordedtime: at,
            data: EventData::Transition(Box::new(TransitionData::of(event, &origin.public_url))),
        }
    }

    /// For those who read what happened, and deliver nothing.
    #[must_use]
    pub fn without_addresses(mut self) -> Self {
        if let EventData::Transition(data) = &mut self.data {
            let notice = data.notice.iter_mut();
            notice.flat_map(|notice| &mut notice.recipients).for_each(|it| it.email = None);
        }
        self
    }

    /// The decision log's record as an event. `subject` is the first grant that permitted it.
    #[must_use]
    pub fn of_decision(record: &DecisionRecord, source: &str) -> Self {
        let at = iso8601::time(record.at);
        Self {
            specversion: "1.0".to_owned(),
            id: record.id.to_string(),
            source: source.to_owned(),
            event_type: decision::event_type(record.allowed).to_owned(),
            subject: record.grants.first().map(|id| format!("grants/{id}")),
            time: at.clone(),
            datacontenttype: "application/json".to_owned(),
            sequence: None,
            partitionkey: text_of(record.key.as_ref()),
            correlationid: None,
            causationid: None,
            traceparent: text_of(record.trace.as_ref()),
            authid: record.subject.as_ref().map(|name| bounded::text(name, bounded::NAME)),
            recordedtime: at,
            data: EventData::Decision(Box::new(DecisionData::of(record))),
        }
    }

    /// The cut of an open exchange as an event; its `id` is that of the decision, and `-cut`.
    #[must_use]
    pub fn of_cut(cut: &LeaseCut, source: &str) -> Self {
        let (at, record) = (iso8601::time(cut.at), &cut.record);
        Self {
            specversion: "1.0".to_owned(),
            id: format!("{}-cut", record.id),
            source: source.to_owned(),
            event_type: CUT_TYPE.to_owned(),
            subject: cut.grants.first().map(|id| format!("grants/{id}")),
            time: at.clone(),
            datacontenttype: "application/json".to_owned(),
            sequence: None,
            partitionkey: text_of(record.key.as_ref()),
            correlationid: None,
            causationid: None,
            traceparent: text_of(record.trace.as_ref()),
            authid: Some("system".to_owned()),
            recordedtime: at,
            data: EventData::Cut(Box::new(CutData::of(cut))),
        }
    }

    /// One line of a JSON-lines file, without its end. Control characters, line ends among them,
    /// are escaped.
    ///
    /// # Errors
    /// Never for what this module makes: there are no maps in it whose keys are not text.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

/// The `id` of event `index` of a commit.
#[must_use]
pub fn id_of(commit: CommitId, index: u16) -> String {
    format!("{commit}-{index}")
}

/// Order-preserving as text: 20 digits hold any sequence number, 5 any index.
#[must_use]
pub fn sequence(seq: u64, index: u16) -> String {
    format!("{seq:020}.{index:05}")
}

/// `/tidegate/<deployment>`
#[must_use]
pub fn source(deployment: &str) -> Arc<str> {
    format!("/tidegate/{deployment}").into()
}

fn text_of(value: Option<&impl Display>) -> Option<String> {
    value.map(ToString::to_string)
}

#[cfg(test)]
mod tests;
