//! Random histories against a reference that is too simple to be wrong: it knows no records, no
//! versions, no markers and no timers, and ends everything at the moment it ends.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::super::execute::Named;
use crate::clock::Clock;
use crate::domain::apply::{grant_status, request_status};
use crate::domain::command::{Authority, Command, Submit};
use crate::domain::event::{EventKind, Resource, Snapshot};
use crate::domain::ids::{GrantId, RequestId};
use crate::domain::markers::KillTarget;
use crate::domain::request::Bounds;
use crate::domain::subject::Person;
use crate::domain::time::Timestamp;
use crate::store::StoredEvent;

mod real;

use real::{Real, person};

const HOLDERS: [&str; 2] = ["alice", "dave"];
const LEADS: [&str; 2] = ["bob", "ben"];
/// Templates, and tools of the same name, with how many leads have to approve.
const TEMPLATES: [(&str, usize); 2] = [("notes", 1), ("pair", 2)];
const HOUR: Duration = Duration::from_hours(1);
const HALF: Duration = Duration::from_mins(30);
/// How often each grant may be extended.
const EXTENSIONS: u32 = 2;

#[derive(Clone, Copy, Debug)]
enum Op {
    Submit { who: usize, what: usize },
    Approve { nth: usize, by: usize },
    Deny { nth: usize, by: usize },
    Cancel { nth: usize },
    Revoke { nth: usize },
    Release { nth: usize },
    Extend { nth: usize },
    RevokeSubject { who: usize },
    Kill { what: usize, by_template: bool },
    Pass { minutes: u64 },
    Timers,
    Sweep,
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let (two, nth) = (0..2_usize, 0..5_usize);
    let minutes = prop_oneof![Just(1), Just(30), Just(59), Just(60), Just(24 * 60)];
    prop_oneof![
        6 => (two.clone(), two.clone()).prop_map(|(who, what)| Op::Submit { who, what }),
        8 => (nth.clone(), two.clone()).prop_map(|(nth, by)| Op::Approve { nth, by }),
        1 => (nth.clone(), two.clone()).prop_map(|(nth, by)| Op::Deny { nth, by }),
        1 => nth.clone().prop_map(|nth| Op::Cancel { nth }),
        1 => nth.clone().prop_map(|nth| Op::Revoke { nth }),
        1 => nth.clone().prop_map(|nth| Op::Release { nth }),
        3 => nth.prop_map(|nth| Op::Extend { nth }),
        1 => two.clone().prop_map(|who| Op::RevokeSubject { who }),
        2 => (two, any::<bool>()).prop_map(|(what, by_template)| Op::Kill { what, by_template }),
        3 => minutes.prop_map(|minutes| Op::Pass { minutes }),
        1 => Just(Op::Timers),
        1 => Just(Op::Sweep),
        1 => Just(Op::Restart),
    ]
}

struct Asked {
    id: RequestId,
    who: usize,
    what: usize,
    until: Timestamp,
    approvals: BTreeSet<usize>,
    status: &'static str,
}

struct Given {
    id: GrantId,
    who: usize,
    what: usize,
    until: Timestamp,
    extended: u32,
    status: &'static str,
}

/// What should be so. A request is `pending` and a grant `active` until something ends it.
#[derive(Default)]
struct Reference {
    asked: Vec<Asked>,
    given: Vec<Given>,
    /// What the kill switch was thrown for: by template, or by tool.
    killed: BTreeSet<(usize, bool)>,
}

impl Reference {
    fn end(&mut self, hit: impl Fn(usize, usize) -> bool) {
        let asked = self.asked.iter_mut().filter(|a| a.status == "pending" && hit(a.who, a.what));
        asked.for_each(|asked| asked.status = "cancelled");
        let given = self.given.iter_mut().filter(|g| g.status == "active" && hit(g.who, g.what));
        given.for_each(|given| given.status = "revoked");
    }

    fn pass(&mut self, now: Timestamp) {
        let asked = self.asked.iter_mut().filter(|a| a.status == "pending" && a.until <= now);
        asked.for_each(|asked| asked.status = "expired");
        let given = self.given.iter_mut().filter(|g| g.status == "active" && g.until <= now);
        given.for_each(|given| given.status = "expired");
    }

    fn live(&self, who: usize, what: usize) -> BTreeSet<GrantId> {
        let live = |g: &&Given| g.status == "active" && (g.who, g.what) == (who, what);
        self.given.iter().filter(live).map(|given| given.id).collect()
    }
}

fn holder(who: usize) -> Person {
    person(HOLDERS[who], "engineering")
}

