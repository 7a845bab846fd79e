//! The only source of randomness: the operating system's, through aws-lc.

use aws_lc_rs::rand;

use crate::domain::ids::{CommitId, Seed};

/// The system could not give random bytes. Nothing may go on without them.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoEntropy;

/// # Errors
/// The operating system gave none.
pub fn bytes<const N: usize>() -> Result<[u8; N], NoEntropy> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_unspecified| NoEntropy)?;
    Ok(bytes)
}

/// # Errors
/// See [`bytes`].
pub fn seed() -> Result<Seed, NoEntropy> {
    bytes().map(Seed)
}

/// # Errors
/// See [`bytes`].
pub fn commit_id() -> Result<CommitId, NoEntropy> {
    bytes().map(CommitId)
}
