//! Identity: from a credential to a verified [`Identity`].
//!
//! In reading order: [`credential`] finds the one token of a request, [`compact`] takes it apart,
//! [`header`] and [`claims`] judge its two halves, [`keys`] holds what it may be signed with,
//! [`remembered`] keeps what was verified, [`last`] spares a connection that shows one token again and
//! again its hash, and [`authenticator`] puts them together.

use std::sync::Arc;

use crate::config::Algorithm;
use crate::domain::subject::{Person, SubjectKey};
use crate::domain::time::Timestamp;
use crate::policy::Attributes;

pub mod authenticator;
pub mod claims;
pub mod compact;
pub mod credential;
pub mod header;
pub mod issuers;
pub mod keys;
pub mod last;
pub mod refused;
pub mod remembered;
pub mod roles;
pub mod token;
pub mod told;

#[cfg(test)]
mod tests;

pub use authenticator::{Audience, Authenticator};
pub use credential::{Token, credential};
pub use issuers::Issuers;
pub use last::{LastToken, LookUp};
pub use refused::{CredentialRefused, IdentityRefused, TokenRefused};
pub use remembered::Remembered;
pub use told::{Prepared, Told};

/// A verified token, reduced to what the rest of the program asks. Made by the verifier only.
#[derive(Clone, Debug)]
pub struct Identity {
    pub person: Person,
    pub key: SubjectKey,
    /// The roles claim.
    pub roles: Vec<Arc<str>>,
    /// All verified claims, for the policy.
    pub claims: Arc<Attributes>,
    /// The token's `exp`; at and after it the identity no longer stands (plus the issuer's leeway).
    pub expires_at: Timestamp,
    pub proof: Proof,
    pub prepared: Prepared,
}

impl Identity {
    /// The person as tools are told of them.
    #[must_use]
    pub fn told(&self) -> &Told {
        self.prepared.of(&self.person)
    }
}

/// What the header of a verified token said, for explanations.
#[derive(Clone, Debug, Default)]
pub struct Proof {
    pub algorithm: Option<Algorithm>,
    pub key_id: Option<Arc<str>>,
    /// `typ`
    pub kind: Option<Arc<str>>,
    /// About how many bytes the claims take in memory.
    pub claims_bytes: usize,
}
