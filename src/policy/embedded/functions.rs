//! The functions and operators that answer as in the PDP. What is not listed here is refused.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, operators};

use super::scope;

const UNARY: [&str; 4] =
    [operators::LOGICAL_NOT, operators::NEGATE, operators::NOT_STRICTLY_FALSE, "size"];
const BINARY: [&str; 13] = [
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::ADD,
    operators::SUBSTRACT,
    operators::MULTIPLY,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::LESS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::GREATER_EQUALS,
    operators::INDEX,
    operators::IN,
];
const METHODS: [&str; 4] = ["startsWith", "endsWith", "contains", "matches"];

/// # Errors
/// The call is not in the list.
pub(super) fn signature(call: &CallExpr) -> Result<(), String> {
    let name = call.func_name.as_str();
    let known = match (call.target.is_some(), call.args.len()) {
        (false, 1) => UNARY.contains(&name),
        (false, 2) => BINARY.contains(&name),
        (false, 3) => name == operators::CONDITIONAL,
        (true, 0) => name == "size",
        (true, 1) => METHODS.contains(&name),
        (_, _) => false,
    };
    if known {
        return Ok(());
    }
    let name = operators_in_words(name);
    Err(format!("{name} with {} arguments is not supported", call.args.len()))
}

/// Null, lists and numbers with a fraction are read differently as an index, so only what is
/// certain to be a string or a whole number.
pub(super) fn is_safe_index(node: &IdedExpr) -> bool {
    match &node.expr {
        Expr::Literal(literal) => matches!(literal, LiteralValue::String(_) | LiteralValue::Int(_)),
        Expr::Ident(name) => {
            [scope::PRINCIPAL_ID, scope::RESOURCE_ID, scope::RESOURCE_KIND, scope::RESOURCE_SCOPE]
                .contains(&name.as_str())
        }
        _ => false,
    }
}

fn operators_in_words(name: &str) -> String {
    match name {
        operators::DIVIDE => "`/`".to_owned(),
        operators::MODULO => "`%`".to_owned(),
        operators::OPT_INDEX | operators::OPT_SELECT => "an optional".to_owned(),
        other => format!("the function '{other}'"),
    }
}
