//! Every library there is: one line each.

use super::library::Overload;

mod addresses;
mod encoders;
mod format;
mod hierarchy;
mod json;
mod lists;
mod math;
mod network;
mod path_patterns;
mod paths;
mod regex;
mod sets;
mod spiffe;
mod strings;
mod time;
mod unions;

#[cfg(test)]
mod tests;

pub(super) use format::clauses as format_clauses;

/// The overloads of the libraries; the standard functions are in `standard`.
pub(super) fn all() -> Vec<Overload> {
    [
        addresses::overloads(),
        encoders::overloads(),
        format::overloads(),
        hierarchy::overloads(),
        json::overloads(),
        lists::overloads(),
        math::overloads(),
        network::overloads(),
        paths::overloads(),
        regex::overloads(),
        sets::overloads(),
        spiffe::overloads(),
        strings::overloads(),
        time::overloads(),
        unions::overloads(),
    ]
    .concat()
}
