//! A signed token in the compact form (RFC 7515, section 7.1), taken apart and nothing believed.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::refused::TokenRefused;
use crate::policy::Attributes;
use crate::strict_json::{self, JsonRefused};

/// Bytes; longer tokens are refused before anything is decoded.
pub const MAX_TOKEN: usize = 16 * 1024;

/// A token of which nothing has been verified. It has no `Debug`: it is a secret.
pub struct UnverifiedToken<'a> {
    pub header: serde_json::Map<String, Value>,
    pub claims: Arc<Attributes>,
    /// `header.payload` as they were signed.
    pub signed: &'a str,
    /// Canonical base64url.
    pub signature: &'a str,
}

impl<'a> UnverifiedToken<'a> {
    /// # Errors
    /// Not three canonical base64url parts of which the first two are plain JSON objects.
    pub fn parse(token: &'a str) -> Result<Self, TokenRefused> {
        if token.len() > MAX_TOKEN {
            return Err(TokenRefused::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenRefused::NotCompact)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenRefused::NotCompact)?;
        match payload.bytes().filter(|byte| *byte == b'.').count() {
            0 => {}
            2 => return Err(TokenRefused::Encrypted),
            _ => return Err(TokenRefused::NotCompact),
        }
        // The signature of an unsigned token is empty; its header would say so, but an empty part
        // is refused whatever the header says.
        if header.is_empty() || payload.is_empty() {
            return Err(TokenRefused::NotCompact);
        }
        decode(signature)?;
        Ok(Self { header: object(header)?, claims: Arc::new(object(payload)?), signed, signature })
    }
}

/// The engine refuses padding, both other alphabets, white space and non-zero trailing bits: there
/// is one text per value.
fn decode(part: &str) -> Result<Vec<u8>, TokenRefused> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenRefused::Base64)
}

fn object(part: &str) -> Result<serde_json::Map<String, Value>, TokenRefused> {
    strict_json::parse_object(&decode(part)?).map_err(|refused| match refused {
        JsonRefused::Malformed => TokenRefused::Json,
        JsonRefused::Duplicate => TokenRefused::DuplicateMember,
        JsonRefused::TooDeep => TokenRefused::TooDeep,
    })
}
