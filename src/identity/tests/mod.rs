//! The threats against tokens and keys, one test each, through the front door.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Audience, Authenticator, Identity, IdentityRefused, LastToken, Remembered, Token, TokenRefused,
};
use crate::clock::ManualClock;
use crate::config::{Algorithm, ClaimNames, Environment, IssuerConfig, KeySource};
use crate::dev_idp::{Minter, jwks};
use crate::domain::time::Timestamp;
use crate::telemetry::metrics::Metrics;

mod algorithms;
mod claims;
mod confusion;
mod credentials;
mod key_files;
mod last;
mod memory;
mod policing;
mod remote;
mod server;
mod shapes;
mod subjects;
mod twins;

pub(super) const ISSUER: &str = "https://idp.example.test";
/// 2026-11-22T09:30:00Z
pub(super) const NOW: u64 = 1_795_339_800;

pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

pub(super) fn ec() -> &'static Minter {
    static KEY: OnceLock<Minter> = OnceLock::new();
    KEY.get_or_init(|| Minter::es256("ec").unwrap())
}

pub(super) fn rsa() -> &'static Minter {
    static KEY: OnceLock<Minter> = OnceLock::new();
    KEY.get_or_init(|| Minter::rs256("rsa").unwrap())
}

pub(super) fn ed() -> &'static Minter {
    static KEY: OnceLock<Minter> = OnceLock::new();
    KEY.get_or_init(|| Minter::eddsa("ed").unwrap())
}

pub(super) fn claims() -> Value {
    json!({ "iss": ISSUER, "sub": "alice", "aud": "tools", "exp": NOW + 600 })
}

/// The usual claims with one changed, or removed when `value` is `None`.
pub(super) fn with(name: &str, value: Option<Value>) -> Value {
    let mut claims = claims();
    let members = claims.as_object_mut().unwrap();
    match value {
        Some(value) => members.insert(name.to_owned(), value),
        None => members.remove(name),
    };
    claims
}

pub(super) fn issuer(name: &str, keys: KeySource) -> IssuerConfig {
    IssuerConfig {
        issuer: name.into(),
        keys,
        audiences: vec!["tools".into(), "more".into()],
        algorithms: vec![Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA],
        types: vec!["JWT".into(), "at+jwt".into()],
        allow_absent_typ: true,
        claims: ClaimNames {
            subject: "sub".into(),
            email: "email".into(),
            groups: "groups".into(),
            roles: "realm_access.roles".into(),
            scopes: "scope".into(),
        },
        prefix: "".into(),
        identity_keys: crate::config::IdentityKeys::default(),
        leeway: Duration::ZERO,
        ca: None,
        max_stale: Duration::from_hours(24),
    }
}

/// An authenticator over key files, with a clock in the hand.
pub(super) struct Desk {
    pub directory: tempfile::TempDir,
    pub clock: Arc<ManualClock>,
    pub remembered: Remembered,
    /// All that is shown comes over one connection.
    pub last: LastToken,
    pub authenticator: Arc<Authenticator>,
}

impl Desk {
    /// One issuer with the three keys of this file.
    pub fn new() -> Self {
        Self::changed(|_| {})
    }

    pub fn changed(change: impl FnOnce(&mut IssuerConfig)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("jwks.json");
        std::fs::write(&path, jwks(&[ec(), rsa(), ed()]).to_string()).unwrap();
        let mut issuer = issuer(ISSUER, KeySource::JwksFile(path));
        change(&mut issuer);
        Self::of(directory, vec![issuer])
    }

    pub fn of(directory: tempfile::TempDir, issuers: Vec<IssuerConfig>) -> Self {
        let clock = ManualClock::at(at(NOW));
        let shared = Arc::clone(&clock) as _;
        let (api, metrics) = (vec!["api".into()], Metrics::unregistered());
        let opened = Authenticator::with(issuers, api, Environment::Production, shared, metrics);
        let authenticator = opened.map_err(|why| why.to_string()).unwrap();
        let (remembered, last) = (Remembered::default(), LastToken::default());
        Self { directory, clock, remembered, last, authenticator }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub async fn show_for(
        &self,
        audience: Audience,
        token: &str,
    ) -> Result<Arc<Identity>, IdentityRefused> {
        use crate::clock::Clock;
        // A token that cannot be in a header never gets further.
        let Some(token) = Token::new(token) else { return Err(TokenRefused::NotCompact.into()) };
        let now = self.clock.now();
        let memory = (&self.remembered, &self.last);
        self.authenticator.authenticate(memory, token, audience, now).await
    }

    pub async fn show(&self, token: &str) -> Result<Arc<Identity>, IdentityRefused> {
        self.show_for(Audience::Tools, token).await
    }

    pub async fn refusal(&self, token: &str) -> Option<TokenRefused> {
        match self.show(token).await {
            Ok(_) => None,
            Err(IdentityRefused::Token(refused)) => Some(refused),
            Err(other) => panic!("not about the token: {other}"),
        }
    }
}
