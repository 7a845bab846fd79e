//! CEL expressions: parsed by the `cel` crate, checked, and rewritten so that they answer as
//! cel-go does in the PDP.
//!
//! The crate has no type checker and reads some things differently, so nothing is let through that
//! is not listed here. The request is reached through whole paths only (`P.attr`, `R.id`, ...),
//! each replaced by a variable of its own: attributes are then made only when one is named.

use super::functions;
use super::scope::{self, Compiled, Scope};
use super::variables::Variables;
use cel::IdedExpr;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, ListExpr, LiteralValue, MapExpr, SelectExpr,
    operators,
};

const MAX_SOURCE: usize = 4096;
const MAX_NODES: usize = 2000;
const MAX_COMPREHENSIONS: usize = 3;
/// Names that a loop variable must not take.
const RESERVED: [&str; 13] = [
    "request",
    "P",
    "R",
    "V",
    "C",
    "G",
    "variables",
    "constants",
    "globals",
    "runtime",
    "true",
    "false",
    "null",
];

/// A checked expression with what it leans on.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub expr: IdedExpr,
    /// It reads the request; otherwise its value is known at load.
    reads_input: bool,
    nodes: usize,
}

/// What a subexpression leans on.
#[derive(Clone, Copy)]
struct Uses {
    input: bool,
    /// The outermost loop variable used, counted from the outside; `usize::MAX` for none.
    outermost: usize,
}

impl Uses {
    const NOTHING: Self = Self { input: false, outermost: usize::MAX };
    const INPUT: Self = Self { input: true, outermost: usize::MAX };

    fn and(self, other: Self) -> Self {
        Self { input: self.input || other.input, outermost: self.outermost.min(other.outermost) }
    }

    fn is_constant(self) -> bool {
        !self.input && self.outermost == usize::MAX
    }
}

/// Parses and checks one expression.
///
/// # Errors
/// Says what is not accepted, and why.
pub(super) fn check(
    source: &str,
    variables: &mut Variables<'_>,
    regexes: &mut Vec<Compiled>,
) -> Result<Checked, String> {
    if source.len() > MAX_SOURCE {
        return Err(format!("longer than {MAX_SOURCE} bytes"));
    }
    let program = scope::environment().compile(source).map_err(|errors| {
        let first = errors.to_string();
        format!("not valid CEL: {}", first.lines().next().unwrap_or_default())
    })?;
    let mut expr = program.expression().clone();
    let mut checker =
        Checker { variables, regexes, loops: Vec::new(), comprehensions: 0, nodes: 0 };
    let uses = checker.visit(&mut expr)?;
    Ok(Checked { expr, reads_input: uses.input, nodes: checker.nodes })
}

struct Checker<'c, 'v> {
    variables: &'c mut Variables<'v>,
    regexes: &'c mut Vec<Compiled>,
    loops: Vec<(String, usize)>,
    comprehensions: usize,
    nodes: usize,
}

impl Checker<'_, '_> {
    fn visit(&mut self, node: &mut IdedExpr) -> Result<Uses, String> {
        self.count(1)?;
        if let Some(uses) = self.path(node)? {
            return Ok(uses);
        }
        match &mut node.expr {
            Expr::Literal(literal) => match literal {
                LiteralValue::Bytes(_) => Err("bytes are not supported".to_owned()),
                LiteralValue::Boolean(_)
                | LiteralValue::Double(_)
                | LiteralValue::Int(_)
                | LiteralValue::Null
                | LiteralValue::String(_)
                | LiteralValue::UInt(_) => Ok(Uses::NOTHING),
            },
            Expr::Ident(name) => self.loop_variable(name),
            Expr::Select(select) => {
                let uses = self.select(select)?;
                if select.test {
                    let call = presence(select);
                    node.expr = call;
                }
                Ok(uses)
            }
            Expr::Call(_) => self.call(node),
            Expr::List(list) => self.list(list),
            Expr::Map(map) => self.map(map),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Struct(_) => Err("messages are not supported".to_owned()),
            Expr::Unspecified => Err("an empty expression".to_owned()),
        }
    }

