//! Access in the same commit as the request: break-glass and its review, eligibility, rules.

use super::super::super::course::{Review, Way};
use super::super::super::event::Event;
use super::super::super::rules::{BreakGlass, Eligible, Extension, Rules};
use super::*;

const DAY: Duration = Duration::from_hours(24);
const RULE: &str = "request.duration <= duration('1h')";

fn with_rules(change: impl FnOnce(&mut Rules)) -> Arc<Template> {
    let mut template = (*one_step()).clone();
    change(&mut template.rules);
    Arc::new(template)
}

fn emergency() -> Arc<Template> {
    with_rules(|rules| {
        let groups = vec!["engineering".into()];
        let duration = HOUR / 2;
        rules.break_glass = Some(BreakGlass { groups, duration, review_within: DAY });
        rules.extension = Some(Extension { max: 1, steps: vec![HOUR] });
    })
}

fn alice() -> Person {
    person("alice", &["engineering"])
}

fn asked(template: &Arc<Template>, change: impl FnOnce(&mut Submit)) -> Command {
    match submission(template, &alice()) {
        Command::Submit(mut submit) => {
            change(&mut submit);
            Command::Submit(submit)
        }
        other => other,
    }
}

fn broken(template: &Arc<Template>) -> Command {
    asked(template, |submit| submit.break_glass = true)
}

fn review(request: RequestId, authority: Authority) -> Command {
    Command::Review { request, comment: "fine".into(), authority }
}

fn kinds(done: &Transition) -> Vec<EventKind> {
    done.events.iter().map(|event| event.kind).collect()
}

fn reason(done: &Transition, kind: EventKind) -> Option<&str> {
    let event: &Event = done.events.iter().find(|event| event.kind == kind).expect("the event");
    event.reason.as_deref()
}

impl World {
    fn break_glass(&mut self) -> Transition {
        self.try_do(&alice(), &broken(&emergency())).expect("given")
    }

    fn debt(&self, request: RequestId) -> Review {
        match &self.state.requests[&request].course.way {
            Way::BreakGlass { review } => review.clone(),
            other => panic!("expected a break-glass, found {other:?}"),
        }
    }
}

#[test]
fn break_glass_gives_at_once_and_leaves_a_debt() {
    let mut world = World::new();
    let done = world.break_glass();
    let (request, grant) = (&done.requests[0], &done.grants[0]);
    assert_eq!(request.status.word(), "approved");
    assert!(request.is_open() && !request.is_pending());
    assert_eq!(grant.expires_at, START.plus(HOUR / 2));
    assert!(grant.approvers.is_empty() && grant.terms.extension.is_none());
    let expected = [
        EventKind::RequestSubmitted,
        EventKind::BreakglassUsed,
        EventKind::RequestApproved,
        EventKind::GrantActivated,
    ];
    assert_eq!(kinds(&done), expected);
    assert_eq!(reason(&done, EventKind::RequestApproved), Some("break-glass"));
    assert_eq!(reason(&done, EventKind::BreakglassUsed), Some("disk is full"));
    let due = TimerChange::Set { timer: Timer::ReviewDue(request.id), at: START.plus(DAY) };
    assert!(done.timers.contains(&due));
    assert!(!done.timers.iter().any(|change| matches!(
        change,
        TimerChange::Set { timer: Timer::TimeOutRequest(_) | Timer::Escalate(_), .. }
    )));
}

#[test]
fn where_commits_can_be_lost_break_glass_is_inert_until_it_is_confirmed() {
    let mut world = World::new();
    world.state.confirms_later = true;
    let done = world.break_glass();
    assert!(!kinds(&done).contains(&EventKind::GrantActivated));
    let grant = done.grants[0].id;
    assert_eq!(done.inert_grants(), [grant]);
    let confirmed = world.run(&Actor::System, &Command::ConfirmGrant { grant }).expect("kept");
    assert_eq!(kinds(&confirmed), [EventKind::GrantActivated]);
}

#[test]
fn break_glass_is_refused_where_it_is_not_offered_or_not_for_the_requester() {
    let mut world = World::new();
    let refused = world.try_do(&alice(), &broken(&one_step())).err();
    assert_eq!(refused, Some(Refused::NoBreakGlass("operate".into())));
    let stranger = person("alice", &["sales"]);
    let command = asked(&emergency(), |submit| {
        submit.break_glass = true;
        submit.requester = stranger.clone();
    });
    let refused = world.try_do(&stranger, &command).err();
    assert!(matches!(refused, Some(Refused::NotForBreakGlass { .. })));
}

