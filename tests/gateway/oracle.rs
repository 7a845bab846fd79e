//! The master rule: each request a tool saw has exactly one ALLOW record, earlier by its own time
//! stamp, with the same method, host, target, subject and grants; and nothing else reached it.

use std::collections::BTreeMap;
use std::path::Path;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::harness::client::Answer;
use crate::harness::oracle::each_allowed;

use super::conversation::{Conversation, NUMBERS, Told};
use super::draft::{After, Forwarded, hidden_mark};
use super::families::Case;
use super::recorder::Seen;
use super::scene::Who;

/// An ALLOW record.
#[derive(Clone, Debug)]
struct Record {
    at_millis: u64,
    says: [String; 5],
    tool: String,
    taken: bool,
}

/// What was found, for people.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub seen: usize,
    /// Allowed, but the request broke off before anything of it was sent.
    pub unsent: usize,
    pub allowed: usize,
}

pub struct Cases<'a>(BTreeMap<usize, &'a Case>);

impl<'a> Cases<'a> {
    pub fn of(conversations: &'a [Conversation]) -> Self {
        let all = conversations.iter().flat_map(|conversation| &conversation.cases);
        Self(all.map(|case| (case.number, case)).collect())
    }

    pub fn in_order(cases: &'a [Case]) -> Self {
        Self(cases.iter().map(|case| (case.number, case)).collect())
    }

    fn marked(&self, text: &str) -> Option<&'a Case> {
        marks(text, 'c').first().and_then(|number| self.0.get(number).copied())
    }
}

/// The numbers of all requests that a text names.
pub fn marked(text: &str) -> Vec<usize> {
    [marks(text, 'c'), marks(text, 's')].concat()
}

/// The numbers of all marks in a text.
fn marks(text: &str, kind: char) -> Vec<usize> {
    let after = text.split(kind).skip(1);
    let number = |rest: &str| rest.get(..9)?.strip_suffix('z')?.parse().ok();
    after.filter_map(number).collect()
}

/// Holds the records of `tool` against what it saw.
pub fn hold(cases: &Cases<'_>, tool: Option<&str>, seen: &[Seen], audit: &Path) -> Tally {
    let mut records = records(tool, audit);
    let allowed = records.values().map(Vec::len).sum();
    let found = seen.iter().map(|request| {
        take_record(&mut records, request).and_then(|()| check_seen(cases, request))
    });
    all_hold(found.collect());
    let unsent: Vec<&Record> = records.values().flatten().filter(|record| !record.taken).collect();
    all_hold(unsent.iter().map(|record| may_be_unsent(cases, record)).collect());
    Tally { seen: seen.len(), unsent: unsent.len(), allowed }
}

/// Tells the first few of what does not hold.
pub fn all_hold(found: Vec<Result<(), String>>) {
    let wrong: Vec<String> = found.into_iter().filter_map(Result::err).collect();
    let shown: Vec<&str> = wrong.iter().take(10).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} do not hold:\n{}", wrong.len(), shown.join("\n\n"));
}

