//! The command line: subcommands, flags on top of the configuration file, exit codes.

use std::io::{self, BufRead, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, value_parser};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::reload::ConfigSource;
use super::{log, store_tools};
use crate::config::{Config, DEFAULT_TOML, Durability, EnginePlan, Overrides, password};

/// It failed at run time.
const EXIT_FAILED: u8 = 1;
/// The command line or the configuration is wrong.
const EXIT_USAGE: u8 = 2;

#[derive(Debug, Parser)]
#[command(name = "smscd", version, about = "An SMSC: SMPP on one side, a mobile network on the other")]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon (the default)
    Run(RunArgs),
    /// Validate a configuration and print it as it takes effect, secrets left out
    Check(RunArgs),
    /// Read a password and print its argon2id hash for password_hash
    HashPassword(HashArgs),
    /// Print the default configuration with comments
    DefaultConfig,
    /// Look at the store in a data folder that no daemon uses; changes nothing
    #[command(subcommand)]
    Store(StoreCommand),
}

#[derive(Debug, Args)]
struct HashArgs {
    /// Memory that a check takes, in KiB. Less makes binds cheaper, and guessing by whoever has the file
    #[arg(long, value_name = "N", default_value_t = password::MEMORY_KIB)]
    #[arg(value_parser = value_parser!(u32).range(8..=i64::from(password::MEMORY_KIB_MAX)))]
    memory_kib: u32,
    /// Passes over that memory
    #[arg(long, value_name = "N", default_value_t = password::PASSES)]
    #[arg(value_parser = value_parser!(u32).range(1..=i64::from(password::PASSES_MAX)))]
    passes: u32,
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    /// Read every segment; print what is pending and what is damaged. Exit code 1 when something is
    Check(StoreArgs),
    /// Print every pending message as a line of JSON
    Dump {
        #[command(flatten)]
        args: StoreArgs,
        /// With addresses, body and text
        #[arg(long)]
        bodies: bool,
        /// Configuration file (TOML) whose default_alphabet of each account tells how text reads; without it, GSM 7-bit
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Print the sizes of the store
    Stats(StoreArgs),
}

#[derive(Args, Debug)]
struct StoreArgs {
    /// The data folder [default: ./smscd-data]
    #[arg(long, value_name = "DIR", default_value = "./smscd-data", hide_default_value = true)]
    data_dir: PathBuf,
}

/// Where the configuration comes from; each flag overrides the file.
#[derive(Args, Clone, Debug, Default)]
struct RunArgs {
    /// Configuration file (TOML); without it, the defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// SMPP address to listen on, may be given several times [default: 127.0.0.1:2775]
    #[arg(long, value_name = "ADDR")]
    listen: Vec<SocketAddr>,
    /// HTTP address to listen on [default: 127.0.0.1:2780]
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// Folder of what outlives the process [default: ./smscd-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Worker threads, 0 = by the number of cores [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    workers: Option<u16>,
    /// Routing shards, 0 = by the number of cores [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    shards: Option<u16>,
    /// What an accepted message survives: the machine, the process, neither [default: sync]
    #[arg(long, value_name = "HOW", value_parser = durability_parser())]
    durability: Option<Durability>,
    /// Leave the threads' cores to the kernel
    #[arg(long)]
    no_pin: bool,
}

fn durability_parser() -> impl TypedValueParser<Value = Durability> {
    PossibleValuesParser::new(Durability::ALL.map(Durability::name)).map(|name| {
        Durability::ALL.into_iter().find(|durability| durability.name() == name).unwrap_or_default()
    })
}

impl RunArgs {
    fn load(self) -> Result<(Config, ConfigSource), ExitCode> {
        let overrides = Overrides {
            listen: self.listen,
            http: self.http,
            data_dir: self.data_dir,
            workers: self.workers,
            shards: self.shards,
            durability: self.durability,
            no_pin: self.no_pin,
        };
        let source = ConfigSource { path: self.config, overrides };
        match source.load() {
            Ok((config, _)) => Ok((config, source)),
            Err(error) => {
                eprintln!("{error}");
                Err(ExitCode::from(EXIT_USAGE))
            }
        }
    }
}

/// Parses the command line and does what it says; the process's exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // --help and --version arrive here too, with code 0. Nothing can be done about a closed stream.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_USAGE));
        }
    };
    match cli.command.unwrap_or(Command::Run(cli.run)) {
        Command::Run(args) => match args.load() {
            Ok((config, source)) => run(config, source),
            Err(code) => code,
        },
        Command::Check(args) => match args.load() {
            Ok((config, _)) => finish(check(&config, cores())),
            Err(code) => code,
        },
        Command::HashPassword(args) => finish(hash_password(&args)),
        Command::DefaultConfig => finish(print(DEFAULT_TOML)),
        Command::Store(command) => store(&command),
    }
}

