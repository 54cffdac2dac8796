//! Taking over a changed configuration while messages are held. Accounts keep their numbers, so nothing that is held has
//! to be looked at; what is taken in from now on goes by the new rules.

use super::settings::{AccountRouting, RetrySettings, SettingsError, ShardSettings};
use super::{Shard, policy::Policies};
use crate::base::mobile::MobileNetwork;
use crate::base::{AccountId, PrefixMap};
use crate::store::MessageStore;

/// What may change of a shard's settings.
#[derive(Clone, Debug)]
pub struct ShardChange {
    /// See [`ShardSettings::accounts`]. None is missing that there was before.
    pub accounts: Vec<AccountRouting>,
    /// See [`ShardSettings::validity_default_s`].
    pub validity_default_s: u64,
    /// See [`ShardSettings::validity_max_s`].
    pub validity_max_s: u64,
    /// See [`ShardSettings::receipt_validity_s`].
    pub receipt_validity_s: u64,
    /// See [`ShardSettings::transaction_validity_s`].
    pub transaction_validity_s: u64,
    /// See [`ShardSettings::retry_absent`].
    pub retry_absent: RetrySettings,
    /// See [`ShardSettings::retry_congestion`].
    pub retry_congestion: RetrySettings,
    /// See [`ShardSettings::retry_refused`].
    pub retry_refused: RetrySettings,
}

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    /// Goes by these settings from now on.
    ///
    /// # Errors
    /// [`SettingsError`], and nothing has changed.
    pub fn reconfigure(&mut self, change: ShardChange) -> Result<(), SettingsError> {
        let ShardChange {
            accounts,
            validity_default_s,
            validity_max_s,
            receipt_validity_s,
            transaction_validity_s,
            retry_absent,
            retry_congestion,
            retry_refused,
        } = change;
        let settings = ShardSettings {
            accounts,
            validity_default_s,
            validity_max_s,
            receipt_validity_s,
            transaction_validity_s,
            retry_absent,
            retry_congestion,
            retry_refused,
            ..self.settings.clone()
        };
        let policies = Policies::new(&settings)?;
        let owners = owners(&settings.accounts)?;
        self.sessions.reconfigure(settings.accounts.iter().map(|account| account.claims_by_address_range));
        if policies.any_duplicate_window() {
            self.duplicates.make_room();
        }
        self.accounts = policies;
        self.owners = owners;
        self.settings = settings;
        Ok(())
    }

    /// The mobile network, for the shell that reconfigures it.
    pub const fn network_mut(&mut self) -> &mut N {
        &mut self.network
    }
}

/// Who owns which addresses.
///
/// # Errors
/// [`SettingsError::OwnedTwice`].
pub(super) fn owners(accounts: &[AccountRouting]) -> Result<PrefixMap<AccountId>, SettingsError> {
    let mut owners = PrefixMap::new();
    for (account, owned) in (0..).map(AccountId).zip(accounts) {
        let twice = |what, text: &[u8]| SettingsError::OwnedTwice {
            what,
            text: String::from_utf8_lossy(text).into_owned(),
        };
        for address in &owned.addresses {
            if *owners.insert_exact(address, account) != account {
                return Err(twice("address", address));
            }
        }
        for prefix in &owned.prefixes {
            if *owners.insert_prefix(prefix, account) != account {
                return Err(twice("prefix", prefix));
            }
        }
    }
    Ok(owners)
}
