//! What lists of requests and of grants share.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::super::error::Refusal;
use super::super::execute::failed;
use super::super::extract::Call;
use super::super::policy::{self, Sight, Target};
use super::super::{Api, page};
use crate::domain::grant::Grant;
use crate::domain::ids::{GrantId, Partition};
use crate::domain::markers::Markers;
use crate::domain::subject::Subject;
use crate::domain::uses::Use;
use crate::problem::ProblemCode;
use crate::store::{Cursor, ListQuery};

/// Whose objects a list may show.
pub enum Scope {
    Everybody,
    One(Subject),
    /// Somebody else's without the right to, or nobody's: an empty page either way.
    Nobody,
}

/// # Errors
/// `policy-denied` without `list`; `policy-unreachable`.
pub async fn scope(
    api: &Api,
    call: &Call,
    kind: &'static str,
    asked: Option<&str>,
) -> Result<(Scope, Sight), Refusal> {
    let target = Target::any(kind);
    let decisions =
        policy::ask(api, call, &target, &["list", "list_any", "read", "read_any"]).await?;
    let [list, list_any, read, read_any] = decisions.as_slice() else {
        return Err(Refusal::new(ProblemCode::PolicyUnreachable, "the policy gave no answer"));
    };
    let all = list_any.allowed && read_any.allowed;
    if !(all || list.allowed && read.allowed) {
        let detail = format!("list on {kind}: {}", list.detail);
        return Err(Refusal::new(ProblemCode::PolicyDenied, detail));
    }
    let own = call.subject();
    let scope = match asked {
        None if all => Scope::Everybody,
        None => Scope::One(own.clone()),
        Some(name) if *name == *own.name => Scope::One(own.clone()),
        Some(name) if all => api.subjects.resolve(name).map_or(Scope::Nobody, Scope::One),
        Some(_) => Scope::Nobody,
    };
    Ok((scope, if all { Sight::Any } else { Sight::Own }))
}

/// The part of a query that requests and grants share; `None`: the page is empty.
///
/// # Errors
/// `invalid-input` for a bad limit or cursor.
pub fn query(
    api: &Api,
    scope: Scope,
    limit: Option<&str>,
    cursor: Option<&str>,
) -> Result<Option<ListQuery>, Refusal> {
    let limit = page::limit(limit)?;
    let cursor: Option<Cursor> = cursor.map(page::cursor).transpose()?;
    let subject = match scope {
        Scope::Nobody => return Ok(None),
        Scope::Everybody => None,
        Scope::One(subject) => Some(subject),
    };
    Ok(Some(ListQuery { subject, limit, cursor, now: api.clock.now(), ..ListQuery::default() }))
}

/// # Errors
/// `store-unreachable`.
pub async fn markers(api: &Api, partition: Partition) -> Result<Arc<Markers>, Refusal> {
    api.store.markers(partition).await.map_err(|fault| failed(api, fault, "markers"))
}

/// How often grants were used, of those that were.
///
/// # Errors
/// `store-unreachable`.
pub async fn uses(api: &Api, grants: &[Grant]) -> Result<BTreeMap<GrantId, Use>, Refusal> {
    let mut partitions: BTreeMap<Partition, Vec<GrantId>> = BTreeMap::new();
    for grant in grants {
        partitions.entry(grant.id.partition).or_default().push(grant.id);
    }
    let mut all = BTreeMap::new();
    for (partition, grants) in partitions {
        let uses = api.store.uses(partition, &grants).await;
        all.extend(uses.map_err(|fault| failed(api, fault, "uses"))?);
    }
    Ok(all)
}

/// The markers of every partition that `partitions` names.
///
/// # Errors
/// `store-unreachable`.
pub async fn all_markers(
    api: &Api,
    partitions: impl Iterator<Item = Partition>,
) -> Result<BTreeMap<Partition, Arc<Markers>>, Refusal> {
    let mut all = BTreeMap::new();
    for partition in partitions {
        if let Entry::Vacant(free) = all.entry(partition) {
            free.insert(markers(api, partition).await?);
        }
    }
    Ok(all)
}
