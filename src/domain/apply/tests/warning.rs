//! A grant that ends soon.

use super::super::super::rules::{Extension, Rules};
use super::*;

const TEN: Duration = Duration::from_secs(600);

fn granted(world: &mut World) -> GrantId {
    let extension = Some(Extension { max: 9, steps: vec![TEN / 2, HOUR] });
    let rules = Rules { extension, warn_before_end: Some(TEN), ..Rules::default() };
    let template = Template { rules, ..(*one_step()).clone() };
    let request = world.submit(&Arc::new(template));
    world.approve(&lead("bob"), request).expect("approved").grants[0].id
}

fn world() -> (World, GrantId) {
    let mut world = World::new();
    let grant = granted(&mut world);
    (world, grant)
}

fn warn(world: &mut World, grant: GrantId) -> Result<Transition, Refused> {
    world.run(&Actor::System, &Command::WarnOfEnd { grant })
}

fn extend(world: &mut World, grant: GrantId, by: Duration) -> Transition {
    let command = Command::Extend { grant, by, justification: "INC-1".into() };
    world.try_do(&person("alice", &["engineering"]), &command).expect("extended")
}

#[test]
fn the_holder_is_warned_once_of_each_end() {
    let (mut world, grant) = world();
    world.now = START.plus(HOUR).minus(TEN).minus(Duration::from_millis(1));
    assert_eq!(warn(&mut world, grant).err(), Some(Refused::NothingDue));
    let at = START.plus(HOUR).minus(TEN);
    assert_eq!(due_at(&world.state, Timer::WarnOfEnd(grant), world.now), Some(at));
    world.now = at;
    let done = warn(&mut world, grant).expect("warned");
    let event = &done.events[0];
    assert_eq!((event.kind, &event.actor), (EventKind::GrantExpiring, &Actor::System));
    assert_eq!(event.after, Snapshot::of_grant(&done.grants[0], world.now));
    assert_eq!(done.timers, [TimerChange::Remove { timer: Timer::WarnOfEnd(grant) }]);
    assert_eq!(done.grants[0].revision, 1, "the holder may be about to extend what they saw");
    // Another process had read the timer before.
    assert_eq!(warn(&mut world, grant).err(), Some(Refused::NothingDue));
    assert_eq!(due_at(&world.state, Timer::WarnOfEnd(grant), world.now), None);

    extend(&mut world, grant, HOUR);
    assert_eq!(warn(&mut world, grant).err(), Some(Refused::NothingDue));
    world.now = START.plus(HOUR * 2).minus(TEN);
    assert!(warn(&mut world, grant).is_ok(), "the end is another one");
    assert_eq!(warn(&mut world, grant).err(), Some(Refused::NothingDue));
}

#[test]
fn an_extension_that_is_shorter_than_the_warning_takes_the_timer_away() {
    let (mut world, grant) = world();
    world.now = START.plus(HOUR).minus(TEN / 10);
    let done = extend(&mut world, grant, TEN / 2);
    assert!(done.timers.contains(&TimerChange::Remove { timer: Timer::WarnOfEnd(grant) }));
}

#[test]
fn nobody_is_warned_of_the_end_of_what_does_not_count() {
    let (mut world, grant) = world();
    world.now = START.plus(HOUR).minus(TEN);
    world.state.grants.get_mut(&grant).expect("it").confirmed = false;
    assert_eq!(warn(&mut world, grant).err(), Some(Refused::NothingDue));
    world.state.grants.get_mut(&grant).expect("it").confirmed = true;
    world.kill(KillTarget::Everything);
    assert_eq!(warn(&mut world, grant).err(), Some(Refused::NothingDue));
    assert_eq!(due_at(&world.state, Timer::WarnOfEnd(grant), world.now), None);
    world.state.markers = Arc::new(Markers::default());
    world.now = START.plus(HOUR);
    assert_eq!(warn(&mut world, grant).err(), Some(Refused::NothingDue), "it is over");
}

#[test]
fn a_template_that_warns_of_nothing_sets_no_timer() {
    let mut world = World::new();
    let grant = world.granted();
    let set =
        |timer: &TimerChange| matches!(timer, TimerChange::Set { timer: Timer::WarnOfEnd(_), .. });
    let request = world.submit(&one_step());
    assert!(!world.approve(&lead("bob"), request).expect("approved").timers.iter().any(set));
    world.now = START.plus(HOUR).minus(Duration::from_secs(1));
    assert_eq!(warn(&mut world, grant).err(), Some(Refused::NothingDue));
}
