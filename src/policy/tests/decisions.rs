//! The engine as a whole: what it answers.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::policy::embedded::Engine;
use crate::policy::{
    AttributeSource, Attributes, Decision, PolicyProblems, Principal, Query, Reason, Resource,
};

pub(super) fn load(files: &[(&str, &str)]) -> Result<Engine, PolicyProblems> {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    Engine::load(directory.path())
}

/// A resource policy for `doc` with these rules (flow style, one a line).
pub(super) fn policy(rules: &[&str]) -> String {
    let rules: Vec<String> = rules.iter().map(|rule| format!("    - {{ {rule} }}")).collect();
    let rules = rules.join("\n");
    format!(
        "apiVersion: api.cerbos.dev/v1\nresourcePolicy:\n  resource: doc\n  version: default\n  \
         rules:\n{rules}"
    )
}

fn engine(rules: &[&str]) -> Engine {
    load(&[("doc.yaml", &policy(rules))]).unwrap_or_else(|problems| panic!("{problems}"))
}

fn attributes(value: &serde_json::Value) -> Attributes {
    value.as_object().unwrap().clone()
}

struct Ask<'a> {
    roles: &'a [&'a str],
    principal: serde_json::Value,
    resource: serde_json::Value,
    kind: &'a str,
    scope: &'a str,
}

impl Default for Ask<'_> {
    fn default() -> Self {
        Self { roles: &["user"], principal: json!({}), resource: json!({}), kind: "doc", scope: "" }
    }
}

impl Ask<'_> {
    fn of(self, engine: &Engine, action: &str) -> Decision {
        let (principal, resource) = (attributes(&self.principal), attributes(&self.resource));
        let query = Query {
            principal: Principal { id: "alice", roles: self.roles, attr: &principal },
            resource: Resource { kind: self.kind, id: "d1", scope: self.scope, attr: &resource },
            claims: None,
            actions: &[action],
            decision: "d-1",
            token: None,
        };
        let all = engine.decide_all(&query);
        assert_eq!(all, [engine.decide(&query, action)]);
        all.into_iter().next().unwrap()
    }
}

pub(super) fn roles(engine: &Engine, roles: &[&str], action: &str) -> Decision {
    Ask { roles, ..Ask::default() }.of(engine, action)
}

/// What `expr` makes of the rule that allows `read`.
fn holds(expr: &str, resource: serde_json::Value) -> bool {
    let text = format!(
        "actions: [read], effect: EFFECT_ALLOW, roles: [user], condition: {{ match: {{ expr: {} }} }}",
        json!(expr)
    );
    Ask { resource, ..Ask::default() }.of(&engine(&[&text]), "read").allowed
}

#[test]
fn the_first_role_that_is_allowed_wins_and_within_a_role_deny_wins() {
    let engine = engine(&[
        "actions: ['*'], effect: EFFECT_ALLOW, roles: [editor]",
        "actions: [write], effect: EFFECT_DENY, roles: [guest, both]",
        "actions: [write], effect: EFFECT_ALLOW, roles: [both]",
    ]);
    assert!(roles(&engine, &["guest", "editor"], "write").allowed);
    assert!(!roles(&engine, &["both"], "write").allowed);
    let denied = roles(&engine, &["guest"], "write");
    assert_eq!(denied.reason, Reason::Denied);
    assert_eq!(&*denied.detail, "explicitly denied by role 'guest'");
    assert_eq!(&*denied.policy, "resource.doc.vdefault");
}

#[test]
fn what_no_rule_matches_is_denied_and_the_detail_names_action_and_roles() {
    let engine = engine(&["actions: [read], effect: EFFECT_ALLOW, roles: [viewer]"]);
    let denied = roles(&engine, &["user", "viewer"], "write");
    assert_eq!(&*denied.policy, "resource.doc.vdefault");
    assert_eq!(&*denied.detail, "no rule matches action 'write' for roles [user, viewer]");
    assert!(!denied.unknown_kind);
    let unknown = Ask { kind: "album", ..Ask::default() }.of(&engine, "read");
    assert!(unknown.unknown_kind && !unknown.allowed);
    assert_eq!(&*unknown.policy, "NO_MATCH");
    let scoped = Ask { scope: "acme", roles: &["viewer"], ..Ask::default() }.of(&engine, "read");
    assert!(!scoped.allowed && !scoped.unknown_kind);
    assert!(!roles(&engine, &[], "read").allowed);
}

