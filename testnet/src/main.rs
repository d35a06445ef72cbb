//! The program `tandem-testnet`: see the library's front page.

use std::process::ExitCode;

fn main() -> ExitCode {
    tandem_testnet::cli::main()
}
