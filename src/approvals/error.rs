//! Every refusal of the API. One exhaustive match gives each refusal of the domain its problem.

use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::ports::Unauthenticated;
use crate::domain::refused::{FieldError, Refused};
use crate::entropy::NoEntropy;
use crate::explain::PolicyShown;
use crate::problem::{ProblemCode, ProblemError};
use crate::store::StoreFault;

/// A refused call. The outermost layer renders it as problem+json with the decision id.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub code: ProblemCode,
    pub detail: String,
    pub errors: Vec<ProblemError>,
    /// `WWW-Authenticate`, with 401.
    pub challenge: Option<String>,
    /// Differs from the code's own status for 405 only.
    pub status: StatusCode,
    /// What the policy said, when it refused.
    pub policy: Option<Box<PolicyShown>>,
}

impl Refusal {
    #[must_use]
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            challenge: None,
            status,
            policy: None,
        }
    }

    #[must_use]
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::BadRequest, detail)
    }

    /// The one answer for what is not there and for what the caller may not know of.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(ProblemCode::NotFound, "there is no such object, or it is not yours to see")
    }

    #[must_use]
    pub fn invalid(pointer: impl Into<String>, code: &str, detail: impl Into<String>) -> Self {
        Self::all_invalid(vec![ProblemError {
            pointer: pointer.into(),
            code: code.to_owned(),
            detail: detail.into(),
        }])
    }

    #[must_use]
    pub fn all_invalid(errors: Vec<ProblemError>) -> Self {
        let detail = match errors.as_slice() {
            [one] => format!("{}: {}", one.pointer, one.detail),
            several => format!("{} values are not accepted", several.len()),
        };
        Self { errors, ..Self::new(ProblemCode::InvalidInput, detail) }
    }
}

/// Carried to the outermost layer, which knows the decision id.
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        use ProblemCode as Code;
        let detail = refused.to_string();
        let code = match refused {
            Refused::Suspended(_) | Refused::Supervised { .. } => Code::Suspended,
            Refused::NoSuchRequest | Refused::NoSuchGrant | Refused::NoSuchMadeTemplate(_) => {
                return Self::not_found();
            }
            Refused::NoSuchTemplate(_) => return Self::invalid("/template", "unknown", detail),
            Refused::Invalid(_, errors) => {
                return Self::all_invalid(errors.into_iter().map(problem_error).collect());
            }
            Refused::NotARequester { .. }
            | Refused::NotAnApprover { .. }
            | Refused::NotARevoker { .. }
            | Refused::NotTheRequester
            | Refused::NotTheHolder
            | Refused::NotForBreakGlass { .. }
            | Refused::NotAReviewer { .. }
            | Refused::NoEligibleApprover { .. }
            | Refused::NotEligible { .. } => Code::NotEligible,
            Refused::NoBreakGlass(_) => {
                return Self::invalid("/break_glass", "not-offered", detail);
            }
            Refused::ReviewDebt(_) => Code::ReviewDebt,
            Refused::DutiesConflict { .. } => Code::DutiesConflict,
            Refused::DuplicateRequest { .. } => Code::DuplicateRequest,
            Refused::TooManyPending { .. } => Code::RateLimited,
            Refused::AlreadyDecided { .. } | Refused::AlreadyApproved => Code::AlreadyDecided,
            Refused::SelfApproval => Code::SelfApproval,
            Refused::TooManyGrants { .. }
            | Refused::TooManyComments { .. }
            | Refused::AnotherStep { .. }
            | Refused::EndHasPassed
            | Refused::GrantEnded(_)
            | Refused::NotConfirmed
            | Refused::NotExtendable(_)
            | Refused::ExtensionsUsed { .. }
            | Refused::NothingToReview
            | Refused::TemplateMoved(_)
            | Refused::TooManyTemplates { .. }
            | Refused::NothingDue => Code::Conflict,
        };
        Self::new(code, detail)
    }
}

fn problem_error(error: FieldError) -> ProblemError {
    ProblemError { pointer: error.pointer, code: error.code.to_owned(), detail: error.detail }
}

/// The text of a fault is for the log (`execute` and the readers emit it), never for clients.
impl From<StoreFault> for Refusal {
    fn from(fault: StoreFault) -> Self {
        match fault {
            StoreFault::Unreachable(_) | StoreFault::Deadline | StoreFault::Overloaded => {
                Self::new(
                    ProblemCode::StoreUnreachable,
                    "the store did not answer; nothing is lost",
                )
            }
            StoreFault::RolledBack(_)
            | StoreFault::Missing { .. }
            | StoreFault::InvalidRecord { .. } => Self::new(
                ProblemCode::StoreUnreachable,
                "what the store says cannot be trusted until an operator looked at it",
            ),
            StoreFault::ClockSkew(_) => {
                Self::new(ProblemCode::ClockSkew, "this clock and the store's disagree")
            }
        }
    }
}

impl From<NoEntropy> for Refusal {
    fn from(_: NoEntropy) -> Self {
        Self::new(ProblemCode::Overloaded, "no fresh identifier could be made")
    }
}

impl From<Unauthenticated> for Refusal {
    fn from(why: Unauthenticated) -> Self {
        Self { challenge: Some(why.challenge), ..Self::new(why.code, why.detail) }
    }
}
