//! Break-glass, eligibilities and rules, over the API.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::timers;
use super::harness::{Reply, World};
use crate::domain::rules::{BreakGlass, Eligible, Rules};
use crate::domain::template::{Catalog, Requesters, Template};

const HOUR: Duration = Duration::from_hours(1);

impl World {
    /// Changes one template of the catalog.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut Template)) {
        let mut catalog = Catalog::clone(&self.api.catalog.load());
        let template = catalog.templates.get_mut(name).expect("a template");
        change(Arc::make_mut(template));
        self.api.catalog.store(Arc::new(catalog));
    }

    fn rules(&self, name: &str, change: impl FnOnce(&mut Rules)) {
        self.change(name, |template| change(&mut template.rules));
    }

    fn with_break_glass(names: &[&str]) -> Self {
        let world = Self::new();
        for name in names {
            world.rules(name, |rules| {
                let groups = vec!["engineering".into()];
                let (duration, review_within) = (HOUR / 2, HOUR * 4);
                rules.break_glass = Some(BreakGlass { groups, duration, review_within });
            });
        }
        world
    }

    async fn break_glass(&self, who: &str, template: &str) -> Reply {
        let body = json!({ "template": template, "break_glass": true, "justification": "fire" });
        self.post(who, "/requests", body).await
    }

    async fn review(&self, who: &str, id: &str) -> Reply {
        self.post(who, &format!("/requests/{id}/review"), json!({ "comment": "right" })).await
    }

    async fn run_timers(&self) {
        for partition in self.api.store.partitions().all() {
            timers::run_due(&self.api, partition, || false).await;
        }
    }

    async fn event_types(&self) -> Vec<String> {
        let events = self.get("erin", "/audit/events").await;
        let kind = |event: &Value| {
            let kind = event["type"].as_str()?.strip_prefix("dev.tidegate.")?;
            Some(kind.trim_end_matches(".v1").to_owned())
        };
        events.body["items"].as_array().expect("events").iter().filter_map(kind).collect()
    }

    async fn listed(&self, who: &str, path: &str) -> usize {
        let reply = self.get(who, path).await;
        reply.body["items"].as_array().expect("a list").len()
    }
}

#[tokio::test]
async fn break_glass_is_access_at_once_that_owes_a_review() {
    let world = World::with_break_glass(&["notes", "vault"]);
    let given = world.break_glass("alice", "notes").await;
    let id = given.id();
    assert_eq!((given.status.as_u16(), &given.body["status"]), (201, &json!("approved")));
    assert_eq!(given.body["duration"], "PT30M");
    assert_eq!(given.body["steps"][0]["status"], "skipped");
    assert_eq!(given.body["way"]["by"], "break-glass");
    assert_eq!(given.body["way"]["review"]["status"], "owed");
    let grants = world.get("alice", "/grants?status=active").await;
    assert_eq!(grants.body["items"][0]["approvers"], json!([]));
    assert_eq!(world.listed("alice", "/requests?status=pending").await, 0);
    assert_eq!(world.listed("bob", "/requests?status=pending").await, 0);
    assert_eq!(world.listed("bob", "/requests?status=approved").await, 1);

    let next = world.break_glass("alice", "vault").await;
    assert_eq!(next.problem(), (409, "review-debt".into()));
    assert_eq!(world.review("alice", &id).await.problem(), (403, "self-approval".into()));
    assert_eq!(world.review("alice-too", &id).await.problem(), (404, "not-found".into()));
    assert_eq!(world.review("erin", &id).await.problem(), (403, "policy-denied".into()));
    assert_eq!(world.review("carol", &id).await.problem(), (403, "not-eligible".into()));
    for (who, may) in [("alice", false), ("carol", false), ("bob", true), ("root", true)] {
        let shown = world.get(who, &format!("/requests/{id}/permissions")).await;
        assert_eq!(shown.body["review"], may, "{who}");
    }
    let reviewed = world.review("bob", &id).await;
    let review = &reviewed.body["way"]["review"];
    assert_eq!(review["status"], "reviewed", "{}", reviewed.text);
    assert_eq!((&review["by"], &review["comment"]), (&json!("bob"), &json!("right")));
    assert_eq!(world.review("bob", &id).await.problem(), (409, "conflict".into()));
    assert_eq!(world.break_glass("alice", "vault").await.status, 201);

    let types = world.event_types().await;
    let given =
        ["request.submitted", "breakglass.used", "request.approved", "grant.activated"].as_slice();
    assert_eq!(types, [given, &["breakglass.reviewed"], given].concat());
    let metrics = &world.api.metrics;
    let label =
        |outcome| crate::telemetry::metrics::ApprovalLabels { template: "notes".into(), outcome };
    assert_eq!(metrics.approvals.get_or_create(&label("submitted")).get(), 1);
    assert_eq!(metrics.approvals.get_or_create(&label("approved")).get(), 1);
}

