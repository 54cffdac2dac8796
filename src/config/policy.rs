//! What an account may send, and from where: the checks of those keys of `[[account]]`.

use super::account::AccountConfig;
use super::error::Findings;
use super::smpp::check_c_octet_string;
use crate::limits;

/// Most entries of each list.
const ENTRIES_MAX: usize = 10_000;
/// Highest rate that is told from none, in messages per second: at more, what the rounding of one message's share of a
/// second is off by would show.
const RATE_PER_S_MAX: u64 = 10_000_000;
/// Longest alphanumeric address (3.4 section 5.2.8): 11 characters by the GSM network's rules, 20 octets on the wire.
const NAME_OCTETS_MAX: usize = 20;

impl AccountConfig {
    /// Whether anything has to be looked at in each message: if not, none of it costs anything.
    pub const fn restricts_messages(&self) -> bool {
        !self.source_addresses.is_empty()
            || !self.source_names.is_empty()
            || !self.destination_prefixes.is_empty()
            || self.message_bytes_max != 0
            || self.messages_per_day != 0
    }

    /// Whether a peer at `address` may bind.
    pub fn may_bind_from(&self, address: std::net::IpAddr) -> bool {
        self.allow_from.is_empty() || self.allow_from.iter().any(|range| range.contains(address))
    }

    pub(super) fn validate_policy(&self, key: &str, findings: &mut Findings) {
        for (name, len) in [
            ("allow_from", self.allow_from.len()),
            ("source_addresses", self.source_addresses.len()),
            ("source_names", self.source_names.len()),
            ("destination_prefixes", self.destination_prefixes.len()),
        ] {
            if len > ENTRIES_MAX {
                findings.add(format!("{key}.{name}"), format!("more than {ENTRIES_MAX} entries"));
            }
        }
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        for (i, entry) in self.source_addresses.iter().enumerate() {
            let address = entry.strip_suffix('*').unwrap_or(entry);
            if !digits(address) || address.len() > 20 {
                let what = "must be 1 to 20 digits, with a * behind them for all that start so";
                findings.add(format!("{key}.source_addresses[{i}]"), what);
            }
        }
        for (i, prefix) in self.destination_prefixes.iter().enumerate() {
            if !digits(prefix) || prefix.len() > 20 {
                findings.add(format!("{key}.destination_prefixes[{i}]"), "must be 1 to 20 digits");
            }
        }
        for (i, name) in self.source_names.iter().enumerate() {
            if let Err(what) = check_c_octet_string(name, NAME_OCTETS_MAX) {
                findings.add(format!("{key}.source_names[{i}]"), what);
            }
        }
        findings.in_range(format!("{key}.rate_per_s"), u64::from(self.rate_per_s), (0, RATE_PER_S_MAX));
        findings.in_range(
            format!("{key}.message_bytes_max"),
            u64::from(self.message_bytes_max),
            (0, limits::PDU_BYTES_MAX as u64),
        );
    }
}
