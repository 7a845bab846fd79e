//! Hostile requests in large numbers before a tool that writes down what reaches it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::harness::scale;

use super::conversation::{Conversation, Told};
use super::families;
use super::oracle::{self, Cases};
use super::recorder::Recorder;
use super::scene::{Ground, Scene};

const SEED: u64 = 20_261_122;
/// Connections at once.
const CLIENTS: usize = 48;

/// The seed: `TIDEGATE_SEED`, or always the same.
pub fn seed() -> u64 {
    let named = std::env::var("TIDEGATE_SEED").ok().and_then(|text| text.parse().ok());
    named.unwrap_or(SEED)
}

/// Conversations with at least so many hostile requests.
pub fn conversations(
    seed: u64,
    first: usize,
    hostile: usize,
    ground: &Ground,
) -> Vec<Conversation> {
    let (mut made, mut count) = (Vec::new(), 0);
    while count < hostile {
        let conversation = Conversation::new(seed, first + made.len(), ground);
        count += conversation.hostile();
        made.push(conversation);
    }
    made
}

/// Does so many things, many at once; gives what came of them in order.
pub fn at_once<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let client = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return done;
            }
            done.push((index, work(index)));
        }
    };
    let mut done: BTreeMap<usize, T> = BTreeMap::new();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        for client in clients {
            done.extend(client.join().expect("no panic inside"));
        }
    });
    done.into_values().collect()
}

/// Holds all conversations; gives what each was told.
pub fn hold_all(conversations: &[Conversation], gateway: SocketAddr) -> Vec<Told> {
    at_once(conversations.len(), |index| conversations[index].hold(gateway))
}

/// Holds everything that was told; gives how many good requests were late.
pub fn hold_told(conversations: &[Conversation], told: &[Told], says: bool) -> usize {
    let mut late = 0;
    let found = conversations.iter().zip(told).map(|(conversation, told)| {
        oracle::hold_told(conversation, told, says).map(|more| late += more)
    });
    oracle::all_hold(found.collect());
    late
}

#[test]
fn whatever_hostile_clients_send_a_tool_sees_only_what_was_allowed() {
    let seed = seed();
    println!("seed {seed}");
    let recorder = Recorder::start();
    let mut scene = Scene::start(&[("warehouse", recorder.address)]);
    let places =
        [("warehouse.localhost", ""), ("warehouse.localhost", ""), ("any.test", "/warehouse")];
    let ground = scene.ground.at(&places);
    let conversations = conversations(seed, 0, scale(20_000, 200_000), &ground);
    let told = hold_all(&conversations, scene.gateway.proxy);
    let late = hold_told(&conversations, &told, true);
    let audit = scene.stop();
    let tally = oracle::hold(&Cases::of(&conversations), None, &recorder.seen(), &audit);
    let hostile: usize = conversations.iter().map(Conversation::hostile).sum();
    let sent: usize = conversations.iter().map(|it| it.cases.len()).sum();
    println!(
        "proof: {sent} requests, {hostile} of them hostile, on {} connections, seed {seed}; {tally:?}; {late} late",
        conversations.len()
    );
    assert_eq!(tally.allowed, tally.seen + tally.unsent);
    for name in families::names() {
        let of_family =
            |c: &Conversation| c.cases.iter().filter(|case| case.family == name).count();
        assert!(conversations.iter().map(of_family).sum::<usize>() >= 100, "few of {name}");
    }
    assert!(tally.seen * 5 > sent, "hardly anything was allowed: {tally:?}");
    assert!(late * 20 < sent, "{late} good requests were late");
}
