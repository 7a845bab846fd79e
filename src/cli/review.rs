//! `tidegate review`.

use super::client::{Api, ApiArgs, Failed, object, segment};
use super::output::{Output, word};

#[derive(Clone, Debug, clap::Args)]
pub struct ReviewArgs {
    /// The request that was a break-glass.
    pub id: String,
    /// What to keep with it.
    #[arg(long, value_name = "TEXT")]
    pub comment: Option<String>,
    #[command(flatten)]
    pub(super) api: ApiArgs,
}

pub(super) fn call(api: &Api, args: &ReviewArgs) -> Result<Output, Failed> {
    let body = object([("comment", args.comment.as_deref())]);
    let json = api.post(&format!("/api/v1/requests/{}/review", segment(&args.id)), &body)?;
    let (id, subject) = (word(&json, "id"), word(&json, "subject"));
    let text = format!("the break-glass {id} of {subject} is reviewed");
    Ok(Output { text: vec![text], json })
}
