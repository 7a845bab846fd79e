//! What a decision costs: the embedded engine alone, and next to the real Cerbos PDP over gRPC in the
//! same run with the same policies and inputs. `scripts/bench-policy` runs it and says what can be
//! set; docs/benchmarks.md describes the cells.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a benchmark that is surprised should stop, and counts are small"
)]

#[path = "decide/embedded.rs"]
mod embedded;
#[path = "decide/grpc.rs"]
mod grpc;
#[path = "decide/machine.rs"]
mod machine;
#[path = "decide/pdp.rs"]
mod pdp;
#[path = "decide/policies.rs"]
mod policies;
#[path = "decide/protobuf.rs"]
mod protobuf;
#[path = "decide/table.rs"]
mod table;

use std::process::ExitCode;

use embedded::Sets;
use table::{Bound, Series};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The targets: microseconds, ratios, seconds.
const P50: f64 = 2.0;
const P99: f64 = 5.0;
const TEN_ACTIONS: f64 = 3.0;
const MANY_POLICIES: f64 = 1.5;
const LOAD_SECONDS: f64 = 1.0;
const OVER_PDP: f64 = 200.0;

fn main() -> ExitCode {
    let rounds = number("BENCH_ROUNDS", 5);
    let checks = number("BENCH_CHECKS", 200_000);
    let seconds = number("BENCH_SECONDS", 1);
    println!("machine: {}", machine::about());
    println!("commit: {}, {rounds} rounds of {checks} checks\n", machine::commit());
    let sets = Sets::write();
    let pdp = std::env::var("BENCH_PDP").ok().filter(|it| !it.is_empty());
    let pdps = pdp.map(|binary| pdp::Pdp::start_all(&binary, sets.few_directory()));
    let pdps = pdps.unwrap_or_default();
    let mut found = Found::default();
    for _ in 0..rounds {
        found.engine(&sets, checks);
        for cell in pdps.iter().flat_map(|pdp| pdp.measure(seconds)) {
            found.pdp.add(cell);
        }
    }
    found.print();
    let good = found.verdict(!pdps.is_empty());
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn number<N: std::str::FromStr>(name: &str, otherwise: N) -> N {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is a number")),
        Err(_) => otherwise,
    }
}

#[derive(Default)]
struct Found {
    /// By name: one entry per kind of check, in the order of the table.
    checks: Vec<(&'static str, Series)>,
    /// Seconds.
    loads: Vec<f64>,
    pdp: pdp::Cells,
}

impl Found {
    fn engine(&mut self, sets: &Sets, checks: usize) {
        for (name, times) in sets.measure(checks) {
            match self.checks.iter_mut().find(|(known, _)| *known == name) {
                Some((_, series)) => series.0.push(times),
                None => self.checks.push((name, Series(vec![times]))),
            }
        }
        self.loads.push(sets.load_many());
    }

    fn series(&self, name: &str) -> &Series {
        let found = self.checks.iter().find(|(known, _)| *known == name);
        &found.expect("it was measured").1
    }

    fn print(&self) {
        table::checks(&self.checks);
        println!("\nloading 2,500 policies: {}", table::spread(&self.loads, 3, "s"));
        if let Ok(allocations) = std::env::var("BENCH_ALLOCATIONS") {
            println!("allocations: {allocations}");
        }
        self.pdp.print();
    }

    /// Prints every target; `false` when one is missed.
    fn verdict(&self, with_pdp: bool) -> bool {
        let reference = self.series(embedded::REFERENCE);
        let ratios = |name| self.series(name).ratios(reference);
        let mut bounds = vec![
            Bound::at_most("reference check, p50 us, best", reference.best(|it| it.p50), P50),
            Bound::at_most("reference check, p99 us, best", reference.best(|it| it.p99), P99),
            Bound::at_most("10 actions / one, best", ratios(embedded::TEN), TEN_ACTIONS),
            Bound::at_most("2,500 policies / 10, best", ratios(embedded::MANY), MANY_POLICIES),
            Bound::at_most("2,500 policies load, s, best", table::least(&self.loads), LOAD_SECONDS),
        ];
        if with_pdp {
            let over = |name| 1e6 / self.series(name).best(|it| it.cpu) / self.pdp.best_per_core();
            let (alone, whole) = (over(embedded::REFERENCE), over(embedded::DECISION));
            bounds.extend([
                Bound::at_least("checks per s and core / PDP's best", alone, OVER_PDP),
                Bound::at_least("the same, as the gateway asks", whole, OVER_PDP),
            ]);
        }
        println!();
        bounds.iter().for_each(Bound::print);
        bounds.iter().all(Bound::is_met)
    }
}
