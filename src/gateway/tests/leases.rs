//! Exchanges that are still open when what permitted them ends, changes or cannot be asked about.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::config::Limits;
use crate::domain::grant::{EndedWhy, Tombstone};
use crate::domain::subject::SubjectKey;
use crate::domain::time::Timestamp;
use crate::store::StoreFault;
use crate::telemetry::metrics::CauseLabel;

use super::harness::{Harness, get, limits, with};
use super::tool::Answer;
use super::wire::Client;
use super::world::{START, State, Verdict, grant_id};

const HEAD: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A gateway whose tool answers with a stream that the test writes.
struct Streams {
    gateway: Harness,
    pipes: Arc<std::sync::Mutex<Vec<mpsc::UnboundedSender<Vec<u8>>>>>,
}

/// With a long grace, so that nothing but the look of a second and words make it look.
fn patient() -> Limits {
    Limits { stream_grace: Duration::from_mins(1), ..limits() }
}

fn impatient() -> Limits {
    Limits { stream_grace: Duration::from_millis(300), ..limits() }
}

impl Streams {
    async fn start(limits: Limits) -> Self {
        let long = |tool: &mut crate::config::ToolConfig| {
            tool.timeouts.response = Duration::from_mins(1);
        };
        let gateway = Harness::with(limits, long).await;
        let pipes = Arc::<std::sync::Mutex<Vec<_>>>::default();
        let opened = Arc::clone(&pipes);
        gateway.tool.answers(move |_| {
            let (pipe, pieces) = mpsc::unbounded_channel();
            opened.lock().expect("not poisoned").push(pipe);
            Answer::Piped(Arc::new(tokio::sync::Mutex::new(pieces)))
        });
        Self { gateway, pipes }
    }

    fn write(&self, number: usize, text: &str) {
        let sent = self.pipes.lock().expect("not poisoned")[number].send(text.as_bytes().to_vec());
        sent.expect("the tool writes");
    }

    /// A stream that has begun and is watched.
    async fn open(&self, path: &str) -> Client {
        let (number, watched) = (self.pipes.lock().expect("not poisoned").len(), self.watched());
        let mut client = self.gateway.client().await;
        client.send(get(path).as_bytes()).await;
        until("the tool to be asked", || self.pipes.lock().expect("fine").len() > number).await;
        self.write(number, &format!("{HEAD}5\r\nfirst\r\n"));
        client.until("first\r\n").await;
        until("the stream to be watched", || self.watched() > watched).await;
        client
    }

    /// Whether what the tool says reaches the client.
    async fn flows(&self, number: usize, client: &mut Client) {
        self.write(number, "4\r\nmore\r\n");
        client.until("more\r\n").await;
    }

    fn watched(&self) -> i64 {
        self.gateway.shared.metrics.open_leases.get()
    }

    /// The cause of every cut, and the grants that it names.
    fn causes(&self) -> Vec<&'static str> {
        self.gateway.world.cuts().iter().map(|cut| cut.cause).collect()
    }

    async fn is_cut(&self, client: &mut Client, cause: &'static str) {
        let rest = client.rest().await;
        assert!(!rest.ends_with(b"0\r\n\r\n"), "it did not end by itself");
        assert_eq!(self.causes(), [cause]);
        let counted = self.gateway.shared.metrics.leases_cut.get_or_create(&CauseLabel { cause });
        assert_eq!(counted.get(), 1);
        until("the lease to be forgotten", || self.watched() == 0).await;
    }

    fn revoke(state: &mut State, number: u8) {
        Self::end(state, number, EndedWhy::Revoked);
    }

    fn end(state: &mut State, number: u8, why: EndedWhy) {
        state.grants.retain(|grant| grant.id != grant_id(number));
        let (grant, tool) = (grant_id(number), "notes".into());
        state.ended.push(Tombstone { grant, tool, why, at: START });
    }

    fn reads(&self) -> usize {
        self.gateway.world.reads.load(Ordering::SeqCst)
    }

    fn looks(&self) -> usize {
        self.gateway.world.looks.load(Ordering::SeqCst)
    }

    /// Until everything was read that had to be after a commit.
    async fn is_checked(&self, reads: usize) {
        until("the lease to be checked", || self.reads() > reads).await;
        let looks = self.looks();
        until("another look", || self.looks() > looks).await;
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "waited for {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn extend(state: &mut State, number: u8, to: Timestamp) {
    let grant = state.grants.iter_mut().find(|grant| grant.id == grant_id(number));
    grant.expect("a grant").expires_at = to;
}

fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

#[tokio::test]
async fn a_stream_is_a_lease_until_it_ends_and_short_exchanges_cost_no_look() {
    let streams = Streams::start(patient()).await;
    streams.gateway.world.grant(1, "alice", "notes", "operator");
    let mut client = streams.open("/a").await;
    assert_eq!(streams.watched(), 1);
    streams.write(0, "0\r\n\r\n");
    client.until("0\r\n\r\n").await;
    until("the lease to be forgotten", || streams.watched() == 0).await;
    streams.gateway.tool.answers(|_| Answer::ok());
    let looks = streams.looks();
    for _ in 0..50 {
        assert_eq!(streams.gateway.get("/a").await.status, 200);
    }
    assert_eq!((streams.looks(), streams.causes()), (looks, Vec::new()));
}

#[tokio::test]
async fn a_revocation_cuts_the_stream_that_it_is_told_of() {
    let streams = Streams::start(patient()).await;
    streams.gateway.world.grant(1, "alice", "notes", "operator");
    let mut client = streams.open("/a").await;
    streams.gateway.world.commit(|state| Streams::revoke(state, 1));
    streams.is_cut(&mut client, "revoked").await;
    let cut = &streams.gateway.world.cuts()[0];
    assert_eq!((&cut.grants[..], &*cut.record.target), (&[grant_id(1)][..], "/a"));
    assert_eq!(cut.record.id, streams.gateway.world.records()[0].id);
    assert_eq!(streams.gateway.world.records().len(), 1, "a cut is no decision");
}

#[tokio::test]
async fn a_revocation_of_which_no_word_came_is_found_by_looking() {
    let streams = Streams::start(patient()).await;
    streams.gateway.world.grant(1, "alice", "notes", "operator");
    let mut client = streams.open("/a").await;
    streams.gateway.world.commit_silently(|state| Streams::revoke(state, 1));
    streams.is_cut(&mut client, "revoked").await;
}

#[tokio::test]
async fn a_revocation_between_the_read_and_the_registration_is_found_by_the_first_look() {
    let streams = Streams::start(patient()).await;
    streams.gateway.world.grant(1, "alice", "notes", "operator");
    let mut client = streams.gateway.client().await;
    let world = Arc::clone(&streams.gateway.world);
    streams.gateway.tool.answers(move |_| {
        world.commit_silently(|state| Streams::revoke(state, 1));
        Answer::text(&format!("{HEAD}5\r\nfirst\r\n"))
    });
    client.send(get("/a").as_bytes()).await;
    streams.is_cut(&mut client, "revoked").await;
    assert_eq!(streams.looks(), 1);
}

#[tokio::test]
async fn a_release_and_an_end_that_was_recorded_have_causes_of_their_own() {
    for (why, cause) in [(EndedWhy::Released, "released"), (EndedWhy::Expired, "expired")] {
        let streams = Streams::start(patient()).await;
        streams.gateway.world.grant(1, "alice", "notes", "operator");
        let mut client = streams.open("/a").await;
        streams.gateway.world.commit(|state| Streams::end(state, 1, why));
        streams.is_cut(&mut client, cause).await;
    }
}

#[tokio::test]
async fn a_store_that_does_not_tell_how_a_grant_ended_does_not_delay_the_cut() {
    let streams = Streams::start(patient()).await;
    streams.gateway.world.grant(1, "alice", "notes", "operator");
    let mut client = streams.open("/a").await;
    let never = Arc::new(tokio::sync::Semaphore::new(0));
    streams.gateway.world.commit(|state| {
        state.slow_tombstones = Some(never);
        Streams::end(state, 1, EndedWhy::Released);
    });
    streams.is_cut(&mut client, "revoked").await;
}