fn that(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

type Records = BTreeMap<String, Vec<Record>>;

fn take_record(records: &mut Records, seen: &Seen) -> Result<(), String> {
    let says = said(seen);
    // A server that refuses a head may not have read all of it.
    let cut = seen.at_millis.is_none() && seen.one("traceparent").is_none();
    let found = if cut {
        let same = |record: &&mut Record| !record.taken && record.says[..3] == says[..3];
        records.values_mut().flatten().find(same)
    } else {
        let of_trace = records.get_mut(&trace_of(seen)).map(Vec::as_mut_slice).unwrap_or_default();
        of_trace.iter_mut().find(|record| !record.taken && record.says == says)
    };
    let Some(record) = found else {
        return Err(format!("seen without an ALLOW record that says the same: {seen:?}"));
    };
    record.taken = true;
    let earlier = seen.at_millis.is_none_or(|at| record.at_millis <= at);
    that(earlier, || format!("seen before its record of {}: {seen:?}", record.at_millis))
}

/// Only a request that broke off is allowed without being seen.
fn may_be_unsent(cases: &Cases<'_>, record: &Record) -> Result<(), String> {
    let case = cases.marked(&record.says[2]);
    let broke = case.is_some_and(|case| case.fate.forwarded == Forwarded::Broken);
    that(broke, || format!("allowed and never seen: {record:?}\n{}", shown(case)))
}

fn records(tool: Option<&str>, audit: &Path) -> Records {
    let mut records = Records::new();
    each_allowed(audit, |event| {
        let (data, time) = (&event["data"], event["time"].as_str().expect("a time"));
        let at_millis = tidegate::iso8601::parse_time(time).expect("a time").millis();
        let tool = data["tool"].as_str().unwrap_or_default().to_owned();
        let record = Record { at_millis, says: told(data), tool, taken: false };
        let trace = data["trace"].as_str().unwrap_or_default().to_owned();
        records.entry(trace).or_default().push(record);
    });
    for of_trace in records.values_mut() {
        of_trace.retain(|record| tool.is_none_or(|tool| record.tool == tool));
    }
    records
}

/// Method, host, path, subject and grants of a record.
fn told(data: &Value) -> [String; 5] {
    let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
    let path = data["upstream_path"].as_str().map_or_else(|| text("target"), ToOwned::to_owned);
    let grants = data["grants"].as_array().cloned().unwrap_or_default();
    let grants: Vec<&str> = grants.iter().filter_map(Value::as_str).collect();
    [text("method"), text("host"), path, text("subject"), grants.join(",")]
}

/// The same of what a tool saw.
fn said(seen: &Seen) -> [String; 5] {
    let host = seen.one("host").unwrap_or_default().to_ascii_lowercase();
    let host = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
    let path = seen.target.split('?').next().unwrap_or_default();
    let subject = seen.one("tidegate-subject").unwrap_or_default();
    let subject = percent_decode_str(subject).decode_utf8().expect("UTF-8");
    let grants = seen.one("tidegate-grants").unwrap_or_default();
    [seen.method.clone(), host.to_owned(), path.to_owned(), subject.into_owned(), grants.to_owned()]
}

fn trace_of(seen: &Seen) -> String {
    let parent = seen.one("traceparent").unwrap_or_default();
    parent.split('-').nth(1).unwrap_or("none").to_owned()
}

/// Nothing of what the client had no right to say arrives.
fn check_seen(cases: &Cases<'_>, seen: &Seen) -> Result<(), String> {
    const OURS: [&str; 4] =
        ["tidegate-subject", "tidegate-email", "tidegate-groups", "tidegate-grants"];
    const GONE: [&str; 8] = [
        "connection",
        "keep-alive",
        "upgrade",
        "http2-settings",
        "te",
        "trailer",
        "expect",
        "proxy-connection",
    ];
    // The one upgrade that passes, in its one valid form.
    let handshake = seen.method == "GET"
        && seen.one("upgrade") == Some("websocket")
        && seen.one("connection") == Some("Upgrade")
        && seen.one("sec-websocket-version") == Some("13")
        && seen.one("sec-websocket-key").is_some();
    for (name, value) in &seen.fields {
        let folded = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let ours = !folded.starts_with("tidegate-") || OURS.contains(&name.as_str());
        let token = name == "authorization" && value.to_ascii_lowercase().starts_with("bearer");
        let asks = handshake && matches!(name.as_str(), "connection" | "upgrade");
        let gone = !GONE.contains(&name.as_str()) || asks;
        let clean = ours && !token && gone && !value.contains("forged");
        that(clean, || format!("{name} was let through: {seen:?}"))?;
    }
    let hidden = !marks(&seen.target, 's').is_empty();
    that(!hidden, || format!("what was hidden is a request: {seen:?}"))?;
    let Some(case) = seen.one("x-request-id").and_then(|id| cases.marked(id)) else {
        return Ok(());
    };
    let about = |what: &str| format!("{what}: {seen:?}\n{}", shown(Some(case)));
    that(case.fate.forwarded != Forwarded::Never, || about("not to be seen"))?;
    if !case.is_exact() {
        return Ok(());
    }
    let as_sent = seen.method.as_bytes() == case.method
        && case.target.as_ref().is_some_and(|target| *target == seen.target.as_bytes());
    that(as_sent, || about("not as it was sent"))?;
    let same = !seen.whole || seen.body == case.content;
    that(same, || about("another body than was sent"))
}

/// Holds what one client was told against what it sent. Gives how many good requests were late.
/// `says`: the tool answers 200 and tells whom (see [`addressee`](super::recorder::addressee)).
pub fn hold_told(conversation: &Conversation, told: &Told, says: bool) -> Result<usize, String> {
    let about = |what: &str| format!("{what}: {}\n{}", describe(conversation), told.shown());
    that(told.in_time, || about("the connection was left open"))?;
    for answer in &told.answers {
        let text = format!("{:?} {}", answer.headers, answer.text());
        let all = marks(&text, 'c').into_iter().chain(marks(&text, 's'));
        let own = all.map(|number| number / NUMBERS).all(|index| index == conversation.index);
        that(own, || about("somebody else's"))?;
    }
    let (mut late, mut in_step, mut over) = (0, true, false);
    for case in &conversation.cases {
        let answer = answer_to(told, case);
        let wrong = |what: &str| format!("{what}: {}\n{}", shown(Some(case)), about("in"));
        that(!over || answer.is_none(), || wrong("answered after the end"))?;
        let must = in_step && case.fate.forwarded == Forwarded::Must;
        let never = case.fate.forwarded == Forwarded::Never;
        let answered = answer.filter(|answer| !is_refusal(answer));
        let slow = || told.was_slow() || was_not_drained(conversation, told);
        that(!must || answered.is_some() || slow(), || wrong("refused"))?;
        that(!never || answered.is_none(), || wrong("not refused"))?;
        late += usize::from(must && answered.is_none());
        let addressed = !says || answered.is_none_or(|answer| is_addressed(case, answer));
        that(addressed, || wrong("answered for somebody else"))?;
        // Other tools may answer before they have read a body; that ends the connection.
        in_step &= case.fate.after == After::GoesOn && (says || case.content.is_empty());
        over |= case.fate.after == After::Ends;
    }
    Ok(late)
}

/// The answer that bears the id of a request.
fn answer_to<'a>(told: &'a Told, case: &Case) -> Option<&'a Answer> {
    let mark = super::draft::mark(case.number);
    told.answers.iter().find(|answer| answer.header("x-request-id") == Some(mark.as_str()))
}

