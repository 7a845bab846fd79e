//! What a check is asked, and the values that conditions read: made when first read.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

use super::cel::{self, EvalError, Inputs, NoVariables, Program, Timestamp, Value, Variables};
use super::set::VariablesId;

pub type Attributes = serde_json::Map<String, serde_json::Value>;

/// What conditions may read besides names: asked for only when one does.
pub trait Facts {
    fn principal(&self) -> Cow<'_, Attributes>;
    fn resource(&self) -> Cow<'_, Attributes>;
    /// Verified claims: `request.auxData.jwt`.
    fn claims(&self) -> Option<Cow<'_, Attributes>>;
    /// Verified claims of several tokens: `request.auxData.jwts`.
    fn jwts(&self) -> Option<Cow<'_, Attributes>> {
        None
    }
    /// The attributes of the principal as conditions read them.
    fn principal_value(&self) -> Value {
        value(&self.principal())
    }
}

/// One resource and what somebody wants to do with it.
#[derive(Clone, Copy)]
pub struct Input<'q> {
    pub principal: Subject<'q>,
    pub roles: &'q [&'q str],
    pub kind: &'q str,
    pub resource: Subject<'q>,
    pub actions: &'q [&'q str],
    pub facts: &'q dyn Facts,
}

/// Version and scope may be empty.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'q> {
    pub id: &'q str,
    pub version: &'q str,
    pub scope: &'q str,
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input")
            .field("principal", &self.principal)
            .field("roles", &self.roles)
            .field("kind", &self.kind)
            .field("resource", &self.resource)
            .field("actions", &self.actions)
            .finish_non_exhaustive()
    }
}

/// The effective derived roles of a scope.
#[derive(Debug, Default)]
pub(super) struct Runtime {
    pub roles: Vec<Arc<str>>,
    /// One of them could not be computed: reading any of them fails.
    pub is_broken: bool,
    value: OnceCell<Value>,
}

impl Runtime {
    fn value(&self) -> Option<&Value> {
        if self.is_broken {
            return None;
        }
        Some(self.value.get_or_init(|| {
            Value::list(
                self.roles.iter().map(|it| Value::String(Arc::clone(it))).collect::<Vec<_>>(),
            )
        }))
    }
}

/// The values of one input.
pub(super) struct Values<'q> {
    input: &'q Input<'q>,
    globals: &'q Value,
    clock: &'q (dyn Fn() -> Timestamp + Send + Sync),
    principal: OnceCell<cel::Principal>,
    resource: OnceCell<cel::Resource>,
    claims: OnceCell<(Option<Value>, Option<Value>)>,
    now: OnceCell<Timestamp>,
}

impl<'q> Values<'q> {
    pub fn new(
        input: &'q Input<'q>,
        globals: &'q Value,
        clock: &'q (dyn Fn() -> Timestamp + Send + Sync),
    ) -> Self {
        Self {
            input,
            globals,
            clock,
            principal: OnceCell::new(),
            resource: OnceCell::new(),
            claims: OnceCell::new(),
            now: OnceCell::new(),
        }
    }

    pub fn has_role(&self, role: &str) -> bool {
        self.input.roles.contains(&role)
    }

