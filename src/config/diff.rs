//! What differs between the configuration in effect and another one, as typed changes, and the configuration that is in
//! effect once those are applied that need no restart.
//!
//! An account keeps its number as long as the process lives: accounts that are new get the next ones, and one that is gone
//! stays as an empty place, which it gets back should it return.

use std::collections::BTreeMap;
use std::fmt;

use toml::{Table, Value};

use super::{AccountConfig, Config, ConfigError, Origin};
use crate::limits::ACCOUNTS_MAX;

/// When a change takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// As soon as it is applied.
    Now,
    /// For sessions that bind from then on.
    NextBind,
    /// At the next start; until then what was before holds.
    AtRestart,
}

impl Applied {
    /// The word for it in the answer to POST /reload.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::NextBind => "next_bind",
            Self::AtRestart => "at_restart",
        }
    }
}

/// One difference between two configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An account that was not there.
    AccountAdded {
        /// Its system_id.
        system_id: String,
    },
    /// An account is gone: its sessions are unbound.
    AccountRemoved {
        /// Its system_id.
        system_id: String,
    },
    /// An account may not bind any more: its sessions are unbound.
    AccountDisabled {
        /// Its system_id.
        system_id: String,
    },
    /// An account may bind again.
    AccountEnabled {
        /// Its system_id.
        system_id: String,
    },
    /// Another key of an account has another value.
    AccountChanged {
        /// Its system_id.
        system_id: String,
        /// The key.
        key: String,
    },
    /// A key outside of the accounts has another value.
    KeyChanged {
        /// Its path, such as `limits.sessions_max`.
        key: String,
    },
}

impl Change {
    /// When it takes effect.
    pub fn applied(&self) -> Applied {
        match self {
            Self::AccountChanged { key, .. } if matches!(key.as_str(), "window" | "deliver_window") => {
                Applied::NextBind
            }
            Self::KeyChanged { key } if !is_live(key) => Applied::AtRestart,
            _ => Applied::Now,
        }
    }

    /// The word for its kind in the answer to POST /reload.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::AccountAdded { .. } => "account_added",
            Self::AccountRemoved { .. } => "account_removed",
            Self::AccountDisabled { .. } => "account_disabled",
            Self::AccountEnabled { .. } => "account_enabled",
            Self::AccountChanged { .. } => "account_changed",
            Self::KeyChanged { .. } => "key_changed",
        }
    }

    /// The account that it is about.
    pub fn account(&self) -> Option<&str> {
        match self {
            Self::AccountAdded { system_id }
            | Self::AccountRemoved { system_id }
            | Self::AccountDisabled { system_id }
            | Self::AccountEnabled { system_id }
            | Self::AccountChanged { system_id, .. } => Some(system_id),
            Self::KeyChanged { .. } => None,
        }
    }

    /// The key that it is about.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::AccountChanged { key, .. } | Self::KeyChanged { key } => Some(key),
            _ => None,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        for word in [self.account(), self.key()].into_iter().flatten() {
            write!(f, " {word}")?;
        }
        if self.applied() != Applied::Now {
            write!(f, " ({})", self.applied().name())?;
        }
        Ok(())
    }
}

/// Whether a key outside of the accounts takes effect without a restart. What is not named here does not: that is the
/// safe answer for a key that somebody adds.
fn is_live(key: &str) -> bool {
    let (section, rest) = key.split_once('.').unwrap_or((key, ""));
    match section {
        "smpp" => rest != "listen",
        "tls" => rest != "listen",
        "http" => rest == "admin_token",
        "limits" | "retry" => true,
        "log" => rest == "level",
        "network" => matches!(rest, "profile" | "area"),
        "store" => matches!(
            rest,
            "validity_default_s" | "validity_max_s" | "receipt_validity_s" | "transaction_validity_s"
        ),
        _ => false,
    }
}

impl Config {
    /// What differs in `new`, the accounts' changes first.
    pub fn diff(&self, new: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        for old in self.accounts.iter().filter(|account| !account.removed) {
            match find(&new.accounts, &old.system_id) {
                Some(new) => diff_accounts(old, new, &mut changes),
                None => changes.push(Change::AccountRemoved { system_id: old.system_id.clone() }),
            }
        }
        for new in new.accounts.iter().filter(|account| !account.removed) {
            if find(&self.accounts, &new.system_id).is_none() {
                changes.push(Change::AccountAdded { system_id: new.system_id.clone() });
            }
        }
        let key_changed = |key| Change::KeyChanged { key };
        let (old_sections, new_sections) = (self.sections(), new.sections());
        changes.extend(differing(&old_sections, &new_sections).map(key_changed));
        if self.http.admin_token != new.http.admin_token {
            changes.push(key_changed("http.admin_token".to_owned()));
        }
        changes
    }

