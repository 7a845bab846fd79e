//! The approval API: who asks, who decides, what ends. In reading order:
//!
//! - [`router`]: the table of contents, one line per route;
//! - [`extract`] and [`body`]: from HTTP to checked values;
//! - [`policy`]: every call is checked;
//! - `handlers`: look up, check, execute, answer;
//! - [`execute`]: the only write path (load, apply, commit, and again when somebody was faster);
//! - [`kept`]: answers of calls that change no single subject;
//! - [`wire`]: the JSON of requests and grants;
//! - [`error`]: every refusal, mapped to its problem in one place;
//! - [`timers`]: the same write path, driven by the clock;
//! - [`sweeper`]: the same write path, driven by the kill switch;
//! - [`templates`]: takes into use what was made of templates, here or elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::catalog::Shelf;
use crate::clock::SharedClock;
use crate::domain::people::People;
use crate::domain::template::Catalog;
use crate::explain::Explain;
use crate::identity::roles::RoleRules;
use crate::store::SharedStore;
use crate::telemetry::decision::DecisionIds;
use crate::telemetry::ids::UserHashes;
use crate::telemetry::metrics::Metrics;

mod auto_approve;
pub mod body;
mod draw;
pub mod error;
pub mod execute;
pub mod extract;
mod handlers;
mod kept;
pub mod listen;
pub mod page;
pub mod policy;
pub mod ports;
pub mod refusals;
pub mod respond;
pub mod router;
pub mod sweeper;
pub mod templates;
#[cfg(test)]
mod tests;
pub mod timers;
pub mod turns;
mod wake;
mod way;
pub mod wire;

/// Everything the handlers work with; `app` makes it.
pub struct Api {
    pub store: SharedStore,
    pub catalog: Arc<ArcSwap<Catalog>>,
    /// What `catalog` is made of.
    pub shelf: Arc<Shelf>,
    /// One read of what was made over the API at a time.
    pub shelf_reads: tokio::sync::Mutex<()>,
    /// Whom to tell: who is in which group, as far as the directory says.
    pub people: Arc<ArcSwap<People>>,
    pub clock: SharedClock,
    pub metrics: Metrics,
    /// Names people in spans.
    pub users: Arc<UserHashes>,
    pub authenticate: Arc<dyn ports::Authenticate>,
    pub decide: Arc<dyn ports::Decide>,
    pub subjects: Arc<dyn ports::ResolveSubject>,
    /// The rules of each tool, by its name.
    pub tools: Arc<BTreeMap<Arc<str>, Vec<ports::ToolRule>>>,
    pub roles: RoleRules,
    pub decision_ids: Arc<DecisionIds>,
    /// Explains decisions of the data plane.
    pub explain: Arc<dyn Explain>,
    /// Explains refusals of this API.
    pub refusals: refusals::Refusals,
    /// `Turns::default()`.
    pub turns: turns::Turns,
    /// `/tidegate/<deployment>`, the `source` of events.
    pub source: Arc<str>,
    /// The sinks that keep dead letters.
    pub webhooks: Arc<[Arc<str>]>,
    /// The API's address as people reach it, without a slash at the end.
    pub public_url: Arc<str>,
}

pub type SharedApi = Arc<Api>;
