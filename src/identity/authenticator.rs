//! The whole way from a token to an identity, and what it needs to be ready.

use std::sync::Arc;

use super::Identity;
use super::compact::{MAX_TOKEN, UnverifiedToken};
use super::credential::Token;
use super::issuers::{Issuers, IssuersRefused};
use super::keys::remote::{Around, DEADLINE};
use super::keys::source::KeysRefused;
use super::keys::{KeySet, Keys, NoKey};
use super::last::LookUp;
use super::refused::{IdentityRefused, TokenRefused};
use super::remembered::{Fingerprint, Found, Memory, Remembered};
use super::token::Claimed;
use crate::clock::SharedClock;
use crate::config::{Config, Environment, IssuerConfig};
use crate::domain::subject::Subject;
use crate::domain::time::Timestamp;
use crate::http_client::HttpClient;
use crate::telemetry::metrics::Metrics;

/// For which service a token is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// A tool behind the gateway: the issuer's `audiences`.
    Tools,
    /// The API: `api.audiences`.
    Api,
}

/// Verifies tokens. One per configuration, shared by all cores; each core brings its own
/// [`Remembered`].
pub struct Authenticator {
    issuers: Issuers,
    /// In the order of the issuers.
    keys: Vec<Keys>,
    api_audiences: Vec<Arc<str>>,
}

/// One issuer (or the list of them) cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum OpenRefused {
    #[error(transparent)]
    Issuers(#[from] IssuersRefused),
    #[error("issuer {issuer}: {why}")]
    Keys { issuer: Arc<str>, why: KeysRefused },
}

impl Authenticator {
    /// Reads key files; asks nothing over the network yet (see [`Authenticator::refresh`]).
    ///
    /// # Errors
    /// A key file cannot be read, an address is not acceptable, or issuers are not distinct.
    pub fn open(
        config: &Config,
        clock: SharedClock,
        metrics: Metrics,
    ) -> Result<Arc<Self>, OpenRefused> {
        let (issuers, api) = (config.issuers.clone(), config.api.audiences.clone());
        Self::with(issuers, api, config.environment, clock, metrics)
    }

    /// [`Authenticator::open`] from the parts of a configuration that it reads.
    ///
    /// # Errors
    /// See [`Authenticator::open`].
    pub fn with(
        issuers: Vec<IssuerConfig>,
        api_audiences: Vec<Arc<str>>,
        environment: Environment,
        clock: SharedClock,
        metrics: Metrics,
    ) -> Result<Arc<Self>, OpenRefused> {
        let (client, deadline) = (HttpClient::new(), DEADLINE);
        Self::around(
            issuers,
            api_audiences,
            &Around { client, clock, metrics, environment, deadline },
        )
    }

    pub(super) fn around(
        issuers: Vec<IssuerConfig>,
        api_audiences: Vec<Arc<str>>,
        around: &Around,
    ) -> Result<Arc<Self>, OpenRefused> {
        let issuers = Issuers::new(issuers)?;
        let open = |issuer: &IssuerConfig| {
            Keys::open(issuer, around)
                .map_err(|why| OpenRefused::Keys { issuer: Arc::clone(&issuer.issuer), why })
        };
        let keys = issuers.as_slice().iter().map(open).collect::<Result<_, _>>()?;
        Ok(Arc::new(Self { issuers, keys, api_audiences }))
    }

    #[must_use]
    pub const fn issuers(&self) -> &Issuers {
        &self.issuers
    }

    /// The subject that a name means, also of somebody who never came by.
    #[must_use]
    pub fn resolve(&self, name: &str) -> Option<Subject> {
        self.issuers.resolve(name)
    }

    /// Keeps key sets from the network fresh; never ends. To be spawned once, and dropped together
    /// with the authenticator.
    pub async fn refresh(self: Arc<Self>) {
        let mut all = tokio::task::JoinSet::new();
        for keys in &self.keys {
            if let Keys::Remote(remote) = keys {
                all.spawn(Arc::clone(remote).refresh());
            }
        }
        while let Some(ended) = all.join_next().await {
            // Keys are still asked for when a token needs them; what is lost is doing so early.
            tracing::error!(?ended, "a key refresh ended; it never should");
        }
        std::future::pending::<()>().await;
    }

