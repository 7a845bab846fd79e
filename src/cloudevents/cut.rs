//! What the event of a cut says: which exchange, for how long it was open, and why it was cut.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::telemetry::bounded::{self, NAME, TARGET};
use crate::telemetry::decision::LeaseCut;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CutData {
    /// The decision that had let it through.
    pub decision_id: String,
    /// `expired`, `revoked`, `released`, `killed`, `suspended`, `denied`, or `unreachable`: for too
    /// long nobody could tell.
    pub cause: String,
    /// Milliseconds.
    pub open_for: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub tool: Option<Arc<str>>,
    #[schema(value_type = String)]
    pub method: Arc<str>,
    #[schema(value_type = String)]
    pub host: Arc<str>,
    /// As the client sent it, without the query.
    #[schema(value_type = String)]
    pub target: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub subject: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub issuer: Option<Arc<str>>,
    /// The grants that permitted it last.
    pub grants: Vec<String>,
}

impl CutData {
    #[must_use]
    pub fn of(cut: &LeaseCut) -> Self {
        let record = &cut.record;
        let name = |value: &Option<Arc<str>>| value.as_ref().map(|it| bounded::shared(it, NAME));
        Self {
            decision_id: record.id.to_string(),
            cause: cut.cause.to_owned(),
            open_for: u64::try_from(cut.open.as_millis()).unwrap_or(u64::MAX),
            tool: name(&record.tool),
            method: bounded::shared(&record.method, NAME),
            host: bounded::shared(&record.host, NAME),
            target: bounded::shared(&record.target, TARGET),
            subject: name(&record.subject),
            issuer: name(&record.issuer),
            grants: cut.grants.iter().map(ToString::to_string).collect(),
        }
    }
}