#[tokio::test]
async fn an_admin_reviews_what_they_could_not_decide() {
    let world = World::with_break_glass(&["notes"]);
    let id = world.break_glass("alice", "notes").await.id();
    assert_eq!(world.review("root", &id).await.status, 200);
}

#[tokio::test]
async fn a_review_that_is_late_is_announced_once_also_after_the_grant_is_over() {
    let world = World::with_break_glass(&["notes"]);
    let id = world.break_glass("alice", "notes").await.id();
    world.clock.advance(HOUR * 3 + Duration::from_secs(3599));
    world.run_timers().await;
    let shown = world.get("alice", &format!("/requests/{id}")).await;
    assert_eq!(shown.body["way"]["review"]["status"], "owed");
    world.clock.advance(Duration::from_secs(1));
    tokio::join!(world.run_timers(), world.run_timers());
    world.run_timers().await;
    let shown = world.get("alice", &format!("/requests/{id}")).await;
    assert_eq!(shown.body["way"]["review"]["status"], "overdue");
    let types = world.event_types().await;
    assert_eq!(types.iter().filter(|kind| *kind == "breakglass.overdue").count(), 1);
    let next = world.break_glass("alice", "notes").await;
    assert_eq!(next.problem(), (409, "review-debt".into()));
    assert_eq!(world.review("bob", &id).await.status, 200);
}

#[tokio::test]
async fn a_kill_ends_the_access_of_a_break_glass_and_leaves_its_debt() {
    let world = World::with_break_glass(&["notes"]);
    let id = world.break_glass("alice", "notes").await.id();
    let reason = json!({ "subject": "alice", "reason": "left" });
    let killed = world.post("root", "/revocations", reason).await;
    assert_eq!((&killed.body["revoked"], &killed.body["cancelled"]), (&json!(1), &json!(0)));
    assert_eq!(world.listed("alice", "/grants?status=active").await, 0);
    let next = world.break_glass("alice", "notes").await;
    assert_eq!(next.problem(), (409, "review-debt".into()));
    let shown = world.get("bob", &format!("/requests/{id}")).await;
    assert_eq!(shown.body["status"], "approved");
    // The review settles the debt, and not what the kill switch says.
    assert_eq!(world.review("bob", &id).await.status, 200);
    assert_eq!(world.break_glass("alice", "notes").await.problem(), (403, "suspended".into()));
    world.clock.advance(HOUR * 24);
    assert_eq!(world.break_glass("alice", "notes").await.status, 201);
}

#[tokio::test]
async fn after_a_kill_switch_approvers_decide_until_the_time_that_it_names() {
    let world = World::new();
    world.change("closed", |template| {
        template.steps = vec![super::harness::step(&["on-call-leads"], 1)];
        let subjects = vec!["alice".into()];
        template.rules.eligible = Some(Eligible { subjects, ..Eligible::default() });
    });
    let kill = |until: &str| {
        let body = json!({ "subject": "alice", "reason": "stolen", "until": until });
        world.post("root", "/revocations", body)
    };
    assert_eq!(world.ask("alice", "closed").await.body["status"], "approved");
    let killed = kill("2027-01-15T10:00:00Z").await;
    assert_eq!((killed.status.as_u16(), &killed.body["revoked"]), (200, &json!(1)));
    let asked = world.ask("alice", "closed").await;
    assert_eq!(asked.body["status"], "pending", "{}", asked.text);
    assert_eq!(world.approve("bob", &asked.id()).await.status, 200);
    for (until, pointer) in [("yesterday", "/until"), ("2027-01-15T08:00:00Z", "/until")] {
        let refused = kill(until).await;
        assert_eq!((refused.problem().0, refused.pointers()), (422, vec![pointer]), "{until}");
    }
    let tool = json!({ "tool": "notes", "reason": "x", "until": "2027-01-15T10:00:00Z" });
    assert_eq!(world.post("root", "/revocations", tool).await.pointers(), ["/until"]);
    world.clock.advance(HOUR * 2);
    assert_eq!(world.ask("alice", "closed").await.body["status"], "approved");
}

