//! `policy.role_hierarchy`: lines like `admin > editor > viewer`.

use std::sync::Arc;

use crate::config::reader::At;
use crate::domain::access::is_name;
use crate::domain::hierarchy::{Cycle, RoleHierarchy};

const SHAPE: &str = "roles from the highest to the lowest, like \"admin > editor > viewer\"";
/// More pairs than this are refused.
const MOST_PAIRS: usize = 200;

type Pair = (Arc<str>, Arc<str>);

pub fn role_hierarchy(at: &At<'_>) -> Option<RoleHierarchy> {
    let lines = at.list("a list of texts like \"admin > editor > viewer\"", line)?;
    let mut pairs: Vec<Pair> = Vec::new();
    let count: usize = lines.iter().map(Vec::len).sum();
    if count > MOST_PAIRS {
        return at.refuse_as(format!("{count} pairs"), "at most 200 pairs of roles");
    }
    for (index, found) in lines.into_iter().enumerate() {
        for pair in found {
            let line = at.item(index);
            let line = line.as_ref().unwrap_or(at);
            let (upper, lower) = &pair;
            if pairs.contains(&pair) {
                return line.refuse_as(format!("{upper} > {lower} again"), "each pair once");
            }
            pairs.push(pair.clone());
            if let Err(Cycle(role)) = RoleHierarchy::of(&pairs) {
                let found = format!("{upper} > {lower}, which puts {role} above itself");
                return line.refuse_as(found, "a hierarchy without a cycle");
            }
        }
    }
    RoleHierarchy::of(&pairs).ok()
}

fn line(at: &At<'_>) -> Option<Vec<Pair>> {
    let text = at.text(SHAPE)?;
    let names: Vec<&str> = text.split('>').map(str::trim).collect();
    if names.len() < 2 {
        return at.refuse(SHAPE);
    }
    if let Some(wrong) = names.iter().find(|name| !is_name(name)) {
        return at.refuse_as(format!("the role {wrong:?}"), SHAPE);
    }
    if names.contains(&"user") {
        return at.refuse_as("the role user", "roles that not everybody has anyway");
    }
    let pairs = names.iter().zip(names.iter().skip(1));
    Some(pairs.map(|(&upper, &lower)| (upper.into(), lower.into())).collect())
}
