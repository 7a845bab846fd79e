//! `tidegate dev`.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::Exit;

#[derive(Clone, Debug, clap::Args)]
pub struct DevArgs {
    /// Where the guarded tools are reached.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub proxy: SocketAddr,
    /// Where the API is reached.
    #[arg(long, default_value = "127.0.0.1:8081")]
    pub api: SocketAddr,
    /// Where the development identity provider is reached.
    #[arg(long, default_value = "127.0.0.1:8082")]
    pub idp: SocketAddr,
    /// Where metrics and probes are reached.
    #[arg(long, default_value = "127.0.0.1:9090")]
    pub admin: SocketAddr,
    /// Keeps the data here instead of in a temporary folder.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Plays the whole story by itself on free ports, and exits 0 only if every step came out as it
    /// should.
    #[arg(long)]
    pub walkthrough: bool,
}

#[must_use]
pub fn run(_args: &DevArgs) -> Exit {
    eprintln!("tidegate: `dev` is not part of this build");
    Exit::Usage
}
