//! Why an open exchange was cut: a closed set, the `cause` of the metric and of the event.

use crate::domain::grant::EndedWhy;
use crate::gateway::refusal::Refusal;
use crate::problem::ProblemCode;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Expired,
    Revoked,
    Released,
    /// By the kill switch.
    Killed,
    Suspended,
    /// For longer than `limits.stream_grace` nobody could tell whether it is still permitted.
    Unreachable,
    /// By the policy, although the grants are there.
    Denied,
}

impl Cause {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Released => "released",
            Self::Killed => "killed",
            Self::Suspended => "suspended",
            Self::Unreachable => "unreachable",
            Self::Denied => "denied",
        }
    }

    /// Whether somebody took the access away, at a time that its record tells.
    #[must_use]
    pub const fn is_taken_away(self) -> bool {
        match self {
            Self::Revoked | Self::Released | Self::Killed => true,
            Self::Expired | Self::Suspended | Self::Unreachable | Self::Denied => false,
        }
    }

    /// What a client is told.
    #[must_use]
    pub const fn code(self) -> ProblemCode {
        match self {
            Self::Expired => ProblemCode::GrantExpired,
            Self::Revoked | Self::Killed => ProblemCode::GrantRevoked,
            Self::Released => ProblemCode::NoGrant,
            Self::Suspended => ProblemCode::Suspended,
            Self::Unreachable => ProblemCode::StoreUnreachable,
            Self::Denied => ProblemCode::PolicyDenied,
        }
    }

    /// The answer to a request that was cut before the tool's answer began.
    #[must_use]
    pub fn refusal(self, tool: &str) -> Refusal {
        Refusal::new(self.code(), format!("the access to {tool} ended before it answered"))
    }
}

impl From<EndedWhy> for Cause {
    fn from(why: EndedWhy) -> Self {
        match why {
            EndedWhy::Expired => Self::Expired,
            EndedWhy::Revoked => Self::Revoked,
            EndedWhy::Released => Self::Released,
        }
    }
}
