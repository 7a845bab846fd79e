//! Whose kill switch was thrown gets nothing without approvers for a while; and who is no longer
//! eligible when a request is approved gets nothing at all.

use super::super::super::course::Way;
use super::super::super::rules::{BreakGlass, Eligible, Extension, Rules};
use super::super::SUPERVISED_FOR;
use super::*;

fn named(name: &str, change: impl FnOnce(&mut Rules)) -> Arc<Template> {
    let mut template = (*one_step()).clone();
    template.name = name.into();
    change(&mut template.rules);
    Arc::new(template)
}

fn alice() -> Person {
    person("alice", &["engineering"])
}

fn engineers() -> Eligible {
    Eligible { groups: vec!["engineering".into()], ..Eligible::default() }
}

fn duty() -> Arc<Template> {
    named("duty", |rules| rules.eligible = Some(engineers()))
}

fn emergency() -> Arc<Template> {
    named("emergency", |rules| {
        let groups = vec!["engineering".into()];
        let (duration, review_within) = (HOUR / 2, HOUR);
        rules.break_glass = Some(BreakGlass { groups, duration, review_within });
    })
}

fn kill(until: Option<Timestamp>) -> Command {
    Command::RevokeSubject { reason: "stolen".into(), until }
}

fn asked(template: &Arc<Template>, break_glass: bool, rule_holds: bool) -> Command {
    match submission(template, &alice()) {
        Command::Submit(submit) => Command::Submit(Submit { break_glass, rule_holds, ..submit }),
        other => other,
    }
}

fn ways(world: &World) -> [Result<Way, Refused>; 3] {
    let ruled = named("ruled", |rules| rules.auto_approve = Some("true".into()));
    [asked(&duty(), false, false), asked(&ruled, false, true), asked(&emergency(), true, false)]
        .map(|command| {
            let actor = Actor::Person(alice());
            let done = apply(&world.state, &command, &actor, Seed([99; 16]), world.now)?;
            Ok(done.requests[0].course.way.clone())
        })
}

#[test]
fn after_its_kill_switch_a_subject_gets_nothing_without_approvers_for_a_day() {
    let mut world = World::new();
    assert!(ways(&world).iter().all(|way| matches!(way, Ok(way) if *way != Way::Approvers)));
    let done = world.try_do(&lead("bob"), &kill(None)).expect("killed");
    assert!(!done.is_empty() && done.events.is_empty(), "also where there was nothing to end");
    let end = START.plus(SUPERVISED_FOR);
    for now in [START, end.minus(Duration::from_millis(1))] {
        world.now = now;
        let [eligible, ruled, broken] = ways(&world);
        assert_eq!((eligible, ruled), (Ok(Way::Approvers), Ok(Way::Approvers)));
        let until = crate::domain::iso8601::time(end);
        assert_eq!(broken, Err(Refused::Supervised { subject: "alice".into(), until }));
    }
    world.now = end;
    assert!(ways(&world).iter().all(|way| matches!(way, Ok(way) if *way != Way::Approvers)));
}

#[test]
fn what_approvers_give_meanwhile_counts_and_lifts_nothing() {
    let mut world = World::new();
    world.try_do(&lead("bob"), &kill(None)).expect("killed");
    let request = world.submit(&one_step());
    world.approve(&lead("bob"), request).expect("approved");
    assert!(ways(&world)[2].is_err());
}

#[test]
fn a_time_that_is_named_holds_and_none_takes_nothing_back() {
    let mut world = World::new();
    let (long, short) = (START.plus(HOUR * 24 * 365), START.plus(HOUR));
    world.try_do(&lead("bob"), &kill(Some(long))).expect("killed");
    world.try_do(&lead("bob"), &kill(None)).expect("killed");
    assert_eq!(world.state.supervised_until, Some(long));
    world.try_do(&lead("bob"), &kill(Some(short))).expect("killed");
    assert_eq!(world.state.supervised_until, Some(short));
    for past in [START, START.minus(HOUR)] {
        let refused = world.try_do(&lead("bob"), &kill(Some(past))).err();
        assert!(
            matches!(refused, Some(Refused::Invalid(1, errors)) if errors[0].pointer == "/until")
        );
    }
    assert_eq!(world.state.supervised_until, Some(short));
}

fn approve(request: RequestId, eligible: Option<Eligible>) -> Command {
    let bounds = Bounds::default();
    Command::Approve { request, step: None, comment: None, bounds, eligible }
}

/// By approvers, for those who are eligible.
fn decided(until: Option<Timestamp>) -> Arc<Template> {
    named("decided", |rules| {
        rules.eligible = Some(Eligible { needs_approval: true, until, ..engineers() });
        rules.extension = Some(Extension { max: 1, steps: vec![HOUR] });
    })
}

#[test]
fn an_eligibility_is_asked_again_when_it_is_approved() {
    let mut world = World::new();
    let mut template = (*decided(None)).clone();
    template.requesters = Requesters::Anyone;
    let request = world.submit(&Arc::new(template));
    let gone = Eligible { groups: vec!["others".into()], ..Eligible::default() };
    let over = Eligible { until: Some(START), ..engineers() };
    let not_eligible =
        Some(Refused::NotEligible { subject: "alice".into(), template: "decided".into() });
    for now in [None, Some(gone), Some(over)] {
        let refused = world.try_do(&lead("bob"), &approve(request, now)).err();
        assert_eq!(refused, not_eligible);
    }
    world.try_do(&lead("bob"), &approve(request, Some(engineers()))).expect("approved");
}

#[test]
fn what_is_approved_for_an_eligibility_ends_with_it_and_not_at_all_after_it() {
    let until = START.plus(HOUR / 2);
    let closed = |until| {
        let mut template = (*decided(Some(until))).clone();
        template.requesters = Requesters::Anyone;
        Arc::new(template)
    };
    let mut world = World::new();
    let request = world.submit(&closed(until));
    let done = world.try_do(&lead("bob"), &approve(request, Some(engineers()))).expect("approved");
    assert_eq!((done.grants[0].expires_at, &done.grants[0].terms.extension), (until, &None));

    let mut world = World::new();
    let request = world.submit(&closed(until));
    world.now = until;
    let late = world.try_do(&lead("bob"), &approve(request, Some(engineers()))).err();
    assert!(matches!(late, Some(Refused::NotEligible { .. })), "{late:?}");
}

#[test]
fn who_may_ask_without_an_eligibility_does_not_hang_on_it() {
    let mut world = World::new();
    // Engineers may ask, whoever is eligible.
    let request = world.submit(&decided(Some(START.plus(HOUR / 2))));
    let done = world.try_do(&lead("bob"), &approve(request, None)).expect("approved");
    assert_eq!(done.grants[0].expires_at, START.plus(HOUR));
    assert!(done.grants[0].terms.extension.is_some());
}
