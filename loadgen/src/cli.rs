//! The command line, and its translation into a [`Plan`]. What clap can't check is checked here; either way a bad
//! command line ends with exit code 2 and a sentence that names the flag.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::link::{Tls, Trust};
use crate::matching::LOG_MAX;
use crate::plan::{BindMode, Load, Plan};
use crate::schedule::Arrivals;
use crate::template::{DESTINATIONS_MAX, MULTI_MAX, PAYLOAD_BYTES_MAX, Shape, TEXT_LEN_MAX};

/// submit_sm unanswered a session, where no flag says otherwise.
const WINDOW: u32 = 200;
/// Largest window of one session.
const WINDOW_MAX: u32 = 1 << 20;
/// How long to send where neither --count nor --duration is given.
const DURATION: Duration = Duration::from_secs(10);

/// Open- and closed-loop SMPP load generator with honest latency.
///
/// Without flags: 8 transceiver sessions as demo/demo on 127.0.0.1:2775, closed loop with a window of 200,
/// 60 characters of text, no receipts, for 10 seconds.
#[derive(Debug, Parser)]
#[command(name = "smsc-loadgen", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The cheapest possible responder: what a figure can be compared with.
    Floor(FloorArgs),
}

/// Flags of `floor`.
#[derive(Debug, Args)]
pub(crate) struct FloorArgs {
    /// Where to listen; port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:2775")]
    pub(crate) listen: SocketAddr,
    /// Send a receipt for every message, after its response, asked for or not.
    #[arg(long)]
    pub(crate) receipts: bool,
    /// Stop after this many seconds.
    #[arg(long, value_name = "S", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_seconds: u64,
    /// Run on this core.
    #[arg(long, value_name = "CORE")]
    pub(crate) pin: Option<usize>,
    /// Never sleep in the poll.
    #[arg(long)]
    pub(crate) spin: bool,
}

/// Flags of a run.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The SMSC: host and port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:2775")]
    target: String,
    /// Speak TLS; with --tls-ca or --tls-insecure.
    #[arg(long, requires = "trust")]
    tls: bool,
    /// The target's certificate must lead to an authority in this PEM file.
    #[arg(long, value_name = "FILE", group = "trust", requires = "tls")]
    tls_ca: Option<PathBuf>,
    /// Take any certificate.
    #[arg(long, group = "trust", requires = "tls")]
    tls_insecure: bool,
    /// system_id of every bind, at most 15 characters.
    #[arg(long, value_name = "S", default_value = "demo")]
    system_id: String,
    /// Its password; the specifications allow 8 characters, up to 64 are sent.
    #[arg(long, value_name = "P", default_value = "demo")]
    password: String,
    /// Sessions in all. In tx+rx mode each is a transmitter and a receiver.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    sessions: u32,
    /// How sessions bind.
    #[arg(long, value_enum, default_value_t = BindMode::Trx)]
    bind: BindMode,
    /// Threads, each with its own event loop and its share of the sessions.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,

    /// Closed loop: submit_sm unanswered a session [default: 200]. With --rate: a limit, lateness counts.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(WINDOW_MAX)))]
    window: Option<u32>,
    /// Open loop: messages a second in all. Latency is counted from the time that the schedule intends.
    #[arg(long, value_name = "PER_S")]
    rate: Option<f64>,
    /// Open loop: how messages are spread over time.
    #[arg(long, value_enum, default_value_t = Arrivals::Even, requires = "rate")]
    arrivals: Arrivals,
    /// Bind this many sessions, answer enquire_link and send nothing. Prints `idle ready sessions=N` when bound.
    #[arg(long, value_name = "N", conflicts_with_all = ["rate", "window", "sessions", "count", "receipts", "verify"])]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    idle: Option<u32>,

    /// Stop after this many messages.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Stop sending after this long: 10, 10s, 500ms, 2m [default: 10s unless --count is given].
    #[arg(long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// Time at the beginning that is not measured, beyond --duration.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "0s")]
    warmup: Duration,
    /// Give up on what is missing when nothing has arrived for this long.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s")]
    drain_timeout: Duration,

    /// Ask for a receipt for every message.
    #[arg(long)]
    receipts: bool,
    /// Account for every response, message id and receipt exactly once; exit 1 if one is missing, repeated or unknown.
    #[arg(long)]
    verify: bool,
    /// Send throttled messages (ESME_RTHROTTLED, ESME_RMSGQFUL) again after a pause.
    #[arg(long)]
    retry_throttled: bool,

    /// Characters of text.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u16).range(0..=TEXT_LEN_MAX as i64))]
    text_len: u16,
    /// Octets of a message_payload, sent in place of the text; 0 = the text.
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "text_len", value_parser = clap::value_parser!(u32).range(0..=i64::from(PAYLOAD_BYTES_MAX)))]
    payload_bytes: u32,
    /// Send submit_multi to so many destinations each; 0 = submit_sm. A message counts once, with all its destinations;
    /// one of which some are refused counts as accepted.
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with_all = ["receipts", "verify"], value_parser = clap::value_parser!(u8).range(0..=i64::from(MULTI_MAX)))]
    multi: u8,
    /// Destination addresses to go through, from 447700900000.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=DESTINATIONS_MAX))]
    destinations: u64,
    /// Source address of every message, at most 20 characters.
    #[arg(long, value_name = "ADDR", default_value = "12345")]
    source: String,

    /// Run the first thread on this core, the others on the following ones.
    #[arg(long, value_name = "CORE")]
    pin: Option<usize>,
    /// Never sleep while sending: exact send times for the price of a core a thread.
    #[arg(long)]
    spin: bool,
    /// Write the result as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write the percentile distribution of submit to response for HdrHistogram's tools; that of submit to receipt
    /// goes beside it, as FILE with .receipt before its extension.
    #[arg(long, value_name = "FILE")]
    pub(crate) hgrm: Option<PathBuf>,
}