    /// The configuration in effect after as much of `new` as needs no restart. `origin` tells where `new` is from.
    ///
    /// # Errors
    /// When `new` can't take effect beside what needs a restart first, or there would be more accounts than can be numbered.
    pub fn after(&self, new: &Self, origin: &Origin) -> Result<Self, ConfigError> {
        let mut after = self.clone();
        after.accounts.clone_from(&new.accounts);
        after.smpp = super::SmppConfig { listen: self.smpp.listen.clone(), ..new.smpp.clone() };
        after.tls = super::TlsConfig { listen: self.tls.listen.clone(), ..new.tls.clone() };
        after.http.admin_token = new.http.admin_token.clone();
        after.limits = new.limits.clone();
        after.retry = new.retry.clone();
        after.log = new.log.clone();
        after.network.profiles = new.network.profiles.clone();
        after.network.areas = new.network.areas.clone();
        after.store.validity_default_s = new.store.validity_default_s;
        after.store.validity_max_s = new.store.validity_max_s;
        after.store.receipt_validity_s = new.store.receipt_validity_s;
        after.store.transaction_validity_s = new.store.transaction_validity_s;
        // In the order of the file, so that errors name its places.
        after.validate(origin)?;
        after.accounts = number_accounts(&self.accounts, &new.accounts);
        if after.accounts.len() > ACCOUNTS_MAX {
            let what = format!(
                "more than {ACCOUNTS_MAX} accounts since the start, those removed among them: they need a restart"
            );
            return Err(ConfigError::one(None, "account".to_owned(), what));
        }
        Ok(after)
    }

    /// This configuration with places for the accounts of an earlier run that it does not have: what those have left in
    /// the store goes on under their names.
    #[must_use]
    pub fn with_former_accounts<'a>(mut self, system_ids: impl IntoIterator<Item = &'a str>) -> Self {
        for system_id in system_ids {
            let known = self.accounts.iter().any(|account| account.system_id == system_id);
            if !known && self.accounts.len() < ACCOUNTS_MAX {
                self.accounts.push(AccountConfig::removed(system_id));
            }
        }
        self
    }

    /// Every section but the accounts, as a table of leaves by path. Secrets are redacted in it.
    fn sections(&self) -> BTreeMap<String, Value> {
        let sections = Self { accounts: Vec::new(), ..self.clone() };
        leaves(&sections)
    }
}

/// The account with this system_id, unless it is only a place left empty.
fn find<'a>(accounts: &'a [AccountConfig], system_id: &str) -> Option<&'a AccountConfig> {
    accounts.iter().find(|account| account.system_id == system_id && !account.removed)
}

/// `new` by the numbers of `old`: who is in both keeps its place, who is gone leaves it empty, who is new comes behind.
fn number_accounts(old: &[AccountConfig], new: &[AccountConfig]) -> Vec<AccountConfig> {
    let place = |old: &AccountConfig| {
        find(new, &old.system_id).cloned().unwrap_or_else(|| AccountConfig::removed(&old.system_id))
    };
    let is_new = |new: &&AccountConfig| !old.iter().any(|old| old.system_id == new.system_id);
    old.iter().map(place).chain(new.iter().filter(is_new).cloned()).collect()
}

fn diff_accounts(old: &AccountConfig, new: &AccountConfig, changes: &mut Vec<Change>) {
    let system_id = || old.system_id.clone();
    match (old.enabled, new.enabled) {
        (true, false) => changes.push(Change::AccountDisabled { system_id: system_id() }),
        (false, true) => changes.push(Change::AccountEnabled { system_id: system_id() }),
        _ => {}
    }
    let changed = |key| Change::AccountChanged { system_id: old.system_id.clone(), key };
    // Compared here, since the tables show neither.
    for (key, old, new) in [
        ("password", &old.password, &new.password),
        ("password_hash", &old.password_hash, &new.password_hash),
    ] {
        if old != new {
            changes.push(changed(key.to_owned()));
        }
    }
    let outbind_password = |it: &AccountConfig| it.outbind.as_ref().map(|outbind| outbind.password.clone());
    if outbind_password(old) != outbind_password(new) {
        changes.push(changed("outbind.password".to_owned()));
    }
    let (old, new) = (leaves(old), leaves(new));
    let others = differing(&old, &new);
    let told = ["enabled", "password", "password_hash", "outbind.password"];
    let others = others.filter(|key| !told.contains(&key.as_str()));
    changes.extend(others.map(changed));
}

/// The keys that have different values, or are in one of the two only.
fn differing<'a>(
    old: &'a BTreeMap<String, Value>,
    new: &'a BTreeMap<String, Value>,
) -> impl Iterator<Item = String> + use<'a> {
    let gone_or_changed = old.iter().filter(|(key, value)| new.get(*key) != Some(value));
    let added = new.iter().filter(|(key, _)| !old.contains_key(*key));
    gone_or_changed.chain(added).map(|(key, _)| key.clone())
}