fn lead(by: usize) -> Person {
    person(LEADS[by], "on-call-leads")
}

/// The `nth` from the end, so that most of what happens happens to what is recent.
fn recent<T>(items: &mut [T], nth: usize) -> Option<&mut T> {
    let back = items.len().checked_sub(1)?;
    items.get_mut(back - nth.min(back))
}

async fn submit(real: &Real, reference: &mut Reference, who: usize, what: usize) {
    let template = real.api().catalog.load().templates[TEMPLATES[what].0].clone();
    let (requester, justification) = (holder(who), "INC-1".to_owned());
    let (duration, fields) = (Some(HOUR), std::collections::BTreeMap::new());
    let (break_glass, rule_holds) = (false, false);
    let people = std::sync::Arc::default();
    let submit = Submit {
        template,
        requester,
        duration,
        justification,
        fields,
        break_glass,
        rule_holds,
        people,
    };
    let done = real.run(who, holder(who), Named::Nothing, Command::Submit(submit)).await;
    let waits = |a: &Asked| a.status == "pending" && (a.who, a.what) == (who, what);
    assert_eq!(done.is_some(), !reference.asked.iter().any(waits));
    let Some((ids, _)) = done else { return };
    let (until, approvals) = (real.clock.now().plus(HOUR * 24), BTreeSet::new());
    reference.asked.push(Asked { id: ids[0], who, what, until, approvals, status: "pending" });
}

async fn approve(real: &Real, reference: &mut Reference, nth: usize, by: usize) {
    let Some(asked) = recent(&mut reference.asked, nth) else { return };
    let (request, bounds) = (asked.id, Bounds::default());
    let command = Command::Approve { request, step: None, comment: None, bounds };
    let done = real.run(asked.who, lead(by), Named::Request(request), command).await;
    let counts = asked.status == "pending" && asked.approvals.insert(by);
    assert_eq!(done.is_some(), counts);
    let Some((_, grants)) = done else { return };
    let is_last = asked.approvals.len() == TEMPLATES[asked.what].1;
    assert_eq!(grants.len(), usize::from(is_last));
    let Some(&id) = grants.first() else { return };
    asked.status = "approved";
    let (who, what, until) = (asked.who, asked.what, real.clock.now().plus(HOUR));
    reference.given.push(Given { id, who, what, until, extended: 0, status: "active" });
}

