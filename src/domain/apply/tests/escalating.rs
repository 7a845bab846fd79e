//! When nobody has decided: others may as well.

use super::super::super::rules::{Escalation, Rules};
use super::*;

const AFTER: Duration = Duration::from_secs(900);

fn template(steps: Vec<Step>) -> Template {
    let escalation = Some(Escalation { after: AFTER, groups: vec!["managers".into()] });
    let rules = Rules { escalation, ..Rules::default() };
    Template { rules, ..(*super::template(steps)).clone() }
}

fn world() -> (World, RequestId) {
    let mut world = World::new();
    let steps = vec![step(&["leads"], 1), step(&["security"], 1)];
    let request = world.submit(&Arc::new(template(steps)));
    (world, request)
}

fn escalate(world: &mut World, request: RequestId) -> Result<Transition, Refused> {
    world.run(&Actor::System, &Command::Escalate { request })
}

fn manager() -> Person {
    person("maria", &["managers"])
}

#[test]
fn a_request_that_nobody_decided_is_escalated_once() {
    let (mut world, request) = world();
    world.now = START.plus(AFTER).minus(Duration::from_millis(1));
    assert_eq!(escalate(&mut world, request).err(), Some(Refused::NothingDue));
    let refused = world.approve(&manager(), request).err();
    assert_eq!(refused, Some(Refused::NotAnApprover { step: 1, groups: "leads".into() }));
    let at = START.plus(AFTER);
    assert_eq!(due_at(&world.state, Timer::Escalate(request), world.now), Some(at));
    world.now = at;
    let done = escalate(&mut world, request).expect("escalated");
    let after = &done.requests[0];
    assert_eq!((after.course.escalated_at, after.revision), (Some(at), 2));
    assert!(after.is_pending());
    let event = &done.events[0];
    assert_eq!((event.kind, &event.actor), (EventKind::RequestEscalated, &Actor::System));
    let reason = "not decided within PT15M: managers may decide as well";
    assert_eq!(event.reason.as_deref(), Some(reason));
    assert_eq!(done.timers, [TimerChange::Remove { timer: Timer::Escalate(request) }]);
    // Another process had read the timer before.
    assert_eq!(escalate(&mut world, request).err(), Some(Refused::NothingDue));
    assert_eq!(due_at(&world.state, Timer::Escalate(request), world.now), None);
}

#[test]
fn whoever_it_was_escalated_to_decides_beside_the_approvers_and_may_revoke() {
    let (mut world, request) = world();
    world.now = START.plus(AFTER);
    escalate(&mut world, request).expect("escalated");
    let stranger = world.approve(&person("eve", &["sales"]), request).err();
    let groups = "leads, managers".into();
    assert_eq!(stranger, Some(Refused::NotAnApprover { step: 1, groups }));
    world.approve(&manager(), request).expect("the first step");
    let again = world.approve(&manager(), request).err();
    assert_eq!(again, Some(Refused::AlreadyApproved), "each step needs another person");
    let done = world.approve(&person("carol", &["security"]), request).expect("the second step");
    let grant = &done.grants[0];
    let groups: Vec<&str> = grant.approver_groups.iter().flatten().map(AsRef::as_ref).collect();
    assert_eq!(groups, ["leads", "managers", "security"]);
    assert!(world.try_do(&manager(), &revoke(grant.id, Authority::Approver)).is_ok());
}

#[test]
fn without_an_escalation_its_groups_may_neither_decide_nor_revoke() {
    let mut world = World::new();
    let request = world.submit(&Arc::new(template(vec![step(&["leads"], 1)])));
    let grant = world.approve(&lead("bob"), request).expect("approved").grants[0].id;
    let refused = world.try_do(&manager(), &revoke(grant, Authority::Approver)).err();
    assert_eq!(refused, Some(Refused::NotARevoker { groups: "leads".into() }));
}

type End = fn(&mut World, RequestId) -> Transition;

#[test]
fn whatever_decides_a_request_takes_its_timers_along() {
    let ends: [End; 5] = [
        |world, request| world.approve(&lead("bob"), request).expect("approved"),
        |world, request| world.try_do(&lead("bob"), &deny(request)).expect("denied"),
        |world, request| {
            let alice = person("alice", &["engineering"]);
            world.try_do(&alice, &cancel(request)).expect("cancelled")
        },
        |world, _| {
            world.kill(KillTarget::Everything);
            world.run(&Actor::System, &Command::Sweep).expect("swept")
        },
        |world, request| {
            world.now = world.now.plus(HOUR * 24);
            world.run(&Actor::System, &Command::TimeOutRequest { request }).expect("timed out")
        },
    ];
    for end in ends {
        let mut world = World::new();
        let request = world.submit(&Arc::new(template(vec![step(&["leads"], 1)])));
        let timers = end(&mut world, request).timers;
        for timer in [Timer::TimeOutRequest(request), Timer::Escalate(request)] {
            assert!(timers.contains(&TimerChange::Remove { timer }), "{timer:?} in {timers:?}");
            assert_eq!(due_at(&world.state, timer, world.now), None);
        }
        world.now = START.plus(AFTER);
        assert_eq!(escalate(&mut world, request).err(), Some(Refused::NothingDue));
    }
}

#[test]
fn a_request_that_was_killed_or_is_too_old_is_not_escalated_before_that_is_recorded() {
    let (mut world, request) = world();
    world.now = START.plus(AFTER);
    world.kill(KillTarget::Everything);
    assert_eq!(escalate(&mut world, request).err(), Some(Refused::NothingDue));
    // The timer goes instead of being due again and again.
    assert_eq!(due_at(&world.state, Timer::Escalate(request), world.now), None);
    let (mut world, request) = super::escalating::world();
    world.now = START.plus(HOUR * 24);
    assert_eq!(escalate(&mut world, request).err(), Some(Refused::NothingDue));
    assert_eq!(due_at(&world.state, Timer::Escalate(request), world.now), None);
}

#[test]
fn an_escalation_gives_nobody_their_own_request() {
    let mut world = World::new();
    let request = world.submit(&Arc::new(template(vec![step(&["leads"], 1)])));
    world.now = START.plus(AFTER);
    escalate(&mut world, request).expect("escalated");
    let alice = person("alice", &["engineering", "managers"]);
    assert_eq!(world.approve(&alice, request).err(), Some(Refused::SelfApproval));
}
