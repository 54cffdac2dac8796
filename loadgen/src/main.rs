//! smsc-loadgen: drives an SMSC over SMPP and says what it did, how fast and how late.
//!
//! | module | owns |
//! |---|---|
//! | `cli`, `plan` | flags; the checked run that they describe |
//! | `link` | the octets of a connection, as they are or within TLS |
//! | `bind` | connecting and binding |
//! | `worker` | one thread: event loop and phases of a run |
//! | `session` | one connection: reading, answering, writing |
//! | `template`, `flight`, `schedule` | the submit_sm written; what is unanswered; when an open loop sends |
//! | `receipt`, `message_key`, `matching` | what a deliver_sm is; ids as keys; receipts and messages paired |
//! | `tally`, `progress`, `report` | counts and latencies; the live line; the result |
//! | `floor` | the cheapest possible responder |
//! | `wire`, `status` | frames and fields; names of command_status |

mod bind;
mod cli;
mod flight;
mod floor;
mod link;
mod matching;
mod message_key;
mod plan;
mod progress;
mod receipt;
mod report;
mod run;
mod schedule;
mod session;
mod status;
mod tally;
mod template;
mod wire;
mod worker;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::cli::{Cli, Command, FloorArgs, RunArgs};

/// The run or its verification failed.
const FAILED: u8 = 1;
/// The command line makes no sense.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Some(Command::Floor(args)) => floor(&args),
        None => generate(&cli.run),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("smsc-loadgen: {error:#}");
        ExitCode::from(FAILED)
    })
}

fn floor(args: &FloorArgs) -> anyhow::Result<ExitCode> {
    if let Some(core) = args.pin {
        run::pin(core)?;
    }
    run::raise_file_limit();
    let floor = floor::Floor {
        listen: args.listen,
        receipts: args.receipts,
        max: Duration::from_secs(args.max_seconds),
        spin: args.spin,
    };
    floor.run().map_err(|error| anyhow::anyhow!("floor on {}: {error}", args.listen))?;
    Ok(ExitCode::SUCCESS)
}

fn generate(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let plan = match args.plan() {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("error: {error}");
            return Ok(ExitCode::from(USAGE));
        }
    };
    run::raise_file_limit();
    let (report, tally) = run::run(&plan)?;
    print!("{}", report.text());
    if let Some(path) = &args.json {
        report.write_json(path).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    }
    if let Some(path) = &args.hgrm {
        let receipts = path.with_extension(
            path.extension()
                .map_or_else(|| "receipt".into(), |extension| format!("receipt.{}", extension.display())),
        );
        report::write_hgrm(&tally.submit_response, path)
            .map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
        if !tally.submit_receipt.is_empty() {
            report::write_hgrm(&tally.submit_receipt, &receipts)
                .map_err(|error| anyhow::anyhow!("{}: {error}", receipts.display()))?;
        }
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}
