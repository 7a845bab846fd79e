//! The client against hostile servers, and against the real PDP.

mod fake;
mod hostile;
#[path = "../../../../tests/support/pdp.rs"]
#[expect(dead_code, reason = "shared with the tests from outside")]
mod pdp;
mod real;

use std::time::Duration;

use crate::config::{CerbosAddress, CerbosConfig};
use crate::policy::{Attributes, Principal, Query, RawToken, Resource};

pub fn config(address: CerbosAddress) -> CerbosConfig {
    let timeout = Duration::from_secs(10);
    CerbosConfig { address, timeout, send_token: false, ca: None, client: None }
}

pub fn at(port: u16) -> CerbosAddress {
    CerbosAddress::Tcp { host: "127.0.0.1".into(), port }
}

/// Asks whether somebody with `roles` may do `actions` to `notes`, a tool.
pub fn asking<'a>(roles: &'a [&'a str], actions: &'a [&'a str], attr: &'a Attributes) -> Query<'a> {
    Query {
        principal: Principal { id: "alice", roles, attr },
        resource: Resource { kind: "tool", id: "notes", scope: "", attr },
        claims: None,
        actions,
        decision: "d-1",
        token: Some(RawToken("the-token")),
    }
}