#[tokio::test]
async fn a_break_glass_sent_again_is_the_same_one() {
    let world = World::with_break_glass(&["notes"]);
    let body = json!({ "template": "notes", "break_glass": true, "justification": "fire" });
    let key = [("idempotency-key", "k1")];
    let first = world.call("alice", "POST /requests", Some(body.clone()), &key).await;
    let again = world.call("alice", "POST /requests", Some(body.clone()), &key).await;
    assert_eq!((first.id(), first.status), (again.id(), again.status));
    assert_eq!(world.listed("alice", "/grants").await, 1);
}

#[tokio::test]
async fn fifty_break_glasses_at_once_give_one_grant() {
    let world = Arc::new(World::with_break_glass(&["notes", "vault"]));
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..50 {
        let world = world.clone();
        let template = if number % 2 == 0 { "notes" } else { "vault" };
        calls.spawn(async move { world.break_glass("alice", template).await });
    }
    let replies = calls.join_all().await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 1);
    for lost in replies.iter().filter(|reply| reply.status != 201) {
        assert_eq!(lost.problem(), (409, "review-debt".into()));
    }
    assert_eq!(world.listed("alice", "/grants").await, 1);
}

#[tokio::test]
async fn a_break_glass_that_cannot_be_changes_nothing() {
    let world = World::with_break_glass(&["notes"]);
    let ask = |change: Value| {
        let mut body = json!({ "template": "notes", "break_glass": true, "justification": "fire" });
        body.as_object_mut().expect("a map").extend(change.as_object().expect("a map").clone());
        body
    };
    for (change, pointer) in [
        (json!({ "template": "pair" }), "/break_glass"),
        (json!({ "break_glass": "yes" }), "/break_glass"),
        (json!({ "break_glass": null }), "/break_glass"),
        (json!({ "duration": "PT1H" }), "/duration"),
        (json!({ "duration": "PT0S" }), "/duration"),
        (json!({ "justification": " " }), "/justification"),
        (json!({ "fields": { "ticket": "longer than ten" } }), "/fields/ticket"),
        (json!({ "review": true }), "/review"),
    ] {
        let reply = world.post("alice", "/requests", ask(change.clone())).await;
        assert_eq!(reply.problem(), (422, "invalid-input".into()), "{change}");
        assert_eq!(reply.pointers(), [pointer], "{change}");
    }
    let other = world.post("root", "/requests", ask(json!({ "subject": "alice" }))).await;
    assert_eq!(other.problem(), (403, "not-eligible".into()));
    let lead = world.break_glass("lead1", "notes").await;
    assert_eq!(lead.problem(), (403, "not-eligible".into()));
    assert_eq!(world.listed("bob", "/requests").await, 0);
    assert_eq!(world.listed("bob", "/grants").await, 0);
}

#[tokio::test]
async fn bad_reviews_change_nothing() {
    let world = World::with_break_glass(&["notes"]);
    let id = world.break_glass("alice", "notes").await.id();
    let path = format!("/requests/{id}/review");
    let long = world.post("bob", &path, json!({ "comment": "x".repeat(4097) })).await;
    assert_eq!(
        (long.problem(), long.pointers()),
        ((422, "invalid-input".into()), vec!["/comment"])
    );
    let extra = world.post("bob", &path, json!({ "approve": true })).await;
    assert_eq!(extra.pointers(), ["/approve"]);
    let stale = world.call("bob", &format!("POST {path}"), None, &[("if-match", "\"9\"")]).await;
    assert_eq!(stale.problem(), (412, "precondition-failed".into()));
    for garbage in ["req_0_x", "x", "req_20_7vk48h8ts944m9325x4xcp3qaz"] {
        let reply = world.review("bob", garbage).await;
        assert_eq!(reply.problem(), (404, "not-found".into()));
    }
    let ordinary = world.ask("dave", "pair").await.id();
    assert_eq!(world.review("root", &ordinary).await.problem(), (409, "conflict".into()));
    let shown = world.get("bob", &format!("/requests/{id}")).await;
    assert_eq!(shown.body["way"]["review"]["status"], "owed");
    assert_eq!(world.review("bob", &id).await.status, 200);
}

