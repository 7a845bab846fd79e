//! Many writers on one subject.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::store::{Committed, Store};

use super::World;
use super::fixtures::*;

const WRITERS: usize = 50;

pub async fn of_fifty_writers_on_one_version_exactly_one_wins<W: World>() {
    let world = W::fresh().await;
    let store = Arc::new(world.process().store);
    let mut loaded = store.load(load_of(&alice())).await.expect("it loads");
    for round in 0..3 {
        let mut writers = JoinSet::new();
        for _ in 0..WRITERS {
            let commit = commit_on(&loaded, of_grants(&[&grant(&alice(), START)]), START);
            let store = store.clone();
            writers.spawn(async move { store.commit(commit).await.expect("answered") });
        }
        let answers = writers.join_all().await;
        let won = answers.iter().filter(|answer| matches!(answer, Committed::Done { .. })).count();
        assert_eq!(won, 1, "round {round}");
        let lost = answers.iter().filter(|answer| **answer == Committed::VersionConflict).count();
        assert_eq!(lost, WRITERS - 1, "round {round}");
        loaded = store.load(load_of(&alice())).await.expect("it loads");
        assert_eq!(loaded.state.grants.len(), round + 1);
    }
}

pub async fn fifty_writers_that_reload_all_succeed<W: World>() {
    let world = W::fresh().await;
    let store = Arc::new(world.process().store);
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move {
            loop {
                let loaded = store.load(load_of(&alice())).await.expect("it loads");
                let commit = commit_on(&loaded, of_grants(&[&grant(&alice(), START)]), START);
                match store.commit(commit).await.expect("answered") {
                    Committed::Done { .. } => return,
                    Committed::VersionConflict | Committed::GenerationMoved => (),
                }
            }
        });
    }
    writers.join_all().await;
    assert_eq!(world.process().counting(&alice(), START).await, WRITERS);
    let head = world.process().read(&alice()).await.expect("it reads").head;
    assert_eq!(head.seq, 1 + 50);
}
