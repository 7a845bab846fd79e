//! Why a command was refused. Every case is named; the API maps each to one problem code.

use std::sync::Arc;

use super::access::Access;
use super::grant::GrantStatus;
use super::ids::RequestId;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("{0} is suspended")]
    Suspended(Arc<str>),
    #[error(
        "the kill switch was thrown for {subject}: until {until} nothing is given without approvers"
    )]
    Supervised { subject: Arc<str>, until: String },
    #[error("there is no such request")]
    NoSuchRequest,
    #[error("there is no such grant")]
    NoSuchGrant,
    /// Unknown, disabled, or not visible to this requester: told apart to nobody.
    #[error("there is no template {0:?}")]
    NoSuchTemplate(Arc<str>),
    #[error(
        "the template {template} can be requested by members of {groups}; you are in none of them"
    )]
    NotARequester { template: Arc<str>, groups: String },
    #[error("{0} values are not accepted")]
    Invalid(usize, Vec<FieldError>),
    #[error("a request for {template} is already pending: {existing}")]
    DuplicateRequest { template: Arc<str>, existing: RequestId },
    #[error("{subject} already holds {limit} live grants, which is the most one subject can hold")]
    TooManyGrants { subject: Arc<str>, limit: usize },
    #[error(
        "{subject} already has {limit} pending requests, which is the most one subject can have"
    )]
    TooManyPending { subject: Arc<str>, limit: usize },
    #[error("the request was already {status}")]
    AlreadyDecided { status: &'static str },
    #[error("you have already approved this request; it needs another person")]
    AlreadyApproved,
    #[error("nobody decides on their own request")]
    SelfApproval,
    #[error("step {step} is decided by members of {groups}; you are in none of them")]
    NotAnApprover { step: u32, groups: String },
    #[error("this grant can be revoked by members of {groups}; you are in none of them")]
    NotARevoker { groups: String },
    /// An earlier approver set an end that has passed meanwhile: deny it, or let it time out.
    #[error("the end that an earlier approver set has passed")]
    EndHasPassed,
    #[error("step {asked} was named, but step {current} is the one to decide now")]
    AnotherStep { asked: u32, current: u32 },
    #[error("only its requester can do this")]
    NotTheRequester,
    #[error("only its holder can do this")]
    NotTheHolder,
    #[error("the grant is no longer active: it was {}", .0.word())]
    GrantEnded(GrantStatus),
    #[error("the request has {limit} comments, which is the most it can have")]
    TooManyComments { limit: usize },
    #[error("the grant is not confirmed yet")]
    NotConfirmed,
    #[error(
        "the grant cannot be extended: the template {0} does not offer it, or an approver set its end"
    )]
    NotExtendable(Arc<str>),
    #[error("the grant was extended as often as its template allows, which is {max}")]
    ExtensionsUsed { max: u32 },
    #[error("break-glass for {template} is for members of {groups}; you are in none of them")]
    NotForBreakGlass { template: Arc<str>, groups: String },
    #[error("the template {0} has no break-glass")]
    NoBreakGlass(Arc<str>),
    #[error("the break-glass of request {0} is not reviewed yet")]
    ReviewDebt(RequestId),
    #[error("no review is owed for this request")]
    NothingToReview,
    #[error("this is reviewed by members of {groups}; you are in none of them")]
    NotAReviewer { groups: String },
    #[error("{access} must not be held together with {held}")]
    DutiesConflict { access: Access, held: Access },
    #[error("no eligible approver: step {step} needs {required}, and {there} could decide it")]
    NoEligibleApprover { step: u32, required: u32, there: usize },
    #[error("{subject} is not eligible for {template}")]
    NotEligible { subject: Arc<str>, template: Arc<str> },
    #[error("there is no template {0:?} that was made over the API")]
    NoSuchMadeTemplate(Arc<str>),
    /// Made or deleted by somebody else since it was looked at.
    #[error("the template {0} was changed meanwhile; repeat the call")]
    TemplateMoved(Arc<str>),
    #[error("{limit} names of templates were used over the API, which is the most there can be")]
    TooManyTemplates { limit: usize },
    /// A timer that came too late or too early; nothing is wrong and nothing changes.
    #[error("the timer has nothing to do")]
    NothingDue,
}

/// One thing wrong with an input, with a JSON pointer (RFC 6901) to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    pub pointer: String,
    pub code: &'static str,
    pub detail: String,
}

impl FieldError {
    #[must_use]
    pub fn new(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code, detail: detail.into() }
    }
}
