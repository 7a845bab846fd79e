//! Policies take effect when all of the directory loads and its own suites pass.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::policy::{Attributes, Loaded, Principal, Query, Resource};

const POLICY: &str = "apiVersion: api.cerbos.dev/v1
resourcePolicy:
  resource: doc
  version: default
  rules:
    - { actions: [read], effect: EFFECT_ALLOW, roles: [user] }
";

const SUITE: &str = "name: Documents
principals: { alice: { id: alice, roles: [user] } }
resources: { memo: { kind: doc, id: memo } }
tests:
  - name: users read
    input: { principals: [alice], resources: [memo], actions: [read, write] }
    expected: [ { principal: alice, resource: memo, actions: { read: EFFECT_ALLOW } } ]
";

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        put(folder.path(), name, text);
    }
    folder
}

fn put(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn reads(loaded: &Loaded) -> bool {
    let attr = Attributes::new();
    let query = Query {
        principal: Principal { id: "alice", roles: &["user"], attr: &attr },
        resource: Resource { kind: "doc", id: "memo", scope: "", attr: &attr },
        claims: None,
        actions: &["read"],
        decision: "",
        token: None,
    };
    loaded.engine().decide(&query, "read").allowed
}

#[test]
fn a_test_that_fails_refuses_the_start_and_is_named() {
    let denies = POLICY.replace("ALLOW", "DENY");
    let folder = folder(&[("doc.yaml", &denies), ("doc_test.yaml", SUITE)]);
    let problems = Loaded::load(folder.path()).unwrap_err().texts();
    let file = folder.path().join("doc_test.yaml");
    let told = format!(
        "{}: test 'users read': principal 'alice', resource 'memo', action 'read': expected \
         EFFECT_ALLOW, got EFFECT_DENY",
        file.display()
    );
    assert_eq!(problems, [told]);
}

#[test]
fn a_test_that_fails_refuses_the_reload_and_the_old_policies_stay() {
    let folder = folder(&[("doc.yaml", POLICY), ("doc_test.yaml", SUITE)]);
    let loaded = Loaded::load(folder.path()).unwrap();
    put(folder.path(), "doc.yaml", &POLICY.replace("ALLOW", "DENY"));
    assert!(loaded.reload().unwrap_err().to_string().contains("users read"));
    assert!(reads(&loaded));
    put(folder.path(), "doc_test.yaml", &SUITE.replace("ALLOW", "DENY"));
    loaded.reload().unwrap();
    assert!(!reads(&loaded));
}

#[test]
fn a_suite_that_cannot_be_run_refuses_too() {
    for (broken, why) in [
        ("name: [", "doc_test.yaml: "),
        ("name: x\ntests: []\nextra: 1\n", "unknown field `extra`"),
        (&SUITE.replace("[memo]", "[lost]"), "'lost'"),
        (&SUITE.replace("[read, write]", &format!("[{}]", "x, ".repeat(501))), "more than 500"),
    ] {
        let folder = folder(&[("doc.yaml", POLICY), ("doc_test.yaml", broken)]);
        let problems = Loaded::load(folder.path()).unwrap_err().to_string();
        assert!(problems.contains(why), "{why} in\n{problems}");
    }
}

#[test]
fn a_suite_that_multiplies_is_refused_before_it_takes_memory() {
    let names = |letter: &str| (0..400).map(|it| format!("{letter}{it}")).collect::<Vec<_>>();
    let each = |names: &[String], what: &str| {
        names.iter().map(|name| format!("{name}: {what}")).collect::<Vec<_>>().join(", ")
    };
    let (people, things) = (names("p"), names("r"));
    let suite = format!(
        "name: x\nprincipals: {{ {} }}\nresources: {{ {} }}\ntests:\n  - name: all\n    input: {{ \
         principals: [{}], resources: [{}], actions: [read] }}\n    expected: [ {{ principal: p0, \
         resource: r0, actions: {{ read: EFFECT_ALLOW }} }} ]\n",
        each(&people, "{ id: a, roles: [user] }"),
        each(&things, "{ kind: doc, id: x }"),
        people.join(", "),
        things.join(", "),
    );
    let folder = folder(&[("doc.yaml", POLICY), ("doc_test.yaml", &suite)]);
    let problems = Loaded::load(folder.path()).unwrap_err().to_string();
    assert!(problems.contains("more than 100000 cases"), "{problems}");
}

#[test]
fn a_directory_that_loses_its_policies_keeps_the_old_ones() {
    let folder = folder(&[("doc.yaml", POLICY)]);
    let inside = folder.path().join("policies");
    fs::create_dir(&inside).unwrap();
    fs::rename(folder.path().join("doc.yaml"), inside.join("doc.yaml")).unwrap();
    let loaded = Loaded::load(&inside).unwrap();

    fs::remove_file(inside.join("doc.yaml")).unwrap();
    assert!(loaded.reload().unwrap_err().to_string().contains("no policy is left"));
    fs::remove_dir(&inside).unwrap();
    assert!(loaded.reload().unwrap_err().to_string().contains("cannot be read"));
    fs::write(&inside, POLICY).unwrap();
    assert!(loaded.reload().unwrap_err().to_string().contains("cannot be read"));
    assert!(reads(&loaded));
}

#[test]
fn what_is_no_file_no_text_or_elsewhere_is_named_and_nothing_waits_for_it() {
    let outside = folder(&[("doc.yaml", POLICY)]);
    let folder = folder(&[("doc.yaml", POLICY), ("sub/x.txt", ""), ("nul.yaml", "a: \0")]);
    let at = |name: &str| folder.path().join(name);
    fs::write(at("latin.yaml"), b"a: \xe9").unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe.yaml"), rustix::fs::Mode::RUSR).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket.yaml")).unwrap();
    symlink("/dev/zero", at("device.yaml")).unwrap();
    symlink(outside.path(), at("elsewhere")).unwrap();
    symlink(outside.path().join("doc.yaml"), at("other.yaml")).unwrap();
    symlink("..", at("sub/up")).unwrap();
    symlink("nowhere", at("lost.yaml")).unwrap();
    symlink("self.yaml", at("self.yaml")).unwrap();
    let problems = Loaded::load(folder.path()).unwrap_err();
    let told = problems.texts();
    for (name, why) in [
        ("nul.yaml", "holds a NUL byte (the 4th)"),
        ("latin.yaml", "is no UTF-8 (after 3 bytes)"),
        ("pipe.yaml", "is no file"),
        ("socket.yaml", "is no file"),
        ("device.yaml", "a link leads out of the policy directory"),
        ("elsewhere", "a link leads out of the policy directory"),
        ("other.yaml", "a link leads out of the policy directory"),
        ("sub/up", "a link leads to a directory that is read already"),
        ("lost.yaml", "cannot be read: "),
        ("self.yaml", "cannot be read: "),
    ] {
        let line = format!("{}: {why}", at(name).display());
        assert!(told.iter().any(|it| it.starts_with(&line)), "{line}\n{problems}");
    }
    assert_eq!(told.len(), 10, "{problems}");
}

