//! One template as JSON, in the shape of an entry of a catalog file: read as the files are, and
//! written so that it reads back as itself.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::config::Problem;
use crate::config::load::read_json;
use crate::config::reader::Context;
use crate::domain::people::People;
use crate::domain::rules::{Eligible, Notify, Rules};
use crate::domain::template::{Approvers, Field, FieldKind, Requesters, Step, Template};
use crate::iso8601;

use super::template;

/// One thing wrong with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// RFC 6901
    pub pointer: String,
    pub code: &'static str,
    pub detail: String,
}

/// Reads the template called `name`; a body without a name gets this one.
///
/// # Errors
/// Every problem.
pub fn read_one(
    name: &str,
    mut body: Map<String, Value>,
    tools: &[Arc<str>],
) -> Result<Template, Vec<Wrong>> {
    body.entry("name").or_insert_with(|| name.into());
    let context = Context::of_body();
    let read = read_json(&Value::Object(body), &context, |root| template::template(root, tools));
    let mut wrong: Vec<Wrong> = context.finish().0.into_iter().map(Wrong::of).collect();
    if let Some(template) = read.as_ref().filter(|template| *template.name != *name) {
        let detail = format!("expected {name:?} as in the path, found {:?}", template.name);
        wrong.push(Wrong { pointer: "/name".to_owned(), code: "mismatch", detail });
    }
    match read {
        Some(template) if wrong.is_empty() => Ok(template),
        Some(_) | None => Err(wrong),
    }
}

impl Wrong {
    fn of(problem: Problem) -> Self {
        let code = match problem.found.as_str() {
            "nothing" => "required",
            "an unknown key" => "unknown-field",
            "a key not supported by this version yet" => "unsupported",
            _ => "invalid",
        };
        let detail = format!("found {}, expected {}", problem.found, problem.expected);
        Self { pointer: problem.path, code, detail }
    }
}

/// Groups that would be told of a request and that a directory, when there is one, does not know.
#[must_use]
pub fn unknown_groups(template: &Template, people: &People) -> Vec<Wrong> {
    if people.is_empty() {
        return Vec::new();
    }
    let steps = template.steps.iter().enumerate().map(|(index, step)| {
        let groups = match &step.approvers {
            Approvers::Anyone => &[][..],
            Approvers::Groups(groups) => groups,
        };
        (format!("/steps/{index}/approvers/groups"), groups)
    });
    let escalation = template.rules.escalation.iter();
    let escalation = escalation.map(|it| ("/escalation/groups".to_owned(), &it.groups[..]));
    let unknown = |(pointer, groups): (String, &[Arc<str>])| -> Vec<Wrong> {
        let unknown = groups.iter().filter(|group| people.members(group).is_none());
        let wrong = |group: &Arc<str>| Wrong {
            pointer: pointer.clone(),
            code: "unknown-group",
            detail: format!("the directory knows no group {group:?}"),
        };
        unknown.map(wrong).collect()
    };
    steps.chain(escalation).flat_map(unknown).collect()
}

/// The template as an entry of a catalog file, with everything that differs from what is understood
/// where nothing is said.
#[must_use]
pub fn written(template: &Template) -> Map<String, Value> {
    let mut all = Map::new();
    let mut put = |key: &str, value: Value| {
        all.insert(key.to_owned(), value);
    };
    put("name", json!(template.name));
    put("title", json!(template.title));
    put("enabled", json!(template.enabled));
    if !template.scopes.is_empty() {
        put("scopes", json!(template.scopes));
    }
    put("accesses", json!(template.accesses));
    put("durations", spans(&template.durations));
    put("default_duration", span(template.default_duration));
    put("pending_for", span(template.pending_for));
    if let Requesters::Groups(groups) = &template.requesters {
        put("requesters", json!({ "groups": groups }));
    }
    put("require_justification", json!(template.require_justification));
    if let Some(rule) = &template.justification {
        put("justification", json!({ "pattern": rule.pattern.as_str(), "message": rule.message }));
    }
    if !template.fields.is_empty() {
        put("fields", template.fields.iter().map(field).collect());
    }
    put("steps", template.steps.iter().map(step).collect());
    put("self_approval", json!(template.self_approval));
    rules(&template.rules, &mut put);
    all
}

fn rules(rules: &Rules, put: &mut impl FnMut(&str, Value)) {
    if let Some(when) = &rules.auto_approve {
        put("auto_approve", json!({ "when": when }));
    }
    match rules.notify {
        Notify::All => (),
        Notify::FirstN(count) => put("notify", json!({ "policy": "first_n", "count": count })),
        Notify::RandomN(count) => put("notify", json!({ "policy": "random_n", "count": count })),
        Notify::RoundRobin(n) => put("notify", json!({ "policy": "round_robin", "count": n })),
    }
    if let Some(it) = &rules.escalation {
        put("escalation", json!({ "after": span(it.after), "groups": it.groups }));
    }
    if let Some(it) = &rules.extension {
        put("extension", json!({ "max": it.max, "steps": spans(&it.steps) }));
    }
    if let Some(it) = rules.warn_before_end {
        put("warn_before_end", span(it));
    }
    if let Some(it) = &rules.break_glass {
        let (length, review) = (span(it.duration), span(it.review_within));
        put(
            "break_glass",
            json!({ "groups": it.groups, "duration": length, "review_within": review }),
        );
    }
    if !rules.conflicts_with.is_empty() {
        put("conflicts_with", json!(rules.conflicts_with));
    }
    if let Some(it) = &rules.eligible {
        put("eligible", eligible(it));
    }
}

fn eligible(it: &Eligible) -> Value {
    let mut all = Map::new();
    if !it.groups.is_empty() {
        all.insert("groups".to_owned(), json!(it.groups));
    }
    if !it.subjects.is_empty() {
        all.insert("subjects".to_owned(), json!(it.subjects));
    }
    if let Some(until) = it.until {
        all.insert("until".to_owned(), json!(iso8601::time(until)));
    }
    all.insert("approval".to_owned(), json!(it.needs_approval));
    Value::Object(all)
}

fn field(field: &Field) -> Value {
    let (name, required) = (&field.name, field.required);
    match &field.kind {
        FieldKind::Text { max } => {
            json!({ "name": name, "required": required, "type": "text", "max": max })
        }
        FieldKind::Select { options } => {
            json!({ "name": name, "required": required, "type": "select", "options": options })
        }
        FieldKind::Checkbox => json!({ "name": name, "required": required, "type": "checkbox" }),
        FieldKind::Number => json!({ "name": name, "required": required, "type": "number" }),
    }
}

fn step(step: &Step) -> Value {
    let approvers = match &step.approvers {
        Approvers::Anyone => json!({ "any": true }),
        Approvers::Groups(groups) => json!({ "groups": groups }),
    };
    json!({ "approvers": approvers, "required": step.required })
}

fn span(span: Duration) -> Value {
    json!(iso8601::duration(span))
}

fn spans(all: &[Duration]) -> Value {
    all.iter().map(|it| span(*it)).collect()
}
