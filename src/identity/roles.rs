//! The roles of a person: the one place that computes them, for the gateway and for the API.
//!
//! Everybody has `user`. The roles claim and the groups give roles, and each role gives those that
//! the hierarchy has below it.
//!
//! Where a live grant is demanded, a claim never stands in for a role that grants give. With a
//! hierarchy that means two things more than the names alone. A role that is implied by a granted
//! role is one that grants give. And a role above a granted one is withheld like that one itself:
//! whoever holds `operator` of `operator > viewer` holds all of `viewer`, so an `operator` from a
//! claim would stand in for the `viewer` that a grant has to give. Each role is judged by itself: a
//! role that has nothing to do with grants (`suspended`) stays, also when it came through a role
//! that is withheld, as what it denies must stay denied.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::{Value, json};
use smallvec::{SmallVec, smallvec};

use crate::domain::hierarchy::RoleHierarchy;
use crate::domain::template::Catalog;

use super::Identity;

/// What everybody has who is signed in.
pub const USER: &str = "user";

/// Most people have few roles.
pub type Few = SmallVec<[Arc<str>; 4]>;

/// How people come to roles.
#[derive(Clone, Debug, Default)]
pub struct RoleRules {
    /// From a group to the roles that it gives.
    pub mapping: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    pub hierarchy: RoleHierarchy,
}

impl RoleRules {
    /// `user`, and what claims and groups give: each role once.
    #[must_use]
    pub fn of(&self, identity: &Identity) -> Vec<Arc<str>> {
        self.gather(USER.into(), identity, |_| true).into_vec()
    }

    /// The same for a tool where a live grant is demanded: what grants give comes from `granted`
    /// alone.
    pub fn with_grants<'a>(
        &self,
        user: &Arc<str>,
        identity: &Identity,
        is_withheld: impl Fn(&str) -> bool,
        granted: impl Iterator<Item = &'a Arc<str>>,
    ) -> Few {
        let mut roles = self.gather(Arc::clone(user), identity, |role| !is_withheld(role));
        for role in granted {
            self.add(role, &mut roles, &|_| true);
        }
        roles
    }

    /// What gives a person a role besides grants, in words. Empty: nothing does.
    #[must_use]
    pub fn sources(&self, identity: &Identity, role: &str) -> Vec<String> {
        let groups = &identity.person.groups;
        let is = |it: &Arc<str>| **it == *role;
        let mut from = Vec::new();
        if role == USER {
            from.push("everyone signed in".to_owned());
        }
        if identity.roles.iter().any(is) {
            from.push("roles claim".to_owned());
        }
        let giving = groups.iter().filter(|group| self.given_by(group).iter().any(is));
        from.extend(giving.map(|group| format!("group {group}")));
        let held = |upper: &&Arc<str>| {
            let by_group = groups.iter().any(|group| self.given_by(group).contains(upper));
            by_group || identity.roles.contains(upper)
        };
        let above = self.hierarchy.above(role).filter(held);
        from.extend(above.map(|upper| format!("implied by role {upper}")));
        from
    }

    /// Groups with their roles, and roles with all that they imply, for people who look at a
    /// running gateway.
    #[must_use]
    pub fn describe(&self) -> Value {
        let hierarchy: BTreeMap<_, _> = self.hierarchy.iter().collect();
        json!({ "role_mapping": self.mapping, "role_hierarchy": hierarchy })
    }

    fn gather(&self, user: Arc<str>, identity: &Identity, stands: impl Fn(&str) -> bool) -> Few {
        let mut roles: Few = smallvec![user];
        let mapped = identity.person.groups.iter().flat_map(|group| self.given_by(group));
        for role in identity.roles.iter().chain(mapped) {
            self.add(role, &mut roles, &stands);
        }
        roles
    }

    fn given_by(&self, group: &str) -> &[Arc<str>] {
        self.mapping.get(group).map(Vec::as_slice).unwrap_or_default()
    }

    /// Adds the role and those that it implies, as far as they stand.
    fn add(&self, role: &Arc<str>, roles: &mut Few, stands: &impl Fn(&str) -> bool) {
        for role in std::iter::once(role).chain(self.hierarchy.implied(role)) {
            if stands(role) && !roles.contains(role) {
                roles.push(Arc::clone(role));
            }
        }
    }
}