#[tokio::test]
async fn eligibilities_are_listed_and_activated_by_a_request() {
    let world = World::new();
    world.change("closed", |template| {
        template.requesters = Requesters::Anyone;
        let until = Some(super::harness::START.plus(HOUR * 2));
        let subjects = vec!["alice".into()];
        template.rules.eligible = Some(Eligible { subjects, until, ..Eligible::default() });
    });
    let own = world.get("alice", "/eligibilities").await;
    let expected = json!([{ "template": "closed", "title": "closed", "accesses": ["closed:operator"],
        "durations": ["PT30M", "PT1H"], "default_duration": "PT1H",
        "until": "2027-01-15T10:00:00.000Z", "needs_approval": false }]);
    assert_eq!(own.body["items"], expected);
    assert_eq!(world.listed("dave", "/eligibilities").await, 0);
    let shown = |reply: Reply, name: &str| {
        let items = reply.body["items"].as_array().expect("a catalog").clone();
        items.into_iter().find(|item| item["name"] == name).expect("the template")
    };
    let view = shown(world.get("alice", "/catalog").await, "closed");
    assert_eq!((&view["eligible"], &view["may_request"]), (&json!(true), &json!(true)));
    let view = shown(world.get("dave", "/catalog").await, "closed");
    assert_eq!((&view["eligible"], &view["may_request"]), (&json!(false), &json!(false)));

    let activated = world.ask("alice", "closed").await;
    assert_eq!(activated.body["status"], "approved", "{}", activated.text);
    assert_eq!(activated.body["way"], json!({ "by": "eligibility" }));
    assert_eq!(world.listed("alice", "/grants?status=active").await, 1);
    assert_eq!(world.ask("dave", "closed").await.problem(), (403, "not-eligible".into()));
    let others = json!({ "template": "closed", "subject": "alice", "justification": "x" });
    let others = world.post("root", "/requests", others).await;
    assert_eq!(others.body["status"], "pending");

    world.clock.advance(HOUR * 2);
    assert_eq!(world.listed("alice", "/eligibilities").await, 0);
    assert_eq!(world.ask("alice", "closed").await.problem(), (403, "not-eligible".into()));
}

#[tokio::test]
async fn a_rule_approves_by_group_time_of_day_and_duration_and_is_told() {
    let world = World::new();
    let rule = "'engineering' in requester.groups && request.duration <= duration('30m') \
        && now.getHours() < 9 && request.fields.ticket.startsWith('OPS-')";
    world.rules("notes", |rules| rules.auto_approve = Some(rule.into()));
    let ask = |who: &'static str, duration: &str, more: Value| {
        let mut body = json!({ "template": "notes", "duration": duration, "justification": "x" });
        body.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        let world = &world;
        async move { world.post(who, "/requests", body).await }
    };
    let ticket = || json!({ "fields": { "ticket": "OPS-1" } });
    let given = ask("alice", "PT30M", ticket()).await;
    assert_eq!(given.body["status"], "approved", "{}", given.text);
    assert_eq!(given.body["way"], json!({ "by": "rule", "rule": rule }));
    let kind = "dev.tidegate.request.approved.v1";
    let told = world.get("erin", &format!("/audit/events?type={kind}")).await;
    assert!(told.text.contains("auto-approve rule: 'engineering' in"), "{}", told.text);

    // Too long; a field that the rule reads and that is not there; somebody else's.
    assert_eq!(ask("alice", "PT1H", ticket()).await.body["status"], "pending");
    assert_eq!(ask("dave", "PT30M", json!({})).await.body["status"], "pending");
    let mut others = ticket();
    others["subject"] = json!("frank");
    world.change("notes", |template| template.requesters = Requesters::Anyone);
    let others = ask("root", "PT30M", others).await;
    assert_eq!(others.body["status"], "pending", "{}", others.text);
    world.clock.advance(HOUR);
    assert_eq!(ask("eve", "PT30M", ticket()).await.body["status"], "pending");
}

#[tokio::test]
async fn a_rule_that_comes_to_nothing_leaves_the_decision_to_people() {
    let world = World::new();
    for (who, rule) in
        [("alice", "request.fields.absent"), ("dave", "not CEL"), ("eve", "7 / 0 == 1")]
    {
        world.rules("notes", |rules| rules.auto_approve = Some(rule.into()));
        let asked = world.ask(who, "notes").await;
        assert_eq!(asked.body["status"], "pending", "{rule}: {}", asked.text);
        assert_eq!(world.approve("bob", &asked.id()).await.status, 200);
    }
}
