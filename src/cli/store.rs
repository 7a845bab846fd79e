//! `tidegate store ...`: the store itself, for those who operate it.

use std::path::Path;

use super::output::{self, Format, Output};
use super::{Exit, serve};
use crate::app::{InspectError, StoreReport, SubjectReport};
use crate::config::{self, Config};
use crate::store::StoreFault;

mod reconcile;
mod show;
mod status;

/// What the verbs ask the rest of the program.
#[derive(Clone, Copy, Debug)]
pub struct StoreTools {
    pub show: fn(&Config, &str) -> Result<SubjectReport, InspectError>,
    pub status: fn(&Config) -> Result<StoreReport, InspectError>,
}

#[derive(Clone, Debug, clap::Args)]
pub struct StoreArgs {
    #[command(subcommand)]
    pub command: StoreCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
pub enum StoreCommand {
    /// Open what gateways closed after the store went back in time: end again what was revoked.
    Reconcile(reconcile::ReconcileArgs),
    /// Show what the store keeps about a subject.
    Show(show::ShowArgs),
    /// Show how the store and its partitions stand.
    Status(status::StatusArgs),
}

#[must_use]
pub fn run(args: &StoreArgs, tools: StoreTools) -> Exit {
    match &args.command {
        StoreCommand::Reconcile(args) => reconcile::run(args),
        StoreCommand::Show(args) => show::run(args, tools),
        StoreCommand::Status(args) => status::run(args, tools),
    }
}

/// Loads the configuration, asks, and prints the answer or why there is none.
fn asked<T>(
    file: &Path,
    format: Format,
    ask: impl FnOnce(&Config) -> Result<T, InspectError>,
    shown: impl FnOnce(&T) -> Output,
) -> Exit {
    let loaded = match config::load(file, &|name| std::env::var(name).ok()) {
        Ok(loaded) => loaded,
        Err(problems) => return serve::refused(&problems.texts()),
    };
    match ask(&loaded.config) {
        Ok(report) => {
            output::print(format, &Ok(shown(&report)));
            Exit::Done
        }
        Err(error) => {
            eprintln!("tidegate: {}", output::visible(&error.to_string()));
            exit(&error)
        }
    }
}

const fn exit(error: &InspectError) -> Exit {
    match error {
        InspectError::Usage(_) => Exit::Usage,
        InspectError::Misfit(_) => Exit::Misfit,
        InspectError::Absent(_) | InspectError::Runtime(_) => Exit::Unreachable,
        InspectError::Store(fault) => match fault {
            StoreFault::Unreachable(_)
            | StoreFault::Deadline
            | StoreFault::ClockSkew(_)
            | StoreFault::Overloaded => Exit::Unreachable,
            StoreFault::RolledBack(_)
            | StoreFault::Missing { .. }
            | StoreFault::InvalidRecord { .. } => Exit::Misfit,
        },
    }
}
