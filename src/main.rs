//! The thin binary: arguments in, exit code out.

use std::process::ExitCode;

use tidegate::app;
use tidegate::cli::Checks;
use tidegate::cli::store::StoreTools;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let checks = Checks {
        policies: app::policy_problems,
        doubts: app::policy_doubts,
        keys_and_store: app::key_and_store_problems,
        store: StoreTools { show: app::show_subject, status: app::store_status },
    };
    tidegate::cli::run(std::env::args_os(), checks).into()
}
