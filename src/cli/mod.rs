//! The command line: one file per subcommand.

pub mod approve;
pub mod audit;
pub mod check;
mod client;
pub mod deny;
pub mod dev;
pub mod explain;
pub mod extend;
pub mod grants;
mod output;
pub mod policy;
pub mod request;
pub mod requests;
pub mod review;
pub mod revoke;
pub mod serve;
pub mod store;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Config;
use client::{Api, ApiArgs, Failed};
use output::Output;
use store::StoreTools;

/// What the process ends with (the numbers of `sysexits.h`, where there is one).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Done,
    /// The answer was no, and the problem is printed.
    Refused,
    /// Wrong arguments or a wrong configuration.
    Usage,
    /// What was given does not hold: policies or suites that do not load.
    Data,
    Unreachable,
    /// The store does not fit: password, database, role, partitions, seal keys, newer version.
    Misfit,
}

impl Exit {
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::Usage => 64,
            Self::Data => 65,
            Self::Unreachable => 69,
            Self::Misfit => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// What `check` and `store` ask the rest of the program; a check gives every problem, ready to
/// print.
#[derive(Clone, Copy, Debug)]
pub struct Checks {
    pub policies: fn(&Path) -> Vec<String>,
    /// What is doubtful in policies that load.
    pub doubts: fn(&Path) -> Vec<String>,
    pub keys_and_store: fn(&Config) -> Vec<String>,
    pub store: StoreTools,
}

/// Time-bound access to internal tools: a gateway that asks for a live grant on every request, and
/// the approvals that create grants.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything embedded, with a development identity provider and a sample tool.
    Dev(dev::DevArgs),
    /// Run the gateway and the API.
    Serve(serve::ServeArgs),
    /// Check the configuration, the catalog and the policies.
    Check(check::CheckArgs),
    /// Ask for access.
    Request(request::RequestArgs),
    /// Approve the current step of a request.
    Approve(approve::ApproveArgs),
    /// Look after what webhooks did not take.
    Audit(audit::AuditArgs),
    /// Deny a request.
    Deny(deny::DenyArgs),
    /// Review a break-glass.
    Review(review::ReviewArgs),
    /// Revoke a grant, or everything of a subject, a tool or a template.
    Revoke(revoke::RevokeArgs),
    /// Extend a grant of one's own.
    Extend(extend::ExtendArgs),
    /// List grants.
    Grants(grants::GrantsArgs),
    /// Tell why a decision came out as it did.
    Explain(explain::ExplainArgs),
    /// List requests.
    Requests(requests::RequestsArgs),
    /// Ask, test and look through policies without any server.
    Policy(policy::PolicyArgs),
    /// Look after the store itself.
    Store(store::StoreArgs),
}

/// Runs the program with its arguments, the first of which is its name.
pub fn run<T: Into<OsString> + Clone>(
    arguments: impl IntoIterator<Item = T>,
    checks: Checks,
) -> Exit {
    let command = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments.command,
        Err(told) => {
            // Help and version are answers, on stdout; all else is a usage error, on stderr.
            let _ = told.print();
            return if told.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    match command {
        Command::Dev(args) => dev::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Check(args) => check::run(&args, checks),
        Command::Request(args) => verb(&args.api, |api| request::call(api, &args)),
        Command::Approve(args) => verb(&args.api, |api| approve::call(api, &args)),
        Command::Audit(args) => verb(args.command.api(), |api| audit::call(api, &args)),
        Command::Deny(args) => verb(&args.api, |api| deny::call(api, &args)),
        Command::Review(args) => verb(&args.api, |api| review::call(api, &args)),
        Command::Revoke(args) => verb(&args.api, |api| revoke::call(api, &args)),
        Command::Extend(args) => verb(&args.api, |api| extend::call(api, &args)),
        Command::Grants(args) => verb(&args.api, |api| grants::call(api, &args)),
        Command::Explain(args) => explain::run(&args),
        Command::Requests(args) => verb(&args.api, |api| requests::call(api, &args)),
        Command::Policy(args) => policy::run(&args),
        Command::Store(args) => store::run(&args, checks.store),
    }
}

/// Runs one call to the API and prints what it answered.
fn verb(args: &ApiArgs, call: impl FnOnce(&Api) -> Result<Output, Failed>) -> Exit {
    let token = std::env::var("TIDEGATE_TOKEN").ok();
    let done = Api::new(args, token.as_deref()).and_then(|api| {
        if api.is_exposed() {
            eprintln!("tidegate: warning: the token goes to another machine without TLS");
        }
        call(&api)
    });
    output::print(args.output, &done);
    done.map_or_else(|failed| failed.exit(), |_| Exit::Done)
}

/// An ISO 8601 duration, kept as it was written.
fn duration(text: &str) -> Result<String, String> {
    match crate::iso8601::parse_duration(text) {
        Ok(span) if !span.is_zero() => Ok(text.to_owned()),
        Ok(_) => Err("expected a duration longer than zero".to_owned()),
        Err(wrong) => Err(wrong.to_string()),
    }
}

/// An RFC 3339 time, kept as it was written.
fn time(text: &str) -> Result<String, String> {
    crate::iso8601::parse_time(text).map(|_| text.to_owned()).map_err(|wrong| wrong.to_string())
}
