//! The closed list of refusals and their problem+json form (RFC 9457).
//!
//! Gateway and API share it, so that one code has one status, one title and one help text.

use serde::Serialize;

/// Every way in which Tidegate says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProblemCode {
    BadRequest,
    NoCredential,
    InvalidToken,
    StepUpRequired,
    NoGrant,
    GrantExpired,
    GrantRevoked,
    PolicyDenied,
    SelfApproval,
    NotEligible,
    Suspended,
    NoRoute,
    NotFound,
    Conflict,
    AlreadyDecided,
    DuplicateRequest,
    IdempotencyMismatch,
    DutiesConflict,
    ReviewDebt,
    PreconditionFailed,
    TooLarge,
    Misdirected,
    InvalidInput,
    RateLimited,
    UpstreamUnreachable,
    TriggerFailed,
    UpstreamTimeout,
    StoreUnreachable,
    PolicyUnreachable,
    KeysUnavailable,
    ClockSkew,
    Overloaded,
    Unconfirmed,
}

/// What is fixed about a code.
struct Facts {
    code: &'static str,
    status: u16,
    title: &'static str,
    help: &'static str,
}

macro_rules! facts {
    ($code:literal, $status:literal, $title:literal, $help:literal) => {
        Facts { code: $code, status: $status, title: $title, help: $help }
    };
}

impl ProblemCode {
    pub const ALL: [Self; 33] = [
        Self::BadRequest,
        Self::NoCredential,
        Self::InvalidToken,
        Self::StepUpRequired,
        Self::NoGrant,
        Self::GrantExpired,
        Self::GrantRevoked,
        Self::PolicyDenied,
        Self::SelfApproval,
        Self::NotEligible,
        Self::Suspended,
        Self::NoRoute,
        Self::NotFound,
        Self::Conflict,
        Self::AlreadyDecided,
        Self::DuplicateRequest,
        Self::IdempotencyMismatch,
        Self::DutiesConflict,
        Self::ReviewDebt,
        Self::PreconditionFailed,
        Self::TooLarge,
        Self::Misdirected,
        Self::InvalidInput,
        Self::RateLimited,
        Self::UpstreamUnreachable,
        Self::TriggerFailed,
        Self::UpstreamTimeout,
        Self::StoreUnreachable,
        Self::PolicyUnreachable,
        Self::KeysUnavailable,
        Self::ClockSkew,
        Self::Overloaded,
        Self::Unconfirmed,
    ];

