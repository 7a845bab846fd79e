//! Why each grant did or did not count.

use super::{Entry, facts};
use crate::domain::grant::{EndedWhy, Tombstone};
use crate::domain::iso8601;
use crate::domain::markers::{Kill, KillTarget};
use crate::explain::{EndedShown, GrantShown, GrantsShown};
use crate::store::{LiveGrant, LiveView, NotLive};

/// Why a grant does not count.
enum Against<'a> {
    Live(NotLive<'a>),
    Suspended,
    Narrowed,
}

/// `None` when the store was not read.
pub fn considered(entry: &Entry) -> Option<GrantsShown> {
    let live = entry.grounds.live.as_ref()?;
    Some(GrantsShown {
        suspended: live.is_suspended(),
        considered: live.grants().map(|grant| shown(entry, live, &grant)).collect(),
        ended: entry.grounds.ended.iter().map(ended).collect(),
    })
}

fn shown(entry: &Entry, live: &LiveView, grant: &LiveGrant<'_>) -> GrantShown {
    let against = against(entry, live, grant);
    GrantShown {
        id: grant.id.to_string(),
        tool: grant.tool.to_owned(),
        role: grant.role.to_owned(),
        template: grant.template.to_owned(),
        not_before: grant.not_before.map(iso8601::time),
        expires_at: iso8601::time(grant.expires_at),
        counts: against.is_none(),
        verdict: against.as_ref().map_or("counts", word).to_owned(),
        detail: match &against {
            None => format!("gives the role '{}'", grant.role),
            Some(against) => detail(entry, grant, against),
        },
    }
}

/// As admission sees it.
fn against<'a>(entry: &Entry, live: &'a LiveView, grant: &LiveGrant<'_>) -> Option<Against<'a>> {
    let (record, now) = (&entry.record, entry.grounds.now);
    match live.against(grant, record.tool.as_deref().unwrap_or_default(), now) {
        Some(NotLive::OtherTool) => Some(Against::Live(NotLive::OtherTool)),
        _ if live.is_suspended() => Some(Against::Suspended),
        Some(against) => Some(Against::Live(against)),
        None => {
            let covers = grant.covers(&record.method, facts::path(entry));
            (!covers).then_some(Against::Narrowed)
        }
    }
}

const fn word(against: &Against<'_>) -> &'static str {
    match against {
        Against::Live(NotLive::OtherTool) => "other-tool",
        Against::Live(NotLive::Unconfirmed) => "unconfirmed",
        Against::Live(NotLive::NotStarted(_)) => "not-started",
        Against::Live(NotLive::Expired) => "expired",
        Against::Live(NotLive::Killed(_)) => "revoked",
        Against::Suspended => "suspended",
        Against::Narrowed => "narrowed",
    }
}

fn detail(entry: &Entry, grant: &LiveGrant<'_>, against: &Against<'_>) -> String {
    match against {
        Against::Live(NotLive::OtherTool) => format!("it is for {}", grant.tool),
        Against::Live(NotLive::Unconfirmed) => "the store has not confirmed it yet".to_owned(),
        Against::Live(NotLive::NotStarted(start)) => {
            format!("it begins at {}", iso8601::time(*start))
        }
        Against::Live(NotLive::Expired) => {
            format!("it expired at {}", iso8601::time(grant.expires_at))
        }
        Against::Live(NotLive::Killed(kill)) => killed(kill),
        Against::Suspended => "access is suspended for this subject".to_owned(),
        Against::Narrowed => {
            let method = &entry.record.method;
            format!("it was narrowed and does not cover {method} and this path")
        }
    }
}

fn killed(kill: &Kill) -> String {
    let at = iso8601::time(kill.at);
    match &kill.target {
        KillTarget::Tool(tool) => format!("everything for {tool} was revoked at {at}"),
        KillTarget::Template(name) => {
            format!("everything of the template {name} was revoked at {at}")
        }
        KillTarget::Everything => format!("everything was revoked at {at}"),
    }
}

fn ended(ended: &Tombstone) -> EndedShown {
    let why = match ended.why {
        EndedWhy::Expired => "expired",
        EndedWhy::Revoked => "revoked",
        EndedWhy::Released => "released",
    };
    EndedShown { id: ended.grant.to_string(), at: iso8601::time(ended.at), why: why.to_owned() }
}
