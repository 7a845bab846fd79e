//! Random histories of the whole life cycle, against a [`reference`] and on both stores: two gateways,
//! restarts, and a clock in hand. After every command what the gateway reads and what the API shows is
//! what the reference says.
//!
//! `TIDEGATE_MODEL_STEPS` says how many commands (in all, on each store).

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::super::execute::Named;
use super::harness;
use crate::clock::Clock;
use crate::domain::apply::{grant_status, request_status};
use crate::domain::command::{Authority, Command, Submit};
use crate::domain::event::{EventKind, Resource};
use crate::domain::markers::KillTarget;
use crate::domain::request::Bounds;
use crate::domain::rules::{BreakGlass, Eligible, Escalation, Extension, Rules};
use crate::domain::subject::Person;
use crate::domain::template::{Catalog, Template};
use crate::store::StoredEvent;
use crate::store::contract::World;

mod real;
mod reference;

use real::{Real, subject};
use reference::{Asked, DECIDERS, Given, HOLDERS, HOUR, NOTES, Reference, TEMPLATES};

/// Of one history.
const MOST_STEPS: usize = 50;
const BREAK_GLASS: Duration = Duration::from_mins(30);
const REVIEW_WITHIN: Duration = Duration::from_hours(4);
const EXTENSIONS: usize = 2;

#[derive(Clone, Copy, Debug)]
enum Op {
    Submit { who: usize, what: usize },
    BreakGlass { who: usize, what: usize },
    Approve { nth: usize, by: usize },
    Deny { nth: usize, by: usize },
    Cancel { nth: usize },
    Review { nth: usize, by: usize },
    Extend { nth: usize },
    Revoke { nth: usize },
    Release { nth: usize },
    RevokeSubject { who: usize },
    Kill { what: usize, by_template: bool },
    Pass { minutes: u64 },
    Timers,
    Sweep,
    Switch,
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let (who, nth, by) = (0..HOLDERS.len(), 0..5_usize, 0..DECIDERS.len());
    let what = prop_oneof![3 => Just(NOTES), 2 => 0..TEMPLATES.len()];
    let minutes = prop_oneof![Just(1), Just(20), Just(30), Just(59), Just(60), Just(24 * 60)];
    let asked = (who.clone(), what.clone());
    let decided = (nth.clone(), by);
    prop_oneof![
        8 => asked.clone().prop_map(|(who, what)| Op::Submit { who, what }),
        2 => asked.prop_map(|(who, what)| Op::BreakGlass { who, what }),
        12 => decided.clone().prop_map(|(nth, by)| Op::Approve { nth, by }),
        1 => decided.clone().prop_map(|(nth, by)| Op::Deny { nth, by }),
        1 => nth.clone().prop_map(|nth| Op::Cancel { nth }),
        2 => decided.prop_map(|(nth, by)| Op::Review { nth, by }),
        3 => nth.clone().prop_map(|nth| Op::Extend { nth }),
        1 => nth.clone().prop_map(|nth| Op::Revoke { nth }),
        1 => nth.prop_map(|nth| Op::Release { nth }),
        1 => who.prop_map(|who| Op::RevokeSubject { who }),
        1 => (what, any::<bool>()).prop_map(|(what, by_template)| Op::Kill { what, by_template }),
        4 => minutes.prop_map(|minutes| Op::Pass { minutes }),
        3 => Just(Op::Timers),
        1 => Just(Op::Sweep),
        2 => Just(Op::Switch),
        1 => Just(Op::Restart),
    ]
}

fn catalog() -> Catalog {
    let leads = |required| harness::step(&["on-call-leads"], required);
    let with = |name: &str, required: usize, rules: Rules| {
        let required = u32::try_from(required.max(1)).expect("a count");
        let template = harness::template(name, vec![leads(required)]);
        Template { require_justification: false, rules, ..template }
    };
    let rules = |name: &str| match name {
        "notes" => Rules {
            escalation: Some(Escalation { after: HOUR, groups: vec!["managers".into()] }),
            extension: Some(Extension { max: 2, steps: vec![HOUR / 2] }),
            warn_before_end: Some(HOUR / 6),
            break_glass: Some(BreakGlass {
                groups: vec!["engineering".into()],
                duration: BREAK_GLASS,
                review_within: REVIEW_WITHIN,
            }),
            ..Rules::default()
        },
        "audit" => Rules {
            conflicts_with: vec!["notes:operator".parse().expect("an access")],
            ..Rules::default()
        },
        "duty" => Rules {
            eligible: Some(Eligible { groups: vec!["engineering".into()], ..Eligible::default() }),
            ..Rules::default()
        },
        _ => Rules::default(),
    };
    let all = TEMPLATES.iter().map(|(name, required)| with(name, *required, rules(name)));
    Catalog {
        templates: all.map(|it| (it.name.clone(), it.into())).collect(),
        ..Catalog::default()
    }
}