    #[expect(clippy::too_many_lines, reason = "a table, one row per code")]
    const fn facts(self) -> Facts {
        match self {
            Self::BadRequest => facts!(
                "bad-request",
                400,
                "The request is not acceptable",
                "The request line, target, headers or framing are outside what Tidegate forwards. The detail names the part. Nothing reached the tool."
            ),
            Self::NoCredential => facts!(
                "no-credential",
                401,
                "No credential was sent",
                "Send a token as `Authorization: Bearer <token>` (or as the route says)."
            ),
            Self::InvalidToken => facts!(
                "invalid-token",
                401,
                "The token is not valid",
                "The token's signature, issuer, audience, type or times were not accepted, or more than one credential was sent. Get a fresh token and send exactly one."
            ),
            Self::StepUpRequired => facts!(
                "step-up-required",
                401,
                "A stronger or fresher login is required",
                "Sign in again with the level that the response names."
            ),
            Self::NoGrant => facts!(
                "no-grant",
                403,
                "No live grant",
                "You hold no live grant for this tool that covers this request. The body lists templates that can be requested and the URL to request them at."
            ),
            Self::GrantExpired => facts!(
                "grant-expired",
                403,
                "The grant has expired",
                "Your most recent grant for this tool has reached its end. Request access again."
            ),
            Self::GrantRevoked => facts!(
                "grant-revoked",
                403,
                "The grant was revoked",
                "Your most recent grant for this tool was revoked. Ask its approvers, or request access again."
            ),
            Self::PolicyDenied => facts!(
                "policy-denied",
                403,
                "Denied by policy",
                "A policy, or the absence of a rule that lists this request, refuses it. The detail says which."
            ),
            Self::SelfApproval => facts!(
                "self-approval",
                403,
                "Nobody decides on their own request",
                "Another eligible person has to decide."
            ),
            Self::NotEligible => facts!(
                "not-eligible",
                403,
                "Not eligible",
                "Your groups do not allow this action on this template. The detail names the groups that do."
            ),
            Self::Suspended => facts!(
                "suspended",
                403,
                "The subject is suspended",
                "Access is suspended for this subject until an administrator lifts it."
            ),
            Self::NoRoute => facts!(
                "no-route",
                404,
                "No such tool",
                "No tool is configured under this host or path prefix."
            ),
            Self::NotFound => facts!(
                "not-found",
                404,
                "Not found",
                "There is no such object, or it is not yours to see."
            ),
            Self::Conflict => facts!(
                "conflict",
                409,
                "The state has changed meanwhile",
                "Read the object again and repeat the action if it still applies."
            ),
            Self::AlreadyDecided => facts!(
                "already-decided",
                409,
                "Already decided",
                "The request is no longer pending, or you have already counted. A decision is final."
            ),
            Self::DuplicateRequest => facts!(
                "duplicate-request",
                409,
                "A request is already pending",
                "There is one pending request per subject and template. The detail names it."
            ),
            Self::IdempotencyMismatch => facts!(
                "idempotency-mismatch",
                409,
                "The Idempotency-Key was used for something else",
                "Use a new key for a new request; repeat the same body to get the first answer again."
            ),
            Self::DutiesConflict => facts!(
                "duties-conflict",
                409,
                "Separation of duties",
                "This access must not be held together with one that the subject has."
            ),
            Self::ReviewDebt => facts!(
                "review-debt",
                409,
                "A break-glass review is outstanding",
                "An earlier emergency access has to be reviewed first."
            ),
            Self::PreconditionFailed => facts!(
                "precondition-failed",
                412,
                "The object was changed meanwhile",
                "If-Match named another version. Read it again."
            ),
            Self::TooLarge => facts!(
                "too-large",
                413,
                "Too large",
                "The body or a header is larger than accepted. The detail names the limit."
            ),
            Self::Misdirected => facts!(
                "misdirected",
                421,
                "The connection was made for another host",
                "The host of the request is not the one that the TLS handshake named. Ask on a connection of its own."
            ),
            Self::InvalidInput => facts!(
                "invalid-input",
                422,
                "Some values are not accepted",
                "`errors` lists every problem with a pointer to it."
            ),
            Self::RateLimited => facts!(
                "rate-limited",
                429,
                "Too many requests",
                "Wait as long as Retry-After says."
            ),
            Self::UpstreamUnreachable => facts!(
                "upstream-unreachable",
                502,
                "The tool cannot be reached",
                "The tool did not accept a connection or did not answer with valid HTTP."
            ),
            Self::TriggerFailed => facts!(
                "trigger-failed",
                502,
                "A blocking trigger failed",
                "A trigger of the template refused or failed, so nothing was changed."
            ),
            Self::UpstreamTimeout => facts!(
                "upstream-timeout",
                504,
                "The tool did not answer in time",
                "The tool accepted the request but did not answer within its time-out."
            ),
            Self::StoreUnreachable => facts!(
                "store-unreachable",
                503,
                "Grants could not be read",
                "The store did not answer, or what it said cannot be trusted. Access is refused until it does."
            ),
            Self::PolicyUnreachable => facts!(
                "policy-unreachable",
                503,
                "The policy could not be evaluated",
                "The policy engine failed or has no policies. Access is refused until it answers."
            ),
            Self::KeysUnavailable => facts!(
                "keys-unavailable",
                503,
                "Token keys are not available",
                "No current key set of the token's issuer is at hand."
            ),
            Self::ClockSkew => facts!(
                "clock-skew",
                503,
                "The clocks disagree",
                "This gateway's clock and the store's differ by more than the configured bound."
            ),
            Self::Overloaded => facts!(
                "overloaded",
                503,
                "Too busy",
                "A limit on concurrent work or the audit buffer is reached. Retry after a moment."
            ),
            Self::Unconfirmed => facts!(
                "unconfirmed",
                503,
                "Not confirmed yet",
                "The change is written but its durability is not confirmed. Repeat with the same Idempotency-Key."
            ),
        }
    }

    /// The stable code, for example `no-grant`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.facts().code
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.facts().status
    }

    #[must_use]
    pub const fn title(self) -> &'static str {
        self.facts().title
    }

    /// One or two sentences for people, served at `/problems/<code>`.
    #[must_use]
    pub const fn help(self) -> &'static str {
        self.facts().help
    }

    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|candidate| candidate.code() == code)
    }
}

/// The body of a refusal. Fields that a single code adds (`request_url`, `templates`) go to `extra`.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    #[serde(rename = "type")]
    pub type_uri: String,
    pub title: &'static str,
    pub status: u16,
    pub detail: String,
    pub decision_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemError>,
    #[serde(flatten, skip_serializing_if = "serde_json::Map::is_empty")]
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// One bad value: a JSON pointer (RFC 6901), a code and a text.
#[derive(Clone, Debug, Serialize)]
pub struct ProblemError {
    pub pointer: String,
    pub code: String,
    pub detail: String,
}

impl Problem {
    #[must_use]
    pub fn new(
        code: ProblemCode,
        detail: impl Into<String>,
        decision_id: impl Into<String>,
    ) -> Self {
        Self {
            type_uri: format!("urn:tidegate:problem:{}", code.code()),
            title: code.title(),
            status: code.status(),
            detail: detail.into(),
            decision_id: decision_id.into(),
            errors: Vec::new(),
            extra: serde_json::Map::new(),
        }
    }
}
