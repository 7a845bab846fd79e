//! `tidegate request`.

use serde_json::{Map, Value};

use super::client::{Api, ApiArgs, Failed, object};
use super::output::{Output, word};

#[derive(Clone, Debug, clap::Args)]
pub struct RequestArgs {
    /// The template to ask for.
    pub template: String,
    /// For how long, as an ISO 8601 duration [default: the template's].
    #[arg(long = "for", value_name = "PT1H", value_parser = super::duration)]
    pub duration: Option<String>,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub because: Option<String>,
    /// A field of the template; may be given several times.
    #[arg(long = "field", value_name = "NAME=VALUE", value_parser = pair)]
    pub fields: Vec<(String, String)>,
    /// For somebody else, where policy allows it.
    #[arg(long)]
    pub subject: Option<String>,
    /// Access at once in an emergency, to be reviewed; needs --because.
    #[arg(long, requires = "because", conflicts_with = "subject")]
    pub break_glass: bool,
    #[command(flatten)]
    pub(super) api: ApiArgs,
}

pub(super) fn call(api: &Api, args: &RequestArgs) -> Result<Output, Failed> {
    let mut body = object([
        ("template", Some(args.template.as_str())),
        ("duration", args.duration.as_deref()),
        ("justification", args.because.as_deref()),
        ("subject", args.subject.as_deref()),
    ]);
    if let Value::Object(members) = &mut body
        && !args.fields.is_empty()
    {
        let types = field_types(&api.get("/api/v1/catalog", &[])?, &args.template);
        members.insert("fields".to_owned(), Value::Object(fields(&args.fields, &types)));
    }
    if let Value::Object(members) = &mut body
        && args.break_glass
    {
        members.insert("break_glass".to_owned(), Value::Bool(true));
    }
    let json = api.post("/api/v1/requests", &body)?;
    Ok(Output { text: lines(&json), json })
}

/// What happened to a request, in a line or two.
pub(super) fn lines(request: &Value) -> Vec<String> {
    let (id, status) = (word(request, "id"), word(request, "status"));
    let (subject, template) = (word(request, "subject"), word(request, "template"));
    let duration = word(request, "duration");
    let mut lines = vec![format!("request {id} is {status}: {template} for {subject}, {duration}")];
    let grants = word(request, "grants");
    if !grants.is_empty() {
        lines.push(format!("grants: {grants}"));
    }
    lines
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err("expected NAME=VALUE".to_owned()),
    }
}

/// A value takes the type that the template's field has. What does not fit goes as text, and the
/// API says what it expected.
fn fields(given: &[(String, String)], types: &[(String, String)]) -> Map<String, Value> {
    let value_of = |(name, text): &(String, String)| {
        let kind = types.iter().find(|(field, _)| field == name).map(|(_, kind)| kind.as_str());
        let value = match (kind, text.as_str()) {
            (Some("checkbox"), "true") => Some(Value::Bool(true)),
            (Some("checkbox"), "false") => Some(Value::Bool(false)),
            (Some("number"), text) => serde_json::from_str(text).ok().filter(Value::is_number),
            (Some(_) | None, _) => None,
        };
        (name.clone(), value.unwrap_or_else(|| Value::String(text.clone())))
    };
    given.iter().map(value_of).collect()
}

/// Name and type of the template's fields, as the catalog has them.
fn field_types(catalog: &Value, template: &str) -> Vec<(String, String)> {
    let members = |value: &'_ Value, key: &str| -> Vec<Value> {
        value.get(key).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let templates = members(catalog, "items");
    let found = templates.iter().find(|entry| word(entry, "name") == template);
    let fields = found.map(|entry| members(entry, "fields")).unwrap_or_default();
    fields.iter().map(|field| (word(field, "name"), word(field, "type"))).collect()
}
