//! What the engine refuses to load, and how it says so.

use std::path::Path;

use serde_json::json;

use super::Engine;
use super::tests::{load, policy, roles};

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
fn a_pattern_that_is_not_written_out_or_not_re2_is_refused() {
    assert!(refusal("R.attr.x.matches(R.attr.y)").contains("must be written as a string"));
    assert!(refusal(r"R.attr.x.matches('\\pL')").contains("not supported"));
}

#[test]
fn expressions_that_are_not_known_to_answer_as_the_pdp_are_refused() {
    for expr in [
        "foo == 1",
        "request.foo == 1",
        "P.nope == 1",
        "P == R",
        "R.policyVersion == ''",
        "G.x == 1",
        "V.x",
        "C.x",
        "runtime.effectiveDerivedRoles == []",
        "now() > 1",
        "string(R.attr.n) == '1'",
        "int(R.attr.n) == 1",
        "R.attr.n / 2 == 1",
        "R.attr.n % 2 == 1",
        "R.attr.l.hasIntersection(['a'])",
        "R.attr.x in []",
        "null in R.attr.l",
        "['a'] in R.attr.m",
        "R.attr.l[R.attr.i] == 1",
        "R.attr.l[null] == 1",
        "R.attr.?x == 1",
        "optional.of(1).orValue(2) == 1",
        "['a'].all(x, true)",
        "has(P.attr)",
        "has(request.auxData.jwt)",
        "b'a' == b'a'",
        "{1: 2} == R.attr.m",
        "R.attr.l.exists(request, request == 1)",
        "1 + 'a' == R.attr.x",
        "type(R.attr.x) == string",
        "timestamp(R.attr.t) > R.attr.u",
        "R.attr.x.f()",
        "((",
        "",
        "dyn(1) == 1",
        "P.attr.a.exists(x, P.attr.a.exists(y, P.attr.a.exists(z, P.attr.a.exists(q, q == x))))",
    ] {
        let text = refusal(expr);
        assert!(text.contains("doc.yaml:6: rule 'odd'"), "{expr}: {text}");
    }
}

#[test]
fn what_is_not_known_is_refused_and_everything_is_told_at_once() {
    let text = "apiVersion: api.cerbos.dev/v1
resourcePolicy:
  resource: doc
  version: '2024'
  scope: acme
  schemas: { principalSchema: { ref: x } }
  importDerivedRoles: [nowhere]
  rules:
    - { name: a, actions: [read], effect: ALLOW, roles: [user] }
    - { actions: [], effect: EFFECT_ALLOW, derivedRoles: [ghost], output: { expr: '1' } }
    - { name: c, actions: ['{a,b}*'], effect: EFFECT_ALLOW }
---
apiVersion: api.cerbos.dev/v1
principalPolicy: { principal: alice }
---
apiVersion: v2
rolePolicy: { role: x }
";
    let problems = load(&[
        ("a.yaml", text),
        ("b.yaml", "apiVersion: api.cerbos.dev/v1\nresourcePolicy:\n  resourc: doc\n"),
        ("c.json", "{\"apiVersion\": \"api.cerbos.dev/v1\", \"exportVariables\": {}}"),
        ("d.yaml", "apiVersion: api.cerbos.dev/v1\n"),
    ])
    .unwrap_err()
    .to_string();
    for expected in [
        "a.yaml:4: version '2024'",
        "a.yaml:3: scopes",
        "a.yaml:3: `schemas`",
        "a.yaml:7: the derived roles 'nowhere'",
        "a.yaml:9: rule 'a': effect is 'ALLOW'",
        "a.yaml:10: rule 'rule-002': names no action",
        "derived role 'ghost' is not imported",
        "`output`",
        "rule 'c': names no role",
        "in the glob '{a,b}*'",
        "a.yaml:13: `principalPolicy`",
        "a.yaml:16: `rolePolicy`",
        "apiVersion is 'v2'",
        "b.yaml:3",
        "`exportVariables`",
        "d.yaml:1: a document holds exactly one policy",
    ] {
        assert!(problems.contains(expected), "{expected} in\n{problems}");
    }
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
        ("off.yaml", "apiVersion: api.cerbos.dev/v1\ndisabled: true\nprincipalPolicy: {}\n"),
        ("deep/er/doc.yml", &policy(&["actions: [read], effect: EFFECT_ALLOW, roles: [user]"])),
    ])
    .unwrap_or_else(|problems| panic!("{problems}"));
    assert!(roles(&engine, &["user"], "read").allowed);
    assert!(Engine::load(Path::new("/nowhere/at/all")).is_err());
}
