//! Why each grant did or did not count.

use super::{Entry, facts};
use crate::domain::grant::{EndedWhy, Tombstone};
use crate::domain::iso8601;
use crate::domain::markers::{Kill, KillTarget};
use crate::explain::{EndedShown, GrantShown, GrantsShown};
use crate::store::{LiveGrant, LiveView};

/// Why a grant does not count, in the order in which that is found out.
enum Against<'a> {
    OtherTool,
    Suspended,
    Unconfirmed,
    NotStarted,
    Expired,
    Killed(&'a Kill),
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

/// The same conditions as [`LiveView::counting`] and [`LiveGrant::covers`].
fn against<'a>(entry: &Entry, live: &'a LiveView, grant: &LiveGrant<'_>) -> Option<Against<'a>> {
    let (record, now) = (&entry.record, entry.grounds.now);
    if record.tool.as_deref() != Some(grant.tool) {
        return Some(Against::OtherTool);
    }
    if live.is_suspended() {
        return Some(Against::Suspended);
    }
    if !grant.confirmed {
        return Some(Against::Unconfirmed);
    }
    if grant.not_before.is_some_and(|start| now < start) {
        return Some(Against::NotStarted);
    }
    if grant.expires_at <= now {
        return Some(Against::Expired);
    }
    if let Some(kill) = live.markers.kill(grant.generation, grant.tool, grant.template) {
        return Some(Against::Killed(kill));
    }
    let covers = grant.covers(&record.method, facts::path(entry));
    (!covers).then_some(Against::Narrowed)
}

const fn word(against: &Against<'_>) -> &'static str {
    match against {
        Against::OtherTool => "other-tool",
        Against::Suspended => "suspended",
        Against::Unconfirmed => "unconfirmed",
        Against::NotStarted => "not-started",
        Against::Expired => "expired",
        Against::Killed(_) => "revoked",
        Against::Narrowed => "narrowed",
    }
}

fn detail(entry: &Entry, grant: &LiveGrant<'_>, against: &Against<'_>) -> String {
    match against {
        Against::OtherTool => format!("it is for {}", grant.tool),
        Against::Suspended => "access is suspended for this subject".to_owned(),
        Against::Unconfirmed => "the store has not confirmed it yet".to_owned(),
        Against::NotStarted => match grant.not_before {
            Some(start) => format!("it begins at {}", iso8601::time(start)),
            None => "it has not begun".to_owned(),
        },
        Against::Expired => format!("it expired at {}", iso8601::time(grant.expires_at)),
        Against::Killed(kill) => {
            let at = iso8601::time(kill.at);
            match &kill.target {
                KillTarget::Tool(tool) => format!("everything for {tool} was revoked at {at}"),
                KillTarget::Template(name) => {
                    format!("everything of the template {name} was revoked at {at}")
                }
                KillTarget::Everything => format!("everything was revoked at {at}"),
            }
        }
        Against::Narrowed => {
            let method = &entry.record.method;
            format!("it was narrowed and does not cover {method} and this path")
        }
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
