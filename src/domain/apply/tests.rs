mod at_once;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::super::access::{Narrowing, PathPattern};
use super::super::command::{Authority, Submit, Timer, TimerChange};
use super::super::event::{EventKind, Snapshot};
use super::super::grant::{Ended, EndedWhy};
use super::super::ids::{OrderId, Partition, PartitionCount};
use super::super::markers::{KillOrder, KillTarget};
use super::super::request::Bounds;
use super::super::subject::{Person, Subject};
use super::super::template::*;
use super::*;

mod escalating;
mod extending;
mod supervised;
mod warning;

const HOUR: Duration = Duration::from_secs(3600);
const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A subject's state with a hand clock: commands that succeed change it as a store would.
struct World {
    state: SubjectState,
    now: Timestamp,
    seed: u8,
}

impl World {
    fn new() -> Self {
        let subject = person("alice", &["engineering"]).subject;
        let state = SubjectState {
            partition: subject.key().partition(PartitionCount::DEFAULT),
            subject,
            version: 0,
            confirms_later: false,
            markers: Arc::new(Markers::default()),
            supervised_until: None,
            requests: BTreeMap::new(),
            grants: BTreeMap::new(),
            templates: BTreeMap::new(),
        };
        Self { state, now: START, seed: 0 }
    }

    fn try_do(&mut self, who: &Person, command: &Command) -> Result<Transition, Refused> {
        self.run(&Actor::Person(who.clone()), command)
    }

    fn run(&mut self, actor: &Actor, command: &Command) -> Result<Transition, Refused> {
        self.seed += 1;
        let done = apply(&self.state, command, actor, Seed([self.seed; 16]), self.now)?;
        self.state.version += 1;
        self.state.supervised_until = done.supervised_until.or(self.state.supervised_until);
        for request in &done.requests {
            self.state.requests.insert(request.id, request.clone());
        }
        for grant in &done.grants {
            self.state.grants.insert(grant.id, grant.clone());
        }
        Ok(done)
    }

    fn submit(&mut self, template: &Arc<Template>) -> RequestId {
        let alice = person("alice", &["engineering"]);
        self.try_do(&alice, &submission(template, &alice)).expect("submitted").requests[0].id
    }

    fn approve(&mut self, who: &Person, request: RequestId) -> Result<Transition, Refused> {
        self.try_do(who, &approval(request))
    }

    fn granted(&mut self) -> GrantId {
        let request = self.submit(&template(vec![step(&["leads"], 1)]));
        self.approve(&lead("bob"), request).expect("approved").grants[0].id
    }

    fn kill(&mut self, target: KillTarget) {
        let by = Subject::new("https://idp.test", "carol");
        let (id, at, reason) = (OrderId([9; 16]), self.now, "incident".into());
        let order = KillOrder { id, target, at, by, reason };
        self.state.markers = Arc::new(self.state.markers.with_kill(&order));
    }
}

fn person(name: &str, groups: &[&str]) -> Person {
    Person {
        email: Some(format!("{name}@example.test").into()),
        groups: groups.iter().map(|group| Arc::from(*group)).collect(),
        ..Person::named(Subject::new("https://idp.test", name))
    }
}

fn lead(name: &str) -> Person {
    person(name, &["leads"])
}

fn step(groups: &[&str], required: u32) -> Step {
    let groups = groups.iter().map(|group| Arc::from(*group)).collect();
    Step { approvers: Approvers::Groups(groups), required }
}

fn template(steps: Vec<Step>) -> Arc<Template> {
    Arc::new(Template {
        name: "operate".into(),
        title: "Operate".into(),
        enabled: true,
        scopes: Vec::new(),
        accesses: vec!["warehouse:operator".parse().expect("an access")],
        durations: vec![HOUR, HOUR * 8],
        default_duration: HOUR,
        pending_for: HOUR * 24,
        requesters: Requesters::Groups(vec!["engineering".into()]),
        require_justification: true,
        justification: None,
        fields: Vec::new(),
        steps,
        self_approval: false,
        rules: crate::domain::rules::Rules::default(),
        made: None,
    })
}

