//! What an event says of whom to tell.

use std::fmt::Display;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::course::Recipient;
use crate::domain::event::{Event, Resource};
use crate::telemetry::bounded::{self, NAME};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NoticeData {
    /// At least one, at most 200.
    pub recipients: Vec<RecipientData>,
    /// Opens the request. It never decides.
    pub link: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecipientData {
    /// `person`, or `group`: one whose members the directory does not know, or too many to name.
    pub kind: String,
    /// Of a person: the subject's name.
    pub name: String,
    /// Only where a notice is delivered, and only where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

impl NoticeData {
    /// `None`: it is for nobody.
    pub(super) fn of(event: &Event, public_url: &str) -> Option<Self> {
        let recipients: Vec<_> = event.notify.iter().map(RecipientData::of).collect();
        let open = |id: &dyn Display| format!("{public_url}/api/v1/{id}");
        let link = match event.correlation {
            Some(request) => open(&Resource::Request(request)),
            None => open(&event.resource),
        };
        (!recipients.is_empty()).then_some(Self { recipients, link })
    }
}

impl RecipientData {
    fn of(recipient: &Recipient) -> Self {
        let (kind, name, email) = match recipient {
            Recipient::Person { name, email } => ("person", name, email.as_deref()),
            Recipient::Group { name } => ("group", name, None),
        };
        Self {
            kind: kind.to_owned(),
            name: bounded::text(name, NAME),
            email: email.map(|email| bounded::text(email, NAME)),
        }
    }
}