#[tokio::test]
async fn a_stream_goes_on_while_another_grant_permits_it() {
    let streams = Streams::start(patient()).await;
    streams.gateway.world.grant(1, "alice", "notes", "operator");
    streams.gateway.world.grant(2, "alice", "notes", "operator");
    let mut client = streams.open("/a").await;
    let reads = streams.reads();
    streams.gateway.world.commit(|state| Streams::revoke(state, 1));
    streams.is_checked(reads).await;
    streams.flows(0, &mut client).await;
    streams.gateway.world.commit(|state| Streams::revoke(state, 2));
    streams.is_cut(&mut client, "revoked").await;
    assert_eq!(streams.gateway.world.cuts()[0].grants, [grant_id(2)]);
}

#[tokio::test]
async fn a_policy_that_needs_the_lost_role_cuts_for_the_loss_of_it() {
    let streams = Streams::start(patient()).await;
    streams.gateway.world.grant(1, "alice", "notes", "operator");
    streams.gateway.world.grant(2, "alice", "notes", "viewer");
    streams.gateway.world.change(|state| state.verdict = Verdict::Role("operator"));
    let mut client = streams.open("/a").await;
    streams.gateway.world.commit(|state| Streams::revoke(state, 1));
    streams.is_cut(&mut client, "revoked").await;
}

#[tokio::test]
async fn a_policy_that_says_no_when_it_is_asked_again_cuts() {
    let streams = Streams::start(patient()).await;
    streams.gateway.world.grant(1, "alice", "notes", "operator");
    let mut client = streams.open("/a").await;
    streams.gateway.world.commit(|state| state.verdict = Verdict::Deny);
    streams.is_cut(&mut client, "denied").await;
}

#[tokio::test]
async fn new_policies_are_asked_about_open_streams_although_no_grant_moved() {
    let streams = Streams::start(patient()).await;
    streams.gateway.world.grant(1, "alice", "notes", "operator");
    let mut client = streams.open("/a").await;
    streams.gateway.world.change(|state| {
        state.verdict = Verdict::Deny;
        state.policies = Some(2);
    });
    streams.is_cut(&mut client, "denied").await;
}

#[tokio::test]
async fn an_extension_keeps_the_stream_until_the_new_end() {
    let streams = Streams::start(patient()).await;
    streams.gateway.world.grant(1, "alice", "notes", "operator");
    let mut client = streams.open("/a").await;
    let reads = streams.reads();
    streams.gateway.world.commit(|state| extend(state, 1, START.plus(minutes(5))));
    streams.is_checked(reads).await;
    streams.gateway.world.clock.advance(minutes(2));
    streams.flows(0, &mut client).await;
    streams.gateway.world.clock.advance(minutes(3));
    streams.is_cut(&mut client, "expired").await;
}

#[tokio::test]
async fn a_stream_outlives_a_role_that_it_does_not_need() {
    let streams = Streams::start(patient()).await;
    streams.gateway.world.grant(1, "alice", "notes", "viewer");
    streams.gateway.world.grant(2, "alice", "notes", "operator");
    streams.gateway.world.change(|state| {
        extend(state, 2, START.plus(minutes(5)));
        state.verdict = Verdict::Role("operator");
    });
    let mut client = streams.open("/a").await;
    let reads = streams.reads();
    // Less than a second before the end of the first.
    streams.gateway.world.clock.advance(Duration::from_millis(59_600));
    until("the end to be looked beyond", || streams.reads() > reads).await;
    // The answer is taken up in the same turn of the core as the next look.
    let looks = streams.looks();
    until("a look", || streams.looks() > looks).await;
    streams.gateway.world.clock.advance(minutes(1));
    streams.flows(0, &mut client).await;
    assert_eq!(streams.causes(), [""; 0]);
    streams.gateway.world.clock.advance(minutes(4));
    streams.is_cut(&mut client, "expired").await;
}

#[tokio::test]
async fn a_slow_look_beyond_the_end_does_not_overrule_a_revocation() {
    let streams = Streams::start(patient()).await;
    let world = &streams.gateway.world;
    world.grant(1, "alice", "notes", "reader");
    world.grant(2, "alice", "notes", "writer");
    world.change(|state| extend(state, 2, START.plus(minutes(5))));
    let mut client = streams.open("/a").await;
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    world.change(|state| state.slow_for = Some(("writer", Arc::clone(&gate))));
    let asked = || world.change(|state| state.asked.len());
    let before = asked();
    world.clock.advance(Duration::from_millis(59_600));
    until("the end to be looked beyond", || asked() > before).await;
    let looks = streams.looks();
    world.commit(|state| Streams::revoke(state, 2));
    until("the revocation to be noticed", || asked() > before + 1).await;
    until("a look", || streams.looks() > looks + 1).await;
    gate.add_permits(1);
    world.clock.advance(minutes(1));
    streams.is_cut(&mut client, "expired").await;
}

