//! `tidegate policy lint`, and its findings in `tidegate check`.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::{policy, root, text, write};
use crate::harness::gateway::binary;

const DOUBTFUL: &str = "apiVersion: api.cerbos.dev/v1
resourcePolicy:
  resource: doc
  version: default
  rules:
    - name: not_the_owner
      actions: [edit]
      effect: EFFECT_DENY
      roles: [user]
      condition: { match: { expr: R.attr.owner != P.id } }
";
const NEVER: &str = "apiVersion: api.cerbos.dev/v1
resourcePolicy:
  resource: doc
  version: default
  rules:
    - { actions: [edit], effect: EFFECT_ALLOW, roles: [user], condition: { match: { expr: 1 == 2 } } }
";

fn lint(policies: &Path, more: &[&str]) -> Output {
    let mut command = policy(&["lint", "--policies"]);
    command.arg(policies).args(more).output().expect("a process")
}

fn folder(content: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "doc.yaml", content);
    folder
}

#[test]
fn the_shipped_policies_pass_lint_with_warnings_denied() {
    let output = lint(&root().join("policies"), &["--deny-warnings"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
}

#[test]
fn errors_end_with_1_and_warnings_only_when_they_are_denied() {
    let warned = folder(DOUBTFUL);
    let output = lint(warned.path(), &[]);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}");
    for part in ["doc.yaml:8:15: warning: rule 'not_the_owner'", "`R.attr.owner`", "deny-can-fail"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(lint(warned.path(), &["--deny-warnings"]).status.code(), Some(1));
    assert_eq!(lint(folder(NEVER).path(), &[]).status.code(), Some(1));
    let output = lint(folder("apiVersion: [").path(), &[]);
    assert_eq!(output.status.code(), Some(65), "{}", text(&output.stderr));
    assert_eq!(lint(Path::new("/nowhere/at/all"), &[]).status.code(), Some(64));
}

#[test]
fn findings_in_json_have_every_part_of_their_own() {
    let folder = folder(DOUBTFUL);
    let output = lint(folder.path(), &["--output", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let [found] = report["findings"].as_array().expect("findings").as_slice() else {
        panic!("{report}")
    };
    for (key, value) in [
        ("rule", "deny-can-fail"),
        ("severity", "warning"),
        ("file", "doc.yaml"),
        ("policy", "resource.doc.vdefault"),
        ("place", "rule 'not_the_owner'"),
    ] {
        assert_eq!(found[key], value, "{report}");
    }
    assert_eq!((&found["line"], &found["column"]), (&8.into(), &15.into()));
    assert!(found["advice"].as_str().is_some_and(|it| it.contains("has()")), "{report}");
}

#[test]
fn check_tells_findings_as_warnings() {
    let world = crate::harness::World::start();
    let folder = world.folder.path();
    let config = folder.join("tidegate.yaml");
    let kept = std::fs::read_to_string(&config).expect("a configuration");
    let policies = folder.join("doubtful");
    write(&policies, "doc.yaml", NEVER);
    let shipped = root().join("policies").display().to_string();
    let changed = kept.replace(&shipped, &policies.display().to_string());
    write(folder, "changed.yaml", &changed);
    let mut command = Command::new(binary());
    let output = command.args(["check", "--config"]).arg(folder.join("changed.yaml")).output();
    let told = text(&output.expect("a process").stderr);
    assert!(told.contains("warning: ") && told.contains("condition-never-true"), "{told}");
}