    /// Reads key files anew; every file that is good is taken.
    ///
    /// # Errors
    /// One text per file that was not taken; its keys stay as they were.
    pub fn reload(&self, now: Timestamp) -> Result<(), Vec<String>> {
        let reload = |(issuer, keys): (&IssuerConfig, &Keys)| {
            keys.reload(&issuer.issuer, now)
                .err()
                .map(|why| format!("issuer {}: {why}", issuer.issuer))
        };
        let refused: Vec<String> =
            self.issuers.as_slice().iter().zip(&self.keys).filter_map(reload).collect();
        if refused.is_empty() { Ok(()) } else { Err(refused) }
    }

    /// # Errors
    /// The first issuer without a current, usable key.
    pub fn ready(&self, now: Timestamp) -> Result<(), String> {
        for (issuer, keys) in self.issuers.as_slice().iter().zip(&self.keys) {
            match keys.current(now) {
                None => return Err(format!("issuer {}: no current key set", issuer.issuer)),
                Some(set) if set.keys.is_empty() => {
                    return Err(format!("issuer {}: no usable key", issuer.issuer));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Who showed this token. A token that is remembered costs a hash and no wait, and no hash
    /// when its connection showed it last.
    ///
    /// # Errors
    /// See [`IdentityRefused`].
    pub async fn authenticate(
        &self,
        memory: impl LookUp,
        token: Token<'_>,
        audience: Audience,
        now: Timestamp,
    ) -> Result<Arc<Identity>, IdentityRefused> {
        if token.bytes().len() > MAX_TOKEN {
            return Err(TokenRefused::TooLong.into());
        }
        let (print, known) = memory.look_up(token);
        if let Some(known) = known.and_then(|memory| self.stands(memory, audience, now)) {
            return known.map_err(IdentityRefused::Token);
        }
        // In a box, so that a token that is known carries no room for it.
        Box::pin(self.verify(memory.remembered(), print, token, audience, now)).await
    }

    /// `None` means that the token has to be looked at (again).
    fn stands(
        &self,
        Memory { issuer_at, generation, found }: Memory,
        audience: Audience,
        now: Timestamp,
    ) -> Option<Result<Arc<Identity>, TokenRefused>> {
        if !self.keys.get(issuer_at)?.is_current(generation, now) {
            return None;
        }
        match found {
            Found::BadSignature => Some(Err(TokenRefused::Signature)),
            Found::Good { identity, validity, audiences } => {
                (validity.holds(now) && audiences.include(audience)).then_some(Ok(identity))
            }
        }
    }

    async fn verify(
        &self,
        remembered: &Remembered,
        print: Fingerprint,
        token: Token<'_>,
        audience: Audience,
        now: Timestamp,
    ) -> Result<Arc<Identity>, IdentityRefused> {
        let token = UnverifiedToken::parse(token.secret())?;
        let claimed = Claimed::read(&token, &self.issuers, &self.api_audiences, audience, now)?;
        let set = self.keys_for(&claimed, now).await?;
        let key = claimed.key(&set).map_err(|_no_key| TokenRefused::UnknownKey)?;
        let (issuer_at, generation) = (claimed.issuer_at, set.generation);
        let verified = claimed.signed_by(key).map(Arc::new);
        let found = match &verified {
            Ok(identity) => Found::Good {
                identity: Arc::clone(identity),
                validity: claimed.validity,
                audiences: claimed.audiences,
            },
            Err(_bad_signature) => Found::BadSignature,
        };
        remembered.put(print, Memory { issuer_at, generation, found });
        verified.map_err(IdentityRefused::Token)
    }

    /// The current keys; the issuer is asked when there are none or none has the token's id.
    async fn keys_for(
        &self,
        claimed: &Claimed<'_>,
        now: Timestamp,
    ) -> Result<Arc<KeySet>, IdentityRefused> {
        let unavailable =
            || IdentityRefused::KeysUnavailable { issuer: Arc::clone(&claimed.issuer.issuer) };
        let keys = self.keys.get(claimed.issuer_at).ok_or_else(unavailable)?;
        let usable = || keys.current(now).filter(|set| !set.keys.is_empty());
        let unknown = |set: &KeySet| claimed.key(set).err() == Some(NoKey::UnknownId);
        let first = usable();
        if let Keys::Remote(remote) = keys {
            let ask = match &first {
                None => true,
                Some(set) => unknown(set) && remote.may_learn(claimed.key_id()),
            };
            if ask {
                let asked = remote.refetch().await;
                let set = usable().ok_or_else(unavailable)?;
                if let Some(id) = claimed.key_id().filter(|_| asked && unknown(&set)) {
                    remote.is_missing(id);
                }
                return Ok(set);
            }
        }
        first.ok_or_else(unavailable)
    }
}
