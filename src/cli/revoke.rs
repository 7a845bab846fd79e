//! `tidegate revoke`: one grant, or the kill switch.

use super::client::{Api, ApiArgs, Failed, object, segment};
use super::output::{Output, word};

#[derive(Clone, Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["grant", "subject", "tool", "template"]))]
pub struct RevokeArgs {
    /// One grant.
    pub grant: Option<String>,
    /// Everything that this subject holds or has asked for.
    #[arg(long)]
    pub subject: Option<String>,
    /// Every grant for this tool.
    #[arg(long)]
    pub tool: Option<String>,
    /// Every grant that this template gave.
    #[arg(long)]
    pub template: Option<String>,
    /// Why; it is kept in the audit.
    #[arg(long, value_name = "TEXT", default_value = "revoked from the command line")]
    pub reason: String,
    #[command(flatten)]
    pub(super) api: ApiArgs,
}

pub(super) fn call(api: &Api, args: &RevokeArgs) -> Result<Output, Failed> {
    let reason = Some(args.reason.as_str());
    if let Some(grant) = &args.grant {
        let path = format!("/api/v1/grants/{}/revoke", segment(grant));
        let json = api.post(&path, &object([("reason", reason)]))?;
        let text = format!("grant {} is {}", word(&json, "id"), word(&json, "status"));
        return Ok(Output { text: vec![text], json });
    }
    let body = object([
        ("subject", args.subject.as_deref()),
        ("tool", args.tool.as_deref()),
        ("template", args.template.as_deref()),
        ("reason", reason),
    ]);
    let json = api.post("/api/v1/revocations", &body)?;
    let (revoked, cancelled) = (word(&json, "revoked"), word(&json, "cancelled"));
    let mut text = vec![format!("revoked {revoked}, cancelled {cancelled}")];
    if word(&json, "pending") == "true" {
        text.push("it binds from now on; the counts follow when everything is swept".to_owned());
    }
    Ok(Output { json, text })
}
