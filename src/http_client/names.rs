//! Which addresses a client may call.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower_service::Service;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Anywhere,
    /// Not where machines keep what they tell only to themselves: link-local addresses, which those
    /// of cloud metadata are, and those that are no server's.
    NoLinkLocal,
}

/// In IPv6 the metadata of one cloud has an address of its own.
const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

impl Reach {
    fn permits(self, address: IpAddr) -> bool {
        let is_odd = match address.to_canonical() {
            IpAddr::V4(v4) => {
                v4.is_link_local() || v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast()
            }
            IpAddr::V6(v6) => {
                v6.is_unicast_link_local()
                    || v6.is_unspecified()
                    || v6.is_multicast()
                    || v6 == METADATA
            }
        };
        match self {
            Self::Anywhere => true,
            Self::NoLinkLocal => !is_odd,
        }
    }

    /// Whether an address that stands in the URI itself may be called; names are looked at when they
    /// are resolved, each time.
    #[must_use]
    pub fn permits_literal(self, uri: &Uri) -> bool {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        host.parse::<IpAddr>().map_or(true, |address| self.permits(address))
    }
}

/// The system's resolver without the addresses that may not be called.
#[derive(Clone)]
pub struct Names {
    inner: GaiResolver,
    reach: Reach,
}

impl Names {
    #[must_use]
    pub fn within(reach: Reach) -> Self {
        Self { inner: GaiResolver::new(), reach }
    }
}

impl Service<Name> for Names {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (found, reach) = (self.inner.call(name), self.reach);
        Box::pin(async move {
            let all: Vec<SocketAddr> =
                found.await?.filter(|address| reach.permits(address.ip())).collect();
            if all.is_empty() {
                return Err(io::Error::other("the name has no address that may be called"));
            }
            Ok(all.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_link_and_of_metadata_are_left_out_in_every_spelling() {
        for odd in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fe80::1",
            "fd00:ec2::254",
            "0.0.0.0",
            "::",
            "255.255.255.255",
            "224.0.0.1",
            "ff02::1",
        ] {
            assert!(!Reach::NoLinkLocal.permits(odd.parse().unwrap()), "{odd}");
            assert!(Reach::Anywhere.permits(odd.parse().unwrap()), "{odd}");
        }
        for server in ["127.0.0.1", "10.0.0.1", "192.168.1.1", "203.0.113.7", "::1", "fd00::1"] {
            assert!(Reach::NoLinkLocal.permits(server.parse().unwrap()), "{server}");
        }
    }

    #[tokio::test]
    async fn a_name_is_resolved_to_what_may_be_called() {
        let mut names = Names::within(Reach::NoLinkLocal);
        let found = names.call("localhost".parse().unwrap()).await.unwrap();
        assert!(found.count() > 0);
        // The system reads an address as its own name.
        let mut link_local = Names::within(Reach::NoLinkLocal);
        assert!(link_local.call("169.254.169.254".parse().unwrap()).await.is_err());
    }
}
