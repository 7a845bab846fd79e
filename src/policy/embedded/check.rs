//! The check: which rows are asked, in which order, and what follows.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::cel::EvalError;
use super::evaluate::State;
use super::input::{Input, Runtime, Values, bare};
use super::names;
use super::options::{Enforcement, Options};
use super::schema::{Source, ValidationError};
use super::set::{Effect, Kind, Principal, Rule, Scope, Set};
use super::verdict::{Cause, Checked, Failed, Found, Tried, Verdict};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Principal,
    Resource,
}

pub(super) struct Check<'c> {
    pub state: State<'c>,
    pub kind: &'c str,
    version: &'c str,
    scopes: Scopes<'c>,
    /// Every role with its parents.
    roles: SmallVec<[&'c str; 8]>,
    effective: SmallVec<[Option<Rc<Runtime>>; SCOPES]>,
    derived_roles: Vec<Arc<str>>,
    keys: (OnceCell<Arc<str>>, OnceCell<Arc<str>>),
    pub tried: Option<Vec<Tried<'c>>>,
}

/// Deeper chains than this are allocated.
const SCOPES: usize = 4;

/// From the leaf to the root.
type Chain<'c> = SmallVec<[&'c str; SCOPES]>;

/// A scope and what it has to say: found once for all actions and roles.
struct Level<'c, P> {
    scope: &'c str,
    table: Option<&'c Scope>,
    /// The policy of the principal, or of the kind.
    policy: Option<&'c P>,
}

#[derive(Default)]
struct Scopes<'c> {
    principal: SmallVec<[Level<'c, Principal>; SCOPES]>,
    resource: SmallVec<[Level<'c, Kind>; SCOPES]>,
    principal_exists: bool,
    resource_exists: bool,
    principal_version: &'c str,
    asked: &'c str,
}

/// Checks one resource. `kind` is the sanitised kind of the input.
pub(super) fn check<'c>(
    set: &'c Set,
    options: &'c Options,
    values: &'c Values<'c>,
    input: &'c Input<'c>,
    kind: &'c str,
    explain: bool,
) -> Checked<'c> {
    let mut check = Check::new(set, options, values, input, kind);
    check.tried = explain.then(Vec::new);
    let mut validation_errors = Vec::new();
    let verdicts = if check.scopes.principal.is_empty() && check.scopes.resource.is_empty() {
        check.all(&check.nothing())
    } else {
        let rejected = check.validate(options, &mut validation_errors);
        if rejected {
            let policy = check.key(Stage::Resource);
            let cause = Cause::Invalid;
            check.all(&Verdict { effect: Effect::Deny, policy, scope: "", cause })
        } else if !check.scopes.principal_exists && !check.scopes.resource_exists {
            check.all(&check.nothing())
        } else {
            input.actions.iter().map(|action| check.action(action)).collect()
        }
    };
    Checked {
        verdicts,
        derived_roles: check.derived_roles,
        validation_errors,
        outputs: check.state.outputs,
        tried: check.tried.unwrap_or_default(),
    }
}

impl<'c> Check<'c> {
    fn new(
        set: &'c Set,
        options: &'c Options,
        values: &'c Values<'c>,
        input: &'c Input<'c>,
        kind: &'c str,
    ) -> Self {
        let or = |given: &'c str, default: &'c str| if given.is_empty() { default } else { given };
        let scope = |given| bare(or(given, &options.default_scope));
        let version = or(input.resource.version, &options.default_policy_version);
        let lenient = options.lenient_scope_search;
        let principal_version = or(input.principal.version, &options.default_policy_version);
        let (own, theirs) = (set.versions.get(version), set.versions.get(principal_version));
        let asked = scope(input.resource.scope);
        let who =
            chain(scope(input.principal.scope), lenient, |it| set.principal_scopes.contains(it));
        let what = chain(asked, lenient, |it| set.resource_scopes.contains(it));
        let table = |scope: &str| own.and_then(|version| version.scopes.get(scope));
        let mut scopes = Scopes { principal_version, asked, ..Scopes::default() };
        for scope in who {
            let has_any = theirs.and_then(|version| version.scopes.get(scope));
            scopes.principal_exists |= has_any.is_some_and(|it| !it.principals.is_empty());
            // The PDP looks for the version of the resource here too.
            let table = table(scope);
            let policy = table.and_then(|it| it.principals.get(input.principal.id));
            scopes.principal.push(Level { scope, table, policy });
        }
        for scope in what {
            let table = table(scope);
            let policy = table.and_then(|it| it.kinds.get(kind));
            scopes.resource_exists |= policy.is_some() || table.is_some_and(|it| it.knows(kind));
            scopes.resource.push(Level { scope, table, policy });
        }
        let mut roles = SmallVec::from_slice(input.roles);
        for role in input.roles {
            roles.extend(parents(set, scopes.asked, role).iter().map(AsRef::as_ref));
        }
        Self {
            state: State::new(set, input, values),
            kind,
            version,
            effective: smallvec![None; scopes.resource.len()],
            scopes,
            roles,
            derived_roles: Vec::new(),
            keys: Default::default(),
            tried: None,
        }
    }

