use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::apply::apply;
use super::super::command::{Authority, Command, Submit};
use super::super::course::Review;
use super::super::event::Snapshot;
use super::super::ids::{PartitionCount, RequestId};
use super::super::markers::Markers;
use super::super::people::Groups;
use super::super::request::{Bounds, RequestStatus};
use super::super::rules::{Escalation, Rules};
use super::super::subject::{Actor, Subject};
use super::super::template::{Requesters, Template};
use super::super::time::Timestamp;
use super::*;

const HOUR: Duration = Duration::from_secs(3600);

/// One subject, alice, and a directory.
struct World {
    state: SubjectState,
    people: People,
    now: Timestamp,
    seed: u8,
}

fn person(name: &str, groups: &[&str]) -> Person {
    Person {
        subject: Subject::new("https://idp.test", name),
        email: Some(format!("{name}@example.test").into()),
        groups: groups.iter().map(|group| Arc::from(*group)).collect(),
        scopes: Vec::new(),
        identities: crate::domain::subject::Identities::default(),
    }
}

fn step(groups: &[&str], required: u32) -> Step {
    let groups = groups.iter().map(|group| Arc::from(*group)).collect();
    Step { approvers: Approvers::Groups(groups), required }
}

fn template(steps: Vec<Step>, notify: Notify) -> Template {
    let escalation = Escalation { after: HOUR, groups: vec!["chiefs".into()] };
    Template {
        name: "operate".into(),
        title: "Operate".into(),
        enabled: true,
        scopes: Vec::new(),
        accesses: vec!["warehouse:operator".parse().expect("an access")],
        durations: vec![HOUR],
        default_duration: HOUR,
        pending_for: HOUR * 24,
        requesters: Requesters::Anyone,
        require_justification: false,
        justification: None,
        fields: Vec::new(),
        steps,
        self_approval: false,
        made: None,
        rules: Rules { notify, escalation: Some(escalation), ..Rules::default() },
    }
}

fn groups(groups: &[(&str, &[&str])]) -> Groups {
    let member = |name: &&str| Member { name: (*name).into(), email: None };
    let group = |(name, members): &(&str, &[&str])| {
        (Arc::from(*name), members.iter().map(member).collect())
    };
    groups.iter().map(group).collect()
}

/// `alice` is one of the leads herself.
fn world() -> World {
    let directory = groups(&[
        ("leads", &["dora", "alice", "bob", "carl"]),
        ("security", &["sue", "bob", "sam"]),
        ("chiefs", &["kim", "kay"]),
    ]);
    let subject = person("alice", &[]).subject;
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
    let now = Timestamp::from_millis(1_800_000_000_000);
    World { state, people: People::merged([&directory]), now, seed: 0 }
}

impl World {
    fn run(&mut self, actor: &Actor, command: &Command, turn: u64) -> Transition {
        self.seed += 1;
        let seed = Seed([self.seed; 16]);
        let mut done = apply(&self.state, command, actor, seed, self.now).expect("applied");
        self.addressed(&mut done, turn);
        done
    }

    fn addressed(&mut self, transition: &mut Transition, turn: u64) {
        let draw = Draw { seed: Seed([self.seed; 16]), turn };
        address(&self.state, transition, &self.people, draw);
        for request in &transition.requests {
            self.state.requests.insert(request.id, request.clone());
        }
        for grant in &transition.grants {
            self.state.grants.insert(grant.id, grant.clone());
        }
    }

    fn does(&mut self, name: &str, groups: &[&str], command: &Command) -> Transition {
        self.run(&Actor::Person(person(name, groups)), command, 0)
    }

    fn submit_as(&mut self, asker: &str, template: Template, turn: u64) -> Transition {
        let requester = person("alice", &[]);
        let submit = Submit {
            template: Arc::new(template),
            requester,
            duration: None,
            justification: String::new(),
            fields: BTreeMap::new(),
            break_glass: false,
            rule_holds: false,
            people: Arc::default(),
        };
        self.run(&Actor::Person(person(asker, &[])), &Command::Submit(submit), turn)
    }