fn person(name: &str) -> Person {
    let group = match name {
        "bob" | "ben" => "on-call-leads",
        "max" => "managers",
        _ => "engineering",
    };
    Person { groups: vec![group.into()], ..Person::named(subject(name)) }
}

/// The `nth` from the end, so that most of what happens happens to what is recent.
fn recent<T>(items: &mut [T], nth: usize) -> Option<&mut T> {
    let back = items.len().checked_sub(1)?;
    items.get_mut(back - nth.min(back))
}

async fn submit<W: World>(
    real: &Real<W>,
    reference: &mut Reference,
    (who, what): (usize, usize),
    break_glass: bool,
) {
    let template = real.api().catalog.load().templates[TEMPLATES[what].0].clone();
    let submit = Submit {
        template,
        requester: person(HOLDERS[who]),
        duration: (!break_glass).then_some(HOUR),
        justification: "INC-1".to_owned(),
        fields: std::collections::BTreeMap::new(),
        break_glass,
        rule_holds: false,
        people: std::sync::Arc::default(),
    };
    let command = Command::Submit(submit);
    let done = real.run(who, person(HOLDERS[who]), Named::Nothing, command).await;
    let may = if break_glass {
        reference.may_break_glass(who, what)
    } else {
        reference.may_ask(who, what)
    };
    assert_eq!(done.is_some(), may, "{who} {what} {break_glass}");
    let Some((ids, grants)) = done else { return };
    let now = real.clock.now();
    let at_once = break_glass || (TEMPLATES[what].1 == 0 && !reference.is_supervised(who));
    let mut asked = Asked::new(ids[0], who, what, now);
    assert_eq!(grants.len(), usize::from(at_once));
    if let Some(&id) = grants.first() {
        asked.status = "approved";
        asked.debt = break_glass.then(|| now.plus(REVIEW_WITHIN));
        let lasts = if break_glass { BREAK_GLASS } else { HOUR };
        let may_be_extended = what == NOTES && !break_glass;
        let (until, extended, status) = (now.plus(lasts), 0, "active");
        reference.given.push(Given { id, who, what, until, extended, may_be_extended, status });
    }
    reference.asked.push(asked);
}

async fn approve<W: World>(real: &Real<W>, reference: &mut Reference, nth: usize, by: usize) {
    let now = real.clock.now();
    let Some(asked) = recent(&mut reference.asked, nth) else { return };
    let (request, bounds, who, what) = (asked.id, Bounds::default(), asked.who, asked.what);
    // Everybody stays who they are.
    let eligible = real.api().catalog.load().templates[TEMPLATES[what].0].rules.eligible.clone();
    let command = Command::Approve { request, step: None, comment: None, bounds, eligible };
    let done = real.run(who, person(DECIDERS[by]), Named::Request(request), command).await;
    let is_last = asked.approvals.len() + 1 >= TEMPLATES[what].1;
    let counts = asked.may_be_decided(by) && !asked.approvals.contains(&by);
    let may = counts && !(is_last && reference.conflicts(who, what));
    assert_eq!(done.is_some(), may, "{what} {by}");
    let Some((_, grants)) = done else { return };
    let asked = recent(&mut reference.asked, nth).expect("it is there");
    asked.approvals.insert(by);
    assert_eq!(grants.len(), usize::from(is_last));
    let Some(&id) = grants.first() else { return };
    asked.status = "approved";
    let (until, extended, status) = (now.plus(HOUR), 0, "active");
    let may_be_extended = what == NOTES;
    reference.given.push(Given { id, who, what, until, extended, may_be_extended, status });
}

async fn deny<W: World>(real: &Real<W>, reference: &mut Reference, nth: usize, by: usize) {
    let Some(asked) = recent(&mut reference.asked, nth) else { return };
    let command = Command::Deny { request: asked.id, step: None, reason: String::new() };
    let by_whom = person(DECIDERS[by]);
    let done = real.run(asked.who, by_whom, Named::Request(asked.id), command).await;
    assert_eq!(done.is_some(), asked.may_be_decided(by));
    if done.is_some() {
        asked.status = "denied";
    }
}

async fn extend<W: World>(real: &Real<W>, given: &mut Given) {
    let (grant, by) = (given.id, HOUR / 2);
    let command = Command::Extend { grant, by, justification: "longer".to_owned() };
    let by = person(HOLDERS[given.who]);
    let done = real.run(given.who, by, Named::Grant(grant), command).await;
    let may = given.status == "active" && given.may_be_extended && given.extended < EXTENSIONS;
    assert_eq!(done.is_some(), may);
    if done.is_some() {
        given.extended += 1;
        given.until = given.until.plus(HOUR / 2);
    }
}