#[tokio::test]
async fn a_silent_stream_ends_with_its_grant_by_the_wall_clock() {
    let streams = Streams::start(patient()).await;
    streams.gateway.world.grant(1, "alice", "notes", "operator");
    let mut client = streams.open("/a").await;
    streams.gateway.world.clock.advance(minutes(1));
    streams.is_cut(&mut client, "expired").await;
}

#[tokio::test]
async fn a_token_that_expires_ends_nothing() {
    let streams = Streams::start(patient()).await;
    streams.gateway.world.grant(1, "alice", "notes", "operator");
    streams.gateway.world.change(|state| extend(state, 1, START.plus(minutes(180))));
    let mut client = streams.open("/a").await;
    streams.gateway.world.clock.advance(minutes(90));
    assert_eq!(streams.gateway.get("/a").await.status, 401);
    let reads = streams.reads();
    streams.gateway.world.commit(|_| ());
    streams.is_checked(reads).await;
    streams.flows(0, &mut client).await;
}

#[tokio::test]
async fn a_suspension_cuts_also_what_needs_no_grant() {
    for path in ["/me", "/policy/a"] {
        let streams = Streams::start(patient()).await;
        let mut client = streams.open(path).await;
        let alice = SubjectKey::new("https://idp.test", "alice");
        streams.gateway.world.commit(|state| state.suspended.push(alice));
        streams.is_cut(&mut client, "suspended").await;
    }
}

#[tokio::test]
async fn nothing_binds_a_public_stream() {
    let streams = Streams::start(patient()).await;
    let mut client = streams.gateway.client().await;
    client.send(get("/healthz").as_bytes()).await;
    until("the tool to be asked", || !streams.pipes.lock().expect("fine").is_empty()).await;
    streams.write(0, &format!("{HEAD}5\r\nfirst\r\n"));
    client.until("first\r\n").await;
    streams.gateway.world.commit(|state| state.fault = Some(StoreFault::Deadline));
    streams.flows(0, &mut client).await;
    assert_eq!((streams.watched(), streams.looks()), (0, 0));
}

#[tokio::test]
async fn a_stream_outlives_an_outage_of_the_store_for_the_grace_alone() {
    let fault = |fault| move |state: &mut State| state.fault = Some(fault);
    for told in [true, false] {
        let streams = Streams::start(impatient()).await;
        streams.gateway.world.grant(1, "alice", "notes", "operator");
        let mut client = streams.open("/a").await;
        let partition = crate::domain::ids::Partition(7);
        if told {
            streams.gateway.world.commit(fault(StoreFault::RolledBack(partition)));
        } else {
            streams.gateway.world.commit_silently(fault(StoreFault::Deadline));
        }
        streams.is_cut(&mut client, "unreachable").await;
    }
}

#[tokio::test]
async fn a_stream_outlives_an_outage_that_is_shorter_than_the_grace() {
    let streams = Streams::start(patient()).await;
    streams.gateway.world.grant(1, "alice", "notes", "operator");
    let mut client = streams.open("/a").await;
    let looks = streams.looks();
    streams.gateway.world.change(|state| state.fault = Some(StoreFault::Deadline));
    until("two looks", || streams.looks() > looks + 1).await;
    streams.flows(0, &mut client).await;
    // Never past its end, though.
    streams.gateway.world.clock.advance(minutes(1));
    streams.is_cut(&mut client, "expired").await;
}

#[tokio::test]
async fn a_policy_that_cannot_be_asked_counts_as_a_store_that_cannot() {
    let streams = Streams::start(impatient()).await;
    streams.gateway.world.grant(1, "alice", "notes", "operator");
    let mut client = streams.open("/a").await;
    streams.gateway.world.commit(|state| state.verdict = Verdict::Unreachable);
    streams.is_cut(&mut client, "unreachable").await;
}