fn one_step() -> Arc<Template> {
    template(vec![step(&["leads"], 1)])
}

fn submission(template: &Arc<Template>, requester: &Person) -> Command {
    Command::Submit(Submit {
        template: template.clone(),
        requester: requester.clone(),
        duration: None,
        justification: "disk is full".into(),
        fields: BTreeMap::new(),
        break_glass: false,
        rule_holds: false,
        people: Arc::default(),
    })
}

fn approval(request: RequestId) -> Command {
    Command::Approve {
        request,
        step: None,
        comment: None,
        bounds: Bounds::default(),
        eligible: None,
    }
}

fn bounded(request: RequestId, bounds: Bounds) -> Command {
    Command::Approve { request, step: None, comment: None, bounds, eligible: None }
}

fn deny(request: RequestId) -> Command {
    Command::Deny { request, step: None, reason: "no".into() }
}

fn cancel(request: RequestId) -> Command {
    Command::Cancel { request, reason: String::new() }
}

fn revoke(grant: GrantId, authority: Authority) -> Command {
    Command::Revoke { grant, reason: "incident over".into(), authority }
}

fn pointers(refused: Refused) -> Vec<(String, &'static str)> {
    match refused {
        Refused::Invalid(_, errors) => errors.into_iter().map(|e| (e.pointer, e.code)).collect(),
        other => panic!("expected invalid values, found {other:?}"),
    }
}

#[test]
fn an_approved_request_becomes_a_grant_whose_clock_starts_at_approval() {
    let mut world = World::new();
    let request = world.submit(&one_step());
    world.now = world.now.plus(HOUR);
    let done = world.approve(&lead("bob"), request).expect("approved");
    let grant = &done.grants[0];
    assert_eq!(grant.expires_at, START.plus(HOUR * 2));
    assert_eq!(grant.approvers, [std::sync::Arc::<str>::from("bob")]);
    assert_eq!(grant.request, request);
    let kinds: Vec<EventKind> = done.events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::RequestApproved, EventKind::GrantActivated]);
    assert!(
        done.timers.contains(&TimerChange::Set {
            timer: Timer::ExpireGrant(grant.id),
            at: grant.expires_at
        })
    );
    assert!(done.timers.contains(&TimerChange::Remove { timer: Timer::TimeOutRequest(request) }));
}

#[test]
fn every_access_of_a_template_becomes_a_grant_of_its_own() {
    let mut world = World::new();
    let mut both = (*one_step()).clone();
    both.accesses.push("billing:viewer".parse().expect("an access"));
    let request = world.submit(&Arc::new(both));
    let grants = world.approve(&lead("bob"), request).expect("approved").grants;
    let tools: Vec<&str> = grants.iter().map(|grant| grant.access.tool.as_ref()).collect();
    assert_eq!(tools, ["warehouse", "billing"]);
    assert_ne!(grants[0].id, grants[1].id);
}

#[test]
fn steps_are_decided_in_order_and_each_needs_its_number_of_people() {
    let mut world = World::new();
    let request = world.submit(&template(vec![step(&["leads"], 2), step(&["security"], 1)]));
    let carol = person("carol", &["security"]);
    assert!(matches!(world.approve(&carol, request), Err(Refused::NotAnApprover { step: 1, .. })));
    assert!(world.approve(&lead("bob"), request).expect("first of two").grants.is_empty());
    assert_eq!(world.approve(&lead("bob"), request).err(), Some(Refused::AlreadyApproved));
    let second = world.approve(&lead("ben"), request).expect("second of two");
    assert_eq!(second.events[0].kind, EventKind::RequestStepApproved);
    let another = Command::Approve {
        request,
        step: Some(1),
        comment: None,
        bounds: Bounds::default(),
        eligible: None,
    };
    let refused = world.try_do(&carol, &another);
    assert_eq!(refused.err(), Some(Refused::AnotherStep { asked: 1, current: 2 }));
    assert_eq!(world.approve(&carol, request).expect("last").grants.len(), 1);
}