#[test]
fn links_that_multiply_folders_end_and_deep_folders_are_refused() {
    let folder = folder(&[("doc.yaml", POLICY)]);
    for level in 0..20 {
        fs::create_dir(folder.path().join(format!("d{level}"))).unwrap();
        for name in ["a", "b"] {
            let next = format!("../d{}", level + 1);
            symlink(next, folder.path().join(format!("d{level}/{name}"))).unwrap();
        }
    }
    fs::create_dir_all(folder.path().join(format!("d20/{}", "x/".repeat(40)))).unwrap();
    let problems = Loaded::load(folder.path()).unwrap_err().to_string();
    assert!(problems.contains("is read already"), "{problems}");
    assert!(problems.contains("more than 32 directories deep"), "{problems}");
}

#[test]
fn more_than_a_hundred_problems_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..130 {
        put(folder.path(), &format!("{number}.yaml"), "no: policy");
    }
    let told = Loaded::load(folder.path()).unwrap_err().texts();
    assert_eq!(told.len(), 101);
    assert_eq!(told[100], "and 30 more problems of the policies");
}

/// As the kubelet writes a mounted `ConfigMap`: links to a folder that is swapped as a whole.
#[test]
fn a_config_map_is_read_and_swapped() {
    let folder = folder(&[("..1/doc.yaml", POLICY), ("..1/sub/_test.txt", "")]);
    let at = |name: &str| folder.path().join(name);
    fs::write(at("..1/sub/doc_test.yaml"), SUITE).unwrap();
    symlink("..1", at("..data")).unwrap();
    symlink("..data/doc.yaml", at("doc.yaml")).unwrap();
    symlink("..data/sub", at("sub")).unwrap();
    let loaded = Loaded::load(folder.path()).unwrap();
    assert!(reads(&loaded));
    assert_eq!(loaded.look(), loaded.listing());

    put(folder.path(), "..2/doc.yaml", &POLICY.replace("ALLOW", "DENY"));
    put(folder.path(), "..2/sub/doc_test.yaml", &SUITE.replace("ALLOW", "DENY"));
    assert_eq!(loaded.look(), loaded.listing(), "nothing is in force yet");
    symlink("..2", at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    fs::remove_dir_all(at("..1")).unwrap();
    assert_ne!(loaded.look(), loaded.listing());
    loaded.reload().unwrap();
    assert!(!reads(&loaded));
}

#[test]
fn yaml_that_multiplies_is_refused() {
    let lists =
        (1..12).map(|it| format!("  a{it}: &a{it} [{}]\n", format!("*a{}, ", it - 1).repeat(9)));
    let laughs = format!("{POLICY}metadata:\n  a0: &a0 [x]\n{}", lists.collect::<String>());
    let scalar = format!("  x: &x {}\n", "y".repeat(500_000));
    let copies = (0..40).map(|it| format!("  a{it}: &b{it} [{}]\n", "*x, ".repeat(99)));
    let huge = format!("{POLICY}metadata:\n{scalar}{}", copies.collect::<String>());
    let deep = format!("{POLICY}metadata: {}{}\n", "[".repeat(9_000), "]".repeat(9_000));
    let twice = POLICY.replace("  version: default\n", "  version: default\n  version: default\n");
    for text in [&laughs, &huge, &deep, &twice] {
        let folder = folder(&[("doc.yaml", text)]);
        let problems = Loaded::load(folder.path()).unwrap_err();
        assert_eq!(problems.0.len(), 1, "{problems}");
        assert!(problems.0[0].line.is_some(), "{problems}");
    }
}