#[tokio::test]
async fn a_check_that_panics_lets_nothing_go_on_for_ever() {
    let streams = Streams::start(impatient()).await;
    streams.gateway.world.grant(1, "alice", "notes", "operator");
    let mut client = streams.open("/a").await;
    streams.gateway.world.commit(|state| state.verdict = Verdict::Panic);
    streams.is_cut(&mut client, "unreachable").await;
}

#[tokio::test]
async fn a_request_that_still_waits_for_its_answer_is_refused_when_its_grant_is_revoked() {
    let streams = Streams::start(patient()).await;
    streams.gateway.world.grant(1, "alice", "notes", "operator");
    let mut client = streams.gateway.client().await;
    client.send(get("/a").as_bytes()).await;
    until("the request to be watched", || streams.watched() == 1).await;
    streams.gateway.world.commit(|state| Streams::revoke(state, 1));
    let answer = client.next().await.expect("a refusal");
    assert_eq!((answer.status, answer.code()), (403, "grant-revoked".to_owned()));
}

#[tokio::test]
async fn a_wait_on_a_connection_that_was_there_is_ended_like_one_on_a_new_connection() {
    let streams = Streams::start(patient()).await;
    let gateway = &streams.gateway;
    gateway.tool.answers(|seen| match seen.target() {
        "/first" => Answer::ok(),
        _ => Answer::Silence,
    });
    gateway.world.grant(1, "alice", "notes", "operator");
    let mut client = gateway.client().await;
    client.send(get("/first").as_bytes()).await;
    assert_eq!(client.next().await.expect("an answer").status, 200);
    client.send(get("/second").as_bytes()).await;
    until("the request to be watched", || streams.watched() == 1).await;
    assert_eq!(gateway.tool.connections(), 1, "it was there");
    gateway.world.commit(|state| Streams::revoke(state, 1));
    let answer = client.next().await.expect("a refusal");
    assert_eq!((answer.status, answer.code()), (403, "grant-revoked".to_owned()));
}

#[tokio::test]
async fn an_upload_that_was_answered_early_and_says_nothing_is_cut_too() {
    let gateway = Harness::with(patient(), |_| ()).await;
    gateway.partial_is_fine.store(true, Ordering::Relaxed);
    gateway.world.grant(1, "alice", "notes", "operator");
    let mut client = gateway.client().await;
    let head = with("POST", "/early", "Transfer-Encoding: chunked\r\n");
    client.send((head + "1\r\nx\r\n").as_bytes()).await;
    assert_eq!(client.next().await.expect("the early answer").status, 200);
    let watched = || gateway.shared.metrics.open_leases.get();
    until("the upload to be watched", || watched() == 1).await;
    gateway.world.commit(|state| Streams::revoke(state, 1));
    let partial = || gateway.tool.log.partial.lock().expect("not poisoned").len();
    until("the tool to lose the rest", || partial() == 1).await;
    until("the lease to be forgotten", || watched() == 0).await;
}

#[tokio::test]
async fn a_kill_switch_cuts_every_stream_it_hits_and_says_so() {
    let limits = Limits { concurrent_requests: 1000, ..patient() };
    let streams = Streams::start(limits).await;
    streams.gateway.world.grant(1, "alice", "notes", "operator");
    let mut clients = Vec::new();
    for _ in 0..40 {
        clients.push(streams.open("/a").await);
    }
    // The sweeper was here already: the grant is recorded as revoked.
    streams.gateway.world.commit(|state| {
        state.killed_at = Some(START);
        state.generation += 1;
        Streams::revoke(state, 1);
    });
    for client in &mut clients {
        client.rest().await;
    }
    assert_eq!(streams.causes(), ["killed"; 40]);
    until("all leases to be forgotten", || streams.watched() == 0).await;
    assert!(streams.reads() < 40 + 10, "one read serves all streams of a subject");
}

#[tokio::test]
async fn a_stream_that_its_client_leaves_is_no_lease_any_more_and_no_cut() {
    let streams = Streams::start(patient()).await;
    streams.gateway.world.grant(1, "alice", "notes", "operator");
    let client = streams.open("/a").await;
    drop(client);
    until("the lease to be forgotten", || streams.watched() == 0).await;
    streams.gateway.world.commit(|state| Streams::revoke(state, 1));
    let mut other = streams.gateway.client().await;
    assert_eq!(other.call(&get("/a")).await.code(), "grant-revoked");
    assert_eq!(streams.causes(), [""; 0]);
}
