//! Differences that are meant, each with its reason. Everything else fails a run.

use serde_json::Value as Json;

use super::campaign::Difference;
use super::compare::Decision;
use super::policies::Set;

/// What the engine refuses while loading although the PDP takes it: part of the message, and the
/// reason as docs/policies.md has it.
const REFUSALS: [(&str, &str); 3] = [
    ("of a parent scope is missing", "a policy above was refused"),
    ("always fails", "a constant part that always fails"),
    ("over constants", "a comprehension over constants alone"),
];

pub fn refusal(message: &str) -> Option<&'static str> {
    REFUSALS.iter().find(|(part, _)| message.contains(part)).map(|(_, reason)| *reason)
}

/// What the PDP refuses though the engine takes it: it tells scope permissions that are not written
/// from those that mean the same.
pub fn refusal_of_the_pdp(message: &str) -> Option<&'static str> {
    let alone = "missing imports=0, missing scopes=0, duplicate definitions=0, load failures=0, \
                 scope permission conflicts=";
    message.contains(alone).then_some("the PDP alone refuses unwritten scope permissions")
}

pub fn difference(_set: &Set, _request: &Json, _it: &Difference) -> Option<&'static str> {
    None
}

/// What expressions say: the engine fails, on purpose, where the PDP has a value.
pub fn value(_text: &str, _ours: &Decision, _theirs: &Decision) -> Option<&'static str> {
    None
}
