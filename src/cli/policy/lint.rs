//! `tidegate policy lint`: what loads and is still doubtful.

use serde_json::json;

use super::{PolicyPlace, is_there, not_loaded, print};
use crate::cli::Exit;
use crate::cli::output::{self, Format};
use crate::policy::embedded::{Engine, Finding, Severity};

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Ends with 1 when an error is found, or with --deny-warnings anything.")]
pub struct LintArgs {
    #[command(flatten)]
    pub place: PolicyPlace,
    /// How the findings are told.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
    /// A warning is as bad as an error.
    #[arg(long)]
    pub deny_warnings: bool,
}

/// # Errors
/// What the process ends with when there is nothing to look through.
pub(super) fn run(args: &LintArgs) -> Result<Exit, Exit> {
    let directory = &args.place.policies;
    is_there(directory)?;
    let mut findings = Engine::lint(directory).map_err(|problems| not_loaded(&problems))?;
    for finding in &mut findings {
        if let Ok(below) = finding.file.strip_prefix(directory) {
            finding.file = below.to_owned();
        }
    }
    let shown = match args.output {
        Format::Text => text(&findings),
        Format::Json => output::json(&json!({ "findings": findings })),
    };
    let is_bad = |it: &Finding| args.deny_warnings || it.severity == Severity::Error;
    let exit = if findings.iter().any(is_bad) { Exit::Refused } else { Exit::Done };
    print(&shown, exit)
}

fn text(findings: &[Finding]) -> String {
    let mut lines: Vec<String> =
        findings.iter().map(|it| output::visible(&it.to_string())).collect();
    let errors = findings.iter().filter(|it| it.severity == Severity::Error).count();
    lines.push(match findings.len() - errors {
        0 if errors == 0 => "nothing to tell".to_owned(),
        warnings => format!("errors: {errors}, warnings: {warnings}"),
    });
    lines.join("\n")
}