#[test]
fn break_glass_is_never_for_somebody_else() {
    let mut world = World::new();
    let refused = world.try_do(&lead("bob"), &broken(&emergency())).expect_err("refused");
    assert_eq!(pointers(refused), [("/subject".to_owned(), "not-together")]);
}

#[test]
fn break_glass_has_its_own_duration_and_always_needs_a_justification() {
    let mut world = World::new();
    let mut silent = (*emergency()).clone();
    silent.require_justification = false;
    let command = asked(&Arc::new(silent.clone()), |submit| {
        submit.break_glass = true;
        submit.duration = Some(HOUR);
        submit.justification = " ".into();
    });
    let refused = pointers(world.try_do(&alice(), &command).expect_err("refused"));
    let expected = [("/duration", "not-offered"), ("/justification", "required")];
    assert_eq!(refused, expected.map(|(pointer, code)| (pointer.to_owned(), code)));
    let command = asked(&Arc::new(silent), |submit| {
        submit.break_glass = true;
        submit.duration = Some(HOUR / 2);
    });
    assert!(world.try_do(&alice(), &command).is_ok());
}

#[test]
fn break_glass_does_not_wait_for_a_pending_request_but_for_an_earlier_review() {
    let mut world = World::new();
    let template = emergency();
    world.submit(&template);
    let owed = world.break_glass().requests[0].id;
    let mut other = (*template).clone();
    other.name = "another".into();
    let refused = world.try_do(&alice(), &broken(&Arc::new(other.clone()))).err();
    assert_eq!(refused, Some(Refused::ReviewDebt(owed)));
    // What waits for approvers may still be asked for.
    let mut third = other.clone();
    third.name = "third".into();
    let ordinary = submission(&Arc::new(third), &alice());
    assert!(world.try_do(&alice(), &ordinary).is_ok());

    world.try_do(&lead("bob"), &review(owed, Authority::Approver)).expect("reviewed");
    assert!(world.try_do(&alice(), &broken(&Arc::new(other))).is_ok());
}

#[test]
fn a_review_settles_the_debt_once() {
    let mut world = World::new();
    let request = world.break_glass().requests[0].id;
    let done = world.try_do(&lead("bob"), &review(request, Authority::Approver)).expect("done");
    assert_eq!(kinds(&done), [EventKind::BreakglassReviewed]);
    assert_eq!(reason(&done, EventKind::BreakglassReviewed), Some("fine"));
    assert_eq!(done.timers, [TimerChange::Remove { timer: Timer::ReviewDue(request) }]);
    let after = &done.requests[0];
    assert!(!after.is_open());
    assert_eq!(after.revision, 2);
    let reviewed = world.debt(request).reviewed.expect("reviewed");
    assert_eq!((&*reviewed.by.subject.name, reviewed.at), ("bob", START));
    let again = world.try_do(&lead("carol"), &review(request, Authority::Any)).err();
    assert_eq!(again, Some(Refused::NothingToReview));
    let late = Command::RemindOfReview { request };
    assert_eq!(world.run(&Actor::System, &late).err(), Some(Refused::NothingDue));
}

#[test]
fn nobody_reviews_their_own_emergency_through_any_identity_or_authority() {
    let mut world = World::new();
    let mut lenient = (*emergency()).clone();
    lenient.self_approval = true;
    let request =
        world.try_do(&alice(), &broken(&Arc::new(lenient))).expect("given").requests[0].id;
    let second = Person { email: alice().email, ..lead("alice-admin") };
    for person in [alice(), second] {
        for authority in [Authority::Approver, Authority::Any] {
            let refused = world.try_do(&person, &review(request, authority)).err();
            assert_eq!(refused, Some(Refused::SelfApproval));
        }
    }
}

#[test]
fn reviewers_are_those_who_could_have_decided_on_any_step_or_after_an_escalation() {
    let mut world = World::new();
    let mut steps = (*emergency()).clone();
    steps.steps = vec![step(&["leads"], 1), step(&["security"], 1)];
    let groups = vec!["managers".into()];
    steps.rules.escalation = Some(crate::domain::rules::Escalation { after: HOUR, groups });
    let request = world.try_do(&alice(), &broken(&Arc::new(steps))).expect("given").requests[0].id;
    let outsider = person("eve", &["sales"]);
    let command = review(request, Authority::Approver);
    let refused = world.try_do(&outsider, &command).err();
    let groups = "leads, managers, security".to_owned();
    assert_eq!(refused, Some(Refused::NotAReviewer { groups }));
    let actor = Actor::System;
    assert!(matches!(world.run(&actor, &command), Err(Refused::NotAReviewer { .. })));
    let state = world.state.clone();
    for group in ["leads", "managers", "security"] {
        world.state = state.clone();
        assert!(world.try_do(&person("bob", &[group]), &command).is_ok(), "{group}");
    }
    world.state = state;
    assert!(world.try_do(&outsider, &review(request, Authority::Any)).is_ok());
}

