//! The part of a template that says what happens by itself, and what must not come together.

use std::sync::Arc;
use std::time::Duration;

use crate::config::map::Map;
use crate::config::read::{distinct, words};
use crate::config::reader::At;
use crate::domain::access::Access;
use crate::domain::rules::{BreakGlass, Eligible, Escalation, Extension, Notify, Rules};
use crate::iso8601;
use crate::policy::approval::ApprovalRule;

use super::template::{accesses, duration, durations};

/// Bytes of a rule.
const MOST_RULE: usize = 4096;

/// What the rest of the template says.
pub struct Around<'a> {
    pub accesses: Option<&'a [Access]>,
    pub durations: Option<&'a [Duration]>,
    pub pending_for: Option<Duration>,
    pub tools: &'a [Arc<str>],
}

pub fn rules(map: &Map<'_>, around: &Around<'_>) -> Option<Rules> {
    let auto_approve = map.maybe("auto_approve", auto_approve);
    let notify = map.or("notify", Notify::All, notify);
    let escalation = map.maybe("escalation", |at| escalation(at, around));
    let extension = map.maybe("extension", extension);
    let warn_before_end = map.maybe("warn_before_end", |at| warning(at, around));
    let break_glass = map.maybe("break_glass", break_glass);
    let conflicts_with = map.or("conflicts_with", Vec::new(), |at| conflicts(at, around));
    let eligible = map.maybe("eligible", eligible);
    Some(Rules {
        auto_approve: auto_approve?,
        notify: notify?,
        escalation: escalation?,
        extension: extension?,
        warn_before_end: warn_before_end?,
        break_glass: break_glass?,
        conflicts_with: conflicts_with?,
        also_conflicts: Vec::new(),
        eligible: eligible?,
    })
}

fn auto_approve(at: &At<'_>) -> Option<Arc<str>> {
    let expected =
        "a CEL expression over the request, like \"request.duration <= duration('30m')\"";
    let map = at.map("{ when: EXPRESSION }")?;
    let when = map.need("when", expected, |at| {
        let text = at.text(expected)?;
        if text.len() > MOST_RULE {
            return at.refuse_as(format!("{} bytes", text.len()), "at most 4096 bytes");
        }
        match ApprovalRule::compile(&text) {
            Ok(_) => Some(text),
            Err(why) => at.refuse(format!("{expected} ({why})")),
        }
    });
    map.finish();
    when.map(Into::into)
}

#[derive(Clone, Copy)]
enum Policy {
    All,
    FirstN,
    RandomN,
    RoundRobin,
}

fn notify(at: &At<'_>) -> Option<Notify> {
    let map = at.map("{ policy: all | first_n | random_n | round_robin, count: 2 }")?;
    let policy = map.need("policy", "one of all, first_n, random_n, round_robin", |at| {
        at.one_of(&[
            ("all", Policy::All),
            ("first_n", Policy::FirstN),
            ("random_n", Policy::RandomN),
            ("round_robin", Policy::RoundRobin),
        ])
    });
    let count = map.maybe("count", |at| u32::try_from(at.count(&(1..=100))?).ok());
    map.finish();
    let count = count?;
    Some(match policy? {
        Policy::All if count.is_some() => {
            return at.refuse_as("a count for the policy all", "no count, or another policy");
        }
        Policy::All => Notify::All,
        Policy::FirstN => Notify::FirstN(count.unwrap_or(1)),
        Policy::RandomN => Notify::RandomN(count.unwrap_or(1)),
        Policy::RoundRobin => Notify::RoundRobin(count.unwrap_or(1)),
    })
}

fn escalation(at: &At<'_>, around: &Around<'_>) -> Option<Escalation> {
    let map = at.map("{ after: PT15M, groups: [GROUP] }")?;
    let after = map.need("after", "a duration, like PT15M", |at| {
        let after = duration(at)?;
        match around.pending_for {
            Some(longest) if after >= longest => {
                let longest = iso8601::duration(longest);
                at.refuse(format!("a duration shorter than `pending_for` ({longest})"))
            }
            Some(_) | None => Some(after),
        }
    });
    let groups = map.need("groups", "a list of at least one group", words);
    map.finish();
    Some(Escalation { after: after?, groups: groups? })
}

fn extension(at: &At<'_>) -> Option<Extension> {
    let map = at.map("{ max: 2, steps: [PT30M] }")?;
    let max = map.need("max", "how often, 1 to 1000", |at| at.count(&(1..=1000)));
    let steps = map.need("steps", "a list of at least one duration", durations);
    map.finish();
    Some(Extension { max: u32::try_from(max?).ok()?, steps: steps? })
}

fn warning(at: &At<'_>, around: &Around<'_>) -> Option<Duration> {
    let found = duration(at)?;
    match around.durations.and_then(|all| all.iter().max()) {
        Some(longest) if found >= *longest => {
            let longest = iso8601::duration(*longest);
            at.refuse(format!("a duration shorter than the longest of `durations` ({longest})"))
        }
        Some(_) | None => Some(found),
    }
}

fn break_glass(at: &At<'_>) -> Option<BreakGlass> {
    let map = at.map("{ groups: [GROUP], duration: PT30M, review_within: P1D }")?;
    let groups = map.need("groups", "a list of at least one group", words);
    let length = map.need("duration", "a duration, like PT30M", duration);
    let review_within = map.need("review_within", "a duration, like P1D", duration);
    map.finish();
    Some(BreakGlass { groups: groups?, duration: length?, review_within: review_within? })
}

fn conflicts(at: &At<'_>, around: &Around<'_>) -> Option<Vec<Access>> {
    let found = accesses(at, around.tools)?;
    let own = around.accesses.unwrap_or_default();
    match found.iter().find(|access| own.contains(access)) {
        Some(access) => at.refuse_as(
            format!("{access}, which the template grants itself"),
            "accesses of other templates",
        ),
        None => Some(found),
    }
}

fn eligible(at: &At<'_>) -> Option<Eligible> {
    let expected = "{ groups: [GROUP], subjects: [NAME], until: TIME, approval: false }";
    let map = at.map(expected)?;
    let groups = map.or("groups", Vec::new(), words);
    let subjects = map.or("subjects", Vec::new(), |at| {
        let found = words(at)?;
        distinct(at, "subject", &found).then_some(found)
    });
    let time = "a time as in RFC 3339, like 2027-01-31T00:00:00Z";
    let until = map.maybe("until", |at| at.parse(time, |text| iso8601::parse_time(text).ok()));
    let needs_approval = map.or("approval", false, At::flag);
    map.finish();
    let (groups, subjects) = (groups?, subjects?);
    if groups.is_empty() && subjects.is_empty() {
        return at.refuse_as("nobody", "at least one group or subject");
    }
    Some(Eligible { subjects, groups, until: until?, needs_approval: needs_approval? })
}
