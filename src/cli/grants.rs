//! `tidegate grants`.

use serde_json::json;

use super::client::{Api, ApiArgs, Failed};
use super::output::{Output, table};

#[derive(Clone, Debug, clap::Args)]
pub struct GrantsArgs {
    #[arg(long)]
    pub subject: Option<String>,
    #[arg(long)]
    pub tool: Option<String>,
    /// active, expired, revoked or released.
    #[arg(long)]
    pub status: Option<String>,
    #[command(flatten)]
    pub(super) api: ApiArgs,
}

pub(super) fn call(api: &Api, args: &GrantsArgs) -> Result<Output, Failed> {
    let filters = [("subject", &args.subject), ("tool", &args.tool), ("status", &args.status)];
    let query: Vec<(&str, &str)> =
        filters.iter().filter_map(|(key, value)| Some((*key, value.as_deref()?))).collect();
    let items = api.list("/api/v1/grants", &query)?;
    let head = ["GRANT", "SUBJECT", "TOOL", "ROLE", "STATUS", "EXPIRES"];
    let keys = ["id", "subject", "tool", "role", "status", "expires_at"];
    Ok(Output { text: table(head, &items, keys), json: json!({ "items": items }) })
}
