//! Which of a tool's backends is asked.

use std::borrow::Cow;
use std::cell::Cell;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use http::Request;
use http::header::{COOKIE, HOST};
use pingora_ketama::{Bucket, Continuum};
use smallvec::SmallVec;

use crate::config::{Balance, HashKey};
use crate::gateway::headers::Added;

use super::backend::Backend;
use super::upstreams::Upstreams;

/// Backends in the order in which they were asked, or are to be asked.
pub type Order = SmallVec<[usize; 4]>;

/// The backends that one request was sent to, or could not be.
#[derive(Debug, Default)]
pub struct Tries {
    /// What its hash prefers, in order; empty: nothing.
    pub preferred: Order,
    pub tried: Order,
    /// It may become a tunnel, which needs a connection of its own.
    pub for_tunnel: bool,
}

impl Tries {
    /// The backend that was asked last may be asked again.
    pub fn forget_last(&mut self) {
        self.tried.pop();
    }
}

/// The tries of a request, with what its hash prefers.
#[must_use]
pub fn tries<B>(upstreams: &Upstreams, request: &Request<B>, added: &Added<'_>) -> Tries {
    let (Balance::ConsistentHash(key), Some(ring)) = (&upstreams.options.balance, &upstreams.ring)
    else {
        return Tries::default();
    };
    let value = hashed(key, request, added).filter(|value| !value.is_empty());
    let preferred = value.map(|it| ring.order(&it)).unwrap_or_default();
    Tries { preferred, ..Tries::default() }
}

fn hashed<'a, B>(
    key: &HashKey,
    request: &'a Request<B>,
    added: &Added<'a>,
) -> Option<Cow<'a, [u8]>> {
    match key {
        HashKey::Header(name) => {
            if let Some(value) = request.headers().get(name) {
                return Some(Cow::Borrowed(value.as_bytes()));
            }
            let value = added.value(name, request.headers().get(HOST))?;
            Some(Cow::Owned(value.as_bytes().to_owned()))
        }
        HashKey::Cookie(name) => {
            let mut lines = request.headers().get_all(COOKIE).iter();
            let found = lines.find_map(|line| cookie(line.as_bytes(), name.as_bytes()));
            found.map(Cow::Borrowed)
        }
        HashKey::Path => Some(Cow::Borrowed(request.uri().path().as_bytes())),
        HashKey::Subject => {
            added.identity.map(|it| Cow::Borrowed(it.person.subject.name.as_bytes()))
        }
    }
}

/// The first cookie of a name.
fn cookie<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut pairs = line.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix(b"="))
}

/// One core's place in the round, and its dice.
#[derive(Debug)]
pub struct Turn {
    next: Cell<usize>,
    dice: Cell<u64>,
}

impl Turn {
    pub fn new(seed: u64) -> Self {
        Self { next: Cell::new(0), dice: Cell::new(seed) }
    }

    /// One of those that were not asked yet: a usable one that need not be avoided, or any where there
    /// is none such.
    pub fn choose(
        &self,
        (balance, backends): (&Balance, &[Arc<Backend>]),
        tries: &Tries,
        (load, avoided): (impl Fn(usize) -> usize, impl Fn(usize) -> bool),
    ) -> Option<usize> {
        if let ([_only], []) = (backends, tries.tried.as_slice()) {
            return Some(0);
        }
        let untried = || (0..backends.len()).filter(|at| !tries.tried.contains(at));
        let is_usable =
            |at: &usize| backends.get(*at).is_some_and(|it| it.is_usable()) && !avoided(*at);
        let mut from: SmallVec<[usize; 8]> = untried().filter(is_usable).collect();
        if from.is_empty() {
            // Health is no reason to refuse: perhaps it is the check that is wrong.
            from.extend(untried());
        }
        if let Some(preferred) = tries.preferred.iter().find(|at| from.contains(at)) {
            return Some(*preferred);
        }
        match balance {
            Balance::RoundRobin => {
                let turn = self.next.get();
                self.next.set(turn.wrapping_add(1));
                from.get(turn.checked_rem(from.len())?).copied()
            }
            Balance::LeastLoaded | Balance::ConsistentHash(_) => self.of_two(&from, load),
        }
    }

    /// The less loaded of two different random ones.
    fn of_two(&self, from: &[usize], load: impl Fn(usize) -> usize) -> Option<usize> {
        let first = self.roll(from.len())?;
        let Some(second) = self.roll(from.len() - 1) else { return from.get(first).copied() };
        let second = if second >= first { second + 1 } else { second };
        let (one, two) = (*from.get(first)?, *from.get(second)?);
        Some(if load(two) < load(one) { two } else { one })
    }

    /// `SplitMix64`, below `sides`.
    fn roll(&self, sides: usize) -> Option<usize> {
        let state = self.dice.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.dice.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let rolled = (mixed ^ (mixed >> 31)).checked_rem(sides as u64)?;
        usize::try_from(rolled).ok()
    }
}

/// A ring on which each backend has many points (Ketama): when one comes or goes, few values move.
pub struct Ring {
    continuum: Continuum,
    nodes: Vec<SocketAddr>,
}

