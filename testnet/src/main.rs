//! The program `tandem-testnet`: see the library's front page.

use std::process::ExitCode;

/// Quicker than the system's where many small values come and go, as in the simulator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tandem_testnet::cli::main()
}
