//! Moving the end of a grant.

use super::super::super::rules::{Extension, Rules};
use super::*;

const HALF: Duration = Duration::from_secs(1800);

fn rules() -> Rules {
    let extension = Some(Extension { max: 2, steps: vec![HALF, HOUR] });
    Rules { extension, warn_before_end: Some(HALF / 3), ..Rules::default() }
}

fn extendable() -> Template {
    Template { rules: rules(), ..(*one_step()).clone() }
}

fn alice() -> Person {
    person("alice", &["engineering"])
}

fn extend(grant: GrantId, by: Duration) -> Command {
    Command::Extend { grant, by, justification: "still at it".into() }
}

fn granted(world: &mut World, template: Template) -> GrantId {
    let request = world.submit(&Arc::new(template));
    world.approve(&lead("bob"), request).expect("approved").grants[0].id
}

fn world() -> (World, GrantId) {
    let mut world = World::new();
    let grant = granted(&mut world, extendable());
    (world, grant)
}

#[test]
fn an_extension_moves_the_end_and_its_timers_and_says_from_where_to_where() {
    let (mut world, grant) = world();
    let before = world.state.grants[&grant].clone();
    world.now = START.plus(HALF);
    let done = world.try_do(&alice(), &extend(grant, HALF)).expect("extended");
    let after = &done.grants[0];
    let end = START.plus(HOUR + HALF);
    assert_eq!(after.expires_at, end, "on from where it was, not from now");
    assert_eq!((after.terms.extended, after.revision), (1, before.revision + 1));
    let expected = Grant {
        expires_at: end,
        terms: after.terms.clone(),
        revision: after.revision,
        ..before.clone()
    };
    assert_eq!(*after, expected, "nothing else of it changes");
    let moved = [(Timer::ExpireGrant(grant), end), (Timer::WarnOfEnd(grant), end.minus(HALF / 3))];
    assert_eq!(done.timers, moved.map(|(timer, at)| TimerChange::Set { timer, at }));
    let event = &done.events[0];
    assert_eq!((event.kind, done.events.len()), (EventKind::GrantExtended, 1));
    assert_eq!(event.reason.as_deref(), Some("still at it"));
    assert_eq!(event.before, Some(Snapshot::of_grant(&before, world.now)));
    assert_eq!(event.after, Snapshot::of_grant(after, world.now));
    let expire = Command::ExpireGrant { grant };
    world.now = START.plus(HOUR);
    assert_eq!(world.run(&Actor::System, &expire).err(), Some(Refused::NothingDue));
    assert_eq!(due_at(&world.state, Timer::ExpireGrant(grant), world.now), Some(end));
    world.now = end;
    assert!(world.run(&Actor::System, &expire).is_ok());
}

#[test]
fn an_extension_keeps_the_generation_so_that_a_kill_still_hits() {
    let (mut world, grant) = world();
    let made_under = world.state.grants[&grant].generation;
    world.kill(KillTarget::Tool("another".into()));
    world.try_do(&alice(), &extend(grant, HALF)).expect("extended");
    assert_eq!(world.state.grants[&grant].generation, made_under);
    world.kill(KillTarget::Tool("warehouse".into()));
    let refused = world.try_do(&alice(), &extend(grant, HALF)).err();
    assert_eq!(refused, Some(Refused::GrantEnded(GrantStatus::Revoked)), "before it is swept");
}

#[test]
fn a_grant_is_extended_as_often_as_its_template_allowed() {
    let (mut world, grant) = world();
    for _ in 0..2 {
        world.try_do(&alice(), &extend(grant, HOUR)).expect("extended");
    }
    assert_eq!(world.state.grants[&grant].expires_at, START.plus(HOUR * 3));
    let refused = world.try_do(&alice(), &extend(grant, HOUR)).err();
    assert_eq!(refused, Some(Refused::ExtensionsUsed { max: 2 }));
}