impl Ring {
    pub fn of(balance: &Balance, backends: &[Arc<Backend>]) -> Option<Self> {
        match balance {
            Balance::ConsistentHash(_) => {
                let nodes: Vec<SocketAddr> = backends.iter().map(|it| node(it.name())).collect();
                let buckets: Vec<Bucket> = nodes.iter().map(|at| Bucket::new(*at, 1)).collect();
                Some(Self { continuum: Continuum::new(&buckets), nodes })
            }
            Balance::RoundRobin | Balance::LeastLoaded => None,
        }
    }

    /// The backends in the order in which `value` prefers them.
    pub fn order(&self, value: &[u8]) -> Order {
        let mut order = Order::new();
        // The ring has no end; each backend has at most 160 points on it.
        for node in self.continuum.node_iter(value).take(self.nodes.len() * 160) {
            let at = self.nodes.iter().position(|it| it == node);
            order.extend(at.filter(|at| !order.contains(at)));
            if order.len() == self.nodes.len() {
                break;
            }
        }
        order
    }
}

/// The ring wants addresses, and backends may be names or sockets: an address that stands for the
/// configured text alone, the same on every gateway.
fn node(name: &str) -> SocketAddr {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes());
    let bytes = digest.as_ref().first_chunk::<16>().copied().unwrap_or_default();
    SocketAddr::new(IpAddr::V6(Ipv6Addr::from(bytes)), 0)
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{HashKey, Upstream};
    use crate::gateway::upstream::resolver::Resolver;

    fn backends(count: u16) -> Vec<Arc<Backend>> {
        let made = (0..count).map(|at| {
            let upstream = Upstream::Http { host: "127.0.0.1".into(), port: 8000 + at };
            Arc::new(Backend::new(&upstream, None, &Resolver::default()))
        });
        made.collect()
    }

    fn ring(count: u16) -> Ring {
        let balance = Balance::ConsistentHash(HashKey::Path);
        Ring::of(&balance, &backends(count)).expect("a ring")
    }

    #[test]
    fn a_value_that_loses_no_backend_keeps_its_own() {
        let (four, three) = (ring(4), ring(3));
        let mut of_each = [0; 4];
        for value in 0..4000_u32 {
            let value = value.to_be_bytes();
            let (order, left) = (four.order(&value), three.order(&value));
            assert_eq!((order.len(), left.len()), (4, 3), "every backend, once");
            of_each[order[0]] += 1;
            // Without the last backend, the next one in order takes its values, and no other moves.
            let expected = order.iter().find(|at| **at < 3).expect("three are left");
            assert_eq!(left[0], *expected);
        }
        assert!(of_each.iter().all(|count| (600..1400).contains(count)), "{of_each:?}");
    }

    #[test]
    fn of_two_backends_the_less_loaded_is_chosen_and_none_twice() {
        let none = |_: usize| false;
        let (turn, two) = (Turn::new(7), backends(2));
        let from = (&Balance::LeastLoaded, two.as_slice());
        for _ in 0..100 {
            assert_eq!(turn.choose(from, &Tries::default(), (|at| at, none)), Some(0));
            assert_eq!(turn.choose(from, &Tries::default(), (|at| 1 - at, none)), Some(1));
        }
        let tried = |tried: &[usize]| Tries { tried: tried.into(), ..Tries::default() };
        assert_eq!(turn.choose(from, &tried(&[0]), (|at| at, none)), Some(1));
        assert_eq!(turn.choose(from, &tried(&[0, 1]), (|at| at, none)), None);
    }

    #[test]
    fn equal_loads_are_spread() {
        let (turn, four) = (Turn::new(7), backends(4));
        let mut of_each = [0; 4];
        for _ in 0..4000 {
            let from = (&Balance::LeastLoaded, four.as_slice());
            of_each[turn.choose(from, &Tries::default(), (|_| 3, |_| false)).expect("one")] += 1;
        }
        assert!(of_each.iter().all(|count| (800..1200).contains(count)), "{of_each:?}");
    }

    #[test]
    fn an_unhealthy_backend_is_asked_only_when_no_other_is_left() {
        let (turn, three) = (Turn::new(7), backends(3));
        three[1].set_healthy(false);
        for balance in [Balance::LeastLoaded, Balance::RoundRobin] {
            let from = (&balance, three.as_slice());
            let chosen: Vec<_> = (0..100)
                .filter_map(|_| turn.choose(from, &Tries::default(), (|_| 0, |_| false)))
                .collect();
            assert!(chosen.contains(&0) && chosen.contains(&2) && !chosen.contains(&1));
            let others = Tries { tried: [0, 2].as_slice().into(), ..Tries::default() };
            assert_eq!(turn.choose(from, &others, (|_| 0, |_| false)), Some(1));
        }
        let preferred = Tries { preferred: [1, 2, 0].as_slice().into(), ..Tries::default() };
        let balance = Balance::ConsistentHash(HashKey::Path);
        assert_eq!(
            turn.choose((&balance, three.as_slice()), &preferred, (|_| 0, |_| false)),
            Some(2)
        );
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let line = b"ab=1; a=2;a=3; b";
        assert_eq!(cookie(line, b"a"), Some(&b"2"[..]));
        assert_eq!(cookie(line, b"ab"), Some(&b"1"[..]));
        assert_eq!(cookie(line, b"b"), None);
    }
}
