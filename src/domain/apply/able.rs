//! Whether anybody could decide, as far as the directory knows. It refuses what nobody could ever
//! approve, and allows nothing.

use super::super::command::Submit;
use super::super::people::Member;
use super::super::refused::Refused;
use super::super::subject::{Person, is_same_mail};
use super::super::template::{Approvers, Step};
use super::Context;

/// Refused when the directory knows all groups of a step, and too few people in them. Of a group
/// that it does not know nothing is claimed.
pub(super) fn refuse_undecidable(context: &Context<'_>, submit: &Submit) -> Result<(), Refused> {
    for (number, step) in (1_u32..).zip(&submit.template.steps) {
        let Some(there) = able(context, submit, step) else { continue };
        if there < usize::try_from(step.required).unwrap_or(usize::MAX) {
            let required = step.required;
            return Err(Refused::NoEligibleApprover { step: number, required, there });
        }
    }
    Ok(())
}

/// How many different people could decide the step; `None`: nobody knows.
fn able(context: &Context<'_>, submit: &Submit, step: &Step) -> Option<usize> {
    let Approvers::Groups(groups) = &step.approvers else { return None };
    let escalation = submit.template.rules.escalation.as_ref();
    let groups = groups.iter().chain(escalation.into_iter().flat_map(|it| &it.groups));
    let mut people: Vec<&Member> = Vec::new();
    for group in groups {
        people.extend(submit.people.members(group)?);
    }
    let asks = |member: &Member| {
        let asker = context.actor.person();
        is_member(&submit.requester, member) || asker.is_some_and(|it| is_member(it, member))
    };
    let mut counted: Vec<&Member> = Vec::new();
    for member in people {
        let may = submit.template.self_approval || !asks(member);
        if may && !counted.iter().any(|other| is_same(other, member)) {
            counted.push(member);
        }
    }
    Some(counted.len())
}

fn is_member(person: &Person, member: &Member) -> bool {
    let mails = person.email.as_deref().zip(member.email.as_deref());
    person.subject.name == member.name || mails.is_some_and(|(one, two)| is_same_mail(one, two))
}

fn is_same(one: &Member, two: &Member) -> bool {
    let mails = one.email.as_deref().zip(two.email.as_deref());
    one.name == two.name || mails.is_some_and(|(one, two)| is_same_mail(one, two))
}
