//! Commands: what somebody, or a timer, wants to happen to one subject.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::Event;
use super::grant::{Ended, Grant};
use super::ids::{GrantId, Partition, RequestId};
use super::made::{Made, TemplateChange};
use super::markers::Markers;
use super::people::People;
use super::request::{Bounds, Request};
use super::rules::Eligible;
use super::subject::{Person, Subject};
use super::template::{FieldValue, Template};
use super::time::Timestamp;

#[derive(Clone, Debug)]
pub enum Command {
    Submit(Submit),
    Approve {
        request: RequestId,
        step: Option<u32>,
        comment: Option<String>,
        bounds: Bounds,
        /// Who may activate the template as the catalog says it now. Asked where nothing but an
        /// eligibility let the requester ask.
        eligible: Option<Eligible>,
    },
    Deny {
        request: RequestId,
        step: Option<u32>,
        reason: String,
    },
    Cancel {
        request: RequestId,
        reason: String,
    },
    Comment {
        request: RequestId,
        text: String,
    },
    Revoke {
        grant: GrantId,
        reason: String,
        authority: Authority,
    },
    Release {
        grant: GrantId,
        reason: String,
    },
    /// The holder moves the end of a grant.
    Extend {
        grant: GrantId,
        by: Duration,
        justification: String,
    },
    /// Settles the debt of a break-glass.
    Review {
        request: RequestId,
        comment: String,
        authority: Authority,
    },
    /// Makes a template, or a new version of one; neither when it is not any more as `meant`.
    PutTemplate {
        template: Arc<Template>,
        meant: Meant,
    },
    DeleteTemplate {
        name: Arc<str>,
    },
    /// The kill switch for one subject: ends every open grant, cancels every pending request, and
    /// leaves what it asks for to approvers until then (a day).
    RevokeSubject {
        reason: String,
        until: Option<Timestamp>,
    },
    /// The sweeper: records what the kill switch ended, with a tool or a template.
    Sweep,
    /// A timer: the request was not decided in time.
    TimeOutRequest {
        request: RequestId,
    },
    /// A timer: the grant reached its `expires_at`.
    ExpireGrant {
        grant: GrantId,
    },
    /// A timer: others may decide as well.
    Escalate {
        request: RequestId,
    },
    /// A timer: the grant ends soon.
    WarnOfEnd {
        grant: GrantId,
    },
    /// A timer: a break-glass was not reviewed in time.
    RemindOfReview {
        request: RequestId,
    },
    /// The commit that made the grant is kept at the configured level: the grant begins to count.
    ConfirmGrant {
        grant: GrantId,
    },
    /// Reconciliation: the grant had ended before the store went back in time.
    EndAgain {
        grant: GrantId,
        ended: Ended,
    },
}

/// What the caller saw of a template, and may do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meant {
    /// There is none.
    New,
    /// There is one, which may be changed.
    Change,
    /// There is one with this very content, which stays.
    Same,
}

/// What the API policy allows the actor to revoke, or to review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// What names one of the actor's groups as approvers (actions `revoke`, `review`).
    Approver,
    /// Everything (actions `revoke_any`, `review_any`).
    Any,
}

#[derive(Clone, Debug)]
pub struct Submit {
    pub template: Arc<Template>,
    /// The person whose access it will be; the actor unless asked on behalf of somebody else.
    pub requester: Person,
    /// `None`: the template's default.
    pub duration: Option<Duration>,
    pub justification: String,
    pub fields: BTreeMap<String, FieldValue>,
    /// Access at once, to be reviewed.
    pub break_glass: bool,
    /// The template's rule for approval without people was asked, and holds.
    pub rule_holds: bool,
    /// What the directory knows: a request that nobody could approve is refused.
    pub people: Arc<People>,
}

/// Everything about one subject that a command may look at, loaded together and committed under
/// one version. `requests` holds all pending ones and any the command names; `grants` all open
/// ones, those not yet marked as expired, and any the command names.
#[derive(Clone, Debug)]
pub struct SubjectState {
    pub subject: Subject,
    /// The partition of the subject; new requests and grants carry it.
    pub partition: Partition,
    /// 0: no record yet.
    pub version: u64,
    /// A commit may be written and still be lost: new grants are inert until they are confirmed.
    pub confirms_later: bool,
    pub markers: Arc<Markers>,
    /// Until then nothing is given to the subject without approvers: its kill switch was thrown.
    pub supervised_until: Option<Timestamp>,
    pub requests: BTreeMap<RequestId, Request>,
    pub grants: BTreeMap<GrantId, Grant>,
    /// Of [`made::subject`](super::made::subject) alone.
    pub templates: BTreeMap<Arc<str>, Made>,
}

/// What a command changes. The store writes all of it in one commit, or nothing.
#[derive(Clone, Debug, Default)]
pub struct Transition {
    /// New or changed requests, whole.
    pub requests: Vec<Request>,
    /// New or changed grants, whole.
    pub grants: Vec<Grant>,
    pub templates: Vec<TemplateChange>,
    /// See [`SubjectState::supervised_until`].
    pub supervised_until: Option<Timestamp>,
    pub events: Vec<Event>,
    pub timers: Vec<TimerChange>,
}

impl Transition {
    /// Nothing changes: there is nothing to commit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let nothing = self.requests.is_empty() && self.grants.is_empty();
        let nothing = nothing && self.templates.is_empty() && self.supervised_until.is_none();
        nothing && self.events.is_empty()
    }

    /// New grants that do not count before they are confirmed.
    #[must_use]
    pub fn inert_grants(&self) -> Vec<GrantId> {
        let inert = |grant: &&Grant| !grant.confirmed && grant.ended.is_none();
        self.grants.iter().filter(inert).map(|grant| grant.id).collect()
    }

    pub fn append(&mut self, mut other: Self) {
        self.requests.append(&mut other.requests);
        self.grants.append(&mut other.grants);
        self.templates.append(&mut other.templates);
        self.supervised_until = self.supervised_until.max(other.supervised_until);
        self.events.append(&mut other.events);
        self.timers.append(&mut other.timers);
    }
}

/// A timer is named by what it will do; setting it again moves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "kebab-case")]
pub enum Timer {
    TimeOutRequest(RequestId),
    ExpireGrant(GrantId),
    ConfirmGrant(GrantId),
    Escalate(RequestId),
    WarnOfEnd(GrantId),
    ReviewDue(RequestId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerChange {
    Set { timer: Timer, at: Timestamp },
    Remove { timer: Timer },
}