/// Every value by its path; an array is one value.
fn leaves(value: &impl serde::Serialize) -> BTreeMap<String, Value> {
    fn walk(table: Table, path: &str, out: &mut BTreeMap<String, Value>) {
        for (key, value) in table {
            let path = if path.is_empty() { key } else { format!("{path}.{key}") };
            match value {
                Value::Table(inner) => walk(inner, &path, out),
                value => {
                    out.insert(path, value);
                }
            }
        }
    }
    let mut out = BTreeMap::new();
    let table = Table::try_from(value).unwrap_or_else(|error| unreachable!("configuration as TOML: {error}"));
    walk(table, "", &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogLevel;

    fn config(text: &str) -> Config {
        Config::from_toml(text, "f.toml").unwrap()
    }

    fn account(system_id: &str, rest: &str) -> String {
        format!("[[account]]\nsystem_id = \"{system_id}\"\npassword = \"p\"\n{rest}\n")
    }

    fn texts(changes: &[Change]) -> Vec<String> {
        changes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_kind_of_change_is_named_and_nothing_else() {
        let old =
            config(&(account("a", "") + &account("b", "window = 5") + &account("c", "") + &account("d", "")));
        assert_eq!(old.diff(&old), []);
        let new = config(
            &("[log]\nlevel = \"debug\"\n[store]\nmessages_max = 1000000\n".to_owned()
                + &account("e", "")
                + &account("c", "enabled = false").replace("\"p\"", "\"q\"")
                + &account("b", "window = 6\naddresses = [\"1\"]\ndurability = \"none\"")
                + &account("a", "")),
        );
        assert_eq!(
            texts(&old.diff(&new)),
            [
                "account_changed b addresses",
                "account_changed b window (next_bind)",
                "account_changed b durability",
                "account_disabled c",
                "account_changed c password",
                "account_removed d",
                "account_added e",
                "key_changed log.level",
                "key_changed store.messages_max (at_restart)",
            ]
        );
    }

    #[test]
    fn secrets_differ_without_being_shown() {
        let old = config("[http]\nadmin_token = \"one\"");
        let changes = old.diff(&config("[http]\nadmin_token = \"two\""));
        assert_eq!(texts(&changes), ["key_changed http.admin_token"]);
        let called = |password: &str| {
            let outbind = format!("[account.outbind]\naddress = \"[::1]:1\"\npassword = \"{password}\"");
            config(&account("a", &outbind))
        };
        let changes = called("one").diff(&called("two"));
        assert_eq!(texts(&changes), ["account_changed a outbind.password"]);
    }

    #[test]
    fn numbers_stay_and_what_needs_a_restart_stays_as_it_was() {
        let old = config(&(account("a", "") + &account("b", "") + &account("c", "")));
        let new = config(
            &("[log]\nlevel = \"warn\"\n[engine]\nnode = 7\n[smpp]\nlisten = [\"[::1]:1\"]\nresponse_timeout_ms = 900\n"
                .to_owned()
                + &account("d", "")
                + &account("c", "")),
        );
        let after = old.after(&new, &Origin::default()).unwrap();
        let names = |config: &Config| -> Vec<(String, bool)> {
            config.accounts.iter().map(|a| (a.system_id.clone(), a.removed)).collect()
        };
        let place = |system_id: &str, removed| (system_id.to_owned(), removed);
        assert_eq!(names(&after), [place("a", true), place("b", true), place("c", false), place("d", false)]);
        assert_eq!((after.log.level, after.engine.node), (LogLevel::Warn, 0));
        assert_eq!((&after.smpp.listen, after.smpp.response_timeout_ms), (&old.smpp.listen, 900));
        // Only what waits for the restart is still different.
        assert!(after.diff(&new).iter().all(|change| change.applied() == Applied::AtRestart));

        let back = after.after(&old, &Origin::default()).unwrap();
        assert_eq!(names(&back), [place("a", false), place("b", false), place("c", false), place("d", true)]);
        assert_eq!(texts(&after.diff(&old))[..2], ["account_removed d", "account_added a"]);
        assert!(!back.to_toml().contains("\"d\""), "a place left empty is not shown");
    }

    #[test]
    fn what_can_not_hold_before_a_restart_is_refused() {
        let old = config(&("[store]\ndurability = \"none\"\n".to_owned() + &account("a", "")));
        let new = config(&account("a", "durability = \"sync\""));
        let error = old.after(&new, &Origin::default()).unwrap_err().to_string();
        assert!(error.contains("account[0].durability"), "{error}");
        let exposed = Config::from_toml(
            "[smpp]\nlisten = [\"0.0.0.0:1\"]\n[[account]]\nsystem_id = \"demo\"\npassword = \"other\"",
            "f",
        )
        .unwrap();
        assert!(
            exposed.after(&Config::default(), &Origin::default()).is_err(),
            "the demo account stays on loopback"
        );
    }

    #[test]
    fn former_accounts_are_places_without_a_way_in() {
        let config = config(&account("a", "")).with_former_accounts(["x", "a"]);
        assert_eq!(config.accounts.len(), 2);
        assert!(config.accounts[1].removed && !config.accounts[1].enabled);
        assert!(!config.accounts[1].accepts(b""));
        assert_eq!(config.diff(&config), []);
    }
}