async fn review<W: World>(real: &Real<W>, asked: &mut Asked, by: usize) {
    let command = Command::Review {
        request: asked.id,
        comment: String::new(),
        authority: Authority::Approver,
    };
    let done = real.run(asked.who, person(DECIDERS[by]), Named::Request(asked.id), command).await;
    assert_eq!(done.is_some(), asked.owes() && by < 3);
    asked.reviewed |= done.is_some();
}

/// Does it to both; they have to agree on whether it is refused.
async fn step<W: World>(real: &mut Real<W>, reference: &mut Reference, op: Op) {
    let text = String::new;
    match op {
        Op::Submit { who, what } => submit(real, reference, (who, what), false).await,
        Op::BreakGlass { who, what } => submit(real, reference, (who, what), true).await,
        Op::Approve { nth, by } => approve(real, reference, nth, by).await,
        Op::Deny { nth, by } => deny(real, reference, nth, by).await,
        Op::Cancel { nth } => {
            let Some(asked) = recent(&mut reference.asked, nth) else { return };
            let command = Command::Cancel { request: asked.id, reason: text() };
            let by = person(HOLDERS[asked.who]);
            let done = real.run(asked.who, by, Named::Request(asked.id), command).await;
            agree(&mut asked.status, "pending", "cancelled", done.is_some());
        }
        Op::Review { nth, by } => {
            let owed = reference.asked.iter_mut().filter(|asked| asked.debt.is_some());
            let mut owed: Vec<&mut Asked> = owed.collect();
            if let Some(asked) = recent(&mut owed, nth) {
                review(real, asked, by).await;
            }
        }
        Op::Extend { nth } => {
            if let Some(given) = recent(&mut reference.given, nth) {
                extend(real, given).await;
            }
        }
        Op::Revoke { nth } => {
            let Some(given) = recent(&mut reference.given, nth) else { return };
            let (grant, authority) = (given.id, Authority::Approver);
            let command = Command::Revoke { grant, reason: text(), authority };
            let done = real.run(given.who, person("bob"), Named::Grant(grant), command).await;
            agree(&mut given.status, "active", "revoked", done.is_some());
        }
        Op::Release { nth } => {
            let Some(given) = recent(&mut reference.given, nth) else { return };
            let command = Command::Release { grant: given.id, reason: text() };
            let by = person(HOLDERS[given.who]);
            let done = real.run(given.who, by, Named::Grant(given.id), command).await;
            agree(&mut given.status, "active", "released", done.is_some());
        }
        Op::RevokeSubject { who } => {
            let command = Command::RevokeSubject { reason: text(), until: None };
            assert!(real.run(who, person("bob"), Named::Nothing, command).await.is_some());
            reference.end(|whose, _| whose == who);
            reference.supervised[who] = Some(real.clock.now().plus(HOUR * 24));
        }
        Op::Kill { what, by_template } => {
            // A second kill of a target takes the place of the first, so that one is swept before.
            if !reference.killed.insert((what, by_template)) {
                real.sweep().await;
            }
            let name = TEMPLATES[what].0.into();
            let target =
                if by_template { KillTarget::Template(name) } else { KillTarget::Tool(name) };
            real.kill(target).await;
            reference.end(|_, hit| hit == what);
        }
        Op::Pass { minutes } => {
            real.clock.advance(Duration::from_secs(minutes * 60));
            reference.pass(real.clock.now());
        }
        Op::Timers => {
            real.timers().await;
            reference.timers(real.clock.now());
        }
        Op::Sweep => real.sweep().await,
        Op::Switch => real.switch(),
        Op::Restart => real.restart().await,
    }
}

/// It is done exactly when it was `before`, and is `after` then.
fn agree(status: &mut &'static str, before: &str, after: &'static str, done: bool) {
    assert_eq!(done, *status == before, "{status}");
    if done {
        *status = after;
    }
}

/// What the gateway and the API say is what the reference says, whoever has swept what.
async fn compare<W: World>(real: &Real<W>, reference: &Reference) {
    let (store, now) = (&real.api().store, real.clock.now());
    for who in 0..HOLDERS.len() {
        for what in 0..TEMPLATES.len() {
            assert_eq!(real.live(who, what).await, reference.live(who, what));
        }
    }
    for asked in &reference.asked {
        let markers = store.markers(asked.id.partition).await.expect("markers");
        let request = store.request(asked.id).await.expect("it reads").expect("it is there");
        assert_eq!(request_status(&request, &markers, now), asked.status);
        assert_eq!(request.course.owed().is_some(), asked.owes());
        assert_eq!(request.course.escalated_at.is_some(), asked.escalated);
    }
    for given in &reference.given {
        let markers = store.markers(given.id.partition).await.expect("markers");
        let grant = store.grant(given.id).await.expect("it reads").expect("it is there");
        assert_eq!(grant_status(&grant, &markers, now).word(), given.status);
        assert_eq!(grant.expires_at, given.until);
    }
}

