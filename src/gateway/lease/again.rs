//! Admission once more, for an exchange that is open: the same questions, asked with the grants of
//! now, about the same route, target and person. A token that has expired meanwhile ends nothing.

use std::borrow::Cow;
use std::time::Duration;

use http::Method;
use tokio::time::{Instant, timeout};

use crate::config::AccessMode;
use crate::domain::ids::GrantId;
use crate::domain::markers::KillTarget;
use crate::domain::time::Timestamp;
use crate::gateway::admit::{Matched, NotPermitted, permitted};
use crate::gateway::core::Core;
use crate::gateway::ports::{Decide, Fate, Live, LiveSet, Ports};
use crate::gateway::record::{Grounds, Trail};
use crate::gateway::target::Target;
use crate::problem::ProblemCode;

use super::cause::Cause;
use super::held::Held;

/// How long the store may take to tell how a grant ended.
const TOLD_WITHIN: Duration = Duration::from_millis(200);

pub enum Again {
    /// These grants permit it, or it needs none.
    Stays(Matched),
    /// And since when, where that is known.
    Ends(Cause, Option<Timestamp>),
    /// Nobody could tell.
    Unsure,
}

/// Whether an open exchange is permitted at `at` by what `view` shows. Makes no decision record:
/// nothing is forwarded because of it.
pub async fn ask_again<P: Ports>(
    core: &Core<P>,
    held: &Held,
    view: &<P::Live as Live>::View,
    at: Timestamp,
) -> Again {
    let (permit, record) = (held.permit(), held.record());
    let Some(identity) = permit.identity() else { return Again::Unsure };
    let Ok(method) = Method::from_bytes(record.method.as_bytes()) else { return Again::Unsure };
    let uri = permit.uri();
    let host = Cow::Borrowed(&*record.host);
    let target = Target { method: &method, host, path: uri.path(), query: uri.query() };
    let route = permit.route(record);
    let token = permit.token(core.shared.clock.now());
    let asks_policy = route.access() != AccessMode::Authenticated;
    if asks_policy && core.ports.policy().wants_token() && token.is_none() {
        // A policy that reads the token would answer about somebody else.
        return Again::Unsure;
    }
    let (record, grounds) = ((**record).clone(), Grounds::default());
    let mut trail = Trail { record, grounds, since: Instant::now() };
    let facts = (&route, &target, token);
    match permitted(core, identity, view, facts, at, &mut trail).await {
        Ok(grants) => Again::Stays(grants),
        Err(NotPermitted::NoGrant) => why(core, held, view, at, Cause::Denied).await,
        Err(NotPermitted::Refused(refusal)) => {
            if refusal.code == ProblemCode::PolicyUnreachable {
                return Again::Unsure;
            }
            if refusal.code == ProblemCode::Suspended {
                return Again::Ends(Cause::Suspended, None);
            }
            // A policy that says no because a grant is gone: that is why it is cut.
            why(core, held, view, at, Cause::Denied).await
        }
    }
}

/// How the grant ended that ended last of those that permitted the exchange; `otherwise` when all
/// of them still count.
async fn why<P: Ports>(
    core: &Core<P>,
    held: &Held,
    view: &<P::Live as Live>::View,
    at: Timestamp,
    otherwise: Cause,
) -> Again {
    let tool = held.permit().tool().config.name.as_ref();
    let mut ends = Vec::new();
    let mut gone = Vec::new();
    for grant in held.grants() {
        match view.fate(grant, tool, at) {
            Fate::Counts => (),
            Fate::Expired(since) => ends.push((since, Cause::Expired)),
            Fate::Killed(since) => ends.push((since, Cause::Killed)),
            Fate::Gone => gone.push(grant),
        }
    }
    let any_gone = !gone.is_empty();
    ends.extend(of_tombstones(core, held, view, &gone).await);
    match ends.into_iter().max_by_key(|(since, _)| *since) {
        Some((since, cause)) => Again::Ends(cause, Some(since)),
        // It is gone, and nobody remembers how.
        None if any_gone => Again::Ends(Cause::Revoked, None),
        None => Again::Ends(otherwise, None),
    }
}

async fn of_tombstones<P: Ports>(
    core: &Core<P>,
    held: &Held,
    view: &<P::Live as Live>::View,
    gone: &[GrantId],
) -> Vec<(Timestamp, Cause)> {
    let permit = held.permit();
    let (Some(identity), false) = (permit.identity(), gone.is_empty()) else { return Vec::new() };
    let read = async {
        let _room = core.leases.room.acquire().await;
        core.ports.live().tombstones(identity.key).await
    };
    // That they are gone is sure; only how is not, and the cut does not wait for it.
    let Ok(Ok(ended)) = timeout(TOLD_WITHIN, read).await else { return Vec::new() };
    let killed = held.seen().and_then(|seen| {
        view.killed_since(seen.generation, |target| hits(core, target, &permit.tool().config.name))
    });
    let mut found = Vec::new();
    for tombstone in ended.into_iter().filter(|it| gone.contains(&it.grant)) {
        // The sweeper marks what a kill ended as revoked.
        found.push(match (Cause::from(tombstone.why), killed) {
            (Cause::Revoked, Some(since)) => (since, Cause::Killed),
            (cause, _) => (tombstone.at, cause),
        });
    }
    found
}

fn hits<P: Ports>(core: &Core<P>, target: &KillTarget, tool: &str) -> bool {
    match target {
        KillTarget::Everything => true,
        KillTarget::Tool(name) => **name == *tool,
        KillTarget::Template(name) => {
            let catalog = core.shared.catalog.load();
            let template = catalog.templates.get(name);
            template.is_some_and(|it| it.accesses.iter().any(|access| *access.tool == *tool))
        }
    }
}
