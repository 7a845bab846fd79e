//! What the engine refuses to load, and how it says so.

use std::path::Path;

use serde_json::json;

use super::decisions::{load, policy, roles};
use crate::policy::embedded::Engine;

fn refusal(expr: &str) -> String {
    let text = format!(
        "name: odd, actions: [read], effect: EFFECT_ALLOW, roles: [user], \
         condition: {{ match: {{ expr: {} }} }}",
        json!(expr)
    );
    match load(&[("doc.yaml", &policy(&[&text]))]) {
        Ok(_) => panic!("{expr} was loaded"),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn a_pattern_that_is_not_re2_is_refused() {
    assert!(refusal(r"R.attr.x.matches('\\pL')").contains("column"));
}

#[test]
fn expressions_that_the_pdp_would_not_compile_are_refused_with_rule_and_column() {
    for expr in [
        "foo == 1",
        "request.foo == 1",
        "P.nope == 1",
        "V.x",
        "C.x",
        "['a'] in 1",
        "R.attr.l.exists(request.x, true)",
        "1 + 'a' == R.attr.x",
        "R.attr.x.f()",
        "((",
        "",
    ] {
        let text = refusal(expr);
        assert!(text.contains("doc.yaml:6:"), "{expr}: {text}");
        assert!(text.contains("rule 'odd'") && text.contains("column"), "{expr}: {text}");
    }
}

#[test]
fn what_is_not_known_is_refused_and_everything_is_told_at_once() {
    let text = "apiVersion: api.cerbos.dev/v1
resourcePolicy:
  resource: doc
  version: '2024-1'
  scope: acme
  schemas: { principalSchema: { ref: 'cerbos:///x.json' } }
  importDerivedRoles: [nowhere]
  variables: { import: [lost], local: { 1x: 'true' } }
  rules:
    - { name: a, actions: [read], effect: ALLOW, roles: [user, user] }
    - { actions: [], effect: EFFECT_ALLOW, derivedRoles: [ghost], output: {} }
    - { name: c, actions: ['{a,b*'], effect: EFFECT_ALLOW }
    - { name: c, actions: [x], effect: EFFECT_ALLOW, roles: [user] }
---
apiVersion: api.cerbos.dev/v1
principalPolicy: { principal: 'a*', version: default, scopePermissions: SOME }
---
apiVersion: v2
rolePolicy: { role: x, rules: [ { resource: '*', allowActions: [a], condition: { script: x } } ] }
";
    let problems = load(&[
        ("a.yaml", text),
        ("b.yaml", "apiVersion: api.cerbos.dev/v1\nresourcePolicy:\n  resourc: doc\n"),
        ("d.yaml", "apiVersion: api.cerbos.dev/v1\n"),
        ("sub/_schemas/x.json", "{}"),
    ])
    .unwrap_err()
    .to_string();
    for expected in [
        "a.yaml:3:13: '2024-1' is no version",
        "'resource.doc.v2024-1' of a parent scope is missing",
        "schemas: schema 'cerbos:///x.json': cannot be read",
        "a.yaml:7:24: the derived roles 'nowhere'",
        "the variables 'lost' do not exist",
        "'1x' is no name for a variable",
        "rule 'a': effect is 'ALLOW'",
        "rule 'a': 'user' is listed twice",
        "rule 'rule-002': names no action",
        "derived role 'ghost' is not imported",
        "rule 'rule-002': the output has no expression",
        "rule 'c': names no role",
        "the glob '{a,b*' cannot be read",
        "rule 'c': has the name of another rule",
        "'a*' is no name that a policy can be for",
        "'SOME' are no scope permissions",
        "scripts are not supported",
        "apiVersion is 'v2'",
        "b.yaml:3",
        "d.yaml:1:13: a document holds exactly one policy",
        "schemas belong into",
    ] {
        assert!(problems.contains(expected), "{expected} in\n{problems}");
    }
}

#[test]
fn policies_of_one_scope_agree_about_consent() {
    let one = policy(&["actions: [read], effect: EFFECT_ALLOW, roles: [user]"]);
    let consent = "scopePermissions: SCOPE_PERMISSIONS_REQUIRE_PARENTAL_CONSENT_FOR_ALLOWS";
    let other = one
        .replace("resource: doc", "resource: other")
        .replace("  rules:", &format!("  {consent}\n  rules:"));
    let problems = load(&[("a.yaml", &one), ("b.yaml", &other)]).unwrap_err().to_string();
    assert!(problems.contains("different scope permissions"), "{problems}");
}

#[cfg(unix)]
#[test]
fn loops_of_links_are_not_followed_and_huge_files_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(directory.path(), directory.path().join("again")).unwrap();
    let looped = directory.path().join("x.yaml");
    std::os::unix::fs::symlink(&looped, &looped).unwrap();
    std::fs::write(directory.path().join("big.yaml"), vec![b'#'; 2 << 20]).unwrap();
    let problems = Engine::load(directory.path()).unwrap_err();
    assert_eq!(problems.0.len(), 3, "{problems}");
    assert!(problems.to_string().contains("big.yaml: is bigger than"), "{problems}");
}

#[test]
fn the_same_kind_role_set_or_variable_twice_is_refused() {
    let one = policy(&["actions: [read], effect: EFFECT_ALLOW, roles: [user]"]);
    let problems = load(&[("a.yaml", &one), ("b.yaml", &one)]).unwrap_err().to_string();
    assert!(problems.contains("'resource.doc.vdefault' is defined twice"), "{problems}");
    let looped = one.replace("  rules:", "  variables: { local: { a: V.b, b: V.a } }\n  rules:");
    let problems = load(&[("a.yaml", &looped)]).unwrap_err().to_string();
    assert!(problems.contains("defined through itself"), "{problems}");
}

#[test]
fn only_policy_files_are_read() {
    let broken = "not: a policy";
    let engine = load(&[
        (".hidden.yaml", broken),
        (".git/x.yaml", broken),
        ("testdata/x.yaml", broken),
        ("_schemas/x.json", broken),
        ("doc_test.yaml", broken),
        ("readme.md", broken),
        ("off.yaml", "apiVersion: api.cerbos.dev/v1\ndisabled: true\nprincipalPolicy: { principal: x, version: default }\n"),
        ("deep/er/doc.yml", &policy(&["actions: [read], effect: EFFECT_ALLOW, roles: [user]"])),
    ])
    .unwrap_or_else(|problems| panic!("{problems}"));
    assert!(roles(&engine, &["user"], "read").allowed);
    assert!(Engine::load(Path::new("/nowhere/at/all")).is_err());
}