#[test]
fn only_its_holder_extends_a_grant() {
    let (mut world, grant) = world();
    let mut second_account = alice();
    second_account.subject = Subject::new("https://other.test", "alice");
    for other in [lead("bob"), second_account] {
        let refused = world.try_do(&other, &extend(grant, HALF)).err();
        assert_eq!(refused, Some(Refused::NotTheHolder));
    }
    let refused = world.run(&Actor::System, &extend(grant, HALF)).err();
    assert_eq!(refused, Some(Refused::NotTheHolder));
}

#[test]
fn what_has_ended_is_not_extended_whether_or_not_it_was_recorded() {
    for (why, status) in
        [(EndedWhy::Revoked, GrantStatus::Revoked), (EndedWhy::Released, GrantStatus::Released)]
    {
        let (mut world, grant) = world();
        let (at, by) = (world.now, "bob".into());
        let ended = Ended { at, why, by, reason: String::new() };
        world.state.grants.get_mut(&grant).expect("it").ended = Some(ended);
        let refused = world.try_do(&alice(), &extend(grant, HALF)).err();
        assert_eq!(refused, Some(Refused::GrantEnded(status)));
    }
    let (mut world, grant) = world();
    world.now = START.plus(HOUR);
    let refused = world.try_do(&alice(), &extend(grant, HALF)).err();
    assert_eq!(refused, Some(Refused::GrantEnded(GrantStatus::Expired)), "at its very end");
}

#[test]
fn a_suspended_or_unconfirmed_holder_extends_nothing() {
    let (mut world, grant) = world();
    let free = world.state.markers.clone();
    let mut markers = (*free).clone();
    markers.suspend([world.state.subject.key()]);
    world.state.markers = Arc::new(markers);
    let refused = world.try_do(&alice(), &extend(grant, HALF)).err();
    assert_eq!(refused, Some(Refused::Suspended("alice".into())));
    world.state.markers = free;
    world.state.grants.get_mut(&grant).expect("it").confirmed = false;
    let refused = world.try_do(&alice(), &extend(grant, HALF)).err();
    assert_eq!(refused, Some(Refused::NotConfirmed));
}

#[test]
fn a_grant_whose_end_an_approver_set_or_whose_template_offers_none_is_not_extended() {
    let mut world = World::new();
    let plain = granted(&mut world, (*one_step()).clone());
    let refused = world.try_do(&alice(), &extend(plain, HALF)).err();
    assert_eq!(refused, Some(Refused::NotExtendable("operate".into())));

    let request = world.submit(&Arc::new(extendable()));
    let shorter = Bounds { duration_ms: Some(60_000), ..Bounds::default() };
    let done = world.try_do(&lead("bob"), &bounded(request, shorter)).expect("approved");
    let refused = world.try_do(&alice(), &extend(done.grants[0].id, HALF)).err();
    assert_eq!(refused, Some(Refused::NotExtendable("operate".into())));
}

#[test]
fn an_extension_takes_offered_steps_and_the_justification_that_the_template_demands() {
    let mut world = World::new();
    let rule = JustificationRule {
        pattern: Pattern::new("INC-[0-9]+").expect("a pattern"),
        message: "Name the incident".into(),
    };
    let mut template = Template { justification: Some(rule), ..extendable() };
    template.require_justification = false;
    let mut submission = submission(&Arc::new(template), &alice());
    if let Command::Submit(submit) = &mut submission {
        submit.justification = "INC-1".into();
    }
    let request = world.try_do(&alice(), &submission).expect("submitted").requests[0].id;
    let grant = world.approve(&lead("bob"), request).expect("approved").grants[0].id;
    let mut found = |by, text: &str| {
        let command = Command::Extend { grant, by, justification: text.into() };
        pointers(world.try_do(&alice(), &command).expect_err("refused"))
    };
    let (length, reason) = ("/duration".to_owned(), "/justification".to_owned());
    for by in [Duration::ZERO, HALF / 2, HALF + Duration::from_millis(1), HOUR * 2, Duration::MAX] {
        assert_eq!(found(by, ""), [(length.clone(), "not-offered")]);
    }
    assert_eq!(found(HALF, "because"), [(reason.clone(), "pattern")]);
    let long = "x".repeat(MAX_TEXT + 1);
    assert_eq!(found(HALF * 3, &long), [(length, "not-offered"), (reason.clone(), "too-long")]);
    let none = Command::Extend { grant, by: HALF, justification: String::new() };
    let done = world.try_do(&alice(), &none).expect("none is required");
    assert_eq!(done.events[0].reason, None);

    let (mut world, grant) = super::extending::world();
    let blank = Command::Extend { grant, by: HALF, justification: "  ".into() };
    let refused = world.try_do(&alice(), &blank).expect_err("refused");
    assert_eq!(pointers(refused), [(reason, "required")]);
}

