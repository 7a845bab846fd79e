//! Requests as the PDP's API has them.

use serde_json::{Value as Json, json};

use super::api::CheckRequest;
use super::{Engine, Options, PolicyProblems};

fn engine(files: &[(&str, &str)]) -> Engine {
    load(files).unwrap_or_else(|it| panic!("{it}"))
}

fn load(files: &[(&str, &str)]) -> Result<Engine, PolicyProblems> {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let head =
            if name.starts_with("_schemas") { "" } else { "apiVersion: api.cerbos.dev/v1\n" };
        std::fs::write(path, format!("{head}{text}")).unwrap();
    }
    Engine::load_with(directory.path(), Options::default())
}

fn request(resource: &Json, roles: &[&str], actions: &[&str]) -> Json {
    json!({
        "requestId": "r1", "includeMeta": true,
        "principal": { "id": "alice", "roles": roles, "attr": { "team": "a" } },
        "resources": [{ "actions": actions, "resource": resource }],
    })
}

fn ask(engine: &Engine, request: &Json) -> Json {
    let request = CheckRequest::parse(request.to_string().as_bytes()).unwrap();
    serde_json::to_value(engine.check(&request).unwrap()).unwrap()["results"][0].clone()
}

const DOC: &str = "resourcePolicy: { resource: doc, version: default, rules: [
  { actions: [read, write], effect: EFFECT_ALLOW, roles: [user] } ] }";
const TEAM: &str = "resourcePolicy: { resource: doc, version: default, scope: team, rules: [
  { actions: [write], effect: EFFECT_DENY, roles: [user], name: frozen,
    output: { when: { ruleActivated: '\"frozen for \" + P.id' } } } ] }";

#[test]
fn scopes_are_asked_from_the_leaf_to_the_root() {
    let engine = engine(&[("a.yaml", DOC), ("b.yaml", TEAM)]);
    let doc = json!({ "kind": "doc", "id": "1", "scope": "team" });
    let result = ask(&engine, &request(&doc, &["user"], &["read", "write"]));
    assert_eq!(result["actions"], json!({ "read": "EFFECT_ALLOW", "write": "EFFECT_DENY" }));
    let team = "resource.doc.vdefault/team";
    let meta = &result["meta"]["actions"];
    assert_eq!(meta["write"], json!({ "matchedPolicy": team, "matchedScope": "team" }));
    assert_eq!(meta["read"], json!({ "matchedPolicy": team }));
    let said =
        json!([{ "src": format!("{team}#frozen"), "val": "frozen for alice", "action": "write" }]);
    assert_eq!(result["outputs"], said);
    let elsewhere = json!({ "kind": "doc", "id": "1", "scope": "other" });
    let result = ask(&engine, &request(&elsewhere, &["user"], &["read"]));
    assert_eq!(result["meta"]["actions"]["read"]["matchedPolicy"], "NO_MATCH");
}

#[test]
fn what_a_principal_policy_says_is_final() {
    let policy = "principalPolicy: { principal: alice, version: default, rules: [
      { resource: doc, actions: [ { action: read, effect: EFFECT_DENY } ] } ] }";
    let engine = engine(&[("a.yaml", DOC), ("p.yaml", policy)]);
    let doc = json!({ "kind": "doc", "id": "1" });
    let result = ask(&engine, &request(&doc, &["user"], &["read", "write"]));
    assert_eq!(result["actions"], json!({ "read": "EFFECT_DENY", "write": "EFFECT_ALLOW" }));
    let told = &result["meta"]["actions"]["read"]["matchedPolicy"];
    assert_eq!(told, "principal.alice.vdefault");
}

#[test]
fn a_role_policy_narrows_what_its_parents_may() {
    let policy = "rolePolicy: { role: intern, parentRoles: [user], rules: [
      { resource: doc, allowActions: [read] } ] }";
    let engine = engine(&[("a.yaml", DOC), ("r.yaml", policy)]);
    let doc = json!({ "kind": "doc", "id": "1" });
    let result = ask(&engine, &request(&doc, &["intern"], &["read", "write"]));
    assert_eq!(result["actions"], json!({ "read": "EFFECT_ALLOW", "write": "EFFECT_DENY" }));
    let told = &result["meta"]["actions"]["write"]["matchedPolicy"];
    assert_eq!(told, "role.intern.vdefault");
}

