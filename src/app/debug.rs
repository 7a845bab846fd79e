//! The sections of `/debug/authz`. A part that has something to add gets a section here.

use std::sync::{Arc, PoisonError};

use serde_json::{Value, json};

use super::{Parts, Reload};
use crate::admin::DebugSection;
use crate::config::{AccessMode, Rule, ToolConfig};
use crate::domain::iso8601;
use crate::gateway::Recent;
use crate::policy::{Loaded, Policy};

impl Parts<'_> {
    pub(super) fn debug(&self, reload: &Arc<Reload>) -> Vec<DebugSection> {
        let (policy, recent, reload) =
            (self.ready.policy.clone(), self.recent.clone(), reload.clone());
        let tools: Value = self.config.tools.iter().map(tool).collect();
        let (roles, providers) = (self.ready.roles.describe(), self.ready.providers.describe());
        vec![
            DebugSection::new("policy", move || policies(&policy)),
            DebugSection::new("reload", move || last_reload(&reload)),
            DebugSection::new("roles", move || roles.clone()),
            DebugSection::new("providers", move || providers.clone()),
            DebugSection::new("tools", move || tools.clone()),
            DebugSection::new("recent_decisions", move || decisions(&recent)),
        ]
    }
}

fn policies(policy: &Policy) -> Value {
    let decides = if policy.set().is_some() { "embedded" } else { "cerbos" };
    let set = policy.loaded().map_or(Value::Null, set);
    json!({ "engine": decides, "bypassed": policy.is_bypassed(), "loaded": set })
}

fn set(loaded: &Loaded) -> Value {
    let engine = loaded.engine();
    let registered = engine.policies();
    let options = engine.options();
    let shown: Value = registered
        .iter()
        .map(|(key, it)| json!({ "policy": key, "file": it.file, "rows": it.rows }))
        .collect();
    json!({
        "directory": loaded.directory(),
        "set": engine.number,
        "loaded_in_ms": u64::try_from(engine.took.as_millis()).unwrap_or(u64::MAX),
        "rows": registered.values().map(|it| it.rows).sum::<usize>(),
        "options": {
            "default_policy_version": options.default_policy_version,
            "default_scope": options.default_scope,
            "lenient_scope_search": options.lenient_scope_search,
            "schema_enforcement": format!("{:?}", options.schema_enforcement).to_lowercase(),
            "strict_evaluation": true,
        },
        "policies": shown,
    })
}

fn last_reload(reload: &Reload) -> Value {
    let last = reload.last.lock().unwrap_or_else(PoisonError::into_inner);
    last.as_ref().map_or(Value::Null, |last| {
        let successful = last.problems.is_empty();
        let at = iso8601::time(last.at);
        json!({ "at": at, "successful": successful, "problems": last.problems })
    })
}

fn tool(tool: &Arc<ToolConfig>) -> Value {
    json!({
        "name": tool.name,
        "hosts": tool.hosts,
        "path_prefix": tool.path_prefix,
        "rules": tool.rules.iter().map(rule).collect::<Value>(),
    })
}

fn rule(rule: &Rule) -> Value {
    let methods: Vec<&str> = rule.methods.iter().map(http::Method::as_str).collect();
    json!({
        "methods": methods,
        "path": rule.path.as_str(),
        "access": match rule.access {
            AccessMode::Public => "public",
            AccessMode::Authenticated => "authenticated",
            AccessMode::Policy => "policy",
            AccessMode::Grant => "grant",
        },
        "action": rule.action,
        "resource": rule.resource,
        "default_effect": if rule.default_effect_allow { "allow" } else { "deny" },
    })
}

fn decisions(recent: &Recent) -> Value {
    let counts = recent.counts();
    json!({ "kept": counts.values().sum::<usize>(), "by_reason": counts })
}
