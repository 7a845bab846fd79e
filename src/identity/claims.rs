//! What a token's payload must and may say (RFC 7519, section 4.1).

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::refused::TokenRefused;
use crate::config::{ClaimNames, IdentityKeys, IssuerConfig};
use crate::domain::subject::Identities;
use crate::domain::time::Timestamp;
use crate::policy::Attributes;

/// Whatever an issuer is configured with, no more than this is granted.
pub const MAX_LEEWAY: Duration = Duration::from_secs(60);
/// Bytes of a subject, a group, a role or a scope.
const MAX_NAME: usize = 256;
/// Groups, roles or scopes in one token.
const MAX_LIST: usize = 1000;
/// Bytes of an e-mail address (RFC 5321, section 4.5.3.1).
const MAX_EMAIL: usize = 320;

/// From when until when a token stands, leeway included: `[from, until)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    pub from: Timestamp,
    pub until: Timestamp,
    /// `exp` as written.
    pub expires_at: Timestamp,
}

impl Validity {
    /// # Errors
    /// `exp` is missing, a time is not a whole number of seconds, or `now` is outside of them.
    pub fn check(
        claims: &Attributes,
        leeway: Duration,
        now: Timestamp,
    ) -> Result<Self, TokenRefused> {
        let leeway = leeway.min(MAX_LEEWAY);
        let exp = date(claims, "exp").ok().flatten().ok_or(TokenRefused::ExpiryClaim)?;
        let nbf = date(claims, "nbf").map_err(|NotADate| TokenRefused::NotBeforeClaim)?;
        let iat = date(claims, "iat").map_err(|NotADate| TokenRefused::IssuedAtClaim)?;
        if now >= exp.plus(leeway) {
            return Err(TokenRefused::Expired);
        }
        if nbf.is_some_and(|from| now < from.minus(leeway)) {
            return Err(TokenRefused::NotYetValid);
        }
        if iat.is_some_and(|from| now < from.minus(leeway)) {
            return Err(TokenRefused::IssuedAtClaim);
        }
        let from = nbf.max(iat).unwrap_or_default().minus(leeway);
        Ok(Self { from, until: exp.plus(leeway), expires_at: exp })
    }

    #[must_use]
    pub fn holds(self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }
}

struct NotADate;

/// A `NumericDate` in whole seconds, not past the year 9999.
fn date(claims: &Attributes, name: &str) -> Result<Option<Timestamp>, NotADate> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_u64().ok_or(NotADate)?;
    let millis = seconds.checked_mul(1000).ok_or(NotADate)?;
    let at = Timestamp::from_millis(millis);
    if at <= Timestamp::MAX { Ok(Some(at)) } else { Err(NotADate) }
}

/// The `iss` claim, byte for byte.
///
/// # Errors
/// Missing or not a text.
pub fn issuer(claims: &Attributes) -> Result<&str, TokenRefused> {
    claims.get("iss").and_then(Value::as_str).ok_or(TokenRefused::Issuer)
}

/// The audiences of a token: a text or a list of texts, nothing else.
///
/// # Errors
/// Missing, empty or of another type.
pub fn audiences(claims: &Attributes) -> Result<Vec<&str>, TokenRefused> {
    let refused = TokenRefused::AudienceClaim;
    let named = match claims.get("aud").ok_or(refused)? {
        Value::String(one) => vec![one.as_str()],
        Value::Array(many) => {
            many.iter().map(Value::as_str).collect::<Option<Vec<_>>>().ok_or(refused)?
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return Err(refused),
    };
    if named.is_empty() { Err(refused) } else { Ok(named) }
}

/// Who a token is about, in the issuer's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The subject claim, without the issuer's prefix.
    pub subject: Arc<str>,
    pub email: Option<Arc<str>>,
    pub groups: Vec<Arc<str>>,
    pub roles: Vec<Arc<str>>,
    pub scopes: Vec<Arc<str>>,
    pub identities: Identities,
}

