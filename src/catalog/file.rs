//! The shape of a catalog file, for its JSON Schema: editors complete and check with it. The reader
//! decides; a test holds the two together.

use schemars::JsonSchema;
use serde_json::Value;

use crate::config::file::without_null;

type Text = String;
type Texts = Vec<String>;

/// Catalog of Tidegate
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct File {
    pub templates: Vec<Template>,
}

/// ISO 8601 duration longer than zero, like PT30M, PT8H or P1D
#[derive(JsonSchema)]
#[schemars(transparent, extend("pattern" = r"^P(?:[0-9]+[WD])*(?:T(?:[0-9]+[HMS])+)?$"))]
pub struct Span(pub String);

/// TOOL:ROLE
#[derive(JsonSchema)]
#[schemars(transparent, extend("pattern" = r"^[A-Za-z0-9._-]{1,64}:[A-Za-z0-9._-]{1,64}$"))]
pub struct Access(pub String);

/// What can be asked for, by whom, for how long, and who decides
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Template {
    /// 1 to 64 characters of a-z A-Z 0-9 . _ -
    #[schemars(length(min = 1, max = 64))]
    pub name: Text,
    /// Nobody sees or asks for it until it is enabled; false when absent
    pub enabled: Option<bool>,
    /// The name when absent
    pub title: Option<Text>,
    /// Only requesters with one of these scopes or groups see it
    pub scopes: Option<Texts>,
    #[schemars(length(min = 1))]
    pub accesses: Vec<Access>,
    /// What can be asked for
    #[schemars(length(min = 1))]
    pub durations: Vec<Span>,
    /// One of durations; the first when absent
    pub default_duration: Option<Span>,
    /// How long a request may stay undecided; P1D when absent
    pub pending_for: Option<Span>,
    /// Everybody signed in when absent
    pub requesters: Option<Groups>,
    pub require_justification: Option<bool>,
    pub justification: Option<Justification>,
    pub fields: Option<Vec<Field>>,
    /// All must approve, in order
    #[schemars(length(min = 1))]
    pub steps: Vec<Step>,
    /// Whether people may decide on their own requests; false when absent
    pub self_approval: Option<bool>,
    pub auto_approve: Option<AutoApprove>,
    pub notify: Option<Notify>,
    pub escalation: Option<Escalation>,
    pub extension: Option<Extension>,
    /// How long before its end the holder of a grant is warned
    pub warn_before_end: Option<Span>,
    pub break_glass: Option<BreakGlass>,
    /// What must not be held together with what this grants
    pub conflicts_with: Option<Vec<Access>>,
    pub eligible: Option<Eligible>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Groups {
    #[schemars(length(min = 1))]
    pub groups: Texts,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Justification {
    /// Regular expression
    pub pattern: Text,
    /// Shown to whoever does not match it
    pub message: Text,
}

/// A custom field of the request
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Field {
    pub name: Text,
    pub required: Option<bool>,
    /// text, select, checkbox or number
    #[schemars(extend("enum" = ["text", "select", "checkbox", "number"]))]
    pub r#type: Text,
    /// Of text alone: the most characters; 200 when absent
    #[schemars(range(min = 1, max = 10_000))]
    pub max: Option<u64>,
    /// Of select alone
    pub options: Option<Texts>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Step {
    pub approvers: Approvers,
    /// How many different people; 1 when absent
    #[schemars(range(min = 1, max = 100))]
    pub required: Option<u64>,
}

/// Either groups, or any: true for everybody signed in
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Approvers {
    #[schemars(length(min = 1))]
    pub groups: Option<Texts>,
    pub any: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct AutoApprove {
    /// CEL expression over the request: where it is true, nobody has to decide
    pub when: Text,
}

/// Which of the approvers are told of a request; all of them when absent
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Notify {
    /// all, `first_n`, `random_n` or `round_robin`
    #[schemars(extend("enum" = ["all", "first_n", "random_n", "round_robin"]))]
    pub policy: Text,
    #[schemars(range(min = 1, max = 100))]
    pub count: Option<u64>,
}

/// Who else may decide, and hears of it, when nobody has decided
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Escalation {
    /// Shorter than `pending_for`
    pub after: Span,
    #[schemars(length(min = 1))]
    pub groups: Texts,
}

/// How the holder may move the end of a grant
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Extension {
    #[schemars(range(min = 1, max = 1000))]
    pub max: u64,
    #[schemars(length(min = 1))]
    pub steps: Vec<Span>,
}

/// Access at once, to be reviewed afterwards
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct BreakGlass {
    #[schemars(length(min = 1))]
    pub groups: Texts,
    pub duration: Span,
    pub review_within: Span,
}

/// Who may activate it for a limited time whenever they need it
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Eligible {
    pub groups: Option<Texts>,
    /// Names of subjects
    pub subjects: Option<Texts>,
    /// RFC 3339
    pub until: Option<Text>,
    /// Whether an activation goes through the steps; false when absent
    pub approval: Option<bool>,
}

/// The JSON Schema (draft 2020-12) of a catalog file.
#[must_use]
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(File).to_value();
    without_null(&mut schema);
    schema
}
