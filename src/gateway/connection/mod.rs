//! One client connection: whatever it speaks, every request on it is answered by
//! [`serve`](super::serve).

mod deadlines;
mod http1;
mod http2;
mod peer;
mod tls;

use std::net::IpAddr;
use std::rc::Rc;

use tokio::net::TcpStream;
use tokio::sync::watch;

use super::core::Core;
use super::listener::{Phase, Speaks};
use super::ports::Ports;
use crate::telemetry::events::gateway::ConnectionPanicked;
use crate::telemetry::metrics::Metrics;

pub use peer::Peer;

/// Serves a connection until it ends.
pub async fn serve<P: Ports>(
    core: Rc<Core<P>>,
    (stream, ip, speaks): (TcpStream, IpAddr, Rc<Speaks>),
    phase: watch::Receiver<Phase>,
) {
    let _panic = CountsPanic(core.shared.metrics.clone());
    if let Some(tls) = &speaks.tls {
        // Larger than what a plain connection needs, so it has an allocation of its own.
        return Box::pin(tls::serve(core, (stream, ip), tls, phase)).await;
    }
    let peer = Rc::new(Peer::new(ip, false, None));
    let once = (Rc::clone(&core), Rc::clone(&peer), phase.clone());
    if let Some(begun) = http1::serve(core, stream, peer, (speaks.http2, phase)).await {
        let (core, peer, phase) = once;
        Box::pin(http2::serve(core, begun, peer, phase)).await;
    }
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
