//! What an account may send: its source addresses, destinations, size and daily quota, prepared for the hot path. An
//! account without any such rule has no policy at all.

use super::daily_counts::DailyCount;
use crate::base::{PrefixMap, WallTime};
use crate::config::AccountConfig;
use crate::smpp::CommandStatus;

/// source_addr_ton of an alphanumeric address (3.4 section 5.2.5).
const TON_ALPHANUMERIC: u8 = 5;

/// The rules of one account.
#[derive(Debug)]
pub struct MessagePolicy {
    /// `None`: any.
    sources: Option<Sources>,
    /// `None`: any.
    destinations: Option<PrefixMap<()>>,
    message_bytes_max: usize,
    /// 0: any number.
    messages_per_day: u64,
}

#[derive(Debug)]
struct Sources {
    numbers: PrefixMap<()>,
    names: Vec<Box<[u8]>>,
}

impl MessagePolicy {
    /// The rules that a configuration states; `None`: none.
    pub fn new(config: &AccountConfig) -> Option<Box<Self>> {
        if !config.restricts_messages() {
            return None;
        }
        let any_source = config.source_addresses.is_empty() && config.source_names.is_empty();
        let sources = (!any_source).then(|| {
            let mut numbers = PrefixMap::new();
            for entry in &config.source_addresses {
                match entry.strip_suffix('*') {
                    Some(prefix) => numbers.insert_prefix(prefix.as_bytes(), ()),
                    None => numbers.insert_exact(entry.as_bytes(), ()),
                };
            }
            Sources {
                numbers,
                names: config.source_names.iter().map(|name| name.as_bytes().into()).collect(),
            }
        });
        let destinations = (!config.destination_prefixes.is_empty()).then(|| {
            let mut prefixes = PrefixMap::new();
            for prefix in &config.destination_prefixes {
                prefixes.insert_prefix(prefix.as_bytes(), ());
            }
            prefixes
        });
        let message_bytes_max = match config.message_bytes_max {
            0 => usize::MAX,
            max => max as usize,
        };
        let messages_per_day = config.messages_per_day;
        Some(Box::new(Self { sources, destinations, message_bytes_max, messages_per_day }))
    }

    /// Whether it may send from this address.
    ///
    /// # Errors
    /// ESME_RINVSRCADR.
    pub fn check_source(&self, ton: u8, address: &[u8]) -> Result<(), CommandStatus> {
        let Some(sources) = &self.sources else { return Ok(()) };
        let allowed = if ton == TON_ALPHANUMERIC {
            sources.names.iter().any(|name| **name == *address)
        } else {
            sources.numbers.find(without_plus(address)).is_some()
        };
        if allowed { Ok(()) } else { Err(CommandStatus::ESME_RINVSRCADR) }
    }

    /// Whether it may send to this address.
    ///
    /// # Errors
    /// ESME_RINVDSTADR.
    pub fn check_destination(&self, address: &[u8]) -> Result<(), CommandStatus> {
        match &self.destinations {
            Some(prefixes) if prefixes.find(without_plus(address)).is_none() => {
                Err(CommandStatus::ESME_RINVDSTADR)
            }
            _ => Ok(()),
        }
    }

    /// Whether a message may have so many octets.
    ///
    /// # Errors
    /// ESME_RINVMSGLEN.
    pub const fn check_size(&self, octets: usize) -> Result<(), CommandStatus> {
        if octets > self.message_bytes_max { Err(CommandStatus::ESME_RINVMSGLEN) } else { Ok(()) }
    }

    /// Takes `n` messages out of the day's quota.
    ///
    /// # Errors
    /// ESME_RSUBMITFAIL: to try again soon is no use, as ESME_RTHROTTLED would say.
    pub fn take_quota(&self, n: u64, count: &DailyCount, now: WallTime) -> Result<(), CommandStatus> {
        if self.messages_per_day == 0 || count.take(n, self.messages_per_day, now) {
            Ok(())
        } else {
            Err(CommandStatus::ESME_RSUBMITFAIL)
        }
    }

    /// Gives messages back that were refused after [`MessagePolicy::take_quota`].
    pub fn give_back_quota(&self, n: u64, count: &DailyCount) {
        if self.messages_per_day != 0 {
            count.give_back(n);
        }
    }
}

/// A number with its plus sign is the same number.
fn without_plus(address: &[u8]) -> &[u8] {
    address.strip_prefix(b"+").unwrap_or(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLIS_PER_DAY: u64 = 86_400_000;

    fn policy(set: impl FnOnce(&mut AccountConfig)) -> Option<Box<MessagePolicy>> {
        let mut config = AccountConfig::default();
        set(&mut config);
        MessagePolicy::new(&config)
    }

    #[test]
    fn no_rules_no_policy() {
        assert!(policy(|_| ()).is_none());
    }

    #[test]
    fn sources_are_exact_or_by_prefix_and_names_are_their_own_list() {
        let policy = policy(|config| {
            config.source_addresses = vec!["12345".into(), "4917*".into()];
            config.source_names = vec!["ACME".into()];
        })
        .unwrap();
        for (ton, address, allowed) in [
            (1, "12345", true),
            (0, "12345", true),
            (1, "123456", false),
            (1, "1234", false),
            (1, "4917", true),
            (1, "+491701", true),
            (1, "49160", false),
            (5, "ACME", true),
            (5, "acme", false),
            (5, "12345", false),
            (1, "ACME", false),
            (0, "", false),
        ] {
            assert_eq!(policy.check_source(ton, address.as_bytes()).is_ok(), allowed, "{ton} {address}");
        }
        assert_eq!(policy.check_destination(b"1"), Ok(()));
        assert_eq!(policy.check_size(1 << 20), Ok(()));
    }

    #[test]
    fn destinations_and_sizes() {
        let policy = policy(|config| {
            config.destination_prefixes = vec!["44".into()];
            config.message_bytes_max = 160;
        })
        .unwrap();
        assert_eq!(policy.check_source(5, b"anybody"), Ok(()));
        assert_eq!(policy.check_destination(b"+4470"), Ok(()));
        assert_eq!(policy.check_destination(b"4970"), Err(CommandStatus::ESME_RINVDSTADR));
        assert_eq!(policy.check_size(160), Ok(()));
        assert_eq!(policy.check_size(161), Err(CommandStatus::ESME_RINVMSGLEN));
    }

    #[test]
    fn the_quota_is_a_days_and_comes_back_for_what_is_refused() {
        let policy = policy(|config| config.messages_per_day = 10).unwrap();
        let count = DailyCount::default();
        let at = |day: u64| WallTime::from_unix_millis(day * MILLIS_PER_DAY + 5);
        let full = Err(CommandStatus::ESME_RSUBMITFAIL);
        assert_eq!(policy.take_quota(9, &count, at(20_000)), Ok(()));
        assert_eq!(policy.take_quota(2, &count, at(20_000)), full, "all or none");
        assert_eq!(policy.take_quota(1, &count, at(20_000)), Ok(()));
        assert_eq!(policy.take_quota(1, &count, at(19_999)), full, "the clock was set back");
        policy.give_back_quota(1, &count);
        assert_eq!(policy.take_quota(1, &count, at(20_000)), Ok(()));
        assert_eq!(policy.take_quota(10, &count, at(20_001)), Ok(()), "a new day");
        policy.give_back_quota(100, &count);
        assert_eq!(policy.take_quota(10, &count, at(20_001)), Ok(()));
    }
}
