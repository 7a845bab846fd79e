//! The data folder of `tidegate dev`: configuration, catalog, policies and a seal key of its own.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::entropy;

const CONFIGURATION: &str = include_str!("tidegate.yaml");
const CATALOG: &str = include_str!("catalog.yaml");

/// The policies that this version ships, so that `dev` needs no file beside the binary.
const POLICIES: &[(&str, &str)] = &[
    ("access_request.yaml", include_str!("../../../policies/access_request.yaml")),
    ("audit.yaml", include_str!("../../../policies/audit.yaml")),
    ("grant.yaml", include_str!("../../../policies/grant.yaml")),
    ("suspended.yaml", include_str!("../../../policies/suspended.yaml")),
    ("template.yaml", include_str!("../../../policies/template.yaml")),
    ("tool.yaml", include_str!("../../../policies/tool.yaml")),
];

/// Where everything of one `tidegate dev` listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub proxy: SocketAddr,
    pub api: SocketAddr,
    pub admin: SocketAddr,
    pub idp: SocketAddr,
    pub notes: SocketAddr,
}

/// Writes what is missing into `folder` and gives the path of the configuration. The seal key is
/// made once and kept; configuration and policies are this version's, written anew.
///
/// # Errors
/// The folder cannot be created or written, or the system gives no random bytes.
pub fn prepare(folder: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(folder.join("catalog"))?;
    fs::create_dir_all(folder.join("policies"))?;
    let configuration = folder.join("tidegate.yaml");
    refuse_another(&configuration)?;
    fs::write(&configuration, CONFIGURATION)?;
    fs::write(folder.join("catalog/notes.yaml"), CATALOG)?;
    for (name, text) in POLICIES {
        fs::write(folder.join("policies").join(name), text)?;
    }
    make_seal_key(&folder.join("seal.key"))?;
    Ok(configuration)
}

/// A folder that holds the configuration of something else (of production, perhaps) is not ours.
fn refuse_another(configuration: &Path) -> io::Result<()> {
    let text = match fs::read_to_string(configuration) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if text.lines().next() == CONFIGURATION.lines().next() {
        return Ok(());
    }
    let kind = if text.contains("environment: development") { "another" } else { "a production" };
    Err(io::Error::other(format!(
        "{} is {kind} configuration; `dev` needs a folder of its own",
        configuration.display()
    )))
}

/// The value of a variable that the configuration names.
#[must_use]
pub fn variable(addresses: Addresses, name: &str) -> Option<String> {
    let address = match name {
        "TIDEGATE_DEV_PROXY" => addresses.proxy,
        "TIDEGATE_DEV_API" => addresses.api,
        "TIDEGATE_DEV_ADMIN" => addresses.admin,
        "TIDEGATE_DEV_IDP" => addresses.idp,
        "TIDEGATE_DEV_NOTES" => addresses.notes,
        _ => return None,
    };
    Some(address.to_string())
}

fn make_seal_key(path: &Path) -> io::Result<()> {
    let key: [u8; 32] = entropy::bytes().map_err(io::Error::other)?;
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        other => other?,
    };
    file.write_all(&key)?;
    file.sync_all()
}