#[test]
fn what_is_no_break_glass_owes_no_review() {
    let mut world = World::new();
    let request = world.submit(&one_step());
    let refused = world.try_do(&lead("bob"), &review(request, Authority::Any)).err();
    assert_eq!(refused, Some(Refused::NothingToReview));
}

#[test]
fn an_overdue_review_is_announced_once_and_still_owed() {
    let mut world = World::new();
    let request = world.break_glass().requests[0].id;
    let remind = Command::RemindOfReview { request };
    world.now = START.plus(DAY).minus(Duration::from_millis(1));
    assert_eq!(world.run(&Actor::System, &remind).err(), Some(Refused::NothingDue));
    let timer = Timer::ReviewDue(request);
    assert_eq!(due_at(&world.state, timer, world.now), Some(START.plus(DAY)));
    world.now = START.plus(DAY);
    let done = world.run(&Actor::System, &remind).expect("announced");
    assert_eq!(kinds(&done), [EventKind::BreakglassOverdue]);
    assert!(world.debt(request).overdue);
    assert_eq!(due_at(&world.state, timer, world.now), None);
    assert_eq!(world.run(&Actor::System, &remind).err(), Some(Refused::NothingDue));
    let refused = world.try_do(&alice(), &broken(&emergency())).err();
    assert_eq!(refused, Some(Refused::ReviewDebt(request)));
    let refused = world.try_do(&lead("bob"), &review(request, Authority::Approver));
    assert!(refused.is_ok());
}

#[test]
fn neither_kill_switch_nor_timers_touch_a_debt() {
    let mut world = World::new();
    let request = world.break_glass().requests[0].id;
    world.kill(KillTarget::Tool("warehouse".into()));
    let swept = world.run(&Actor::System, &Command::Sweep).expect("swept");
    assert!(swept.requests.is_empty() && swept.grants.len() == 1);
    let command = Command::RevokeSubject { reason: "left".into(), until: None };
    let done = world.try_do(&lead("bob"), &command).expect("killed");
    assert!(done.requests.is_empty() && done.grants.is_empty());
    world.now = START.plus(DAY * 30);
    let timer = Command::TimeOutRequest { request };
    assert_eq!(world.run(&Actor::System, &timer).err(), Some(Refused::NothingDue));
    let status = request_status(&world.state.requests[&request], &world.state.markers, world.now);
    assert_eq!(status, "approved");
    assert!(world.state.requests[&request].is_open());
    let decided = world.approve(&lead("bob"), request).err();
    assert_eq!(decided, Some(Refused::AlreadyDecided { status: "approved" }));
}

fn eligible(change: impl FnOnce(&mut Eligible)) -> Arc<Template> {
    with_rules(|rules| {
        let mut eligible = Eligible { groups: vec!["engineering".into()], ..Eligible::default() };
        change(&mut eligible);
        rules.eligible = Some(eligible);
    })
}

#[test]
fn whoever_is_eligible_activates_without_approvers() {
    let mut world = World::new();
    let done = world.try_do(&alice(), &submission(&eligible(|_| ()), &alice())).expect("given");
    assert_eq!(done.requests[0].course.way, Way::Eligibility);
    assert_eq!(done.grants[0].expires_at, START.plus(HOUR));
    assert!(done.grants[0].approvers.is_empty());
    assert_eq!(reason(&done, EventKind::RequestApproved), Some("standing eligibility"));
    let expected =
        [EventKind::RequestSubmitted, EventKind::RequestApproved, EventKind::GrantActivated];
    assert_eq!(kinds(&done), expected);
    assert!(!done.requests[0].is_open());
}

#[test]
fn what_an_eligibility_gives_ends_with_it_and_is_not_extended() {
    let mut world = World::new();
    let until = START.plus(HOUR / 4);
    let mut template = (*eligible(|eligible| eligible.until = Some(until))).clone();
    let steps = vec![HOUR];
    template.rules.extension = Some(crate::domain::rules::Extension { max: 1, steps });
    let submission = submission(&Arc::new(template), &alice());
    let done = world.try_do(&alice(), &submission).expect("given");
    assert_eq!((done.grants[0].expires_at, &done.grants[0].terms.extension), (until, &None));
}

#[test]
fn an_eligibility_may_need_approval() {
    let mut world = World::new();
    let template = eligible(|eligible| eligible.needs_approval = true);
    let done = world.try_do(&alice(), &submission(&template, &alice())).expect("asked");
    assert!(done.grants.is_empty() && done.requests[0].is_pending());
}

