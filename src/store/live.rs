//! The live value of a subject as the gateway sees it: a checked view over compact bytes.

use std::sync::Arc;

use bytes::Bytes;

use crate::domain::ids::GrantId;
use crate::domain::markers::{Generation, Markers};
use crate::domain::subject::SubjectKey;
use crate::domain::time::Timestamp;

use super::seal::Opened;
use super::{Head, compact};

/// One atomic read: everything admission may believe about a subject at this moment.
#[derive(Clone, Debug)]
pub struct LiveView {
    pub subject: SubjectKey,
    pub head: Head,
    pub markers: Arc<Markers>,
    /// The subject's version when the value was written; 0 without a value.
    pub version: u64,
    /// The content of the live value (format: docs/store.md), whose seal was verified; empty
    /// without a value.
    content: Bytes,
}

/// One grant as the live value keeps it, borrowed from its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveGrant<'a> {
    pub id: GrantId,
    pub tool: &'a str,
    pub role: &'a str,
    pub template: &'a str,
    pub generation: Generation,
    pub not_before: Option<Timestamp>,
    pub expires_at: Timestamp,
    pub confirmed: bool,
    /// Encoded narrowings; asked with [`LiveGrant::covers`].
    pub(super) narrowings: &'a [u8],
}

impl LiveView {
    /// `None` when the content is not a whole live value of a known format.
    pub(super) fn new(
        subject: SubjectKey,
        head: Head,
        markers: Arc<Markers>,
        value: Option<Opened>,
    ) -> Option<Self> {
        let Some(Opened { version, content }) = value else {
            return Some(Self { subject, head, markers, version: 0, content: Bytes::new() });
        };
        compact::is_whole(&content).then_some(Self { subject, head, markers, version, content })
    }

    /// The same view over bytes of its own: whoever keeps it does not keep the buffer it was read
    /// into.
    #[must_use]
    pub fn detached(&self) -> Self {
        let content = if self.content.is_empty() {
            Bytes::new()
        } else {
            Bytes::copy_from_slice(&self.content)
        };
        Self { content, markers: Arc::clone(&self.markers), ..*self }
    }

    /// About how many bytes keeping this costs, with its markers.
    #[must_use]
    pub fn weight(&self) -> usize {
        let markers = self.markers.kills.len() * 256 + self.markers.suspended.len() * 32;
        self.content.len().saturating_add(markers)
    }

    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.markers.is_suspended(self.subject)
    }

    /// Every grant in the value, whether it counts or not. Allocates nothing.
    pub fn grants(&self) -> impl Iterator<Item = LiveGrant<'_>> {
        compact::grants(&self.content)
    }

    /// The grants for `tool` that count at `now`: confirmed, started, not past their end and not
    /// killed. Narrowing is asked per request with [`LiveGrant::covers`].
    pub fn counting<'a>(
        &'a self,
        tool: &'a str,
        now: Timestamp,
    ) -> impl Iterator<Item = LiveGrant<'a>> {
        self.grants().filter(move |grant| {
            grant.tool == tool
                && grant.confirmed
                && grant.not_before.is_none_or(|start| start <= now)
                && now < grant.expires_at
                && self.markers.kill(grant.generation, grant.tool, grant.template).is_none()
        })
    }
}

impl LiveGrant<'_> {
    /// Whether every narrowing of this grant covers the request; a narrowing that cannot be read
    /// covers nothing.
    #[must_use]
    pub fn covers(&self, method: &str, path: &str) -> bool {
        compact::covers(self.narrowings, method, path)
    }
}
