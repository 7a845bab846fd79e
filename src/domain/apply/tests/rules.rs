//! What a request is refused for: duties that must not come together, approvers that are not there.

use super::super::super::hierarchy::RoleHierarchy;
use super::super::super::people::{Member, People};
use super::super::super::rules::Escalation;
use super::super::super::template::Catalog;
use super::*;

/// A template that grants `access` and conflicts with `conflicts`.
fn duty(name: &str, access: &str, conflicts: &[&str]) -> Arc<Template> {
    let mut template = (*one_step()).clone();
    template.name = name.into();
    template.accesses = vec![access.parse().expect("an access")];
    let conflicts = conflicts.iter().map(|it| it.parse().expect("an access"));
    template.rules.conflicts_with = conflicts.collect();
    Arc::new(template)
}

fn alice() -> Person {
    person("alice", &["engineering"])
}

fn conflict(access: &str, held: &str) -> Refused {
    let parse = |text: &str| text.parse().expect("an access");
    Refused::DutiesConflict { access: parse(access), held: parse(held) }
}

impl World {
    fn hold(&mut self, template: &Arc<Template>) -> GrantId {
        let request = self.submit(template);
        self.approve(&lead("bob"), request).expect("approved").grants[0].id
    }

    fn ask(&mut self, template: &Arc<Template>) -> Result<Transition, Refused> {
        self.try_do(&alice(), &submission(template, &alice()))
    }
}

#[test]
fn duties_conflict_whichever_of_the_two_templates_says_so() {
    let plain = duty("pay", "ledger:payer", &[]);
    let strict = duty("check", "ledger:checker", &["ledger:payer"]);
    let mut world = World::new();
    world.hold(&plain);
    assert_eq!(world.ask(&strict).err(), Some(conflict("ledger:checker", "ledger:payer")));
    let mut world = World::new();
    world.hold(&strict);
    assert_eq!(world.ask(&plain).err(), Some(conflict("ledger:payer", "ledger:checker")));
    assert!(world.ask(&duty("other", "ledger:viewer", &[])).is_ok());
}

#[test]
fn duties_are_pairs_of_accesses_whichever_template_grants_them() {
    let strict = duty("check", "ledger:checker", &["ledger:payer"]);
    let (another, mut both) = (duty("till", "ledger:payer", &[]), (*one_step()).clone());
    both.name = "both".into();
    both.accesses =
        vec!["ledger:payer".parse().expect("it"), "ledger:checker".parse().expect("it")];
    let all = [strict, another, Arc::new(both)];
    let mut catalog = Catalog {
        templates: all.into_iter().map(|it| (it.name.clone(), it)).collect(),
        ..Catalog::default()
    };
    catalog.pair_duties(&RoleHierarchy::default());
    let of = |name: &str| catalog.templates[name].clone();
    let mut world = World::new();
    world.hold(&of("till"));
    assert_eq!(world.ask(&of("check")).err(), Some(conflict("ledger:checker", "ledger:payer")));
    let mut world = World::new();
    let both = world.ask(&of("both")).err();
    assert_eq!(both, Some(conflict("ledger:payer", "ledger:checker")), "in one template");
}

#[test]
fn duties_look_through_the_role_hierarchy() {
    let of = |role: &str| role.into();
    let hierarchy = RoleHierarchy::of(&[
        (of("admin"), of("editor")),
        (of("editor"), of("viewer")),
        (of("chief"), of("checker")),
    ]);
    let all = [
        duty("strict", "ledger:checker", &["ledger:viewer"]),
        duty("plain", "ledger:viewer", &[]),
        duty("high", "ledger:admin", &[]),
        duty("chief", "ledger:chief", &[]),
        duty("elsewhere", "vault:admin", &[]),
        duty("below", "ledger:reader", &[]),
    ];
    let mut catalog = Catalog {
        templates: all.into_iter().map(|it| (it.name.clone(), it)).collect(),
        ..Catalog::default()
    };
    catalog.pair_duties(&hierarchy.expect("no cycle"));
    let of = |name: &str| catalog.templates[name].clone();
    let held_then_asked = |held: &str, wanted: &str| {
        let mut world = World::new();
        world.hold(&of(held));
        world.ask(&of(wanted)).err()
    };
    for (one, other) in [("strict", "high"), ("chief", "plain"), ("chief", "high")] {
        for (held, wanted) in [(one, other), (other, one)] {
            let refused = held_then_asked(held, wanted);
            assert!(matches!(refused, Some(Refused::DutiesConflict { .. })), "{held} {wanted}");
        }
    }
    for other in ["elsewhere", "below"] {
        assert_eq!(held_then_asked("strict", other), None);
    }
    assert_eq!(held_then_asked("plain", "high"), None);
}

#[test]
fn duties_are_asked_about_again_at_approval_and_pending_requests_do_not_conflict() {
    let mut world = World::new();
    let first = world.submit(&duty("pay", "ledger:payer", &[]));
    let second = world.submit(&duty("check", "ledger:checker", &["ledger:payer"]));
    world.approve(&lead("bob"), first).expect("approved");
    let refused = world.approve(&lead("bob"), second).err();
    assert_eq!(refused, Some(conflict("ledger:checker", "ledger:payer")));
    assert!(world.state.requests[&second].is_pending());
}

