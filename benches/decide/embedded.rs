//! The embedded engine, check by check.

use std::borrow::Cow;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use tempfile::TempDir;
use tidegate::policy::embedded::{Attributes, Effect, Engine, Facts, Input, Subject};
use tidegate::policy::{Principal, Query, Resource};

use super::policies::{self, ACTIONS};
use super::table::Times;
use super::{machine, policies::PRINCIPAL, policies::RESOURCE};

pub const TRIVIAL: &str = "trivial policy";
pub const REFERENCE: &str = "reference";
pub const TEN: &str = "reference, 10 actions";
pub const MANY: &str = "reference among 2,500 policies";
pub const DECISION: &str = "reference, as the gateway asks";

const FEW_POLICIES: usize = 10;
const MANY_POLICIES: usize = 2_500;

/// What a request would bring, read before.
pub struct Context {
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

/// The two sets of policies, and the engine of each.
pub struct Sets {
    directories: (TempDir, TempDir),
    few: Engine,
    many: Engine,
    context: Context,
}

impl Sets {
    pub fn write() -> Self {
        let [few, many] = [FEW_POLICIES, MANY_POLICIES].map(|count| {
            let directory = tempfile::tempdir().expect("a folder");
            policies::write(directory.path(), count);
            directory
        });
        let engines = (load(few.path()), load(many.path()));
        let read = |text| serde_json::from_str(text).expect("attributes");
        let context = Context { principal: read(PRINCIPAL), resource: read(RESOURCE) };
        Self { directories: (few, many), few: engines.0, many: engines.1, context }
    }

    pub fn few_directory(&self) -> &Path {
        self.directories.0.path()
    }

    /// Seconds.
    pub fn load_many(&self) -> f64 {
        let start = Instant::now();
        black_box(load(self.directories.1.path()));
        start.elapsed().as_secs_f64()
    }

    /// One round of everything.
    pub fn measure(&self, checks: usize) -> Vec<(&'static str, Times)> {
        let one = |engine, kind, actions| time(checks, || self.check(engine, kind, actions));
        vec![
            (TRIVIAL, one(&self.few, "page", &["view"])),
            (REFERENCE, one(&self.few, "document", &ACTIONS[..1])),
            (MANY, one(&self.many, "document", &ACTIONS[..1])),
            (TEN, one(&self.few, "document", &ACTIONS)),
            (DECISION, time(checks, || self.decide())),
        ]
    }

    #[inline(never)]
    fn check(&self, engine: &Engine, kind: &str, actions: &[&str]) {
        let input = Input {
            principal: Subject { id: "alice", version: "", scope: "" },
            roles: &["user", "editor"],
            kind,
            resource: Subject { id: "d-1", version: "", scope: "" },
            actions,
            facts: &self.context,
        };
        engine.with_checked(black_box(&input), false, |checked| {
            let allowed = checked.verdicts.iter().filter(|it| it.effect == Effect::Allow).count();
            assert_eq!(black_box(allowed), actions.len(), "every action is allowed");
        });
    }

    #[inline(never)]
    fn decide(&self) {
        let query = Query {
            principal: Principal {
                id: "alice",
                roles: &["user", "editor"],
                attr: &self.context.principal,
            },
            resource: Resource {
                kind: "document",
                id: "d-1",
                scope: "",
                attr: &self.context.resource,
            },
            claims: None,
            actions: &["edit"],
            decision: "",
            token: None,
        };
        assert!(black_box(self.few.decide(black_box(&query), "edit")).allowed, "it is allowed");
    }
}

fn load(directory: &Path) -> Engine {
    Engine::load(directory).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Latencies one by one; then CPU time of as many checks without a clock between.
fn time(checks: usize, check: impl Fn()) -> Times {
    (0..checks / 10).for_each(|_| check());
    let mut nanos = Vec::with_capacity(checks);
    for _ in 0..checks {
        let start = Instant::now();
        check();
        nanos.push(start.elapsed().as_nanos() as f64);
    }
    let start = machine::own_cpu();
    (0..checks).for_each(|_| check());
    let cpu = (machine::own_cpu() - start) / checks as f64;
    let mean = nanos.iter().sum::<f64>() / checks as f64;
    nanos.sort_by(f64::total_cmp);
    let at = |percent: usize| nanos.get(checks * percent / 100).copied().unwrap_or(f64::NAN) / 1e3;
    Times { p50: at(50), p99: at(99), mean: mean / 1e3, cpu: cpu * 1e6 }
}
