//! A store that fails in the ways stores fail, around the real one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;

use super::super::timers;
use super::harness::World;
use crate::domain::grant::Grant;
use crate::domain::ids::{GrantId, Partition, PartitionCount, RequestId};
use crate::domain::made::{MadeTemplates, MadeVersion};
use crate::domain::markers::Markers;
use crate::domain::request::Request;
use crate::domain::time::Timestamp;
use crate::domain::uses::Use;
use crate::store::*;

/// How many of the next calls fail, or answer otherwise than the store did.
#[derive(Default)]
pub struct Faults {
    /// Commits that are refused before they reach the store.
    commits: AtomicUsize,
    /// Commits that are written, but whose reply is lost.
    pub replies: AtomicUsize,
    /// Commits that are written, but not confirmed.
    pub unconfirmed: AtomicUsize,
    /// Commits that somebody else overtakes.
    conflicts: AtomicUsize,
    /// Loads that succeed before any fails.
    pub spare_loads: AtomicUsize,
    pub loads: AtomicUsize,
    /// Timers come in pages of this many at most, when it is not 0.
    page: AtomicUsize,
    kills: AtomicUsize,
    /// Partitions that a kill has reached.
    killed: AtomicUsize,
    /// The store is one whose commits can be lost.
    pub can_lose: AtomicBool,
    /// How often it is not told that they are kept.
    pub unsettled: AtomicUsize,
    pub draws: AtomicUsize,
    /// Reads of what was made over the API that fail.
    pub templates: AtomicUsize,
}

pub struct Faulty {
    inner: SharedStore,
    faults: Arc<Faults>,
}

fn strikes(counter: &AtomicUsize) -> bool {
    counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

fn fault<T>() -> Result<T, StoreFault> {
    Err(StoreFault::Unreachable("secret-host:6379 refused".into()))
}

impl Store for Faulty {
    fn partitions(&self) -> PartitionCount {
        self.inner.partitions()
    }

    fn load<'a>(&'a self, load: Load<'a>) -> Answer<'a, Loaded> {
        if !strikes(&self.faults.spare_loads) && strikes(&self.faults.loads) {
            return Box::pin(async { fault() });
        }
        Box::pin(async move {
            let mut loaded = self.inner.load(load).await?;
            loaded.state.confirms_later = self.can_lose_commits();
            Ok(loaded)
        })
    }

    fn commit(&self, commit: Commit) -> Answer<'_, Committed> {
        Box::pin(async move {
            if strikes(&self.faults.commits) {
                return fault();
            }
            if strikes(&self.faults.conflicts) {
                return Ok(Committed::VersionConflict);
            }
            let mut done = self.inner.commit(commit).await?;
            if strikes(&self.faults.replies) {
                return fault();
            }
            if let Committed::Done { durability, .. } = &mut done
                && strikes(&self.faults.unconfirmed)
            {
                *durability = Durability::Unconfirmed;
            }
            Ok(done)
        })
    }

    fn request(&self, id: RequestId) -> Answer<'_, Option<Request>> {
        self.inner.request(id)
    }

    fn grant(&self, id: GrantId) -> Answer<'_, Option<Grant>> {
        self.inner.grant(id)
    }

    fn list_requests<'a>(&'a self, query: &'a ListQuery) -> Answer<'a, Page<Request>> {
        self.inner.list_requests(query)
    }

    fn list_grants<'a>(&'a self, query: &'a ListQuery) -> Answer<'a, Page<Grant>> {
        self.inner.list_grants(query)
    }

    fn markers(&self, partition: Partition) -> Answer<'_, Arc<Markers>> {
        self.inner.markers(partition)
    }

    fn kill(&self, partition: Partition, kill: KillOrder) -> Answer<'_, Durability> {
        if strikes(&self.faults.kills) {
            return Box::pin(async { fault() });
        }
        Box::pin(async move {
            let kept = self.inner.kill(partition, kill).await?;
            self.faults.killed.fetch_add(1, Ordering::SeqCst);
            let lost = strikes(&self.faults.unconfirmed);
            Ok(if lost { Durability::Unconfirmed } else { kept })
        })
    }

    fn draw<'a>(&'a self, name: &'a str) -> Answer<'a, u64> {
        if strikes(&self.faults.draws) {
            return Box::pin(async { fault() });
        }
        self.inner.draw(name)
    }

    fn killed(&self, p: Partition, from: Option<KilledPlace>) -> Answer<'_, Killed> {
        self.inner.killed(p, from)
    }

    fn templates(&self, known: Option<MadeVersion>) -> Answer<'_, Option<MadeTemplates>> {
        if strikes(&self.faults.templates) {
            return Box::pin(async { fault() });
        }
        self.inner.templates(known)
    }

    fn add_uses<'a>(&'a self, p: Partition, uses: &'a [(GrantId, Use)]) -> Answer<'a, ()> {
        self.inner.add_uses(p, uses)
    }

    fn uses<'a>(
        &'a self,
        p: Partition,
        grants: &'a [GrantId],
    ) -> Answer<'a, BTreeMap<GrantId, Use>> {
        self.inner.uses(p, grants)
    }

    fn due_timers(
        &self,
        p: Partition,
        now: Timestamp,
        after: Option<DuePlace>,
        limit: usize,
    ) -> Answer<'_, DueTimers> {
        let page = self.faults.page.load(Ordering::SeqCst);
        self.inner.due_timers(p, now, after, if page == 0 { limit } else { page })
    }

    fn read_events(&self, p: Partition, after: u64, limit: usize) -> Answer<'_, Vec<StoredEvent>> {
        self.inner.read_events(p, after, limit)
    }

    fn cursor<'a>(&'a self, sink: &'a str, partition: Partition) -> Answer<'a, u64> {
        self.inner.cursor(sink, partition)
    }

    fn set_cursor<'a>(&'a self, sink: &'a str, p: Partition, seq: u64) -> Answer<'a, bool> {
        self.inner.set_cursor(sink, p, seq)
    }

    fn claim<'a>(&'a self, sink: &'a str, partition: Partition) -> Answer<'a, bool> {
        self.inner.claim(sink, partition)
    }

    fn can_lose_commits(&self) -> bool {
        self.faults.can_lose.load(Ordering::SeqCst)
    }

    fn settle(&self, partition: Partition) -> Answer<'_, Durability> {
        if strikes(&self.faults.unsettled) {
            return Box::pin(async { Ok(Durability::Unconfirmed) });
        }
        self.inner.settle(partition)
    }

    fn retain(&self, partition: Partition, retention: Retention) -> Answer<'_, Retained> {
        self.inner.retain(partition, retention)
    }

    fn moved(&self) -> tokio::sync::broadcast::Receiver<Partition> {
        self.inner.moved()
    }

    fn probe(&self) -> Answer<'_, ()> {
        self.inner.probe()
    }

    fn dead_letters<'a>(&'a self, sink: &'a str, p: Partition) -> Answer<'a, DeadLetters> {
        self.inner.dead_letters(sink, p)
    }

    fn change_dead_letters<'a>(
        &'a self,
        sink: &'a str,
        p: Partition,
        change: LetterChange,
    ) -> Answer<'a, LettersChanged> {
        self.inner.change_dead_letters(sink, p, change)
    }
}

