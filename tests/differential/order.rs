//! Where the PDP's answer hangs on more than policies and request: on an order of its own, or on
//! another rule that it takes for the one that was asked. Told from the policies alone.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::campaign::Difference;
use super::compare::Decision;
use super::policies::{Knobs, Set};

/// One action of one resource, and the policies that speak about it.
struct Asked<'s> {
    set: &'s Set,
    principal: &'s str,
    roles: Vec<&'s str>,
    kind: String,
    version: &'s str,
    /// From the leaf to the root.
    scopes: Vec<&'s str>,
    /// Those of the request up to the one in question.
    actions: Vec<&'s str>,
}

/// Why the same policy set may be told otherwise by another process, in which nothing but the
/// policy named, its scope and the outputs differ.
pub fn of_one_effect(set: &Set, request: &Json, it: &Difference) -> Option<&'static str> {
    let action = it.action.as_deref()?;
    let (ours, theirs) = it.sides.split_first()?;
    if theirs.iter().any(|other| other.effect != ours.effect) {
        return None;
    }
    let asked = Asked::new(set, request, it.resource, action)?;
    for (policies, reason) in [
        (asked.role_policies(), "which rows of role policies speak, in an order of the PDP's own"),
        (
            asked.derived_roles(action),
            "which derived role of a rule fails, in an order of the PDP's own",
        ),
        (asked.mistaken(action), "which rule speaks of those that the PDP takes for each other"),
    ] {
        if theirs.iter().all(|other| is_explained(&policies, ours, other)) {
            return Some(reason);
        }
    }
    None
}

/// Why the PDP allows what the rules exclude: it remembers what another rule said to an action that
/// was asked before.
pub fn of_a_rule_mistaken(set: &Set, request: &Json, it: &Difference) -> Option<&'static str> {
    let action = it.action.as_deref()?;
    let (ours, theirs) = it.sides.split_first()?;
    let is_stricter =
        ours.effect == "EFFECT_DENY" && theirs.iter().all(|other| other.effect == "EFFECT_ALLOW");
    let asked = Asked::new(set, request, it.resource, action)?;
    (is_stricter && asked.actions.len() > 1 && !asked.mistaken(action).is_empty())
        .then_some("a rule that the PDP takes for another one, asked before, and so allows")
}

/// One of both names a policy whose rows have no order, and all outputs that differ are of such.
fn is_explained(policies: &BTreeSet<String>, ours: &Decision, theirs: &Decision) -> bool {
    let is_policy = [&ours.policy, &theirs.policy].iter().any(|it| policies.contains(*it));
    let only = |one: &Decision, other: &Decision| {
        let is_new = |it: &&(String, Json)| !other.outputs.contains(it);
        let of = |source: &str| source.split('#').next().unwrap_or_default().to_owned();
        one.outputs.iter().filter(is_new).all(|(source, _)| policies.contains(&of(source)))
    };
    let is_named_alike = ours.policy == theirs.policy && ours.scope == theirs.scope;
    // Who ends the action ends its outputs as well.
    is_policy || (is_named_alike && only(ours, theirs) && only(theirs, ours))
}

