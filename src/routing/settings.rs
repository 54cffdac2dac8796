//! What a shard is told once, at its start.

use super::event::EventKinds;
use crate::base::{IdForms, ShortIds};
use crate::limits::{ACCOUNTS_MAX, QUEUED_AT_HAND};
use crate::smpp::text::DefaultAlphabet;
use crate::smpp::time_format::DateDigits;
use crate::store::Durability;

/// Settings of one routing shard.
#[derive(Clone, Debug)]
pub struct ShardSettings {
    /// This shard's index, below `shards`.
    pub shard: u16,
    /// How many shards the process has (1 to 128).
    pub shards: u16,
    /// The short ids that it shares with the other shards and the workers.
    pub short_ids: ShortIds,
    /// This node's number (0 to 31), part of every message id.
    pub node: u8,
    /// Seeds the jitter of retries.
    pub seed: u64,
    /// Scatters subscribers over a hash table. Secret where strangers choose the addresses.
    pub hash_key: u64,
    /// The most messages, receipts owed and MO messages held at once. Beyond: ESME_RMSGQFUL.
    pub messages_max: u32,
    /// How many final states are remembered for queries; rounded up to a power of two. Newer ones displace older.
    pub final_history_records: u32,
    /// How long a final state is remembered, in seconds.
    pub final_history_s: u32,
    /// What a message must have reached before it counts as accepted, for accounts that say nothing else.
    pub durability: Durability,
    /// validity_period of a message that names none, in seconds.
    pub validity_default_s: u64,
    /// The longest validity_period that is accepted, in seconds. Beyond: ESME_RINVEXPIRY. A schedule farther ahead:
    /// ESME_RINVSCHED.
    pub validity_max_s: u64,
    /// How long a receipt is offered to its ESME, in seconds from the final state.
    pub receipt_validity_s: u64,
    /// The longest validity of a message in transaction mode, in seconds, whatever it names.
    pub transaction_validity_s: u64,
    /// When an attempt at an absent subscriber is repeated.
    pub retry_absent: RetrySettings,
    /// When an attempt is repeated that met congestion: in the network, or of an ESME that says it is throttled or full.
    pub retry_congestion: RetrySettings,
    /// When a delivery that an ESME refused for now for another reason, or did not answer, is repeated.
    pub retry_refused: RetrySettings,
    /// The highest id counter that an earlier run may have used; 0 if none.
    pub id_high_water: u64,
    /// Messages of one priority in an account's queue up to which none of them is parked; see [`QUEUED_AT_HAND`].
    pub queued_at_hand: u32,
    /// What is stated of each message in full, by [`super::ShardOutput::message_event`].
    pub events: EventKinds,
    /// Every account, by its [`crate::base::AccountId`]; at most [`ACCOUNTS_MAX`].
    pub accounts: Vec<AccountRouting>,
}

impl Default for ShardSettings {
    fn default() -> Self {
        Self {
            shard: 0,
            shards: 1,
            short_ids: ShortIds::default(),
            node: 0,
            seed: 0,
            hash_key: 0,
            messages_max: 1_000_000,
            final_history_records: 1 << 20,
            final_history_s: 3_600,
            durability: Durability::None,
            validity_default_s: 24 * 3_600,
            validity_max_s: 7 * 24 * 3_600,
            receipt_validity_s: 24 * 3_600,
            transaction_validity_s: 30,
            retry_absent: RetrySettings::default(),
            retry_congestion: RetrySettings::default(),
            retry_refused: RetrySettings::default(),
            id_high_water: 0,
            queued_at_hand: QUEUED_AT_HAND,
            events: EventKinds::default(),
            accounts: Vec::new(),
        }
    }
}

/// Backoff between attempts: `first`, then `factor` times longer each time up to `max`, each moved at random by up
/// to `jitter_percent` either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetrySettings {
    /// After the first failed attempt, in milliseconds.
    pub first_ms: u64,
    /// Each further wait is this many times the one before; 1: constant.
    pub factor: u32,
    /// No wait is longer, in milliseconds.
    pub max_ms: u64,
    /// Share by which a wait is moved at random, in percent (0 to 100).
    pub jitter_percent: u32,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self { first_ms: 5_000, factor: 3, max_ms: 3_600_000, jitter_percent: 10 }
    }
}

