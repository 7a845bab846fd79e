//! An explanation as a report for people: the answer first, then what led to it.

use serde_json::Value;

use super::super::output::word;

/// One line for each thing that was looked at.
pub fn report(it: &Value) -> Vec<String> {
    let mut lines =
        vec![headline(it), format!("  decision {} at {}", word(it, "id"), word(it, "at"))];
    request(it, &mut lines);
    token(it, &mut lines);
    subject(it, &mut lines);
    roles(it, &mut lines);
    grants(it, &mut lines);
    policy(it, &mut lines);
    for (key, title) in [("trace", "trace"), ("note", "note")] {
        let value = word(it, key);
        if !value.is_empty() {
            lines.push(format!("  {title}: {value}"));
        }
    }
    lines
}

fn headline(it: &Value) -> String {
    let (reason, detail) = (word(it, "reason"), word(it, "detail"));
    let answer = if flag(it, "allowed") { "allowed" } else { "denied" };
    match (detail.is_empty(), reason == answer) {
        (true, true) => answer.to_owned(),
        (true, false) => format!("{answer}: {reason}"),
        (false, true) => format!("{answer}: {detail}"),
        (false, false) => format!("{answer}: {detail} ({reason})"),
    }
}

fn request(it: &Value, lines: &mut Vec<String>) {
    if let Some(call) = it.get("call") {
        lines.push(format!("  call {}", word(call, "route")));
    }
    let Some(request) = it.get("request") else { return };
    let line = ["method", "host", "target"].map(|key| word(request, key)).join(" ");
    lines.push(format!("  request {line}"));
    let tool = word(request, "tool");
    lines.push(match tool.as_str() {
        "" => "    no tool".to_owned(),
        tool => format!("    tool {tool}{}", asked(request)),
    });
    for rule in list(request, "rules") {
        let methods = word(rule, "methods");
        let methods = if methods.is_empty() { "any method".to_owned() } else { methods };
        let [path, access, verdict] = ["path", "access", "verdict"].map(|key| word(rule, key));
        lines.push(format!("    rule {methods} {path} ({access}): {verdict}"));
    }
}

/// `, action read on tool notes`
fn asked(request: &Value) -> String {
    let [action, resource, id] = ["action", "resource", "object_id"].map(|key| word(request, key));
    if action.is_empty() { String::new() } else { format!(", action {action} on {resource} {id}") }
}

fn token(it: &Value, lines: &mut Vec<String>) {
    let Some(token) = it.get("token") else { return };
    let outcome = word(token, "outcome").replace('-', " ");
    let detail = word(token, "detail");
    lines.push(match detail.as_str() {
        "" => format!("  token {outcome}"),
        detail => format!("  token {outcome}: {detail}"),
    });
    for key in ["issuer", "algorithm", "key_id", "type", "audiences", "expires_at"] {
        let value = word(token, key);
        if !value.is_empty() {
            lines.push(format!("    {} {value}", key.replace('_', " ")));
        }
    }
}

fn subject(it: &Value, lines: &mut Vec<String>) {
    let Some(subject) = it.get("subject") else { return };
    lines.push(format!("  subject {}", word(subject, "name")));
    let groups = word(subject, "groups");
    if !groups.is_empty() {
        lines.push(format!("    groups {groups}"));
    }
}

fn roles(it: &Value, lines: &mut Vec<String>) {
    let roles = list(it, "roles");
    if roles.is_empty() {
        return;
    }
    lines.push("  roles".to_owned());
    for role in roles {
        let (name, from) = (word(role, "role"), word(role, "from"));
        let from = if from.is_empty() { from } else { format!(" from {from}") };
        let against = if flag(role, "counts") {
            String::new()
        } else {
            format!(": does not count, {}", word(role, "detail"))
        };
        lines.push(format!("    {name}{from}{against}"));
    }
}

fn grants(it: &Value, lines: &mut Vec<String>) {
    let used = word(it, "grants_used");
    if !used.is_empty() {
        lines.push(format!("  grants {used}"));
    }
    let Some(grants) = it.get("grants").filter(|grants| grants.is_object()) else { return };
    let (considered, ended) = (list(grants, "considered"), list(grants, "ended"));
    lines.push(match (flag(grants, "suspended"), considered.is_empty() && ended.is_empty()) {
        (true, _) => "  grants: access is suspended for this subject".to_owned(),
        (false, true) => "  grants: none".to_owned(),
        (false, false) => "  grants".to_owned(),
    });
    for grant in considered {
        let [id, tool, role, detail] = ["id", "tool", "role", "detail"].map(|key| word(grant, key));
        let verdict = if flag(grant, "counts") { "counts" } else { "does not count" };
        lines.push(format!("    {id} {tool}:{role} {verdict}: {detail}"));
    }
    for grant in ended {
        let [id, at, why] = ["id", "at", "why"].map(|key| word(grant, key));
        lines.push(format!("    {id} ended: {why} at {at}"));
    }
}

fn policy(it: &Value, lines: &mut Vec<String>) {
    let Some(policy) = it.get("policy").filter(|policy| policy.is_object()) else { return };
    lines.push(format!("  policy {}", word(policy, "policy")));
    for key in ["scope", "rule", "derived_roles"] {
        let value = word(policy, key);
        if !value.is_empty() {
            lines.push(format!("    {} {value}", key.replace('_', " ")));
        }
    }
    for row in list(policy, "rows") {
        let [file, line, rule, effect, said] =
            ["file", "line", "rule", "effect", "said"].map(|key| word(row, key));
        lines.push(format!("    {file}:{line} {effect} '{rule}': {said}"));
    }
    for output in list(policy, "outputs") {
        let value = output.get("value").unwrap_or(&Value::Null);
        lines.push(format!("    output of {}: {value}", word(output, "source")));
    }
    let note = word(policy, "note");
    if !note.is_empty() {
        lines.push(format!("    note: {note}"));
    }
}

fn list<'a>(it: &'a Value, key: &str) -> &'a [Value] {
    it.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn flag(it: &Value, key: &str) -> bool {
    it.get(key).and_then(Value::as_bool).unwrap_or(false)
}
