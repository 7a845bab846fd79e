//! `tidegate approve`.

use super::client::{Api, ApiArgs, Failed, object, segment};
use super::output::Output;

#[derive(Clone, Debug, clap::Args)]
pub struct ApproveArgs {
    /// The request.
    pub id: String,
    /// What to tell the requester.
    #[arg(long, value_name = "TEXT")]
    pub comment: Option<String>,
    /// A shorter time than was asked for, as an ISO 8601 duration.
    #[arg(long = "for", value_name = "PT30M", value_parser = super::duration)]
    pub duration: Option<String>,
    /// An earlier end than was asked for, as an RFC 3339 time.
    #[arg(long, value_name = "TIME", value_parser = super::time, conflicts_with = "duration")]
    pub until: Option<String>,
    #[command(flatten)]
    pub(super) api: ApiArgs,
}

pub(super) fn call(api: &Api, args: &ApproveArgs) -> Result<Output, Failed> {
    let body = object([
        ("comment", args.comment.as_deref()),
        ("duration", args.duration.as_deref()),
        ("expires_at", args.until.as_deref()),
    ]);
    let json = api.post(&format!("/api/v1/requests/{}/approve", segment(&args.id)), &body)?;
    Ok(Output { text: super::request::lines(&json), json })
}
