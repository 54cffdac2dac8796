//! `[edr]`: event records of each message, for billing and for the question what became of it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::Findings;

/// Smallest file that is worth rotating, in octets.
const ROTATE_BYTES_MIN: u64 = 4_096;
/// Longest time between rotations, in seconds: a month.
const ROTATE_S_MAX: u64 = 31 * 86_400;

/// Event records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EdrConfig {
    /// The file that records are appended to; empty: there are none.
    pub path: PathBuf,
    /// How they are written.
    pub format: EdrFormat,
    /// The file is put aside once it has so many octets; 0 = never for that.
    pub rotate_bytes: u64,
    /// The file is put aside once it is so old; 0 = never for that.
    pub rotate_s: u64,
    /// Files put aside that are kept, the oldest go first; 0 = all.
    pub files_max: u32,
    /// What has a record.
    pub events: Vec<EdrEvent>,
    /// Whether the octets of the message are written too.
    pub bodies: bool,
}

/// What happens to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EdrEvent {
    /// It is held as its account's durability says.
    Accepted,
    /// An attempt has failed for now.
    Attempt,
    /// It has come to its end.
    Final,
}

/// How a record is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EdrFormat {
    /// A line of comma-separated values; each file begins with their names.
    #[default]
    Csv,
    /// A JSON object a line.
    Jsonl,
}

impl Default for EdrConfig {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            format: EdrFormat::Csv,
            rotate_bytes: 256 * 1024 * 1024,
            rotate_s: 86_400,
            files_max: 0,
            events: vec![EdrEvent::Final],
            bodies: false,
        }
    }
}

impl EdrConfig {
    /// Whether records are written.
    pub fn is_on(&self) -> bool {
        !self.path.as_os_str().is_empty()
    }

    /// Whether records of `event` are.
    pub fn records(&self, event: EdrEvent) -> bool {
        self.is_on() && self.events.contains(&event)
    }

    pub(super) fn validate(&self, findings: &mut Findings) {
        if self.rotate_bytes != 0 && self.rotate_bytes < ROTATE_BYTES_MIN {
            findings.add("edr.rotate_bytes", format!("must be 0 or at least {ROTATE_BYTES_MIN}"));
        }
        if self.events.is_empty() {
            findings
                .add("edr.events", "must not be empty; to have no records leave edr.path empty".to_owned());
        }
        findings.in_range("edr.rotate_s", self.rotate_s, (0, ROTATE_S_MAX));
    }
}