#[test]
fn a_person_counts_once_in_all_steps_and_through_every_identity() {
    let mut world = World::new();
    let anybody = Step { approvers: Approvers::Anyone, required: 1 };
    let request = world.submit(&template(vec![step(&["leads"], 1), anybody]));
    world.approve(&lead("bob"), request).expect("first step");
    assert_eq!(world.approve(&lead("bob"), request).err(), Some(Refused::AlreadyApproved));
    let mut second_account = lead("bob-admin");
    second_account.email = Some("BOB@example.test".into());
    assert_eq!(world.approve(&second_account, request).err(), Some(Refused::AlreadyApproved));
}

#[test]
fn nobody_decides_on_their_own_request_unless_the_template_says_so() {
    let mut world = World::new();
    let anyone = vec![Step { approvers: Approvers::Anyone, required: 1 }];
    let request = world.submit(&template(anyone.clone()));
    let alice = person("alice", &["engineering"]);
    assert_eq!(world.approve(&alice, request).err(), Some(Refused::SelfApproval));
    assert_eq!(world.try_do(&alice, &deny(request)).err(), Some(Refused::SelfApproval));
    let mut second_account = person("alice2", &[]);
    second_account.email = Some("Alice@Example.test".into());
    assert_eq!(world.approve(&second_account, request).err(), Some(Refused::SelfApproval));

    let mut open = (*template(anyone)).clone();
    open.self_approval = true;
    open.name = "open".into();
    let request = world.submit(&Arc::new(open));
    assert!(world.approve(&alice, request).is_ok());
}

#[test]
fn somebody_who_asked_for_another_cannot_approve_it() {
    let mut world = World::new();
    let (asker, alice) = (lead("bob"), person("alice", &["engineering"]));
    let done = world.try_do(&asker, &submission(&one_step(), &alice)).expect("submitted");
    assert_eq!(done.requests[0].on_behalf_by.as_ref(), Some(&asker));
    let request = done.requests[0].id;
    assert_eq!(world.approve(&asker, request).err(), Some(Refused::SelfApproval));
    assert!(world.approve(&lead("ben"), request).is_ok());
}

#[test]
fn a_decision_is_final_for_everybody() {
    let bob = lead("bob");
    let alice = person("alice", &["engineering"]);
    for (finish, who, word) in [
        (approval as fn(RequestId) -> Command, &bob, "approved"),
        (deny, &bob, "denied"),
        (cancel, &alice, "cancelled"),
    ] {
        let mut world = World::new();
        let request = world.submit(&one_step());
        world.try_do(who, &finish(request)).expect("decided");
        for (again, who) in
            [(approval(request), &bob), (deny(request), &bob), (cancel(request), &alice)]
        {
            let refused = world.try_do(who, &again).err();
            assert_eq!(refused, Some(Refused::AlreadyDecided { status: word }), "{again:?}");
        }
    }
}

#[test]
fn a_denial_at_a_later_step_gives_no_grant() {
    let mut world = World::new();
    let request = world.submit(&template(vec![step(&["leads"], 1), step(&["security"], 1)]));
    world.approve(&lead("bob"), request).expect("first step");
    let done = world.try_do(&person("carol", &["security"]), &deny(request)).expect("denied");
    assert!(done.grants.is_empty());
    assert_eq!(done.events[0].kind, EventKind::RequestDenied);
}

#[test]
fn only_who_asked_can_cancel() {
    let mut world = World::new();
    let request = world.submit(&one_step());
    let refused = world.try_do(&lead("bob"), &cancel(request)).err();
    assert_eq!(refused, Some(Refused::NotTheRequester));
}