/// By tool the roles that a claim cannot give where a live grant is demanded. A disabled template
/// counts: its role is still one that only grants may give.
#[derive(Debug)]
pub struct Withheld {
    pub catalog: Arc<Catalog>,
    roles: FxHashMap<Arc<str>, FxHashSet<Arc<str>>>,
}

impl Withheld {
    #[must_use]
    pub fn of(catalog: Arc<Catalog>, hierarchy: &RoleHierarchy) -> Self {
        let mut roles: FxHashMap<Arc<str>, FxHashSet<Arc<str>>> = FxHashMap::default();
        let offered = catalog.templates.values().flat_map(|template| &template.accesses);
        for access in offered.chain(&catalog.also_granted) {
            let of_tool = roles.entry(Arc::clone(&access.tool)).or_default();
            of_tool.insert(Arc::clone(&access.role));
            of_tool.extend(hierarchy.implied(&access.role).cloned());
            of_tool.extend(hierarchy.above(&access.role).cloned());
        }
        Self { catalog, roles }
    }

    #[must_use]
    pub fn has(&self, tool: &str, role: &str) -> bool {
        self.roles.get(tool).is_some_and(|roles| roles.contains(role))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::subject::{Person, Subject};
    use crate::domain::template::{Requesters, Template};
    use crate::domain::time::Timestamp;

    fn person(groups: &[&str], roles: &[&str]) -> Identity {
        let subject = Subject::new("https://idp.test", "alice");
        Identity {
            key: subject.key(),
            person: Person {
                groups: groups.iter().map(|&group| group.into()).collect(),
                ..Person::named(subject)
            },
            roles: roles.iter().map(|&role| role.into()).collect(),
            claims: Arc::default(),
            proof: crate::identity::Proof::default(),
            prepared: crate::identity::Prepared::default(),
            expires_at: Timestamp::from_millis(1),
        }
    }

    fn hierarchy(pairs: &[(&str, &str)]) -> RoleRules {
        let pairs: Vec<(Arc<str>, Arc<str>)> =
            pairs.iter().map(|&(upper, lower)| (upper.into(), lower.into())).collect();
        RoleRules {
            mapping: [("leads".into(), vec!["operator".into()])].into(),
            hierarchy: RoleHierarchy::of(&pairs).unwrap(),
        }
    }

    /// A catalog with one template that grants these roles of `notes`.
    fn granting(roles: &[&str]) -> Arc<Catalog> {
        let access = |role: &&str| format!("notes:{role}").parse().unwrap();
        let template = Template {
            name: "one".into(),
            title: "One".into(),
            enabled: false,
            scopes: Vec::new(),
            accesses: roles.iter().map(access).collect(),
            durations: Vec::new(),
            default_duration: std::time::Duration::ZERO,
            pending_for: std::time::Duration::ZERO,
            requesters: Requesters::Anyone,
            require_justification: false,
            justification: None,
            fields: Vec::new(),
            steps: Vec::new(),
            self_approval: false,
            rules: crate::domain::rules::Rules::default(),
            made: None,
        };
        Arc::new(Catalog {
            templates: [("one".into(), Arc::new(template))].into(),
            ..Catalog::default()
        })
    }

    /// The roles at the tool `notes` where a live grant is demanded.
    fn at_tool(
        of: &RoleRules,
        offered: &[&str],
        identity: &Identity,
        granted: &[&str],
    ) -> Vec<String> {
        let withheld = Withheld::of(granting(offered), &of.hierarchy);
        let granted: Vec<Arc<str>> = granted.iter().map(|&role| role.into()).collect();
        let is_withheld = |role: &str| withheld.has("notes", role);
        let roles = of.with_grants(&USER.into(), identity, is_withheld, granted.iter());
        roles.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn claims_and_groups_give_roles_and_each_role_those_below_it_once() {
        let found = hierarchy(&[("admin", "operator"), ("operator", "viewer")]);
        let texts = |identity: &Identity| -> Vec<String> {
            found.of(identity).iter().map(ToString::to_string).collect()
        };
        assert_eq!(texts(&person(&[], &[])), ["user"]);
        assert_eq!(texts(&person(&["leads"], &[])), ["user", "operator", "viewer"]);
        let both = texts(&person(&["leads", "other"], &["admin", "viewer", "x"]));
        assert_eq!(both, ["user", "admin", "operator", "viewer", "x"]);
    }

    #[test]
    fn the_sources_of_a_role_are_the_claim_the_groups_and_the_roles_above_that_these_give() {
        let found = hierarchy(&[("admin", "operator"), ("operator", "viewer")]);
        let both = person(&["leads", "other"], &["admin", "x"]);
        for (role, expected) in [
            ("user", &["everyone signed in"][..]),
            ("admin", &["roles claim"]),
            ("operator", &["group leads", "implied by role admin"]),
            ("viewer", &["implied by role admin", "implied by role operator"]),
            ("x", &["roles claim"]),
            ("other", &[]),
        ] {
            assert_eq!(found.sources(&both, role), expected, "{role}");
        }
        // Every role has a source, and what has a source is a role.
        let roles = found.of(&both);
        for role in ["user", "admin", "operator", "viewer", "x", "other", "leads", "Admin"] {
            let is_one = roles.iter().any(|it| **it == *role);
            assert_eq!(!found.sources(&both, role).is_empty(), is_one, "{role}");
        }
    }

    #[test]
    fn a_description_tells_all_that_a_role_implies() {
        let found = hierarchy(&[("admin", "operator"), ("operator", "viewer")]);
        let expected = json!({
            "role_mapping": { "leads": ["operator"] },
            "role_hierarchy": { "admin": ["operator", "viewer"], "operator": ["viewer"] },
        });
        assert_eq!(found.describe(), expected);
    }

    #[test]
    fn a_live_grant_gives_what_is_below_its_role_too() {
        let found = hierarchy(&[("operator", "viewer"), ("viewer", "guest")]);
        let roles = at_tool(&found, &["operator"], &person(&[], &[]), &["operator"]);
        assert_eq!(roles, ["user", "operator", "guest", "viewer"]);
    }

    #[test]
    fn a_claim_gives_no_role_that_grants_give_however_the_hierarchy_leads_there() {
        let found = hierarchy(&[
            ("admin", "operator"),
            ("operator", "viewer"),
            ("viewer", "guest"),
            ("x", "y"),
        ]);
        let all = ["admin", "operator", "viewer", "guest", "x", "other"];
        for offered in ["operator", "viewer"] {
            // Above it, it, and below it: a grant of it would give those.
            let roles = at_tool(&found, &[offered], &person(&["leads"], &all), &[]);
            assert_eq!(roles, ["user", "x", "y", "other"], "{offered}");
        }
        let roles = at_tool(&found, &["viewer"], &person(&["leads"], &all), &["viewer"]);
        assert_eq!(roles, ["user", "x", "y", "other", "viewer", "guest"]);
        // Of another tool nothing is withheld.
        let withheld = Withheld::of(granting(&["viewer"]), &found.hierarchy);
        assert!(withheld.has("notes", "admin") && !withheld.has("wiki", "admin"));
    }

    #[test]
    fn a_role_of_a_template_that_is_not_there_may_still_be_one_that_only_grants_give() {
        let also_granted = vec!["notes:viewer".parse().unwrap()];
        let catalog = Arc::new(Catalog { also_granted, ..Catalog::default() });
        let withheld = Withheld::of(catalog, &hierarchy(&[("operator", "viewer")]).hierarchy);
        assert!(withheld.has("notes", "viewer") && withheld.has("notes", "operator"));
        assert!(!withheld.has("notes", "guest") && !withheld.has("wiki", "viewer"));
    }

    #[test]
    fn a_role_beside_the_granted_ones_stays_without_what_it_shares_with_them() {
        let found = hierarchy(&[("operator", "staff"), ("auditor", "staff")]);
        let roles = at_tool(&found, &["operator"], &person(&[], &["auditor"]), &[]);
        assert_eq!(roles, ["user", "auditor"]);
    }

    #[test]
    fn a_role_that_denies_stays_also_when_it_came_through_one_that_is_withheld() {
        let found = hierarchy(&[("away", "suspended"), ("away", "viewer")]);
        let roles = at_tool(&found, &["viewer"], &person(&[], &["away"]), &["viewer"]);
        assert_eq!(roles, ["user", "suspended", "viewer"]);
    }
}
