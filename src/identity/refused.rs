//! Every way in which a credential is refused, and how a client is told.

use std::sync::Arc;

use http::HeaderValue;

use crate::problem::ProblemCode;

/// The request does not carry exactly one credential in the place that its route names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialRefused {
    #[error("no token was sent where this route expects one")]
    Absent,
    #[error("more than one credential was sent")]
    MoreThanOne,
    #[error("a token in the query string is not accepted")]
    InQuery,
    #[error("the credential is not a scheme, one space and a token")]
    Malformed,
}

/// The token is not one that this deployment accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefused {
    #[error("the token is longer than 16 KiB")]
    TooLong,
    #[error("the token is encrypted (five parts); only signed tokens are accepted")]
    Encrypted,
    #[error("the token is not three base64url parts in the compact form")]
    NotCompact,
    #[error("a part of the token is not canonical base64url without padding")]
    Base64,
    #[error("a part of the token is not a plain JSON object in UTF-8")]
    Json,
    #[error("a member occurs twice in the token's JSON")]
    DuplicateMember,
    #[error("the token's JSON is nested too deeply")]
    TooDeep,
    #[error("the token is not signed (alg none)")]
    Unsigned,
    #[error("the token's algorithm is not accepted for its issuer")]
    Algorithm,
    #[error("the token's type (typ) is not accepted for its issuer")]
    Type,
    #[error("the token's header demands an extension (crit or b64) that is not supported")]
    Critical,
    #[error("the token's header names or embeds a key; keys come from the issuer only")]
    EmbeddedKey,
    #[error("the token is nested or compressed (cty, enc or zip)")]
    Nested,
    #[error("the token's key id (kid) is not a string of 1 to 256 bytes")]
    KeyId,
    #[error("the token's issuer (iss) is missing or not a trusted one")]
    Issuer,
    #[error("the token's audience (aud) is missing or not this service")]
    AudienceClaim,
    #[error("the token's expiry (exp) is missing or not a whole number of seconds")]
    ExpiryClaim,
    #[error("the token has expired")]
    Expired,
    #[error("the token's start (nbf) is not a whole number of seconds")]
    NotBeforeClaim,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token's time of issue (iat) is not a whole number of seconds, or in the future")]
    IssuedAtClaim,
    #[error("the token's subject (sub) is missing, empty, too long or not plain text")]
    SubjectClaim,
    #[error("the subject's name belongs to another issuer")]
    SubjectOfAnotherIssuer,
    #[error("the token's e-mail claim is not one plain address")]
    EmailClaim,
    #[error("the token's groups claim is not a list of at most 1,000 short texts")]
    GroupsClaim,
    #[error("the token's roles claim is not a list of at most 1,000 short texts")]
    RolesClaim,
    #[error("the token's scopes claim is not a list of at most 1,000 short texts")]
    ScopesClaim,
    #[error("no key of the issuer fits the token")]
    UnknownKey,
    #[error("the token's signature does not fit")]
    Signature,
}

/// Why nobody could be made out of a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityRefused {
    #[error(transparent)]
    Credential(#[from] CredentialRefused),
    #[error(transparent)]
    Token(#[from] TokenRefused),
    /// Not a statement about the token: it could not be checked.
    #[error("no current keys of the issuer {issuer} are at hand")]
    KeysUnavailable { issuer: Arc<str> },
}

impl IdentityRefused {
    #[must_use]
    pub const fn problem(&self) -> ProblemCode {
        match self {
            Self::Credential(CredentialRefused::Absent) => ProblemCode::NoCredential,
            Self::Credential(
                CredentialRefused::MoreThanOne
                | CredentialRefused::InQuery
                | CredentialRefused::Malformed,
            )
            | Self::Token(_) => ProblemCode::InvalidToken,
            Self::KeysUnavailable { .. } => ProblemCode::KeysUnavailable,
        }
    }

    /// The challenge for a 401 (RFC 6750, section 3); `None` for the 503 of missing keys.
    ///
    /// Without any credential the RFC wants no error code; the documented interface promises one on
    /// every 401, and `invalid_request` is what the RFC calls a request that lacks a parameter.
    #[must_use]
    pub const fn www_authenticate(&self) -> Option<HeaderValue> {
        match self {
            Self::Credential(_) => Some(HeaderValue::from_static(
                "Bearer realm=\"tidegate\", error=\"invalid_request\"",
            )),
            Self::Token(_) => {
                Some(HeaderValue::from_static("Bearer realm=\"tidegate\", error=\"invalid_token\""))
            }
            Self::KeysUnavailable { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_status_and_its_challenge() {
        let absent = IdentityRefused::from(CredentialRefused::Absent);
        let twice = IdentityRefused::from(CredentialRefused::MoreThanOne);
        let expired = IdentityRefused::from(TokenRefused::Expired);
        let keys = IdentityRefused::KeysUnavailable { issuer: "https://idp.example.test".into() };
        for (refused, problem, word) in [
            (absent, ProblemCode::NoCredential, Some("invalid_request")),
            (twice, ProblemCode::InvalidToken, Some("invalid_request")),
            (expired, ProblemCode::InvalidToken, Some("invalid_token")),
            (keys, ProblemCode::KeysUnavailable, None),
        ] {
            assert_eq!(refused.problem(), problem);
            let challenge = refused.www_authenticate();
            let text = challenge.as_ref().map(|value| value.to_str().unwrap());
            assert_eq!(text.is_some(), problem.status() == 401);
            assert!(text.unwrap_or_default().contains(word.unwrap_or_default()));
        }
    }
}
