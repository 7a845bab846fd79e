//! Good and bad configuration files, each in a folder of its own.

mod bad;
mod good;
mod providers;
mod redis;
mod schema;
mod secrets;
mod table;
mod webhooks;

use std::path::{Path, PathBuf};

use super::{Loaded, Problems, load};

/// A folder with everything that [`GOOD`] names.
pub(crate) struct Folder(tempfile::TempDir);

pub(crate) const GOOD: &str = r#"
environment: production
store:
  embedded: { path: ./data }
  seal_keys: [{ id: k1, file: ./seal.key }]
issuers:
  - { issuer: "https://idp.example.com", jwks_file: ./jwks.json, audiences: [tidegate] }
tools:
  - name: warehouse
    hosts: [warehouse.localhost]
    upstreams: ["http://127.0.0.1:3000"]
    rules:
      - { methods: [GET], path: "/docs/{doc}", action: view, id: "{path.doc}" }
      - { path: "/**", action: write }
policy: { directory: ./policies }
catalog: { directory: ./catalog }
"#;

/// 32 bytes of 7.
const HOOK_SECRET: &str = "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

impl Folder {
    pub fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        for directory in ["policies", "catalog"] {
            std::fs::create_dir(folder.path().join(directory)).expect("a directory");
        }
        folder.write("jwks.json", r#"{"keys": []}"#);
        folder.secret("seal.key", &[7; 32], 0o600);
        folder.secret("short.key", &[7; 31], 0o600);
        folder.secret("long.key", &[7; 5000], 0o600);
        folder.secret("open.key", &[8; 32], 0o644);
        folder.secret("hook.secret", format!("{HOOK_SECRET}\n").as_bytes(), 0o600);
        folder
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    fn secret(&self, name: &str, bytes: &[u8], mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("mode");
    }

    /// Loads `text` as the configuration, with a small environment.
    pub fn load(&self, text: &str) -> Result<Loaded, Problems> {
        let path = self.write("tidegate.yaml", text);
        load(&path, &|name| match name {
            "PORT" => Some("8090".to_owned()),
            "SECRET" => Some("hunter2-canary".to_owned()),
            "HOOK_SECRET" => Some(HOOK_SECRET.to_owned()),
            _ => None,
        })
    }
}

/// [`GOOD`] with one text replaced; the text must be there.
fn changed(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    GOOD.replacen(from, to, 1)
}
