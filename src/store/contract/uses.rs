//! How often grants were used.

use bytes::Bytes;

use crate::domain::grant::EndedWhy;
use crate::domain::ids::{GrantId, Partition};
use crate::domain::time::Timestamp;
use crate::domain::uses::Use;
use crate::store::{Retention, Store, keys};

use super::World;
use super::fixtures::*;

const HOME: Partition = Partition(3);

fn id() -> GrantId {
    GrantId { partition: HOME, random: unique() }
}

fn used(count: u64, first: u64, last: u64) -> Use {
    Use { count, first: Timestamp::from_millis(first), last: Timestamp::from_millis(last) }
}

pub async fn uses_of_several_gateways_add_up<W: World>() {
    let world = W::fresh().await;
    let (one, two) = (world.process(), world.process());
    let (a, b, never) = (id(), id(), id());
    let early = 1_795_339_800_000;
    one.store.add_uses(HOME, &[(a, used(2, early + 5, early + 9))]).await.expect("added");
    two.store
        .add_uses(HOME, &[(a, used(3, early + 1, early + 7)), (b, used(1, 4, 4))])
        .await
        .expect("added");
    let found = one.store.uses(HOME, &[a, b, never]).await.expect("it reads");
    assert_eq!(found, [(a, used(5, early + 1, early + 9)), (b, used(1, 4, 4))].into());
    // More than one go, and of another partition nothing.
    let many: Vec<(GrantId, Use)> = (0..600).map(|n| (id(), used(1, n, n))).collect();
    one.store.add_uses(HOME, &many).await.expect("added");
    let ids: Vec<GrantId> = many.iter().map(|(id, _)| *id).collect();
    assert_eq!(two.store.uses(HOME, &ids).await.expect("it reads").len(), 600);
    assert!(two.store.uses(Partition(4), &ids).await.expect("it reads").is_empty());
    drop((one, two));
    let world = world.reopened().await;
    assert_eq!(world.process().store.uses(HOME, &[a]).await.expect("it reads")[&a].count, 5);
}

pub async fn a_counter_that_cannot_be_read_begins_anew_and_holds_up_no_other<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let (a, b) = (id(), id());
    for text in ["", "1", "1 2", "x 1 2", "1 2 3 4", "-1 2 3", "99999999999999999999 1 1"] {
        world.put(&keys::grant_use(a), Bytes::from_static(text.as_bytes())).await;
        let found = process.store.uses(HOME, &[a]).await.expect("it reads");
        assert!(found.is_empty(), "{text}");
        process
            .store
            .add_uses(HOME, &[(a, used(1, 8, 9)), (b, used(1, 1, 1))])
            .await
            .expect("added");
        let found = process.store.uses(HOME, &[a]).await.expect("it reads");
        assert_eq!(found[&a], used(1, 8, 9), "{text}");
    }
    assert_eq!(process.store.uses(HOME, &[b]).await.expect("it reads")[&b].count, 7);
}

pub async fn what_is_known_of_the_use_of_a_grant_goes_with_it<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let grant = ended(grant(&alice(), START), EndedWhy::Revoked, START);
    process.write(&alice(), of_grants(&[&grant])).await;
    let home = grant.id.partition;
    process.store.add_uses(home, &[(grant.id, used(1, 1, 1))]).await.expect("added");
    let mut from = None;
    loop {
        let before = START.plus(HOUR * 2);
        let retention = Retention { before, delivered: 0, from };
        from = process.store.retain(home, retention).await.expect("retained").next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(process.store.grant(grant.id).await.expect("it reads"), None);
    assert_eq!(world.get(&keys::grant_use(grant.id)).await, None);
}
