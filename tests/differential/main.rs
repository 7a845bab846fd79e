//! The embedded engine against the real PDP: generated policies and generated requests. Where all
//! processes of the PDP agree the engine has to say the same; where they do not, it has to say the
//! most restrictive of it. `scripts/fuzz-policies` runs this for longer.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::format_push_string,
    reason = "a test that is surprised should stop"
)]

mod campaign;
mod cel;
mod compare;
mod expressions;
mod failure;
mod faults;
mod known;
mod order;
mod pdp;
mod policies;
mod report;
mod requests;
mod rng;
mod shrink;
mod templates;
mod yaml;

fn number(name: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(name) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{name} is '{text}', expected a number"))
}

fn size(name: &str, default: usize) -> usize {
    let number = number(name, u64::try_from(default).expect("a number"));
    usize::try_from(number).expect("a number that fits")
}

#[test]
fn differential_conformance_of_generated_policies() {
    let options = campaign::Options {
        seed: number("TIDEGATE_FUZZ_SEED", 3),
        decisions: size("TIDEGATE_FUZZ_DECISIONS", 5_000),
        pdps: size("TIDEGATE_FUZZ_PDPS", 3),
    };
    let report = campaign::run(&options);
    println!("seed {}, {} PDPs per set\n\n{report}", options.seed, options.pdps);
    assert!(report.is_good(), "the engine and the PDP differ:\n{report}");
}

#[test]
fn differential_conformance_of_generated_expressions() {
    let options = cel::Options {
        seed: number("TIDEGATE_FUZZ_SEED", 5),
        expressions: size("TIDEGATE_FUZZ_EXPRESSIONS", 1_500),
        pdps: size("TIDEGATE_FUZZ_PDPS", 3),
    };
    let report = cel::run(&options);
    println!("seed {}, {} PDPs\n\n{report}", options.seed, options.pdps);
    assert!(report.is_good(), "{} expressions differ", report.new.len());
}
