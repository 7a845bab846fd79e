//! How many frames a client may send that make work and carry nothing.

use tokio::time::Instant;

/// What a connection starts with, and the most that it can save.
const MOST: u64 = 1024;
const PER_SECOND: u64 = 128;
/// As many bytes in either direction pay for one frame: whoever moves data also sends window
/// updates.
const BYTES_PER_FRAME: u64 = 2048;
/// What an answer, and each piece of a body, pays for, however small it is: clients of gRPC send a
/// ping and window updates with each to measure the connection.
const PER_PIECE: u64 = 4;

/// A bucket of tokens; time, moved bytes, answers and pieces of bodies fill it.
#[derive(Debug)]
pub struct Budget {
    left: u64,
    filled_at: Instant,
    /// Moved, and not yet exchanged for a token.
    bytes: u64,
}

impl Budget {
    pub const fn new(now: Instant) -> Self {
        Self { left: MOST, filled_at: now, bytes: 0 }
    }

    pub fn moved(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        self.earn(self.bytes / BYTES_PER_FRAME);
        self.bytes %= BYTES_PER_FRAME;
    }

    pub fn carried(&mut self) {
        self.earn(PER_PIECE);
    }

    fn earn(&mut self, tokens: u64) {
        self.left = self.left.saturating_add(tokens).min(MOST);
    }

    /// `false`: there is nothing left to spend.
    pub fn spend(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled_at).as_millis();
        let earned = u64::try_from(passed).unwrap_or(u64::MAX).saturating_mul(PER_SECOND) / 1000;
        if earned > 0 {
            self.earn(earned);
            self.filled_at = now;
        }
        let enough = self.left > 0;
        self.left = self.left.saturating_sub(1);
        enough
    }
}
