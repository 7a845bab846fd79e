//! Each lint with an example that it tells and one that it does not.

use std::path::Path;

use super::super::Engine;
use super::{Finding, LintRule, Severity};

const DERIVED: &str = "apiVersion: api.cerbos.dev/v1
derivedRoles:
  name: roles
  definitions:
    - { name: owner, parentRoles: [user], condition: { match: { expr: R.attr.owner == P.id } } }
    - { name: guarded, parentRoles: [user], condition: { match: { expr: has(R.attr.x) && R.attr.x } } }
    - { name: plain, parentRoles: [user] }
";
/// Everything that the derived roles above define is used.
const USER: &str = "apiVersion: api.cerbos.dev/v1
resourcePolicy:
  resource: user
  version: default
  importDerivedRoles: [roles]
  rules:
    - { actions: [a], effect: EFFECT_ALLOW, derivedRoles: [owner] }
    - { actions: [b], effect: EFFECT_ALLOW, derivedRoles: [guarded] }
    - { actions: [c], effect: EFFECT_ALLOW, derivedRoles: [plain] }
";

fn lint(files: &[(&str, &str)]) -> Vec<Finding> {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    Engine::lint(folder.path()).unwrap()
}

/// What is found in one resource policy.
fn policy(head: &str, rules: &[&str]) -> Vec<Finding> {
    let rules: Vec<String> = rules.iter().map(|rule| format!("    - {{ {rule} }}\n")).collect();
    let rules = rules.concat();
    let policy = format!(
        "apiVersion: api.cerbos.dev/v1\nresourcePolicy:\n  resource: doc\n  version: \
         default\n{head}  rules:\n{rules}"
    );
    lint(&[("doc.yaml", &policy), ("roles.yaml", DERIVED), ("user.yaml", USER)])
}

fn ids(found: &[Finding]) -> Vec<&'static str> {
    found.iter().map(|finding| finding.rule.id()).collect()
}

fn denied(expression: &str) -> Vec<&'static str> {
    let rule = format!(
        "actions: [a], effect: EFFECT_DENY, roles: [user], condition: {{ match: {{ expr: \
         '{expression}' }} }}"
    );
    ids(&policy("", &[&rule]))
}

const ALLOW: &str = "actions: [a], effect: EFFECT_ALLOW, roles: [user]";
const PLAIN: &str = "actions: [z], effect: EFFECT_ALLOW, derivedRoles: [plain]";
const IMPORT: &str = "  importDerivedRoles: [roles]\n";

#[test]
fn the_shipped_policies_leave_nothing_to_tell() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    assert_eq!(Engine::lint(&shipped).unwrap(), []);
}

#[test]
fn a_finding_names_the_file_the_line_the_column_the_policy_and_the_rule() {
    let found = policy("", &["actions: ['*'], effect: EFFECT_ALLOW, roles: ['*'], name: all"]);
    let [it] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((it.rule, it.severity), (LintRule::AllowEverything, Severity::Warning));
    assert_eq!((it.line, it.column), (Some(6), Some(33)));
    assert_eq!((it.policy.as_str(), it.place.as_str()), ("resource.doc.vdefault", "rule 'all'"));
    let told = it.to_string();
    assert!(told.contains("doc.yaml:6:33: warning: rule 'all'") && told.contains("name the roles"));
}

#[test]
fn a_denial_that_can_fail_is_told() {
    for fails in [
        "R.attr.owner != P.id",
        "has(R.attr.a.b)",
        "has(R.attr.a) || R.attr.a == 1",
        "R.attr[\"owner\"] == 1",
        "R.attr.?list.orValue([])[0] == 1",
        "timestamp(R.id) < now()",
        "int(P.id) > 1",
        "has(R.attr.a) ? true : R.attr.a",
        "has(R.attr.list) && R.attr.list.exists(it, it.name == P.id)",
        "request.auxData.jwt.iss == \"me\"",
        "!(has(R.attr.a) && R.attr.b)",
    ] {
        assert_eq!(denied(fails), ["deny-can-fail"], "{fails}");
    }
}

