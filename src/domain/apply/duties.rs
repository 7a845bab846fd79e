//! Separation of duties: accesses that nobody may hold together.

use super::super::access::Access;
use super::super::grant::{Grant, GrantStatus};
use super::super::refused::Refused;
use super::super::template::Template;
use super::{Context, grant_status};

/// Asked when access is asked for, and again when it is given. A grant that counts, or may still
/// begin to, conflicts with what its template or the wanted one names. A pending request does not.
pub(super) fn refuse_conflicts(context: &Context<'_>, wanted: &Template) -> Result<(), Refused> {
    let own = |access: &&Access| wanted.rules.conflicts().any(|it| it == *access);
    if let Some(access) = wanted.accesses.iter().find(own) {
        // Of the two that the template itself would bring together.
        let other = wanted.accesses.iter().find(|it| *it != access).unwrap_or(access);
        return Err(Refused::DutiesConflict { access: access.clone(), held: other.clone() });
    }
    let mut held = context.state.grants.values().filter(|grant| is_held(context, grant));
    held.try_for_each(|held| refuse_conflict(wanted, held))
}

fn refuse_conflict(wanted: &Template, held: &Grant) -> Result<(), Refused> {
    let is_named = wanted.rules.conflicts().any(|access| *access == held.access);
    let names = |access| held.terms.conflicts_with.contains(access);
    match wanted.accesses.iter().find(|access| is_named || names(access)) {
        None => Ok(()),
        Some(access) => {
            let (access, held) = (access.clone(), held.access.clone());
            Err(Refused::DutiesConflict { access, held })
        }
    }
}

fn is_held(context: &Context<'_>, grant: &Grant) -> bool {
    match grant_status(grant, &context.state.markers, context.now) {
        GrantStatus::Active | GrantStatus::Scheduled | GrantStatus::Unconfirmed => true,
        GrantStatus::Expired | GrantStatus::Revoked | GrantStatus::Released => false,
    }
}
