//! Configurations that take each other's place while everything runs, as typed changes: accounts disabled and enabled,
//! limits, windows, owned addresses, times. And what follows from one for whoever checks.

use std::sync::Arc;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::Rng;
use smscd::config::password;
use smscd::config::{
    AccountConfig, Change, CompatConfig, Config, DeliverBy, DistributionListConfig, Origin, Secret,
};
use smscd::routing::{AccountRouting, RetrySettings, ShardChange};
use smscd::runtime::accounts::AccountTable;
use smscd::smpp::CommandStatus;

use super::ids::preset;
use super::requests::{LIST, LIST_NAME};

pub(crate) const ACCOUNTS: [&str; 2] = ["alice", "bob"];
pub(crate) const PASSWORD: &str = "secret";
pub(crate) const RETRY: RetrySettings =
    RetrySettings { first_ms: 200, factor: 2, max_ms: 5_000, jitter_percent: 10 };
/// For ever, for a run; and no farther ahead than what can be parked.
pub(crate) const RECEIPT_VALIDITY_S: u64 = 18 * 86_400;
pub(crate) const VALIDITY_MAX_S: u64 = 7 * 86_400;

/// A configuration in effect, and the accounts of the workers that go by it.
#[derive(Clone)]
pub(crate) struct InEffect {
    seed: u64,
    pub(crate) config: Arc<Config>,
    pub(crate) table: Arc<AccountTable>,
}

/// Where messages go and how long they live, by one configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes {
    prefixes: Vec<(String, usize)>,
    /// By account; 0: those of it are messages like any other.
    pub(crate) duplicate_window_ms: Vec<u64>,
    pub(crate) validity_default_ms: u64,
}

impl Routes {
    fn of(config: &Config) -> Self {
        let owned = |(index, account): (usize, &AccountConfig)| {
            account.prefixes.iter().map(move |prefix| (prefix.clone(), index)).collect::<Vec<_>>()
        };
        Self {
            prefixes: config.accounts.iter().enumerate().flat_map(owned).collect(),
            duplicate_window_ms: config.accounts.iter().map(|it| it.duplicate_window_ms).collect(),
            validity_default_ms: config.store.validity_default_s * 1_000,
        }
    }

    /// The account that owns an address. No prefix here begins with another.
    pub(crate) fn owner(&self, address: &str) -> Option<usize> {
        self.prefixes.iter().find(|(prefix, _)| address.starts_with(prefix)).map(|&(_, account)| account)
    }
}

/// Whether an account has receipts of its broadcasts, in the world with this seed.
pub(crate) const fn receipts_of_broadcasts(seed: u64, account: usize) -> bool {
    !(seed + account as u64).is_multiple_of(3)
}

fn account(seed: u64, index: usize) -> AccountConfig {
    AccountConfig {
        system_id: ACCOUNTS[index].to_owned(),
        compat: CompatConfig { preset: preset(seed, index), ..CompatConfig::default() },
        sessions_max: 10,
        window: 3,
        deliver_window: 2,
        duplicate_window_ms: 60_000,
        broadcast_receipts: receipts_of_broadcasts(seed, index),
        distribution_lists: vec![DistributionListConfig {
            name: LIST_NAME.to_owned(),
            members: LIST.map(str::to_owned).to_vec(),
        }],
        ..AccountConfig::default()
    }
}

/// What everything begins with, and ends with: nobody is held back.
fn calm(seed: u64) -> Config {
    let mut config = Config::default();
    let hash = password::hash(PASSWORD.as_bytes(), 8, 1).expect("parameters that argon2id takes");
    config.accounts = vec![
        AccountConfig { password_hash: Some(Secret::new(hash)), ..account(seed, 0) },
        AccountConfig {
            password: Some(Secret::new(PASSWORD)),
            prefixes: vec!["80".to_owned()],
            ..account(seed, 1)
        },
    ];
    config.limits.failed_binds_per_address = 0;
    config.limits.failed_binds_per_system_id = 0;
    config.store.validity_default_s = 60;
    config.store.validity_max_s = VALIDITY_MAX_S;
    config.store.receipt_validity_s = RECEIPT_VALIDITY_S;
    config
}