    fn submit(&mut self, template: Template) -> (RequestId, Vec<String>) {
        let done = self.submit_as("alice", template, 0);
        (done.requests[0].id, told_of(&done, EventKind::RequestSubmitted))
    }

    fn request(&self, id: RequestId) -> &Request {
        &self.state.requests[&id]
    }

    /// An event about a request, as the command that makes it would.
    fn event(&self, kind: EventKind, request: &Request) -> Event {
        Event {
            kind,
            resource: Resource::Request(request.id),
            correlation: Some(request.id),
            actor: Actor::System,
            at: self.now,
            reason: None,
            before: None,
            after: Snapshot::of_request(request),
            notify: Vec::new(),
        }
    }

    fn happens(&mut self, kind: EventKind, request: Request) -> Vec<String> {
        let events = vec![self.event(kind, &request)];
        let mut done = Transition { requests: vec![request], events, ..Transition::default() };
        self.addressed(&mut done, 0);
        told_of(&done, kind)
    }
}

fn approve(request: RequestId) -> Command {
    Command::Approve {
        request,
        step: None,
        comment: None,
        bounds: Bounds::default(),
        eligible: None,
    }
}

fn words(recipients: &[Recipient]) -> Vec<String> {
    let word = |recipient: &Recipient| match recipient {
        Recipient::Person { name, .. } => name.to_string(),
        Recipient::Group { name } => format!("group:{name}"),
    };
    recipients.iter().map(word).collect()
}

fn told_of(done: &Transition, kind: EventKind) -> Vec<String> {
    words(&done.events.iter().find(|event| event.kind == kind).expect("an event").notify)
}

#[test]
fn all_approvers_of_the_first_step_are_told_but_not_the_requester() {
    let steps = || vec![step(&["leads", "security"], 1)];
    let (id, told) = world().submit(template(steps(), Notify::All));
    assert_eq!(told, ["bob", "carl", "dora", "sam", "sue"]);
    let own = Template { self_approval: true, ..template(steps(), Notify::All) };
    let mut world = world();
    assert_eq!(world.submit(own).1, ["alice", "bob", "carl", "dora", "sam", "sue"]);
    assert_eq!(words(&world.request(id).course.told.approvers).len(), 6);
}

#[test]
fn the_first_are_told_in_the_order_of_the_directory() {
    let told = |count| world().submit(template(vec![step(&["leads"], 1)], Notify::FirstN(count))).1;
    assert_eq!(told(1), ["dora"]);
    assert_eq!(told(2), ["bob", "dora"]);
    assert_eq!(told(9), ["bob", "carl", "dora"]);
}

#[test]
fn some_are_drawn_by_the_seed_alone_and_everybody_is_drawn_sometimes() {
    let mut ever = BTreeSet::new();
    for seed in 0..50 {
        let draw = || {
            let mut world = World { seed, ..world() };
            world.submit(template(vec![step(&["leads"], 1)], Notify::RandomN(2))).1
        };
        let told = draw();
        assert_eq!((told.len(), &told), (2, &draw()));
        ever.extend(told);
    }
    assert_eq!(ever.into_iter().collect::<Vec<_>>(), ["bob", "carl", "dora"]);
}

#[test]
fn one_after_the_other_is_told_turn_by_turn() {
    let told = |count, turn| {
        let done = world().submit_as(
            "alice",
            template(vec![step(&["security"], 1)], Notify::RoundRobin(count)),
            turn,
        );
        assert_eq!(done.requests[0].course.told.turn, turn);
        told_of(&done, EventKind::RequestSubmitted)
    };
    assert_eq!(
        (0..4).flat_map(|turn| told(1, turn)).collect::<Vec<_>>(),
        ["sue", "bob", "sam", "sue"]
    );
    assert_eq!(told(2, 0), ["bob", "sue"]);
    assert_eq!(told(2, 1), ["sam", "sue"]);
    assert_eq!(told(2, u64::MAX).len(), 2);
    assert_eq!(told(9, 5), ["bob", "sam", "sue"]);
}