#[test]
fn a_grant_conflicts_until_it_is_over_and_also_before_it_counts() {
    let plain = duty("pay", "ledger:payer", &[]);
    let strict = duty("check", "ledger:checker", &["ledger:payer"]);
    let expected = Some(conflict("ledger:checker", "ledger:payer"));

    let mut world = World::new();
    world.state.confirms_later = true;
    let grant = world.hold(&plain);
    assert_eq!(world.ask(&strict).err(), expected);
    let held = world.state.grants.get_mut(&grant).expect("a grant");
    (held.confirmed, held.not_before) = (true, Some(START.plus(HOUR / 2)));
    assert_eq!(world.ask(&strict).err(), expected);
    world.now = START.plus(HOUR);
    assert!(world.ask(&strict).is_ok());

    let mut world = World::new();
    let grant = world.hold(&plain);
    world.try_do(&lead("bob"), &revoke(grant, Authority::Approver)).expect("revoked");
    assert!(world.ask(&strict).is_ok());

    let mut world = World::new();
    world.hold(&plain);
    world.kill(KillTarget::Tool("ledger".into()));
    assert!(world.ask(&strict).is_ok());
}

#[test]
fn no_way_of_getting_access_passes_by_the_duties() {
    let mut world = World::new();
    world.hold(&duty("pay", "ledger:payer", &[]));
    let mut strict = (*duty("check", "ledger:checker", &["ledger:payer"])).clone();
    let groups = vec!["engineering".into()];
    strict.rules.eligible = Some(crate::domain::rules::Eligible {
        groups: groups.clone(),
        ..crate::domain::rules::Eligible::default()
    });
    strict.rules.break_glass =
        Some(crate::domain::rules::BreakGlass { groups, duration: HOUR, review_within: HOUR });
    let strict = Arc::new(strict);
    let expected = Some(conflict("ledger:checker", "ledger:payer"));
    assert_eq!(world.ask(&strict).err(), expected);
    let Command::Submit(submit) = submission(&strict, &alice()) else { panic!("a submission") };
    let command = Command::Submit(Submit { break_glass: true, ..submit });
    assert_eq!(world.try_do(&alice(), &command).err(), expected);
}

fn member(name: &str, email: Option<&str>) -> Member {
    Member { name: name.into(), email: email.map(Into::into) }
}

fn directory(groups: &[(&str, &[Member])]) -> Arc<People> {
    let groups = groups.iter().map(|(name, members)| (Arc::from(*name), members.to_vec()));
    Arc::new(People::merged([&groups.collect()]))
}

fn ask_with(template: &Arc<Template>, people: &Arc<People>) -> Result<Transition, Refused> {
    let Command::Submit(submit) = submission(template, &alice()) else { panic!("a submission") };
    let command = Command::Submit(Submit { people: people.clone(), ..submit });
    World::new().try_do(&alice(), &command)
}

fn nobody(step: u32, required: u32, there: usize) -> Refused {
    Refused::NoEligibleApprover { step, required, there }
}

#[test]
fn what_nobody_could_approve_is_refused_when_it_is_asked_for() {
    let two = template(vec![step(&["leads"], 2)]);
    let (bob, carol) = (member("bob", None), member("carol", None));
    let few = directory(&[("leads", std::slice::from_ref(&bob))]);
    assert_eq!(ask_with(&two, &few).err(), Some(nobody(1, 2, 1)));
    assert!(ask_with(&two, &directory(&[("leads", &[bob.clone(), carol])])).is_ok());
    assert_eq!(ask_with(&two, &directory(&[("leads", &[])])).err(), Some(nobody(1, 2, 0)));
    let second = template(vec![step(&["leads"], 1), step(&["security"], 1)]);
    let people = directory(&[("leads", &[bob]), ("security", &[])]);
    assert_eq!(ask_with(&second, &people).err(), Some(nobody(2, 1, 0)));
}

#[test]
fn the_requester_counts_by_no_name_and_nobody_twice() {
    let one = one_step();
    let own = [member("alice", None), member("alice-too", Some("Alice@example.test"))];
    assert_eq!(ask_with(&one, &directory(&[("leads", &own)])).err(), Some(nobody(1, 1, 0)));
    let mut lenient = (*one).clone();
    lenient.self_approval = true;
    assert!(ask_with(&Arc::new(lenient), &directory(&[("leads", &own)])).is_ok());

    let two = template(vec![step(&["leads", "security"], 2)]);
    let bob = [member("bob", Some("bob@example.test"))];
    let bobs = [member("bob", None), member("bob-too", Some("bob@example.test"))];
    let people = directory(&[("leads", &bob), ("security", &bobs)]);
    assert_eq!(ask_with(&two, &people).err(), Some(nobody(1, 2, 1)));
}

#[test]
fn of_what_the_directory_does_not_know_nothing_is_claimed() {
    let leads = directory(&[("leads", &[])]);
    assert!(ask_with(&one_step(), &directory(&[])).is_ok());
    assert!(ask_with(&template(vec![step(&["leads", "security"], 1)]), &leads).is_ok());
    let anyone = Step { approvers: Approvers::Anyone, required: 5 };
    assert!(ask_with(&template(vec![anyone]), &leads).is_ok());
    let mut escalates = (*one_step()).clone();
    escalates.rules.escalation = Some(Escalation { after: HOUR, groups: vec!["managers".into()] });
    let escalates = Arc::new(escalates);
    assert!(ask_with(&escalates, &leads).is_ok());
    let both = directory(&[("leads", &[]), ("managers", &[member("mia", None)])]);
    assert!(ask_with(&escalates, &both).is_ok());
    let empty = directory(&[("leads", &[]), ("managers", &[])]);
    assert_eq!(ask_with(&escalates, &empty).err(), Some(nobody(1, 1, 0)));
}

#[test]
fn who_asks_for_somebody_else_does_not_count_as_an_approver() {
    let people = directory(&[("leads", &[member("bob", None)])]);
    let Command::Submit(submit) = submission(&one_step(), &alice()) else { panic!("a request") };
    let command = Command::Submit(Submit { people, ..submit });
    assert_eq!(World::new().try_do(&lead("bob"), &command).err(), Some(nobody(1, 1, 0)));
}
