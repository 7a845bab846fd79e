//! A tunnel that both sides agreed on, on its way to the connection that it takes over.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Instant;

use super::handshake::Agreed;
use super::run::{Patience, Tunnel};
use crate::gateway::core::Shared;
use crate::gateway::lease::Lease;
use crate::gateway::limits::Slot;
use crate::gateway::listener::Phase;
use crate::gateway::upstream::Switched;
use crate::telemetry::events::tunnel::TunnelClosed;

/// Holds the request's place among the concurrent ones, and its lease, as long as the tunnel runs.
#[derive(Debug)]
pub struct Opening {
    /// The tool's side.
    pub switched: Switched,
    pub agreed: Agreed,
    pub lease: Option<Lease>,
    pub slot: Slot,
    pub tool: Arc<str>,
    pub decision: Arc<str>,
}

impl Opening {
    /// Runs the tunnel to its end. `early`: what the client sent behind its request; the tool has
    /// switched, so it may have it.
    pub async fn run<C: AsyncRead + AsyncWrite + Unpin>(
        self,
        (client, early): (C, Vec<u8>),
        shared: &Shared,
        mut phase: watch::Receiver<Phase>,
    ) {
        let (begun, limits) = (Instant::now(), &shared.limits);
        let Self { switched, agreed, mut lease, slot: _held, tool, decision } = self;
        let patience = Patience { idle: limits.tunnel_idle, stalled: limits.idle_timeout };
        let tunnel = Tunnel::new((client, early), switched, agreed, lease.as_mut(), patience);
        let ended = tunnel
            .run(async move {
                // A sender that is gone means the listener is gone.
                let _gone = phase.wait_for(|phase| *phase == Phase::Closing).await;
            })
            .await;
        TunnelClosed {
            tool: &tool,
            decision: &decision,
            end: ended.end,
            malformed: ended.malformed,
            to_tool: ended.to_tool,
            to_client: ended.to_client,
            lasted: begun.elapsed(),
        }
        .emit(&shared.metrics);
    }
}
