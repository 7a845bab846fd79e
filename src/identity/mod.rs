//! Identity: from a credential to a verified [`Identity`].

use std::sync::Arc;

use crate::domain::subject::{Person, SubjectKey};
use crate::domain::time::Timestamp;
use crate::policy::Attributes;

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
}
