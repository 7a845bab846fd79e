//! Templates: what can be asked for, by whom, for how long, and who decides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::access::Access;
use super::hash::sha256;
use super::hierarchy::RoleHierarchy;
use super::ids::hex;
use super::rules::Rules;
use super::subject::Person;
use super::time::Timestamp;

/// Every template by name, disabled ones too, as one immutable value that a reload swaps.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    pub templates: BTreeMap<Arc<str>, Arc<Template>>,
    /// What templates grant that are not there, as they cannot be read: only grants give these, too.
    pub also_granted: Vec<Access>,
    /// What was made over the API is not read yet, so it is not known what only grants give.
    pub is_partial: bool,
}

impl Catalog {
    /// Gives every template what the others say of its accesses: separation of duties is about pairs
    /// of accesses, not about the template that names them. Templates that are off count, too, and a
    /// role that implies one of a pair is of that pair.
    pub fn pair_duties(&mut self, hierarchy: &RoleHierarchy) {
        let holding = |access: &Access| -> Vec<Access> {
            let above = hierarchy.above(&access.role).cloned();
            let of = |role| Access { tool: access.tool.clone(), role };
            std::iter::once(access.role.clone()).chain(above).map(of).collect()
        };
        let pairs: Vec<(Vec<Access>, Vec<Access>)> = self
            .templates
            .values()
            .flat_map(|it| {
                let others = it.rules.conflicts_with.iter();
                others.flat_map(|other| {
                    it.accesses.iter().map(move |own| (holding(own), holding(other)))
                })
            })
            .collect();
        if pairs.is_empty() {
            return;
        }
        for template in self.templates.values_mut() {
            let has = |side: &[Access]| template.accesses.iter().any(|own| side.contains(own));
            let mut also: Vec<Access> = Vec::new();
            for (one, other) in &pairs {
                if has(one) {
                    also.extend_from_slice(other);
                }
                if has(other) {
                    also.extend_from_slice(one);
                }
            }
            also.sort();
            also.dedup();
            also.retain(|access| !template.rules.conflicts_with.contains(access));
            if template.rules.also_conflicts != also {
                Arc::make_mut(template).rules.also_conflicts = also;
            }
        }
    }
}

/// One checked template. A request keeps the whole template that it was made under.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    pub name: Arc<str>,
    pub title: Arc<str>,
    /// Off until enabled; a disabled template is shown to nobody and takes no request.
    pub enabled: bool,
    /// When not empty, only requesters with one of these `scopes` or groups see it.
    #[serde(default)]
    pub scopes: Vec<Arc<str>>,
    /// At least one.
    pub accesses: Vec<Access>,
    /// At least one, none zero.
    #[serde(with = "durations")]
    pub durations: Vec<Duration>,
    /// One of `durations`.
    #[serde(with = "duration")]
    pub default_duration: Duration,
    /// How long a request may stay undecided.
    #[serde(with = "duration")]
    pub pending_for: Duration,
    pub requesters: Requesters,
    pub require_justification: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub justification: Option<JustificationRule>,
    #[serde(default)]
    pub fields: Vec<Field>,
    /// At least one; all must approve, in order.
    pub steps: Vec<Step>,
    pub self_approval: bool,
    #[serde(default)]
    pub rules: Rules,
    /// Made over the API: which version this is, from 1. `None`: it stands in a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<u64>,
}

impl Template {
    /// The number of a version that was made over the API; of one from a file the first 16
    /// hexadecimal digits of SHA-256 over its content.
    #[must_use]
    pub fn version(&self) -> String {
        if let Some(version) = self.made {
            return version.to_string();
        }
        // As with `Request::digest`: nothing in it can fail to serialise.
        let text = serde_json::to_vec(self).unwrap_or_default();
        hex(sha256(&[&text]).get(..8).unwrap_or_default())
    }

    #[must_use]
    pub fn is_visible_to(&self, person: &Person) -> bool {
        let named =
            |scope: &Arc<str>| person.scopes.contains(scope) || person.groups.contains(scope);
        self.enabled && (self.scopes.is_empty() || self.scopes.iter().any(named))
    }

    /// Whether a person may ask for it: those who are eligible, and whom `requesters` admits. Where
    /// some are eligible, nobody else is admitted unless `requesters` names them.
    #[must_use]
    pub fn may_be_requested_by(&self, person: &Person, now: Timestamp) -> bool {
        self.is_eligible(person, now)
            || match &self.requesters {
                Requesters::Anyone => self.rules.eligible.is_none(),
                Requesters::Groups(groups) => person.in_any_group(groups),
            }
    }

    #[must_use]
    pub fn is_eligible(&self, person: &Person, now: Timestamp) -> bool {
        self.rules.eligible.as_ref().is_some_and(|eligible| eligible.holds_for(person, now))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Requesters {
    Anyone,
    Groups(Vec<Arc<str>>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JustificationRule {
    pub pattern: Pattern,
    /// Shown when the justification does not contain a match.
    pub message: Arc<str>,
}

/// One decision step: `required` distinct people out of `approvers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub approvers: Approvers,
    pub required: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Approvers {
    Anyone,
    Groups(Vec<Arc<str>>),
}

impl Approvers {
    #[must_use]
    pub fn include(&self, person: &Person) -> bool {
        match self {
            Self::Anyone => true,
            Self::Groups(groups) => person.in_any_group(groups),
        }
    }
}

/// A custom field of the request form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    pub name: Arc<str>,
    #[serde(default)]
    pub required: bool,
    pub kind: FieldKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum FieldKind {
    /// At most `max` characters.
    Text {
        max: u32,
    },
    Select {
        options: Vec<Arc<str>>,
    },
    Checkbox,
    Number,
}

/// The value of a custom field. A number keeps the text it was written with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FieldValue {
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
}

impl Eq for FieldValue {}

/// A compiled regular expression that compares and serialises as its text.
#[derive(Clone, Debug)]
pub struct Pattern(regex::Regex);

impl Pattern {
    /// # Errors
    /// Not a regular expression, or one whose compiled form is larger than 1 MiB.
    pub fn new(text: &str) -> Result<Self, regex::Error> {
        regex::RegexBuilder::new(text).size_limit(1 << 20).build().map(Self)
    }

    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A duration in a record: whole milliseconds.
pub(super) mod duration {
    use super::{Deserialize, Deserializer, Duration, Serializer};

    pub fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

/// Durations in a record: whole milliseconds.
pub(super) mod durations {
    use super::{Deserialize, Deserializer, Duration, Serializer};

    pub fn serialize<S: Serializer>(spans: &[Duration], serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_seq(spans.iter().map(|s| u64::try_from(s.as_millis()).unwrap_or(u64::MAX)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Duration>, D::Error> {
        Ok(Vec::<u64>::deserialize(d)?.into_iter().map(Duration::from_millis).collect())
    }
}
