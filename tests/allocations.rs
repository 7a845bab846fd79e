//! How often one check of the embedded engine allocates: the reference of the benchmark
//! (`benches/decide`). A test binary of its own, because the counting allocator is for all of it.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that is surprised should stop"
)]

#[path = "../benches/enforced/mod.rs"]
#[expect(dead_code, reason = "the benchmarks use more of it")]
mod enforced;
#[path = "../benches/decide/policies.rs"]
mod policies;
#[path = "harness/tokens.rs"]
mod tokens;

use std::borrow::Cow;
use std::path::Path;

use tidegate::domain::ids::{GrantId, Partition};
use tidegate::domain::time::Timestamp;
use tidegate::gateway::Uses;
use tidegate::policy::embedded::{Attributes, Effect, Engine, Facts, Input, Subject};

/// Each of these is there for a reason:
/// - the verdicts, the effective derived roles, and their list for the answer: 3, and 2 shared
///   places for them;
/// - the texts that conditions read: `P.id`, `P.attr.department`, `R.attr.owner`,
///   `R.attr.department`, `R.attr.status`: 5.
const MOST: u64 = 10;

struct Context {
    principal: Attributes,
    resource: Attributes,
}

impl Facts for Context {
    fn principal(&self) -> Cow<'_, Attributes> {
        Cow::Borrowed(&self.principal)
    }

    fn resource(&self) -> Cow<'_, Attributes> {
        Cow::Borrowed(&self.resource)
    }

    fn claims(&self) -> Option<Cow<'_, Attributes>> {
        None
    }
}

fn context() -> Context {
    let read = |text| serde_json::from_str(text).unwrap();
    Context { principal: read(policies::PRINCIPAL), resource: read(policies::RESOURCE) }
}

/// How many allocations a check took after another one.
fn allocations(context: &Context, actions: &[&str]) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    policies::write(folder.path(), 10);
    let engine = Engine::load(folder.path()).unwrap();
    let input = Input {
        principal: Subject { id: "alice", version: "", scope: "" },
        roles: &["user", "editor"],
        kind: "document",
        resource: Subject { id: "d-1", version: "", scope: "" },
        actions,
        facts: context,
    };
    let check = || {
        engine.with_checked(&input, false, |checked| {
            assert!(checked.verdicts.iter().all(|it| it.effect == Effect::Allow));
        });
    };
    check();
    allocation_counter::measure(check).count_total
}

/// What is in `tests/budget/recorded.json` under `name`.
fn recorded(name: &str) -> u64 {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/budget/recorded.json");
    let text = std::fs::read_to_string(path).expect("the recorded figures");
    let figures: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    figures.get(name).and_then(serde_json::Value::as_u64).expect("a recorded figure")
}

#[test]
fn an_enforced_request_allocates_no_more_often_than_recorded() {
    let (folder, shape) = (tempfile::tempdir().unwrap(), enforced::shape::Shape::budget());
    enforced::prepare(folder.path(), &shape);
    let mut core = enforced::OneCore::start(folder.path(), &shape);
    core.visit(1100);
    let counts: Vec<u64> =
        (0..100).map(|_| allocation_counter::measure(|| core.visit(10)).count_total / 10).collect();
    // What is done beside the requests now and then (looking at leases) is not of a request.
    let least = counts.iter().copied().min().unwrap();
    println!("allocations per enforced request: {least}");
    let most = recorded("allocations");
    assert!(
        least <= most || std::env::var_os("TIDEGATE_RECORD").is_some(),
        "an enforced request allocates {least} times, {} more than the {most} recorded; when it has to \
         be so: scripts/budget --record",
        least - most
    );
}

#[test]
fn a_check_allocates_for_its_answer_and_for_the_texts_that_conditions_read() {
    let count = allocations(&context(), &policies::ACTIONS[..1]);
    println!("allocations per reference check: {count}");
    assert!(count <= MOST, "{count} allocations");
}

#[test]
fn attributes_that_no_condition_reads_and_more_actions_cost_no_allocation() {
    let mut context = context();
    let one = allocations(&context, &policies::ACTIONS[..1]);
    assert_eq!(allocations(&context, &policies::ACTIONS), one);
    for number in 0..100 {
        let deep = serde_json::json!({"list": ["a", "b"], "more": {"x": "y"}});
        context.principal.insert(format!("p{number}"), deep.clone());
        context.resource.insert(format!("r{number}"), deep);
    }
    assert_eq!(allocations(&context, &policies::ACTIONS[..1]), one);
}

#[test]
fn counting_the_use_of_a_grant_allocates_at_its_first_use_alone() {
    let uses = Uses::new(1);
    let id = |n: u8| GrantId { partition: Partition(1), random: [n; 16] };
    let (now, grants) = (Timestamp::from_millis(1), [id(1), id(2)]);
    uses.count(0, &grants, now);
    let count = allocation_counter::measure(|| uses.count(0, &grants, now)).count_total;
    assert_eq!(count, 0, "a known grant");
    assert_eq!(uses.take().len(), 2);
    let count = allocation_counter::measure(|| uses.count(0, &grants, now)).count_total;
    assert_eq!(count, 0, "the maps keep their room");
}

#[test]
fn json_takes_no_more_memory_than_it_is_weighed_with() {
    let list = |item: &str| format!(r#"{{"a":[{}]}}"#, vec![item; 2000].join(","));
    let members: Vec<String> = (0..3000).map(|number| format!(r#""{number}":{number}"#)).collect();
    let texts = [
        "{}".to_owned(),
        policies::PRINCIPAL.to_owned(),
        list("0"),
        list("[0]"),
        list("[[[0]]]"),
        list(r#"{"":0}"#),
        list(r#"{"a":{"b":{}}}"#),
        list(r#""""#),
        list(r#""abc""#),
        format!("{{{}}}", members.join(",")),
    ];
    for text in texts {
        let mut read = None;
        let held = allocation_counter::measure(|| {
            read = Some(tidegate::strict_json::parse_object(text.as_bytes()).unwrap());
        });
        let held = usize::try_from(held.bytes_current).unwrap();
        let weight = tidegate::json_weight::object(&read.unwrap());
        let shown: String = text.chars().take(40).collect();
        assert!(held <= weight, "{shown}: {held} bytes, weighed with {weight}");
        assert!(weight <= 4 * held.max(1), "{shown}: {held} bytes, weighed with {weight}");
    }
}