/// A time with unit `ms`, `s`, `m` or `h`; seconds without.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_s = match &text[digits.len()..] {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        unit => return Err(format!("unknown unit \"{unit}\": use ms, s, m or h")),
    };
    let number: f64 =
        digits.parse().map_err(|_| "not a number with a unit, as 500ms, 10s or 2m".to_owned())?;
    let seconds = number * unit_s;
    if !(0.0..=31_536_000.0).contains(&seconds) {
        return Err("must lie between 0 and one year".into());
    }
    Ok(Duration::from_secs_f64(seconds))
}

impl RunArgs {
    /// Checks the flags together. The error is one sentence.
    pub(crate) fn plan(&self) -> Result<Plan, String> {
        for (flag, text, max) in [
            ("--system-id", &self.system_id, 15),
            ("--password", &self.password, 64),
            ("--source", &self.source, 20),
        ] {
            if text.len() > max || text.bytes().any(|octet| !(0x20..0x7F).contains(&octet)) {
                return Err(format!("{flag} takes at most {max} printable ASCII characters"));
            }
        }
        let address = self
            .target
            .to_socket_addrs()
            .map_err(|error| format!("--target {}: {error}; give HOST:PORT", self.target))?
            .next()
            .ok_or_else(|| format!("--target {}: no such host", self.target))?;
        let load = match (self.idle, self.rate) {
            (Some(_), _) => Load::Idle,
            (None, Some(rate)) => {
                if !(rate.is_finite() && (0.001..=1e9).contains(&rate)) {
                    return Err("--rate must lie between 0.001 and 1000000000 messages a second".into());
                }
                Load::Open { rate, arrivals: self.arrivals, window: self.window }
            }
            (None, None) => Load::Closed { window: self.window.unwrap_or(WINDOW) },
        };
        if self.verify && self.count.is_some_and(|count| count > LOG_MAX) {
            return Err(format!("--verify accounts for at most {LOG_MAX} messages; lower --count"));
        }
        let sessions = self.idle.unwrap_or(self.sessions) as usize;
        let threads = usize::from(self.threads);
        if threads > sessions {
            return Err(format!("--threads {threads} is more than the {sessions} sessions"));
        }
        let cores = core_affinity::get_core_ids().map_or(0, |cores| cores.len());
        if let Some(pin) = self.pin
            && pin + threads > cores
        {
            return Err(format!(
                "--pin {pin} with {threads} threads needs more than the {cores} cores of this machine"
            ));
        }
        let trust = self.tls_ca.clone().map_or(Trust::Anybody, Trust::Authorities);
        let host = self.target.rsplit_once(':').map_or("", |(host, _)| host);
        let tls = self.tls.then(|| Tls::new(host.trim_matches(['[', ']']), &trust));
        Ok(Plan {
            target: self.target.clone(),
            address,
            tls: tls.transpose().map_err(|error| format!("{error:#}"))?,
            system_id: self.system_id.clone(),
            password: self.password.clone(),
            bind: self.bind,
            sessions,
            threads,
            load,
            count: self.count,
            duration: self.duration.or_else(|| self.count.is_none().then_some(DURATION)),
            warmup: self.warmup,
            shape: Shape {
                source: self.source.clone(),
                text_len: usize::from(self.text_len),
                destinations: self.destinations,
                receipts: self.receipts,
                multi: self.multi,
                payload_bytes: self.payload_bytes,
            },
            verify: self.verify,
            retry_throttled: self.retry_throttled,
            drain_timeout: self.drain_timeout,
            pin: self.pin,
            spin: self.spin,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn plan(flags: &[&str]) -> Result<Plan, String> {
        let cli =
            Cli::try_parse_from(std::iter::once(&"smsc-loadgen").chain(flags)).map_err(|e| e.to_string())?;
        cli.run.plan()
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_flags_means_the_contract() {
        let plan = plan(&[]).unwrap();
        assert_eq!(plan.target, "127.0.0.1:2775");
        assert_eq!((plan.system_id.as_str(), plan.password.as_str()), ("demo", "demo"));
        assert_eq!((plan.sessions, plan.threads, plan.bind), (8, 1, BindMode::Trx));
        assert_eq!(plan.load, Load::Closed { window: 200 });
        assert_eq!((plan.duration, plan.count), (Some(Duration::from_secs(10)), None));
        assert_eq!((plan.shape.text_len, plan.shape.receipts), (60, false));
    }

    #[test]
    fn flags_take_effect() {
        let plan =
            plan(&["--rate", "200000", "--arrivals", "poisson", "--bind", "tx+rx", "--count", "5"]).unwrap();
        assert_eq!(plan.load, Load::Open { rate: 200_000.0, arrivals: Arrivals::Poisson, window: None });
        assert_eq!((plan.connections(), plan.count, plan.duration), (16, Some(5), None));
        assert!(plan.tls.is_none() && self::plan(&["--tls", "--tls-insecure"]).unwrap().tls.is_some());
        assert_eq!(self::plan(&["--idle", "9000"]).unwrap().load, Load::Idle);
    }

    #[test]
    fn bad_usage_names_the_flag() {
        for (flags, named) in [
            (&["--system-id", "sixteen-letters!"][..], "--system-id"),
            (&["--password", "p\u{e4}ss"], "--password"),
            (&["--rate", "0"], "--rate"),
            (&["--rate", "nan"], "--rate"),
            (&["--threads", "9"], "--threads"),
            (&["--window", "0"], "--window"),
            (&["--arrivals", "poisson"], "--rate"),
            (&["--target", "nonsense"], "--target"),
            (&["--idle", "5", "--rate", "5"], "--idle"),
            (&["--duration", "10 parsecs"], "--duration"),
            (&["--text-len", "255"], "--text-len"),
            (&["--verify", "--count", "99999999999"], "--count"),
            (&["--tls"], "--tls-ca"),
            (&["--tls-insecure"], "--tls"),
            (&["--tls", "--tls-ca", "/nowhere/ca.pem"], "--tls-ca /nowhere/ca.pem"),
        ] {
            let error = plan(flags).unwrap_err();
            assert!(error.contains(named), "{flags:?}: {error}");
        }
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "s", "-1s", "1d", "1s2", "inf", "nan"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
