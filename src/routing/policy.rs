//! What routing goes by for each account, small and side by side: the hot path looks it up for every message.

use std::collections::HashMap;

use super::{SettingsError, ShardSettings};
use crate::base::{AccountId, AccountKey};
use crate::limits::ACCOUNTS_MAX;
use crate::smpp::time_format::DateDigits;
use crate::store::Durability;

/// Accounts that messages of earlier runs may belong to and the configuration does not have, at most.
const FORMER_ACCOUNTS_MAX: usize = ACCOUNTS_MAX;

/// What routing goes by for one account.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    pub(super) key: AccountKey,
    pub(super) validity_default_ms: u64,
    pub(super) validity_max_ms: u64,
    /// 0: duplicates are messages like any other.
    pub(super) duplicate_window_ms: u64,
    pub(super) durability: Durability,
    pub(super) receipt_dates: DateDigits,
}

/// The policies of all accounts: those of the configuration, then those that only messages of earlier runs name.
#[derive(Debug)]
pub(super) struct Policies {
    policies: Vec<Policy>,
    configured: usize,
    by_key: HashMap<AccountKey, AccountId>,
    /// Of an account that is not in the configuration.
    former: Policy,
}

impl Policies {
    /// # Errors
    /// [`SettingsError`] when there are too many accounts, or two have the same key.
    pub(super) fn new(settings: &ShardSettings) -> Result<Self, SettingsError> {
        if settings.accounts.len() > ACCOUNTS_MAX {
            return Err(SettingsError::TooManyAccounts);
        }
        let former = Policy {
            key: AccountKey::default(),
            validity_default_ms: settings.validity_default_s.saturating_mul(1_000),
            validity_max_ms: settings.validity_max_s.saturating_mul(1_000),
            duplicate_window_ms: 0,
            durability: settings.durability,
            receipt_dates: DateDigits::default(),
        };
        let policies: Vec<Policy> = settings
            .accounts
            .iter()
            .map(|account| {
                let validity_max_ms =
                    account.validity_max_s.map_or(former.validity_max_ms, |s| s.saturating_mul(1_000));
                let validity_default_ms = account
                    .validity_default_s
                    .map_or(former.validity_default_ms, |s| s.saturating_mul(1_000));
                Policy {
                    key: account.key,
                    validity_default_ms: validity_default_ms.min(validity_max_ms),
                    validity_max_ms,
                    duplicate_window_ms: account.duplicate_window_ms,
                    durability: account.durability.unwrap_or(settings.durability),
                    receipt_dates: account.receipt_dates,
                }
            })
            .collect();
        let mut by_key = HashMap::new();
        for (account, policy) in (0..).map(AccountId).zip(&policies) {
            if by_key.insert(policy.key, account).is_some() {
                return Err(SettingsError::SameKey);
            }
        }
        Ok(Self { configured: policies.len(), policies, by_key, former })
    }

    #[inline]
    pub(super) fn get(&self, account: AccountId) -> &Policy {
        self.policies.get(account.index()).unwrap_or(&self.former)
    }

    /// Whether the account is one of the configuration.
    #[inline]
    pub(super) const fn is_configured(&self, account: AccountId) -> bool {
        account.index() < self.configured
    }

    /// How many there are, with those that only messages of earlier runs name.
    pub(super) const fn len(&self) -> usize {
        self.policies.len()
    }

    /// Whether any account suppresses duplicates.
    pub(super) fn any_duplicate_window(&self) -> bool {
        self.policies.iter().any(|policy| policy.duplicate_window_ms > 0)
    }

    /// The account with this key. One that the configuration does not have gets a place of its own, so that what is owed
    /// to it is mixed with nobody's and finds it when a later configuration has it again. `None`: there are too many
    /// of those.
    pub(super) fn account_of(&mut self, key: AccountKey) -> Option<AccountId> {
        if let Some(&account) = self.by_key.get(&key) {
            return Some(account);
        }
        if self.policies.len() == self.configured + FORMER_ACCOUNTS_MAX {
            return None;
        }
        let account = AccountId(u16::try_from(self.policies.len()).ok()?);
        self.policies.push(Policy { key, ..self.former });
        self.by_key.insert(key, account);
        Some(account)
    }
}