impl<'s> Asked<'s> {
    fn new(set: &'s Set, request: &'s Json, resource: usize, action: &str) -> Option<Self> {
        let Knobs { version, scope, .. } = set.knobs;
        let (who, entry) = (&request["principal"], &request["resources"][resource]);
        let what = &entry["resource"];
        let or = |given: &'s Json, default| match given.as_str() {
            None | Some("") => default,
            Some(text) => text,
        };
        let leaf = or(&what["scope"], scope).trim_start_matches('.');
        let mut scopes = vec![leaf];
        while let Some(last) = scopes.last().filter(|it| !it.is_empty()) {
            scopes.push(last.rsplit_once('.').map_or("", |(above, _)| above));
        }
        let actions = entry["actions"].as_array()?.iter().filter_map(Json::as_str);
        let count = actions.clone().position(|it| it == action)? + 1;
        Some(Self {
            set,
            principal: who["id"].as_str()?,
            roles: who["roles"].as_array()?.iter().filter_map(Json::as_str).collect(),
            kind: what["kind"].as_str()?.replace(':', "_"),
            version: or(&what["policyVersion"], version),
            scopes,
            actions: actions.take(count).collect(),
        })
    }

    fn policies(&self, kind: &'static str) -> impl Iterator<Item = &'s Json> {
        self.set.documents.iter().filter_map(move |document| document.get(kind))
    }

    /// Those among them that are about the version and a scope of the request.
    fn here(&self, kind: &'static str) -> impl Iterator<Item = &'s Json> {
        self.policies(kind).filter(|policy| {
            version(policy) == self.version && self.scopes.contains(&scope(policy))
        })
    }

    /// A role and its parents, in the scope of the request.
    fn with_parents(&self, role: &'s str) -> BTreeSet<&'s str> {
        let mut all = BTreeSet::from([role]);
        loop {
            let before = all.len();
            for policy in self.policies("rolePolicy") {
                if scope(policy) == self.scopes[0] && all.contains(text(&policy["role"])) {
                    all.extend(list(&policy["parentRoles"]).map(text));
                }
            }
            if all.len() == before {
                return all;
            }
        }
    }

    /// The role policies of which more than one speaks for a role in one scope, or that speak about
    /// the kind in more than one way.
    fn role_policies(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for role in &self.roles {
            let names = self.with_parents(role);
            for level in &self.scopes {
                let of = |it: &&Json| scope(it) == *level && names.contains(text(&it["role"]));
                let speaking: Vec<&Json> = self.here("rolePolicy").filter(of).collect();
                let kinds: BTreeSet<(&str, &str)> = speaking
                    .iter()
                    .flat_map(|policy| {
                        let kinds = list(&policy["rules"]).map(|rule| text(&rule["resource"]));
                        kinds.map(|kind| (text(&policy["role"]), kind))
                    })
                    .filter(|(_, kind)| matches(kind, &self.kind))
                    .collect();
                if speaking.len() > 1 || kinds.len() > 1 {
                    found.extend(speaking.iter().map(|it| key("role", &it["role"], it)));
                }
            }
        }
        found
    }

    /// The resource policies in which a rule for the action names several derived roles that some
    /// role of the request may have.
    fn derived_roles(&self, action: &str) -> BTreeSet<String> {
        let all: BTreeSet<&str> =
            self.roles.iter().flat_map(|role| self.with_parents(role)).collect();
        let can_have = |name: &str| {
            let defined = self.policies("derivedRoles").flat_map(|it| list(&it["definitions"]));
            let mut named = defined.filter(|it| text(&it["name"]) == name);
            named.any(|role| {
                list(&role["parentRoles"]).map(text).any(|it| it == "*" || all.contains(it))
            })
        };
        let is_unordered = |rule: &&Json| {
            let derived = list(&rule["derivedRoles"]).map(text).filter(|it| can_have(it));
            derived.count() > 1 && list(&rule["actions"]).any(|it| matches(text(it), action))
        };
        let kind = |policy: &&Json| text(&policy["resource"]).replace(':', "_") == self.kind;
        let policies = self.here("resourcePolicy").filter(kind);
        let policies = policies.filter(|it| list(&it["rules"]).any(|rule| is_unordered(&rule)));
        policies.map(|it| key("resource", &it["resource"], it)).collect()
    }

    /// The principal and role policies in which a rule for the action has the name, or number, of
    /// one for another kind that was asked as well, by now.
    fn mistaken(&self, action: &str) -> BTreeSet<String> {
        let names: BTreeSet<&str> =
            self.roles.iter().flat_map(|role| self.with_parents(role)).collect();
        let about = |rule: &Told<'_>, action: &str| {
            matches(&rule.kind, &self.kind) && rule.actions.iter().any(|it| matches(it, action))
        };
        let asked = |rule: &Told<'_>| self.actions.iter().any(|action| about(rule, action));
        let has_two = |rules: Vec<Told<'_>>| {
            rules.iter().filter(|rule| about(rule, action)).any(|rule| {
                let is_other = |it: &Told<'_>| it.kind != rule.kind && it.name == rule.name;
                rules.iter().any(|it| is_other(it) && asked(it))
            })
        };
        let own = |it: &&Json| it["principal"] == self.principal && has_two(principal_rules(it));
        let own = self.policies("principalPolicy").filter(own);
        let own = own.map(|it| key("principal", &it["principal"], it));
        let role = |it: &&Json| names.contains(text(&it["role"])) && has_two(role_rules(it));
        let roles = self.here("rolePolicy").filter(role);
        own.chain(roles.map(|it| key("role", &it["role"], it))).collect()
    }
}

