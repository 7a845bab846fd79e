//! `tidegate policy ...`: policies without any server, as the embedded engine reads them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{Exit, output};
use crate::policy::embedded::{Engine, Options};

mod eval;
mod test;

#[derive(Clone, Debug, clap::Args)]
pub struct PolicyArgs {
    #[command(subcommand)]
    pub command: PolicyCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
pub enum PolicyCommand {
    /// Answer CheckResources requests, one in JSON per line of stdin, one answer per line.
    Eval(eval::EvalArgs),
    /// Run the test suites (`*_test.yaml`) of the policies.
    Test(test::TestArgs),
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
    };
    done.unwrap_or_else(|exit| exit)
}

impl PolicyPlace {
    /// Loads the policies; what is wrong with them is told on stderr.
    ///
    /// # Errors
    /// What the process ends with: there is no such directory, or they do not load.
    fn load(&self, options: Options) -> Result<Engine, Exit> {
        if !self.policies.is_dir() {
            return Err(usage(&self.policies, "is no directory"));
        }
        Engine::load_with(&self.policies, options).map_err(|problems| {
            problems.0.iter().for_each(|problem| told(&problem.to_string()));
            let count = problems.0.len();
            told(&format!("{count} {}", if count == 1 { "problem" } else { "problems" }));
            Exit::Data
        })
    }
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
