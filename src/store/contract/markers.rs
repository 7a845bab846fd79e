//! Kills and the generation.

use crate::domain::grant::EndedWhy;
use crate::domain::ids::OrderId;
use crate::domain::markers::KillTarget;
use crate::domain::subject::Subject;
use crate::store::record::{head_text, parse_head};
use crate::store::{Committed, Head, KillOrder, Store, StoreFault, keys};

use super::World;
use super::fixtures::*;

pub fn order(target: KillTarget) -> KillOrder {
    let by = Subject::new("https://idp.example.com", "bob");
    KillOrder { id: OrderId(unique()), target, at: START, by, reason: "drill".into() }
}

pub async fn a_kill_hits_old_grants_and_not_new_ones<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let place = partition(&alice());
    process.write(&alice(), of_grants(&[&grant(&alice(), START)])).await;
    let elsewhere = order(KillTarget::Tool("billing".into()));
    process.store.kill(place, elsewhere).await.expect("killed");
    assert_eq!(process.counting(&alice(), START).await, 1);
    process.store.kill(place, order(KillTarget::Tool(TOOL.into()))).await.expect("killed");
    assert_eq!(process.counting(&alice(), START).await, 0);
    assert_eq!(world.process().counting(&alice(), START).await, 0);

    let mut new = grant(&alice(), START);
    new.generation = process.generation(&alice()).await;
    assert_eq!(new.generation, 2);
    process.write(&alice(), of_grants(&[&new])).await;
    let view = process.read(&alice()).await.expect("it reads");
    assert_eq!(view.counting(TOOL, START).map(|grant| grant.id).collect::<Vec<_>>(), [new.id]);
}

pub fn everything() -> KillOrder {
    order(KillTarget::Everything)
}

pub async fn an_order_that_was_carried_out_spares_what_was_granted_since<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let place = partition(&alice());
    let order = everything();
    process.store.kill(place, order.clone()).await.expect("killed");
    let mut new = grant(&alice(), START);
    new.generation = 1;
    process.write(&alice(), of_grants(&[&new])).await;
    let late = START.plus(HOUR * 24).minus(ONE_MS);
    let retry = KillOrder { at: late, ..order.clone() };
    world.process().store.kill(place, retry).await.expect("nothing to do");
    assert_eq!(
        (process.generation(&alice()).await, process.counting(&alice(), START).await),
        (1, 1)
    );
    let other_target = KillOrder { target: KillTarget::Tool("billing".into()), ..order.clone() };
    process.store.kill(place, other_target).await.expect("killed");
    assert_eq!(process.generation(&alice()).await, 2);
    let a_day_later = KillOrder { at: START.plus(HOUR * 24), ..order };
    process.store.kill(place, a_day_later).await.expect("killed");
    assert_eq!(
        (process.generation(&alice()).await, process.counting(&alice(), START).await),
        (3, 0)
    );
}

pub async fn whom_a_kill_hit_is_found_among_what_is_open<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let place = partition(&alice());
    let (open, over) = (grant(&alice(), START), grant(&alice(), START));
    let over = ended(over, EndedWhy::Released, START);
    process.write(&alice(), of_grants(&[&open, &over])).await;
    let found = async || {
        let (mut from, mut subjects, mut pages) = (None, Vec::new(), 0);
        loop {
            let page = process.store.killed(place, from).await.expect("a page");
            assert!(page.broken.is_empty());
            subjects.extend(page.subjects);
            pages += 1;
            let Some(next) = page.next else { return (subjects, pages) };
            from = Some(next);
        }
    };
    assert_eq!(found().await, (vec![], 2), "nothing was killed");
    process.store.kill(place, order(KillTarget::Tool("billing".into()))).await.expect("killed");
    assert_eq!(found().await, (vec![], 2), "another tool was");
    process.store.kill(place, everything()).await.expect("killed");
    assert_eq!(found().await, (vec![alice()], 2));
    process.write(&alice(), of_grants(&[&ended(open, EndedWhy::Revoked, START)])).await;
    assert_eq!(found().await, (vec![], 2));

    let asked = request(&alice(), START);
    process.write(&alice(), of_request(&asked)).await;
    assert_eq!(found().await, (vec![alice()], 2));
}

