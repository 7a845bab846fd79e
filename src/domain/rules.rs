//! What a template says beside who asks and who decides: what happens by itself, who hears of it, and
//! what must not come together. Everything is off where nothing is said.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::access::Access;
use super::subject::Person;
use super::template::{JustificationRule, duration, durations};
use super::time::Timestamp;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rules {
    /// A CEL expression over the request: where it is true, nobody has to decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_approve: Option<Arc<str>>,
    pub notify: Notify,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escalation: Option<Escalation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extension: Option<Extension>,
    /// How long before its end the holder of a grant is warned.
    #[serde(with = "maybe_duration", skip_serializing_if = "Option::is_none")]
    pub warn_before_end: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<BreakGlass>,
    /// Accesses that nobody may hold together with one of this template's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conflicts_with: Vec<Access>,
    /// What other templates of the catalog say of these accesses: a pair is a pair, whichever of the
    /// two a template grants.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also_conflicts: Vec<Access>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eligible: Option<Eligible>,
}

impl Rules {
    /// Every access that must not come together with the template's.
    pub fn conflicts(&self) -> impl Iterator<Item = &Access> {
        self.conflicts_with.iter().chain(&self.also_conflicts)
    }
}

/// Which of the approvers are told of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "policy", content = "count", rename_all = "snake_case")]
pub enum Notify {
    #[default]
    All,
    /// The first so many, in the order of the directory.
    FirstN(u32),
    RandomN(u32),
    /// One after the other, from request to request.
    RoundRobin(u32),
}

/// Who else may decide, and hears of it, when nobody has decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    /// Since the request was made.
    #[serde(with = "duration")]
    pub after: Duration,
    /// At least one.
    pub groups: Vec<Arc<str>>,
}

/// How the holder may move the end of a grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// How often; at least once.
    pub max: u32,
    /// By how much; at least one, none zero.
    #[serde(with = "durations")]
    pub steps: Vec<Duration>,
}

/// Access at once, to be reviewed afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakGlass {
    /// Who may; at least one.
    pub groups: Vec<Arc<str>>,
    #[serde(with = "duration")]
    pub duration: Duration,
    #[serde(with = "duration")]
    pub review_within: Duration,
}

/// Who may activate the template for a limited time whenever they need it (privileged identity
/// management).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eligible {
    /// Names of subjects.
    #[serde(default)]
    pub subjects: Vec<Arc<str>>,
    #[serde(default)]
    pub groups: Vec<Arc<str>>,
    /// Nobody is eligible any more from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// An activation goes through the template's steps like any request.
    #[serde(default)]
    pub needs_approval: bool,
}

impl Eligible {
    #[must_use]
    pub fn holds_for(&self, person: &Person, now: Timestamp) -> bool {
        let is_named = self.subjects.contains(&person.subject.name);
        self.until.is_none_or(|until| now < until)
            && (is_named || person.in_any_group(&self.groups))
    }
}

/// What a grant takes along from the template that it was made under.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
    /// None where an approver set an earlier end, too: what they decided stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extension: Option<Extension>,
    /// How often it was extended.
    pub extended: u32,
    /// What is asked of the justification of an extension.
    pub require_justification: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub justification: Option<JustificationRule>,
    #[serde(with = "maybe_duration", skip_serializing_if = "Option::is_none")]
    pub warn_before_end: Option<Duration>,
    /// The end that its holder was warned of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warned_of: Option<Timestamp>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conflicts_with: Vec<Access>,
}

mod maybe_duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
    pub fn serialize<S: Serializer>(span: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
        match span {
            Some(span) => super::duration::serialize(span, s),
            None => s.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(d)?.map(Duration::from_millis))
    }
}
