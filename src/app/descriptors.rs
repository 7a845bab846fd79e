//! File descriptors: as many as the system grants, and some of them kept for the API.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is assumed where the system tells no limit.
const UNTOLD: u64 = 65_536;

/// Raises this process's limit of open files as far as it may, and gives how many client
/// connections the proxy may hold: half of it. The other half is for connections to tools, the API,
/// the admin listener and the store, so that a flood of idle connections cannot keep anybody from
/// revoking.
#[must_use]
pub fn proxy_connections() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_refused) => limit.current,
    };
    usize::try_from(current.unwrap_or(UNTOLD) / 2).unwrap_or(usize::MAX).max(1)
}