#[test]
fn where_the_pdp_mixes_up_rules_of_a_role_policy_the_most_restrictive_answer_is_given() {
    let policy = "rolePolicy: { role: user, rules: [
      { resource: '*', allowActions: [read], condition: { match: { expr: 'P.attr.team == \"a\"' } } },
      { resource: doc, allowActions: [read], condition: { match: { expr: 'P.attr.team == \"b\"' } } } ] }";
    let engine = engine(&[("a.yaml", DOC), ("r.yaml", policy)]);
    let doc = json!({ "kind": "doc", "id": "1" });
    let result = ask(&engine, &request(&doc, &["user"], &["read"]));
    assert_eq!(result["actions"]["read"], "EFFECT_DENY");
}

#[test]
fn of_rules_that_the_pdp_mixes_up_only_what_was_asked_before_counts_and_has_a_value() {
    let policy = "principalPolicy: { principal: alice, version: default, rules: [
      { resource: '**', actions: [ { action: write, effect: EFFECT_ALLOW, name: n, condition: { match: { expr: 'CONDITION' } } } ] },
      { resource: '*', actions: [ { action: read, effect: EFFECT_ALLOW, name: n } ] } ] }";
    let roles = "rolePolicy: { role: user, rules: [
      { resource: '**', allowActions: [write], condition: { match: { expr: 'CONDITION' } } },
      { resource: '*', allowActions: [read], condition: { match: { expr: 'R.id == \"1\"' } } } ] }";
    let doc = json!({ "kind": "doc", "id": "1" });
    for (file, text, role) in [("p.yaml", policy, "guest"), ("r.yaml", roles, "user")] {
        for (condition, actions, effect) in [
            ("R.id == \"2\"", &["read"][..], "EFFECT_ALLOW"),
            ("R.id == \"2\"", &["read", "write"], "EFFECT_ALLOW"),
            ("R.id == \"2\"", &["write", "read"], "EFFECT_DENY"),
            ("R.attr.gone == 2", &["read"], "EFFECT_ALLOW"),
            ("R.attr.gone == 2", &["write", "read"], "EFFECT_ALLOW"),
        ] {
            let text = text.replace("CONDITION", condition);
            let engine = engine(&[("a.yaml", DOC), (file, &text)]);
            let result = ask(&engine, &request(&doc, &[role], actions));
            assert_eq!(result["actions"]["read"], effect, "{file}: {condition}, {actions:?}");
        }
    }
}

#[test]
fn a_role_policy_that_the_pdp_mixes_up_opens_nothing_through_another_role() {
    let doc = "resourcePolicy: { resource: doc, version: default, rules: [
      { actions: [read], effect: EFFECT_ALLOW, roles: [other] },
      { actions: [read], effect: EFFECT_ALLOW, roles: [user], condition: { match: { expr: 'R.attr.gone == 1' } } } ] }";
    let policy = "rolePolicy: { role: user, rules: [
      { resource: doc, allowActions: [read], condition: { match: { expr: 'R.id == \"1\"' } } },
      { resource: '*', allowActions: [read], condition: { match: { expr: 'R.id == \"2\"' } } } ] }";
    let read = json!({ "kind": "doc", "id": "1" });
    for (policy, effect) in [
        (policy.to_owned(), "EFFECT_DENY"),
        // Both say no: no row of the resource policy is asked for this role.
        (policy.replace("\"1\"", "\"3\""), "EFFECT_ALLOW"),
    ] {
        let engine = engine(&[("a.yaml", doc), ("r.yaml", &policy)]);
        let result = ask(&engine, &request(&read, &["user", "other"], &["read"]));
        assert_eq!(result["actions"]["read"], effect);
    }
}

#[test]
fn attributes_that_do_not_fit_the_schema_deny_everything_without_being_told() {
    let policy = DOC.replace(
        "rules: [",
        "schemas: { resourceSchema: { ref: 'cerbos:///doc.json', ignoreWhen: { actions: ['w*'] } } }, rules: [",
    );
    let schema = r#"{ "type": "object", "properties": { "owner": { "type": "string" } } }"#;
    let engine = engine(&[("a.yaml", &policy), ("_schemas/doc.json", schema)]);
    let doc = |owner: Json| json!({ "kind": "doc", "id": "1", "attr": { "owner": owner } });
    let result = ask(&engine, &request(&doc(json!(4711)), &["user"], &["read", "write"]));
    assert_eq!(result["actions"], json!({ "read": "EFFECT_DENY", "write": "EFFECT_DENY" }));
    let error = &result["validationErrors"][0];
    assert_eq!((&error["path"], &error["source"]), (&json!("/owner"), &json!("SOURCE_RESOURCE")));
    assert!(!error["message"].as_str().unwrap().contains("4711"));
    for (owner, action) in [(json!(4711), "write"), (json!("x"), "read")] {
        let result = ask(&engine, &request(&doc(owner), &["user"], &[action]));
        assert_eq!(result["actions"][action], "EFFECT_ALLOW");
    }
}

