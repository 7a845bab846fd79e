//! Who is on the other side of a client's connection.

use std::cell::RefCell;
use std::fmt::Write;
use std::net::IpAddr;
use std::rc::Rc;

use http::HeaderValue;

use crate::identity::LastToken;

/// One per connection.
#[derive(Debug)]
pub struct Peer {
    pub ip: IpAddr,
    /// The connection is inside TLS.
    pub secure: bool,
    /// The host that the client asked for in the TLS handshake (SNI), in lower case.
    pub name: Option<Rc<str>>,
    pub last_token: LastToken,
    forwarded_for: Option<HeaderValue>,
    /// The last host that was asked for, and the `Forwarded` that says so.
    forwarded: RefCell<Option<(HeaderValue, HeaderValue)>>,
}

impl Peer {
    #[must_use]
    pub fn new(ip: IpAddr, secure: bool, name: Option<Rc<str>>) -> Self {
        let forwarded_for = HeaderValue::try_from(ip.to_string()).ok();
        let (last_token, forwarded) = (LastToken::default(), RefCell::default());
        Self { ip, secure, name, last_token, forwarded_for, forwarded }
    }

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

    /// `X-Forwarded-For`: its address.
    #[must_use]
    pub const fn forwarded_for(&self) -> Option<&HeaderValue> {
        self.forwarded_for.as_ref()
    }

    /// `Forwarded` (RFC 7239) of a request with this `Host`. Most requests of a connection have the
    /// same, so the last one is kept.
    pub fn forwarded(&self, host: Option<&HeaderValue>, tell: impl FnOnce(&HeaderValue)) {
        let Some(host) = host else {
            if let Some(line) = self.forwarded_line("") {
                tell(&line);
            }
            return;
        };
        let mut known = self.forwarded.borrow_mut();
        if known.as_ref().is_none_or(|(of, _)| of != host) {
            let line = self.forwarded_line(host.to_str().unwrap_or_default());
            // A copy of the host: its bytes may be part of a larger buffer.
            *known = HeaderValue::from_bytes(host.as_bytes()).ok().zip(line);
        }
        if let Some((_, line)) = &*known {
            tell(line);
        }
    }

    fn forwarded_line(&self, host: &str) -> Option<HeaderValue> {
        let proto = self.scheme();
        let mut line = match self.ip {
            IpAddr::V4(v4) => format!("for={v4};proto={proto}"),
            IpAddr::V6(v6) => format!("for=\"[{v6}]\";proto={proto}"),
        };
        if !host.is_empty() {
            // A Host was checked to be a name and a port: nothing in it ends the quotes.
            let _infallible = write!(line, ";host=\"{host}\"");
        }
        HeaderValue::try_from(line).ok()
    }
}
