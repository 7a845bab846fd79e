//! Which roles a role implies: whoever has `admin` of `admin > editor > viewer` has the others, too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The roles below each role, however far. It has no cycle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleHierarchy {
    /// Sorted.
    below: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
}

/// A role that would be above itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle(pub Arc<str>);

impl RoleHierarchy {
    /// Of pairs of a role and one that it implies.
    ///
    /// # Errors
    /// A role is above itself.
    pub fn of<'a>(
        pairs: impl IntoIterator<Item = &'a (Arc<str>, Arc<str>)>,
    ) -> Result<Self, Cycle> {
        let mut below: BTreeMap<Arc<str>, BTreeSet<Arc<str>>> = BTreeMap::new();
        for (upper, lower) in pairs {
            // What is added goes below everything that is above already, and takes along what is
            // below it.
            let mut added = below.get(lower).cloned().unwrap_or_default();
            added.insert(Arc::clone(lower));
            if added.contains(upper) {
                return Err(Cycle(Arc::clone(upper)));
            }
            below.entry(Arc::clone(upper)).or_default();
            for (role, implied) in &mut below {
                if role == upper || implied.contains(upper) {
                    implied.extend(added.iter().cloned());
                }
            }
        }
        Ok(Self { below })
    }

    /// Every role that a holder of `role` has besides, sorted.
    pub fn implied(&self, role: &str) -> impl Iterator<Item = &Arc<str>> {
        self.below.get(role).into_iter().flatten()
    }

    /// Every role whose holders have `role`, too, sorted.
    pub fn above(&self, role: &str) -> impl Iterator<Item = &Arc<str>> {
        self.below.iter().filter(move |(_, implied)| implied.contains(role)).map(|(role, _)| role)
    }

    /// Each role that implies others, with all of them.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &BTreeSet<Arc<str>>)> {
        self.below.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hierarchy(pairs: &[(&str, &str)]) -> Result<RoleHierarchy, Cycle> {
        let pairs: Vec<(Arc<str>, Arc<str>)> =
            pairs.iter().map(|&(upper, lower)| (upper.into(), lower.into())).collect();
        RoleHierarchy::of(&pairs)
    }

    fn implied(of: &RoleHierarchy, role: &str) -> Vec<String> {
        of.implied(role).map(ToString::to_string).collect()
    }

    #[test]
    fn a_role_implies_all_below_it_in_whatever_order_they_are_written() {
        for pairs in [
            [("admin", "editor"), ("editor", "viewer"), ("security", "viewer")],
            [("security", "viewer"), ("editor", "viewer"), ("admin", "editor")],
        ] {
            let found = hierarchy(&pairs).unwrap();
            assert_eq!(implied(&found, "admin"), ["editor", "viewer"]);
            assert_eq!(implied(&found, "editor"), ["viewer"]);
            assert!(implied(&found, "viewer").is_empty() && implied(&found, "other").is_empty());
            let above: Vec<&str> = found.above("viewer").map(|role| &**role).collect();
            assert_eq!(above, ["admin", "editor", "security"]);
        }
    }

    #[test]
    fn no_role_is_above_itself() {
        assert_eq!(hierarchy(&[("a", "a")]), Err(Cycle("a".into())));
        assert!(hierarchy(&[("a", "b"), ("b", "c"), ("c", "a")]).is_err());
        assert!(hierarchy(&[("b", "c"), ("c", "a"), ("a", "b")]).is_err());
        assert!(hierarchy(&[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]).is_ok());
    }
}
