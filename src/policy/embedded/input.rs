//! What a check is asked, and the values that conditions read: made when first read.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

use super::cel::{
    self, EvalError, Inputs, NoVariables, Part, Program, Request, Timestamp, Value, Variables,
};
use super::set::VariablesId;

pub type Attributes = serde_json::Map<String, serde_json::Value>;

/// One attribute, asked for by its name.
#[derive(Clone, Debug)]
pub enum Attribute {
    Is(Value),
    Missing,
    /// Nobody knows them one by one: all have to be asked for.
    AmongAll,
}

impl Attribute {
    /// One of these.
    #[must_use]
    pub fn of(attributes: &Attributes, name: &str) -> Self {
        attributes.get(name).map_or(Self::Missing, |it| Self::Is(Value::from_json(it)))
    }

    /// A text, where there is one.
    #[must_use]
    pub fn text(text: Option<&str>) -> Self {
        text.map_or(Self::Missing, |text| Self::Is(text.into()))
    }

    pub fn texts<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        Self::Is(Value::List(texts.into_iter().map(Value::from).collect()))
    }

    #[must_use]
    pub fn members(members: &Attributes) -> Self {
        Self::Is(Value::from_members(members))
    }
}

/// What conditions may read besides names: asked for only when one does. Attributes that are asked
/// for one by one have to be those that are given as a whole.
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
        Value::from_members(&self.principal())
    }
    fn principal_attribute(&self, name: &str) -> Attribute {
        match self.principal() {
            Cow::Borrowed(all) => Attribute::of(all, name),
            Cow::Owned(_) => Attribute::AmongAll,
        }
    }
    fn resource_attribute(&self, name: &str) -> Attribute {
        match self.resource() {
            Cow::Borrowed(all) => Attribute::of(all, name),
            Cow::Owned(_) => Attribute::AmongAll,
        }
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
            Value::List(self.roles.iter().map(|it| Value::String(Arc::clone(it))).collect())
        }))
    }
}

/// So many attributes are made one by one; who reads more of them gets them all.
const ONE_BY_ONE: usize = 6;

/// The fields of the principal or of the resource.
#[derive(Default)]
struct Parts {
    what: OnceCell<Value>,
    id: OnceCell<Value>,
    attr: OnceCell<Value>,
    version: OnceCell<Value>,
    scope: OnceCell<Value>,
    some: [OnceCell<(Arc<str>, Attribute)>; ONE_BY_ONE],
}

impl Parts {
    fn of(
        &self,
        part: Part,
        subject: &Subject<'_>,
        what: impl FnOnce() -> Value,
        attr: impl FnOnce() -> Value,
    ) -> &Value {
        match part {
            Part::What => self.what.get_or_init(what),
            Part::Id => self.id.get_or_init(|| subject.id.into()),
            Part::Attr => self.attr.get_or_init(attr),
            Part::Version => self.version.get_or_init(|| subject.version.into()),
            Part::Scope => self.scope.get_or_init(|| bare(subject.scope).into()),
        }
    }

    fn attribute(
        &self,
        name: &Arc<str>,
        one: impl Fn(&str) -> Attribute,
        all: impl FnOnce() -> Value,
    ) -> Option<&Value> {
        if self.attr.get().is_none() {
            for place in &self.some {
                let (known, attribute) = place.get_or_init(|| (Arc::clone(name), one(name)));
                match attribute {
                    Attribute::AmongAll => break,
                    Attribute::Is(value) if known == name => return Some(value),
                    Attribute::Missing if known == name => return None,
                    Attribute::Is(_) | Attribute::Missing => {}
                }
            }
        }
        self.attr.get_or_init(all).field(name)
    }
}

/// The values of one input.
pub(super) struct Values<'q> {
    input: &'q Input<'q>,
    globals: &'q Value,
    clock: &'q (dyn Fn() -> Timestamp + Send + Sync),
    principal: Parts,
    resource: Parts,
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
            principal: Parts::default(),
            resource: Parts::default(),
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
            request: self,
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

    fn claims(&self) -> &(Option<Value>, Option<Value>) {
        self.claims.get_or_init(|| {
            let facts = self.input.facts;
            let value = |it: Option<Cow<'_, Attributes>>| it.map(|it| Value::from_members(&it));
            (value(facts.claims()), value(facts.jwts()))
        })
    }
}

impl Request for Values<'_> {
    fn principal(&self, part: Part) -> &Value {
        let Input { principal, roles, facts, .. } = self.input;
        let roles = || Value::List(roles.iter().map(|role| Value::from(*role)).collect());
        self.principal.of(part, principal, roles, || facts.principal_value())
    }

    fn resource(&self, part: Part) -> &Value {
        let Input { resource, kind, facts, .. } = self.input;
        let attr = || Value::from_members(&facts.resource());
        self.resource.of(part, resource, || Value::from(*kind), attr)
    }

    fn principal_attribute(&self, name: &Arc<str>) -> Option<&Value> {
        let facts = self.input.facts;
        let one = |name: &str| facts.principal_attribute(name);
        self.principal.attribute(name, one, || facts.principal_value())
    }

    fn resource_attribute(&self, name: &Arc<str>) -> Option<&Value> {
        let facts = self.input.facts;
        let one = |name: &str| facts.resource_attribute(name);
        self.resource.attribute(name, one, || Value::from_members(&facts.resource()))
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
