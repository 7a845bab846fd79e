//! The policies of the benchmark, as files that both the engine and the PDP load.

use std::fs;
use std::path::Path;

const ROLES: &str = "apiVersion: api.cerbos.dev/v1
derivedRoles:
  name: document_roles
  definitions:
    - name: owner
      parentRoles: [user]
      condition: { match: { expr: R.attr.owner == P.id } }
    - name: colleague
      parentRoles: [user]
      condition: { match: { expr: R.attr.department == P.attr.department } }
";

/// The reference: derived roles, and a rule with two conditions.
const DOCUMENT: &str = "apiVersion: api.cerbos.dev/v1
resourcePolicy:
  resource: document
  version: default
  importDerivedRoles: [document_roles]
  rules:
    - name: suspended
      actions: ['*']
      effect: EFFECT_DENY
      roles: [suspended]
    - name: colleagues-read
      actions: [view, list, download]
      effect: EFFECT_ALLOW
      derivedRoles: [colleague]
    - name: owners-change
      actions: [edit, share, rename, move, comment, export, archive]
      effect: EFFECT_ALLOW
      derivedRoles: [owner]
      condition:
        match:
          all:
            of:
              - expr: R.attr.status in ['draft', 'review']
              - expr: P.attr.clearance >= R.attr.sensitivity
";

/// What a public page would have.
const PAGE: &str = "apiVersion: api.cerbos.dev/v1
resourcePolicy:
  resource: page
  version: default
  rules:
    - { name: everyone, actions: [view], effect: EFFECT_ALLOW, roles: [user] }
";

/// Ten actions of the reference policy that are all allowed.
pub const ACTIONS: [&str; 10] =
    ["edit", "view", "list", "download", "share", "rename", "move", "comment", "export", "archive"];

/// Writes `count` policies: the three of above, and others that differ in kind alone from the
/// reference.
pub fn write(directory: &Path, count: usize) {
    let write = |name: &str, text: &str| {
        fs::write(directory.join(name), text).expect("a policy is written");
    };
    write("roles.yaml", ROLES);
    write("document.yaml", DOCUMENT);
    write("page.yaml", PAGE);
    for number in 3..count {
        let text = DOCUMENT.replace("resource: document", &format!("resource: kind{number}"));
        write(&format!("kind{number}.yaml"), &text);
    }
}

pub const PRINCIPAL: &str = r#"{
  "department": "research", "clearance": 3, "email": "alice@example.com", "country": "CH",
  "groups": ["staff", "research", "reviewers", "editors", "berne"], "is_contractor": false
}"#;

pub const RESOURCE: &str = r#"{
  "owner": "alice", "department": "research", "status": "draft", "sensitivity": 2,
  "workspace": "w-17", "title": "Notes on tides", "tags": ["sea", "moon", "notes"]
}"#;
