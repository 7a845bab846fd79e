//! The trusted issuers, and whose subject a name is.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::claims::is_plain_name;
use crate::config::IssuerConfig;
use crate::domain::subject::Subject;

/// Two issuers could produce the same subject name, or are the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuersRefused {
    #[error("two issuers are named {0:?}")]
    SameIssuer(Arc<str>),
    #[error("two issuers put {0:?} before their subjects")]
    SamePrefix(Arc<str>),
}

/// The configured issuers, in their order.
#[derive(Clone, Debug)]
pub struct Issuers {
    all: Vec<IssuerConfig>,
    /// Positions in `all`, the longest prefix first.
    by_prefix: Vec<usize>,
}

impl Issuers {
    /// # Errors
    /// Two issuers have the same name or the same prefix (none counts as one).
    pub fn new(all: Vec<IssuerConfig>) -> Result<Self, IssuersRefused> {
        let (mut names, mut prefixes) = (BTreeSet::new(), BTreeSet::new());
        for one in &all {
            if !names.insert(Arc::clone(&one.issuer)) {
                return Err(IssuersRefused::SameIssuer(Arc::clone(&one.issuer)));
            }
            if !prefixes.insert(Arc::clone(&one.prefix)) {
                return Err(IssuersRefused::SamePrefix(Arc::clone(&one.prefix)));
            }
        }
        let mut by_prefix: Vec<(usize, usize)> =
            all.iter().enumerate().map(|(at, one)| (one.prefix.len(), at)).collect();
        by_prefix.sort_unstable_by(|one, two| two.cmp(one));
        let by_prefix = by_prefix.into_iter().map(|(_length, at)| at).collect();
        Ok(Self { all, by_prefix })
    }

    #[must_use]
    pub fn as_slice(&self) -> &[IssuerConfig] {
        &self.all
    }

    /// The issuer whose `iss` is `name`, byte for byte.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<(usize, &IssuerConfig)> {
        self.all.iter().enumerate().find(|(_, one)| *one.issuer == *name)
    }

    /// The subject that a name means: that of the issuer with the longest prefix that fits. So each
    /// name has one issuer, whatever an issuer without a prefix writes into its tokens.
    #[must_use]
    pub fn resolve(&self, name: &str) -> Option<Subject> {
        let mut fitting = self.by_prefix.iter().filter_map(|at| self.all.get(*at));
        let issuer = fitting.find(|one| name.starts_with(&*one.prefix))?;
        let own = name.strip_prefix(&*issuer.prefix)?;
        is_plain_name(own).then(|| Subject::new(&issuer.issuer, name))
    }
}