#[test]
fn a_requester_in_the_group_moves_nobody_elses_turn() {
    let told = |turn| {
        let round = template(vec![step(&["leads"], 1)], Notify::RoundRobin(1));
        told_of(&world().submit_as("alice", round, turn), EventKind::RequestSubmitted)
    };
    assert_eq!((0..4).flat_map(told).collect::<Vec<_>>(), ["dora", "bob", "bob", "carl"]);
}

#[test]
fn a_group_that_the_directory_does_not_know_is_told_as_a_group() {
    let (_, told) =
        world().submit(template(vec![step(&["security", "ghosts"], 1)], Notify::FirstN(1)));
    assert_eq!(told, ["sue", "group:ghosts"]);
    let (_, told) = World { people: People::default(), ..world() }
        .submit(template(vec![step(&["leads"], 1)], Notify::RoundRobin(1)));
    assert_eq!(told, ["group:leads"]);
}

#[test]
fn where_anybody_may_decide_the_requester_alone_is_told() {
    let anyone = Step { approvers: Approvers::Anyone, required: 1 };
    assert_eq!(world().submit(template(vec![anyone], Notify::All)).1, ["alice"]);
}

#[test]
fn the_same_person_under_two_names_is_told_once_and_never_of_their_own_request() {
    let member = |name: &str, email: &str| Member { name: name.into(), email: Some(email.into()) };
    let leads = vec![
        member("bob", "Bob@Example.test"),
        member("google:bob", "bob@example.test."),
        member("google:alice", "ALICE@example.test"),
    ];
    let people = People::merged([&Groups::from([("leads".into(), leads)])]);
    let mut world = World { people, ..world() };
    let (id, told) = world.submit(template(vec![step(&["leads"], 1)], Notify::All));
    assert_eq!(told, ["bob"]);
    let email = Some(Arc::from("Bob@Example.test"));
    let expected = Recipient::Person { name: "bob".into(), email };
    assert_eq!(world.request(id).course.told.approvers, [expected]);
}

#[test]
fn who_asks_for_another_does_not_decide_and_the_other_is_told() {
    let done = world().submit_as("bob", template(vec![step(&["leads"], 1)], Notify::All), 0);
    assert_eq!(told_of(&done, EventKind::RequestSubmitted), ["alice", "carl", "dora"]);
}

#[test]
fn the_next_step_is_told_when_one_is_done_and_others_hear_who_decided() {
    let mut world = world();
    let steps = vec![step(&["leads"], 2), step(&["security"], 1)];
    let (id, told) = world.submit(template(steps, Notify::All));
    assert_eq!(told, ["bob", "carl", "dora"]);
    let half = world.does("bob", &["leads"], &approve(id));
    assert_eq!(told_of(&half, EventKind::RequestStepApproved), ["alice", "carl", "dora"]);
    let next = world.does("carl", &["leads"], &approve(id));
    // Bob has approved already: he hears, but as one who was told before.
    assert_eq!(
        told_of(&next, EventKind::RequestStepApproved),
        ["alice", "bob", "dora", "sam", "sue"]
    );
    let last = world.does("sue", &["security"], &approve(id));
    assert_eq!(told_of(&last, EventKind::RequestApproved), ["alice", "bob", "carl", "dora", "sam"]);
    assert!(told_of(&last, EventKind::GrantActivated).is_empty());
}

#[test]
fn whoever_has_approved_already_is_not_chosen_for_the_next_step() {
    let mut world = world();
    let steps = vec![step(&["leads"], 1), step(&["security"], 1)];
    let (id, _) = world.submit(template(steps, Notify::RoundRobin(1)));
    let done = world.does("sue", &["leads"], &approve(id));
    assert_eq!(told_of(&done, EventKind::RequestStepApproved), ["alice", "bob", "dora"]);
}

