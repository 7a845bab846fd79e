//! Word from the store that a partition moved: by a commit of this process or of another one.

use std::fmt;
use std::sync::Arc;

use tokio::sync::broadcast;

use crate::domain::ids::Partition;

/// Words may be lost: they only make the leases look sooner.
#[derive(Clone)]
pub struct Moves(Arc<dyn Fn() -> broadcast::Receiver<Partition> + Send + Sync>);

impl Moves {
    #[must_use]
    pub fn new(
        listen: impl Fn() -> broadcast::Receiver<Partition> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(listen))
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<Partition> {
        (self.0)()
    }
}

impl fmt::Debug for Moves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Moves")
    }
}