#[test]
fn one_request_per_template_may_wait() {
    let mut world = World::new();
    let alice = person("alice", &["engineering"]);
    let existing = world.submit(&one_step());
    let refused = world.try_do(&alice, &submission(&one_step(), &alice)).err();
    assert_eq!(refused, Some(Refused::DuplicateRequest { template: "operate".into(), existing }));
    world.try_do(&alice, &cancel(existing)).expect("cancelled");
    assert!(world.try_do(&alice, &submission(&one_step(), &alice)).is_ok());
}

#[test]
fn an_undecided_request_expires_at_its_deadline_whether_or_not_the_timer_ran() {
    let mut world = World::new();
    let request = world.submit(&one_step());
    let timer = Command::TimeOutRequest { request };
    assert_eq!(world.run(&Actor::System, &timer).err(), Some(Refused::NothingDue));
    world.now = START.plus(HOUR * 24);
    let refused = world.approve(&lead("bob"), request).err();
    assert_eq!(refused, Some(Refused::AlreadyDecided { status: "expired" }));
    let done = world.run(&Actor::System, &timer).expect("timed out");
    assert_eq!(done.events[0].kind, EventKind::RequestExpired);
    assert_eq!(world.run(&Actor::System, &timer).err(), Some(Refused::NothingDue));
}

#[test]
fn a_template_is_invisible_until_it_is_enabled_for_the_requester() {
    let mut world = World::new();
    let alice = person("alice", &["engineering"]);
    let mut hidden = (*one_step()).clone();
    hidden.enabled = false;
    let refused = world.try_do(&alice, &submission(&Arc::new(hidden.clone()), &alice)).err();
    assert_eq!(refused, Some(Refused::NoSuchTemplate("operate".into())));
    hidden.enabled = true;
    hidden.scopes = vec!["team-a".into()];
    let scoped = Arc::new(hidden);
    let refused = world.try_do(&alice, &submission(&scoped, &alice)).err();
    assert_eq!(refused, Some(Refused::NoSuchTemplate("operate".into())));
    let member = Person { scopes: vec!["team-a".into()], ..alice };
    assert!(world.try_do(&member, &submission(&scoped, &member)).is_ok());
}

#[test]
fn only_members_of_the_requester_groups_may_ask() {
    let mut world = World::new();
    let outsider = person("alice", &["sales"]);
    let refused = world.try_do(&outsider, &submission(&one_step(), &outsider)).err();
    assert!(matches!(refused, Some(Refused::NotARequester { .. })));
}

