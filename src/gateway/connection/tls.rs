//! The TLS handshake, within its deadline; then HTTP, in the version that was agreed on.

use std::net::IpAddr;
use std::rc::Rc;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::peer::Peer;
use super::{http1, http2};
use crate::gateway::core::Core;
use crate::gateway::listener::Phase;
use crate::gateway::ports::Ports;
use crate::telemetry::events::gateway::ConnectionRefused;
use crate::tls::{H2, ServerTls};

pub async fn serve<P: Ports>(
    core: Rc<Core<P>>,
    (stream, ip): (TcpStream, IpAddr),
    tls: &ServerTls,
    phase: watch::Receiver<Phase>,
) {
    let Some(stream) = shaken(&core, stream, tls).await else { return };
    let (_, session) = stream.get_ref();
    let name = session.server_name().map(|name| Rc::from(name.to_ascii_lowercase()));
    let speaks_http2 = session.alpn_protocol() == Some(H2);
    let peer = Rc::new(Peer::new(ip, true, name));
    if speaks_http2 {
        http2::serve(core, http2::Begun::new(stream), peer, phase).await;
    } else {
        // Within TLS the version is agreed on before the first byte: no other is looked for.
        let _always_served = http1::serve(core, stream, peer, (false, phase)).await;
    }
}

/// The deadline is the one for a request head: until then a client has said nothing.
async fn shaken<P: Ports>(
    core: &Core<P>,
    stream: TcpStream,
    tls: &ServerTls,
) -> Option<TlsStream<TcpStream>> {
    let metrics = &core.shared.metrics;
    let shaken = timeout(core.shared.limits.header_timeout, tls.acceptor().accept(stream)).await;
    match shaken {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(fault)) => {
            ConnectionRefused { cause: "tls", why: &fault.to_string() }.emit(metrics);
            None
        }
        Err(_elapsed) => {
            ConnectionRefused { cause: "tls-timeout", why: "it took too long" }.emit(metrics);
            None
        }
    }
}
