//! Who is on the other side of a client's connection.

use std::net::IpAddr;

/// One per connection.
#[derive(Debug)]
pub struct Peer {
    pub ip: IpAddr,
    /// The connection is inside TLS.
    pub secure: bool,
}

impl Peer {
    /// The scheme of what it asks for.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }
}
