//! Against the PDP itself: every field arrives, and the shipped policies are answered as the
//! embedded engine answers them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::super::Pdp;
use super::pdp::{self, Listens};
use super::{asking, at, config};
use crate::config::{CerbosAddress, CerbosConfig};
use crate::policy::{Attributes, Decision, Policy, Principal, Query, Resource};

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")
}

fn client(pdp: &pdp::Pdp) -> Pdp {
    let Listens::Tcp(port) = pdp.listens else { panic!("not TCP") };
    Pdp::new(&config(at(port))).unwrap()
}

/// What both engines have to agree on.
fn core(decision: &Decision) -> impl PartialEq + std::fmt::Debug {
    let mut derived: Vec<_> = decision.derived_roles.iter().map(ToString::to_string).collect();
    derived.sort();
    (
        decision.allowed,
        decision.reason,
        decision.policy.to_string(),
        decision.scope.to_string(),
        derived,
        decision.outputs.clone(),
        decision.unknown_kind,
    )
}

async fn same(embedded: &Policy, pdp: &Pdp, query: &Query<'_>) -> Vec<Decision> {
    let (ours, theirs) = (embedded.decide_all(query).await, pdp.check(query).await.unwrap());
    for ((action, ours), theirs) in query.actions.iter().zip(&ours).zip(&theirs) {
        let what = format!("{action} on {} {:?}", query.resource.kind, query.principal.roles);
        assert_eq!(format!("{:?}", core(ours)), format!("{:?}", core(theirs)), "{what}");
    }
    theirs
}

#[tokio::test]
async fn shipped_policies_are_decided_by_the_pdp_as_by_the_embedded_engine() {
    let server = pdp::Pdp::start(&shipped());
    let (embedded, pdp) = (Policy::load(&shipped()).unwrap(), client(&server));
    let attr = Attributes::new();
    let actions = [
        "read",
        "view",
        "write",
        "list",
        "read_any",
        "list_any",
        "approve",
        "deny",
        "revoke",
        "revoke_any",
        "kill_switch",
        "create",
        "cancel",
        "comment",
        "release",
        "extend",
        "create_on_behalf",
        "nothing",
    ];
    let roles: [&[&str]; 8] = [
        &["user"],
        &["user", "viewer"],
        &["user", "operator"],
        &["user", "approver"],
        &["auditor"],
        &["user", "admin"],
        &["user", "admin", "operator", "suspended"],
        &["somebody"],
    ];
    let mut allowed = 0;
    for kind in ["tool", "access_request", "grant", "template", "audit", "unheard-of"] {
        for roles in roles {
            let resource = Resource { kind, id: "x", scope: "", attr: &attr };
            let query = Query { resource, ..asking(roles, &actions, &attr) };
            let decisions = same(&embedded, &pdp, &query).await;
            allowed += decisions.iter().filter(|it| it.allowed).count();
        }
    }
    assert!(allowed > 30, "{allowed}");
    let resource = Resource { kind: "tool", id: "x", scope: "elsewhere", attr: &attr };
    let query = Query { resource, ..asking(&["operator"], &["read"], &attr) };
    assert!(!same(&embedded, &pdp, &query).await[0].allowed);
    pdp.probe().await.unwrap();
}

const EVERYTHING: &str = r#"apiVersion: api.cerbos.dev/v1
resourcePolicy:
  resource: document
  version: default
  scope: acme
  scopePermissions: SCOPE_PERMISSIONS_OVERRIDE_PARENT
  importDerivedRoles: [owners]
  rules:
    - name: owners-read
      actions: [read]
      effect: EFFECT_ALLOW
      derivedRoles: [owner]
      condition:
        match:
          all:
            of:
              - expr: request.principal.id == "alice" && request.resource.id == "d7"
              - expr: P.attr.claims.level == 3.5 && P.attr.claims.on && P.attr.claims.none == null
              - expr: P.attr.groups[1] == "b" && R.attr.nested.deep[0].x == "y"
      output: { when: { ruleActivated: '{"who": P.id, "n": R.attr.n}' } }
---
apiVersion: api.cerbos.dev/v1
resourcePolicy: { resource: document, version: default }
---
apiVersion: api.cerbos.dev/v1
derivedRoles:
  name: owners
  definitions:
    - name: owner
      parentRoles: [user]
      condition: { match: { expr: R.attr.owner == P.id } }
"#;

#[tokio::test]
async fn attributes_scope_derived_roles_and_outputs_arrive_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    for (number, text) in EVERYTHING.split("---\n").enumerate() {
        fs::write(folder.path().join(format!("{number}.yaml")), text).unwrap();
    }
    let server = pdp::Pdp::start(folder.path());
    let (embedded, pdp) = (Policy::load(folder.path()).unwrap(), client(&server));
    let object = |value: serde_json::Value| value.as_object().cloned().unwrap();
    let principal = object(json!({
        "groups": ["a", "b"], "claims": { "level": 3.5, "on": true, "none": null },
    }));
    let resource =
        object(json!({ "owner": "alice", "n": 7, "nested": { "deep": [{ "x": "y" }] } }));
    let query = |scope, id| Query {
        principal: Principal { id: "alice", roles: &["user"], attr: &principal },
        resource: Resource { kind: "document", id, scope, attr: &resource },
        ..asking(&["user"], &["read", "write"], &principal)
    };
    let decisions = same(&embedded, &pdp, &query("acme", "d7")).await;
    assert!(decisions[0].allowed && !decisions[1].allowed);
    assert_eq!(decisions[0].outputs[0].value, Ok(json!({ "who": "alice", "n": 7.0 })));
    assert_eq!((&*decisions[0].scope, &*decisions[0].derived_roles[0]), ("acme", "owner"));
    assert!(!same(&embedded, &pdp, &query("acme", "d8")).await[0].allowed);
    assert!(!same(&embedded, &pdp, &query("", "d7")).await[0].allowed);
}

#[tokio::test]
async fn a_pdp_is_reached_over_a_unix_socket_and_over_tls_that_is_trusted() {
    let attr = Attributes::new();
    let query = asking(&["viewer"], &["read", "write"], &attr);
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("pdp.sock");
    let server = pdp::Pdp::listening(&shipped(), Listens::Unix(socket.clone()));
    let local = Pdp::new(&config(CerbosAddress::Unix(socket))).unwrap();
    assert!(local.check(&query).await.unwrap()[0].allowed);
    drop(server);

    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    fs::write(&chain, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let port = pdp::free_port();
    let _server = pdp::Pdp::listening(&shipped(), Listens::Tls(port, chain.clone(), key));
    let address = |host: &str| CerbosAddress::Tls { host: host.into(), port };
    let trusting = CerbosConfig { ca: Some(chain), ..config(address("localhost")) };
    assert!(Pdp::new(&trusting).unwrap().check(&query).await.unwrap()[0].allowed);
    let misnamed = CerbosConfig { address: address("127.0.0.1"), ..trusting.clone() };
    let untrusting = CerbosConfig { ca: None, ..trusting.clone() };
    let plain = CerbosConfig { address: at(port), ..trusting };
    for wrong in [misnamed, untrusting, plain] {
        assert!(Pdp::new(&wrong).unwrap().check(&query).await.is_err());
    }
}
