//! Why the engine itself failed, where it did: what it fails with on purpose is a known difference.

use std::borrow::Cow;

use serde_json::{Map, Value as Json, json};
use tidegate::policy::embedded::{Attributes, Cause, Engine, Facts, Input, Subject};

use super::campaign;
use super::policies::{Knobs, Set};

struct Given<'r> {
    principal: Cow<'r, Attributes>,
    resource: Cow<'r, Attributes>,
}

impl Facts for Given<'_> {
    fn principal(&self) -> Cow<'_, Attributes> {
        Cow::Borrowed(&self.principal)
    }

    fn resource(&self) -> Cow<'_, Attributes> {
        Cow::Borrowed(&self.resource)
    }

    fn claims(&self) -> Option<Cow<'_, Attributes>> {
        None
    }
}

/// What the condition failed with that decided an action.
pub fn of(engine: &Engine, request: &Json, resource: usize, action: &str) -> Option<String> {
    let (who, what) = (&request["principal"], &request["resources"][resource]["resource"]);
    let facts = Given { principal: attributes(who), resource: attributes(what) };
    let roles: Vec<&str> =
        who["roles"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    let asked = request["resources"][resource]["actions"].as_array();
    let actions: Vec<&str> = asked.into_iter().flatten().filter_map(Json::as_str).collect();
    let index = actions.iter().position(|it| *it == action)?;
    let input = Input {
        principal: subject(who),
        roles: &roles,
        kind: what["kind"].as_str().unwrap_or_default(),
        resource: subject(what),
        actions: &actions,
        facts: &facts,
    };
    engine.with_checked(&input, false, |checked| match &checked.verdicts.get(index)?.cause {
        Cause::Failed { why, .. } => Some(why.to_string()),
        Cause::Unknown
        | Cause::Elsewhere
        | Cause::NoRule
        | Cause::Invalid
        | Cause::Rule { .. }
        | Cause::RolePolicy { .. } => None,
    })
}

/// What the condition of a derived role fails with: asked of a policy that names nothing else.
pub fn of_derived_role(set: &Set, request: &Json, resource: usize, role: &str) -> Option<String> {
    let module = role.split('_').next()?;
    let mut set = set.clone();
    set.knobs = Knobs::USUAL;
    set.tail.clear();
    set.documents.push(json!({"apiVersion": "api.cerbos.dev/v1", "resourcePolicy": {
        "resource": PROBE, "version": "default", "importDerivedRoles": [module],
        "rules": [{"actions": [PROBE], "effect": "EFFECT_ALLOW", "derivedRoles": [role]}],
    }}));
    let folder = tempfile::tempdir().ok()?;
    set.write(folder.path());
    let engine = campaign::engine(folder.path(), &set.knobs).ok()?;
    let mut asked = request["resources"][resource]["resource"].clone();
    asked["kind"] = PROBE.into();
    for member in ["scope", "policyVersion"] {
        asked[member] = "".into();
    }
    let mut request = request.clone();
    request["resources"] = json!([{"resource": asked, "actions": [PROBE]}]);
    of(&engine, &request, 0, PROBE)
}

/// A kind, and an action, that nothing generated knows.
const PROBE: &str = "probe";

fn attributes(of: &Json) -> Cow<'_, Attributes> {
    of["attr"].as_object().map_or_else(|| Cow::Owned(Map::new()), Cow::Borrowed)
}

fn subject(of: &Json) -> Subject<'_> {
    let text = |name: &str| of[name].as_str().unwrap_or_default();
    Subject { id: text("id"), version: text("policyVersion"), scope: text("scope") }
}
