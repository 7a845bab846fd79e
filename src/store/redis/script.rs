//! The scripts that run inside the server, each isolated from everything else it does.

use std::fmt::Write;
use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use redis::{Cmd, cmd};

/// A script and the name that a server knows it by.
pub struct Script {
    pub text: &'static str,
    /// Forty hexadecimal digits.
    pub name: String,
}

pub static COMMIT: LazyLock<Script> = LazyLock::new(|| script(include_str!("scripts/commit.lua")));
pub static MEMBERS: LazyLock<Script> =
    LazyLock::new(|| script(include_str!("scripts/members.lua")));
pub static REBASE: LazyLock<Script> = LazyLock::new(|| script(include_str!("scripts/rebase.lua")));
pub static TRIM: LazyLock<Script> = LazyLock::new(|| script(include_str!("scripts/trim.lua")));
pub static SETTLE: LazyLock<Script> = LazyLock::new(|| script(include_str!("scripts/settle.lua")));
pub static FORGET: LazyLock<Script> = LazyLock::new(|| script(include_str!("scripts/forget.lua")));
pub static HOLD: LazyLock<Script> = LazyLock::new(|| script(include_str!("scripts/hold.lua")));
pub static PUT_HELD: LazyLock<Script> =
    LazyLock::new(|| script(include_str!("scripts/put_held.lua")));
pub static ADD_USES: LazyLock<Script> =
    LazyLock::new(|| script(include_str!("scripts/add_uses.lua")));
pub static SWAP: LazyLock<Script> = LazyLock::new(|| script(include_str!("scripts/swap.lua")));
pub static GENESIS: LazyLock<Script> =
    LazyLock::new(|| script(include_str!("scripts/genesis.lua")));

/// Servers name scripts by SHA-1; nothing is protected by it.
fn script(text: &'static str) -> Script {
    let mut name = String::with_capacity(40);
    for byte in digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref() {
        // Writing to a string cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    Script { text, name }
}

impl Script {
    /// The call, without arguments yet; a server that does not know the script says so.
    #[must_use]
    pub fn call(&self, keys: &[&[u8]]) -> Cmd {
        let mut call = cmd("EVALSHA");
        call.arg(&self.name).arg(keys.len());
        for key in keys {
            call.arg(*key);
        }
        call
    }

    #[must_use]
    pub fn load(&self) -> Cmd {
        let mut load = cmd("SCRIPT");
        load.arg("LOAD").arg(self.text);
        load
    }
}
