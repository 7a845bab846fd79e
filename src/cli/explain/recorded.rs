//! What a record of the decision log tells, in the form of an explanation.

use serde_json::{Map, Value, json};

/// The log has no token checks, no grants that did not count and no rows; a note says so.
pub fn explanation(event: &Value) -> Value {
    let data = event.get("data").unwrap_or(&Value::Null);
    let of = |key: &str| data.get(key).cloned().unwrap_or_default();
    let allowed = of("authz.effect") == json!("allow");
    let policies = of("authz.evaluated_policies");
    let asked = policies.as_array().is_some_and(|policies| !policies.is_empty());
    let mut shown = Map::new();
    let mut add = |key: &str, value: Value| shown.insert(key.to_owned(), value);
    add("id", of("decision_id"));
    add("allowed", json!(allowed));
    add("reason", of("authz.reason"));
    add("detail", of("detail"));
    add("at", event.get("time").cloned().unwrap_or_default());
    add("request", request(&of));
    if data.get("subject").is_some() {
        add("subject", json!({ "name": of("subject"), "issuer": of("issuer") }));
    }
    add("roles", roles(&of("authz.roles")));
    add("grants_used", of("grants"));
    if asked {
        add("policy", policy(&of, &policies));
    }
    add("default_effect", of("authz.default_effect"));
    add("trace", of("trace"));
    add("note", json!("from the decision log, which does not tell everything that was looked at"));
    Value::Object(shown)
}

fn request(of: &impl Fn(&str) -> Value) -> Value {
    json!({
        "method": of("method"),
        "host": of("host"),
        "target": of("target"),
        "upstream_path": of("upstream_path"),
        "tool": of("tool"),
        "action": of("authz.action"),
        "resource": of("authz.resource"),
        "object_id": of("authz.objectID"),
    })
}

fn roles(names: &Value) -> Value {
    let names = names.as_array().into_iter().flatten();
    names.map(|role| json!({ "role": role, "from": [], "counts": true })).collect()
}

fn policy(of: &impl Fn(&str) -> Value, policies: &Value) -> Value {
    json!({
        "policy": policies.get(0).cloned().unwrap_or_default(),
        "scope": of("authz.policy_scope"),
        "rule": of("authz.rule"),
        "derived_roles": of("authz.derived_roles"),
    })
}
