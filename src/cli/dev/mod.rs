//! `tidegate dev`: everything embedded, with a development identity provider and a sample tool.

mod hints;
mod setup;
mod stream;
mod walkthrough;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::Exit;
use super::serve::{filter, not_started, on_runtime, refused, until_stopped};
use crate::app::{self, Running};
use crate::clock::SystemClock;
use crate::config::{self, Config, Environment};
use crate::telemetry::log;
use crate::{dev_idp, sample_tool};

use setup::Addresses;

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

/// A folder of one run. A temporary one goes with it.
enum Folder {
    Named(PathBuf),
    Temporary(tempfile::TempDir),
}

#[must_use]
pub fn run(args: &DevArgs) -> Exit {
    let quiet = if args.walkthrough { "error".to_owned() } else { filter() };
    if let Err(fault) = log::init(log::Format::Text, &quiet) {
        eprintln!("tidegate: {fault}");
        return Exit::Usage;
    }
    on_runtime(develop(args.clone()))
}

async fn develop(args: DevArgs) -> Exit {
    let started = match Development::start(&args).await {
        Ok(started) => started,
        Err(exit) => return exit,
    };
    let Development { running, at, folder } = started;
    if args.walkthrough {
        let played = walkthrough::play(at).await;
        let ended = running.finish().await;
        return match (played, ended) {
            (Ok(()), Ok(())) => Exit::Done,
            (Err(wrong), _) => told(&wrong, Exit::Refused),
            (Ok(()), Err(died)) => told(&died, Exit::Refused),
        };
    }
    let hints = hints::text(at, &folder.path().display().to_string());
    until_stopped(running, &hints).await
}

struct Development {
    running: Running,
    at: Addresses,
    folder: Folder,
}

impl Development {
    async fn start(args: &DevArgs) -> Result<Self, Exit> {
        let folder = Folder::of(args).map_err(|fault| told(&fault, Exit::Usage))?;
        let asked = asked_addresses(args);
        let (idp, notes) =
            serve_helpers(asked, &folder).await.map_err(|f| told(&f, Exit::Usage))?;
        let at = Addresses { idp, notes, ..asked };
        let config = configuration(&folder, at)?;
        let running = app::start(config, Arc::new(SystemClock)).await;
        let running = running.map_err(|error| not_started(&error))?;
        let bound = running.addresses.clone();
        let proxy = bound.proxy.first().copied().unwrap_or(at.proxy);
        Ok(Self {
            at: Addresses { proxy, api: bound.api, admin: bound.admin, ..at },
            running,
            folder,
        })
    }
}

fn asked_addresses(args: &DevArgs) -> Addresses {
    let free = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    if args.walkthrough {
        return Addresses { proxy: free, api: free, admin: free, idp: free, notes: free };
    }
    let DevArgs { proxy, api, admin, idp, .. } = *args;
    Addresses { proxy, api, admin, idp, notes: free }
}

impl Folder {
    fn of(args: &DevArgs) -> io::Result<Self> {
        match &args.data {
            Some(folder) if !args.walkthrough => Ok(Self::Named(std::path::absolute(folder)?)),
            Some(_) | None => {
                Ok(Self::Temporary(tempfile::Builder::new().prefix("tidegate-dev-").tempdir()?))
            }
        }
    }

    fn path(&self) -> &std::path::Path {
        match self {
            Self::Named(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

/// The identity provider and the sample tool, on this runtime until the process ends.
async fn serve_helpers(at: Addresses, folder: &Folder) -> io::Result<(SocketAddr, SocketAddr)> {
    let (idp, notes) = (bind(at.idp).await?, bind(at.notes).await?);
    let (idp_at, notes_at) = (idp.local_addr()?, notes.local_addr()?);
    setup::prepare(folder.path())?;
    let issuer = format!("http://{idp_at}");
    let people = dev_idp::router(issuer, Arc::new(SystemClock), Some(folder.path()));
    let people = people.map_err(io::Error::other)?;
    tokio::spawn(async move { axum::serve(idp, people).await });
    tokio::spawn(async move { axum::serve(notes, sample_tool::router()).await });
    Ok((idp_at, notes_at))
}

async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let named = |error| {
        io::Error::other(format!(
            "{address}: {error} (--proxy, --api, --idp and --admin choose other addresses)"
        ))
    };
    TcpListener::bind(address).await.map_err(named)
}

/// The configuration of the data folder; it can only be one for development.
fn configuration(folder: &Folder, at: Addresses) -> Result<Config, Exit> {
    let file = folder.path().join("tidegate.yaml");
    let loaded = config::load(&file, &|name| setup::variable(at, name));
    let loaded = loaded.map_err(|problems| refused(&problems.texts()))?;
    match loaded.config.environment {
        Environment::Development => Ok(loaded.config),
        Environment::Production => {
            eprintln!("tidegate: `dev` does not run with `environment: production`");
            Err(Exit::Usage)
        }
    }
}

fn told(fault: &dyn std::fmt::Display, exit: Exit) -> Exit {
    eprintln!("tidegate: {fault}");
    exit
}