pub fn world() -> (World, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let world = World::on(|inner| Arc::new(Faulty { inner, faults: faults.clone() }));
    (world, faults)
}

#[tokio::test]
async fn a_lost_reply_is_found_again_and_nothing_happens_twice() {
    let (world, faults) = world();
    faults.replies.store(1, Ordering::SeqCst);
    let id = world.ask("alice", "notes").await.id();
    faults.replies.store(1, Ordering::SeqCst);
    assert_eq!(world.approve("bob", &id).await.body["status"], "approved");
    let events = world.get("erin", "/audit/events").await;
    assert_eq!(events.body["items"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn a_store_that_stays_away_refuses_and_a_retry_with_the_key_completes() {
    let (world, faults) = world();
    let id = world.ask("alice", "notes").await.id();
    let (line, key) = (format!("POST /requests/{id}/approve"), [("idempotency-key", "k")]);
    faults.loads.store(1, Ordering::SeqCst);
    let refused = world.call("bob", &line, None, &key).await;
    assert_eq!(refused.problem(), (503, "store-unreachable".into()));
    assert!(!refused.text.contains("secret-host"), "{}", refused.text);
    faults.replies.store(2, Ordering::SeqCst);
    let refused = world.call("bob", &line, None, &key).await;
    assert_eq!(refused.problem(), (503, "store-unreachable".into()));
    assert_eq!(refused.headers["retry-after"], "1");
    let found = world.call("bob", &line, None, &key).await;
    assert_eq!(found.body["status"], "approved", "{}", found.text);
    let other = world.call("bob", &line, None, &[("idempotency-key", "other")]).await;
    assert_eq!(other.problem(), (409, "already-decided".into()));
}

#[tokio::test]
async fn eight_reloads_are_made_and_no_more() {
    let (world, faults) = world();
    let id = world.ask("alice", "notes").await.id();
    faults.conflicts.store(9, Ordering::SeqCst);
    assert_eq!(world.approve("bob", &id).await.problem(), (409, "conflict".into()));
    faults.conflicts.store(8, Ordering::SeqCst);
    assert_eq!(world.approve("bob", &id).await.status, 200);
}

#[tokio::test]
async fn what_is_unconfirmed_gives_nothing_but_takes_at_once() {
    let (world, faults) = world();
    let (_, grant) = world.granted("alice").await;
    faults.unconfirmed.store(1, Ordering::SeqCst);
    assert_eq!(world.ask("alice", "vault").await.problem(), (503, "unconfirmed".into()));
    faults.unconfirmed.store(1, Ordering::SeqCst);
    let path = format!("/grants/{grant}/revoke");
    let revoked = world.post("bob", &path, json!({ "reason": "over" })).await;
    assert_eq!(revoked.status, 202, "{}", revoked.text);
    assert_eq!(revoked.body["durability"], "unconfirmed");
    assert_eq!(revoked.body["status"], "revoked");
}

#[tokio::test]
async fn a_kill_that_missed_a_partition_says_so_and_a_retry_completes() {
    let (world, faults) = world();
    let (_, grant) = world.granted("alice").await;
    let body = json!({ "template": "notes", "reason": "incident" });
    faults.kills.store(3, Ordering::SeqCst);
    let missed = world.post("root", "/revocations", body.clone()).await;
    assert_eq!(missed.problem(), (503, "store-unreachable".into()));
    assert!(missed.body["detail"].as_str().unwrap().starts_with("61 of 64"), "{}", missed.text);
    assert_eq!(world.post("root", "/revocations", body).await.status, 200);
    let grant = world.get("alice", &format!("/grants/{grant}")).await;
    assert_eq!(grant.body["status"], "revoked");
}

#[tokio::test]
async fn another_body_under_the_key_of_a_kill_is_refused_and_throws_nothing() {
    let (world, faults) = world();
    let kill = async |body: serde_json::Value| {
        let headers = [("idempotency-key", "k")];
        world.call("root", "POST /revocations", Some(body), &headers).await
    };
    let first = kill(json!({ "tool": "notes", "reason": "incident" })).await;
    let (_, grant) = world.granted("alice").await;
    for other in [
        json!({ "tool": "notes", "reason": "another" }),
        json!({ "tool": "vault", "reason": "incident" }),
        json!({ "template": "notes", "reason": "incident" }),
    ] {
        assert_eq!(kill(other).await.problem(), (409, "idempotency-mismatch".into()));
    }
    let again = kill(json!({ "tool": "notes", "reason": "incident" })).await;
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    let shown = world.get("alice", &format!("/grants/{grant}")).await;
    assert_eq!(shown.body["status"], "active", "nothing but the first was thrown");
    for partition in world.api.store.partitions().all() {
        assert_eq!(world.api.store.markers(partition).await.expect("markers").generation, 1);
    }
    // A day later it is another call.
    world.clock.advance(std::time::Duration::from_secs(24 * 60 * 60));
    assert_eq!(kill(json!({ "tool": "vault", "reason": "incident" })).await.status, 200);
    // Where the store does not say whether there was one, the switch is thrown.
    faults.loads.store(1, Ordering::SeqCst);
    assert_eq!(kill(json!({ "tool": "notes", "reason": "now" })).await.status, 200);
    let markers = world.api.store.markers(Partition(9)).await.expect("markers");
    assert_eq!(markers.generation, 3);
}

#[tokio::test]
async fn nothing_is_asked_for_under_a_template_that_cannot_be_confirmed() {
    let (world, faults) = world();
    let body = json!({
        "enabled": true, "accesses": ["notes:operator"], "durations": ["PT30M", "PT1H"],
        "steps": [{ "approvers": { "groups": ["on-call-leads"] } }],
    });
    assert_eq!(world.call("root", "PUT /templates/new", Some(body), &[]).await.status, 201);
    for template in ["new", "unknown"] {
        faults.templates.store(1, Ordering::SeqCst);
        let refused = world.ask("alice", template).await;
        assert_eq!(refused.problem(), (503, "store-unreachable".into()), "{template}");
    }
    // What stands in a file needs nobody's word, once it is known what does not.
    faults.templates.store(1, Ordering::SeqCst);
    assert_eq!(world.ask("alice", "notes").await.status, 201);
    faults.templates.store(0, Ordering::SeqCst);
    assert_eq!(world.ask("alice", "new").await.status, 201);
}

#[tokio::test]
async fn an_eligibility_is_approved_only_under_the_template_as_it_is_now() {
    let (world, faults) = world();
    let body = |subjects: &[&str], enabled: bool| {
        json!({
            "enabled": enabled, "accesses": ["notes:operator"], "durations": ["PT30M", "PT1H"],
            "steps": [{ "approvers": { "groups": ["on-call-leads"] } }],
            "eligible": { "subjects": subjects, "approval": true },
        })
    };
    let put = async |body| {
        let put = world.call("root", "PUT /templates/new", Some(body), &[]).await;
        assert!(put.status.is_success(), "{}", put.text);
    };
    put(body(&["alice", "dave"], true)).await;
    let (alice, dave) = (world.ask("alice", "new").await.id(), world.ask("dave", "new").await.id());
    put(body(&["dave"], true)).await;
    let refused = world.approve("bob", &alice).await;
    assert_eq!(refused.problem(), (403, "not-eligible".into()));
    let may = async |id: &str| {
        let map = world.get("bob", &format!("/requests/{id}/permissions")).await;
        map.body["approve"].clone()
    };
    assert_eq!((may(&alice).await, may(&dave).await), (json!(false), json!(true)));
    put(body(&["dave"], false)).await;
    assert_eq!(world.approve("bob", &dave).await.problem(), (403, "not-eligible".into()));
    put(body(&["dave"], true)).await;
    faults.templates.store(1, Ordering::SeqCst);
    let unknown = world.approve("bob", &dave).await;
    assert_eq!(unknown.problem(), (503, "store-unreachable".into()));
    assert_eq!(world.approve("bob", &dave).await.status, 200);
    // It is still pending, and can be denied.
    let denied = world.post("bob", &format!("/requests/{alice}/deny"), json!({})).await;
    assert_eq!(denied.status, 200, "{}", denied.text);
}

#[tokio::test]
async fn a_retry_of_a_kill_under_its_key_spares_what_was_granted_where_it_bound() {
    let (world, faults) = world();
    let status =
        async |id: &str| world.get("alice", &format!("/grants/{id}")).await.body["status"].clone();
    let kill = async |key| {
        let body = json!({ "tool": "notes", "reason": "incident" });
        let headers = [("idempotency-key", key)];
        world.call("root", "POST /revocations", Some(body), &headers).await.status.as_u16()
    };
    let (_, old) = world.granted("alice").await;
    assert!(old.parse::<GrantId>().expect("an id").partition > Partition(2));
    faults.kills.store(3, Ordering::SeqCst);
    assert_eq!(kill("one").await, 503);
    let (_, new) = world.granted("alice").await;
    assert_eq!(kill("one").await, 200);
    assert_eq!((status(&old).await, status(&new).await), ("revoked".into(), "active".into()));
    for partition in [0, 1, 2, 63].map(Partition) {
        assert_eq!(world.api.store.markers(partition).await.expect("markers").generation, 1);
    }
    assert_eq!(kill("two").await, 200);
    assert_eq!(status(&new).await, "revoked");
}

#[tokio::test]
async fn a_caller_who_hangs_up_leaves_no_kill_half_thrown() {
    let (world, faults) = world();
    let reaches = async |count| {
        while faults.killed.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        () = reaches(1) => (),
        _ = world.post("root", "/revocations", json!({ "tool": "notes", "reason": "now" })) => {
            panic!("it is not over with the first partition")
        }
    }
    let all = tokio::time::timeout(std::time::Duration::from_secs(20), reaches(64)).await;
    assert_eq!(all, Ok(()), "{:?} of 64", faults.killed);
}

#[tokio::test]
async fn timers_that_fail_hold_up_none_of_those_behind_them() {
    let (world, faults) = world();
    let first = world.ask("alice", "notes").await.id();
    world.clock.advance(std::time::Duration::from_secs(1));
    let second = world.ask("alice", "vault").await.id();
    world.clock.advance(std::time::Duration::from_hours(48));
    let expired = async |id: &str| {
        let id = id.parse().expect("an id");
        let request = world.api.store.request(id).await.expect("it reads").expect("it is there");
        !request.is_pending()
    };
    let place = first.parse::<RequestId>().expect("an id").partition;
    faults.page.store(1, Ordering::SeqCst);
    faults.loads.store(1, Ordering::SeqCst);
    timers::run_due(&world.api, place, || false).await;
    assert_eq!((expired(&first).await, expired(&second).await), (false, true));
    timers::run_due(&world.api, place, || false).await;
    assert!(expired(&first).await);
}