/// A rule as the PDP remembers it.
struct Told<'s> {
    name: String,
    kind: String,
    actions: Vec<&'s str>,
}

fn principal_rules(policy: &Json) -> Vec<Told<'_>> {
    let mut all = Vec::new();
    for rule in list(&policy["rules"]) {
        let kind = text(&rule["resource"]);
        for (index, of) in list(&rule["actions"]).enumerate() {
            let given = of["name"].as_str().map(ToOwned::to_owned);
            let name = given.unwrap_or_else(|| format!("{kind}_rule-{index}"));
            let actions = vec![text(&of["action"])];
            all.push(Told { name, kind: kind.replace(':', "_"), actions });
        }
    }
    all
}

fn role_rules(policy: &Json) -> Vec<Told<'_>> {
    let mut all: Vec<Told<'_>> = Vec::new();
    for rule in list(&policy["rules"]) {
        let kind = text(&rule["resource"]).to_owned();
        let name = all.iter().filter(|it| it.kind == kind).count().to_string();
        let actions = list(&rule["allowActions"]).map(text).collect();
        all.push(Told { name, kind, actions });
    }
    all
}

/// As the PDP names it.
fn key(sort: &str, name: &Json, policy: &Json) -> String {
    let name = text(name).replace(':', "_");
    let scope = scope(policy);
    let tail = if scope.is_empty() { String::new() } else { format!("/{scope}") };
    format!("{sort}.{name}.v{}{tail}", version(policy))
}

fn version(policy: &Json) -> &str {
    policy["version"].as_str().filter(|it| !it.is_empty()).unwrap_or("default")
}

fn scope(policy: &Json) -> &str {
    text(&policy["scope"])
}

fn text(value: &Json) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Json) -> impl Iterator<Item = &Json> + Clone {
    value.as_array().map_or(&[][..], Vec::as_slice).iter()
}

/// `*` stands for anything without a separator, or for everything where it stands alone.
fn matches(glob: &str, name: &str) -> bool {
    if matches!(glob, "*" | "**") {
        return true;
    }
    let Some((before, after)) = glob.split_once('*') else { return glob == name };
    let Some(rest) = name.strip_prefix(before) else { return false };
    let (after, crosses) = match after.strip_prefix('*') {
        Some(after) => (after, true),
        None => (after, false),
    };
    let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    ends.take_while(|at| crosses || !rest[..*at].contains(':'))
        .any(|at| if after.is_empty() { at == rest.len() } else { matches(after, &rest[at..]) })
}

/// The same policies with every list turned round whose order means nothing.
pub fn turned_round(set: &Set) -> Set {
    let mut set = set.clone();
    for document in &mut set.documents {
        if let Some(rules) = document.pointer_mut("/resourcePolicy/rules") {
            let rules = rules.as_array_mut().into_iter().flatten();
            rules.filter_map(|rule| rule.get_mut("derivedRoles")).for_each(turn);
        }
        if let Some(parents) = document.pointer_mut("/rolePolicy/parentRoles") {
            turn(parents);
        }
    }
    set
}

fn turn(list: &mut Json) {
    if let Some(list) = list.as_array_mut() {
        list.reverse();
    }
}

#[test]
fn globs_of_the_generator_match_as_the_pdp_has_it() {
    for (glob, name, is_match) in [
        ("*", "a:x", true),
        ("a:*", "a:x", true),
        ("a:*", "a:x:y", false),
        ("a:**", "a:x:y", true),
        ("*:x", "b:x", true),
        ("*:x", "a:x:y", false),
        ("k*", "k1", true),
        ("*1", "k1", true),
        ("ab", "a", false),
    ] {
        assert_eq!(matches(glob, name), is_match, "{glob} {name}");
    }
}
