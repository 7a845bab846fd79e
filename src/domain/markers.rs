//! The markers of a partition: what the kill switch and suspensions say.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::access::Access;
use super::grant::Grant;
use super::ids::OrderId;
use super::request::Request;
use super::subject::{Subject, SubjectKey};
use super::time::Timestamp;

/// Grows with every marker set. A grant made under a generation below a kill's does not count.
pub type Generation = u64;

/// What a kill switch was thrown for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "name", rename_all = "kebab-case")]
pub enum KillTarget {
    Tool(Arc<str>),
    Template(Arc<str>),
    Everything,
}

impl KillTarget {
    #[must_use]
    pub fn hits(&self, tool: &str, template: &str) -> bool {
        match self {
            Self::Tool(name) => **name == *tool,
            Self::Template(name) => **name == *template,
            Self::Everything => true,
        }
    }
}

/// "Grants and requests with a generation below `below` do not count."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kill {
    pub target: KillTarget,
    pub below: Generation,
    pub at: Timestamp,
    pub by: Subject,
    pub reason: Arc<str>,
    /// The order that it came from; a retry of that order adds nothing.
    pub order: OrderId,
}

/// Somebody throws the kill switch: the same order for every partition, and for a retry.
#[derive(Clone, Debug)]
pub struct KillOrder {
    pub id: OrderId,
    pub target: KillTarget,
    pub at: Timestamp,
    pub by: Subject,
    pub reason: Arc<str>,
}

/// How long a retry is known as one: as long as any answer under an idempotency key.
const RETRY_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// One sealed, mandatory value per partition. Absent or badly sealed is a fault, never "none".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Markers {
    pub generation: Generation,
    #[serde(default)]
    pub kills: Vec<Kill>,
    #[serde(default)]
    pub suspended: Vec<SubjectKey>,
}

impl Markers {
    /// The kill that ended something made under `generation`, if one did.
    #[must_use]
    pub fn kill(&self, generation: Generation, tool: &str, template: &str) -> Option<&Kill> {
        self.kills.iter().find(|kill| generation < kill.below && kill.target.hits(tool, template))
    }

    #[must_use]
    pub fn kill_of_grant(&self, grant: &Grant) -> Option<&Kill> {
        self.kill(grant.generation, &grant.access.tool, &grant.template)
    }

    /// A request is killed when any access that it asks for is.
    #[must_use]
    pub fn kill_of_request(&self, request: &Request) -> Option<&Kill> {
        let killed =
            |access: &Access| self.kill(request.generation, &access.tool, &request.template.name);
        request.template.accesses.iter().find_map(killed)
    }

    #[must_use]
    pub fn is_suspended(&self, subject: SubjectKey) -> bool {
        self.suspended.contains(&subject)
    }

    /// These markers with one more kill. A later kill of the same target replaces the earlier.
    #[must_use]
    pub fn with_kill(&self, order: &KillOrder) -> Self {
        let generation = self.generation.saturating_add(1);
        let mut kills: Vec<Kill> =
            self.kills.iter().filter(|kill| kill.target != order.target).cloned().collect();
        kills.push(Kill {
            target: order.target.clone(),
            below: generation,
            at: order.at,
            by: order.by.clone(),
            reason: order.reason.clone(),
            order: order.id,
        });
        Self { generation, kills, suspended: self.suspended.clone() }
    }

    /// What holds when one of them was lost: every suspension, of each target the kill that hits
    /// most, and the higher generation.
    #[must_use]
    pub fn merged_with(mut self, other: &Self) -> Self {
        for theirs in &other.kills {
            match self.kills.iter_mut().find(|ours| ours.target == theirs.target) {
                Some(ours) if ours.below >= theirs.below => (),
                Some(ours) => *ours = theirs.clone(),
                None => self.kills.push(theirs.clone()),
            }
        }
        self.suspend(other.suspended.iter().copied());
        self.generation = self.generation.max(other.generation);
        self
    }

    pub fn suspend(&mut self, subjects: impl IntoIterator<Item = SubjectKey>) {
        self.suspended.extend(subjects);
        self.suspended.sort_unstable();
        self.suspended.dedup();
    }

    /// Whether this order was carried out here within a day: raising again would also end what was
    /// granted since. A later kill of the same target hides it.
    #[must_use]
    pub fn carried_out(&self, order: &KillOrder) -> bool {
        self.kills.iter().any(|kill| {
            kill.order == order.id
                && kill.target == order.target
                && order.at < kill.at.plus(RETRY_LIFE)
        })
    }
}
