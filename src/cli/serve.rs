//! `tidegate serve`: the gateway and the API, until it is told to stop.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, output};
use crate::app::{self, Running, StartError};
use crate::clock::SystemClock;
use crate::config::{self, Config};
use crate::telemetry::log;

#[derive(Clone, Debug, clap::Args)]
pub struct ServeArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

#[must_use]
pub fn run(args: &ServeArgs) -> Exit {
    let loaded = match config::load(&args.config, &|name| std::env::var(name).ok()) {
        Ok(loaded) => loaded,
        Err(problems) => return refused(&problems.texts()),
    };
    if let Err(fault) = log::init(log::Format::Json, &filter()) {
        eprintln!("tidegate: {fault}");
        return Exit::Usage;
    }
    for warning in &loaded.warnings {
        tracing::warn!("{}", output::visible(warning));
    }
    on_runtime(serve(loaded.config))
}

/// `RUST_LOG`, or `info`.
#[must_use]
pub fn filter() -> String {
    std::env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned())
}

/// Runs on the ordinary runtime that everything but the data plane shares.
pub fn on_runtime(work: impl Future<Output = Exit>) -> Exit {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(fault) => {
            eprintln!("tidegate: the runtime could not start: {fault}");
            Exit::Unreachable
        }
    }
}

async fn serve(config: Config) -> Exit {
    match app::start(config, Arc::new(SystemClock)).await {
        Err(error) => not_started(&error),
        Ok(running) => {
            let ready = ready_line(&running);
            until_stopped(running, &ready).await
        }
    }
}

/// One line on standard output once everything listens, for whoever started the process.
fn ready_line(running: &Running) -> String {
    let addresses = &running.addresses;
    let proxy: Vec<String> = addresses.proxy.iter().map(ToString::to_string).collect();
    format!("ready proxy={} api={} admin={}", proxy.join(","), addresses.api, addresses.admin)
}

/// Prints why the process did not start.
#[must_use]
pub fn not_started(error: &StartError) -> Exit {
    match error {
        StartError::Problems(problems) => refused(problems),
        StartError::Store(fault) => {
            eprintln!("tidegate: {fault}");
            Exit::Misfit
        }
        StartError::Redis(fault) => {
            eprintln!("tidegate: {fault}");
            Exit::Misfit
        }
        StartError::Policy(_) => {
            eprintln!("tidegate: {error}");
            Exit::Unreachable
        }
        StartError::Bind(fault) => {
            eprintln!("tidegate: a listener cannot be bound: {fault}");
            Exit::Usage
        }
        StartError::Entropy(fault) => {
            eprintln!("tidegate: {fault}");
            Exit::Unreachable
        }
    }
}

/// Prints every problem.
#[must_use]
pub fn refused(problems: &[String]) -> Exit {
    for problem in problems {
        eprintln!("{}", output::visible(problem));
    }
    Exit::Usage
}

/// Until SIGTERM or SIGINT; SIGHUP reloads. `ready` is printed once signals are heard: whoever reads
/// it may send one at once.
pub async fn until_stopped(mut running: Running, ready: &str) -> Exit {
    let signals = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
        signal(SignalKind::hangup()),
    );
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) = signals else {
        eprintln!("tidegate: signals cannot be received");
        return Exit::Unreachable;
    };
    println!("{ready}");
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => running.reload.ask(),
            failed = running.failed() => {
                tracing::error!(%failed, "stopping");
                // What was decided is still delivered.
                let _also_failed = running.finish().await;
                return Exit::Unreachable;
            }
        }
    }
    match running.finish().await {
        Ok(()) => Exit::Done,
        Err(died) => {
            tracing::error!(%died, "while draining");
            Exit::Unreachable
        }
    }
}
