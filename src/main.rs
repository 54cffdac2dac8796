//! The smscd binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    smscd::server::cli::main()
}