#[test]
fn the_requester_hears_of_every_decision_and_others_when_somebody_else_decided() {
    let notify = || template(vec![step(&["leads"], 1)], Notify::FirstN(2));
    let mut denied = world();
    let (id, _) = denied.submit(notify());
    let deny = Command::Deny { request: id, step: None, reason: "no".into() };
    let done = denied.does("bob", &["leads"], &deny);
    assert_eq!(told_of(&done, EventKind::RequestDenied), ["alice", "dora"]);

    let mut cancelled = world();
    let done = cancelled.submit_as("root", notify(), 0);
    let cancel = Command::Cancel { request: done.requests[0].id, reason: String::new() };
    let done = cancelled.does("root", &[], &cancel);
    assert_eq!(told_of(&done, EventKind::RequestCancelled), ["alice", "bob", "dora", "root"]);

    let mut expired = world();
    let (id, _) = expired.submit(notify());
    expired.now = expired.now.plus(HOUR * 24);
    let done = expired.run(&Actor::System, &Command::TimeOutRequest { request: id }, 0);
    assert_eq!(told_of(&done, EventKind::RequestExpired), ["alice", "bob", "dora"]);
}

#[test]
fn a_comment_is_told_to_everybody_but_its_author() {
    let mut world = world();
    let (id, _) = world.submit(template(vec![step(&["leads"], 1)], Notify::FirstN(2)));
    let comment = |text: &str| Command::Comment { request: id, text: text.into() };
    let done = world.does("bob", &["leads"], &comment("why?"));
    assert_eq!(told_of(&done, EventKind::RequestCommented), ["alice", "dora"]);
    let done = world.does("alice", &[], &comment("because"));
    assert_eq!(told_of(&done, EventKind::RequestCommented), ["bob", "dora"]);
}

#[test]
fn an_escalation_is_told_to_all_of_its_groups_who_hear_of_the_decision_too() {
    let mut world = world();
    let (id, _) = world.submit(template(vec![step(&["leads"], 1)], Notify::FirstN(1)));
    let mut request = world.request(id).clone();
    request.course.escalated_at = Some(world.now);
    assert_eq!(world.happens(EventKind::RequestEscalated, request), ["alice", "kay", "kim"]);
    let done = world.does("kim", &["chiefs"], &approve(id));
    assert_eq!(told_of(&done, EventKind::RequestApproved), ["alice", "dora", "kay"]);
}

#[test]
fn a_break_glass_is_loud_whatever_the_template_chooses() {
    let mut world = world();
    let steps = vec![step(&["leads"], 1), step(&["security", "ghosts"], 1)];
    let (id, _) = world.submit(template(steps, Notify::FirstN(1)));
    let mut request = world.request(id).clone();
    let review = Review { due_at: world.now, reviewed: None, overdue: false };
    request.course.way = Way::BreakGlass { review };
    request.status = RequestStatus::Approved { at: world.now, grants: Vec::new() };
    let loud = ["bob", "carl", "dora", "kay", "kim", "sam", "sue", "group:ghosts"];
    assert_eq!(world.happens(EventKind::BreakglassUsed, request.clone()), loud);
    assert_eq!(world.happens(EventKind::RequestApproved, request.clone()), ["alice"]);
    assert_eq!(world.happens(EventKind::BreakglassOverdue, request.clone()), loud);
    assert_eq!(world.happens(EventKind::BreakglassReviewed, request), ["alice"]);
}

#[test]
fn nobody_is_asked_to_decide_what_is_decided_already() {
    let mut world = world();
    let (id, _) = world.submit(template(vec![step(&["leads"], 1)], Notify::All));
    let mut request = world.request(id).clone();
    request.course = super::super::course::Course {
        way: Way::Rule { rule: "true".into() },
        ..Default::default()
    };
    request.status = RequestStatus::Approved { at: world.now, grants: Vec::new() };
    assert!(world.happens(EventKind::RequestSubmitted, request.clone()).is_empty());
    assert_eq!(world.happens(EventKind::RequestApproved, request), ["alice"]);
}