/// When timers and sweeper are through, the records say it too, and everything was told once.
async fn compare_records<W: World>(real: &mut Real<W>, reference: &mut Reference) {
    real.timers().await;
    reference.timers(real.clock.now());
    real.sweep().await;
    compare(real, reference).await;
    let events = real.events().await;
    let count = |resource: &Resource, kind| times(&events, resource, kind);
    for asked in &reference.asked {
        let of = Resource::Request(asked.id);
        let of = &of;
        assert_eq!(ends(&events, of), end_of(asked.status, "pending"));
        assert_eq!(count(of, EventKind::RequestEscalated), usize::from(asked.escalated));
        assert_eq!(count(of, EventKind::BreakglassUsed), usize::from(asked.debt.is_some()));
        assert_eq!(count(of, EventKind::BreakglassReviewed), usize::from(asked.reviewed));
        assert_eq!(count(of, EventKind::BreakglassOverdue), usize::from(asked.overdue));
    }
    for given in &reference.given {
        let of = Resource::Grant(given.id);
        let of = &of;
        assert_eq!(ends(&events, of), end_of(given.status, "active"));
        assert_eq!(count(of, EventKind::GrantExtended), given.extended);
        assert!(count(of, EventKind::GrantExpiring) <= given.extended + 1);
    }
}

fn times(events: &[StoredEvent], of: &Resource, kind: EventKind) -> usize {
    let is_it = |stored: &&StoredEvent| stored.event.resource == *of && stored.event.kind == kind;
    events.iter().filter(is_it).count()
}

fn ends(events: &[StoredEvent], of: &Resource) -> Vec<&'static str> {
    let of = events.iter().filter(|stored| stored.event.resource == *of);
    of.filter_map(|stored| end_word(stored.event.kind)).collect()
}

fn end_of(status: &'static str, open: &str) -> Vec<&'static str> {
    Vec::from_iter((status != open).then_some(status))
}

fn end_word(kind: EventKind) -> Option<&'static str> {
    match kind {
        EventKind::RequestApproved => Some("approved"),
        EventKind::RequestDenied => Some("denied"),
        EventKind::RequestCancelled => Some("cancelled"),
        EventKind::RequestExpired | EventKind::GrantExpired => Some("expired"),
        EventKind::GrantRevoked => Some("revoked"),
        EventKind::GrantReleased => Some("released"),
        EventKind::RequestSubmitted
        | EventKind::RequestCommented
        | EventKind::RequestStepApproved
        | EventKind::RequestEscalated
        | EventKind::GrantActivated
        | EventKind::GrantExtended
        | EventKind::GrantExpiring
        | EventKind::BreakglassUsed
        | EventKind::BreakglassReviewed
        | EventKind::BreakglassOverdue
        | EventKind::TemplateChanged => None,
    }
}

/// On one store, as many histories as it takes.
fn agree_on<W: World>(usual_steps: usize) {
    let asked = std::env::var("TIDEGATE_MODEL_STEPS").ok().and_then(|text| text.parse().ok());
    let cases = (asked.unwrap_or(usual_steps) * 2).div_ceil(MOST_STEPS);
    let config = ProptestConfig {
        cases: u32::try_from(cases).expect("a count"),
        failure_persistence: None,
        max_shrink_time: 60_000,
        ..ProptestConfig::default()
    };
    let histories = proptest::collection::vec(op(), 1..MOST_STEPS);
    let run = TestRunner::new(config).run(&histories, |ops| {
        history::<W>(ops);
        Ok(())
    });
    run.expect("the store agrees with the reference");
}

fn history<W: World>(ops: Vec<Op>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(tokio::task::LocalSet::new().run_until(async {
        let (mut real, mut reference) = (Real::<W>::new(catalog()).await, Reference::default());
        for op in ops {
            step(&mut real, &mut reference, op).await;
            compare(&real, &reference).await;
        }
        compare_records(&mut real, &mut reference).await;
    }));
}

#[test]
fn the_embedded_store_agrees_with_the_model_of_the_life_cycle() {
    agree_on::<crate::store::embedded::tests::EmbeddedWorld>(1_000);
}

#[test]
fn a_real_redis_agrees_with_the_model_of_the_life_cycle() {
    agree_on::<crate::store::redis::tests::world::StandaloneWorld>(1_000);
}
