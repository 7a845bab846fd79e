//! Notices changed files of catalog, policies, keys and certificates, and reloads them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::policy::Listing;

use super::reload::Reload;

const LOOK: Duration = Duration::from_secs(1);

/// Folders are followed this deep; deeper ones only reload on a signal.
const DEPTH: usize = 16;

/// As many files are looked at, whatever lies in the folders.
const MOST: usize = 20_000;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Looks {
    policies: Listing,
    others: Files,
}

/// Device, inode, size, last write and last change: a file that took the place of another is
/// another, even when it is as old and as long.
type Looked = ([u64; 3], [(i64, i64); 2]);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Files {
    found: BTreeMap<PathBuf, Looked>,
    /// Links may lead to a folder again.
    folders: BTreeSet<(u64, u64)>,
}

/// Looks once a second, and reloads when something has changed and then stayed the same for one
/// look: a file that is still being written is not read half. Never ends.
pub async fn run(reload: Arc<Reload>) {
    let mut tick = interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut loaded = looks(&reload).await;
    let mut before = loaded.clone();
    // What changed since the policies were read at start is a change as well.
    loaded.policies = reload.policy.listing();
    loop {
        tick.tick().await;
        let now = looks(&reload).await;
        if now == before && now != loaded {
            reload.ask();
            loaded.clone_from(&now);
        }
        before = now;
    }
}

/// Reading folders may block; it happens beside the runtime.
async fn looks(reload: &Arc<Reload>) -> Looks {
    let reload = reload.clone();
    let look = move || {
        let mut others = Files::default();
        for path in &reload.paths {
            others.look_at(path, DEPTH);
        }
        Looks { policies: reload.policy.look(), others }
    };
    // A look that failed is an empty one; the next will differ and lead to a reload.
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}

impl Files {
    fn look_at(&mut self, path: &Path, depth: usize) {
        let Ok(about) = fs::metadata(path) else { return };
        let is_known = about.is_dir() && !self.folders.insert((about.dev(), about.ino()));
        if is_known || self.found.len() >= MOST {
            return;
        }
        let file = [about.dev(), about.ino(), about.size()];
        let times = [(about.mtime(), about.mtime_nsec()), (about.ctime(), about.ctime_nsec())];
        self.found.insert(path.to_path_buf(), (file, times));
        if about.is_dir() && depth > 0 {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            for entry in entries.take(MOST) {
                self.look_at(&entry.path(), depth - 1);
            }
        }
    }
}
