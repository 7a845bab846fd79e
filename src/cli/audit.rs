//! `tidegate audit ...`: what webhooks did not take.

use serde_json::json;

use super::client::{Api, ApiArgs, Failed, object};
use super::output::{Output, table, word};

#[derive(Clone, Debug, clap::Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    pub command: AuditCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
pub enum AuditCommand {
    /// List events that webhooks did not take.
    DeadLetters(DeadLettersArgs),
    /// Send dead letters of a webhook again.
    Replay(ReplayArgs),
}

#[derive(Clone, Debug, clap::Args)]
pub struct DeadLettersArgs {
    /// The name of a webhook.
    #[arg(long)]
    pub sink: Option<String>,
    #[command(flatten)]
    pub(super) api: ApiArgs,
}

#[derive(Clone, Debug, clap::Args)]
pub struct ReplayArgs {
    /// The name of a webhook.
    #[arg(long)]
    pub sink: String,
    /// The id of one event; all without it.
    #[arg(long)]
    pub id: Option<String>,
    #[command(flatten)]
    pub(super) api: ApiArgs,
}

impl AuditCommand {
    pub(super) const fn api(&self) -> &ApiArgs {
        match self {
            Self::DeadLetters(args) => &args.api,
            Self::Replay(args) => &args.api,
        }
    }
}

pub(super) fn call(api: &Api, args: &AuditArgs) -> Result<Output, Failed> {
    match &args.command {
        AuditCommand::DeadLetters(args) => dead_letters(api, args),
        AuditCommand::Replay(args) => replay(api, args),
    }
}

fn dead_letters(api: &Api, args: &DeadLettersArgs) -> Result<Output, Failed> {
    let query: Vec<(&str, &str)> = args.sink.iter().map(|sink| ("sink", sink.as_str())).collect();
    let items = api.list("/api/v1/audit/dead-letters", &query)?;
    let head = ["SINK", "EVENT", "TYPE", "GIVEN UP", "TRIES", "REASON", "STATUS", "REPLAY"];
    let keys = ["sink", "id", "type", "given_up_at", "tries", "reason", "status", "replay"];
    Ok(Output { text: table(head, &items, keys), json: json!({ "items": items }) })
}

fn replay(api: &Api, args: &ReplayArgs) -> Result<Output, Failed> {
    let body = object([("sink", Some(args.sink.as_str())), ("id", args.id.as_deref())]);
    let json = api.post("/api/v1/audit/dead-letters/replay", &body)?;
    let text = vec![format!("{} dead letters are to be sent again", word(&json, "replayed"))];
    Ok(Output { json, text })
}