/// Does it to both; they have to agree on whether it is refused.
async fn step(real: &mut Real, reference: &mut Reference, op: Op) {
    let text = String::new;
    match op {
        Op::Submit { who, what } => submit(real, reference, who, what).await,
        Op::Approve { nth, by } => approve(real, reference, nth, by).await,
        Op::Deny { nth, by } => {
            let Some(asked) = recent(&mut reference.asked, nth) else { return };
            let command = Command::Deny { request: asked.id, step: None, reason: text() };
            let done = real.run(asked.who, lead(by), Named::Request(asked.id), command).await;
            agree(&mut asked.status, "pending", "denied", done.is_some());
        }
        Op::Cancel { nth } => {
            let Some(asked) = recent(&mut reference.asked, nth) else { return };
            let command = Command::Cancel { request: asked.id, reason: text() };
            let by = holder(asked.who);
            let done = real.run(asked.who, by, Named::Request(asked.id), command).await;
            agree(&mut asked.status, "pending", "cancelled", done.is_some());
        }
        Op::Revoke { nth } => {
            let Some(given) = recent(&mut reference.given, nth) else { return };
            let (grant, authority) = (given.id, Authority::Approver);
            let command = Command::Revoke { grant, reason: text(), authority };
            let done = real.run(given.who, lead(0), Named::Grant(grant), command).await;
            agree(&mut given.status, "active", "revoked", done.is_some());
        }
        Op::Release { nth } => {
            let Some(given) = recent(&mut reference.given, nth) else { return };
            let command = Command::Release { grant: given.id, reason: text() };
            let by = holder(given.who);
            let done = real.run(given.who, by, Named::Grant(given.id), command).await;
            agree(&mut given.status, "active", "released", done.is_some());
        }
        Op::Extend { nth } => {
            let Some(given) = recent(&mut reference.given, nth) else { return };
            let (grant, justification) = (given.id, "INC-1".to_owned());
            let command = Command::Extend { grant, by: HALF, justification };
            let by = holder(given.who);
            let done = real.run(given.who, by, Named::Grant(grant), command).await;
            let may = given.status == "active" && given.extended < EXTENSIONS;
            assert_eq!(done.is_some(), may, "{}", given.status);
            if may {
                (given.until, given.extended) = (given.until.plus(HALF), given.extended + 1);
            }
        }
        Op::RevokeSubject { who } => {
            let command = Command::RevokeSubject { reason: text() };
            assert!(real.run(who, lead(0), Named::Nothing, command).await.is_some());
            reference.end(|whose, _| whose == who);
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
        Op::Timers => real.timers().await,
        Op::Sweep => real.sweep().await,
        Op::Restart => real.restart(),
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
async fn compare(real: &Real, reference: &Reference) {
    let (store, now) = (&real.api().store, real.clock.now());
    for (who, what) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        assert_eq!(real.live(who, what).await, reference.live(who, what));
    }
    for asked in &reference.asked {
        let markers = store.markers(asked.id.partition).await.expect("markers");
        let request = store.request(asked.id).await.expect("it reads").expect("it is there");
        assert_eq!(request_status(&request, &markers, now), asked.status);
    }
    for given in &reference.given {
        let markers = store.markers(given.id.partition).await.expect("markers");
        let grant = store.grant(given.id).await.expect("it reads").expect("it is there");
        assert_eq!(grant_status(&grant, &markers, now).word(), given.status);
    }
}

/// When timers and sweeper are through, the records say it too, and each end was told once.
async fn compare_records(real: &mut Real, reference: &Reference) {
    real.timers().await;
    real.sweep().await;
    compare(real, reference).await;
    let events = real.events().await;
    let ends = |resource| -> Vec<&str> {
        let of = events.iter().filter(move |stored| stored.event.resource == resource);
        of.filter_map(|stored| end_word(stored.event.kind)).collect()
    };
    let store = &real.api().store;
    for asked in &reference.asked {
        let request = store.request(asked.id).await.expect("it reads").expect("it is there");
        assert_eq!(request.status.word(), asked.status);
        let expected = (asked.status != "pending").then_some(asked.status);
        assert_eq!(ends(Resource::Request(asked.id)), Vec::from_iter(expected));
        let escalated = told(&events, Resource::Request(asked.id), EventKind::RequestEscalated);
        assert!(escalated.len() <= 1);
    }
    for given in &reference.given {
        let grant = store.grant(given.id).await.expect("it reads").expect("it is there");
        assert_eq!(grant.ended.is_some(), given.status != "active");
        let expected = (given.status != "active").then_some(given.status);
        assert_eq!(ends(Resource::Grant(given.id)), Vec::from_iter(expected));
        let mut warned = told(&events, Resource::Grant(given.id), EventKind::GrantExpiring);
        let warnings = warned.len();
        warned.dedup();
        assert_eq!(warned.len(), warnings, "once of each end");
        let extended = told(&events, Resource::Grant(given.id), EventKind::GrantExtended);
        assert_eq!(extended.len(), usize::try_from(given.extended).expect("few"));
        assert_eq!((grant.expires_at, grant.terms.extended), (given.until, given.extended));
    }
}

/// What each event of a kind says of its object.
fn told(events: &[StoredEvent], of: Resource, kind: EventKind) -> Vec<Snapshot> {
    let events = events.iter().map(|stored| &stored.event);
    let of_kind = events.filter(|event| event.resource == of && event.kind == kind);
    of_kind.map(|event| event.after.clone()).collect()
}

fn end_word(kind: EventKind) -> Option<&'static str> {
    match kind {
        EventKind::RequestSubmitted
        | EventKind::RequestCommented
        | EventKind::RequestStepApproved
        | EventKind::GrantActivated
        | EventKind::RequestEscalated
        | EventKind::GrantExtended
        | EventKind::GrantExpiring
        | EventKind::BreakglassUsed
        | EventKind::BreakglassReviewed
        | EventKind::BreakglassOverdue
        | EventKind::TemplateChanged => None,
        EventKind::RequestApproved => Some("approved"),
        EventKind::RequestDenied => Some("denied"),
        EventKind::RequestCancelled => Some("cancelled"),
        EventKind::RequestExpired | EventKind::GrantExpired => Some("expired"),
        EventKind::GrantRevoked => Some("revoked"),
        EventKind::GrantReleased => Some("released"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        max_shrink_time: 20_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_store_agrees_with_the_model_after_every_command(
        ops in proptest::collection::vec(op(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(async {
            let (mut real, mut reference) = (Real::new(), Reference::default());
            for op in ops {
                step(&mut real, &mut reference, op).await;
                compare(&real, &reference).await;
            }
            compare_records(&mut real, &reference).await;
        });
    }
}
