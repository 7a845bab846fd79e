//! `tidegate check`: everything that would stop `serve` before it binds, all at once.

use std::path::{Path, PathBuf};

use crate::catalog;
use crate::config;

use super::{Checks, Exit, output};

#[derive(Clone, Debug, clap::Args)]
pub struct CheckArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

#[must_use]
pub fn run(args: &CheckArgs, checks: Checks) -> Exit {
    let report = check(&args.config, &|name| std::env::var(name).ok(), checks);
    for warning in &report.warnings {
        eprintln!("warning: {}", output::visible(warning));
    }
    if report.problems.is_empty() {
        println!("ok");
        return Exit::Done;
    }
    for problem in &report.problems {
        eprintln!("{}", output::visible(problem));
    }
    let count = report.problems.len();
    eprintln!("{count} {}", if count == 1 { "problem" } else { "problems" });
    Exit::Usage
}

#[derive(Debug, Default)]
pub struct Report {
    pub problems: Vec<String>,
    pub warnings: Vec<String>,
}

/// Key files and store are looked at once the configuration is good. Catalog and policies are
/// looked at as soon as the configuration says where they are, also when
/// something else in it is wrong.
pub fn check(file: &Path, env: &dyn Fn(&str) -> Option<String>, checks: Checks) -> Report {
    let (loaded, places) = config::survey(file, env);
    let (mut problems, mut warnings) = match loaded {
        Ok(loaded) => ((checks.keys_and_store)(&loaded.config), loaded.warnings),
        Err(problems) => (problems.texts(), Vec::new()),
    };
    if let (Some(directory), Some(tools)) = (&places.catalog, &places.tools)
        && let Err(wrong) = catalog::load(directory, tools)
    {
        problems.extend(wrong.texts());
    }
    if let Some(directory) = &places.policies {
        problems.extend((checks.policies)(directory));
        warnings.extend((checks.doubts)(directory));
    }
    Report { problems, warnings }
}
