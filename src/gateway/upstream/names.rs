//! What the names of backends resolve to. They come from the configuration alone.
//!
//! A name is asked for again when its TTL has ended. While nobody can say, what it was before stays.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::ResolverConfig;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::upstreams::Upstreams;

/// However short or long a TTL is.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// For what the system says beside the DNS, without a TTL.
const UNTOLD: Duration = Duration::from_secs(30);

const PATIENCE: Duration = Duration::from_secs(5);

/// A host and what it resolves to.
#[derive(Debug)]
pub struct Host {
    host: Arc<str>,
    port: u16,
    /// `None`: as the system is configured.
    servers: Option<ResolverConfig>,
    known: ArcSwapOption<Vec<SocketAddr>>,
    generation: AtomicU32,
    turn: AtomicUsize,
}

/// Asks for every name again when its TTL has ended. Never ends.
pub async fn watch(tools: Vec<Arc<Upstreams>>) {
    let mut tasks = JoinSet::new();
    for backend in tools.iter().flat_map(|tool| &tool.backends) {
        let backend = Arc::clone(backend);
        tasks.spawn(async move {
            if let Some(host) = backend.host() {
                host.follow().await;
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    std::future::pending().await
}

impl Host {
    #[must_use]
    pub fn new(host: &Arc<str>, port: u16) -> Self {
        let fixed: Option<IpAddr> = host.parse().ok();
        Self {
            host: Arc::clone(host),
            port,
            servers: None,
            known: ArcSwapOption::new(fixed.map(|ip| Arc::new(vec![SocketAddr::new(ip, port)]))),
            generation: AtomicU32::new(0),
            turn: AtomicUsize::new(0),
        }
    }

    /// Counts the changes of its addresses.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation.load(Ordering::Relaxed)
    }

    /// In the order in which they are to be tried, a different one each time.
    ///
    /// # Errors
    /// It was never resolved, and cannot be now.
    pub async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        if self.known.load().is_none() {
            self.resolve().await?;
        }
        let known = self.known.load();
        let mut addresses = known.as_deref().cloned().unwrap_or_default();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let same = addresses.iter().take_while(|it| it.is_ipv4()).count();
        let turning = if same == 0 { addresses.len() } else { same };
        if let Some(by) = turn.checked_rem(turning) {
            addresses.get_mut(..turning).unwrap_or_default().rotate_left(by);
        }
        Ok(addresses)
    }

    async fn follow(&self) {
        if self.host.parse::<IpAddr>().is_ok() {
            return;
        }
        loop {
            let wait = match timeout(PATIENCE, self.resolve()).await {
                Ok(Ok(until)) => until.saturating_duration_since(Instant::now()),
                Ok(Err(_)) | Err(_) => PATIENCE,
            };
            sleep(wait.clamp(SHORTEST, LONGEST)).await;
        }
    }

    /// Asks now; until when the answer holds.
    async fn resolve(&self) -> io::Result<Instant> {
        let (found, until) = match self.ask_dns().await {
            Some(answer) => answer,
            None => {
                let found = tokio::net::lookup_host((&*self.host, self.port)).await?;
                (found.map(|it| it.ip()).collect(), Instant::now() + UNTOLD)
            }
        };
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        self.take(&found);
        Ok(until)
    }

    /// `None`: the DNS does not say; the system may know other ways.
    async fn ask_dns(&self) -> Option<(BTreeSet<IpAddr>, Instant)> {
        // Read anew each time: files of hosts and name servers change.
        let builder = match &self.servers {
            None => TokioResolver::builder_tokio().ok()?,
            Some(servers) => {
                let provider = TokioRuntimeProvider::default();
                TokioResolver::builder_with_config(servers.clone(), provider)
            }
        };
        let resolver = builder.build().ok()?;
        let found = resolver.lookup_ip(&*self.host).await.ok()?;
        let addresses: BTreeSet<IpAddr> = found.iter().collect();
        (!addresses.is_empty()).then(|| (addresses, Instant::from_std(found.valid_until())))
    }

    /// As if it resolved to something else now.
    #[cfg(test)]
    pub fn becomes(&self, ip: IpAddr) {
        self.take(&BTreeSet::from([ip]));
    }

    fn take(&self, found: &BTreeSet<IpAddr>) {
        let found: Vec<SocketAddr> =
            found.iter().map(|ip| SocketAddr::new(*ip, self.port)).collect();
        let before = self.known.swap(Some(Arc::new(found.clone())));
        if before.is_some_and(|before| *before != found) {
            self.generation.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Mutex;

    use hickory_resolver::config::{ConnectionConfig, NameServerConfig};
    use tokio::net::UdpSocket;

    use super::*;

    /// A name server that says of every name that it has this address, for a second.
    async fn server(says: Arc<Mutex<Ipv4Addr>>) -> (SocketAddr, tokio::task::JoinHandle<()>) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let address = socket.local_addr().expect("bound");
        let task = tokio::spawn(async move {
            let mut bytes = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut bytes).await {
                let asked = &bytes[..length];
                // The question ends with its name, its type and its class.
                let name = asked[12..].iter().position(|&byte| byte == 0).expect("a name");
                let question = &asked[12..12 + name + 5];
                let is_a = question[name + 2] == 1;
                let mut answer = asked[..2].to_vec();
                answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
                answer.extend(question);
                if is_a {
                    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
                    answer.extend(says.lock().expect("not poisoned").octets());
                }
                let _gone = socket.send_to(&answer, from).await;
            }
        });
        (address, task)
    }

    fn asking(server: SocketAddr) -> Host {
        let mut udp = ConnectionConfig::udp();
        udp.port = server.port();
        let server = NameServerConfig::new(server.ip(), true, vec![udp]);
        let servers = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        Host { servers: Some(servers), ..Host::new(&"tool.test.".into(), 80) }
    }

    fn at(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 80))
    }

    #[tokio::test]
    async fn a_name_is_asked_for_again_when_its_ttl_has_ended_and_kept_when_nobody_says() {
        let says = Arc::new(Mutex::new(Ipv4Addr::new(10, 0, 0, 1)));
        let (address, serving) = server(says.clone()).await;
        let host = Arc::new(asking(address));
        assert_eq!(host.addresses().await.expect("resolved"), [at(1)]);
        let following = { tokio::spawn({ let host = host.clone(); async move { host.follow().await } }) };
        *says.lock().expect("not poisoned") = Ipv4Addr::new(10, 0, 0, 2);
        while host.generation() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(host.addresses().await.expect("resolved"), [at(2)]);
        serving.abort();
        following.abort();
        assert!(host.resolve().await.is_err(), "nobody says");
        assert_eq!((host.addresses().await.expect("kept"), host.generation()), (vec![at(2)], 1));
    }

    #[tokio::test]
    async fn a_name_of_the_hosts_file_resolves_and_an_address_is_itself() {
        let local = Host::new(&"localhost".into(), 7).addresses().await.expect("resolved");
        assert!(local.iter().all(|it| it.ip().is_loopback() && it.port() == 7), "{local:?}");
        let itself = Host::new(&"::1".into(), 7).addresses().await.expect("an address");
        assert_eq!(itself, ["[::1]:7".parse().expect("an address")]);
    }

    #[tokio::test]
    async fn several_addresses_take_turns() {
        let host = Host::new(&"127.0.0.1".into(), 80);
        host.take(&[1, 2, 3].map(|last| at(last).ip()).into());
        let mut first = Vec::new();
        for _ in 0..4 {
            let addresses = host.addresses().await.expect("known");
            assert_eq!(addresses.len(), 3);
            first.push(addresses[0]);
        }
        assert_eq!(first, [at(1), at(2), at(3), at(1)]);
    }
}
