//! Admission: the one way to a [`Permit`].

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::Uri;
use http::request::Parts;
use http::uri::PathAndQuery;
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::config::{AccessMode, Rule};
use crate::domain::ids::GrantId;
use crate::domain::time::Timestamp;
use crate::identity::{Identity, credential};
use crate::policy::RawToken;
use crate::problem::ProblemCode;
use crate::store::{Seen, StoreFault};
use crate::telemetry::decision::DecisionRecord;
use crate::telemetry::events::gateway::{Step, StoreReadFailed};

use super::connection::Peer;
use super::core::Core;
use super::headers::Present;
use super::no_grant::why_no_grant;
use super::ports::{Decide, Identify, Live, LiveSet, MatchedGrant, Ports};
use super::record::Trail;
use super::refusal::Refusal;
use super::route::{Route, Tool};
use super::target::Target;
use super::tunnel::check_origin;

/// Leave to forward one request. Made by [`admit`] alone, consumed by forwarding. Boxed where it is
/// handed on: it goes through many hands.
#[derive(Debug)]
pub struct Permit {
    tool: Arc<Tool>,
    rule: Arc<Rule>,
    /// What the tool will see: the target that the rule matched.
    uri: Uri,
    /// The tool's prefix was taken off.
    stripped: bool,
    /// `None`: anybody is let in.
    holder: Option<Holder>,
    /// Sorted.
    grants: SmallVec<[GrantId; 2]>,
    /// When the first of the roles that they give runs out.
    ends_at: Option<Timestamp>,
    /// When it was made.
    at: Timestamp,
    /// The end of the last step of admission, just before.
    since: Instant,
}

/// Who is let in, and what was read of them.
#[derive(Debug)]
struct Holder {
    identity: Arc<Identity>,
    seen: Seen,
    token: Option<KeptToken>,
}

/// A token for policy engines that verify it themselves, when they are asked again.
struct KeptToken(Box<str>);

/// It is a secret.
impl fmt::Debug for KeptToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeptToken")
    }
}

/// The grants that cover one request, sorted by id.
pub type Matched = SmallVec<[MatchedGrant; 2]>;

/// Why something is not permitted now.
#[derive(Debug)]
pub enum NotPermitted {
    /// The rule asks for a grant and none counts.
    NoGrant,
    Refused(Refusal),
}

/// Decides on one request; `trail` learns on the way what the decision record needs.
///
/// # Errors
/// Why the request is refused: the first reason in the order of the steps.
pub async fn admit<P: Ports>(
    core: &Core<P>,
    peer: &Peer,
    (head, present): (&Parts, Present),
    trail: &mut Trail,
) -> Result<Box<Permit>, Refusal> {
    let routes = core.routes();
    let target = Target::read(head, present, routes.methods())?;
    trail.record.host = core.host_name(&target.host);
    let tool = routes.tool(&target)?;
    trail.record.tool = Some(Arc::clone(&tool.config.name));
    trail.grounds.tool = Some(Arc::clone(&tool));
    let route = tool.route(&target, head)?;
    note_route(&mut trail.record, &route);
    check_origin(head, &route.tool.config.credential)?;
    if route.access() == AccessMode::Public {
        let now = core.shared.clock.now();
        return permit((&route, head), None, &[], (now, trail.since));
    }
    let from = (peer, head, &target, &route);
    let mut identity = identify(core, from, trail).await?;
    note_person(trail, &identity);
    let live = read_live(core, &identity, trail).await?;
    let token = token(core, head, &target, &route);
    loop {
        let (now, facts) = (core.shared.clock.now(), (&route, &target, token));
        let grants = match permitted(core, &identity, &live, facts, now, trail).await {
            Ok(grants) => grants,
            Err(NotPermitted::Refused(refusal)) => return Err(refusal),
            Err(NotPermitted::NoGrant) => {
                return Err(why_no_grant(core, &identity, &live, (&route, &target), trail).await);
            }
        };
        // What ended while the policy was asked no longer permits anything.
        let mut after = core.shared.clock.now();
        if after >= identity.expires_at {
            identity = identify(core, from, trail).await?;
            after = core.shared.clock.now();
        }
        if grants.iter().all(|grant| after < grant.expires_at) {
            let token = token.map(|token| KeptToken(token.0.into()));
            let holder = Holder { identity, seen: live.seen(), token };
            return permit((&route, head), Some(holder), &grants, (after, trail.since));
        }
    }
}