#[test]
fn the_refusals_of_an_extension_come_in_their_order() {
    let (mut world, grant) = world();
    let unknown = GrantId { random: [7; 16], ..grant };
    let wrong = |grant| Command::Extend { grant, by: Duration::ZERO, justification: String::new() };
    assert_eq!(world.try_do(&lead("bob"), &wrong(unknown)).err(), Some(Refused::NoSuchGrant));
    world.kill(KillTarget::Everything);
    let mut markers = (*world.state.markers).clone();
    markers.suspend([world.state.subject.key()]);
    world.state.markers = Arc::new(markers);
    assert_eq!(world.try_do(&lead("bob"), &wrong(grant)).err(), Some(Refused::NotTheHolder));
    let refused = world.try_do(&alice(), &wrong(grant)).err();
    assert_eq!(refused, Some(Refused::Suspended("alice".into())));
    let mut markers = (*world.state.markers).clone();
    markers.suspended.clear();
    world.state.markers = Arc::new(markers);
    world.state.grants.get_mut(&grant).expect("it").terms.extension = None;
    let refused = world.try_do(&alice(), &wrong(grant)).err();
    assert_eq!(refused, Some(Refused::GrantEnded(GrantStatus::Revoked)));
    world.state.markers = Arc::new(Markers::default());
    let refused = world.try_do(&alice(), &wrong(grant)).err();
    assert_eq!(refused, Some(Refused::NotExtendable("operate".into())));
    let terms = &mut world.state.grants.get_mut(&grant).expect("it").terms;
    (terms.extension, terms.extended) = (rules().extension, 2);
    let refused = world.try_do(&alice(), &wrong(grant)).err();
    assert_eq!(refused, Some(Refused::ExtensionsUsed { max: 2 }));
}

type End = fn(&mut World, GrantId) -> Transition;

#[test]
fn whatever_ends_a_grant_takes_its_timers_along() {
    let release = |grant| Command::Release { grant, reason: String::new() };
    let both = |grant| [Timer::ExpireGrant(grant), Timer::WarnOfEnd(grant)];
    let ends: [End; 5] = [
        |world, grant| {
            let release = Command::Release { grant, reason: String::new() };
            world.try_do(&alice(), &release).expect("released")
        },
        |world, grant| {
            world.try_do(&lead("bob"), &revoke(grant, Authority::Approver)).expect("revoked")
        },
        |world, _| {
            let all = Command::RevokeSubject { reason: String::new(), until: None };
            world.try_do(&lead("bob"), &all).expect("revoked")
        },
        |world, _| {
            world.kill(KillTarget::Everything);
            world.run(&Actor::System, &Command::Sweep).expect("swept")
        },
        |world, grant| {
            world.now = world.now.plus(HOUR);
            world.run(&Actor::System, &Command::ExpireGrant { grant }).expect("expired")
        },
    ];
    for end in ends {
        let (mut world, grant) = world();
        let removed = both(grant).map(|timer| TimerChange::Remove { timer });
        assert_eq!(end(&mut world, grant).timers, removed);
        let refused = world.try_do(&alice(), &release(grant)).err();
        assert!(matches!(refused, Some(Refused::GrantEnded(_))), "{refused:?}");
        for timer in both(grant) {
            assert_eq!(due_at(&world.state, timer, world.now), None);
        }
    }
}
