//! `[log]`: what goes to stderr.

use serde::{Deserialize, Serialize};

/// Logging.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Least severe level that is logged; the environment variable RUST_LOG overrides it.
    pub level: LogLevel,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What keeps smscd from doing its work.
    Error,
    /// What an operator should look at.
    Warn,
    /// Starts, stops, binds.
    #[default]
    Info,
    /// What is normal on the internet: scans, resets.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// Its name, as the file and the log filter spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}
