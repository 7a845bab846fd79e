//! One client connection: whatever it speaks, every request on it is answered by
//! [`serve`](super::serve).

mod deadlines;
mod http1;
mod peer;

use std::net::SocketAddr;
use std::rc::Rc;

use tokio::net::TcpStream;
use tokio::sync::watch;

use super::core::Core;
use super::listener::Phase;
use super::ports::Ports;
use crate::telemetry::events::gateway::ConnectionPanicked;
use crate::telemetry::metrics::Metrics;

pub use peer::Peer;

/// Serves a connection until it ends.
pub async fn serve<P: Ports>(
    core: Rc<Core<P>>,
    stream: TcpStream,
    peer: SocketAddr,
    phase: watch::Receiver<Phase>,
) {
    let _panic = CountsPanic(core.shared.metrics.clone());
    let peer = Rc::new(Peer { ip: peer.ip(), secure: false });
    http1::serve(core, stream, peer, phase).await;
}

/// Dropped while a panic unwinds, it counts it.
struct CountsPanic(Metrics);

impl Drop for CountsPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            ConnectionPanicked.emit(&self.0);
        }
    }
}