#[test]
fn every_wrong_value_of_a_request_is_named_at_once() {
    let mut world = World::new();
    let alice = person("alice", &["engineering"]);
    let field = |name: &str, kind| Field { name: name.into(), required: true, kind };
    let mut form = (*one_step()).clone();
    form.fields = vec![
        field("ticket", FieldKind::Text { max: 5 }),
        field("site", FieldKind::Select { options: vec!["north".into()] }),
        field("paged", FieldKind::Checkbox),
        field("boxes", FieldKind::Number),
    ];
    let text = |text: &str| FieldValue::Text(text.to_owned());
    let command = Command::Submit(Submit {
        template: Arc::new(form),
        requester: alice.clone(),
        duration: Some(HOUR * 2),
        justification: "  ".into(),
        fields: BTreeMap::from([
            ("ticket".to_owned(), text("123456")),
            ("site".to_owned(), text("west")),
            ("paged".to_owned(), text("yes")),
            ("extra~/".to_owned(), FieldValue::Bool(true)),
        ]),
        break_glass: false,
        rule_holds: false,
        people: Arc::default(),
    });
    let refused = world.try_do(&alice, &command).expect_err("refused");
    let expected = [
        ("/duration", "not-offered"),
        ("/justification", "required"),
        ("/fields/ticket", "too-long"),
        ("/fields/site", "not-offered"),
        ("/fields/paged", "wrong-type"),
        ("/fields/boxes", "required"),
        ("/fields/extra~0~1", "unknown"),
    ];
    let found = pointers(refused);
    let found: Vec<(&str, &str)> = found.iter().map(|(p, code)| (p.as_str(), *code)).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_justification_pattern_answers_with_its_own_text() {
    let mut world = World::new();
    let alice = person("alice", &["engineering"]);
    let mut strict = (*one_step()).clone();
    let pattern = Pattern::new("INC-[0-9]+").expect("a pattern");
    strict.justification = Some(JustificationRule { pattern, message: "Name the incident".into() });
    let command = submission(&Arc::new(strict), &alice);
    let Err(Refused::Invalid(1, errors)) = world.try_do(&alice, &command) else {
        panic!("expected one error");
    };
    assert_eq!(errors[0].detail, "Name the incident");
}

#[test]
fn an_approver_may_make_the_access_shorter_and_narrower_but_never_larger() {
    let mut world = World::new();
    let request = world.submit(&template(vec![step(&["leads"], 2)]));
    let bob = lead("bob");
    for (bounds, pointer) in [
        (Bounds { duration_ms: Some(0), ..Bounds::default() }, "/duration"),
        (Bounds { duration_ms: Some(3_600_001), ..Bounds::default() }, "/duration"),
        (Bounds { expires_at: Some(START), ..Bounds::default() }, "/expires_at"),
        (
            Bounds {
                expires_at: Some(START.plus(HOUR + Duration::from_millis(1))),
                ..Bounds::default()
            },
            "/expires_at",
        ),
    ] {
        let refused = world.try_do(&bob, &bounded(request, bounds)).expect_err("refused");
        assert_eq!(pointers(refused)[0].0, pointer);
    }
    let narrowing = Narrowing {
        methods: vec!["GET".into()],
        paths: vec![PathPattern::new("/docs/**").expect("a pattern")],
    };
    let bounds = Bounds { duration_ms: Some(60_000), expires_at: None, narrowing };
    let first = world.try_do(&bob, &bounded(request, bounds.clone())).expect("first");
    let Snapshot::Request { bounds: told, .. } = &first.events[0].after else {
        panic!("an event about the request");
    };
    assert_eq!(told.as_ref(), Some(&bounds), "the event tells what the approver set");
    let later = Bounds { expires_at: Some(START.plus(HOUR)), ..Bounds::default() };
    let done = world.try_do(&lead("ben"), &bounded(request, later)).expect("second");
    assert_eq!(done.grants[0].expires_at, START.plus(Duration::from_secs(60)));
    assert_eq!(done.grants[0].narrowings, [bounds.narrowing]);
}

#[test]
fn an_end_that_passed_before_the_last_approval_gives_no_grant() {
    let mut world = World::new();
    let request = world.submit(&template(vec![step(&["leads"], 2)]));
    let end = START.plus(Duration::from_secs(60));
    let bounds = Bounds { expires_at: Some(end), ..Bounds::default() };
    world.try_do(&lead("bob"), &bounded(request, bounds)).expect("first");
    world.now = end;
    assert_eq!(world.approve(&lead("ben"), request).err(), Some(Refused::EndHasPassed));
}

#[test]
fn a_revoked_grant_ends_once_and_leaves_the_others() {
    let mut world = World::new();
    let first = world.granted();
    let second = world.granted();
    let done = world.try_do(&lead("ben"), &revoke(first, Authority::Approver)).expect("revoked");
    assert_eq!(done.events[0].kind, EventKind::GrantRevoked);
    assert_eq!(done.timers, [TimerChange::Remove { timer: Timer::ExpireGrant(first) }]);
    let again = world.try_do(&lead("ben"), &revoke(first, Authority::Any)).err();
    assert_eq!(again, Some(Refused::GrantEnded(GrantStatus::Revoked)));
    assert_eq!(world.state.grants[&second].status(world.now), GrantStatus::Active);
}

#[test]
fn an_approver_of_another_group_cannot_revoke_but_an_administrator_can() {
    let mut world = World::new();
    let grant = world.granted();
    let carol = person("carol", &["security"]);
    let refused = world.try_do(&carol, &revoke(grant, Authority::Approver)).err();
    assert!(matches!(refused, Some(Refused::NotARevoker { .. })));
    assert!(world.try_do(&carol, &revoke(grant, Authority::Any)).is_ok());
}

#[test]
fn only_the_holder_can_release() {
    let mut world = World::new();
    let grant = world.granted();
    let release = Command::Release { grant, reason: String::new() };
    assert_eq!(world.try_do(&lead("bob"), &release).err(), Some(Refused::NotTheHolder));
    let done = world.try_do(&person("alice", &[]), &release).expect("released");
    assert_eq!(done.grants[0].ended.as_ref().map(|end| end.why), Some(EndedWhy::Released));
}

#[test]
fn a_grant_has_ended_at_the_very_instant_of_its_expiry() {
    let mut world = World::new();
    let id = world.granted();
    let end = world.state.grants[&id].expires_at;
    let just_before = end.minus(Duration::from_millis(1));
    assert_eq!(world.state.grants[&id].status(just_before), GrantStatus::Active);
    assert_eq!(world.state.grants[&id].status(end), GrantStatus::Expired);
    world.now = just_before;
    let timer = Command::ExpireGrant { grant: id };
    assert_eq!(world.run(&Actor::System, &timer).err(), Some(Refused::NothingDue));
    world.now = end.plus(HOUR);
    let refused = world.try_do(&lead("bob"), &revoke(id, Authority::Any)).err();
    assert_eq!(refused, Some(Refused::GrantEnded(GrantStatus::Expired)));
    let done = world.run(&Actor::System, &timer).expect("expired");
    assert_eq!(done.grants[0].ended.as_ref().map(|ended| ended.at), Some(end));
    assert_eq!(done.events[0].kind, EventKind::GrantExpired);
}

#[test]
fn revoking_a_subject_ends_every_grant_and_request_with_an_event_each() {
    let mut world = World::new();
    world.granted();
    world.granted();
    world.submit(&one_step());
    let command = Command::RevokeSubject { reason: "left".into(), until: None };
    let done = world.try_do(&lead("bob"), &command).expect("revoked");
    assert_eq!((done.grants.len(), done.requests.len(), done.events.len()), (2, 1, 3));
    assert!(world.try_do(&lead("bob"), &command).expect("again").is_empty());
}

#[test]
fn revoking_a_subject_leaves_a_request_past_its_deadline_expired() {
    let mut world = World::new();
    let request = world.submit(&one_step());
    world.now = world.state.requests[&request].pending_until;
    let command = Command::RevokeSubject { reason: "left".into(), until: None };
    let done = world.try_do(&lead("bob"), &command).expect("nothing to end");
    assert!(done.events.is_empty() && done.requests.is_empty());
    let swept = world.run(&Actor::System, &Command::TimeOutRequest { request }).expect("swept");
    assert_eq!(swept.events[0].kind, EventKind::RequestExpired);
}

#[test]
fn a_kill_ends_older_grants_and_requests_and_spares_newer_ones() {
    let mut world = World::new();
    let old = world.granted();
    let request = world.submit(&one_step());
    world.kill(KillTarget::Tool("warehouse".into()));
    let refused = world.approve(&lead("bob"), request).err();
    assert_eq!(refused, Some(Refused::AlreadyDecided { status: "cancelled" }));
    let status = |world: &World, id: &GrantId| {
        grant_status(&world.state.grants[id], &world.state.markers, world.now)
    };
    assert_eq!(status(&world, &old), GrantStatus::Revoked);
    let new = world.granted();
    assert_eq!(status(&world, &new), GrantStatus::Active);

    world.now = world.now.plus(HOUR * 24);
    assert_eq!(status(&world, &old), GrantStatus::Revoked, "also past its end");
    let swept = world.run(&Actor::System, &Command::ExpireGrant { grant: old }).expect("swept");
    assert_eq!(swept.events[0].kind, EventKind::GrantRevoked);
    let swept = world.run(&Actor::System, &Command::TimeOutRequest { request }).expect("swept");
    assert_eq!(swept.events[0].kind, EventKind::RequestCancelled);
}

#[test]
fn a_sweep_marks_what_a_kill_hit_once_as_the_deed_of_who_threw_it() {
    let mut world = World::new();
    let (one, two) = (world.granted(), world.granted());
    let request = world.submit(&one_step());
    let thrown = world.now;
    world.kill(KillTarget::Tool("warehouse".into()));
    let new = world.granted();
    world.now = world.now.plus(Duration::from_secs(5));
    let swept = world.run(&Actor::System, &Command::Sweep).expect("swept");
    assert_eq!(
        swept.grants.iter().map(|grant| grant.id).collect::<BTreeSet<_>>(),
        [one, two].into()
    );
    assert_eq!(swept.requests.iter().map(|request| request.id).collect::<Vec<_>>(), [request]);
    assert_eq!(swept.events.len(), 3);
    for event in &swept.events {
        assert_eq!((event.actor.name(), event.reason.as_deref()), ("carol", Some("incident")));
    }
    let end = swept.grants[0].ended.as_ref().expect("ended");
    assert_eq!((end.at, end.why, &*end.by), (thrown, EndedWhy::Revoked, "carol"));
    let removed = |timer| swept.timers.contains(&TimerChange::Remove { timer });
    assert!(removed(Timer::ExpireGrant(one)) && removed(Timer::TimeOutRequest(request)));
    assert!(world.run(&Actor::System, &Command::Sweep).expect("again").is_empty());
    assert_eq!(world.state.grants[&new].status(world.now), GrantStatus::Active);
}

#[test]
fn what_ran_out_before_the_kill_has_expired_and_is_not_swept() {
    let mut world = World::new();
    let grant = world.granted();
    let request = world.submit(&one_step());
    world.now = world.now.plus(HOUR * 24);
    world.kill(KillTarget::Everything);
    assert!(world.run(&Actor::System, &Command::Sweep).expect("swept").is_empty());
    let timers = [Command::ExpireGrant { grant }, Command::TimeOutRequest { request }];
    let kinds =
        timers.map(|timer| world.run(&Actor::System, &timer).expect("ended").events[0].kind);
    assert_eq!(kinds, [EventKind::GrantExpired, EventKind::RequestExpired]);
}

#[test]
fn revoking_a_subject_leaves_what_a_kill_or_its_time_ended() {
    let mut world = World::new();
    world.granted();
    world.submit(&one_step());
    world.kill(KillTarget::Everything);
    let command = Command::RevokeSubject { reason: "left".into(), until: None };
    let ends_nothing = |done: Transition| done.events.is_empty() && done.grants.is_empty();
    assert!(ends_nothing(world.try_do(&lead("bob"), &command).expect("revoked")));
    world.submit(&one_step());
    world.now = world.now.plus(HOUR * 24);
    assert!(ends_nothing(world.try_do(&lead("bob"), &command).expect("revoked")));
}

#[test]
fn a_suspended_subject_can_neither_ask_nor_be_granted() {
    let mut world = World::new();
    let request = world.submit(&one_step());
    let suspended = vec![world.state.subject.key()];
    world.state.markers = Arc::new(Markers { suspended, ..Markers::default() });
    assert!(matches!(world.approve(&lead("bob"), request), Err(Refused::Suspended(_))));
    let alice = person("alice", &["engineering"]);
    let refused = world.try_do(&alice, &submission(&one_step(), &alice));
    assert!(matches!(refused, Err(Refused::Suspended(_))));
}

#[test]
fn a_subject_never_holds_more_grants_than_its_live_value_can_carry() {
    let mut world = World::new();
    for _ in 0..MAX_GRANTS {
        world.granted();
    }
    let alice = person("alice", &["engineering"]);
    let refused = world.try_do(&alice, &submission(&one_step(), &alice)).err();
    assert!(matches!(refused, Some(Refused::TooManyGrants { limit: MAX_GRANTS, .. })));
}

#[test]
fn unknown_objects_and_texts_without_bound_are_refused() {
    let mut world = World::new();
    let nothing = RequestId { partition: Partition(0), random: [1; 16] };
    assert_eq!(world.approve(&lead("bob"), nothing).err(), Some(Refused::NoSuchRequest));
    let request = world.submit(&one_step());
    let long = "x".repeat(MAX_TEXT + 1);
    let command = Command::Deny { request, step: None, reason: long.clone() };
    let refused = world.try_do(&lead("bob"), &command).expect_err("refused");
    assert_eq!(pointers(refused), [("/reason".to_owned(), "too-long")]);
    let command = Command::Comment { request, text: long };
    assert!(world.try_do(&lead("bob"), &command).is_err());
    let command = Command::Comment { request, text: "why?".into() };
    assert_eq!(world.try_do(&lead("bob"), &command).expect("said").requests[0].comments.len(), 1);
}

/// A world in which bob approved alice's request, on a store whose commits can be lost.
fn unconfirmed() -> (World, Transition, GrantId) {
    let mut world = World::new();
    world.state.confirms_later = true;
    let request = world.submit(&one_step());
    let done = world.approve(&lead("bob"), request).expect("approved");
    let grant = done.grants[0].id;
    (world, done, grant)
}

#[test]
fn where_commits_can_be_lost_a_grant_is_activated_once_it_is_confirmed() {
    let (mut world, done, grant) = unconfirmed();
    assert!(!done.grants[0].confirmed);
    let kinds: Vec<EventKind> = done.events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::RequestApproved]);
    let (timer, at) = (Timer::ConfirmGrant(grant), START.plus(CONFIRM_AFTER));
    assert!(done.timers.contains(&TimerChange::Set { timer, at }));

    let confirm = Command::ConfirmGrant { grant };
    let done = world.run(&Actor::System, &confirm).expect("confirmed");
    assert_eq!((done.grants[0].confirmed, done.grants[0].revision), (true, 2));
    assert_eq!(done.events[0].kind, EventKind::GrantActivated);
    assert_eq!(done.timers, [TimerChange::Remove { timer }]);
    assert!(matches!(world.run(&Actor::System, &confirm), Err(Refused::NothingDue)));
}

