//! The smscd binary.

fn main() -> std::process::ExitCode {
    smscd::server::cli::main()
}
