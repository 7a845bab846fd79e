//! Requests and responses as the PDP's HTTP API has them; both spellings of a key are read.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value as Json;

use super::cel::Value;
use super::evaluate::OutputEntry;
use super::input::{Attributes, Facts, Input, Subject};
use super::schema::ValidationError;
use super::set::Effect;
use super::{Engine, names, unique};

const MAX_RESOURCES: usize = 50;
const MAX_ACTIONS: usize = 50;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct CheckRequest {
    #[serde(alias = "request_id", deserialize_with = "or_default")]
    pub request_id: String,
    #[serde(alias = "include_meta", deserialize_with = "or_default")]
    pub include_meta: bool,
    #[serde(deserialize_with = "or_default")]
    pub principal: Principal,
    #[serde(deserialize_with = "or_default")]
    pub resources: Vec<ResourceEntry>,
    #[serde(alias = "aux_data", deserialize_with = "or_default")]
    pub aux_data: AuxData,
    /// Notes for the PDP's audit log, of which there is none here.
    #[serde(alias = "request_context")]
    pub request_context: Option<RequestContext>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestContext {
    #[serde(deserialize_with = "unique::or_absent")]
    pub annotations: Option<Attributes>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Principal {
    #[serde(deserialize_with = "or_default")]
    pub id: String,
    #[serde(alias = "policy_version", deserialize_with = "or_default")]
    pub policy_version: String,
    #[serde(deserialize_with = "or_default")]
    pub roles: Vec<String>,
    #[serde(deserialize_with = "unique::or_none")]
    pub attr: Attributes,
    #[serde(deserialize_with = "or_default")]
    pub scope: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResourceEntry {
    #[serde(deserialize_with = "or_default")]
    pub actions: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub resource: Resource,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Resource {
    #[serde(deserialize_with = "or_default")]
    pub kind: String,
    #[serde(alias = "policy_version", deserialize_with = "or_default")]
    pub policy_version: String,
    #[serde(deserialize_with = "or_default")]
    pub id: String,
    #[serde(deserialize_with = "unique::or_none")]
    pub attr: Attributes,
    #[serde(deserialize_with = "or_default")]
    pub scope: String,
}

/// Claims that were verified before.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuxData {
    #[serde(deserialize_with = "unique::or_absent")]
    pub jwt: Option<Attributes>,
    /// By name: `{ "claims": { ... } }`.
    #[serde(deserialize_with = "unique::or_absent")]
    pub jwts: Option<Attributes>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckResponse {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    pub results: Vec<ResultEntry>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResultEntry {
    pub resource: ResultResource,
    pub actions: BTreeMap<String, Effect>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub validation_errors: Vec<ValidationError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<OutputEntry>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResultResource {
    pub id: String,
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub policy_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scope: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    pub actions: BTreeMap<String, EffectMeta>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub effective_derived_roles: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EffectMeta {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub matched_policy: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub matched_scope: String,
}

/// What the PDP answers 400 to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// 3: the request is not valid.
    pub code: u32,
    pub message: String,
}

impl Serialize for Effect {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// `null` is what is not there.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl CheckRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// It is no request in JSON.
    pub fn parse(json: &[u8]) -> Result<Self, Refused> {
        serde_json::from_slice(json).map_err(|error| invalid(error.to_string()))
    }

    /// # Errors
    /// What the PDP answers 400 to.
    pub fn validate(&self) -> Result<(), Refused> {
        let Self { principal, resources, aux_data, .. } = self;
        principal.validate("principal")?;
        if resources.is_empty() {
            return Err(invalid("resources: must not be empty"));
        }
        if resources.len() > MAX_RESOURCES {
            return Err(invalid(format!("resources: more than {MAX_RESOURCES}")));
        }
        for (index, entry) in resources.iter().enumerate() {
            let at = |field: &str| format!("resources[{index}].{field}");
            list(&at("actions"), &entry.actions)?;
            if entry.actions.len() > MAX_ACTIONS {
                return Err(invalid(format!("{}: more than {MAX_ACTIONS}", at("actions"))));
            }
            entry.resource.validate(&at("resource"))?;
        }
        aux_data.validate()
    }
}

impl Principal {
    /// # Errors
    /// What the PDP refuses, at `field`.
    pub(super) fn validate(&self, field: &str) -> Result<(), Refused> {
        required(&format!("{field}.id"), &self.id)?;
        list(&format!("{field}.roles"), &self.roles)?;
        subject(field, &self.policy_version, &self.scope, &self.attr)
    }
}

impl Resource {
    /// # Errors
    /// What the PDP refuses, at `field`.
    pub(super) fn validate(&self, field: &str) -> Result<(), Refused> {
        required(&format!("{field}.kind"), &self.kind)?;
        required(&format!("{field}.id"), &self.id)?;
        subject(field, &self.policy_version, &self.scope, &self.attr)
    }
}

impl AuxData {
    fn validate(&self) -> Result<(), Refused> {
        if self.jwt.is_some() && self.jwts.is_some() {
            return Err(invalid("auxData: only one of jwt and jwts"));
        }
        // A token that nobody verified is no claim.
        let is_token = |it: &Attributes| it.get("token").is_some_and(Json::is_string);
        let tokens = self.jwts.iter().flatten().filter_map(|(_, it)| it.as_object());
        if self.jwt.as_ref().is_some_and(is_token) || tokens.into_iter().any(is_token) {
            return Err(invalid("invalid auxData: tokens are not verified here"));
        }
        Ok(())
    }
}

fn invalid(message: impl Into<String>) -> Refused {
    Refused { code: 3, message: message.into() }
}

fn required(field: &str, text: &str) -> Result<(), Refused> {
    if text.is_empty() { Err(invalid(format!("{field}: is required"))) } else { Ok(()) }
}

fn list(field: &str, items: &[String]) -> Result<(), Refused> {
    if items.is_empty() {
        return Err(invalid(format!("{field}: must not be empty")));
    }
    let mut seen = std::collections::HashSet::new();
    match items.iter().find(|item| item.is_empty() || !seen.insert(item.as_str())) {
        Some(item) if item.is_empty() => Err(invalid(format!("{field}: an empty item"))),
        Some(item) => Err(invalid(format!("{field}: '{item}' twice"))),
        None => Ok(()),
    }
}

fn subject(field: &str, version: &str, scope: &str, attr: &Attributes) -> Result<(), Refused> {
    if !names::is_version(version) {
        return Err(invalid(format!("{field}.policyVersion: not valid")));
    }
    if !names::is_scope(scope) {
        return Err(invalid(format!("{field}.scope: not valid")));
    }
    if attr.contains_key("") {
        return Err(invalid(format!("{field}.attr: an empty key")));
    }
    Ok(())
}

/// The facts of one resource of a request.
struct Entry<'r> {
    request: &'r CheckRequest,
    resource: &'r Attributes,
    principal: &'r OnceCell<Value>,
}

impl Facts for Entry<'_> {
    fn principal(&self) -> Cow<'_, Attributes> {
        Cow::Borrowed(&self.request.principal.attr)
    }

    fn resource(&self) -> Cow<'_, Attributes> {
        Cow::Borrowed(self.resource)
    }

    fn claims(&self) -> Option<Cow<'_, Attributes>> {
        self.request.aux_data.jwt.as_ref().map(Cow::Borrowed)
    }

    fn jwts(&self) -> Option<Cow<'_, Attributes>> {
        self.request.aux_data.jwts.as_ref().map(Cow::Borrowed)
    }

    fn principal_value(&self) -> Value {
        self.principal.get_or_init(|| Value::from_members(&self.request.principal.attr)).clone()
    }
}

