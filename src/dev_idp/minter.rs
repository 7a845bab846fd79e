//! Makes signed tokens. For the development identity provider and for tests; nothing of the
//! verifying side uses it.

use std::io::Write;
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::domain::hash::sha256;
use crate::domain::ids::hex;

const KEY_FILE: &str = "dev-idp-es256.pkcs8";

#[derive(Debug, thiserror::Error)]
pub enum MinterError {
    #[error("no key could be made")]
    Generate,
    #[error("nothing could be signed")]
    Sign,
    #[error("{path}: {error}")]
    File { path: PathBuf, error: std::io::Error },
    #[error("{0} is not a key of the development identity provider; remove it to get a new one")]
    NotAKey(PathBuf),
}

/// A key pair with an id. No `Debug`: it holds a private key.
pub struct Minter {
    id: String,
    pair: Pair,
}

enum Pair {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

impl Minter {
    /// # Errors
    /// No key could be made.
    pub fn es256(id: &str) -> Result<Self, MinterError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        Ok(Self { id: id.to_owned(), pair: Pair::Es256(pair.map_err(|_| MinterError::Generate)?) })
    }

    /// # Errors
    /// No key could be made.
    pub fn rs256(id: &str) -> Result<Self, MinterError> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| MinterError::Generate)?;
        Ok(Self { id: id.to_owned(), pair: Pair::Rs256(pair) })
    }

    /// # Errors
    /// No key could be made.
    pub fn eddsa(id: &str) -> Result<Self, MinterError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| MinterError::Generate)?;
        Ok(Self { id: id.to_owned(), pair: Pair::EdDsa(pair) })
    }

    /// An ES256 key in a file of `directory`, made when it is not there yet. The id is a digest of
    /// the public key.
    ///
    /// # Errors
    /// The file cannot be read or written, or holds something else.
    pub fn kept_in(directory: &Path) -> Result<Self, MinterError> {
        let path = directory.join(KEY_FILE);
        let wrong = |error| MinterError::File { path: path.clone(), error };
        let der = match std::fs::read(&path) {
            Ok(der) => der,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let made = EcdsaKeyPair::generate_pkcs8(
                    &ECDSA_P256_SHA256_FIXED_SIGNING,
                    &SystemRandom::new(),
                )
                .map_err(|_| MinterError::Generate)?;
                write_private(directory, &path, made.as_ref()).map_err(wrong)?;
                made.as_ref().to_vec()
            }
            Err(error) => return Err(wrong(error)),
        };
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der)
            .map_err(|_| MinterError::NotAKey(path.clone()))?;
        let sum = sha256(&[pair.public_key().as_ref()]);
        let id = format!("dev-{}", hex(sum.get(..8).unwrap_or_default()));
        Ok(Self { id, pair: Pair::Es256(pair) })
    }

    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    #[must_use]
    pub const fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Es256(_) => "ES256",
            Pair::Rs256(_) => "RS256",
            Pair::EdDsa(_) => "EdDSA",
        }
    }

    /// A token with the header `{alg, kid, typ: at+jwt}`.
    ///
    /// # Errors
    /// Nothing could be signed.
    pub fn mint(&self, claims: &Value) -> Result<String, MinterError> {
        let header = json!({ "alg": self.algorithm(), "kid": self.id, "typ": "at+jwt" });
        self.mint_raw(header.to_string(), claims.to_string())
    }

    /// A token over exactly these two texts, whatever they are.
    ///
    /// # Errors
    /// Nothing could be signed.
    pub fn mint_raw(
        &self,
        header: impl AsRef<[u8]>,
        payload: impl AsRef<[u8]>,
    ) -> Result<String, MinterError> {
        let (header, payload) = (URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signed = format!("{header}.{payload}");
        let signature = URL_SAFE_NO_PAD.encode(self.sign(signed.as_bytes())?);
        Ok(format!("{signed}.{signature}"))
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, MinterError> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Es256(pair) => {
                let signature = pair.sign(&random, message).map_err(|_| MinterError::Sign)?;
                Ok(signature.as_ref().to_vec())
            }
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(|_| MinterError::Sign)?;
                Ok(signature)
            }
            Pair::EdDsa(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }

    /// The public key as a member of a key set.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let (id, alg) = (&self.id, self.algorithm());
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match &self.pair {
            Pair::Es256(pair) => {
                let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = point.split_at_checked(32).unwrap_or_default();
                json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y),
                        "kid": id, "alg": alg, "use": "sig" })
            }
            Pair::Rs256(pair) => {
                let parts = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({ "kty": "RSA", "n": encode(&parts.n), "e": encode(&parts.e),
                        "kid": id, "alg": alg, "use": "sig" })
            }
            Pair::EdDsa(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref()),
                        "kid": id, "alg": alg, "use": "sig" })
            }
        }
    }

    /// The public key in PEM (`BEGIN PUBLIC KEY`).
    ///
    /// # Errors
    /// The key could not be written down.
    pub fn public_pem(&self) -> Result<String, MinterError> {
        let der = match &self.pair {
            Pair::Es256(pair) => pair.public_key().as_der(),
            Pair::Rs256(pair) => pair.public_key().as_der(),
            Pair::EdDsa(pair) => pair.public_key().as_der(),
        };
        let der = der.map_err(|_| MinterError::Generate)?;
        let body = STANDARD.encode(der.as_ref());
        Ok(format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"))
    }
}

/// The key set of these minters.
#[must_use]
pub fn jwks(minters: &[&Minter]) -> Value {
    json!({ "keys": minters.iter().map(|minter| minter.jwk()).collect::<Vec<_>>() })
}

fn write_private(directory: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
