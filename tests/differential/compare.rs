//! Answers, as far as they have to be equal.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

/// What is said about one action of one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub effect: String,
    pub policy: String,
    pub scope: String,
    pub outputs: Vec<(String, Json)>,
}

/// What is said about one resource besides.
#[derive(Clone, Debug, PartialEq)]
pub struct Common {
    pub derived_roles: BTreeSet<String>,
    /// Path and source.
    pub invalid: BTreeSet<(String, String)>,
}

pub fn decision(answer: &Json, resource: usize, action: &str) -> Decision {
    let it = &answer["results"][resource];
    let meta = &it["meta"]["actions"][action];
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let outputs = it["outputs"].as_array().into_iter().flatten();
    let mut outputs: Vec<(String, Json)> = outputs
        .filter(|output| output["action"] == action)
        .map(|output| {
            let failed = output["error"].as_str().is_some_and(|error| !error.is_empty());
            let value = if failed { json!({"error": true}) } else { plain(&output["val"]) };
            (text(&output["src"]), value)
        })
        .collect();
    outputs.sort_by_key(|(source, value)| (source.clone(), value.to_string()));
    outputs.dedup();
    Decision {
        effect: text(&it["actions"][action]),
        policy: text(&meta["matchedPolicy"]),
        scope: text(&meta["matchedScope"]),
        outputs,
    }
}

pub fn common(answer: &Json, resource: usize) -> Common {
    let it = &answer["results"][resource];
    let list = |value: &Json| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let roles = list(&it["meta"]["effectiveDerivedRoles"]);
    let invalid = list(&it["validationErrors"]);
    Common {
        derived_roles: roles.iter().map(text).collect(),
        invalid: invalid.iter().map(|it| (text(&it["path"]), text(&it["source"]))).collect(),
    }
}

/// Numbers as the protocol has them: doubles.
fn plain(value: &Json) -> Json {
    match value {
        Json::Number(number) => json!(number.as_f64()),
        Json::Array(items) => items.iter().map(plain).collect(),
        Json::Object(members) => {
            members.iter().map(|(name, member)| (name.clone(), plain(member))).collect()
        }
        Json::Null | Json::Bool(_) | Json::String(_) => value.clone(),
    }
}
