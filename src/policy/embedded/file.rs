//! The policy files as written (Cerbos policy schema, `api.cerbos.dev/v1`), unknown keys refused.
//! Both spellings of a key are read, as by the PDP.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_saphyr::Spanned;

pub(super) type Text = Spanned<String>;
type Json = serde_json::Value;

/// One document. Exactly one of the policy kinds is set.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Document {
    #[serde(alias = "api_version")]
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
    #[serde(alias = "resource_policy")]
    pub resource_policy: Option<ResourcePolicy>,
    #[serde(alias = "derived_roles")]
    pub derived_roles: Option<DerivedRoles>,
    #[serde(alias = "principal_policy")]
    pub principal_policy: Option<PrincipalPolicy>,
    #[serde(alias = "role_policy")]
    pub role_policy: Option<RolePolicy>,
    #[serde(alias = "export_variables")]
    pub export_variables: Option<ExportVariables>,
    #[serde(alias = "export_constants")]
    pub export_constants: Option<ExportConstants>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ResourcePolicy {
    pub resource: Text,
    pub version: Text,
    #[serde(default, alias = "import_derived_roles")]
    pub import_derived_roles: Vec<Text>,
    #[serde(default)]
    pub rules: Vec<Rule>,
    #[serde(default)]
    pub variables: Variables,
    #[serde(default)]
    pub constants: Constants,
    #[serde(default)]
    pub scope: Option<Text>,
    #[serde(default, alias = "scope_permissions")]
    pub scope_permissions: Option<Text>,
    #[serde(default)]
    pub schemas: Option<Schemas>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Rule {
    pub actions: Vec<Text>,
    pub effect: Text,
    #[serde(default)]
    pub name: Option<Text>,
    #[serde(default)]
    pub roles: Vec<Text>,
    #[serde(default, alias = "derived_roles")]
    pub derived_roles: Vec<Text>,
    #[serde(default)]
    pub condition: Option<Condition>,
    #[serde(default)]
    pub output: Option<Output>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PrincipalPolicy {
    pub principal: Text,
    pub version: Text,
    #[serde(default)]
    pub rules: Vec<PrincipalRule>,
    #[serde(default)]
    pub variables: Variables,
    #[serde(default)]
    pub constants: Constants,
    #[serde(default)]
    pub scope: Option<Text>,
    #[serde(default, alias = "scope_permissions")]
    pub scope_permissions: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PrincipalRule {
    pub resource: Text,
    pub actions: Vec<PrincipalAction>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PrincipalAction {
    pub action: Text,
    pub effect: Text,
    #[serde(default)]
    pub name: Option<Text>,
    #[serde(default)]
    pub condition: Option<Condition>,
    #[serde(default)]
    pub output: Option<Output>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RolePolicy {
    pub role: Text,
    #[serde(default)]
    pub version: Option<Text>,
    #[serde(default, alias = "parent_roles")]
    pub parent_roles: Vec<Text>,
    #[serde(default)]
    pub scope: Option<Text>,
    #[serde(default)]
    pub rules: Vec<RoleRule>,
    #[serde(default, alias = "scope_permissions")]
    pub scope_permissions: Option<Text>,
    #[serde(default)]
    pub variables: Variables,
    #[serde(default)]
    pub constants: Constants,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RoleRule {
    pub resource: Text,
    #[serde(alias = "allow_actions")]
    pub allow_actions: Vec<Text>,
    #[serde(default)]
    pub condition: Option<Condition>,
    #[serde(default)]
    pub name: Option<Text>,
    #[serde(default)]
    pub output: Option<Output>,
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
    #[serde(alias = "parent_roles")]
    pub parent_roles: Vec<Text>,
    #[serde(default)]
    pub condition: Option<Condition>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ExportVariables {
    pub name: Text,
    #[serde(default)]
    pub definitions: BTreeMap<String, Text>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ExportConstants {
    pub name: Text,
    #[serde(default)]
    pub definitions: BTreeMap<String, Spanned<Json>>,
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
    pub local: BTreeMap<String, Spanned<Json>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Schemas {
    #[serde(default, alias = "principal_schema")]
    pub principal_schema: Option<SchemaRef>,
    #[serde(default, alias = "resource_schema")]
    pub resource_schema: Option<SchemaRef>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SchemaRef {
    #[serde(rename = "ref")]
    pub reference: Text,
    #[serde(default, alias = "ignore_when")]
    pub ignore_when: Option<IgnoreWhen>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IgnoreWhen {
    pub actions: Vec<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Output {
    /// The old name of `when.ruleActivated`.
    #[serde(default)]
    pub expr: Option<Text>,
    #[serde(default)]
    pub when: Option<When>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct When {
    #[serde(default, alias = "rule_activated")]
    pub rule_activated: Option<Text>,
    #[serde(default, alias = "condition_not_met")]
    pub condition_not_met: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Condition {
    #[serde(default, rename = "match")]
    pub matches: Option<Match>,
    #[serde(default)]
    pub script: Option<IgnoredAny>,
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
