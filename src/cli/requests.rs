//! `tidegate requests`.

use serde_json::json;

use super::client::{Api, ApiArgs, Failed};
use super::output::{Output, table};

#[derive(Clone, Debug, clap::Args)]
pub struct RequestsArgs {
    /// pending, approved, denied, cancelled or expired; may be given several times.
    #[arg(long)]
    pub status: Vec<String>,
    #[arg(long)]
    pub template: Option<String>,
    #[arg(long)]
    pub subject: Option<String>,
    #[command(flatten)]
    pub(super) api: ApiArgs,
}

pub(super) fn call(api: &Api, args: &RequestsArgs) -> Result<Output, Failed> {
    let filters = [("template", &args.template), ("subject", &args.subject)];
    let query: Vec<(&str, &str)> =
        filters.iter().filter_map(|(key, value)| Some((*key, value.as_deref()?))).collect();
    let mut items = Vec::new();
    if args.status.is_empty() {
        items = api.list("/api/v1/requests", &query)?;
    }
    for status in &args.status {
        let query = [query.as_slice(), &[("status", status.as_str())]].concat();
        items.extend(api.list("/api/v1/requests", &query)?);
    }
    let head = ["REQUEST", "SUBJECT", "TEMPLATE", "STATUS", "DURATION", "JUSTIFICATION"];
    let keys = ["id", "subject", "template", "status", "duration", "justification"];
    Ok(Output { text: table(head, &items, keys), json: json!({ "items": items }) })
}
