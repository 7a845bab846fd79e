//! What a transition event says: who, why, and the facts before and after.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::NoticeData;
use crate::domain::access::PathPattern;
use crate::domain::event::{Event, Snapshot};
use crate::domain::iso8601;
use crate::domain::request::Bounds;
use crate::domain::subject::Actor;
use crate::telemetry::bounded::{self, NAME, TEXT};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransitionData {
    pub actor: ActorData,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `requests/<id>`, `grants/<id>` or `templates/<name>`.
    pub resource: String,
    /// Absent when the resource is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<SnapshotData>,
    pub after: SnapshotData,
    /// Absent when nobody is to be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<NoticeData>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActorData {
    /// `person` or `system` (a timer).
    #[serde(rename = "type")]
    pub actor_type: String,
    pub name: String,
}

/// The facts of a request, grant or template that a change can move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", tag = "of")]
pub enum SnapshotData {
    Request {
        status: String,
        template: String,
        /// ISO 8601.
        duration: String,
        justification: String,
        /// What an approver approves.
        digest: String,
        /// How many approvals it has.
        approvals: usize,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bounds: Option<BoundsData>,
        /// The comment, when the event is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    Grant {
        status: String,
        /// `tool:role`
        access: String,
        template: String,
        /// RFC 3339.
        expires_at: String,
        approvers: Vec<String>,
    },
    Template {
        /// `enabled`, `disabled`, `deleted`, or `unreadable`.
        status: String,
        version: u64,
        /// `tool:role`
        accesses: Vec<String>,
        /// SHA-256 over the whole template: 64 hexadecimal digits.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        digest: String,
        /// The parts of the template that are other than before.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        changed: Vec<String>,
    },
}

/// How an approver made the access smaller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BoundsData {
    /// ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
}

/// More items than this in a list are counted, not told.
const ITEMS: usize = 64;

impl TransitionData {
    #[must_use]
    pub fn of(event: &Event, public_url: &str) -> Self {
        Self {
            actor: ActorData::of(&event.actor),
            reason: event.reason.as_ref().map(|reason| bounded::text(reason, TEXT)),
            resource: event.resource.to_string(),
            before: event.before.as_ref().map(SnapshotData::of),
            after: SnapshotData::of(&event.after),
            notice: NoticeData::of(event, public_url),
        }
    }
}

impl ActorData {
    fn of(actor: &Actor) -> Self {
        let actor_type = match actor {
            Actor::Person(_) => "person",
            Actor::System => "system",
        };
        Self { actor_type: actor_type.to_owned(), name: bounded::text(actor.name(), NAME) }
    }
}

impl SnapshotData {
    fn of(snapshot: &Snapshot) -> Self {
        match snapshot {
            Snapshot::Request {
                status,
                template,
                duration_ms,
                justification,
                digest,
                approvals,
                bounds,
                text,
            } => Self::Request {
                status: bounded::text(status, NAME),
                template: bounded::text(template, NAME),
                duration: duration(*duration_ms),
                justification: bounded::text(justification, TEXT),
                digest: bounded::text(digest, NAME),
                approvals: *approvals,
                bounds: bounds.as_ref().map(BoundsData::of),
                text: text.as_ref().map(|text| bounded::text(text, TEXT)),
            },
            Snapshot::Grant { status, access, template, expires_at, approvers } => Self::Grant {
                status: bounded::text(status, NAME),
                access: bounded::text(access, NAME),
                template: bounded::text(template, NAME),
                expires_at: iso8601::time(*expires_at),
                approvers: names(approvers.iter().map(String::as_str)),
            },
            Snapshot::Template { status, version, accesses, digest, changed } => Self::Template {
                status: bounded::text(status, NAME),
                version: *version,
                accesses: names(accesses.iter().map(String::as_str)),
                digest: bounded::text(digest, NAME),
                changed: names(changed.iter().map(String::as_str)),
            },
        }
    }
}

impl BoundsData {
    fn of(bounds: &Bounds) -> Self {
        Self {
            duration: bounds.duration_ms.map(duration),
            expires_at: bounds.expires_at.map(iso8601::time),
            methods: names(bounds.narrowing.methods.iter().map(AsRef::as_ref)),
            paths: names(bounds.narrowing.paths.iter().map(PathPattern::as_str)),
        }
    }
}

fn duration(millis: u64) -> String {
    iso8601::duration(Duration::from_millis(millis))
}

fn names<'a>(items: impl Iterator<Item = &'a str>) -> Vec<String> {
    let items: Vec<Arc<str>> = items.map(Arc::from).collect();
    bounded::list(&items, ITEMS).iter().map(ToString::to_string).collect()
}