#[test]
fn actions_and_roles_are_globs() {
    let engine = engine(&["actions: ['view:*'], effect: EFFECT_ALLOW, roles: ['team:*']"]);
    assert!(roles(&engine, &["team:a"], "view:public").allowed);
    assert!(!roles(&engine, &["team:a"], "view:public:all").allowed);
    assert!(!roles(&engine, &["team"], "view:public").allowed);
}

#[test]
fn a_condition_that_fails_denies_at_once_whatever_else_allows() {
    let engine = engine(&[
        "actions: [read], effect: EFFECT_ALLOW, roles: [user]",
        "name: secret, actions: [read], effect: EFFECT_DENY, roles: ['*'], \
         condition: { match: { expr: R.attr.secret == true } }",
    ]);
    let denied = roles(&engine, &["user", "other"], "read");
    assert_eq!((denied.allowed, denied.reason), (false, Reason::Denied));
    assert_eq!(&*denied.detail, "the condition of rule 'secret' failed: no such key: secret");
    let open = Ask { resource: json!({"secret": false}), ..Ask::default() };
    assert!(open.of(&engine, "read").allowed);
}

#[test]
fn all_any_and_none_stop_as_soon_as_they_know() {
    let rule = |tree: &str| {
        engine(&[&format!(
            "actions: [read], effect: EFFECT_ALLOW, roles: [user], condition: {{ match: {tree} }}"
        )])
    };
    let ask =
        |engine: &Engine| Ask { resource: json!({"a": 1}), ..Ask::default() }.of(engine, "read");
    let (yes, no, fails) =
        ("{ expr: R.attr.a == 1 }", "{ expr: R.attr.a == 2 }", "{ expr: R.attr.b == 1 }");
    assert!(ask(&rule(&format!("{{ any: {{ of: [{yes}, {fails}] }} }}"))).allowed);
    assert!(!ask(&rule(&format!("{{ any: {{ of: [{fails}, {yes}] }} }}"))).allowed);
    let stopped = ask(&rule(&format!("{{ all: {{ of: [{no}, {fails}] }} }}")));
    assert!(!stopped.allowed && stopped.detail.starts_with("no rule matches"));
    assert!(ask(&rule(&format!("{{ all: {{ of: [{yes}, {yes}] }} }}"))).allowed);
    assert!(ask(&rule(&format!("{{ none: {{ of: [{no}, {no}] }} }}"))).allowed);
    assert!(!ask(&rule(&format!("{{ none: {{ of: [{no}, {yes}] }} }}"))).allowed);
}

#[test]
fn derived_roles_are_held_through_their_parents_while_their_condition_holds() {
    let derived = "apiVersion: api.cerbos.dev/v1
derivedRoles:
  name: common
  variables: { local: { owner: R.attr.owner } }
  definitions:
    - { name: owner, parentRoles: [user], condition: { match: { expr: V.owner == P.id } } }
    - { name: anybody, parentRoles: ['*'] }
";
    let rules = policy(&[
        "actions: [delete], effect: EFFECT_ALLOW, derivedRoles: [owner]",
        "actions: [view], effect: EFFECT_ALLOW, derivedRoles: [anybody]",
        "actions: [burn], effect: EFFECT_DENY, derivedRoles: [anybody]",
    ])
    .replace("  rules:", "  importDerivedRoles: [common]\n  rules:");
    let engine = load(&[("doc.yaml", &rules), ("roles/common.yaml", derived)]).unwrap();
    let ask =
        |roles, owner: &str| Ask { roles, resource: json!({"owner": owner}), ..Ask::default() };
    assert!(ask(&["user"], "alice").of(&engine, "delete").allowed);
    assert!(!ask(&["user"], "bob").of(&engine, "delete").allowed);
    assert!(!ask(&["guest"], "alice").of(&engine, "delete").allowed);
    assert!(roles(&engine, &["whoever"], "view").allowed);
    let burnt = roles(&engine, &["whoever"], "burn");
    assert_eq!(&*burnt.detail, "explicitly denied by role 'anybody'");
}

