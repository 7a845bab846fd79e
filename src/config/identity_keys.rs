//! `identity_keys`: who is one person.

use std::sync::Arc;

/// By what two subjects are known to be one human being: nobody decides on their own request
/// through a second identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityKeys {
    pub email: bool,
    /// Names of claims, looked up like those of `claims`.
    pub claims: Vec<Arc<str>>,
}

impl Default for IdentityKeys {
    fn default() -> Self {
        Self { email: true, claims: Vec::new() }
    }
}
