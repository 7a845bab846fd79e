//! Lists over all partitions.

use std::time::Duration;

use crate::domain::command::Timer;
use crate::domain::grant::EndedWhy;
use crate::domain::ids::RequestId;
use crate::domain::request::{Request, RequestStatus};
use crate::domain::subject::Subject;
use crate::store::inspect::{Count, Inspect};
use crate::store::{Cursor, ListQuery, Store};

use super::fixtures::*;
use super::{Process, World};

pub fn query() -> ListQuery {
    ListQuery { limit: 50, now: START, ..ListQuery::default() }
}

fn subject(number: u64) -> Subject {
    Subject::new("https://idp.example.com", &format!("user-{number}"))
}

/// Requests of as many subjects, one a second, two of each second at the same time.
async fn requests<W: World>(process: &Process<W>, count: u64) -> Vec<Request> {
    let mut made = Vec::new();
    for number in 0..count {
        let at = START.plus(Duration::from_secs(number / 2));
        let asked = request(&subject(number), at);
        process.write(&subject(number), of_request(&asked)).await;
        made.push(asked);
    }
    made.sort_by_key(|request| std::cmp::Reverse((request.created_at, request.id.random)));
    made
}

fn ids(requests: &[Request]) -> Vec<RequestId> {
    requests.iter().map(|request| request.id).collect()
}

pub async fn a_list_merges_partitions_newest_first<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let made = requests(&process, 30).await;
    let page = process.store.list_requests(&query()).await.expect("a page");
    assert_eq!(ids(&page.items), ids(&made));
    assert_eq!(page.next, None);
    let nothing = process.store.list_grants(&query()).await.expect("a page");
    assert!(nothing.items.is_empty() && nothing.next.is_none());
}

pub async fn a_cursor_goes_on_where_the_page_ended<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let made = requests(&process, 20).await;
    let mut listed = Vec::new();
    let mut cursor = None;
    loop {
        let query = ListQuery { limit: 3, cursor, ..query() };
        let page = process.store.list_requests(&query).await.expect("a page");
        assert!(page.items.len() <= 3);
        listed.extend(ids(&page.items));
        let Some(next) = page.next else { break };
        cursor = Cursor::parse(&next.to_string());
        assert_eq!(cursor, Some(next));
    }
    assert_eq!(listed, ids(&made));
}

pub async fn filters_leave_out_what_does_not_fit<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let (open, revoked) = (grant(&subject(1), START), grant(&subject(1), START));
    let other = grant(&subject(2), START);
    process.write(&subject(1), of_grants(&[&open, &revoked])).await;
    process
        .write(&subject(1), of_grants(&[&ended(revoked.clone(), EndedWhy::Revoked, START)]))
        .await;
    process.write(&subject(2), of_grants(&[&other])).await;
    let list = async |query: ListQuery| {
        let page = process.store.list_grants(&query).await.expect("a page");
        let mut ids: Vec<_> = page.items.iter().map(|grant| grant.id).collect();
        ids.sort();
        ids
    };
    let sorted = |mut ids: Vec<_>| {
        ids.sort();
        ids
    };
    let status = |word: &str| Some(word.to_owned());
    let of_one = || Some(subject(1));
    let all = sorted(vec![open.id, revoked.id, other.id]);
    assert_eq!(list(query()).await, all);
    let active = ListQuery { status: status("active"), ..query() };
    assert_eq!(list(active.clone()).await, sorted(vec![open.id, other.id]));
    assert_eq!(list(ListQuery { subject: of_one(), ..active.clone() }).await, [open.id]);
    assert_eq!(list(ListQuery { status: status("revoked"), ..query() }).await, [revoked.id]);
    assert!(list(ListQuery { tool: status("billing"), ..query() }).await.is_empty());
    // Past its end a grant is expired, whether or not its timer has run.
    let later = START.plus(HOUR);
    assert!(list(ListQuery { now: later, ..active }).await.is_empty());
    let expired = ListQuery { status: status("expired"), now: later, ..query() };
    assert_eq!(list(expired).await, sorted(vec![open.id, other.id]));
}

pub async fn a_decided_request_is_no_longer_pending_in_the_list<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let made = requests(&process, 4).await;
    let mut decided = made[1].clone();
    decided.status = RequestStatus::Expired { at: START };
    process.write(&decided.subject().clone(), of_request(&decided)).await;
    let list = async |status: &str| {
        let query = ListQuery { status: Some(status.to_owned()), ..query() };
        ids(&process.store.list_requests(&query).await.expect("a page").items)
    };
    assert_eq!(list("pending").await, [made[0].id, made[2].id, made[3].id]);
    assert_eq!(list("expired").await, [made[1].id]);
    let template = ListQuery { template: Some("another".to_owned()), ..query() };
    let page = process.store.list_requests(&template).await.expect("a page");
    assert!(page.items.is_empty());
}

pub async fn the_status_of_a_partition_counts_what_it_holds<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let (pending, over) = (request(&alice(), START), request(&alice(), START));
    let (open, gone) = (grant(&alice(), START), grant(&alice(), START));
    let timer = Timer::ExpireGrant(open.id);
    process.write(&alice(), of_grants(&[&open, &gone])).await;
    process.write(&alice(), of_request(&pending)).await;
    process.write(&alice(), of_request(&over)).await;
    let mut decided = over;
    decided.status = RequestStatus::Expired { at: START };
    process.write(&alice(), of_request(&decided)).await;
    process.write(&alice(), of_grants(&[&ended(gone, EndedWhy::Revoked, START)])).await;
    process.write(&alice(), set_timer(timer, open.expires_at)).await;
    let status = process.store.partition(partition(&alice())).await.expect("a status");
    assert_eq!((status.head.epoch, status.head.seq, status.entries), (1, 7, 7));
    assert_eq!(status.generation, 0);
    let one = Count { number: 1, goes_on: false };
    assert_eq!((status.open_grants, status.pending_requests, status.timers), (one, one, one));
    let elsewhere = process.store.partition(partition(&subject(1))).await.expect("a status");
    assert_eq!((elsewhere.entries, elsewhere.open_grants), (1, Count::default()));
}
