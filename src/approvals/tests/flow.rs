//! What tests of timers have in common.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::super::timers;
use super::harness::World;
use crate::domain::rules::Rules;
use crate::domain::time::Timestamp;

pub const HOUR: Duration = Duration::from_hours(1);

/// A template of the catalog with these rules from now on.
pub fn offer(world: &World, template: &str, rules: Rules) {
    let mut catalog = (**world.api.catalog.load()).clone();
    let changed = catalog.templates.get_mut(template).expect("a template");
    Arc::make_mut(changed).rules = rules;
    world.api.catalog.store(Arc::new(catalog));
}

/// What any process does each second.
pub async fn run_all(world: &World) {
    for partition in world.api.store.partitions().all() {
        timers::run_due(&world.api, partition, || false).await;
    }
}

pub async fn events(world: &World, kind: &str) -> Vec<Value> {
    let path = format!("/audit/events?type=dev.tidegate.{kind}.v1");
    world.get("erin", &path).await.body["items"].as_array().cloned().expect("items")
}

pub async fn count(world: &World, kind: &str) -> usize {
    events(world, kind).await.len()
}

/// How many timers there are, whenever they are due.
pub async fn timers_left(world: &World) -> usize {
    let mut left = 0;
    for partition in world.api.store.partitions().all() {
        let due = world.api.store.due_timers(partition, Timestamp::MAX, None, 1000).await;
        left += due.expect("timers").timers.len();
    }
    left
}
