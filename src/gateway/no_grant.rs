//! Why there is no grant, for whoever asks: none, one that has ended, and how to get one.

use std::time::Duration;

use crate::domain::grant::EndedWhy;
use crate::domain::time::Timestamp;
use crate::identity::Identity;
use crate::problem::ProblemCode;

use super::admit::store_failed;
use super::core::Core;
use super::ports::{Live, LiveSet, Ports};
use super::record::Trail;
use super::refusal::{Refusal, how_to_ask};
use super::route::Route;
use super::target::Target;

/// How long an ended grant is told apart from none.
const REMEMBERED: Duration = Duration::from_hours(24);

/// More ended grants than this are not kept for an explanation.
const SHOWN_ENDED: usize = 32;

/// Tells a grant that ended within a day from one that never was, and how to get one.
pub(super) async fn why_no_grant<P: Ports>(
    core: &Core<P>,
    identity: &Identity,
    live: &<P::Live as Live>::View,
    (route, target): (&Route<'_>, &Target<'_>),
    trail: &mut Trail,
) -> Refusal {
    let (tool, now) = (route.tool_name(), trail.grounds.now);
    let refusal = if live.counts_for(tool, now) {
        let detail = format!("no live grant for {tool} covers {} and this path", target.method);
        Refusal::new(ProblemCode::NoGrant, detail)
    } else {
        match core.ports.live().tombstones(identity.key).await {
            Err(fault) => return store_failed(core, &fault),
            Ok(ended) => {
                let ended: Vec<_> = ended.into_iter().filter(|end| end.tool == *tool).collect();
                trail.grounds.ended = ended.iter().take(SHOWN_ENDED).cloned().collect();
                let ended = ended.iter().map(|end| (end.at, end.why));
                let last = ended.chain(live.latest_end(tool, now)).max_by_key(|(at, _)| *at);
                of_last_end(tool, last, now)
            }
        }
    };
    let catalog = core.shared.catalog.load();
    let url = &core.shared.public_url;
    refusal.with_ask(how_to_ask(&catalog, &identity.person, tool, url, now))
}

fn of_last_end(tool: &str, last: Option<(Timestamp, EndedWhy)>, now: Timestamp) -> Refusal {
    match last.filter(|(at, _)| now.since(*at) < REMEMBERED) {
        Some((_, EndedWhy::Expired)) => {
            Refusal::new(ProblemCode::GrantExpired, format!("the grant for {tool} has expired"))
        }
        Some((_, EndedWhy::Revoked)) => {
            Refusal::new(ProblemCode::GrantRevoked, format!("the grant for {tool} was revoked"))
        }
        Some((_, EndedWhy::Released)) | None => {
            Refusal::new(ProblemCode::NoGrant, format!("no live grant for {tool}"))
        }
    }
}
