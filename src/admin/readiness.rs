//! Readiness: every check is asked when somebody asks, at once and under one deadline.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::telemetry::bounded;

/// All checks together may take so long.
pub const DEADLINE: Duration = Duration::from_millis(250);

pub type Checking = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Something that has to work before requests are sent here.
#[derive(Clone)]
pub struct Check {
    /// `store`, `keys`, `policy`, `outbox` or `draining`.
    pub name: &'static str,
    ask: Arc<dyn Fn() -> Checking + Send + Sync>,
}

impl Check {
    /// `ask` gives a future that ends in why it is not ready, for people.
    pub fn new<F, A>(name: &'static str, ask: A) -> Self
    where
        A: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        Self { name, ask: Arc::new(move || Box::pin(ask())) }
    }
}

/// What `/readyz` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// `ready` or `not-ready`.
    pub status: &'static str,
    /// In the order of the checks; empty when ready.
    pub reasons: Vec<NotReady>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotReady {
    pub check: &'static str,
    pub reason: String,
}

const UNANSWERED: &str = "did not answer";
const REASON: usize = 1024;

impl Readiness {
    /// A check that has not answered by the deadline, or that failed while it ran, is not ready.
    pub async fn ask(checks: &[Check], within: Duration) -> Self {
        let deadline = Instant::now() + within;
        let mut answers: Vec<Result<(), String>> = vec![Err(UNANSWERED.to_owned()); checks.len()];
        let mut running = JoinSet::new();
        for (number, check) in checks.iter().enumerate() {
            let ask = Arc::clone(&check.ask);
            running.spawn(async move { (number, ask().await) });
        }
        // Dropping the set at the end stops whatever has not answered.
        while let Ok(Some(joined)) = timeout_at(deadline, running.join_next()).await {
            if let Ok((number, answer)) = joined
                && let Some(place) = answers.get_mut(number)
            {
                *place = answer;
            }
        }
        let reasons: Vec<NotReady> = checks
            .iter()
            .zip(answers)
            .filter_map(|(check, answer)| Some((check.name, answer.err()?)))
            .map(|(check, reason)| NotReady { check, reason: bounded::text(&reason, REASON) })
            .collect();
        Self { status: if reasons.is_empty() { "ready" } else { "not-ready" }, reasons }
    }

    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.reasons.is_empty()
    }
}
