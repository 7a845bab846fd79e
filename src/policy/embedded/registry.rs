//! What policies there are, and how they fit together.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::compile::Build;
use super::file::{Document, Text};
use super::names;
use super::pattern::Pattern;
use super::problem::{At, PolicyProblem, Problems};

/// Policies by key, and what is checked when all are known.
#[derive(Default)]
pub(super) struct Registry {
    known: BTreeMap<String, PathBuf>,
    scoped: Vec<Scoped>,
    /// Role policies with rules: version, scope, and kinds.
    stand_ins: Vec<(String, String, Vec<Pattern>)>,
    consent: BTreeMap<String, (bool, PathBuf)>,
    /// What the policies of a scope write for their permissions, without the first of them.
    written: BTreeMap<String, Option<(String, PathBuf)>>,
    /// By scope and role.
    parents: BTreeMap<(String, String), (Vec<String>, PathBuf)>,
}

const UNSPECIFIED: &str = "SCOPE_PERMISSIONS_UNSPECIFIED";

/// A policy that needs its parent scopes.
struct Scoped {
    kind: &'static str,
    name: String,
    version: String,
    scope: String,
    file: PathBuf,
    at: At,
}

/// Kind, name, version and scope of a policy.
pub(super) struct Identity<'p> {
    pub kind: &'static str,
    pub name: &'p Text,
    pub version: &'p str,
    pub scope: Option<&'p Text>,
}

impl Identity<'_> {
    pub fn scope(&self) -> &str {
        self.scope.map_or("", |scope| &scope.value)
    }

    pub fn key(&self) -> String {
        names::policy_key(self.kind, &self.name.value, self.version, self.scope())
    }
}

impl Registry {
    /// Registers a policy; one that is there already is a problem.
    pub fn add(&mut self, it: &Identity<'_>, problems: &mut Problems) {
        let at = At::from(it.name);
        if !names::is_subject(&it.name.value) {
            let message = format!("'{}' is no name that a policy can be for", it.name.value);
            problems.add(at, "", message);
        }
        if it.version.is_empty() || !names::is_version(it.version) {
            problems.add(at, "", format!("'{}' is no version", it.version));
        }
        let scope = it.scope();
        if scope == "." || !names::is_scope(scope) {
            problems.add(at, "", format!("'{scope}' is no scope"));
        }
        let key = it.key();
        if let Some(other) = self.known.get(&key) {
            let message = format!("'{key}' is defined twice, also in {}", other.display());
            problems.add(at, "", message);
        }
        self.known.insert(key, problems.file.clone());
        if it.kind != "role" && !scope.is_empty() {
            self.scoped.push(Scoped {
                kind: it.kind,
                name: it.name.value.clone(),
                version: it.version.to_owned(),
                scope: scope.to_owned(),
                file: problems.file.clone(),
                at,
            });
        }
    }

    /// Whether an ALLOW of this policy needs the consent of the parent. All policies of a scope
    /// must agree.
    pub fn consent(
        &mut self,
        it: &Identity<'_>,
        text: Option<&Text>,
        problems: &mut Problems,
    ) -> bool {
        let consent = match text.map(|text| text.value.as_str()) {
            None | Some("SCOPE_PERMISSIONS_UNSPECIFIED" | "SCOPE_PERMISSIONS_OVERRIDE_PARENT") => {
                false
            }
            Some("SCOPE_PERMISSIONS_REQUIRE_PARENTAL_CONSENT_FOR_ALLOWS") => true,
            Some(other) => {
                let at = text.map_or(At::NOWHERE, At::from);
                problems.add(at, "", format!("'{other}' are no scope permissions"));
                return true;
            }
        };
        let scope = it.scope();
        match self.consent.get(scope) {
            Some((other, file)) if *other != consent => {
                let message = format!(
                    "the policies of scope '{scope}' have different scope permissions, see {}",
                    file.display()
                );
                problems.add(text.map_or(At::from(it.name), At::from), "", message);
            }
            Some(_) => {}
            None => {
                self.consent.insert(scope.to_owned(), (consent, problems.file.clone()));
            }
        }
        consent
    }

