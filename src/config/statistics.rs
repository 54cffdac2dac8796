//! `[account.statistics]`: an account's own counts, sent to it as messages.

use serde::{Deserialize, Serialize};

use super::BindType;
use super::error::Findings;
use super::smpp::check_c_octet_string;

/// Shortest and longest time between two of them, in milliseconds: a tenth of a second and a day.
const INTERVAL_MS: (u64, u64) = (100, 86_400_000);
/// Longest address, in octets (3.4 section 5.2.8, less its NUL).
const ADDRESS_OCTETS_MAX: usize = 20;

/// When an account gets its counts, and from and to which address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StatisticsConfig {
    /// Time from one message to the next, in milliseconds; 0 = there are none.
    pub interval_ms: u64,
    /// source_addr of the deliver_sm, 1 to 20 characters.
    pub source_addr: String,
    /// destination_addr of the deliver_sm, at most 20 characters; empty: the first of the account's addresses, else its
    /// system_id.
    pub destination_addr: String,
}

impl Default for StatisticsConfig {
    fn default() -> Self {
        Self { interval_ms: 0, source_addr: "smscd-stats".to_owned(), destination_addr: String::new() }
    }
}

impl StatisticsConfig {
    /// Checks it for an account that may bind as `bind` says.
    pub(super) fn validate(&self, key: &str, bind: &[BindType], findings: &mut Findings) {
        if let Err(what) = check_c_octet_string(&self.source_addr, ADDRESS_OCTETS_MAX) {
            findings.add(format!("{key}.source_addr"), what);
        }
        if !self.destination_addr.is_empty()
            && let Err(what) = check_c_octet_string(&self.destination_addr, ADDRESS_OCTETS_MAX)
        {
            findings.add(format!("{key}.destination_addr"), what);
        }
        if self.interval_ms == 0 {
            return;
        }
        findings.in_range(format!("{key}.interval_ms"), self.interval_ms, INTERVAL_MS);
        if bind.iter().all(|&bind| bind == BindType::Transmitter) {
            findings.add(
                format!("{key}.interval_ms"),
                "the account may bind as transmitter only, which receives nothing",
            );
        }
    }
}