#[test]
fn variables_and_constants_are_put_in_and_a_failing_one_fails_where_it_is_used() {
    let text = policy(&[
        "actions: [read], effect: EFFECT_ALLOW, roles: [user], \
         condition: { match: { expr: V.cheap && R.attr.region in C.regions } }",
        "actions: [list], effect: EFFECT_ALLOW, roles: [user]",
    ])
    .replace(
        "  rules:",
        "  variables: { local: { cheap: V.price < C.limit, price: R.attr.price } }\n  \
         constants: { local: { limit: 10, regions: [eu, us] } }\n  rules:",
    );
    let engine = load(&[("doc.yaml", &text)]).unwrap_or_else(|problems| panic!("{problems}"));
    let ask = |resource| Ask { resource, ..Ask::default() };
    assert!(ask(json!({"price": 9, "region": "eu"})).of(&engine, "read").allowed);
    assert!(!ask(json!({"price": 10, "region": "eu"})).of(&engine, "read").allowed);
    assert!(!ask(json!({"price": 9, "region": "mars"})).of(&engine, "read").allowed);
    assert!(!ask(json!({"region": "eu"})).of(&engine, "read").allowed);
    assert!(ask(json!({})).of(&engine, "list").allowed);
}

#[test]
fn has_is_false_on_what_is_no_map_and_an_error_where_the_way_to_it_is_missing() {
    assert!(holds("has(R.attr.owner.name)", json!({"owner": {"name": "x"}})));
    assert!(holds("!has(R.attr.owner.name)", json!({"owner": {}})));
    assert!(holds("!has(R.attr.owner.name)", json!({"owner": "x"})));
    assert!(!holds("!has(R.attr.owner.name)", json!({"owner": [1]})));
    assert!(!holds("!has(R.attr.owner.name)", json!({})));
    assert!(holds("has(R.attr.x) && R.attr.x == null", json!({"x": null})));
    assert!(holds("!has(request.auxData.jwt.sub)", json!({})));
    assert!(holds("!has(request.principal.attr.x)", json!({})));
}

#[test]
fn matches_is_ascii_and_unanchored() {
    assert!(holds(r"R.attr.x.matches('^\\d+$')", json!({"x": "12"})));
    assert!(!holds(r"R.attr.x.matches('^\\d+$')", json!({"x": "١٢"})));
    assert!(!holds(r"R.attr.x.matches('^\\w+$')", json!({"x": "é"})));
    assert!(holds("R.attr.x.matches('b')", json!({"x": "abc"})));
    assert!(!holds("!R.attr.x.matches('b')", json!({"x": 1})));
}

#[test]
fn values_of_the_request_compare_as_in_the_pdp() {
    assert!(holds("R.attr.n == 1 && R.attr.n < 2 && R.attr.n >= 0.5", json!({"n": 1})));
    assert!(holds("R.attr.n + 1.0 == 2.0", json!({"n": 1})));
    assert!(!holds("R.attr.n + 1 == 2", json!({"n": 1})));
    assert!(holds(
        "P.id == 'alice' && R.id == 'd1' && R.kind == 'doc' && R.scope == ''",
        json!({})
    ));
    assert!(holds("request.resource.attr.tags.exists(t, t == 'b')", json!({"tags": ["a", "b"]})));
    assert!(holds("R.attr.tags.all(t, t.startsWith('a')) ", json!({"tags": []})));
    assert!(holds("R.attr.tags.filter(t, t != 'a').size() == 1", json!({"tags": ["a", "b"]})));
    assert!(holds("R.attr.m.exists(k, k == 'a') && 'a' in R.attr.m", json!({"m": {"a": 1}})));
    assert!(holds("R.attr.m[P.id] == true", json!({"m": {"alice": true}})));
    assert!(holds("'user' in P.roles && size(P.roles) == 1", json!({})));
    assert!(holds("R.attr.x == 'a' || R.attr.missing == 1", json!({"x": "a"})));
    assert!(holds("R.attr.missing == 1 || R.attr.x == 'a'", json!({"x": "a"})));
    assert!(holds("size(R.attr.x) == 1", json!({"x": "é"})));
}

#[test]
fn a_value_that_is_no_boolean_is_false_not_an_error() {
    assert!(!holds("R.attr.x", json!({"x": "true"})));
    assert!(holds("R.attr.x", json!({"x": true})));
    let engine = engine(&[
        "actions: [read], effect: EFFECT_DENY, roles: [user], condition: { match: { expr: R.attr.x } }",
        "actions: [read], effect: EFFECT_ALLOW, roles: [user]",
    ]);
    assert!(Ask { resource: json!({"x": 1}), ..Ask::default() }.of(&engine, "read").allowed);
}