impl Engine {
    /// Answers a request as the PDP with strict evaluation does.
    ///
    /// # Errors
    /// What the PDP answers 400 to.
    pub fn check(&self, request: &CheckRequest) -> Result<CheckResponse, Refused> {
        request.validate()?;
        Ok(self.check_unvalidated(request))
    }

    pub(super) fn check_unvalidated(&self, request: &CheckRequest) -> CheckResponse {
        let roles: Vec<&str> = request.principal.roles.iter().map(String::as_str).collect();
        let principal = OnceCell::new();
        let results = request.resources.iter().map(|entry| {
            let facts = Entry { request, resource: &entry.resource.attr, principal: &principal };
            self.entry(request, entry, &roles, &facts)
        });
        let results = results.collect();
        CheckResponse { request_id: request.request_id.clone(), results }
    }

    fn entry(
        &self,
        request: &CheckRequest,
        entry: &ResourceEntry,
        roles: &[&str],
        facts: &Entry<'_>,
    ) -> ResultEntry {
        let actions: Vec<&str> = entry.actions.iter().map(String::as_str).collect();
        let (principal, resource) = (&request.principal, &entry.resource);
        let input = Input {
            principal: Subject {
                id: &principal.id,
                version: &principal.policy_version,
                scope: &principal.scope,
            },
            roles,
            kind: &resource.kind,
            resource: Subject {
                id: &resource.id,
                version: &resource.policy_version,
                scope: &resource.scope,
            },
            actions: &actions,
            facts,
        };
        self.with_checked(&input, false, |checked| {
            let each = || entry.actions.iter().cloned().zip(&checked.verdicts);
            ResultEntry {
                resource: ResultResource {
                    id: resource.id.clone(),
                    kind: resource.kind.clone(),
                    policy_version: resource.policy_version.clone(),
                    scope: resource.scope.clone(),
                },
                actions: each().map(|(action, verdict)| (action, verdict.effect)).collect(),
                meta: request.include_meta.then(|| Meta {
                    actions: each()
                        .map(|(action, verdict)| {
                            let matched_policy = verdict.policy.to_string();
                            let matched_scope = verdict.scope.to_owned();
                            (action, EffectMeta { matched_policy, matched_scope })
                        })
                        .collect(),
                    effective_derived_roles: checked
                        .derived_roles
                        .iter()
                        .map(ToString::to_string)
                        .collect(),
                }),
                validation_errors: checked.validation_errors,
                outputs: checked.outputs,
            }
        })
    }
}