/// The grants that permit it at `now`, if it is permitted. What is still open later is asked the
/// same ([`super::lease`]).
///
/// # Errors
/// The first reason against it: suspended, no grant, or what the policy says.
pub async fn permitted<P: Ports>(
    core: &Core<P>,
    identity: &Identity,
    live: &<P::Live as Live>::View,
    (route, target, token): (&Route<'_>, &Target<'_>, Option<RawToken<'_>>),
    now: Timestamp,
    trail: &mut Trail,
) -> Result<Matched, NotPermitted> {
    trail.grounds.now = now;
    if live.is_suspended() {
        let refusal = Refusal::new(ProblemCode::Suspended, "access is suspended for this subject");
        return Err(NotPermitted::Refused(refusal));
    }
    if matches!(route.access(), AccessMode::Public | AccessMode::Authenticated) {
        return Ok(Matched::new());
    }
    let grants = matching(live, route, target, now);
    trail.record.grants = grants.iter().map(|grant| grant.id).collect();
    if route.access() == AccessMode::Grant && grants.is_empty() {
        return Err(NotPermitted::NoGrant);
    }
    let judged = super::judge::judge(core, identity, route, (target, token), &grants, trail).await;
    judged.map(|()| grants).map_err(NotPermitted::Refused)
}

fn permit(
    (route, head): (&Route<'_>, &Parts),
    holder: Option<Holder>,
    grants: &[MatchedGrant],
    (at, since): (Timestamp, Instant),
) -> Result<Box<Permit>, Refusal> {
    Ok(Box::new(Permit {
        tool: Arc::clone(&route.tool),
        rule: Arc::clone(&route.rule),
        uri: upstream_uri(route, head)?,
        stripped: route.stripped,
        holder,
        grants: grants.iter().map(|grant| grant.id).collect(),
        ends_at: ends_at(grants),
        at,
        since,
    }))
}

/// When an open exchange has to end, or to be looked at again. Grants of one role stand in for each
/// other; of grants of several roles it is not known which one the policy needed, so the first role
/// to run out counts.
pub fn ends_at(grants: &[MatchedGrant]) -> Option<Timestamp> {
    let of_role = |role: &str| {
        grants.iter().filter(|grant| *grant.role == *role).map(|grant| grant.expires_at).max()
    };
    grants.iter().filter_map(|grant| of_role(&grant.role)).min()
}

/// The target without the tool's prefix, otherwise byte for byte.
fn upstream_uri(route: &Route<'_>, head: &Parts) -> Result<Uri, Refusal> {
    if !route.stripped {
        return Ok(head.uri.clone());
    }
    // One allocation, of its own: what stays open keeps it.
    let mut target = SmallVec::<[u8; 128]>::from_slice(route.path.as_bytes());
    if let Some(query) = head.uri.query() {
        target.push(b'?');
        target.extend_from_slice(query.as_bytes());
    }
    let target = Bytes::from_owner(target);
    PathAndQuery::from_maybe_shared(target.clone())
        .ok()
        .filter(|made| made.as_str().as_bytes() == target)
        .map(Uri::from)
        .ok_or_else(|| Refusal::bad_request("the target cannot be forwarded unchanged"))
}

fn note_route(trail: &mut DecisionRecord, route: &Route<'_>) {
    if route.stripped {
        trail.upstream_path = Some(super::record::bounded(route.path));
    }
    let rule = &route.rule;
    trail.route = Some(rule.path.shared());
    trail.action = Some(Arc::clone(&rule.action)).filter(|action| !action.is_empty());
    trail.resource = Some(Arc::clone(&rule.resource));
    trail.object_id = Some(Arc::clone(&route.id));
    trail.scope = Some(Arc::clone(&route.scope)).filter(|scope| !scope.is_empty());
    if rule.default_effect_allow {
        trail.default_effect = "allow";
    }
}

fn note_person(trail: &mut Trail, identity: &Arc<Identity>) {
    trail.grounds.identity = Some(Arc::clone(identity));
    trail.record.subject = Some(Arc::clone(&identity.person.subject.name));
    trail.record.issuer = Some(Arc::clone(&identity.person.subject.issuer));
    trail.record.key = Some(identity.key);
}

async fn identify<P: Ports>(
    core: &Core<P>,
    (peer, head, target, route): (&Peer, &Parts, &Target<'_>, &Route<'_>),
    trail: &mut Trail,
) -> Result<Arc<Identity>, Refusal> {
    let from = (&route.tool.config.credential, &peer.last_token);
    let now = core.shared.clock.now();
    let identity = async {
        let found = core.ports.identify().identify(&head.headers, target.query, from, now).await;
        found.map_err(|(code, detail)| Refusal::new(code, detail))
    };
    let (identity, ended) = core.step((Step::Identity, trail.since), identity).await;
    trail.since = ended;
    identity
}

/// The token that was verified, when the policy is to see it.
fn token<'a, P: Ports>(
    core: &Core<P>,
    head: &'a Parts,
    target: &Target<'_>,
    route: &Route<'_>,
) -> Option<RawToken<'a>> {
    if !core.ports.policy().wants_token() {
        return None;
    }
    let found = credential(&head.headers, target.query, &route.tool.config.credential);
    found.ok().map(|token| RawToken(token.secret()))
}

