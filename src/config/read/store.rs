//! `store`: where grants are kept, and the keys that seal them.

use crate::config::reader::At;
use crate::config::{Backend, SealKey, StoreConfig};

use super::{files, name, redis};

pub const SHAPE: &str = "`redis: { url: ... }` or `embedded: { path: ./data }`, and `seal_keys`";

pub fn store(at: &At<'_>, strict: bool) -> Option<StoreConfig> {
    let map = at.map(SHAPE)?;
    let ways = [
        map.get("redis").map(|at| redis::redis(&at, strict)),
        map.get("embedded").map(|at| embedded(&at)),
    ];
    let mut named = ways.into_iter().flatten();
    let expected = "exactly one of redis and embedded";
    let backend = match (named.next(), named.next()) {
        (Some(backend), None) => backend,
        (None, _) => map.refuse("no store", expected),
        (Some(_), Some(_)) => map.refuse("more than one store", expected),
    };
    let expected = "at least one `{ id: k1, file: ./seal.key }`";
    let seal_keys = map.need("seal_keys", expected, |at| {
        let keys = at.filled(expected, |at| seal_key(at, strict))?;
        let ids: Vec<&str> = keys.iter().map(|key| &*key.id).collect();
        if !super::distinct(at, "id", &ids) {
            return None;
        }
        let same =
            |(i, key): (usize, &SealKey)| keys.iter().skip(i + 1).any(|k| k.bytes == key.bytes);
        if keys.iter().enumerate().any(same) {
            return at.refuse_as("two keys with the same bytes", "keys that differ");
        }
        Some(keys)
    });
    map.finish();
    Some(StoreConfig { backend: backend?, seal_keys: seal_keys? })
}

fn embedded(at: &At<'_>) -> Option<Backend> {
    let map = at.map("`{ path: ./data }`")?;
    let expected = "a directory (it is created when it is not there)";
    let path = map.need("path", expected, |at| {
        let path = at.path(expected)?;
        if path.exists() && !path.is_dir() { at.refuse(expected) } else { Some(path) }
    });
    map.finish();
    Some(Backend::Embedded { path: path? })
}

fn seal_key(at: &At<'_>, strict: bool) -> Option<SealKey> {
    let map = at.map("`{ id: k1, file: ./seal.key }`")?;
    let id = map.need("id", "a name for the key", name);
    let file = map.need("file", "the path of the key file", |at| files::secret(at, strict));
    map.finish();
    Some(SealKey { id: id?, bytes: file?.1.into() })
}