pub async fn a_commit_made_under_an_older_generation_is_refused<W: World>() {
    let world = W::fresh().await;
    let (process, other) = (world.process(), world.process());
    let loaded = process.load(&alice()).await;
    other.store.kill(partition(&alice()), order(KillTarget::Everything)).await.expect("killed");
    let grant = grant(&alice(), START);
    let committed = process.store.commit(commit_on(&loaded, of_grants(&[&grant]), START)).await;
    assert_eq!(committed, Ok(Committed::GenerationMoved));
    assert_eq!(process.counting(&alice(), START).await, 0);
}

pub async fn deleted_markers_are_a_fault<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let place = partition(&alice());
    process.write(&alice(), of_grants(&[&grant(&alice(), START)])).await;
    let loaded = process.load(&alice()).await;
    world.delete(&keys::markers(place)).await;
    let missing = StoreFault::Missing { partition: place, what: "markers" };
    for process in [&process, &world.process()] {
        assert_eq!(process.read(&alice()).await.err(), Some(missing.clone()));
        assert_eq!(process.try_load(&alice()).await.err(), Some(missing.clone()));
        assert_eq!(process.store.markers(place).await.err(), Some(missing.clone()));
        let transition = of_grants(&[&grant(&alice(), START)]);
        let committed = process.store.commit(commit_on(&loaded, transition, START)).await;
        assert_eq!(committed.err(), Some(missing.clone()));
    }
}

pub async fn edited_markers_are_a_fault<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let key = keys::markers(partition(&alice()));
    assert_eq!(process.counting(&alice(), START).await, 0);
    let value = world.get(&key).await.expect("markers");
    let elsewhere = keys::markers(partition(&alice_elsewhere()));
    let mut edited = value.to_vec();
    *edited.last_mut().expect("not empty") ^= 1;
    let foreign = world.get(&elsewhere).await.expect("markers");
    for wrong in [edited.into(), foreign, value.slice(..20), "{}".into()] {
        world.put(&key, wrong).await;
        assert!(invalid(&process.read(&alice()).await));
        assert!(invalid(&process.try_load(&alice()).await));
    }
    world.put(&key, value).await;
    assert_eq!(process.counting(&alice(), START).await, 0);
}

/// Somebody of another partition.
pub fn alice_elsewhere() -> crate::domain::subject::Subject {
    let named =
        |n: u32| crate::domain::subject::Subject::new("https://idp.example.com", &n.to_string());
    let mut others = (0..).map(named);
    others.find(|other| partition(other) != partition(&alice())).expect("there are others")
}

pub async fn older_markers_put_back_close_the_partition<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    let place = partition(&alice());
    process.write(&alice(), of_grants(&[&grant(&alice(), START)])).await;
    let old = world.get(&keys::markers(place)).await.expect("markers");
    process.store.kill(place, order(KillTarget::Everything)).await.expect("killed");
    world.put(&keys::markers(place), old).await;
    assert!(rolled_back(&process.read(&alice()).await));
    assert!(rolled_back(&process.try_load(&alice()).await));
}

pub async fn a_head_whose_epoch_the_markers_do_not_confirm_is_a_fault<W: World>() {
    let world = W::fresh().await;
    let process = world.process();
    process.write(&alice(), of_grants(&[&grant(&alice(), START)])).await;
    let key = keys::head(partition(&alice()));
    let head = parse_head(&world.get(&key).await.expect("a head")).expect("one");
    let raised = Head { epoch: head.epoch + 1, ..head };
    world.put(&key, head_text(&raised)).await;
    assert!(invalid(&process.read(&alice()).await));
    assert!(invalid(&process.try_load(&alice()).await));
}