#[test]
fn a_guarded_denial_is_not_told() {
    let table = r#"R.attr.x in {"a": 1} ? {"a": 1}[R.attr.x] > 0 : true"#;
    assert_eq!(denied(&format!("has(R.attr.x) && {table}")), [""; 0]);
    assert_eq!(denied("int(now()) > 5"), [""; 0]);
    assert_eq!(denied(r#"{"a": 1}.a > size(P.id)"#), [""; 0]);
    for safe in [
        "has(R.attr.owner) && R.attr.owner != P.id",
        "R.attr.owner != P.id && has(R.attr.owner)",
        "!has(R.attr.owner) || R.attr.owner != P.id",
        "has(R.attr.a) && has(R.attr.a.b) && R.attr.a.b == 1",
        "R.attr.?owner.orValue(\"\") != P.id",
        "\"owner\" in R.attr && R.attr[\"owner\"] == P.id",
        "has(R.attr.a) ? R.attr.a : false",
        "!has(R.attr.a) ? true : R.attr.a",
        "!(has(R.attr.a) && R.attr.a)",
        "P.id == \"x\" || R.kind in P.roles",
        "now() > timestamp(\"2030-01-01T00:00:00Z\")",
    ] {
        assert_eq!(denied(safe), Vec::<&str>::new(), "{safe}");
    }
}

#[test]
fn guards_are_seen_across_conditions_variables_and_derived_roles() {
    let rule = |more: &str| format!("actions: [a], effect: EFFECT_DENY, {more}");
    let one = |head: &str, more: &str| ids(&policy(head, &[&rule(more)]));
    let of = |operator: &str, first: &str| {
        let condition = format!(
            "roles: [user], condition: {{ match: {{ {operator}: {{ of: [{{ expr: '{first}' }}, {{ \
             expr: R.attr.x == 1 }}] }} }} }}"
        );
        one("", &condition)
    };
    let fails = ["deny-can-fail"];
    let nothing: [&str; 0] = [];
    assert_eq!(of("all", "has(R.attr.x)"), nothing);
    assert_eq!(of("any", "!has(R.attr.x)"), nothing);
    assert_eq!(of("none", "!has(R.attr.x)"), nothing);
    assert_eq!(of("any", "has(R.attr.x)"), fails);
    assert_eq!(of("all", "has(R.attr.y)"), fails);
    let head = "  variables: { local: { x: R.attr.x } }\n";
    let with = |expr: &str| {
        one(head, &format!("roles: [user], condition: {{ match: {{ expr: '{expr}' }} }}"))
    };
    assert_eq!(with("V.x == 1"), fails);
    assert_eq!(with("has(R.attr.x) && V.x == 1"), nothing);
    assert_eq!(one(IMPORT, "derivedRoles: [owner]"), fails);
    assert_eq!(one(IMPORT, "derivedRoles: [guarded]"), nothing);
    let twice = "derivedRoles: [guarded], condition: { match: { expr: R.attr.x == true } }";
    assert_eq!(one(IMPORT, twice), nothing);
}

#[test]
fn several_derived_roles_of_which_one_can_fail_are_told() {
    let rule = |roles: &str| format!("actions: [a], effect: EFFECT_ALLOW, derivedRoles: {roles}");
    let found = |roles: &str| ids(&policy(IMPORT, &[&rule(roles)]));
    assert_eq!(found("[owner, plain]"), ["derived-roles-order"]);
    assert!(found("[guarded, plain]").is_empty());
    assert!(found("[owner]").is_empty());
}

#[test]
fn role_policies_that_the_pdp_does_not_answer_in_one_way_are_told() {
    let found = |rules: &str| {
        let head = "apiVersion: api.cerbos.dev/v1\nrolePolicy:\n  role: r\n  rules:\n";
        ids(&lint(&[("r.yaml", &format!("{head}{rules}"))]))
    };
    let rule = |kind: &str, more: &str| {
        format!("    - {{ resource: '{kind}', allowActions: [a] {more} }}\n")
    };
    let when = ", condition: { match: { expr: P.id == \"x\" } }";
    let overlap = ["role-policy-patterns-overlap"];
    assert_eq!(found(&(rule("*", when) + &rule("doc", ""))), overlap);
    assert_eq!(found(&(rule("doc", "") + &rule("d*", when))), overlap);
    assert!(found(&(rule("*", "") + &rule("doc", ""))).is_empty(), "no condition");
    assert!(found(&(rule("doc", when) + &rule("tool", when))).is_empty(), "different kinds");
    assert!(found(&(rule("doc", when) + &rule("doc", when))).is_empty(), "one pattern");
    assert_eq!(found(&rule("album:photo", "")), ["role-policy-kind-never-matches"]);
    assert!(found(&rule("album_photo", "")).is_empty());
    assert!(found(&rule("album:*", "")).is_empty());
}

#[test]
fn rules_that_never_decide_are_told() {
    let deny = "actions: ['a*'], effect: EFFECT_DENY, roles: [user]";
    let shadowed = |other: &str| ids(&policy(IMPORT, &[ALLOW, other, PLAIN]));
    assert_eq!(shadowed(deny), ["rule-shadowed"]);
    assert!(shadowed(&deny.replace("a*", "b")).is_empty(), "another action");
    assert!(shadowed(&deny.replace("user", "guest")).is_empty(), "another role");
    let when = format!("{deny}, condition: {{ match: {{ expr: P.id == \"x\" }} }}");
    assert!(shadowed(&when).is_empty(), "a condition");
    let derived = "actions: [ab], effect: EFFECT_ALLOW, derivedRoles: [plain]";
    assert_eq!(ids(&policy(IMPORT, &[derived, deny])), ["rule-shadowed"]);
}

#[test]
fn conditions_that_never_hold_are_told() {
    let with = |condition: &str| {
        ids(&policy("", &[&format!("{ALLOW}, condition: {{ match: {condition} }}")]))
    };
    assert_eq!(with("{ expr: 1 == 2 }"), ["condition-never-true"]);
    assert_eq!(with("{ expr: '\"text\"' }"), ["condition-never-true"]);
    assert_eq!(
        with("{ all: { of: [{ expr: P.id == \"x\" }, { expr: 'false' }] } }"),
        ["condition-never-true"]
    );
    assert!(with("{ any: { of: [{ expr: P.id == \"x\" }, { expr: 'false' }] } }").is_empty());
    assert!(with("{ expr: 1 == 1 }").is_empty());
}

#[test]
fn rules_and_actions_that_are_there_twice_are_told() {
    assert_eq!(ids(&policy("", &[ALLOW, ALLOW])), ["rule-duplicate"]);
    assert!(ids(&policy("", &[ALLOW, &ALLOW.replace("[a]", "[b]")])).is_empty());
    assert_eq!(ids(&policy("", &[&ALLOW.replace("[a]", "[a, 'a*']")])), ["action-covered"]);
    assert!(ids(&policy("", &[&ALLOW.replace("[a]", "['a:b', 'a*']")])).is_empty());
}

#[test]
fn an_unconditional_allowance_of_everything_is_told() {
    let all = "actions: ['*'], effect: EFFECT_ALLOW, roles: ['*']";
    assert_eq!(ids(&policy("", &[all])), ["allow-everything"]);
    assert!(ids(&policy("", &[&all.replace("roles: ['*']", "roles: [admin]")])).is_empty());
    assert!(ids(&policy("", &[&all.replace("ALLOW", "DENY")])).is_empty());
    let when = format!("{all}, condition: {{ match: {{ expr: P.id == \"x\" }} }}");
    assert!(ids(&policy("", &[&when])).is_empty());
}

#[test]
fn names_that_nobody_uses_are_told_and_others_are_not() {
    assert_eq!(ids(&policy(IMPORT, &[ALLOW])), ["import-unused"]);
    assert_eq!(
        ids(&lint(&[("roles.yaml", DERIVED)])),
        ["derived-role-unused", "derived-role-unused", "derived-role-unused"]
    );
    let head = "  variables: { local: { used: P.id, inner: V.used, not: '1' } }\n  constants: { \
                local: { one: 1, two: 2 } }\n";
    let rule = format!("{ALLOW}, condition: {{ match: {{ expr: V.inner == C.one }} }}");
    let found = policy(head, &[&rule]);
    assert_eq!(ids(&found), ["variable-unused", "constant-unused"]);
    assert!(found[0].message.contains("'not'") && found[1].message.contains("'two'"));
    let export = |kind: &str, value: &str| {
        format!(
            "apiVersion: api.cerbos.dev/v1\nexport{kind}:\n  name: shared\n  definitions: {{ x: \
             {value} }}\n"
        )
    };
    for (kind, key, value) in [("Variables", "variables", "P.id"), ("Constants", "constants", "1")]
    {
        let exported = export(kind, value);
        assert_eq!(ids(&lint(&[("export.yaml", &exported)])), ["export-unused"]);
        let user = format!(
            "apiVersion: api.cerbos.dev/v1\nresourcePolicy:\n  resource: doc\n  version: default\n  \
             {key}: {{ import: [shared] }}\n  rules: [{{ {ALLOW} }}]\n"
        );
        assert!(ids(&lint(&[("export.yaml", &exported), ("doc.yaml", &user)])).is_empty());
    }
}
