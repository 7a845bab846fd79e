//! How many connections one client holds, over all cores.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// The open connections of every client. Counted exactly, since a place that is counted wrongly once
/// stays wrong for as long as the process runs; asked only when a connection comes or goes. Clients choose
/// their addresses, so the hash is one that they cannot predict.
#[derive(Debug)]
pub struct Clients {
    open: Mutex<HashMap<IpAddr, usize>>,
    most: usize,
}

/// One connection's place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    clients: Arc<Clients>,
    client: IpAddr,
}

impl Clients {
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { open: Mutex::default(), most })
    }

    /// `None`: this client has as many as it may.
    #[must_use]
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let client = client(address);
        let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let open = all.get(&client).copied().unwrap_or(0);
        if open >= self.most {
            return None;
        }
        all.insert(client, open + 1);
        drop(all);
        Some(Place { clients: Arc::clone(self), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.clients.open.lock().unwrap_or_else(PoisonError::into_inner);
        let left = all.get(&self.client).map_or(0, |open| open.saturating_sub(1));
        // What is not there takes no room.
        if left == 0 {
            all.remove(&self.client);
        } else {
            all.insert(self.client, left);
        }
    }
}

/// Who counts as one: an address of IPv4, also inside one of IPv6, or the /64 that one line usually gets.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_client_is_an_address_of_ipv4_or_a_network_of_ipv6() {
        let clients = Clients::new(1);
        let _one = clients.take(ip("192.0.2.1")).expect("a place");
        assert!(clients.take(ip("192.0.2.1")).is_none());
        assert!(clients.take(ip("::ffff:192.0.2.1")).is_none(), "the same in IPv6");
        let _other = clients.take(ip("192.0.2.2")).expect("another client");
        let _network = clients.take(ip("2001:db8:0:1::1")).expect("a place");
        assert!(clients.take(ip("2001:db8:0:1:ffff::2")).is_none());
        let _next = clients.take(ip("2001:db8:0:2::1")).expect("another network");
    }

    #[test]
    fn a_place_is_given_back_and_whoever_has_none_takes_no_room() {
        let clients = Clients::new(2);
        let places: Vec<_> = (0..2).filter_map(|_| clients.take(ip("192.0.2.1"))).collect();
        assert_eq!(places.len(), 2);
        assert!(clients.take(ip("192.0.2.1")).is_none());
        drop(places);
        assert!(clients.open.lock().expect("not poisoned").is_empty());
        assert!(clients.take(ip("192.0.2.1")).is_some());
    }
}
