//! One template of a catalog file.

use std::sync::Arc;
use std::time::Duration;

use crate::config::map::Map;
use crate::config::read::{distinct, name, word, words};
use crate::config::reader::At;
use crate::domain::access::Access;
use crate::domain::template::{Approvers, JustificationRule, Pattern, Requesters, Step, Template};
use crate::iso8601;

use super::fields;
use super::rules::{self, Around};

const DAY: Duration = Duration::from_secs(86_400);
const DURATION: &str = "an ISO 8601 duration longer than zero, like PT30M, PT8H or P1D";
const STEP: &str = "a step like { approvers: { groups: [GROUP] }, required: 1 }";
/// Refused rather than ignored: whoever writes it relies on it.
pub const LATER: [&str; 1] = ["triggers"];

pub fn template(at: &At<'_>, tools: &[Arc<str>]) -> Option<Template> {
    let map = at.map("a template: a mapping with name, accesses, durations and steps")?;
    let name = map.need("name", "the template's name", name);
    let enabled = map.or("enabled", false, At::flag);
    let title = map.maybe("title", word);
    let scopes = map.or("scopes", Vec::new(), words);
    let accesses =
        map.need("accesses", "a list of at least one TOOL:ROLE", |at| accesses(at, tools));
    let durations = map.need("durations", "a list of at least one duration", durations);
    let default_duration = default_duration(&map, durations.as_deref());
    let pending_for = map.or("pending_for", DAY, duration);
    let requesters = map.or("requesters", Requesters::Anyone, requesters);
    let require_justification = map.or("require_justification", false, At::flag);
    let justification = map.maybe("justification", justification);
    let fields = map.or("fields", Vec::new(), fields::fields);
    let steps = map.need("steps", "a list of at least one step (somebody has to decide)", |at| {
        at.filled("a list of at least one step (somebody has to decide)", step)
    });
    let self_approval = map.or("self_approval", false, At::flag);
    let around = Around {
        accesses: accesses.as_deref(),
        durations: durations.as_deref(),
        pending_for,
        tools,
    };
    let rules = rules::rules(&map, &around);
    map.later(&LATER);
    map.finish();
    let name = name?;
    Some(Template {
        title: title?.unwrap_or_else(|| name.clone()),
        name,
        enabled: enabled?,
        scopes: scopes?,
        accesses: accesses?,
        durations: durations?,
        default_duration: default_duration?,
        pending_for: pending_for?,
        requesters: requesters?,
        require_justification: require_justification?,
        justification: justification?,
        fields: fields?,
        steps: steps?,
        self_approval: self_approval?,
        rules: rules?,
        made: None,
    })
}

pub(super) fn accesses(at: &At<'_>, tools: &[Arc<str>]) -> Option<Vec<Access>> {
    let expected = "a list of at least one TOOL:ROLE";
    let found = at.filled(expected, |at| {
        let access: Access =
            at.parse("TOOL:ROLE, like warehouse:operator", |text| text.parse().ok())?;
        if tools.contains(&access.tool) {
            return Some(access);
        }
        let names: Vec<&str> = tools.iter().map(|tool| &**tool).collect();
        at.refuse(format!("the name of a configured tool before the colon ({})", names.join(", ")))
    })?;
    distinct(at, "access", &found).then_some(found)
}

pub(super) fn duration(at: &At<'_>) -> Option<Duration> {
    at.parse(DURATION, |text| iso8601::parse_duration(text).ok().filter(|span| !span.is_zero()))
}

pub(super) fn durations(at: &At<'_>) -> Option<Vec<Duration>> {
    let found = at.filled("a list of at least one duration", duration)?;
    distinct(at, "duration", &found).then_some(found)
}

fn default_duration(map: &Map<'_>, durations: Option<&[Duration]>) -> Option<Duration> {
    let Some(at) = map.get("default_duration") else { return durations?.first().copied() };
    let found = duration(&at)?;
    match durations {
        Some(durations) if !durations.contains(&found) => at.refuse("one of `durations`"),
        Some(_) | None => Some(found),
    }
}

fn requesters(at: &At<'_>) -> Option<Requesters> {
    let expected = "{ groups: [GROUP] } (leave `requesters` out for everybody signed in)";
    let map = at.map(expected)?;
    let groups = map.need("groups", "a list of at least one group", words);
    map.finish();
    groups.map(Requesters::Groups)
}

fn justification(at: &At<'_>) -> Option<JustificationRule> {
    let map = at.map("{ pattern: REGEX, message: TEXT }")?;
    let pattern = map.need("pattern", "a regular expression", |at| {
        let text = at.text("a regular expression")?;
        // The library's message shows the expression over several lines; its last line says why.
        Pattern::new(&text).map_or_else(
            |error| {
                let why = error.to_string();
                let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
                at.refuse(format!("a regular expression that compiles ({why})"))
            },
            Some,
        )
    });
    let message = map.need("message", "what to tell whoever does not match it", word);
    map.finish();
    Some(JustificationRule { pattern: pattern?, message: message? })
}

fn step(at: &At<'_>) -> Option<Step> {
    let map = at.map(STEP)?;
    let approvers = map.need("approvers", "{ groups: [GROUP] } or { any: true }", approvers);
    let required = map.or("required", 1, |at| at.count(&(1..=100)));
    map.finish();
    Some(Step { approvers: approvers?, required: u32::try_from(required?).ok()? })
}

fn approvers(at: &At<'_>) -> Option<Approvers> {
    let expected = "either { groups: [GROUP] } or { any: true }";
    let map = at.map(expected)?;
    let groups = map.get("groups").map(|at| words(&at));
    let any = map.get("any").map(|at| if at.flag()? { Some(()) } else { at.refuse("true") });
    map.finish();
    match (groups, any) {
        (Some(groups), None) => groups.map(Approvers::Groups),
        (None, Some(any)) => any.map(|()| Approvers::Anyone),
        (Some(_), Some(_)) => at.refuse_as("both groups and any", expected),
        (None, None) => at.refuse_as("nobody", expected),
    }
}
