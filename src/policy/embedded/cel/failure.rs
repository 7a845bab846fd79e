//! Whether an expression can fail for want of an attribute, or of a value that converts. Types are
//! not looked at: that an attribute is a number is for a schema to say.

use super::node::{Kind, Node};
use super::program::Program;
use super::value::Value;

/// Paths of which it is known that they are there: `(R.attr).owner`.
pub type Known = Vec<String>;

/// What can fail in a variable, where something is known to be there.
pub type Asked<'a> = dyn Fn(usize, &Known) -> Option<String> + 'a;

/// Functions that fail for some values of their types.
const CONVERSIONS: [&str; 10] = [
    "int",
    "uint",
    "double",
    "bool",
    "timestamp",
    "duration",
    "ip",
    "cidr",
    "hierarchy",
    "spiffeID",
];

impl Program {
    /// What can fail, where `known` is there: the first such part, as `path` or `function()`.
    /// `variable` is asked for the programs of variables.
    pub fn can_fail(&self, known: &Known, variable: &Asked<'_>) -> Option<String> {
        can_fail(&self.root, known, variable)
    }

    /// The value that it has whatever is asked.
    #[must_use]
    pub fn constant(&self) -> Option<&Value> {
        match &self.root.kind {
            Kind::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// The paths that are there when its value is `outcome`.
    #[must_use]
    pub fn guards(&self, outcome: bool) -> Known {
        let mut found = Known::new();
        guards(&self.root, outcome, &mut found);
        found
    }
}

fn can_fail(node: &Node, known: &Known, variable: &Asked<'_>) -> Option<String> {
    let all = |nodes: &[&Node]| nodes.iter().find_map(|it| can_fail(it, known, variable));
    match &node.kind {
        // One that always fails is refused while loading.
        _ if node.is_constant => None,
        Kind::Constant(_)
        | Kind::Local(_)
        | Kind::Root(_)
        | Kind::HasVariable(_)
        | Kind::HasRoot(_) => None,
        Kind::Variable(slot) => variable(*slot, known),
        Kind::Select(..) if constant(node).is_some() => None,
        Kind::Select(inner, _) => all(&[inner]).or_else(|| missing(node, known)),
        Kind::Index(call) => call
            .args
            .iter()
            .find_map(|it| can_fail(it, known, variable))
            .or_else(|| missing(node, known)),
        Kind::Has(inner, _) | Kind::OptionalSelect(inner, _) | Kind::Not(inner) => all(&[inner]),
        // What one side says absorbs the failure of another, on either side.
        Kind::And(terms) => among(terms, true, known, variable),
        Kind::Or(terms) => among(terms, false, known, variable),
        Kind::Conditional(parts) => {
            let (condition, then, otherwise) = &**parts;
            let with = |outcome| {
                let mut more = known.clone();
                guards(condition, outcome, &mut more);
                more
            };
            can_fail(condition, known, variable)
                .or_else(|| can_fail(then, &with(true), variable))
                .or_else(|| can_fail(otherwise, &with(false), variable))
        }
        Kind::Equal(parts)
        | Kind::NotEqual(parts)
        | Kind::Compare(_, parts)
        | Kind::In(parts)
        | Kind::OptionalIndex(parts)
        | Kind::Bind(_, parts)
        | Kind::OptionalOr(parts)
        | Kind::OptionalOrValue(parts)
        | Kind::OptionalMap { parts, .. } => all(&[&parts.0, &parts.1]),
        Kind::Call(call) => {
            let inside = call.args.iter().find_map(|it| can_fail(it, known, variable));
            let name = call.candidates.first().map_or("", |overload| overload.name);
            let of_now = call.args.iter().any(is_now);
            let converts = CONVERSIONS.contains(&name) && !of_now;
            inside.or_else(|| converts.then(|| format!("{name}()")))
        }
        Kind::List(elements) => elements.iter().find_map(|(it, _)| can_fail(it, known, variable)),
        Kind::Map(entries) => entries.iter().find_map(|(key, value, _)| all(&[key, value])),
        Kind::Loop(it) => {
            let filter = it.filter.as_ref().and_then(|it| can_fail(it, known, variable));
            all(&[&it.range]).or(filter).or_else(|| can_fail(&it.body, known, variable))
        }
    }
}

/// Each term, knowing what the others say when they do not decide: those of `&&` are true then,
/// those of `||` false.
fn among(terms: &[Node], outcome: bool, known: &Known, variable: &Asked<'_>) -> Option<String> {
    terms.iter().enumerate().find_map(|(index, term)| {
        let mut more = known.clone();
        let others = terms.iter().enumerate().filter(|(other, _)| *other != index);
        others.for_each(|(_, other)| guards(other, outcome, &mut more));
        can_fail(term, &more, variable)
    })
}

fn missing(node: &Node, known: &Known) -> Option<String> {
    let path = path(node);
    match path {
        Some(path) if known.contains(&path) => None,
        path => Some(path.filter(|it| !it.contains('[')).unwrap_or_else(|| "an index".to_owned())),
    }
}

/// The time of the request: a timestamp, which converts to whatever timestamps convert to.
fn is_now(node: &Node) -> bool {
    let Kind::Call(call) = &node.kind else { return false };
    call.args.is_empty() && call.candidates.first().is_some_and(|overload| overload.name == "now")
}

fn guards(node: &Node, outcome: bool, found: &mut Known) {
    match (&node.kind, outcome) {
        (Kind::Has(inner, name), true) => {
            found.extend(path(inner).map(|inner| format!("{inner}.{name}")));
        }
        (Kind::In(parts), true) => {
            if let (Kind::Constant(Value::String(name)), Some(inner)) =
                (&parts.0.kind, path(&parts.1))
            {
                found.push(format!("{inner}.{name}"));
            } else {
                found.extend(entry(&parts.1, &parts.0));
            }
        }
        (Kind::Not(inner), outcome) => guards(inner, !outcome, found),
        (Kind::And(terms), true) | (Kind::Or(terms), false) => {
            terms.iter().for_each(|term| guards(term, outcome, found));
        }
        _ => {}
    }
}

/// `R.attr.owner`, also where it is written `request.resource.attr["owner"]`.
fn path(node: &Node) -> Option<String> {
    match &node.kind {
        Kind::Root(root) => Some(root.shown().to_owned()),
        Kind::Variable(slot) => Some(format!("variable {slot}")),
        Kind::Local(slot) => Some(format!("local {slot}")),
        Kind::Select(inner, name) => path(inner).map(|inner| format!("{inner}.{name}")),
        Kind::Index(call) => match &*call.args {
            [inner, Node { kind: Kind::Constant(Value::String(name)), .. }] => {
                path(inner).map(|inner| format!("{inner}.{name}"))
            }
            [inner, key] => entry(inner, key),
            _ => None,
        },
        _ => None,
    }
}

/// `ranks[R.attr.label]`, in the one spelling that guards and readers share.
fn entry(container: &Node, key: &Node) -> Option<String> {
    let container = match constant(container) {
        Some(value) => value.to_json()?.to_string(),
        None => path(container)?,
    };
    Some(format!("{container}[{}]", path(key)?))
}

/// A constant of the policy, or a member of one.
fn constant(node: &Node) -> Option<&Value> {
    match &node.kind {
        Kind::Constant(value) => Some(value),
        Kind::Select(inner, name) => constant(inner)?.field(name),
        _ => None,
    }
}
