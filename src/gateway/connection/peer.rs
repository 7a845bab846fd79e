//! Who is on the other side of a client's connection.

use std::net::IpAddr;
use std::rc::Rc;

/// One per connection.
#[derive(Debug)]
pub struct Peer {
    pub ip: IpAddr,
    /// The connection is inside TLS.
    pub secure: bool,
    /// The host that the client asked for in the TLS handshake (SNI), in lower case.
    pub name: Option<Rc<str>>,
}

impl Peer {
    /// The scheme of what it asks for.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// Whether a request for this host (lower case, no port) belongs on the connection: whoever asked
    /// for one name in the handshake gets that one alone.
    #[must_use]
    pub fn may_ask_for(&self, host: &str) -> bool {
        self.name.as_deref().is_none_or(|name| name == host)
    }
}
