//! `tidegate deny`.

use super::client::{Api, ApiArgs, Failed, object, segment};
use super::output::Output;

#[derive(Clone, Debug, clap::Args)]
pub struct DenyArgs {
    /// The request.
    pub id: String,
    /// What to tell the requester.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    #[command(flatten)]
    pub(super) api: ApiArgs,
}

pub(super) fn call(api: &Api, args: &DenyArgs) -> Result<Output, Failed> {
    let body = object([("reason", args.reason.as_deref())]);
    let json = api.post(&format!("/api/v1/requests/{}/deny", segment(&args.id)), &body)?;
    Ok(Output { text: super::request::lines(&json), json })
}
