//! What the gateway asks of the rest of the program. One set per core, so nothing here need be
//! `Send`; generic, so that the hot path calls straight through.

use std::future::Future;
use std::sync::Arc;

use http::HeaderMap;

use crate::config::CredentialSource;
use crate::domain::grant::{EndedWhy, Tombstone};
use crate::domain::ids::{GrantId, Partition};
use crate::domain::markers::{Generation, KillTarget};
use crate::domain::subject::SubjectKey;
use crate::domain::time::Timestamp;
use crate::identity::{Identity, LastToken};
use crate::policy::{Decision, Query};
use crate::problem::ProblemCode;
use crate::resources::{NotProvided, Provided, SharedProviders, Wanted};
use crate::store::{Base, LiveReader, LiveView, NotLive, Seen, StoreFault};

/// From the credential of a request to a verified identity.
pub trait Identify: 'static {
    /// # Errors
    /// The code (`no-credential`, `invalid-token`, `keys-unavailable`, ...) and a text for people
    /// without anything of the credential in it.
    ///
    /// The last token is that of the connection.
    fn identify(
        &self,
        headers: &HeaderMap,
        query: Option<&str>,
        from: (&CredentialSource, &LastToken),
        now: Timestamp,
    ) -> impl Future<Output = Result<Arc<Identity>, (ProblemCode, String)>>;
}

/// One question with exactly one action. A fault is a decision that refuses.
pub trait Decide: 'static {
    /// With the number of the set of policies that decided, where there are several in time.
    fn decide(&self, query: &Query<'_>) -> impl Future<Output = (Decision, Option<u64>)>;

    /// Whether a query is to carry the caller's token.
    fn wants_token(&self) -> bool {
        false
    }

    /// The number of the policy set that answers now, where there are several in time.
    fn set(&self) -> Option<u64> {
        None
    }
}

/// The store as admission sees it. Every call is a read of its own that starts when it is made,
/// and keeps its own deadline.
pub trait Live: 'static {
    type View: LiveSet;

    /// # Errors
    /// The store could not answer, or its answer cannot be trusted.
    fn read(&self, subject: SubjectKey) -> impl Future<Output = Result<Self::View, StoreFault>>;

    /// # Errors
    /// As for [`Live::read`].
    fn tombstones(
        &self,
        subject: SubjectKey,
    ) -> impl Future<Output = Result<Vec<Tombstone>, StoreFault>>;

    /// Head and markers of a partition.
    ///
    /// # Errors
    /// As for [`Live::read`].
    fn base(&self, partition: Partition) -> impl Future<Output = Result<Base, StoreFault>>;

    /// Where a subject's grants are.
    fn partition(&self, subject: SubjectKey) -> Partition;
}

/// One subject's grants at one moment.
pub trait LiveSet {
    fn is_suspended(&self) -> bool;

    /// Calls `found` for every grant for `tool` that counts at `now` and covers the request.
    fn matching(
        &self,
        tool: &str,
        method: &str,
        path: &str,
        now: Timestamp,
        found: impl FnMut(MatchedGrant),
    );

    /// Whether some grant for `tool` counts at `now`, covering the request or not.
    fn counts_for(&self, tool: &str, now: Timestamp) -> bool;

    /// The same, for keeping: it holds on to no buffer. `None` where there is nothing to keep.
    fn kept(&self) -> Option<LiveView>;

    /// What this was read of.
    fn seen(&self) -> Seen;

    /// What has become of a grant for `tool`.
    fn fate(&self, grant: GrantId, tool: &str, now: Timestamp) -> Fate;

    /// When the last kill was thrown that hit everything made under `generation`, among those whose
    /// target `hits`.
    fn killed_since(
        &self,
        generation: Generation,
        hits: impl Fn(&KillTarget) -> bool,
    ) -> Option<Timestamp>;

    /// When and why the grant for `tool` that ended last did so, as far as the grants themselves
    /// tell: past their end although no timer has run yet, or killed.
    fn latest_end(&self, tool: &str, now: Timestamp) -> Option<(Timestamp, EndedWhy)>;
}

/// What has become of a grant, as far as the grants themselves tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Counts,
    Expired(Timestamp),
    Killed(Timestamp),
    /// It is not there, or does not count for another reason.
    Gone,
}

/// A live grant that covers the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchedGrant {
    pub id: GrantId,
    pub role: Arc<str>,
    pub expires_at: Timestamp,
}

impl<R: LiveReader> Live for R {
    type View = LiveView;

