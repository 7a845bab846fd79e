//! The live value of a subject as the gateway sees it: a checked view over compact bytes.

use std::sync::Arc;

use bytes::Bytes;

use crate::domain::ids::GrantId;
use crate::domain::markers::{Generation, Kill, Markers};
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

/// A live value whose seal was verified, and that is whole and of a known format. Over bytes of its
/// own: whoever keeps it does not keep the buffer it was read into.
#[derive(Clone, Debug)]
pub struct Whole(Opened);

impl Whole {
    /// `None`: it is not whole, or of no known format.
    pub(super) fn of(opened: Opened) -> Option<Self> {
        compact::is_whole(&opened.content).then_some(Self(opened))
    }

    pub(super) fn version(&self) -> u64 {
        self.0.version
    }
}

/// What a view is of: until any of it moves, another read shows the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub head: Head,
    /// Of the partition's markers.
    pub generation: Generation,
    /// Of the subject.
    pub version: u64,
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

/// Why a grant in a live value does not count, in the order in which that is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotLive<'a> {
    OtherTool,
    /// Its commit is not known to be kept.
    Unconfirmed,
    /// It begins then.
    NotStarted(Timestamp),
    Expired,
    Killed(&'a Kill),
}

impl LiveView {
    pub(super) fn new(
        subject: SubjectKey,
        head: Head,
        markers: Arc<Markers>,
        value: Option<Whole>,
    ) -> Self {
        let (version, content) =
            value.map_or_else(Default::default, |Whole(it)| (it.version, it.content));
        Self { subject, head, markers, version, content }
    }

    /// About how many bytes keeping this costs, with its markers.
    #[must_use]
    pub fn weight(&self) -> usize {
        let markers = self.markers.kills.len() * 256 + self.markers.suspended.len() * 32;
        self.content.len().saturating_add(markers)
    }

    #[must_use]
    pub fn seen(&self) -> Seen {
        Seen { head: self.head, generation: self.markers.generation, version: self.version }
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
        self.grants().filter(move |grant| self.against(grant, tool, now).is_none())
    }

    /// Why a grant does not count for `tool` at `now`; `None`: it does.
    #[must_use]
    pub fn against(
        &self,
        grant: &LiveGrant<'_>,
        tool: &str,
        now: Timestamp,
    ) -> Option<NotLive<'_>> {
        if grant.tool != tool {
            return Some(NotLive::OtherTool);
        }
        if !grant.confirmed {
            return Some(NotLive::Unconfirmed);
        }
        if let Some(start) = grant.not_before.filter(|start| now < *start) {
            return Some(NotLive::NotStarted(start));
        }
        if grant.expires_at <= now {
            return Some(NotLive::Expired);
        }
        let kill = self.markers.kill(grant.generation, grant.tool, grant.template);
        kill.map(NotLive::Killed)
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