    fn count(&mut self, nodes: usize) -> Result<(), String> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(format!("more than {MAX_NODES} parts, variables included"));
        }
        Ok(())
    }

    /// Replaces a path into the request, a variable or a constant.
    fn path(&mut self, node: &mut IdedExpr) -> Result<Option<Uses>, String> {
        let Some(segments) = segments(&node.expr) else { return Ok(None) };
        let [first, rest @ ..] = segments.as_slice() else { return Ok(None) };
        if self.loops.iter().any(|(name, _)| name == first) {
            return Ok(None);
        }
        let replacement = match (*first, rest) {
            ("V" | "variables", [name]) => {
                let name = (*name).to_owned();
                let checked = self.variables.variable(&name, self.regexes)?;
                self.count(checked.nodes)?;
                node.expr = checked.expr.expr;
                return Ok(Some(Uses { input: checked.reads_input, outermost: usize::MAX }));
            }
            ("C" | "constants", [name]) => {
                node.expr = self.variables.constant(name)?;
                return Ok(Some(Uses::NOTHING));
            }
            ("request", ["principal", field]) | ("P", [field]) => match *field {
                "id" => scope::PRINCIPAL_ID,
                "roles" => scope::PRINCIPAL_ROLES,
                "attr" => scope::PRINCIPAL_ATTR,
                other => return Err(format!("the principal's '{other}' is not supported")),
            },
            ("request", ["resource", field]) | ("R", [field]) => match *field {
                "id" => scope::RESOURCE_ID,
                "kind" => scope::RESOURCE_KIND,
                "scope" => scope::RESOURCE_SCOPE,
                "attr" => scope::RESOURCE_ATTR,
                other => return Err(format!("the resource's '{other}' is not supported")),
            },
            ("request", ["auxData" | "aux_data", field]) => match *field {
                "jwt" => scope::CLAIMS,
                other => return Err(format!("auxData's '{other}' is not supported")),
            },
            _ => return Ok(None),
        };
        node.expr = Expr::Ident(replacement.to_owned());
        Ok(Some(Uses::INPUT))
    }

    fn loop_variable(&self, name: &str) -> Result<Uses, String> {
        if let Some((_, depth)) = self.loops.iter().rev().find(|(known, _)| known == name) {
            return Ok(Uses { input: false, outermost: *depth });
        }
        Err(match name {
            "request" | "P" | "R" | "V" | "C" | "variables" | "constants" => {
                format!("'{name}' is supported only with its members, as in P.attr.team")
            }
            "G" | "globals" | "runtime" => format!("'{name}' is not supported"),
            _ => format!("unknown name '{name}'"),
        })
    }

    fn select(&mut self, select: &mut SelectExpr) -> Result<Uses, String> {
        if select.test
            && let Some(segments) = segments(&select.operand.expr)
            && let [only] | [only, _] = segments.as_slice()
            && (*only == "request" || (segments.len() == 1 && RESERVED.contains(only)))
        {
            return Err("has() is supported on attributes and claims only".to_owned());
        }
        self.visit(&mut select.operand)
    }

    fn list(&mut self, list: &mut ListExpr) -> Result<Uses, String> {
        if !list.optional_indices.is_empty() {
            return Err("optional elements are not supported".to_owned());
        }
        self.all(&mut list.elements)
    }

    fn all(&mut self, nodes: &mut [IdedExpr]) -> Result<Uses, String> {
        let mut uses = Uses::NOTHING;
        for node in nodes {
            uses = uses.and(self.visit(node)?);
        }
        Ok(uses)
    }

    fn map(&mut self, map: &mut MapExpr) -> Result<Uses, String> {
        let mut uses = Uses::NOTHING;
        for entry in &mut map.entries {
            match &mut entry.expr {
                EntryExpr::MapEntry(entry) if !entry.optional && is_string(&entry.key) => {
                    uses = uses.and(self.visit(&mut entry.value)?);
                }
                EntryExpr::MapEntry(_) | EntryExpr::StructField(_) => {
                    return Err("the keys of a map must be written as strings".to_owned());
                }
            }
        }
        Ok(uses)
    }

    fn comprehension(&mut self, it: &mut ComprehensionExpr) -> Result<Uses, String> {
        if it.iter_var2.is_some() {
            return Err("comprehensions over two variables are not supported".to_owned());
        }
        if RESERVED.contains(&it.iter_var.as_str()) {
            return Err(format!("'{}' cannot be a loop variable", it.iter_var));
        }
        let range = self.visit(&mut it.iter_range)?;
        charge(&mut it.iter_range);
        let start = self.visit(&mut it.accu_init)?;
        self.comprehensions += 1;
        if self.comprehensions > MAX_COMPREHENSIONS {
            return Err(format!("more than {MAX_COMPREHENSIONS} comprehensions in each other"));
        }
        let depth = self.loops.len();
        self.loops.push((it.iter_var.clone(), depth));
        self.loops.push((it.accu_var.clone(), depth));
        let condition = self.visit(&mut it.loop_cond)?;
        let step = self.visit(&mut it.loop_step)?;
        let result = self.visit(&mut it.result)?;
        self.loops.truncate(depth);
        self.comprehensions -= 1;

        let mut uses = condition.and(step).and(result);
        if uses.outermost >= depth {
            uses.outermost = usize::MAX;
        }
        let uses = uses.and(range).and(start);
        if uses.is_constant() {
            return Err("a comprehension over constants alone is read differently by the PDP; \
                        write its value"
                .to_owned());
        }
        Ok(uses)
    }

    fn call(&mut self, node: &mut IdedExpr) -> Result<Uses, String> {
        let Expr::Call(call) = &mut node.expr else { return Ok(Uses::NOTHING) };
        functions::signature(call)?;
        let target = match &mut call.target {
            Some(target) => self.visit(target)?,
            None => Uses::NOTHING,
        };
        let uses = target.and(self.all(&mut call.args)?);
        self.special(call)?;
        if uses.is_constant()
            && let Err(error) = Scope::constant(self.regexes).value(node)
        {
            return Err(format!("this part always fails: {error}"));
        }
        Ok(uses)
    }

    /// The calls whose arguments matter, and those that are rewritten.
    fn special(&mut self, call: &mut CallExpr) -> Result<(), String> {
        match (call.func_name.as_str(), call.args.as_mut_slice()) {
            (operators::INDEX, [_, index]) if !functions::is_safe_index(index) => {
                Err("an index must be a string or whole number as written, or an id".to_owned())
            }
            (operators::IN, [needle, haystack]) => {
                if matches!(
                    needle.expr,
                    Expr::List(_) | Expr::Map(_) | Expr::Literal(LiteralValue::Null)
                ) {
                    return Err("a list, map or null is never `in` anything".to_owned());
                }
                if matches!(&haystack.expr, Expr::List(list) if list.elements.is_empty()) {
                    return Err("`in []` is always false".to_owned());
                }
                scope::WITHIN.clone_into(&mut call.func_name);
                Ok(())
            }
            ("matches", [pattern]) => {
                let Expr::Literal(LiteralValue::String(text)) = &pattern.expr else {
                    return Err("the pattern of matches() must be written as a string".to_owned());
                };
                let regex = super::re2::compile(text.inner())
                    .map_err(|why| format!("pattern '{}': {why}", text.inner()))?;
                pattern.expr = Expr::Ident(scope::regex_name(self.regexes.len()));
                self.regexes.push(Compiled(regex));
                let target = call.target.take().ok_or("matches() needs a string before it")?;
                call.args.insert(0, *target);
                scope::MATCHES.clone_into(&mut call.func_name);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// `has(x.f)` as a call: false, not an error, where `x` is no map.
fn presence(select: &mut SelectExpr) -> Expr {
    let operand = std::mem::take(&mut *select.operand);
    let field = IdedExpr {
        id: operand.id,
        expr: Expr::Literal(LiteralValue::String(std::mem::take(&mut select.field).into())),
    };
    Expr::Call(CallExpr {
        func_name: scope::HAS.to_owned(),
        target: None,
        args: vec![operand, field],
    })
}

/// Makes what is walked through count against the bound on steps.
fn charge(range: &mut IdedExpr) {
    let id = range.id;
    let inner = std::mem::take(range);
    *range = IdedExpr {
        id,
        expr: Expr::Call(CallExpr {
            func_name: scope::CHARGE.to_owned(),
            target: None,
            args: vec![inner],
        }),
    };
}

fn segments(expr: &Expr) -> Option<Vec<&str>> {
    match expr {
        Expr::Ident(name) => Some(vec![name.as_str()]),
        Expr::Select(select) if !select.test => {
            let mut path = segments(&select.operand.expr)?;
            path.push(select.field.as_str());
            Some(path)
        }
        _ => None,
    }
}

fn is_string(node: &IdedExpr) -> bool {
    matches!(node.expr, Expr::Literal(LiteralValue::String(_)))
}
