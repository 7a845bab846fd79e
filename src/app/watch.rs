//! Notices changed files of catalog, policies and keys, and reloads them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{MissedTickBehavior, interval};

use super::reload::Reload;

const LOOK: Duration = Duration::from_secs(1);

/// Folders are followed this deep, as the policy loader does; deeper ones only reload on a signal.
const DEPTH: usize = 16;

/// What a file looked like: when it was written, and how long it is (bytes).
type Looks = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

/// Looks once a second, and reloads when something has changed and then stayed the same for one
/// look: a file that is still being written is not read half. Never ends.
pub async fn run(reload: Arc<Reload>) {
    let mut tick = interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut loaded = looks(&reload).await;
    let mut before = loaded.clone();
    loop {
        tick.tick().await;
        let now = looks(&reload).await;
        if now == before && now != loaded {
            reload.and_tell().await;
            loaded.clone_from(&now);
        }
        before = now;
    }
}

/// Reading folders may block; it happens beside the runtime.
async fn looks(reload: &Arc<Reload>) -> Looks {
    let paths = reload.paths.clone();
    let look = move || {
        let mut found = Looks::new();
        for path in &paths {
            look_at(path, DEPTH, &mut found);
        }
        found
    };
    // A look that failed is an empty one; the next will differ and lead to a reload.
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}

fn look_at(path: &Path, depth: usize, found: &mut Looks) {
    let Ok(metadata) = fs::metadata(path) else { return };
    if !metadata.is_dir() {
        found.insert(path.to_path_buf(), (metadata.modified().ok(), metadata.len()));
        return;
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    for entry in entries.take(if depth > 0 { 10_000 } else { 0 }) {
        look_at(&entry.path(), depth - 1, found);
    }
}
