//! Differences that are meant, each with its reason. Everything else fails a run.

use serde_json::Value as Json;

use super::campaign::Difference;
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

/// What the engine alone refuses of the sets with a fault.
pub fn refusal_of_a_fault(name: &str, message: &str) -> Option<&'static str> {
    let is_glob = name.contains("glob with a b") && message.contains("cannot be read: a b");
    if is_glob { Some("a glob with an odd bracket") } else { refusal(message) }
}

/// What the PDP refuses though the engine takes it.
pub fn refusal_of_the_pdp(message: &str) -> Option<&'static str> {
    let all = message.matches("Invalid expression").count();
    let formats = message.matches("error during formatting: ").count();
    let optionals = message.matches("[expected type 'optional_type(_var").count();
    if all > 0 && all == optionals {
        return Some("an optional entry whose value has no known type: the engine loads it");
    }
    let is_known = all > 0 && all == formats;
    is_known.then_some("a value that `format` never takes: the engine fails when it is asked")
}

pub fn difference(_set: &Set, _request: &Json, _it: &Difference) -> Option<&'static str> {
    None
}
