//! Access at once in an emergency: who may take it, and for what it is owed.

use super::super::command::Submit;
use super::super::course::Review;
use super::super::iso8601;
use super::super::refused::{FieldError, Refused};
use super::super::rules::BreakGlass;
use super::{Context, invalid};

/// Refusals in order: the template has none; not for the requester; asked for somebody else; an
/// earlier one of the subject, of any template, is not reviewed; the subject's kill switch was thrown
/// lately.
pub(super) fn may_break<'a>(
    context: &Context<'_>,
    submit: &'a Submit,
) -> Result<&'a BreakGlass, Refused> {
    let template = &submit.template;
    let rule = template.rules.break_glass.as_ref();
    let rule = rule.ok_or_else(|| Refused::NoBreakGlass(template.name.clone()))?;
    if !submit.requester.in_any_group(&rule.groups) {
        let (template, groups) = (template.name.clone(), rule.groups.join(", "));
        return Err(Refused::NotForBreakGlass { template, groups });
    }
    if context.actor.person().is_none_or(|person| person.subject != submit.requester.subject) {
        let detail = "break-glass is for oneself only";
        return Err(invalid(vec![FieldError::new("/subject", "not-together", detail)]));
    }
    let mut requests = context.state.requests.values();
    if let Some(owed) = requests.find(|request| request.course.owed().is_some()) {
        return Err(Refused::ReviewDebt(owed.id));
    }
    match context.supervised_until() {
        None => Ok(rule),
        Some(until) => {
            let subject = context.state.subject.name.clone();
            Err(Refused::Supervised { subject, until: iso8601::time(until) })
        }
    }
}

pub(super) fn debt(context: &Context<'_>, rule: &BreakGlass) -> Review {
    Review { due_at: context.now.plus(rule.review_within), reviewed: None, overdue: false }
}