#[test]
fn the_holder_hears_of_the_end_of_a_grant_and_its_approvers_of_a_revocation() {
    let granted = || {
        let mut world = world();
        let (id, _) = world.submit(template(vec![step(&["leads"], 1)], Notify::FirstN(1)));
        let grant = world.does("bob", &["leads"], &approve(id)).grants[0].id;
        (world, grant)
    };
    let (mut world, grant) = granted();
    let revoke = Command::Revoke { grant, reason: "incident".into(), authority: Authority::Any };
    let done = world.does("root", &[], &revoke);
    assert_eq!(told_of(&done, EventKind::GrantRevoked), ["alice", "bob"]);

    let (mut world, grant) = granted();
    let email = Some(Arc::from("alice@example.test"));
    let alice = Recipient::Person { name: "alice".into(), email };
    let done = world.does("alice", &[], &Command::Release { grant, reason: String::new() });
    assert_eq!(done.events[0].notify, [alice]);

    let (mut world, grant) = granted();
    world.now = world.now.plus(HOUR);
    // As it is when the request is long forgotten.
    world.state.requests.clear();
    let done = world.run(&Actor::System, &Command::ExpireGrant { grant }, 0);
    let alice = Recipient::Person { name: "alice".into(), email: None };
    assert_eq!(done.events[0].notify, [alice]);
}

#[test]
fn the_address_of_a_holder_comes_from_the_directory_where_the_request_is_gone() {
    let mut world = world();
    let (id, _) = world.submit(template(vec![step(&["leads"], 1)], Notify::FirstN(1)));
    let grant = world.does("bob", &["leads"], &approve(id)).grants[0].id;
    let listed = Member { name: "alice".into(), email: Some("alice@directory.test".into()) };
    world.people = People::merged([&Groups::from([("staff".into(), vec![listed])])]);
    world.state.requests.clear();
    world.now = world.now.plus(HOUR);
    let done = world.run(&Actor::System, &Command::ExpireGrant { grant }, 0);
    let email = Some(Arc::from("alice@directory.test"));
    assert_eq!(done.events[0].notify, [Recipient::Person { name: "alice".into(), email }]);
}

#[test]
fn too_many_recipients_are_told_as_their_groups() {
    let many: Vec<String> = (0..198).map(|n| format!("person-{n:03}")).collect();
    let mut most: Vec<&str> = many.iter().map(String::as_str).collect();
    let chiefs: &[&str] = &["kim"];
    let told = |leads: &[&str]| {
        let people = People::merged([&groups(&[("leads", leads), ("chiefs", chiefs)])]);
        let mut world = World { people, ..world() };
        let (id, told) = world.submit(template(vec![step(&["leads"], 1)], Notify::All));
        (world, id, told)
    };
    let (mut world, id, all) = told(&most);
    assert_eq!(all.len(), 198);
    // One more does not fit: the groups of all who were told stand for them.
    let mut request = world.request(id).clone();
    request.course.escalated_at = Some(world.now);
    assert_eq!(world.happens(EventKind::RequestEscalated, request), ["alice", "kim"]);
    assert_eq!(words(&world.request(id).course.told.approvers), ["group:chiefs", "group:leads"]);
    most.push("one-more");
    assert_eq!(told(&most).2, ["group:leads"]);
}

#[test]
fn a_warning_that_changes_nothing_of_its_grant_reaches_the_holder() {
    let mut world = world();
    let (id, _) = world.submit(template(vec![step(&["leads"], 1)], Notify::FirstN(1)));
    let grant = world.does("bob", &["leads"], &approve(id)).grants[0].clone();
    let mut event = world.event(EventKind::GrantExpiring, world.request(id));
    event.resource = Resource::Grant(grant.id);
    event.after = Snapshot::of_grant(&grant, world.now);
    let mut done = Transition { events: vec![event], ..Transition::default() };
    world.addressed(&mut done, 0);
    assert_eq!(told_of(&done, EventKind::GrantExpiring), ["alice"]);
}
