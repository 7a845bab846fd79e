//! `tidegate policy test`: the policies' own test suites.

use super::{PolicyPlace, print, told};
use crate::cli::Exit;
use crate::policy::embedded::{Options, SuiteResult, SuiteResults};

mod junit;
mod report;
mod tree;

#[derive(Clone, Debug, clap::Args)]
pub struct TestArgs {
    #[command(flatten)]
    pub place: PolicyPlace,
    /// How the results are told.
    #[arg(long, value_enum, default_value_t = Form::Tree)]
    pub output: Form,
    /// Tell in the tree what passed, too.
    #[arg(long)]
    pub verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    Tree,
    /// In the form of `cerbos compile --test-output json`.
    Json,
    Junit,
}

/// # Errors
/// What the process ends with when there is nothing to run.
pub(super) fn run(args: &TestArgs) -> Result<Exit, Exit> {
    let engine = args.place.load(Options::default())?;
    let directory = &args.place.policies;
    let mut results = engine.run_suites(directory).map_err(|problems| {
        told(&problems.to_string());
        Exit::Data
    })?;
    for suite in &mut results.suites {
        if let Ok(below) = suite.file.strip_prefix(directory) {
            suite.file = below.to_owned();
        }
    }
    let shown = match args.output {
        Form::Tree => tree::shown(&results, args.verbose),
        Form::Json => report::json(&results),
        Form::Junit => junit::shown(&results),
    };
    print(&shown, exit(&results))
}

fn exit(results: &SuiteResults) -> Exit {
    let is_broken = |suite: &SuiteResult| suite.error.is_some();
    match results.suites.iter().any(is_broken) {
        true => Exit::Data,
        false if results.passed() => Exit::Done,
        false => Exit::Refused,
    }
}
