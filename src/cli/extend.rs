//! `tidegate extend`.

use super::client::{Api, ApiArgs, Failed, object, segment};
use super::output::{Output, word};

#[derive(Clone, Debug, clap::Args)]
pub struct ExtendArgs {
    /// The grant.
    pub grant: String,
    /// By how much, as an ISO 8601 duration that its template offers.
    #[arg(long, value_name = "PT30M", value_parser = super::duration)]
    pub by: String,
    /// Why it is needed for longer.
    #[arg(long, value_name = "TEXT", alias = "because")]
    pub justification: Option<String>,
    #[command(flatten)]
    pub(super) api: ApiArgs,
}

pub(super) fn call(api: &Api, args: &ExtendArgs) -> Result<Output, Failed> {
    let body = object([
        ("duration", Some(args.by.as_str())),
        ("justification", args.justification.as_deref()),
    ]);
    let json = api.post(&format!("/api/v1/grants/{}/extend", segment(&args.grant)), &body)?;
    let (grant, end) = (word(&json, "id"), word(&json, "expires_at"));
    Ok(Output { text: vec![format!("grant {grant} ends at {end}")], json })
}