#[test]
fn what_somebody_asks_for_another_goes_to_the_approvers() {
    let mut world = World::new();
    let template = eligible(|eligible| eligible.subjects = vec!["alice".into()]);
    let done = world.try_do(&lead("bob"), &submission(&template, &alice())).expect("asked");
    assert!(done.grants.is_empty() && done.requests[0].is_pending());
    let ruled = with_rules(|rules| rules.auto_approve = Some(RULE.into()));
    let mut ruled = (*ruled).clone();
    ruled.name = "ruled".into();
    let command = asked(&Arc::new(ruled), |submit| submit.rule_holds = true);
    let done = world.try_do(&lead("bob"), &command).expect("asked");
    assert!(done.grants.is_empty() && done.requests[0].is_pending());
}

#[test]
fn a_template_with_eligibilities_is_closed_to_all_others_unless_it_names_requesters() {
    let mut world = World::new();
    let mut open = (*eligible(|eligible| eligible.groups = vec!["surgeons".into()])).clone();
    open.requesters = Requesters::Anyone;
    let refused = world.try_do(&alice(), &submission(&Arc::new(open.clone()), &alice())).err();
    let (subject, template) = ("alice".into(), "operate".into());
    assert_eq!(refused, Some(Refused::NotEligible { subject, template }));

    open.requesters = Requesters::Groups(vec!["engineering".into()]);
    let done = world.try_do(&alice(), &submission(&Arc::new(open), &alice())).expect("asked");
    assert!(done.grants.is_empty() && done.requests[0].is_pending());
}

#[test]
fn an_eligibility_names_groups_or_subjects_and_ends() {
    let mut world = World::new();
    let by_name = |name: &str| {
        let name = Arc::from(name);
        let mut template =
            (*eligible(|it| (it.groups, it.subjects) = (vec![], vec![name]))).clone();
        template.requesters = Requesters::Anyone;
        Arc::new(template)
    };
    let refused = world.try_do(&alice(), &submission(&by_name("bob"), &alice())).err();
    assert!(matches!(refused, Some(Refused::NotEligible { .. })));
    let mut template = (*by_name("alice")).clone();
    template.rules.eligible.as_mut().expect("eligible").until = Some(START.plus(HOUR));
    let command = submission(&Arc::new(template), &alice());
    assert!(world.try_do(&alice(), &command).is_ok());
    world.now = START.plus(HOUR);
    let refused = world.try_do(&alice(), &command).err();
    assert!(matches!(refused, Some(Refused::NotEligible { .. })));
}

#[test]
fn a_rule_that_holds_approves_and_is_kept_with_the_request() {
    let mut world = World::new();
    let template = with_rules(|rules| rules.auto_approve = Some(RULE.into()));
    let done = world.try_do(&alice(), &asked(&template, |it| it.rule_holds = true)).expect("given");
    assert_eq!(done.requests[0].course.way, Way::Rule { rule: RULE.into() });
    let because = "auto-approve rule: request.duration <= duration('1h')";
    assert_eq!(reason(&done, EventKind::RequestApproved), Some(because));
    assert!(done.grants[0].approvers.is_empty());

    let done = world.try_do(&alice(), &submission(&template, &alice())).expect("asked");
    assert!(done.requests[0].is_pending());
    // Who says that a rule holds which is not there says nothing.
    let mut none = (*one_step()).clone();
    none.name = "none".into();
    let command = asked(&Arc::new(none), |it| it.rule_holds = true);
    assert!(world.try_do(&alice(), &command).expect("asked").requests[0].is_pending());
}

#[test]
fn a_suspended_subject_gets_nothing_at_once() {
    let mut world = World::new();
    let mut markers = Markers::default();
    markers.suspended.push(world.state.subject.key());
    world.state.markers = Arc::new(markers);
    for command in [broken(&emergency()), submission(&eligible(|_| ()), &alice())] {
        let refused = world.try_do(&alice(), &command).err();
        assert_eq!(refused, Some(Refused::Suspended("alice".into())));
    }
}

#[test]
fn what_is_given_at_once_finds_no_more_room_than_anything_else() {
    let mut world = World::new();
    let template = eligible(|_| ());
    for _ in 0..MAX_GRANTS {
        world.try_do(&alice(), &submission(&template, &alice())).expect("given");
    }
    let refused = world.try_do(&alice(), &submission(&template, &alice())).err();
    assert!(matches!(refused, Some(Refused::TooManyGrants { .. })));
    let refused = world.try_do(&alice(), &broken(&emergency())).err();
    assert!(matches!(refused, Some(Refused::TooManyGrants { .. })));
}