fn run(config: Config, source: ConfigSource) -> ExitCode {
    // stdout carries the ready line only.
    let (level, _flush) = log::init(config.log.level);
    match super::run::run(config, source, vec![level]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn store(command: &StoreCommand) -> ExitCode {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let result = match command {
        StoreCommand::Check(args) => store_tools::check(&args.data_dir, &mut out),
        StoreCommand::Dump { args, bodies, config } => {
            let config = match config.as_deref().map(|path| Config::load(Some(path), &Overrides::default())) {
                None => Config::default(),
                Some(Ok(config)) => config,
                Some(Err(error)) => {
                    eprintln!("{error}");
                    return ExitCode::from(EXIT_USAGE);
                }
            };
            store_tools::dump(&args.data_dir, *bodies, &config, &mut out).map(|()| true)
        }
        StoreCommand::Stats(args) => store_tools::stats(&args.data_dir, &mut out).map(|()| true),
    };
    match result.and_then(|is_sound| Ok(out.flush().map(|()| is_sound)?)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_FAILED),
        Err(error) => match error.downcast::<io::Error>() {
            // `smscd store dump | head` is no failure.
            Ok(error) => finish(Err(error)),
            Err(error) => {
                eprintln!("smscd: {error:#}");
                ExitCode::from(EXIT_FAILED)
            }
        },
    }
}

/// Cores that this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Prints the configuration as TOML, and the plan as comments so that the whole stays TOML.
fn check(config: &Config, cores: usize) -> io::Result<()> {
    let plan = EnginePlan::for_cores(cores, &config.engine).to_string();
    let plan: String = plan.lines().map(|line| format!("# {line}\n")).collect();
    print(&format!("{}\n# On this machine ({cores} cores):\n{plan}", config.to_toml()))
}

fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Reads one line from stdin, without showing it on a terminal, and prints its hash.
fn hash_password(args: &HashArgs) -> io::Result<()> {
    let stdin = io::stdin();
    let mut line = String::new();
    if stdin.is_terminal() {
        eprint!("Password: ");
        let shown = tcgetattr(&stdin)?;
        let mut hidden = shown.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Flush, &hidden)?;
        let read = stdin.lock().read_line(&mut line);
        tcsetattr(&stdin, OptionalActions::Flush, &shown)?;
        eprintln!();
        read?;
    } else {
        stdin.lock().read_line(&mut line)?;
    }
    let typed = line.strip_suffix('\n').map_or(&*line, |line| line.strip_suffix('\r').unwrap_or(line));
    if typed.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the password is empty"));
    }
    let hash = password::hash(typed.as_bytes(), args.memory_kib, args.passes).map_err(io::Error::other)?;
    print(&format!("{hash}\n"))
}

fn finish(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // `smscd default-config | head` is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("smscd: {error}");
            ExitCode::from(if error.kind() == io::ErrorKind::InvalidInput { EXIT_USAGE } else { EXIT_FAILED })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_work_with_and_without_run() {
        let flags = [
            "--listen",
            "127.0.0.1:0",
            "--listen",
            "[::1]:0",
            "--workers",
            "2",
            "--durability",
            "none",
            "--no-pin",
        ];
        let bare = Cli::try_parse_from(["smscd"].into_iter().chain(flags)).unwrap();
        let named = Cli::try_parse_from(["smscd", "run"].into_iter().chain(flags)).unwrap();
        let Some(Command::Run(named)) = named.command else { panic!("{named:?}") };
        for args in [bare.run, named] {
            assert_eq!(
                (args.listen.len(), args.workers, args.durability),
                (2, Some(2), Some(Durability::None))
            );
            assert!(args.no_pin && args.load().is_ok());
        }
    }

    #[test]
    fn bad_flags_are_usage_errors() {
        for flags in [
            &["--listen", "localhost"][..],
            &["--workers", "-1"],
            &["--workers", "70000"],
            &["--durability", "disk"],
            &["--nonsense"],
            &["start"],
            &["--no-pin", "check"],
        ] {
            let error = Cli::try_parse_from(["smscd"].iter().chain(flags)).unwrap_err();
            assert_eq!(error.exit_code(), i32::from(EXIT_USAGE), "{flags:?}");
        }
    }
}
