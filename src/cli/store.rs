//! `tidegate store`: what an operator does with the store itself, past the API.

use super::Exit;

mod reconcile;

#[derive(Clone, Debug, clap::Args)]
pub struct StoreArgs {
    #[command(subcommand)]
    command: StoreCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum StoreCommand {
    /// Open what gateways closed after the store went back in time: end again what was revoked.
    Reconcile(reconcile::ReconcileArgs),
}

#[must_use]
pub fn run(args: &StoreArgs) -> Exit {
    match &args.command {
        StoreCommand::Reconcile(args) => reconcile::run(args),
    }
}
