//! The memory of shadow mode, while the other engine does not answer.

use std::sync::Arc;

use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

use crate::policy::shadow::Shadow;
use crate::policy::watch::{Comparison, FaultKind, PolicyWatch};
use crate::policy::{Attributes, Decision, PolicyEngine, Principal, Query, Reason, Resource};

/// Answers as often as it is let.
struct Stalled(Semaphore);

impl PolicyEngine for Stalled {
    async fn check<'a>(&'a self, query: &'a Query<'a>) -> Vec<Decision> {
        self.0.acquire().await.expect("never closed").forget();
        vec![denied(); query.actions.len()]
    }
}

struct Labels(mpsc::UnboundedSender<&'static str>);

impl PolicyWatch for Labels {
    fn failed(&self, _kind: FaultKind, _why: &str) {}

    fn compared(&self, comparison: &Comparison<'_>) {
        let _ = self.0.send(comparison.label());
    }
}

fn denied() -> Decision {
    Decision::plain(false, Reason::Denied, "NONE", "no")
}

fn offer(shadow: &Shadow, claims: &Attributes) {
    let attr = Attributes::new();
    let query = Query {
        principal: Principal { id: "alice", roles: &["user"], attr: &attr },
        resource: Resource { kind: "tool", id: "notes", scope: "", attr: &attr },
        claims: Some(claims),
        actions: &["read"],
        decision: "d-1",
        token: None,
    };
    shadow.offer(&query, &[denied()]);
}

#[tokio::test]
async fn large_questions_do_not_wait_in_any_number_for_an_engine_that_stalls() {
    let (labels, mut told) = mpsc::unbounded_channel();
    let engine = Arc::new(Stalled(Semaphore::new(0)));
    let shadow = Shadow::start(&engine, 1.0, Arc::new(Labels(labels)), &Handle::current());
    // Some 56 KiB as text.
    let large = Attributes::from_iter([("a".to_owned(), json!(vec![json!({ "": 0 }); 8000]))]);
    for _ in 0..100 {
        offer(&shadow, &large);
    }
    let mut dropped = 0;
    while told.try_recv() == Ok("dropped") {
        dropped += 1;
    }
    let kept = 100 - dropped;
    assert!((1..10).contains(&kept), "{kept} questions of 5 MiB are kept");
    // What was compared makes room.
    engine.0.add_permits(101);
    for _ in 0..kept {
        assert_eq!(told.recv().await, Some("same"));
    }
    offer(&shadow, &large);
    assert_eq!(told.recv().await, Some("same"));
}
