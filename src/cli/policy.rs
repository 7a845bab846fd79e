//! `tidegate policy ...`: policies without any server, as the embedded engine reads them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{Exit, output};
use crate::policy::embedded::{Engine, Options, PolicyProblems};

mod eval;
mod lint;
mod test;

#[derive(Clone, Debug, clap::Args)]
pub struct PolicyArgs {
    #[command(subcommand)]
    pub command: PolicyCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
pub enum PolicyCommand {
    /// Answer checks as the PDP does: one request in JSON per line of stdin, one answer per line.
    Eval(eval::EvalArgs),
    /// Run the test suites (`*_test.yaml`) of the policies.
    Test(test::TestArgs),
    /// Tell what loads and is still doubtful: rules that can fail, never match, or are unused.
    Lint(lint::LintArgs),
}

/// Where the policies are.
#[derive(Clone, Debug, clap::Args)]
pub struct PolicyPlace {
    /// The directory of the policies.
    #[arg(long, value_name = "DIR")]
    pub policies: PathBuf,
}

#[must_use]
pub fn run(args: &PolicyArgs) -> Exit {
    let done = match &args.command {
        PolicyCommand::Eval(args) => eval::run(args),
        PolicyCommand::Test(args) => test::run(args),
        PolicyCommand::Lint(args) => lint::run(args),
    };
    done.unwrap_or_else(|exit| exit)
}

impl PolicyPlace {
    /// Loads the policies; what is wrong with them is told on stderr.
    ///
    /// # Errors
    /// What the process ends with: there is no such directory, or they do not load.
    fn load(&self, options: Options) -> Result<Engine, Exit> {
        is_there(&self.policies)?;
        Engine::load_with(&self.policies, options).map_err(|problems| not_loaded(&problems))
    }
}

/// # Errors
/// What the process ends with: it is not.
fn is_there(directory: &Path) -> Result<(), Exit> {
    if directory.is_dir() { Ok(()) } else { Err(usage(directory, "is no directory")) }
}

/// Tells everything that is wrong with the policies.
fn not_loaded(problems: &PolicyProblems) -> Exit {
    problems.0.iter().for_each(|problem| told(&problem.to_string()));
    let count = problems.0.len();
    told(&format!("{count} {}", if count == 1 { "problem" } else { "problems" }));
    Exit::Data
}

/// One line on stderr.
fn told(line: &str) {
    eprintln!("{}", output::visible(line));
}

fn usage(file: &Path, why: &str) -> Exit {
    told(&format!("tidegate: {}: {why}", file.display()));
    Exit::Usage
}

/// Prints an answer on stdout and gives the exit it goes with, also when nobody reads it.
///
/// # Errors
/// What the process ends with: it cannot be printed.
fn print(text: &str, exit: Exit) -> Result<Exit, Exit> {
    let mut output = io::stdout().lock();
    match writeln!(output, "{text}").and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            told(&format!("tidegate: {error}"));
            Err(Exit::Unreachable)
        }
        Ok(()) | Err(_) => Ok(exit),
    }
}