#[test]
fn what_the_pdp_answers_400_to_is_refused() {
    let doc = json!({ "kind": "doc", "id": "1" });
    let good = request(&doc, &["user"], &["read"]);
    let change = |pointer: &str, value: Json| {
        let mut changed = good.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        changed
    };
    let many = |count: usize| (0..count).map(|it| format!("a{it}")).collect::<Vec<_>>();
    let entry = good["resources"][0].clone();
    for bad in [
        change("/principal/id", json!("")),
        change("/principal/roles", json!([])),
        change("/principal/roles", json!(["a", "a"])),
        change("/principal/attr", json!({ "": 1 })),
        change("/resources", json!([])),
        change("/resources", Json::Array(vec![entry; 51])),
        change("/resources/0/actions", json!([""])),
        change("/resources/0/actions", json!(many(51))),
        change("/resources/0/resource", json!({ "kind": "doc" })),
        change("/resources/0/resource", json!({ "kind": "doc", "id": "1", "scope": "a..b" })),
        change("/resources/0/resource", json!({ "kind": "doc", "id": "1", "policyVersion": "1-" })),
    ] {
        let request = CheckRequest::parse(bad.to_string().as_bytes()).unwrap();
        assert_eq!(request.validate().unwrap_err().code, 3, "{bad}");
    }
    assert_eq!(CheckRequest::parse(b"{").unwrap_err().code, 3);
    let snake = good.to_string().replace("requestId", "request_id");
    assert_eq!(CheckRequest::parse(snake.as_bytes()).unwrap().request_id, "r1");
}

#[test]
fn a_variable_forgets_the_library_type_of_its_value() {
    let cases = [
        ("hierarchy(\"a.b\")", "V.v == [\"a\", \"b\"]", true),
        ("hierarchy(\"a.b\")", "hierarchy(\"a\").overlaps(V.v)", false),
        ("optional.of(1)", "V.v == 1", true),
        ("optional.none()", "V.v == null", true),
        ("spiffeTrustDomain(\"spiffe://a.b\")", "V.v.name() == \"a.b\"", false),
        ("type(1)", "V.v == int", false),
        ("[optional.of(1)]", "V.v[0].hasValue()", true),
    ];
    for (variable, condition, holds) in cases {
        let policy = format!(
            "resourcePolicy: {{ resource: doc, version: default,
              variables: {{ local: {{ v: '{variable}' }} }}, rules: [
              {{ actions: [read], effect: EFFECT_ALLOW, roles: [user],
                condition: {{ match: {{ expr: '{condition}' }} }} }} ] }}"
        );
        let engine = engine(&[("a.yaml", &policy)]);
        let doc = json!({ "kind": "doc", "id": "1" });
        let result = ask(&engine, &request(&doc, &["user"], &["read"]));
        let effect = if holds { "EFFECT_ALLOW" } else { "EFFECT_DENY" };
        assert_eq!(result["actions"]["read"], effect, "{variable}: {condition}");
    }
}

#[test]
fn a_file_with_a_second_document_is_refused() {
    let two = format!("{DOC}\n---\napiVersion: api.cerbos.dev/v1\n{TEAM}");
    let problems = load(&[("a.yaml", &two)]).unwrap_err().to_string();
    assert!(problems.contains("a.yaml:5") && problems.contains("a second document"), "{problems}");
}

/// As the PDP: the first file of a scope does not count, and what is not written is a value.
#[test]
fn policies_of_a_scope_that_write_other_scope_permissions_are_refused() {
    const OVERRIDE: &str = "scopePermissions: SCOPE_PERMISSIONS_OVERRIDE_PARENT";
    let policy = |kind: &str, more: &str| {
        format!("resourcePolicy: {{ resource: {kind}, version: default, {more} }}")
    };
    let files = |second: &str, third: &str| {
        let root = policy("doc", "rules: []");
        load(&[("a.yaml", &root), ("b.yaml", second), ("c.yaml", third)])
    };
    let (plain, written) = (policy("b", "rules: []"), policy("c", OVERRIDE));
    let problems = files(&plain, &written).unwrap_err().to_string();
    assert!(problems.contains("do not all write the same scope permissions"), "{problems}");
    let all = policy("b", OVERRIDE);
    assert!(files(&all, &written).is_ok());
    let role = "rolePolicy: { role: r, rules: [ { resource: doc, allowActions: [read] } ] }";
    assert!(files(role, &plain).is_ok());
    assert!(files(role, &written).is_err());
}
