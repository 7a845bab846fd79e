//! Asking a template's rule for approval without people.

use super::Api;
use super::extract::Call;
use crate::domain::command::Submit;
use crate::policy::approval::{ApprovalRule, Asked};
use crate::telemetry::events::approvals::RuleFailed;

/// Whether the template's rule holds for what the caller asks for themselves. Whatever goes wrong:
/// it does not, and people decide. Compiled for each request: there are few, and the catalog did it
/// only to refuse a wrong one.
pub fn holds(api: &Api, call: &Call, submit: &Submit) -> bool {
    let Submit { template, requester, justification, fields, .. } = submit;
    let may_hold = requester.subject == *call.subject() && !submit.break_glass;
    let Some(text) = template.rules.auto_approve.as_deref().filter(|_| may_hold) else {
        return false;
    };
    let asked = Asked {
        template: &template.name,
        duration: submit.duration.unwrap_or(template.default_duration),
        justification,
        fields,
        requester,
        claims: &call.identity.claims,
        now: api.clock.now(),
    };
    match ApprovalRule::compile(text).and_then(|rule| rule.holds(&asked)) {
        Ok(holds) => holds,
        Err(why) => {
            RuleFailed { template: &template.name, why: &why }.emit();
            false
        }
    }
}