impl About {
    /// # Errors
    /// A claim is not of the shape that its use demands.
    pub fn read(claims: &Attributes, issuer: &IssuerConfig) -> Result<Self, TokenRefused> {
        let names = &issuer.claims;
        // `sub` is demanded also where another claim names the subject.
        let _sub = subject(claims, "sub")?;
        Ok(Self {
            subject: subject(claims, &names.subject)?,
            email: email(claims, names)?,
            groups: list(claims, &names.groups, Spaces::Kept).ok_or(TokenRefused::GroupsClaim)?,
            roles: list(claims, &names.roles, Spaces::Kept).ok_or(TokenRefused::RolesClaim)?,
            scopes: list(claims, &names.scopes, Spaces::Part).ok_or(TokenRefused::ScopesClaim)?,
            identities: identities(claims, &issuer.identity_keys),
        })
    }
}

/// A member whose whole name is `path` (some issuers use URLs as names); else one step per dot.
fn lookup<'a>(claims: &'a Attributes, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    rest.split('.').try_fold(claims.get(first)?, |value, step| value.as_object()?.get(step))
}

/// What is no text names nobody.
fn identities(claims: &Attributes, keys: &IdentityKeys) -> Identities {
    let named = keys.claims.iter().filter_map(|name| {
        let value = lookup(claims, name).and_then(Value::as_str)?;
        (is_plain_name(value) && !value.trim().is_empty()).then(|| (name.clone(), value.into()))
    });
    Identities { claims: named.collect(), shares_email: !keys.email }
}

/// Not empty, bounded, no control characters. Nothing is trimmed, folded or normalised: two
/// spellings are two names.
#[must_use]
pub fn is_plain_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn subject(claims: &Attributes, path: &str) -> Result<Arc<str>, TokenRefused> {
    let name = lookup(claims, path).and_then(Value::as_str).filter(|name| is_plain_name(name));
    name.map(Arc::from).ok_or(TokenRefused::SubjectClaim)
}

/// An address that the issuer says is not verified proves nothing, so it is left out.
fn email(claims: &Attributes, names: &ClaimNames) -> Result<Option<Arc<str>>, TokenRefused> {
    let text = match lookup(claims, &names.email) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.as_str(),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            return Err(TokenRefused::EmailClaim);
        }
    };
    if text.is_empty() || is_unverified(claims.get("email_verified")) {
        return Ok(None);
    }
    let plain = !text.chars().any(|c| c.is_control() || c.is_whitespace());
    let one_at = text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !domain.contains('@')
    });
    if plain && one_at && text.len() <= MAX_EMAIL {
        Ok(Some(text.into()))
    } else {
        Err(TokenRefused::EmailClaim)
    }
}

/// Absent counts as verified (few issuers of access tokens send it); anything but true does not.
fn is_unverified(claim: Option<&Value>) -> bool {
    match claim {
        None | Some(Value::Bool(true)) => false,
        Some(Value::String(text)) => text != "true",
        Some(
            Value::Null
            | Value::Bool(false)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_),
        ) => true,
    }
}

#[derive(Clone, Copy)]
enum Spaces {
    /// A single text is one item.
    Kept,
    /// A single text is a list with spaces between its items (RFC 6749, section 3.3).
    Part,
}

/// `None`: the claim is there but is not a bounded list of plain texts.
fn list(claims: &Attributes, path: &str, spaces: Spaces) -> Option<Vec<Arc<str>>> {
    let items: Vec<&str> = match lookup(claims, path) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) => match spaces {
            Spaces::Kept => vec![text.as_str()],
            Spaces::Part => text.split(' ').filter(|item| !item.is_empty()).collect(),
        },
        Some(Value::Array(items)) => items.iter().map(Value::as_str).collect::<Option<_>>()?,
        Some(Value::Bool(_) | Value::Number(_) | Value::Object(_)) => return None,
    };
    let fits = items.len() <= MAX_LIST && items.iter().all(|item| is_plain_name(item));
    fits.then(|| items.into_iter().map(Arc::from).collect())
}
