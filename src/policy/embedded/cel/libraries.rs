//! Every library there is: one line each.

use super::library::Overload;
use super::sets;

/// The overloads of the libraries; the standard functions are in `standard`.
pub(super) fn all() -> Vec<Overload> {
    [sets::overloads()].concat()
}
