//! The policy files as written (Cerbos policy schema, `api.cerbos.dev/v1`), unknown keys refused.
//! What the engine does not know yet is read as [`Unknown`], so that the loader can name it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_saphyr::Spanned;

pub(super) type Unknown = Option<IgnoredAny>;
pub(super) type Text = Spanned<String>;

/// One document. Exactly one of the policy kinds is set.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Document {
    pub api_version: Text,
    #[serde(default)]
    pub disabled: bool,
    #[serde(default, rename = "description")]
    _description: Option<String>,
    #[serde(default, rename = "metadata")]
    _metadata: Option<IgnoredAny>,
    #[serde(default, rename = "$schema")]
    _schema: Option<String>,
    /// The old place of local variables.
    #[serde(default)]
    pub variables: BTreeMap<String, Text>,
    pub resource_policy: Option<ResourcePolicy>,
    pub derived_roles: Option<DerivedRoles>,
    pub principal_policy: Unknown,
    pub role_policy: Unknown,
    pub export_variables: Unknown,
    pub export_constants: Unknown,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ResourcePolicy {
    pub resource: Text,
    pub version: Text,
    #[serde(default)]
    pub import_derived_roles: Vec<Text>,
    #[serde(default)]
    pub rules: Vec<Rule>,
    #[serde(default)]
    pub variables: Variables,
    #[serde(default)]
    pub constants: Constants,
    #[serde(default)]
    pub scope: Option<Text>,
    #[serde(default)]
    pub scope_permissions: Unknown,
    #[serde(default)]
    pub schemas: Unknown,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Rule {
    pub actions: Vec<Text>,
    pub effect: Text,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub roles: Vec<Text>,
    #[serde(default)]
    pub derived_roles: Vec<Text>,
    #[serde(default)]
    pub condition: Option<Condition>,
    #[serde(default)]
    pub output: Unknown,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DerivedRoles {
    pub name: Text,
    pub definitions: Vec<RoleDefinition>,
    #[serde(default)]
    pub variables: Variables,
    #[serde(default)]
    pub constants: Constants,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RoleDefinition {
    pub name: Text,
    pub parent_roles: Vec<Text>,
    #[serde(default)]
    pub condition: Option<Condition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Variables {
    #[serde(default)]
    pub import: Vec<Text>,
    #[serde(default)]
    pub local: BTreeMap<String, Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Constants {
    #[serde(default)]
    pub import: Vec<Text>,
    #[serde(default)]
    pub local: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Condition {
    #[serde(default, rename = "match")]
    pub matches: Option<Match>,
    #[serde(default)]
    pub script: Unknown,
}

/// Exactly one member is set.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Match {
    #[serde(default)]
    pub expr: Option<Text>,
    #[serde(default)]
    pub all: Option<Matches>,
    #[serde(default)]
    pub any: Option<Matches>,
    #[serde(default)]
    pub none: Option<Matches>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Matches {
    pub of: Vec<Match>,
}
