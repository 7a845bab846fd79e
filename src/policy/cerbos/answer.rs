//! From the PDP's response to decisions. What does not answer exactly the question that was put is
//! no answer at all.

use std::sync::Arc;

use prost_types::Value;
use prost_types::value::Kind;

use super::messages::{CheckResourcesResponse, EffectMeta, Meta, OutputEntry, ResultEntry};
use crate::policy::{Decision, Output, Query, Reason};

const ALLOW: i32 = 1;
const DENY: i32 = 2;
const NO_MATCH_EFFECT: i32 = 3;
/// What the PDP names when no policy is about the kind in the scope.
const NO_MATCH: &str = "NO_MATCH";
/// Bytes of a name, and number of derived roles and outputs.
const LONGEST: usize = 1024;

/// One decision for each action, in order.
///
/// # Errors
/// How the response misses the question.
pub fn decisions(
    query: &Query<'_>,
    response: CheckResourcesResponse,
) -> Result<Vec<Decision>, &'static str> {
    if response.request_id != query.decision {
        return Err("the PDP answered another request");
    }
    let mut results = response.results.into_iter();
    let (Some(result), None) = (results.next(), results.next()) else {
        return Err("the PDP answered about none or several resources");
    };
    about_the_resource(query, &result)?;
    if result.actions.len() != query.actions.len() {
        return Err("the PDP did not answer exactly the actions that were asked");
    }
    let meta = result.meta.as_ref().ok_or("the PDP did not say which policies decided")?;
    bounded(&result, meta)?;
    let derived: Vec<Arc<str>> =
        meta.effective_derived_roles.iter().map(|role| role.as_str().into()).collect();
    let answers = Answers { query, result: &result, meta, derived: &derived };
    query.actions.iter().map(|action| answers.decision(action)).collect()
}

fn about_the_resource(query: &Query<'_>, result: &ResultEntry) -> Result<(), &'static str> {
    let resource = result.resource.as_ref().ok_or("the PDP did not name the resource")?;
    let asked = &query.resource;
    let same =
        resource.id == asked.id && resource.kind == asked.kind && resource.scope == asked.scope;
    if same { Ok(()) } else { Err("the PDP answered about another resource") }
}

/// What goes on into records and logs has a bounded size.
fn bounded(result: &ResultEntry, meta: &Meta) -> Result<(), &'static str> {
    let matched = meta.actions.iter().filter_map(|it| it.matched.as_ref());
    let names = matched.flat_map(|it| [&it.matched_policy, &it.matched_scope]);
    let fit = names.chain(&meta.effective_derived_roles).all(|name| name.len() <= LONGEST);
    let few = meta.effective_derived_roles.len() <= LONGEST && result.outputs.len() <= LONGEST;
    if fit && few {
        Ok(())
    } else {
        Err("the PDP's answer has names that are too long or too many")
    }
}

struct Answers<'a> {
    query: &'a Query<'a>,
    result: &'a ResultEntry,
    meta: &'a Meta,
    derived: &'a [Arc<str>],
}

impl Answers<'_> {
    fn decision(&self, action: &str) -> Result<Decision, &'static str> {
        let effects = self.result.actions.iter().filter(|it| it.action == action);
        let effect = only(effects).ok_or("the PDP did not answer each action once")?.effect;
        let matched = only(self.meta.actions.iter().filter(|it| it.action == action));
        let matched = matched.and_then(|it| it.matched.as_ref());
        let matched = matched.ok_or("the PDP did not say which policy decided")?;
        let allowed = match effect {
            ALLOW if matched.matched_policy == NO_MATCH => {
                return Err("the PDP allowed without any policy");
            }
            ALLOW => true,
            DENY | NO_MATCH_EFFECT => false,
            _ => return Err("the PDP answered with an unknown effect"),
        };
        let outputs = self.result.outputs.iter().filter(|it| it.action == action);
        Ok(Decision {
            allowed,
            reason: if allowed { Reason::Allowed } else { Reason::Denied },
            policy: matched.matched_policy.as_str().into(),
            scope: matched.matched_scope.as_str().into(),
            rule: None,
            derived_roles: self.derived.to_vec(),
            outputs: outputs.map(output).collect(),
            detail: self.detail(action, allowed, matched).into(),
            unknown_kind: self.knows_no_such_kind(allowed, matched),
        })
    }

    /// Whether every part of the answer says so. A scope that no policy has gives the same answer,
    /// so a question with a scope never counts.
    fn knows_no_such_kind(&self, allowed: bool, matched: &EffectMeta) -> bool {
        !allowed
            && matched.matched_policy == NO_MATCH
            && matched.matched_scope.is_empty()
            && self.query.resource.scope.is_empty()
            && self.derived.is_empty()
            && self.result.outputs.is_empty()
            && self.result.validation_errors.is_empty()
            && self.result.actions.iter().all(|it| it.effect == DENY)
            && self
                .meta
                .actions
                .iter()
                .all(|it| it.matched.as_ref().is_some_and(|it| it.matched_policy == NO_MATCH))
    }

    /// For people. The PDP names the policy that decided, not the rule.
    fn detail(&self, action: &str, allowed: bool, matched: &EffectMeta) -> String {
        let policy = &matched.matched_policy;
        let resource = &self.query.resource;
        if allowed {
            return format!("allowed by {policy}");
        }
        if !self.result.validation_errors.is_empty() {
            return "the attributes do not fit the schema of the policy".to_owned();
        }
        match (policy == NO_MATCH, resource.scope.is_empty()) {
            (true, true) => format!("no policy knows the resource kind '{}'", resource.kind),
            (true, false) => format!(
                "no policy knows the resource kind '{}' in the scope '{}'",
                resource.kind, resource.scope
            ),
            (false, _) => {
                let roles = self.query.principal.roles.join(", ");
                format!("{policy} does not allow action '{action}' for roles [{roles}]")
            }
        }
    }
}

fn only<T>(mut found: impl Iterator<Item = T>) -> Option<T> {
    let first = found.next();
    if found.next().is_some() { None } else { first }
}

fn output(entry: &OutputEntry) -> Output {
    let value = match &entry.val {
        Some(value) if entry.error.is_empty() => {
            json(value).ok_or_else(|| "a number that is none".into())
        }
        Some(_) | None => Err(entry.error.as_str().into()),
    };
    Output { source: entry.src.as_str().into(), value }
}

/// `None` for a number that JSON does not have. The decoder bounds the depth.
fn json(value: &Value) -> Option<serde_json::Value> {
    Some(match value.kind.as_ref() {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::BoolValue(it)) => (*it).into(),
        Some(Kind::NumberValue(it)) => serde_json::Number::from_f64(*it)?.into(),
        Some(Kind::StringValue(it)) => it.as_str().into(),
        Some(Kind::ListValue(it)) => it.values.iter().map(json).collect::<Option<Vec<_>>>()?.into(),
        Some(Kind::StructValue(it)) => {
            let members = it.fields.iter().map(|(name, it)| Some((name.clone(), json(it)?)));
            serde_json::Value::Object(members.collect::<Option<_>>()?)
        }
    })
}