/// The subject's grants at this moment.
async fn read_live<P: Ports>(
    core: &Core<P>,
    identity: &Identity,
    trail: &mut Trail,
) -> Result<<P::Live as Live>::View, Refusal> {
    let live = async {
        let read = core.ports.live().read(identity.key).await;
        read.map_err(|fault| store_failed(core, &fault))
    };
    let (live, ended) = core.step((Step::Grants, trail.since), live).await;
    trail.since = ended;
    let live = live?;
    trail.grounds.live = live.kept();
    Ok(live)
}

pub(super) fn store_failed<P: Ports>(core: &Core<P>, fault: &StoreFault) -> Refusal {
    StoreReadFailed(fault).emit(&core.shared.metrics);
    Refusal::of_store(fault)
}

/// Sorted by id.
fn matching(
    live: &impl LiveSet,
    route: &Route<'_>,
    target: &Target<'_>,
    now: Timestamp,
) -> Matched {
    let mut grants = Matched::new();
    live.matching(route.tool_name(), target.method.as_str(), route.path, now, |grant| {
        grants.push(grant);
    });
    grants.sort_unstable_by_key(|grant| grant.id);
    grants
}

impl Permit {
    #[must_use]
    pub fn tool(&self) -> &Tool {
        &self.tool
    }

    #[must_use]
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The prefix that was taken off the target, with its final slash.
    #[must_use]
    pub fn stripped_prefix(&self) -> Option<&str> {
        self.tool.config.path_prefix.as_deref().filter(|_| self.stripped)
    }

    /// When it was made: after the last thing that admission waited for.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The same on the core's own clock, or a moment before.
    #[must_use]
    pub fn since(&self) -> Instant {
        self.since
    }

    #[must_use]
    pub fn ends_at(&self) -> Option<Timestamp> {
        self.ends_at
    }

    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.holder.as_ref().map(|holder| &*holder.identity)
    }

    /// What admission read of the store; `None`: it read nothing.
    #[must_use]
    pub fn seen(&self) -> Option<Seen> {
        self.holder.as_ref().map(|holder| holder.seen)
    }

    /// The token for an engine that wants it, until it has expired.
    #[must_use]
    pub fn token(&self, now: Timestamp) -> Option<RawToken<'_>> {
        let holder = self.holder.as_ref().filter(|holder| now < holder.identity.expires_at)?;
        holder.token.as_ref().map(|token| RawToken(&token.0))
    }

    /// The route once more, of what `record` says that admission found.
    #[must_use]
    pub fn route(&self, record: &DecisionRecord) -> Route<'_> {
        Route {
            tool: Arc::clone(&self.tool),
            rule: Arc::clone(&self.rule),
            path: self.uri.path(),
            stripped: self.stripped,
            id: record.object_id.clone().unwrap_or_default(),
            scope: record.scope.clone().unwrap_or_default(),
        }
    }

    #[must_use]
    pub fn grants(&self) -> &[GrantId] {
        &self.grants
    }
}
