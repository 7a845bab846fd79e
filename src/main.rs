//! The thin binary: arguments in, exit code out.

use std::process::ExitCode;

use tidegate::app;
use tidegate::cli::Checks;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let checks =
        Checks { policies: app::policy_problems, keys_and_store: app::key_and_store_problems };
    tidegate::cli::run(std::env::args_os(), checks).into()
}
