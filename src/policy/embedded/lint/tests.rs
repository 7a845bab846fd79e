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
        "int(P.id) > 5",
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
fn what_a_schema_demands_cannot_be_missing() {
    let with = |schema: &str| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("_schemas")).unwrap();
        std::fs::write(folder.path().join("_schemas/doc.json"), schema).unwrap();
        let policy = "apiVersion: api.cerbos.dev/v1
resourcePolicy:
  resource: doc
  version: default
  schemas: { resourceSchema: { ref: 'cerbos:///doc.json' } }
  rules:
    - { actions: [a], effect: EFFECT_DENY, roles: [user], condition: { match: { expr: R.attr.x == 1 } } }
";
        std::fs::write(folder.path().join("doc.yaml"), policy).unwrap();
        ids(&Engine::lint(folder.path()).unwrap())
    };
    assert!(with(r#"{"type": "object", "required": ["x"]}"#).is_empty());
    assert_eq!(with(r#"{"type": "object", "required": ["y"]}"#), ["deny-can-fail"]);
    let either = r#"{"anyOf": [{"required": ["x"]}, {"required": ["y"]}]}"#;
    assert_eq!(with(either), ["deny-can-fail"]);
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

/// Two kinds with one rule each.
fn pair(one: &str, other: &str) -> Vec<Finding> {
    let policy = |kind: &str, rule: &str| {
        format!(
            "apiVersion: api.cerbos.dev/v1\nresourcePolicy:\n  resource: {kind}\n  version: \
             default\n  importDerivedRoles: [two]\n  rules:\n    - {{ {rule} }}\n    - {{ actions: \
             [q], effect: EFFECT_ALLOW, derivedRoles: [every, some] }}\n"
        )
    };
    let roles = "apiVersion: api.cerbos.dev/v1
derivedRoles:
  name: two
  definitions:
    - { name: every, parentRoles: [user], condition: { match: { all: { of: [{ expr: P.id == \"a\" }, { expr: P.id == \"b\" }] } } } }
    - { name: some, parentRoles: [user], condition: { match: { any: { of: [{ expr: P.id == \"a\" }, { expr: P.id == \"b\" }] } } } }
";
    let (doc, pic) = (policy("doc", one), policy("pic", other));
    let found = lint(&[("doc.yaml", &doc), ("pic.yaml", &pic), ("roles.yaml", roles)]);
    // The rules that use both derived roles are no part of what is asked.
    found.into_iter().filter(|it| it.place != "rule 'rule-002'").collect()
}

#[test]
fn conditions_that_the_pdp_takes_for_each_other_are_told_at_both() {
    let of = |operator: &str| {
        format!(
            "{{ {operator}: {{ of: [{{ expr: P.id == \"x\" }}, {{ expr: P.id == \"y\" }}] }} }}"
        )
    };
    let when = |condition: &str| format!("{ALLOW}, condition: {{ match: {condition} }}");
    let found = |one: &str, other: &str| ids(&pair(&when(one), &when(other)));
    let (all, any, none) = (of("all"), of("any"), of("none"));
    let within = |inner: &str| format!("{{ none: {{ of: [{inner}] }} }}");
    let told = ["conditions-confused", "conditions-confused"];
    let nothing: [&str; 0] = [];
    assert_eq!(found(&all, &any), told);
    assert_eq!(found(&within(&all), &within(&any)), told);
    assert_eq!(found(&all, &none), told);
    assert_eq!(
        found("{ expr: P.id == \"x\" }", "{ none: { of: [{ expr: P.id == \"x\" }] } }"),
        told
    );
    assert_eq!(found(&all, &all), nothing);
    assert_eq!(
        found("{ expr: P.id == \"x\" }", "{ all: { of: [{ expr: P.id == \"x\" }] } }"),
        nothing
    );
    assert_eq!(found(&all, &format!("{{ all: {{ of: [{all}] }} }}")), nothing, "one meaning");
    assert_eq!(found(&none, &within(&any)), nothing, "one meaning");
    let another = when(&any).replace("[a]", "[b]");
    assert_eq!(ids(&pair(&when(&all), &another)), nothing, "another action");
    let denies = when(&any).replace("EFFECT_ALLOW", "EFFECT_DENY");
    assert_eq!(ids(&pair(&when(&all), &denies)), nothing, "another effect");
    let output = format!("{}, output: {{ when: {{ ruleActivated: '1' }} }}", when(&any));
    assert_eq!(ids(&pair(&when(&all), &output)), nothing, "an output");
    let through = |role: &str| ALLOW.replace("roles: [user]", &format!("derivedRoles: [{role}]"));
    assert_eq!(ids(&pair(&through("every"), &through("some"))), told);
    assert_eq!(ids(&pair(&through("every"), &through("every"))), nothing);
    assert_eq!(ids(&policy("", &[&when(&all), &when(&any)])), told, "within one policy");
}

#[test]
fn allow_if_is_deny_unless_to_the_pdp_where_the_parents_have_to_consent() {
    let head =
        "scope: s\n  scopePermissions: SCOPE_PERMISSIONS_REQUIRE_PARENTAL_CONSENT_FOR_ALLOWS";
    let confused = |head: &str, one: &str| {
        let other = "{ match: { expr: P.id == \"x\" } }";
        let allows = policy_in(head, &format!("{ALLOW}, condition: {one}"));
        let denies = ALLOW.replace("EFFECT_ALLOW", "EFFECT_DENY");
        let denies = policy_in(head, &format!("{denies}, condition: {other}"));
        let denies = denies.replace("resource: doc", "resource: pic");
        let root = policy_in("", ALLOW);
        let other = root.replace("resource: doc", "resource: pic");
        let roots = [("root.yaml", root.as_str()), ("other.yaml", other.as_str())];
        let found = lint(&[roots[0], roots[1], ("doc.yaml", &allows), ("pic.yaml", &denies)]);
        found.iter().filter(|it| it.rule.id() == "conditions-confused").count()
    };
    let (when, unless) = (
        "{ match: { expr: P.id == \"x\" } }",
        "{ match: { none: { of: [{ expr: P.id == \"x\" }] } } }",
    );
    assert_eq!(confused(head, when), 2);
    assert_eq!(confused(head, unless), 0, "one meaning");
    assert_eq!(confused("scope: s", when), 0, "another effect");
}

#[test]
fn conditions_that_read_names_are_told_where_the_names_stand_for_the_same() {
    let exports = "apiVersion: api.cerbos.dev/v1\nexportVariables: { name: ev, definitions: { one: \
                   P.id == \"x\" } }\n";
    let policy = |kind: &str, local: &str, operator: &str, names: [&str; 2]| {
        let [first, second] = names;
        let condition =
            format!("{{ {operator}: {{ of: [{{ expr: {first} }}, {{ expr: {second} }}] }} }}");
        format!(
            "apiVersion: api.cerbos.dev/v1\nresourcePolicy:\n  resource: {kind}\n  version: \
             default\n  variables: {{ import: [ev], local: {{ {local} }} }}\n  constants: {{ local: {{ c: a }} }}\n  \
             rules:\n    - {{ {ALLOW}, condition: {{ match: {condition} }} }}\n"
        )
    };
    let pair = |one: &str, other: &str| {
        let found = lint(&[("doc.yaml", one), ("pic.yaml", other), ("ev.yaml", exports)]);
        found.iter().filter(|it| it.rule.id() == "conditions-confused").count()
    };
    let local = "two: V.one && P.id == C.c, three: V.two";
    let one = policy("doc", local, "all", ["V.one", "V.two"]);
    assert_eq!(pair(&one, &policy("pic", local, "any", ["V.one", "V.two"])), 2);
    assert_eq!(pair(&one, &policy("pic", local, "all", ["V.one", "V.two"])), 0, "one meaning");
    let unused = format!("{local}, four: P.id == \"z\"");
    assert_eq!(pair(&one, &policy("pic", &unused, "any", ["V.one", "V.two"])), 2);
    let constant = policy("pic", local, "any", ["V.one", "V.two"]).replace("c: a", "c: b");
    assert_eq!(pair(&one, &constant), 0, "another constant, read through a variable");
    let other = "two: P.id == \"z\", three: V.two";
    assert_eq!(
        pair(&one, &policy("pic", other, "any", ["V.one", "V.two"])),
        0,
        "defined otherwise"
    );
    assert_eq!(pair(&one, &policy("pic", local, "any", ["V.one", "V.three"])), 0, "another name");
    assert_eq!(
        pair(&one, &policy("pic", local, "any", ["V.one", "variables.two"])),
        0,
        "written otherwise"
    );
}

/// What is found in one principal policy with these rules for kinds.
fn principal(rules: &[(&str, &str)]) -> Vec<&'static str> {
    let rule = |(kind, rules): &(&str, &str)| {
        format!("    - {{ resource: '{kind}', actions: [{rules}] }}\n")
    };
    let rules: String = rules.iter().map(rule).collect();
    let head = "apiVersion: api.cerbos.dev/v1\nprincipalPolicy:\n  principal: ann\n  version: \
                default\n  rules:\n";
    ids(&lint(&[("ann.yaml", &format!("{head}{rules}"))]))
}

#[test]
fn rules_of_principal_policies_that_never_decide_are_told() {
    let allow = "{ action: a, effect: EFFECT_ALLOW }";
    let deny = "{ action: '*', effect: EFFECT_DENY }";
    let when =
        "{ action: '*', effect: EFFECT_DENY, condition: { match: { expr: P.id == \"x\" } } }";
    assert_eq!(principal(&[("doc", allow), ("*", deny)]), ["rule-shadowed"]);
    assert!(principal(&[("doc", allow), ("pic", deny)]).is_empty(), "another kind");
    assert!(principal(&[("*", allow), ("doc", deny)]).is_empty(), "a narrower kind");
    assert!(principal(&[("doc", allow), ("*", when)]).is_empty(), "a condition");
    assert_eq!(principal(&[("doc", &format!("{allow}, {allow}"))]), ["rule-duplicate"]);
    let twice = format!("{when}, {when}");
    assert_eq!(principal(&[("doc", &twice)]), ["rule-duplicate"], "equal conditions");
    let two = format!("{when}, {}", when.replace("\"x\"", "\"y\""));
    assert!(principal(&[("doc", &two)]).is_empty(), "different conditions");
    let never = "{ action: a, effect: EFFECT_ALLOW, condition: { match: { expr: 1 == 2 } } }";
    assert_eq!(principal(&[("doc", never)]), ["condition-never-true"]);
}

#[test]
fn rules_of_principal_policies_with_one_name_are_told_where_both_match() {
    let one = "{ name: n, action: a, effect: EFFECT_ALLOW, condition: { match: { expr: P.id == \"x\" } } }";
    let other = "{ name: n, action: b, effect: EFFECT_ALLOW }";
    let told = ["principal-rules-confused"];
    assert_eq!(principal(&[("doc", one), ("*", other)]), told);
    assert!(principal(&[("doc", one), ("pic", other)]).is_empty(), "different kinds");
    assert!(principal(&[("doc", one), ("*", one)]).is_empty(), "one condition");
    assert!(principal(&[("doc", one), ("*", &other.replace("name: n, ", ""))]).is_empty());
}

#[test]
fn conditions_of_role_policies_that_never_hold_are_told_with_their_place() {
    let head = "apiVersion: api.cerbos.dev/v1\nrolePolicy:\n  role: r\n  rules:\n";
    let rule = |expr: &str| {
        let rule = "resource: doc, allowActions: [a], condition: { match: { expr:";
        lint(&[("r.yaml", &format!("{head}    - {{ {rule} {expr} }} }} }}\n"))])
    };
    let found = rule("1 == 2");
    assert_eq!(ids(&found), ["condition-never-true"]);
    assert_eq!((found[0].line, found[0].column), (Some(5), Some(19)));
    assert_eq!(found[0].policy, "role.r.vdefault");
    assert!(rule("1 == 1").is_empty());
}

#[test]
fn an_allowance_that_needs_consent_is_not_turned_round_for_lints() {
    let with = |expr: &str| {
        let root = policy_in("", ALLOW);
        let leaf =
            "scope: s\n  scopePermissions: SCOPE_PERMISSIONS_REQUIRE_PARENTAL_CONSENT_FOR_ALLOWS";
        let rule = format!("{ALLOW}, condition: {{ match: {{ expr: {expr} }} }}");
        let leaf = policy_in(leaf, &rule);
        ids(&lint(&[("root.yaml", &root), ("leaf.yaml", &leaf)]))
    };
    assert!(with("1 == 1").is_empty());
}

fn policy_in(head: &str, rule: &str) -> String {
    format!(
        "apiVersion: api.cerbos.dev/v1\nresourcePolicy:\n  resource: doc\n  version: default\n  \
         {head}\n  rules:\n    - {{ {rule} }}\n"
    )
}
