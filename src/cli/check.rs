//! `tidegate check`: everything that would stop `serve` before it binds, all at once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{self, Config};
use crate::{catalog, config::Problems};

use super::{Exit, PolicyCheck, output};

#[derive(Clone, Debug, clap::Args)]
pub struct CheckArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

#[must_use]
pub fn run(args: &CheckArgs, policy_check: PolicyCheck) -> Exit {
    let report = check(&args.config, &|name| std::env::var(name).ok(), policy_check);
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

/// Catalog and policies are looked at once the configuration says where they are.
pub fn check(
    file: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    policy_check: PolicyCheck,
) -> Report {
    match config::load(file, env) {
        Err(Problems(problems)) => Report {
            problems: problems.iter().map(ToString::to_string).collect(),
            ..Report::default()
        },
        Ok(loaded) => {
            let mut problems = catalog_problems(&loaded.config);
            problems.extend(policy_check(&loaded.config.policy.directory));
            Report { problems, warnings: loaded.warnings }
        }
    }
}

fn catalog_problems(config: &Config) -> Vec<String> {
    let Some(directory) = &config.catalog else { return Vec::new() };
    let tools: Vec<Arc<str>> = config.tools.iter().map(|tool| tool.name.clone()).collect();
    match catalog::load(directory, &tools) {
        Ok(_) => Vec::new(),
        Err(Problems(problems)) => problems.iter().map(ToString::to_string).collect(),
    }
}