#[test]
fn lists_and_nulls_in_the_wrong_place_deny_and_are_keys_of_no_map() {
    for expr in ["R.attr.list in R.attr.map", "R.attr.nil in R.attr.map"] {
        let resource = json!({"list": [1], "map": {"a": 1}, "nil": null});
        assert!(holds(&format!("!({expr})"), resource), "{expr}");
    }
    for expr in [
        "!(R.attr.map['b'] == 1)",
        "!(R.attr.list[7] == 1)",
        "!(R.attr.list < 1)",
        "!(R.attr.nil > 1)",
        "!(R.attr.nil.all(x, x == 1))",
        "R.attr.nil.x == 1 || true == R.attr.nil",
    ] {
        assert!(!holds(expr, json!({"list": [1], "map": {"a": 1}, "nil": null})), "{expr}");
    }
}

#[test]
fn a_condition_cannot_run_away() {
    let big: Vec<usize> = (0..1000).collect();
    let nested = "R.attr.l.exists(a, R.attr.l.exists(b, a + b < 0.0))";
    assert!(!holds(nested, json!({"l": big})));
    assert!(!holds(&format!("!({nested})"), json!({"l": big})));
    assert!(!holds(&format!("{nested} || P.id == 'alice'"), json!({"l": big})));
    assert!(holds(&format!("!({nested})"), json!({"l": [1, 2]})));
}

#[test]
fn attributes_are_made_only_when_a_condition_needs_them_and_once_for_all_actions() {
    struct Counted(AtomicUsize);
    impl AttributeSource for Counted {
        fn attributes(&self) -> Attributes {
            self.0.fetch_add(1, Ordering::SeqCst);
            attributes(&json!({"x": 1}))
        }
    }
    let engine = engine(&[
        "actions: [read], effect: EFFECT_ALLOW, roles: [user]",
        "actions: [a, b], effect: EFFECT_ALLOW, roles: [user], condition: { match: { expr: R.attr.x == 1 } }",
        "actions: [b], effect: EFFECT_DENY, roles: [user], condition: { match: { expr: R.attr.x == 2 } }",
    ]);
    let (principal, resource) = (Counted(AtomicUsize::new(0)), Counted(AtomicUsize::new(0)));
    let mut query = Query {
        principal: Principal { id: "alice", roles: &["user"], attr: &principal },
        resource: Resource { kind: "doc", id: "d1", scope: "", attr: &resource },
        claims: None,
        actions: &["read"],
        decision: "d-1",
        token: None,
    };
    assert!(engine.decide_all(&query)[0].allowed);
    assert_eq!(resource.0.load(Ordering::SeqCst), 0);
    query.actions = &["a", "b", "read"];
    assert!(engine.decide_all(&query).iter().all(|it| it.allowed));
    assert_eq!((principal.0.into_inner(), resource.0.into_inner()), (0, 1));
}

#[test]
fn kinds_are_found_under_the_name_that_the_pdp_gives_them() {
    let text = policy(&["actions: [read], effect: EFFECT_ALLOW, roles: [user]"])
        .replace("resource: doc", "resource: 'album:photo-1'");
    let engine = load(&[("a.yaml", &text)]).unwrap();
    let decision = Ask { kind: "album:photo-1", ..Ask::default() }.of(&engine, "read");
    assert_eq!(&*decision.policy, "resource.album_photo_1.vdefault");
    assert!(decision.allowed);
}

#[test]
fn verified_claims_are_read_from_aux_data_in_both_spellings() {
    let engine = engine(&[
        "actions: [a], effect: EFFECT_ALLOW, roles: [user], condition: { match: { expr: request.auxData.jwt.tier == 'gold' } }",
        "actions: [b], effect: EFFECT_ALLOW, roles: [user], condition: { match: { expr: has(request.aux_data.jwt.tier) } }",
    ]);
    let (attr, claims) = (Attributes::new(), attributes(&json!({"tier": "gold"})));
    let mut query = Query {
        principal: Principal { id: "alice", roles: &["user"], attr: &attr },
        resource: Resource { kind: "doc", id: "d1", scope: "", attr: &attr },
        claims: Some(&claims),
        actions: &["a", "b"],
        decision: "d-1",
        token: None,
    };
    assert!(engine.decide_all(&query).iter().all(|it| it.allowed));
    query.claims = None;
    assert!(engine.decide_all(&query).iter().all(|it| !it.allowed));
}