/// The gateway's own answer.
fn is_refusal(answer: &Answer) -> bool {
    answer.header("content-type") == Some("application/problem+json")
}

/// The last answer refused a request whose body did not come within 250 ms, so that the connection
/// ended: a machine that is busy makes that happen.
fn was_not_drained(conversation: &Conversation, told: &Told) -> bool {
    let Some(last) = told.answers.last() else { return false };
    let id = last.header("x-request-id").unwrap_or_default();
    let case = conversation.cases.iter().find(|case| super::draft::mark(case.number) == id);
    let with_body = case.is_some_and(|case| !case.content.is_empty());
    with_body && is_refusal(last) && last.header("connection") == Some("close")
}

/// Whatever an answer says, and wherever, it is about this request and this person.
pub fn only_its_own(case: &Case, answer: &Answer) -> Result<(), String> {
    let text = format!("{:?} {}", answer.headers, answer.text());
    let own = marks(&text, 'c').iter().all(|number| *number == case.number);
    let others = Who::ALL.into_iter().filter(|who| *who != case.who && *who != Who::Nobody);
    let names = others.map(|who| format!("z {}", &who.subject()[..4]));
    let strange = names.into_iter().any(|name| text.contains(&name));
    that(own && !strange, || format!("{}\n{text}", shown(Some(case))))
}

/// The tool's answer names this request and this person, in its head and in its body.
fn is_addressed(case: &Case, answer: &Answer) -> bool {
    let to = answer.header("x-to").unwrap_or_default();
    answer.status == 200 && is_to(case, to) && answer.text() == to
}

/// The [`addressee`](super::recorder::addressee) is this request and this person.
pub fn is_to(case: &Case, to: &str) -> bool {
    let (id, subject) = to.split_once(' ').unwrap_or((to, ""));
    let subject = percent_decode_str(subject).decode_utf8_lossy();
    let own = subject == "-" || subject == case.who.subject();
    own && marks(id, 'c') == [case.number]
}

/// Without the signature of its token, and not longer than one can read.
pub fn shown(case: Option<&Case>) -> String {
    let Some(case) = case else { return "of no request that was sent".to_owned() };
    let bytes: String = case.bytes.escape_ascii().map(char::from).collect();
    let words = bytes.split(' ').map(|word| if word.starts_with("eyJ") { "TOKEN" } else { word });
    let bytes: String = words.collect::<Vec<_>>().join(" ").chars().take(1000).collect();
    format!("{} ({:?}, {:?}): {bytes}", case.family, case.fate, case.who)
}

fn describe(conversation: &Conversation) -> String {
    let case = |case: &Case| format!("\n  {}", shown(Some(case)));
    let cases: String = conversation.cases.iter().map(case).collect();
    format!("conversation {}:{cases}", conversation.index)
}

/// The mark that [`Draft::hidden`](super::draft::Draft::hidden) writes is the one that is looked for.
#[test]
fn marks_are_found_in_what_was_written() {
    assert_eq!(marks(&format!("/x/{}?y", hidden_mark(42)), 's'), [42]);
    assert_eq!(marks(&format!("c{}c1c", super::draft::mark(7)), 'c'), [7]);
}