    /// Only what the program reads is made.
    pub fn inputs<'e>(
        &'e self,
        program: &Program,
        runtime: &'e Runtime,
        variables: &'e dyn Variables,
    ) -> Inputs<'e> {
        let reads = program.reads();
        let claims = reads.aux_data.then(|| self.claims());
        Inputs {
            principal: if reads.principal { self.principal() } else { cel::Principal::nobody() },
            resource: if reads.resource { self.resource() } else { cel::Resource::nothing() },
            claims: claims.and_then(|claims| claims.0.as_ref()),
            jwts: claims.and_then(|claims| claims.1.as_ref()),
            derived_roles: if reads.derived_roles { runtime.value() } else { None },
            globals: self.globals,
            variables,
            now: if reads.now { *self.now.get_or_init(self.clock) } else { Timestamp::default() },
        }
    }

    /// As the PDP shows the message: what is empty is left out.
    pub fn principal_json(&self) -> serde_json::Value {
        let Input { principal, roles, facts, .. } = self.input;
        let roles = roles.iter().map(|role| serde_json::Value::from(*role)).collect();
        shown(principal, &facts.principal(), [("roles", roles)])
    }

    pub fn resource_json(&self) -> serde_json::Value {
        let Input { resource, kind, facts, .. } = self.input;
        shown(resource, &facts.resource(), [("kind", serde_json::Value::from(*kind))])
    }

    fn principal(&self) -> &cel::Principal {
        self.principal.get_or_init(|| {
            let Input { principal, roles, facts, .. } = self.input;
            cel::Principal {
                id: Value::from(principal.id),
                roles: Value::list(roles.iter().map(|role| Value::from(*role)).collect::<Vec<_>>()),
                attr: facts.principal_value(),
                policy_version: Value::from(principal.version),
                scope: Value::from(bare(principal.scope)),
            }
        })
    }

    fn resource(&self) -> &cel::Resource {
        self.resource.get_or_init(|| {
            let Input { resource, kind, facts, .. } = self.input;
            cel::Resource {
                kind: Value::from(*kind),
                id: Value::from(resource.id),
                attr: value(&facts.resource()),
                policy_version: Value::from(resource.version),
                scope: Value::from(bare(resource.scope)),
            }
        })
    }

    fn claims(&self) -> &(Option<Value>, Option<Value>) {
        self.claims.get_or_init(|| {
            let facts = self.input.facts;
            (facts.claims().map(|it| value(&it)), facts.jwts().map(|it| value(&it)))
        })
    }
}

fn shown<const N: usize>(
    subject: &Subject<'_>,
    attr: &Attributes,
    more: [(&str, serde_json::Value); N],
) -> serde_json::Value {
    let texts =
        [("id", subject.id), ("policyVersion", subject.version), ("scope", bare(subject.scope))];
    let texts = texts.into_iter().filter(|(_, text)| !text.is_empty());
    let texts = texts.map(|(name, text)| (name.to_owned(), serde_json::Value::from(text)));
    let mut members: Attributes = texts.collect();
    if !attr.is_empty() {
        members.insert("attr".to_owned(), serde_json::Value::Object(attr.clone()));
    }
    members.extend(more.map(|(name, value)| (name.to_owned(), value)));
    serde_json::Value::Object(members)
}

/// Without the dot that a scope may begin with.
pub(super) fn bare(scope: &str) -> &str {
    scope.strip_prefix('.').unwrap_or(scope)
}

pub(super) fn value(attributes: &Attributes) -> Value {
    Value::map(cel::Map::of_strings(
        attributes.iter().map(|(key, value)| (key.clone(), Value::from_json(value))),
    ))
}

/// The variables of one policy in one check, each computed when first read.
pub(super) struct Computed<'q> {
    pub id: VariablesId,
    /// Whether they serve the effective derived roles, which are computed before there are any.
    pub for_roles: bool,
    programs: &'q [Arc<Program>],
    known: Box<[OnceCell<Result<Value, EvalError>>]>,
    values: &'q Values<'q>,
    /// As it was when the policy was first looked at.
    runtime: std::rc::Rc<Runtime>,
}

impl<'q> Computed<'q> {
    pub fn new(
        id: VariablesId,
        for_roles: bool,
        programs: &'q [Arc<Program>],
        values: &'q Values<'q>,
        runtime: std::rc::Rc<Runtime>,
    ) -> Self {
        let known = programs.iter().map(|_| OnceCell::new()).collect();
        Self { id, for_roles, programs, known, values, runtime }
    }
}

impl Variables for Computed<'_> {
    fn variable(&self, slot: usize, budget: &mut cel::Budget) -> Result<&Value, EvalError> {
        let (Some(program), Some(known)) = (self.programs.get(slot), self.known.get(slot)) else {
            return NoVariables.variable(slot, budget).map(|_| self.values.globals);
        };
        known
            .get_or_init(|| {
                let inputs = self.values.inputs(program, &self.runtime, self);
                program.evaluate(&inputs, budget).and_then(Value::in_variable)
            })
            .as_ref()
            .map_err(Clone::clone)
    }
}