    fn all(&self, verdict: &Verdict<'c>) -> Vec<Verdict<'c>> {
        vec![verdict.clone(); self.state.input.actions.len()]
    }

    fn nothing(&self) -> Verdict<'c> {
        let is_known = self
            .state
            .set
            .versions
            .values()
            .flat_map(|version| version.scopes.values())
            .any(|scope| scope.knows(self.kind));
        Verdict {
            effect: Effect::Deny,
            policy: Cow::Borrowed(names::no_match()),
            scope: "",
            cause: if is_known { Cause::Elsewhere } else { Cause::Unknown },
        }
    }

    /// The policy that is asked for a stage, whether it exists or not.
    fn key(&self, stage: Stage) -> Cow<'c, Arc<str>> {
        let input = self.state.input;
        match stage {
            Stage::Principal => Cow::Owned(Arc::clone(self.keys.0.get_or_init(|| {
                let scope = self.scopes.principal.first().map_or("", |it| it.scope);
                let version = self.scopes.principal_version;
                names::policy_key("principal", input.principal.id, version, scope).into()
            }))),
            Stage::Resource => {
                let Some(leaf) = self.scopes.resource.first() else { return Cow::default() };
                let key = || names::policy_key("resource", input.kind, self.version, leaf.scope);
                leaf.policy.map_or_else(
                    || Cow::Owned(Arc::clone(self.keys.1.get_or_init(|| key().into()))),
                    |kind| Cow::Borrowed(&kind.policy),
                )
            }
        }
    }

    /// Whether the attributes are so wrong that everything is denied.
    fn validate(&self, options: &Options, errors: &mut Vec<ValidationError>) -> bool {
        if options.schema_enforcement == Enforcement::None {
            return false;
        }
        let leaf = self.scopes.resource.first();
        let schemas = leaf.and_then(|it| it.policy?.schemas.as_deref());
        let Some(schemas) = schemas else { return false };
        let Input { facts, actions, .. } = self.state.input;
        if let Some(schema) = schemas.principal.as_ref().filter(|it| it.applies(actions)) {
            schema.errors(&json(facts.principal()), Source::Principal, errors);
        }
        if let Some(schema) = schemas.resource.as_ref().filter(|it| it.applies(actions)) {
            schema.errors(&json(facts.resource()), Source::Resource, errors);
        }
        !errors.is_empty() && options.schema_enforcement == Enforcement::Reject
    }

    /// Principal policies first: what they allow or deny is final. Then role by role in the order
    /// of the request: the first ALLOW wins, otherwise the first DENY is told.
    fn action(&mut self, action: &'c str) -> Verdict<'c> {
        self.state.budget = super::cel::Budget::STANDARD;
        let mut best = Found::nothing(false);
        let mut stage = Stage::Principal;
        for it in [Stage::Principal, Stage::Resource] {
            stage = it;
            best.effect = None;
            match self.stage(stage, action, &mut best) {
                Ok(()) => {}
                Err(Failed { rule, why }) => return self.failed(rule, why),
            }
            if best.effect.is_some() {
                break;
            }
        }
        let policy = match best.policy {
            Some(policy) => Cow::Borrowed(policy),
            None if best.exists => self.key(stage),
            None => Cow::Borrowed(names::no_match()),
        };
        let effect = best.effect.unwrap_or(Effect::Deny);
        Verdict { effect, policy, scope: best.scope, cause: best.cause }
    }

    fn stage(
        &mut self,
        stage: Stage,
        action: &'c str,
        best: &mut Found<'c>,
    ) -> Result<(), Failed<'c>> {
        for (index, role) in self.state.input.roles.iter().enumerate() {
            if index > 0 && stage == Stage::Principal {
                break;
            }
            let found = match stage {
                Stage::Principal => self.principal(action)?,
                Stage::Resource => self.role(role, action)?,
            };
            let allows = found.effect == Some(Effect::Allow);
            if allows || best.effect.is_none() {
                *best = found;
            }
            if allows {
                break;
            }
        }
        Ok(())
    }

    fn failed(&self, rule: &'c Rule, why: EvalError) -> Verdict<'c> {
        let scope = rule.policy.split_once('/');
        // The scope as the index has it: it lives as long as the set.
        let scopes = self.scopes.principal.iter().map(|it| it.scope);
        let mut scopes = scopes.chain(self.scopes.resource.iter().map(|it| it.scope));
        let scope = scope.and_then(|(_, scope)| scopes.find(|it| *it == scope));
        Verdict {
            effect: Effect::Deny,
            policy: Cow::Borrowed(&rule.policy),
            scope: scope.unwrap_or_default(),
            cause: Cause::Failed { name: &rule.name, why },
        }
    }

    fn principal(&mut self, action: &'c str) -> Result<Found<'c>, Failed<'c>> {
        let mut found = Found::nothing(self.scopes.principal_exists);
        for index in 0..self.scopes.principal.len() {
            let Some(level) = self.scopes.principal.get(index) else { break };
            let (scope, policy) = (level.scope, level.policy);
            let Some(policy) = policy else { continue };
            let allowed = self.principal_rows(policy, scope, action, &mut found)?;
            if self.settled(allowed, scope, &mut found) {
                break;
            }
        }
        Ok(found)
    }

    fn role(&mut self, role: &'c str, action: &'c str) -> Result<Found<'c>, Failed<'c>> {
        let mut found = Found::nothing(self.scopes.resource_exists);
        let parents = parents(self.state.set, self.scopes.asked, role);
        self.levels(None, (role, parents), action, &mut found)?;
        Ok(found)
    }

    /// Scope by scope. With a scope to begin with, role policies are not asked there.
    fn levels(
        &mut self,
        first: Option<usize>,
        roles: (&'c str, &'c [Box<str>]),
        action: &'c str,
        found: &mut Found<'c>,
    ) -> Result<(), Failed<'c>> {
        for index in first.unwrap_or(0)..self.scopes.resource.len() {
            let Some(level) = self.scopes.resource.get(index) else { break };
            let (scope, table, policy) = (level.scope, level.table, level.policy);
            self.derive(index, policy);
            let Some(table) = table else { continue };
            let mut allowed = None;
            if self.is_asked((table, policy), roles.0, roles.1) {
                let is_perhaps = first != Some(index)
                    && self.role_policies(table, roles, scope, action, found)?;
                if is_perhaps && first.is_none() {
                    self.fails_beyond(index, roles, action)?;
                }
                if let (None, Some(kind)) = (found.effect, policy) {
                    allowed = self.resource_rows(kind, roles, scope, action, found)?;
                }
            }
            if self.settled(allowed, scope, found) {
                break;
            }
        }
        Ok(())
    }

    /// Where a role policy denies, but the PDP may go on: what fails then ends the action, and so
    /// no role after this one may allow it.
    fn fails_beyond(
        &mut self,
        index: usize,
        roles: (&'c str, &'c [Box<str>]),
        action: &'c str,
    ) -> Result<(), Failed<'c>> {
        let (said, tried) = (self.state.outputs.len(), self.tried.take());
        let before = (self.derived_roles.clone(), self.effective.clone());
        self.levels(Some(index), roles, action, &mut Found::nothing(false))?;
        self.state.outputs.truncate(said);
        self.tried = tried;
        (self.derived_roles, self.effective) = before;
        Ok(())
    }

    /// Whether the scope decided. An ALLOW may need the consent of the parent.
    fn settled(&self, allowed: Option<Cause<'c>>, scope: &'c str, found: &mut Found<'c>) -> bool {
        if found.effect.is_some() {
            return true;
        }
        let Some(cause) = allowed.filter(|_| !self.state.set.consent.contains(scope)) else {
            return false;
        };
        (found.effect, found.scope, found.cause) = (Some(Effect::Allow), scope, cause);
        true
    }

    /// The effective derived roles of a scope: those that the rules of its policy name.
    fn derive(&mut self, index: usize, kind: Option<&'c Kind>) {
        if let Some(Some(known)) = self.effective.get(index) {
            self.state.runtime = Rc::clone(known);
            return;
        }
        let mut runtime = Runtime::default();
        for role in kind.map_or(&[][..], |it| &it.derived) {
            if !role.parents.iter().any(|it| &**it == "*" || self.roles.contains(&&**it)) {
                continue;
            }
            match self.state.derived_role(role, true) {
                Ok(false) => {}
                Ok(true) => runtime.roles.push(Arc::clone(&role.name)),
                Err(_) => runtime.is_broken = true,
            }
        }
        runtime.roles.sort();
        for role in &runtime.roles {
            if !self.derived_roles.contains(role) {
                self.derived_roles.push(Arc::clone(role));
            }
        }
        if runtime.roles.is_empty() && !runtime.is_broken {
            self.state.runtime = Rc::clone(&self.state.no_roles);
        } else {
            self.state.runtime = Rc::new(runtime);
        }
        if let Some(place) = self.effective.get_mut(index) {
            *place = Some(Rc::clone(&self.state.runtime));
        }
    }
}

/// The scopes that are looked at, from the leaf to the root. The leaf must exist.
fn chain(scope: &str, lenient: bool, exists: impl Fn(&str) -> bool) -> Chain<'_> {
    if !lenient && !exists(scope) {
        return Chain::new();
    }
    std::iter::once(scope).chain(names::parents(scope)).filter(|it| exists(it)).collect()
}

pub(super) fn parents<'c>(set: &'c Set, scope: &str, role: &str) -> &'c [Box<str>] {
    set.parents.get(scope).and_then(|roles| roles.get(role)).map_or(&[], |it| it)
}

fn json(attributes: Cow<'_, super::input::Attributes>) -> serde_json::Value {
    serde_json::Value::Object(attributes.into_owned())
}
