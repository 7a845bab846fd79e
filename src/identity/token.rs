//! From a token that nobody has verified to an [`Identity`], in two steps with the signature
//! between them: [`Claimed`] is what a token would mean, [`Claimed::signed_by`] makes it true.

use std::sync::Arc;

use super::authenticator::Audience;
use super::claims::{self, About, Validity};
use super::compact::UnverifiedToken;
use super::header::Header;
use super::issuers::Issuers;
use super::keys::{Key, KeySet, NoKey};
use super::refused::TokenRefused;
use super::{Identity, Proof};
use crate::config::{Algorithm, IssuerConfig};
use crate::domain::subject::{Person, Subject};
use crate::domain::time::Timestamp;
use crate::json_weight;

/// Which of the two services a token is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audiences {
    pub tools: bool,
    pub api: bool,
}

impl Audiences {
    #[must_use]
    pub const fn include(self, audience: Audience) -> bool {
        match audience {
            Audience::Tools => self.tools,
            Audience::Api => self.api,
        }
    }
}

/// A token whose words are all acceptable and whose signature nobody has checked yet.
pub struct Claimed<'a> {
    pub issuer_at: usize,
    pub issuer: &'a IssuerConfig,
    pub audiences: Audiences,
    pub validity: Validity,
    token: &'a UnverifiedToken<'a>,
    header: Header<'a>,
    about: About,
    subject: Subject,
}

impl<'a> Claimed<'a> {
    /// # Errors
    /// The token says something that no trusted issuer may say here and now.
    pub fn read(
        token: &'a UnverifiedToken<'a>,
        issuers: &'a Issuers,
        api_audiences: &[Arc<str>],
        audience: Audience,
        now: Timestamp,
    ) -> Result<Self, TokenRefused> {
        let name = claims::issuer(&token.claims)?;
        let (issuer_at, issuer) = issuers.named(name).ok_or(TokenRefused::Issuer)?;
        let header = Header::check(&token.header, issuer)?;
        let validity = Validity::check(&token.claims, issuer.leeway, now)?;
        let named = claims::audiences(&token.claims)?;
        let meets = |ours: &[Arc<str>]| ours.iter().any(|one| named.contains(&&**one));
        let audiences = Audiences { tools: meets(&issuer.audiences), api: meets(api_audiences) };
        if !audiences.include(audience) {
            return Err(TokenRefused::AudienceClaim);
        }
        let about = About::read(&token.claims, issuer)?;
        let subject = subject(issuers, issuer, &about)?;
        Ok(Self { issuer_at, issuer, audiences, validity, token, header, about, subject })
    }

    #[must_use]
    pub const fn key_id(&self) -> Option<&'a str> {
        self.header.key_id
    }

    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.header.algorithm
    }

    /// # Errors
    /// The set has no key, or more than one, that may have signed this.
    pub fn key<'k>(&self, keys: &'k KeySet) -> Result<&'k Key, NoKey> {
        keys.choose(self.header.key_id, self.header.algorithm)
    }

    /// The one place where an identity comes from.
    ///
    /// # Errors
    /// The signature does not fit.
    pub fn signed_by(&self, key: &Key) -> Result<Identity, TokenRefused> {
        let (signed, signature) = (self.token.signed.as_bytes(), self.token.signature);
        if !key.verifies(self.header.algorithm, signed, signature) {
            return Err(TokenRefused::Signature);
        }
        let about = self.about.clone();
        Ok(Identity {
            key: self.subject.key(),
            person: Person {
                subject: self.subject.clone(),
                email: about.email,
                groups: about.groups,
                scopes: about.scopes,
                identities: about.identities,
            },
            roles: about.roles,
            claims: Arc::clone(&self.token.claims),
            expires_at: self.validity.expires_at,
            proof: self.proof(),
            prepared: super::Prepared::default(),
        })
    }

    fn proof(&self) -> Proof {
        let kind = self.token.header.get("typ").and_then(serde_json::Value::as_str);
        Proof {
            algorithm: Some(self.header.algorithm),
            key_id: self.header.key_id.map(Arc::from),
            kind: kind.map(Arc::from),
            claims_bytes: json_weight::object(&self.token.claims),
        }
    }
}

/// The issuer's prefix and its subject, refused when another issuer's longer prefix claims it.
fn subject(
    issuers: &Issuers,
    issuer: &IssuerConfig,
    about: &About,
) -> Result<Subject, TokenRefused> {
    let name = format!("{}{}", issuer.prefix, about.subject);
    let subject = issuers.resolve(&name).filter(|subject| subject.issuer == issuer.issuer);
    let subject = subject.ok_or(TokenRefused::SubjectOfAnotherIssuer)?;
    // Its own: all cores share the configuration's, and would fight for the count of who has it.
    Ok(Subject { issuer: (&*issuer.issuer).into(), ..subject })
}