    fn read(&self, subject: SubjectKey) -> impl Future<Output = Result<LiveView, StoreFault>> {
        LiveReader::read(self, subject)
    }

    fn tombstones(
        &self,
        subject: SubjectKey,
    ) -> impl Future<Output = Result<Vec<Tombstone>, StoreFault>> {
        LiveReader::tombstones(self, subject)
    }

    fn base(&self, partition: Partition) -> impl Future<Output = Result<Base, StoreFault>> {
        LiveReader::base(self, partition)
    }

    fn partition(&self, subject: SubjectKey) -> Partition {
        LiveReader::partition(self, subject)
    }
}

impl LiveSet for LiveView {
    fn is_suspended(&self) -> bool {
        Self::is_suspended(self)
    }

    fn matching(
        &self,
        tool: &str,
        method: &str,
        path: &str,
        now: Timestamp,
        mut found: impl FnMut(MatchedGrant),
    ) {
        for grant in self.counting(tool, now) {
            if grant.covers(method, path) {
                let role = grant.role.into();
                found(MatchedGrant { id: grant.id, role, expires_at: grant.expires_at });
            }
        }
    }

    fn kept(&self) -> Option<LiveView> {
        Some(self.clone())
    }

    fn seen(&self) -> Seen {
        Self::seen(self)
    }

    fn fate(&self, id: GrantId, tool: &str, now: Timestamp) -> Fate {
        let Some(grant) = self.grants().find(|grant| grant.id == id) else { return Fate::Gone };
        match self.against(&grant, tool, now) {
            None => Fate::Counts,
            Some(NotLive::Expired) => Fate::Expired(grant.expires_at),
            Some(NotLive::Killed(kill)) => Fate::Killed(kill.at),
            Some(NotLive::OtherTool | NotLive::Unconfirmed | NotLive::NotStarted(_)) => Fate::Gone,
        }
    }

    fn killed_since(
        &self,
        generation: Generation,
        hits: impl Fn(&KillTarget) -> bool,
    ) -> Option<Timestamp> {
        let later = self.markers.kills.iter().filter(|kill| generation < kill.below);
        later.filter(|kill| hits(&kill.target)).map(|kill| kill.at).max()
    }

    fn counts_for(&self, tool: &str, now: Timestamp) -> bool {
        self.counting(tool, now).next().is_some()
    }

    fn latest_end(&self, tool: &str, now: Timestamp) -> Option<(Timestamp, EndedWhy)> {
        let of_tool = self.grants().filter(|grant| grant.tool == tool);
        let ends = of_tool.filter_map(|grant| {
            let kill = self.markers.kill(grant.generation, grant.tool, grant.template);
            let killed = kill.map(|kill| (kill.at, EndedWhy::Revoked));
            let expired =
                (grant.expires_at <= now).then_some((grant.expires_at, EndedWhy::Expired));
            killed.or(expired)
        });
        ends.max_by_key(|(at, _)| *at)
    }
}

/// Attributes of resources, beside those that the request itself has.
pub trait Provide: 'static {
    /// Whether there are any for this kind: nothing else is asked when there are none.
    fn knows(&self, kind: &str) -> bool;

    /// # Errors
    /// There is no such resource, it cannot be had, or nobody could tell.
    fn provide(&self, wanted: &Wanted<'_>) -> impl Future<Output = Result<Provided, NotProvided>>;
}

impl Provide for SharedProviders {
    fn knows(&self, kind: &str) -> bool {
        self.know(kind)
    }

    async fn provide(&self, wanted: &Wanted<'_>) -> Result<Provided, NotProvided> {
        self.attributes(wanted).await
    }
}

/// The ports of one core.
pub trait Ports: 'static {
    type Identify: Identify;
    type Decide: Decide;
    type Live: Live;
    type Provide: Provide;

    fn identify(&self) -> &Self::Identify;
    fn policy(&self) -> &Self::Decide;
    fn live(&self) -> &Self::Live;
    fn resources(&self) -> &Self::Provide;
}

/// (identity, policy, live reader, resources)
impl<I: Identify, D: Decide, L: Live, R: Provide> Ports for (I, D, L, R) {
    type Identify = I;
    type Decide = D;
    type Live = L;
    type Provide = R;

    fn identify(&self) -> &I {
        &self.0
    }

    fn policy(&self) -> &D {
        &self.1
    }

    fn live(&self) -> &L {
        &self.2
    }

    fn resources(&self) -> &R {
        &self.3
    }
}