impl RetrySettings {
    /// Milliseconds to wait after the `failed`th failed attempt (from 1). `draw` is any random number.
    pub fn wait_ms(&self, failed: u32, draw: u64) -> u64 {
        let growth = u64::from(self.factor).saturating_pow(failed.saturating_sub(1));
        let wait = self.first_ms.saturating_mul(growth).min(self.max_ms);
        let span = u128::from(wait) * u128::from(self.jitter_percent.min(100)) / 100;
        // Evenly over [wait - span, wait + span].
        let moved = (u128::from(draw) * (2 * span + 1)) >> 64;
        u64::try_from(u128::from(wait) - span + moved).unwrap_or(u64::MAX).max(1)
    }
}

/// What routing knows of an account.
#[derive(Clone, Debug, Default)]
pub struct AccountRouting {
    /// What its messages must have reached before they count as accepted; `None`: as the shard's settings say.
    pub durability: Option<Durability>,
    /// validity_period of its messages that name none, in seconds; `None`: the shard's.
    pub validity_default_s: Option<u64>,
    /// Its longest validity_period and farthest schedule, in seconds; `None`: the shard's. It also bounds the default.
    pub validity_max_s: Option<u64>,
    /// A submit_sm that repeats one of the last so many milliseconds gets its answer; 0: it is a message like any other.
    pub duplicate_window_ms: u64,
    /// Addresses that are this account's: messages to them go to its sessions.
    pub addresses: Vec<Vec<u8>>,
    /// Prefixes that are this account's; the longest over all accounts wins, a whole address before any prefix.
    pub prefixes: Vec<Vec<u8>>,
    /// Whether the address_range of a bind also makes addresses this account's, after all that is configured. An
    /// account that may do so can draw other accounts' messages to itself.
    pub claims_by_address_range: bool,
    /// Whether, of its own receiving sessions, those get a message first whose address_range has the address.
    pub delivers_by_address_range: bool,
    /// How receipts write their dates (UTC).
    pub receipt_dates: DateDigits,
    /// How its message ids are written and read.
    pub ids: IdForms,
    /// Whether the end of each of its broadcasts is told by a receipt: broadcast_sm has no registered_delivery.
    pub broadcast_receipts: bool,
    /// What data_coding 0 means in its messages; receipts quote them.
    pub default_alphabet: DefaultAlphabet,
    /// How long the receipts of a concatenated message's parts wait for each other, in milliseconds from the first final
    /// state on, to go out as one; 0: each goes out by itself.
    pub parts_wait_ms: u64,
}

impl AccountRouting {
    /// What the address_ranges of its binds are for.
    pub(super) const fn range_use(&self) -> RangeUse {
        RangeUse { claims: self.claims_by_address_range, chooses: self.delivers_by_address_range }
    }
}

/// What the address_ranges of an account's binds are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RangeUse {
    /// They make addresses the account's.
    pub(super) claims: bool,
    /// They say which of its sessions comes first.
    pub(super) chooses: bool,
}

/// Why settings were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// An address or prefix belongs to two accounts.
    #[error("{what} \"{text}\" belongs to two accounts")]
    OwnedTwice {
        /// `address` or `prefix`.
        what: &'static str,
        /// The address or prefix.
        text: String,
    },
    /// More accounts than [`ACCOUNTS_MAX`].
    #[error("more than {ACCOUNTS_MAX} accounts")]
    TooManyAccounts,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_maximum() {
        let retry = RetrySettings { first_ms: 100, factor: 3, max_ms: 1_000, jitter_percent: 0 };
        let waits: Vec<u64> = (1..=5).map(|failed| retry.wait_ms(failed, 12_345)).collect();
        assert_eq!(waits, [100, 300, 900, 1_000, 1_000]);
        assert_eq!(retry.wait_ms(u32::MAX, 0), 1_000);
    }

    #[test]
    fn jitter_stays_within_its_share() {
        let retry = RetrySettings { first_ms: 1_000, factor: 1, max_ms: 1_000, jitter_percent: 20 };
        assert_eq!(retry.wait_ms(1, 0), 800);
        assert_eq!(retry.wait_ms(1, u64::MAX), 1_200);
        assert_eq!(retry.wait_ms(1, u64::MAX / 2), 1_000);
    }
}