impl InEffect {
    pub(crate) fn new(seed: u64) -> Self {
        let config = calm(seed);
        let table = Arc::new(AccountTable::new(&config, Arc::default()).expect("randomness"));
        Self { seed, config: Arc::new(config), table }
    }

    /// The same configuration in a new process.
    pub(crate) fn restarted(&self) -> Self {
        let table = Arc::new(AccountTable::new(&self.config, Arc::default()).expect("randomness"));
        Self { seed: self.seed, config: Arc::clone(&self.config), table }
    }

    pub(crate) fn routes(&self) -> Routes {
        Routes::of(&self.config)
    }

    pub(crate) fn account_routing(&self) -> Vec<AccountRouting> {
        let routing = |account: &AccountConfig| AccountRouting {
            prefixes: account.prefixes.iter().map(|prefix| prefix.clone().into_bytes()).collect(),
            duplicate_window_ms: account.duplicate_window_ms,
            broadcast_receipts: account.broadcast_receipts,
            ids: account.compat.settings().id_forms(),
            ..AccountRouting::default()
        };
        self.config.accounts.iter().map(routing).collect()
    }

    pub(crate) fn shard_change(&self) -> ShardChange {
        ShardChange {
            accounts: self.account_routing(),
            validity_default_s: self.config.store.validity_default_s,
            validity_max_s: VALIDITY_MAX_S,
            receipt_validity_s: RECEIPT_VALIDITY_S,
            transaction_validity_s: 30,
            retry_absent: RETRY,
            retry_congestion: RETRY,
            retry_refused: RETRY,
        }
    }

    /// What a bind has to be answered, if so many sessions of its account are bound.
    pub(crate) fn verdict(&self, account: usize, is_right: bool, bound: u32) -> CommandStatus {
        let account = &self.config.accounts[account];
        match () {
            () if !is_right || !account.enabled => CommandStatus::ESME_RBINDFAIL,
            () if bound >= account.sessions_max => CommandStatus::ESME_RALYBND,
            () => CommandStatus::ESME_ROK,
        }
    }

    /// After a reload that changes something, or that takes everything back.
    pub(crate) fn reloaded(&self, is_calm: bool, rng: &mut Xoshiro256PlusPlus) -> (Self, Vec<Change>) {
        let mut new = Config { accounts: self.config.accounts.clone(), ..calm(self.seed) };
        let below = |rng: &mut Xoshiro256PlusPlus, n: u64| rng.next_u64() % n;
        let owned = [["70", "71"], ["80", "81"]];
        for (index, account) in new.accounts.iter_mut().enumerate() {
            account.enabled = is_calm || below(rng, 4) != 0;
            account.sessions_max = if is_calm { 10 } else { 1 + below(rng, 5) as u32 };
            account.rate_per_s = if is_calm { 0 } else { [0, 0, 3][below(rng, 3) as usize] };
            account.window = 1 + below(rng, 4) as u32;
            account.deliver_window = 1 + below(rng, 3) as u32;
            account.compat.deliver_by =
                Some([DeliverBy::DeliverSm, DeliverBy::DataSm][below(rng, 2) as usize]);
            account.compat.receipts_by =
                Some([DeliverBy::DeliverSm, DeliverBy::DataSm][below(rng, 2) as usize]);
            account.compat.error_response_body = Some(below(rng, 2) == 0);
            account.duplicate_window_ms = [0, 20_000, 120_000][below(rng, 3) as usize];
            let prefixes = &owned[index][..below(rng, 3) as usize];
            account.prefixes = prefixes.iter().map(|&prefix| prefix.to_owned()).collect();
        }
        new.store.validity_default_s = 20 + below(rng, 60);
        let changes = self.config.diff(&new);
        let after = self.config.after(&new, &Origin::default()).expect("a sound configuration");
        let table = Arc::new(self.table.after(&after));
        (Self { seed: self.seed, config: Arc::new(after), table }, changes)
    }
}
