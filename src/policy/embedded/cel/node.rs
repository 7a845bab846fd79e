//! What a checked expression is lowered to.

use super::library::Overload;
use super::value::Value;
use regex::Regex;
use std::sync::Arc;

/// One part of an expression.
#[derive(Debug)]
pub(super) struct Node {
    pub kind: Kind,
    /// Byte offset in the source.
    pub at: u32,
    /// Its value is known at load.
    pub is_constant: bool,
}

#[derive(Debug)]
pub(super) enum Kind {
    Constant(Value),
    Local(usize),
    Root(Root),
    Variable(usize),
    HasVariable(usize),
    HasRoot(Root),
    Select(Box<Node>, Arc<str>),
    Has(Box<Node>, Arc<str>),
    OptionalSelect(Box<Node>, Arc<str>),
    Index(Box<Call>),
    OptionalIndex(Box<(Node, Node)>),
    And(Box<[Node]>),
    Or(Box<[Node]>),
    Not(Box<Node>),
    Conditional(Box<(Node, Node, Node)>),
    Equal(Box<(Node, Node)>),
    NotEqual(Box<(Node, Node)>),
    Compare(Comparison, Box<(Node, Node)>),
    In(Box<(Node, Node)>),
    Call(Box<Call>),
    /// The elements, and whether each is optional.
    List(Box<[(Node, bool)]>),
    Map(Box<[(Node, Node, bool)]>),
    Loop(Box<Loop>),
    /// The slot, its value, what uses it.
    Bind(usize, Box<(Node, Node)>),
    /// `or`
    OptionalOr(Box<(Node, Node)>),
    /// `orValue`
    OptionalOrValue(Box<(Node, Node)>),
    /// `optMap` (wraps) and `optFlatMap`.
    OptionalMap {
        slot: usize,
        wrap: bool,
        parts: Box<(Node, Node)>,
    },
}

/// The parts of a request that paths begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Root {
    PrincipalId,
    PrincipalRoles,
    PrincipalAttr,
    PrincipalVersion,
    PrincipalScope,
    ResourceKind,
    ResourceId,
    ResourceAttr,
    ResourceVersion,
    ResourceScope,
    Principal,
    Resource,
    AuxData,
    Claims,
    Jwts,
    DerivedRoles,
    Globals,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// A call whose overload the values decide, of those that the types left.
#[derive(Debug)]
pub(super) struct Call {
    pub candidates: Box<[Arc<Overload>]>,
    pub args: Box<[Node]>,
    /// The pattern among the arguments, when it is a constant.
    pub pattern: Option<Arc<Regex>>,
}

/// A comprehension.
#[derive(Debug)]
pub(super) struct Loop {
    pub range: Node,
    /// One variable: the element or key. Two: index or key, and the value.
    pub first: usize,
    pub second: Option<usize>,
    pub filter: Option<Node>,
    pub body: Node,
    pub what: LoopKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    /// `map`, `transformList`
    Map,
    /// `filter`: the body is the element.
    Filter,
    TransformMap,
    TransformMapEntry,
}

impl Root {
    /// As policies have it.
    pub const fn shown(self) -> &'static str {
        match self {
            Self::PrincipalId => "P.id",
            Self::PrincipalRoles => "P.roles",
            Self::PrincipalAttr => "P.attr",
            Self::PrincipalVersion => "P.policyVersion",
            Self::PrincipalScope => "P.scope",
            Self::ResourceKind => "R.kind",
            Self::ResourceId => "R.id",
            Self::ResourceAttr => "R.attr",
            Self::ResourceVersion => "R.policyVersion",
            Self::ResourceScope => "R.scope",
            Self::Principal => "P",
            Self::Resource => "R",
            Self::AuxData => "request.auxData",
            Self::Claims => "request.auxData.jwt",
            Self::Jwts => "request.auxData.jwts",
            Self::DerivedRoles => "runtime.effectiveDerivedRoles",
            Self::Globals => "G",
        }
    }
}

impl Node {
    /// The parts directly inside.
    pub fn children_mut(&mut self) -> Vec<&mut Node> {
        match &mut self.kind {
            Kind::Constant(_)
            | Kind::Local(_)
            | Kind::Root(_)
            | Kind::Variable(_)
            | Kind::HasVariable(_)
            | Kind::HasRoot(_) => Vec::new(),
            Kind::Select(inner, _)
            | Kind::Has(inner, _)
            | Kind::OptionalSelect(inner, _)
            | Kind::Not(inner) => vec![inner],
            Kind::Index(call) | Kind::Call(call) => call.args.iter_mut().collect(),
            Kind::And(terms) | Kind::Or(terms) => terms.iter_mut().collect(),
            Kind::Conditional(parts) => vec![&mut parts.0, &mut parts.1, &mut parts.2],
            Kind::Equal(parts)
            | Kind::NotEqual(parts)
            | Kind::Compare(_, parts)
            | Kind::In(parts)
            | Kind::OptionalIndex(parts)
            | Kind::Bind(_, parts)
            | Kind::OptionalOr(parts)
            | Kind::OptionalOrValue(parts)
            | Kind::OptionalMap { parts, .. } => vec![&mut parts.0, &mut parts.1],
            Kind::List(elements) => elements.iter_mut().map(|(it, _)| it).collect(),
            Kind::Map(entries) => {
                entries.iter_mut().flat_map(|(key, value, _)| [key, value]).collect()
            }
            Kind::Loop(it) => {
                let mut all = vec![&mut it.range];
                all.extend(it.filter.as_mut());
                all.push(&mut it.body);
                all
            }
        }
    }
}