    /// The PDP wants the policies of a scope to write the same permissions, all but the first in
    /// the order of the files. What cannot write any counts as one that does not.
    pub fn permissions(&mut self, document: &Document, problems: &mut Problems) {
        let resource = document.resource_policy.as_ref();
        let principal = document.principal_policy.as_ref();
        let role = document.role_policy.as_ref();
        let scope = resource.and_then(|it| it.scope.as_ref());
        let scope = scope.or_else(|| principal.and_then(|it| it.scope.as_ref()));
        let scope = scope.or_else(|| role.and_then(|it| it.scope.as_ref()));
        let scope = scope.map_or("", |it| &it.value);
        let text = resource.and_then(|it| it.scope_permissions.as_ref());
        let text = text.or_else(|| principal.and_then(|it| it.scope_permissions.as_ref()));
        let value = text.map_or(UNSPECIFIED, |it| &it.value);
        match self.written.get_mut(scope) {
            Some(Some((other, file))) if other != value => {
                let message = format!(
                    "the policies of scope '{scope}' do not all write the same scope permissions: \
                     {value} here, {other} in {}; derived roles, exports and role policies count \
                     as {UNSPECIFIED}",
                    file.display()
                );
                let at = text.map_or(At::from(&document.api_version), At::from);
                problems.add(at, "", message);
            }
            Some(Some(_)) => {}
            Some(first) => *first = Some((value.to_owned(), problems.file.clone())),
            None => {
                self.written.insert(scope.to_owned(), None);
            }
        }
    }

    pub fn role(&mut self, it: &Identity<'_>, kinds: Vec<Pattern>) {
        self.stand_ins.push((it.version.to_owned(), it.scope().to_owned(), kinds));
    }

    /// The PDP keeps one list of parents for all versions, whichever it reads last.
    pub fn parents(&mut self, it: &Identity<'_>, parents: &[Text], problems: &mut Problems) {
        let key = (it.scope().to_owned(), it.name.value.clone());
        let mut names: Vec<String> = parents.iter().map(|it| it.value.clone()).collect();
        names.sort();
        match self.parents.get(&key) {
            Some((other, file)) if *other != names => {
                let message = format!(
                    "another version of this role has other parent roles, see {}",
                    file.display()
                );
                problems.add(it.name.into(), "", message);
            }
            Some(_) => {}
            None => {
                self.parents.insert(key, (names, problems.file.clone()));
            }
        }
    }
}

impl Build<'_> {
    pub(super) fn finish(&mut self, found: &mut Vec<PolicyProblem>) {
        let registry = std::mem::take(&mut self.registry);
        for it in &registry.scoped {
            for parent in names::parents(&it.scope) {
                let key = names::policy_key(it.kind, &it.name, &it.version, parent);
                if registry.known.contains_key(&key)
                    || (it.kind == "resource" && registry.stands_in(it, parent))
                {
                    continue;
                }
                found.push(PolicyProblem {
                    file: it.file.clone(),
                    line: it.at.0,
                    column: it.at.1,
                    place: String::new(),
                    message: format!("the policy '{key}' of a parent scope is missing"),
                });
            }
        }
        let consent = registry.consent.iter().filter(|(_, (consent, _))| *consent);
        for (scope, _) in consent {
            self.set.consent.or_default(scope);
        }
        for (scope, role) in registry.parents.keys() {
            let all = registry.ancestors(scope, role);
            let roles = self.set.parents.or_default(scope);
            roles.insert(role.as_str().into(), all.into_iter().map(Into::into).collect());
        }
        self.set.variables = std::mem::take(&mut self.definitions.compiled);
        self.inherit_schemas();
    }

    /// The schemas of the root scope are those of all its children.
    fn inherit_schemas(&mut self) {
        for version in self.set.versions.values_mut() {
            let root = version.scopes.get("").map(|root| &root.kinds);
            let root: Vec<_> = root
                .into_iter()
                .flatten()
                .map(|(name, kind)| (name.clone(), kind.schemas.clone()))
                .collect();
            for (name, schemas) in root {
                for scope in version.scopes.values_mut() {
                    if let Some(kind) = scope.kinds.get_mut(&name) {
                        kind.schemas.clone_from(&schemas);
                    }
                }
            }
        }
    }
}

impl Registry {
    fn stands_in(&self, policy: &Scoped, scope: &str) -> bool {
        self.stand_ins.iter().any(|(version, at, kinds)| {
            *version == policy.version
                && at == scope
                && kinds.iter().any(|kind| kind.matches(&policy.name))
        })
    }

    /// Every parent of a role in a scope, each once, nearest first.
    fn ancestors<'r>(&'r self, scope: &str, role: &'r str) -> Vec<&'r str> {
        let mut found: Vec<&str> = Vec::new();
        let mut open = vec![role];
        let mut seen = vec![role];
        while let Some(next) = open.pop() {
            let Some((parents, _)) = self.parents.get(&(scope.to_owned(), next.to_owned())) else {
                continue;
            };
            for parent in parents {
                if !found.contains(&parent.as_str()) {
                    found.push(parent);
                }
                if !seen.contains(&parent.as_str()) {
                    seen.push(parent);
                    open.push(parent);
                }
            }
        }
        found
    }
}
