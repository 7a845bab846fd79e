//! `tidegate policy test`, compared with `cerbos compile --strict-evaluation`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::{pdp, policy, text, write};

const POLICY: &str = "apiVersion: api.cerbos.dev/v1
resourcePolicy:
  resource: doc
  version: default
  importDerivedRoles: [doc_roles]
  rules:
    - { name: view, actions: [view], effect: EFFECT_ALLOW, roles: [user] }
    - name: edit
      actions: [edit]
      effect: EFFECT_ALLOW
      derivedRoles: [owner]
      output: { when: { ruleActivated: '{\"n\": 1}' } }
    - name: late
      actions: [late]
      effect: EFFECT_ALLOW
      roles: [user]
      condition: { match: { expr: 'now() > timestamp(\"2024-01-01T00:00:00Z\")' } }
    - name: global
      actions: [global]
      effect: EFFECT_ALLOW
      roles: [user]
      condition: { match: { expr: G.env == \"prod\" } }
    - name: claim
      actions: [claim]
      effect: EFFECT_ALLOW
      roles: [user]
      condition: { match: { expr: request.auxData.jwt.iss == \"me\" } }
    - name: fails
      actions: [strict]
      effect: EFFECT_DENY
      roles: [user]
      condition: { match: { expr: R.attr.absent } }
    - { name: strict, actions: [strict], effect: EFFECT_ALLOW, roles: [user] }
";
const ROLES: &str = "apiVersion: api.cerbos.dev/v1
derivedRoles:
  name: doc_roles
  definitions:
    - name: owner
      parentRoles: [user]
      condition: { match: { expr: has(R.attr.owner) && R.attr.owner == P.id } }
";
const SCOPED: &str = "apiVersion: api.cerbos.dev/v1
resourcePolicy:
  resource: doc
  version: default
  scope: acme
  rules: [{ actions: [scoped], effect: EFFECT_ALLOW, roles: [user] }]
";
const NEWER: &str = "apiVersion: api.cerbos.dev/v1
resourcePolicy:
  resource: doc
  version: v2
  rules: [{ actions: [newer], effect: EFFECT_ALLOW, roles: [user] }]
";
const FIXTURES: &str = "principals:
  alice: { id: alice, roles: [user] }
  bob: { id: bob, roles: [user] }
resources:
  d1: { kind: doc, id: d1, attr: { owner: alice } }
  d2: { kind: doc, id: d2 }
  s1: { kind: doc, id: s1, scope: acme.hr }
auxData:
  me: { jwt: { iss: me } }
principalGroups: { all: { principals: [alice, bob] } }
resourceGroups: { docs: { resources: [d1, d2] } }
";
const ONE: &str = "{ principals: [alice], resources: [d1], actions: [ACTION] }";

fn one(name: &str, more: &str, action: &str, effect: &str) -> String {
    let input = ONE.replace("ACTION", action);
    format!(
        "  - name: {name}\n    {more}\n    input: {input}\n    expected:\n      - {{ principal: alice, \
         resource: d1, actions: {{ {action}: EFFECT_{effect} }} }}\n"
    )
}

fn suite(top: &str, tests: &str) -> String {
    format!("name: A suite\n{top}\n{FIXTURES}tests:\n{tests}")
}

/// Everything in these passes, or is skipped.
fn good() -> Vec<(&'static str, String)> {
    let options = |it: &str| format!("options: {{ {it} }}");
    let now = options("now: 2025-01-01T00:00:00Z");
    vec![
        ("plain", suite("", &(one("a", "", "view", "ALLOW") + &one("b", "", "strict", "DENY")))),
        ("now", suite(&now, &one("a", "", "late", "ALLOW"))),
        ("own_now", suite(&now, &one("a", &options("now: 2023-01-01T00:00:00Z"), "late", "DENY"))),
        ("globals", suite(&options("globals: { env: prod }"), &one("a", "", "global", "ALLOW"))),
        ("version", suite("", &one("a", &options("defaultPolicyVersion: v2"), "newer", "ALLOW"))),
        ("scope", suite("", &one("a", &options("defaultScope: acme"), "scoped", "ALLOW"))),
        (
            "lenient",
            suite(
                &options("lenientScopeSearch: true, strictEvaluation: true"),
                &one("a", "", "view", "ALLOW")
                    .replace("[d1]", "[s1]")
                    .replace("resource: d1", "resource: s1"),
            ),
        ),
        (
            "claims",
            suite(
                "",
                &one("a", "", "claim", "ALLOW").replace("actions: [", "auxData: me, actions: ["),
            ),
        ),
        (
            "groups",
            suite(
                "",
                "  - name: a\n    input: { principalGroups: [all], resourceGroups: [docs], actions: \
                 [view, edit] }\n    expected:\n      - { principalGroups: [all], resourceGroups: \
                 [docs], actions: { view: EFFECT_ALLOW } }\n      - { principal: alice, resource: \
                 d1, actions: { edit: EFFECT_ALLOW }, outputs: [{ action: edit, expected: [{ src: \
                 resource.doc.vdefault#edit, val: { n: 1.0 } }] }] }\n",
            ),
        ),
        ("skipped", suite("skip: true\nskipReason: later", &one("a", "", "view", "DENY"))),
        ("skipped_test", suite("", &one("a", "skip: true", "view", "DENY"))),
        ("fixtures/deep", suite("", &one("a", "", "view", "ALLOW").replace("alice", "carl"))),
    ]
}

/// Something in these fails, or has no verdict.
fn failing() -> Vec<(&'static str, String)> {
    let both = "  - name: a\n    input: { principals: [alice, bob], resources: [d1, d2], actions: \
                [view, edit] }\n    expected:\n      - { principal: bob, resource: d1, actions: { \
                edit: EFFECT_ALLOW } }\n";
    let output = |val: &str| {
        let wanted = format!(
            "EFFECT_ALLOW }}, outputs: [{{ action: edit, expected: [{{ src: \
             resource.doc.vdefault#edit, val: {val} }}] }}]"
        );
        one("a", "", "edit", "ALLOW").replace("EFFECT_ALLOW }", &wanted)
    };
    vec![
        ("unlisted", suite("", both)),
        ("wrong", suite("", &one("a", "", "view", "DENY"))),
        ("wrong_output", suite("", &output("{ n: 2 }"))),
        (
            "no_time",
            suite("", &one("a", "", "late, view", "DENY").replace("{ late, view", "{ view")),
        ),
        ("no_claims", suite("", &one("a", "", "claim", "ALLOW"))),
        ("no_scope", suite("", &one("a", "", "view", "ALLOW").replace("d1", "s1"))),
    ]
}

/// These cannot be run.
fn broken() -> Vec<(&'static str, String)> {
    let view = one("a", "", "view", "ALLOW");
    let plain = suite("", &view);
    vec![
        ("no_yaml", "name: [".to_owned()),
        ("no_tests", suite("", "").replace("tests:", "tests: []")),
        ("no_name", plain.replace("name: A suite", "name: ''")),
        ("same_name", suite("", &(view.clone() + &view))),
        ("unknown_key", plain.replace("skip", "x").replace("tests:", "unknown: 1\ntests:")),
        ("unknown_option", suite("options: { unknown: 1 }", &view)),
        ("unknown_principal", suite("", &view.replace("alice", "zoe"))),
        ("unknown_action", suite("", &view.replace("{ view:", "{ other:"))),
        ("unknown_group", suite("", &view.replace("principals: [", "principalGroups: ["))),
        ("unknown_aux", suite("", &view.replace("actions: [", "auxData: zoe, actions: ["))),
        ("no_roles", plain.replace("id: bob, roles: [user]", "id: bob")),
        ("no_kind", plain.replace("{ kind: doc, id: d2 }", "{ id: d2 }")),
        ("bad_effect", plain.replace("EFFECT_ALLOW", "YES")),
        ("bad_time", suite("options: { now: yesterday }", &view)),
        ("twice", suite("", &view.replace("[alice]", "[alice, alice]"))),
        (
            "contradiction",
            suite(
                "",
                &(view.clone()
                    + &view.lines().last().expect("one").replace("ALLOW", "DENY")
                    + "\n"),
            ),
        ),
        (
            "skipped_and_unknown",
            suite("", &one("a", "skip: true", "view", "DENY").replace("alice", "zoe")),
        ),
    ]
}

fn folder(suites: &[(&str, String)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let policies = [("doc", POLICY), ("roles", ROLES), ("scoped", SCOPED), ("newer", NEWER)];
    for (name, content) in policies {
        write(folder.path(), &format!("{name}.yaml"), content);
    }
    let carl = "principals: { carl: { id: carl, roles: [user] } }";
    write(folder.path(), "fixtures/testdata/principals.yaml", carl);
    for (name, content) in suites {
        write(folder.path(), &format!("{name}_test.yaml"), content);
    }
    folder
}

/// The result of every case, and of the suites that have none.
fn results(report: &[u8]) -> BTreeMap<String, String> {
    let report: Value = serde_json::from_slice(report).expect("JSON");
    let list = |of: &Value, key: &str| of[key].as_array().cloned().unwrap_or_default();
    let mut found = BTreeMap::new();
    for suite in list(&report, "suites") {
        let overall = suite["summary"]["overallResult"].to_string();
        found.insert(format!("{} error: {}", suite["file"], suite["error"].is_string()), overall);
        for test in list(&suite, "testCases") {
            for principal in list(&test, "principals") {
                for resource in list(&principal, "resources") {
                    for action in list(&resource, "actions") {
                        let names = [&suite["file"], &test["name"], &principal["name"]];
                        let key = format!("{names:?} {} {}", resource["name"], action["name"]);
                        found.insert(key, action["details"]["result"].to_string());
                    }
                }
            }
        }
    }
    let counts = list(&report["summary"], "resultCounts");
    found.insert("summary".to_owned(), Value::from(counts).to_string());
    found
}

fn run(folder: &Path, form: &str) -> (i32, Vec<u8>) {
    let mut command = policy(&["test", "--output", form, "--policies"]);
    let output = command.arg(folder).output().expect("a process");
    assert_eq!(text(&output.stderr), "");
    (output.status.code().expect("a code"), output.stdout)
}

#[test]
fn every_case_has_the_verdict_that_the_real_pdp_gives_it() {
    for (suites, code) in [(good(), 0), (failing(), 1), (broken(), 65)] {
        let folder = folder(&suites);
        let theirs = pdp::compile(&["--test-output", "json"], folder.path());
        let (own, report) = run(folder.path(), "json");
        assert_eq!(own, code, "{}", text(&report));
        assert_eq!(theirs.status.success(), code == 0, "{}", text(&theirs.stdout));
        let (own, theirs) = (results(&report), results(&theirs.stdout));
        assert!(own.len() > suites.len());
        assert_eq!(own, theirs);
    }
}

#[test]
fn each_suite_that_should_fail_or_break_does_so_alone() {
    for (suites, code) in [(failing(), 1), (broken(), 65)] {
        for suite in suites {
            let folder = folder(std::slice::from_ref(&suite));
            let (exit, report) = run(folder.path(), "tree");
            assert_eq!(exit, code, "{}: {}", suite.0, text(&report));
        }
    }
}

#[test]
fn the_tree_tells_what_was_expected_and_what_came_out() {
    let folder = folder(&[good(), failing(), broken()].concat());
    let (_, report) = run(folder.path(), "tree");
    let told = text(&report);
    for part in [
        "bob edit d1: failed",
        "expected EFFECT_ALLOW, was EFFECT_DENY",
        "output resource.doc.vdefault#edit: {\"n\":1",
        "set `options.now`",
        "skipped: later",
        "suites could not be run",
        "principal 'zoe' not found",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    assert!(!told.contains("passed\n    "), "what passed is told with --verbose only\n{told}");
}

#[test]
fn junit_is_well_formed_whatever_the_names_are() {
    let hostile = "a <b> & \\\"c\\\" ]]> \\x1b[31m \\u2028";
    let named = |it: String| it.replace("name: A suite", &format!("name: \"{hostile}\""));
    let tests = one(&format!("\"{hostile}\""), "", "view", "DENY");
    let suites = [("hostile", named(suite("", &tests)))];
    let folder = folder(&[suites.to_vec(), good(), failing(), broken()].concat());
    let (_, report) = run(folder.path(), "junit");
    let report = String::from_utf8(report).expect("text");
    assert!(!report.contains('\u{1b}'), "{report}");
    let elements = elements(&report);
    let count = |name: &str| elements.iter().filter(|(element, _)| element == name).count();
    let told = |of: &str, key: &str| {
        let (_, attributes) = elements.iter().find(|(name, _)| name == of).expect("an element");
        attributes.iter().find(|(name, _)| name == key).expect("an attribute").1.clone()
    };
    assert_eq!(told("testsuites", "failures"), count("failure").to_string());
    assert_eq!(told("testsuites", "errors"), count("error").to_string());
    assert_eq!(told("testsuites", "skipped"), count("skipped").to_string());
    assert!(count("failure") > 3 && count("error") > 3 && count("skipped") > 1);
    let mut values = elements.iter().flat_map(|(_, attributes)| attributes);
    assert!(values.any(|(_, value)| value.starts_with("a <b> & \"c\" ]]> ")));
}

type Element = (String, Vec<(String, String)>);

/// The elements of a document without text; whatever is not well formed is a panic.
fn elements(xml: &str) -> Vec<Element> {
    let xml = xml.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>").expect("a head");
    let (mut found, mut open): (Vec<Element>, Vec<String>) = (Vec::new(), Vec::new());
    let mut parts = xml.split('<');
    assert_eq!(parts.next().expect("a start").trim(), "");
    for part in parts {
        let (tag, rest) = part.split_once('>').expect("an end");
        assert_eq!(rest.trim(), "", "no text: {part}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
            continue;
        }
        let (tag, is_empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
        let mut attributes = Vec::new();
        while !rest.is_empty() {
            let (key, value) = rest.split_once("=\"").expect("a value");
            let (value, more) = value.split_once('"').expect("its end");
            attributes.push((key.to_owned(), unescaped(value)));
            rest = more.trim_start();
        }
        found.push((name.to_owned(), attributes));
        if !is_empty {
            open.push(name.to_owned());
        }
    }
    assert!(open.is_empty());
    found
}

fn unescaped(text: &str) -> String {
    let mut rest = text;
    let mut out = String::new();
    while let Some((before, entity)) = rest.split_once('&') {
        let (entity, after) = entity.split_once(';').expect("an entity");
        out.push_str(before);
        out.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "#10" => '\n',
            other => panic!("an entity nobody knows: {other}"),
        });
        rest = after;
    }
    out + rest
}
