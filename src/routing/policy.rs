//! What routing goes by for each account, small and side by side: the hot path looks it up for every message.

use super::{SettingsError, ShardSettings};
use crate::base::{AccountId, IdForms};
use crate::limits::ACCOUNTS_MAX;
use crate::smpp::text::DefaultAlphabet;
use crate::smpp::time_format::DateDigits;
use crate::store::Durability;

/// What routing goes by for one account.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    pub(super) validity_default_ms: u64,
    pub(super) validity_max_ms: u64,
    /// 0: duplicates are messages like any other.
    pub(super) duplicate_window_ms: u64,
    pub(super) durability: Durability,
    pub(super) receipt_dates: DateDigits,
    pub(super) ids: IdForms,
    /// Whether the end of a broadcast is told by a receipt.
    pub(super) broadcast_receipts: bool,
    pub(super) default_alphabet: DefaultAlphabet,
    /// 0: each part of a message has its own receipt.
    pub(super) parts_wait_ms: u64,
}

/// The policies of all accounts of the configuration.
#[derive(Debug)]
pub(super) struct Policies {
    policies: Vec<Policy>,
    /// Of accounts that only messages of earlier runs name.
    former: Policy,
}

impl Policies {
    /// # Errors
    /// [`SettingsError::TooManyAccounts`].
    pub(super) fn new(settings: &ShardSettings) -> Result<Self, SettingsError> {
        if settings.accounts.len() > ACCOUNTS_MAX {
            return Err(SettingsError::TooManyAccounts);
        }
        let ms = |seconds: u64| seconds.saturating_mul(1_000);
        let former = Policy {
            validity_default_ms: ms(settings.validity_default_s),
            validity_max_ms: ms(settings.validity_max_s),
            duplicate_window_ms: 0,
            durability: settings.durability,
            receipt_dates: DateDigits::default(),
            ids: IdForms::default(),
            broadcast_receipts: false,
            default_alphabet: DefaultAlphabet::default(),
            parts_wait_ms: 0,
        };
        let policies = settings.accounts.iter().map(|account| {
            let validity_max_ms = account.validity_max_s.map_or(former.validity_max_ms, ms);
            Policy {
                validity_default_ms: account
                    .validity_default_s
                    .map_or(former.validity_default_ms, ms)
                    .min(validity_max_ms),
                validity_max_ms,
                duplicate_window_ms: account.duplicate_window_ms,
                durability: account.durability.unwrap_or(settings.durability),
                receipt_dates: account.receipt_dates,
                ids: account.ids,
                broadcast_receipts: account.broadcast_receipts,
                default_alphabet: account.default_alphabet,
                parts_wait_ms: account.parts_wait_ms,
            }
        });
        Ok(Self { policies: policies.collect(), former })
    }

    #[inline]
    pub(super) fn get(&self, account: AccountId) -> &Policy {
        self.policies.get(account.index()).unwrap_or(&self.former)
    }

    /// Whether the account is one of the configuration.
    #[inline]
    pub(super) const fn is_configured(&self, account: AccountId) -> bool {
        account.index() < self.policies.len()
    }

    /// Whether any account suppresses duplicates.
    pub(super) fn any_duplicate_window(&self) -> bool {
        self.policies.iter().any(|policy| policy.duplicate_window_ms > 0)
    }
}
