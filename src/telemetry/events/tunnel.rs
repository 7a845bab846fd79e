//! Facts of WebSocket tunnels.

use std::time::Duration;

use crate::telemetry::metrics::{EndLabel, Metrics};

/// Why a tunnel is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelEnd {
    /// Both sides ended it.
    Closed,
    /// A side broke off.
    Broken,
    AccessEnded,
    Idle,
    /// A side took nothing any more.
    Stalled,
    Malformed,
    Shutdown,
}

impl TunnelEnd {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Broken => "broken",
            Self::AccessEnded => "access-ended",
            Self::Idle => "idle",
            Self::Stalled => "stalled",
            Self::Malformed => "malformed",
            Self::Shutdown => "shutdown",
        }
    }
}

/// A tunnel is over.
#[derive(Debug)]
pub struct TunnelClosed<'a> {
    pub tool: &'a str,
    /// The decision that permitted it.
    pub decision: &'a str,
    pub end: TunnelEnd,
    /// What was wrong with a frame.
    pub malformed: Option<&'static str>,
    /// Bytes.
    pub to_tool: u64,
    pub to_client: u64,
    pub lasted: Duration,
}

impl TunnelClosed<'_> {
    pub fn emit(&self, metrics: &Metrics) {
        let cause = self.end.as_str();
        metrics.tunnels_closed.get_or_create(&EndLabel { cause }).inc();
        tracing::info!(
            tool = self.tool,
            decision = self.decision,
            cause,
            malformed = self.malformed,
            to_tool = self.to_tool,
            to_client = self.to_client,
            lasted_ms = u64::try_from(self.lasted.as_millis()).unwrap_or(u64::MAX),
            "a tunnel is over"
        );
    }
}
