//! Differences that are meant, each with its reason. Everything else fails a run.

use std::collections::BTreeSet;

use serde_json::Value as Json;
use tidegate::policy::embedded::Engine;

use super::campaign::{DERIVED_ROLES, Difference};
use super::compare::{Decision, common};
use super::policies::Set;
use super::{failure, order};

/// What the engine refuses while loading although the PDP takes it: part of the message, and the
/// reason as docs/policies.md has it.
const REFUSALS: [(&str, &str); 5] = [
    ("is a constant that is no bool", "a constant that is no bool in `&&`, `||` or a test"),
    ("always an empty list", "`in` a constant that is an empty list"),
    ("of a parent scope is missing", "a policy above was refused"),
    ("always fails", "a constant part that always fails"),
    ("over constants", "a comprehension over constants alone"),
];

/// What both refuse: sets of policies go on without it.
const REFUSALS_OF_BOTH: [(&str, &str); 1] =
    [("whose type is not known", "an optional entry whose value has no known type")];

/// The same as `REFUSALS` for an expression alone.
const REFUSALS_OF_EXPRESSIONS: [(&str, &str); 3] = [
    ("is no index", "an index that always fails"),
    ("the pattern '", "a pattern that is refused"),
    ("format: %", "a clause of `format` and a value of a type known only from its neighbours"),
];

pub fn refusal_of_an_expression(message: &str) -> Option<&'static str> {
    let mut all = REFUSALS.iter().chain(&REFUSALS_OF_EXPRESSIONS);
    all.find(|(part, _)| message.contains(part)).map(|(_, reason)| *reason)
}

pub fn refusal(message: &str) -> Option<&'static str> {
    let mut all = REFUSALS.iter().chain(&REFUSALS_OF_BOTH);
    all.find(|(part, _)| message.contains(part)).map(|(_, reason)| *reason)
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
    let is_known = all > 0 && all == formats;
    is_known.then_some("a value that `format` never takes: the engine fails when it is asked")
}

/// Never one in which the engine is the more open of the two.
pub fn difference(
    engine: &Engine,
    set: &Set,
    (request, ours): (&Json, &Json),
    it: &Difference,
) -> Option<&'static str> {
    if it.what == DERIVED_ROLES {
        return derived_roles(set, (request, ours), it);
    }
    let action = it.action.as_ref().filter(|_| !it.is_open)?;
    if let Some(reason) = order::of_a_rule_mistaken(set, request, it) {
        return Some(reason);
    }
    if it.what == "outputs" {
        return output_failure(ours, it, action);
    }
    let why = failure::of(engine, request, it.resource, action)?;
    failure_on_purpose(&why)
}

/// The engine has none that the PDP has not, and those that it lacks fail on purpose.
fn derived_roles(
    set: &Set,
    (request, ours): (&Json, &Json),
    it: &Difference,
) -> Option<&'static str> {
    let own = &common(ours, it.resource).derived_roles;
    if it.commons.iter().any(|other| !own.is_subset(&other.derived_roles)) {
        return None;
    }
    let theirs = it.commons.iter().flat_map(|other| &other.derived_roles);
    let mut reasons = theirs.filter(|role| !own.contains(*role)).map(|role| {
        failure_on_purpose(&failure::of_derived_role(set, request, it.resource, role)?)
    });
    let first = reasons.next()??;
    reasons.all(|reason| reason.is_some()).then_some(first)
}

fn failure_on_purpose(why: &str) -> Option<&'static str> {
    FAILURES.iter().find(|(part, _)| why.contains(part)).map(|(_, reason)| *reason)
}

/// Outputs that differ in nothing but that they fail here, on purpose.
fn output_failure(ours: &Json, it: &Difference, action: &str) -> Option<&'static str> {
    let entries = ours["results"][it.resource]["outputs"].as_array()?;
    let why = |source: &str| {
        let of = |entry: &&Json| entry["src"] == source && entry["action"] == action;
        let mut errors = entries.iter().filter(of).filter_map(|entry| entry["error"].as_str());
        errors.find_map(failure_on_purpose)
    };
    let (own, theirs) = it.sides.split_first()?;
    let others = |outputs: &[(String, Json)]| -> Vec<(String, Json)> {
        let it = outputs.iter().filter(|(source, _)| why(source).is_none());
        it.cloned().collect()
    };
    // Outputs of one rule that are equal are one: their number says nothing.
    let sources = |it: &Decision| -> BTreeSet<String> {
        it.outputs.iter().map(|(source, _)| source.clone()).collect()
    };
    let is_alike = |other: &Decision| {
        sources(other) == sources(own) && others(&other.outputs) == others(&own.outputs)
    };
    let reason = own.outputs.iter().find_map(|(source, _)| why(source))?;
    theirs.iter().all(is_alike).then_some(reason)
}

/// What the engine fails with, on purpose, where the PDP has a value.
const FAILURES: [(&str, &str); 6] = [
    ("inside of a map or list has no fields", "fields of an optional inside of a map or list"),
    ("' is refused: ", "a pattern that is refused, known only when evaluated"),
    ("cannot be shown as JSON", "an output that holds optionals"),
    ("too many values", "`format` with more values than clauses"),
    ("unsupported key type", "a key of a map that is no text, bool or integer"),
    ("index is a whole number", "an index of a list that is no whole number"),
];

/// What expressions say: the engine fails, on purpose, where the PDP has a value.
pub fn value(
    text: &str,
    error: Option<&str>,
    ours: &Decision,
    theirs: &[Decision],
) -> Option<&'static str> {
    if let Some(error) = error
        && let Some((_, reason)) = FAILURES.iter().find(|(part, _)| error.contains(part))
    {
        return Some(reason);
    }
    let is_optional = ["[?", ".?", "optional.", "optMap("].iter().any(|it| text.contains(it));
    if is_optional
        && text.contains(".matches(")
        && error.is_some_and(|error| error.contains("no such overload"))
    {
        return Some("`matches` of an optional text");
    }
    if text.contains("NaN") && error.is_some_and(|error| error.contains("no such overload")) {
        return Some("NaN compared with what is no number");
    }
    let is_own_type = ["hierarchy(", "spiffe", "trustDomain"].iter().any(|it| text.contains(it));
    if is_own_type && error.is_some_and(|error| error.contains("no such overload")) {
        return Some("a hierarchy or SPIFFE value compared with one of another type");
    }
    let is_same = theirs
        .iter()
        .all(|it| it.effect == ours.effect && unordered(&it.outputs) == unordered(&ours.outputs));
    (is_same && makes_lists(text))
        .then_some("the order of a map's entries, which is random in the PDP")
}

/// Whether lists may be made of maps, whose order is random in the PDP.
pub fn makes_lists(text: &str) -> bool {
    [".map(", ".filter(", ".transformList("].iter().any(|part| text.contains(part))
}

fn unordered(outputs: &[(String, Json)]) -> Vec<Json> {
    outputs.iter().map(|(_, value)| sorted(value)).collect()
}

fn sorted(value: &Json) -> Json {
    match value {
        Json::Array(items) => {
            let mut items: Vec<Json> = items.iter().map(sorted).collect();
            items.sort_by_key(Json::to_string);
            items.into()
        }
        Json::Object(members) => {
            members.iter().map(|(name, member)| (name.clone(), sorted(member))).collect()
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => value.clone(),
    }
}
