//! The parts of an explanation.

use serde::Serialize;
use utoipa::ToSchema;

/// What was asked for, and which rule that met.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct RequestShown {
    pub method: String,
    pub host: String,
    /// As the client sent it, without the query.
    pub target: String,
    /// What was matched, when a prefix was stripped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_path: Option<String>,
    /// `null`: no tool is configured under this host or path.
    pub tool: Option<String>,
    /// The path pattern of the rule that matched.
    pub route: Option<String>,
    pub action: Option<String>,
    pub resource: Option<String>,
    pub object_id: Option<String>,
    /// The rules of the tool in order, up to the one that matched.
    pub rules: Vec<RuleShown>,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RuleShown {
    /// Empty: any known method.
    pub methods: Vec<String>,
    pub path: String,
    /// `public`, `authenticated`, `policy` or `grant`.
    pub access: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub action: String,
    /// `matched`, `other method` or `other path`.
    pub verdict: String,
}

/// A call to the API.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct CallShown {
    /// `METHOD /the/path`, without the query.
    pub route: String,
}

/// What became of the credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TokenOutcome {
    /// It was not looked at: the rule is public, or an earlier step refused.
    #[default]
    NotAsked,
    Verified,
    Refused,
    /// The issuer's keys were not at hand.
    NotChecked,
}

/// The checks of the token. Its words are shown only when it was verified.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct TokenShown {
    pub outcome: TokenOutcome,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// The header's `typ`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SubjectShown {
    pub name: String,
    pub issuer: String,
    pub groups: Vec<String>,
}

/// A role, where it came from, and whether the policy saw it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RoleShown {
    pub role: String,
    /// `everyone signed in`, `roles claim`, `group <name>`, `grant <id>`, `configuration`.
    pub from: Vec<String>,
    pub counts: bool,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The grants of the subject as the store had them for this request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct GrantsShown {
    /// The subject is suspended: nothing of theirs counts.
    pub suspended: bool,
    pub considered: Vec<GrantShown>,
    /// Grants for this tool that ended within a day, where that was asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<EndedShown>,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct GrantShown {
    pub id: String,
    pub tool: String,
    pub role: String,
    pub template: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    pub expires_at: String,
    pub counts: bool,
    /// `counts`, `other-tool`, `unconfirmed`, `not-started`, `expired`, `revoked`, `narrowed`,
    /// `suspended`.
    pub verdict: String,
    /// For people.
    pub detail: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct EndedShown {
    pub id: String,
    pub at: String,
    /// `expired`, `revoked` or `released`.
    pub why: String,
}

/// What the policy said, and what it looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct PolicyShown {
    /// The policy that decided, as it is registered, or `NO_MATCH`.
    pub policy: String,
    pub scope: String,
    pub rule: Option<String>,
    pub derived_roles: Vec<String>,
    pub outputs: Vec<OutputShown>,
    /// The rules that were looked at, in order.
    pub rows: Vec<RowShown>,
    /// Why there are no rows, or why they are not to be trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct OutputShown {
    pub source: String,
    /// Its value; `null` when there is none.
    #[schema(value_type = Object)]
    pub value: serde_json::Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RowShown {
    pub policy: String,
    pub rule: String,
    /// Below the policy directory.
    pub file: String,
    pub line: u32,
    /// `allow` or `deny`.
    pub effect: String,
    /// `applies`, `does not apply` or `its condition failed`.
    pub said: String,
}
