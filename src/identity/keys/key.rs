//! One key that passed the police, and the check of a signature with it.

use std::sync::Arc;

use jsonwebtoken::DecodingKey;

use crate::config::Algorithm;

/// The public (or, configured by hand, shared) half of a key. No `Debug`: a secret may be in it.
#[derive(Clone, PartialEq, Eq)]
pub enum Material {
    /// Big endian, without leading zeros.
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// Uncompressed points (SEC 1, section 2.3.3).
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519([u8; 32]),
    Secret(Vec<u8>),
}

impl Material {
    /// Whether a key of this kind can be used with `algorithm` at all. This is what keeps a public
    /// key from ever being taken for a secret.
    #[must_use]
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        match algorithm {
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512 => matches!(self, Self::Rsa { .. }),
            Algorithm::ES256 => matches!(self, Self::P256(_)),
            Algorithm::ES384 => matches!(self, Self::P384(_)),
            Algorithm::EdDSA => matches!(self, Self::Ed25519(_)),
            Algorithm::HS256 => self.is_secret_of(32),
            Algorithm::HS384 => self.is_secret_of(48),
            Algorithm::HS512 => self.is_secret_of(64),
        }
    }

    /// A secret has at least as many bytes as the hash (RFC 7518, section 3.2).
    fn is_secret_of(&self, bytes: usize) -> bool {
        matches!(self, Self::Secret(secret) if secret.len() >= bytes)
    }

    fn decoding(&self) -> DecodingKey {
        match self {
            Self::Rsa { modulus, exponent } => {
                DecodingKey::from_rsa_raw_components(modulus, exponent)
            }
            Self::P256(point) | Self::P384(point) => DecodingKey::from_ec_der(point),
            Self::Ed25519(point) => DecodingKey::from_ed_der(point),
            Self::Secret(secret) => DecodingKey::from_secret(secret),
        }
    }
}

/// A key that may be used.
#[derive(Clone)]
pub struct Key {
    id: KeyId,
    /// When the key itself says what it is for.
    only: Option<Algorithm>,
    material: Material,
    decoding: DecodingKey,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyId {
    Named(Arc<str>),
    /// From a key set, without an id: only for tokens that name none either.
    Unnamed,
    /// The one key that was configured by hand; a token may call it what it likes.
    Any,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.only == other.only && self.material == other.material
    }
}

impl Key {
    #[must_use]
    pub fn new(id: KeyId, only: Option<Algorithm>, material: Material) -> Self {
        let decoding = material.decoding();
        Self { id, only, material, decoding }
    }

    #[must_use]
    pub fn answers_to(&self, id: &str) -> bool {
        match &self.id {
            KeyId::Named(own) => **own == *id,
            KeyId::Unnamed => false,
            KeyId::Any => true,
        }
    }

    #[must_use]
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.only.is_none_or(|only| only == algorithm) && self.material.fits(algorithm)
    }

    /// `signature` is base64url. Every fault is "no".
    #[must_use]
    pub fn verifies(&self, algorithm: Algorithm, signed: &[u8], signature: &str) -> bool {
        self.fits(algorithm)
            && jsonwebtoken::crypto::verify(signature, signed, &self.decoding, theirs(algorithm))
                .unwrap_or(false)
    }
}

const fn theirs(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::RS256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::RS384 => jsonwebtoken::Algorithm::RS384,
        Algorithm::RS512 => jsonwebtoken::Algorithm::RS512,
        Algorithm::PS256 => jsonwebtoken::Algorithm::PS256,
        Algorithm::PS384 => jsonwebtoken::Algorithm::PS384,
        Algorithm::PS512 => jsonwebtoken::Algorithm::PS512,
        Algorithm::ES256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::ES384 => jsonwebtoken::Algorithm::ES384,
        Algorithm::EdDSA => jsonwebtoken::Algorithm::EdDSA,
        Algorithm::HS256 => jsonwebtoken::Algorithm::HS256,
        Algorithm::HS384 => jsonwebtoken::Algorithm::HS384,
        Algorithm::HS512 => jsonwebtoken::Algorithm::HS512,
    }
}
