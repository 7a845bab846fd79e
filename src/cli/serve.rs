//! `tidegate serve`.

use std::path::PathBuf;

use super::Exit;

#[derive(Clone, Debug, clap::Args)]
pub struct ServeArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

#[must_use]
pub fn run(_args: &ServeArgs) -> Exit {
    eprintln!("tidegate: `serve` is not part of this build");
    Exit::Usage
}
