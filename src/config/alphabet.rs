//! `default_alphabet` of an account: what it means by data_coding 0.

use serde::{Deserialize, Serialize};

use super::{AccountConfig, Config};
use crate::smpp::text::DefaultAlphabet;

impl Config {
    /// What data_coding 0 means to the account that owns a destination by this configuration: its address, else its longest
    /// prefix. One that only a bind claims is not known here, and taken as the default.
    pub fn alphabet_for(&self, destination_addr: &[u8]) -> DefaultAlphabet {
        let whole = |account: &&AccountConfig| {
            account.addresses.iter().any(|address| address.as_bytes() == destination_addr)
        };
        let matched = |account: &AccountConfig| {
            let prefixes = account.prefixes.iter();
            prefixes.filter(|it| destination_addr.starts_with(it.as_bytes())).map(String::len).max()
        };
        let accounts = || self.accounts.iter().filter(|account| !account.removed);
        let by_prefix = || accounts().filter_map(|it| Some((matched(it)?, it))).max_by_key(|(len, _)| *len);
        let owner = accounts().find(whole).or_else(|| by_prefix().map(|(_, account)| account));
        owner.map_or_else(DefaultAlphabet::default, |account| account.default_alphabet.alphabet())
    }
}

/// An alphabet for data_coding 0, by its name in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlphabetName {
    /// GSM 7-bit, one septet to an octet.
    #[default]
    Gsm,
    /// GSM 7-bit, packed.
    GsmPacked,
    /// Latin-1.
    Latin1,
    /// ASCII.
    Ascii,
}

impl AlphabetName {
    /// What the name stands for.
    pub const fn alphabet(self) -> DefaultAlphabet {
        match self {
            Self::Gsm => DefaultAlphabet::Gsm,
            Self::GsmPacked => DefaultAlphabet::GsmPacked,
            Self::Latin1 => DefaultAlphabet::Latin1,
            Self::Ascii => DefaultAlphabet::Ascii,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_an_address_decides() {
        let account = |system_id: &str, keys: &str| {
            format!("[[account]]\nsystem_id = \"{system_id}\"\npassword = \"x\"\n{keys}\n")
        };
        let text = account("a", "default_alphabet = \"ascii\"\naddresses = [\"777\"]\nprefixes = [\"49\"]")
            + &account("b", "default_alphabet = \"gsm_packed\"\nprefixes = [\"491\", \"77\"]")
            + &account("c", "default_alphabet = \"latin1\"\naddresses = [\"4917\"]");
        let config = Config::from_toml(&text, "f.toml").expect("valid");
        let of = |destination: &str| config.alphabet_for(destination.as_bytes());
        assert_eq!([of("777"), of("4920")], [DefaultAlphabet::Ascii; 2]);
        assert_eq!([of("7777"), of("49171")], [DefaultAlphabet::GsmPacked; 2]);
        assert_eq!((of("4917"), of("1")), (DefaultAlphabet::Latin1, DefaultAlphabet::Gsm));
    }
}