#[test]
fn what_ended_unconfirmed_is_not_confirmed_and_its_timer_goes() {
    let (mut world, _, grant) = unconfirmed();
    let done = world.try_do(&lead("bob"), &revoke(grant, Authority::Any));
    let timers = done.expect("revoked").timers;
    assert!(timers.contains(&TimerChange::Remove { timer: Timer::ConfirmGrant(grant) }));
    let confirm = Command::ConfirmGrant { grant };
    assert!(matches!(world.run(&Actor::System, &confirm), Err(Refused::NothingDue)));
    let (mut world, _, grant) = unconfirmed();
    world.now = world.state.grants[&grant].expires_at;
    let confirm = Command::ConfirmGrant { grant };
    assert!(matches!(world.run(&Actor::System, &confirm), Err(Refused::NothingDue)));
}

#[test]
fn a_grant_ends_again_as_it_ended_and_only_once() {
    let (mut world, _, grant) = unconfirmed();
    let (at, why) = (START, EndedWhy::Released);
    let ended = Ended { at, why, by: "alice".into(), reason: "done".to_owned() };
    let again = Command::EndAgain { grant, ended: ended.clone() };
    let done = world.run(&Actor::System, &again).expect("ended");
    assert_eq!(done.grants[0].ended, Some(ended));
    assert_eq!(done.events[0].kind, EventKind::GrantReleased);
    assert_eq!(done.events[0].reason.as_deref(), Some("ended again by reconcile: done"));
    assert!(matches!(world.run(&Actor::System, &again), Err(Refused::NothingDue)));
}
