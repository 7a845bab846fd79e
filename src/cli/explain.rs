//! `tidegate explain`: from the API, or from the decision log.

mod log;
mod recorded;
mod text;

use std::path::PathBuf;

use serde_json::Value;

use super::Exit;
use super::client::{Api, ApiArgs, Failed, segment};
use super::output::{self, Output, visible};

#[derive(Clone, Debug, clap::Args)]
pub struct ExplainArgs {
    /// The `tidegate-decision-id` of a response, or `decision_id` of a problem.
    pub id: String,
    /// A decision log (JSON lines) to look into when the API does not tell, or when there is no
    /// token; several are read in order.
    #[arg(long, value_name = "FILE")]
    pub log: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) api: ApiArgs,
}

pub fn run(args: &ExplainArgs) -> Exit {
    let done = explained(args);
    output::print(args.api.output, &done);
    let exit = done.as_ref().map_or_else(Failed::exit, |_| Exit::Done);
    if exit == Exit::Refused && args.log.is_empty() {
        eprintln!(
            "tidegate: an instance keeps its recent decisions only, and the data plane's for a \
             short while; older ones are in the decision log: --log FILE"
        );
    }
    exit
}

fn explained(args: &ExplainArgs) -> Result<Output, Failed> {
    let token = std::env::var("TIDEGATE_TOKEN").ok();
    if args.log.is_empty() {
        return asked(args, token.as_deref());
    }
    if token.is_some() {
        match asked(args, token.as_deref()) {
            Err(failed @ (Failed::Refused { .. } | Failed::Unreachable(_))) => {
                for line in output::failure(&failed) {
                    eprintln!("{}", visible(&line));
                }
            }
            done @ (Ok(_) | Err(Failed::Usage(_))) => return done,
        }
    }
    match log::find(&args.log, &args.id)? {
        Some(event) => Ok(shown(recorded::explanation(&event))),
        None => Err(missing(&args.id)),
    }
}

fn asked(args: &ExplainArgs, token: Option<&str>) -> Result<Output, Failed> {
    let api = Api::new(&args.api, token)?;
    if api.is_exposed() {
        eprintln!("tidegate: warning: the token goes to another machine without TLS");
    }
    api.get(&format!("/api/v1/decisions/{}", segment(&args.id)), &[]).map(shown)
}

fn shown(json: Value) -> Output {
    Output { text: text::report(&json), json }
}

fn missing(id: &str) -> Failed {
    let detail = format!("the decision {id} is not in these logs");
    let problem = serde_json::json!({
        "type": "urn:tidegate:problem:not-found",
        "title": "Not found",
        "status": 404,
        "detail": detail,
    });
    Failed::Refused { status: http::StatusCode::NOT_FOUND, problem: Some(problem) }
}
