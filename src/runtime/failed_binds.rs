//! How many binds have failed lately, by address and by system_id: whoever guesses is soon answered unseen. The table is
//! of one size for ever; when a set of it is full, the entry that has the least held against it makes room.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

use parking_lot::Mutex;

use super::peer_host::PeerHost;
use crate::base::Time;

/// Entries that one hash may be in. A power of two, as is their product with [`SETS`].
const WAYS: usize = 8;
const SETS: usize = 512;

/// Whose failures are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Culprit(u64);

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    culprit: u64,
    /// When nothing is held against it any more.
    clear_at: Time,
}

/// The failures of the last while, of many culprits. Locked once or twice per bind, never per message.
#[derive(Debug)]
pub struct FailedBinds {
    keys: RandomState,
    sets: Mutex<Box<[[Entry; WAYS]]>>,
}

/// How many failures are let pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leniency {
    /// At once; 0: any number.
    pub failures: u32,
    /// In how long all of them are forgotten, one by one, in nanoseconds.
    pub window_nanos: u64,
}

impl Leniency {
    fn nanos_each(self) -> u64 {
        self.window_nanos / u64::from(self.failures.max(1))
    }
}

impl Default for FailedBinds {
    fn default() -> Self {
        Self {
            keys: RandomState::new(),
            sets: Mutex::new(vec![[Entry::default(); WAYS]; SETS].into_boxed_slice()),
        }
    }
}

impl FailedBinds {
    /// The culprit that an address is.
    pub fn address(&self, address: IpAddr) -> Culprit {
        Culprit(self.keys.hash_one((1u8, PeerHost::from(address))))
    }

    /// The culprit that a system_id is, whether there is such an account or not.
    pub fn system_id(&self, system_id: &[u8]) -> Culprit {
        Culprit(self.keys.hash_one((0u8, system_id)))
    }

    /// Whether so much is held against it that its next bind is not looked at.
    pub fn is_limited(&self, culprit: Culprit, leniency: Leniency, now: Time) -> bool {
        if leniency.failures == 0 {
            return false;
        }
        let sets = self.sets.lock();
        let found = sets.get(set_of(culprit)).and_then(|set| set.iter().find(|e| e.culprit == culprit.0));
        let held = found.map_or(0, |entry| entry.clear_at.nanos_since(now));
        held + leniency.nanos_each() > leniency.window_nanos
    }

    /// Holds one more failure against it.
    pub fn note(&self, culprit: Culprit, leniency: Leniency, now: Time) {
        if leniency.failures == 0 {
            return;
        }
        let mut sets = self.sets.lock();
        let Some(set) = sets.get_mut(set_of(culprit)) else { return };
        let known = set.iter().position(|entry| entry.culprit == culprit.0);
        let least = || (0..WAYS).min_by_key(|&i| set.get(i).map(|entry| entry.clear_at)).unwrap_or(0);
        let place = known.unwrap_or_else(least);
        if let Some(entry) = set.get_mut(place) {
            let from = if known.is_some() { entry.clear_at.max(now) } else { now };
            *entry = Entry {
                culprit: culprit.0,
                clear_at: Time::from_nanos(from.as_nanos() + leniency.nanos_each()),
            };
        }
    }
}

const fn set_of(culprit: Culprit) -> usize {
    culprit.0 as usize % SETS
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const LENIENCY: Leniency = Leniency { failures: 5, window_nanos: 60_000_000_000 };

    fn v4(n: u32) -> IpAddr {
        Ipv4Addr::from_bits(n).into()
    }

    #[test]
    fn a_guesser_is_limited_and_forgiven_in_time_and_others_are_not_touched() {
        let failed = FailedBinds::default();
        let (guesser, other) = (failed.address(v4(1)), failed.address(v4(2)));
        let start = Time::from_millis(1_000_000);
        for _ in 0..5 {
            assert!(!failed.is_limited(guesser, LENIENCY, start));
            failed.note(guesser, LENIENCY, start);
        }
        assert!(failed.is_limited(guesser, LENIENCY, start));
        assert!(!failed.is_limited(other, LENIENCY, start));
        assert!(!failed.is_limited(failed.system_id(b"acme"), LENIENCY, start));
        // One is forgotten every twelfth second.
        assert!(failed.is_limited(guesser, LENIENCY, start.plus_millis(11_999)));
        assert!(!failed.is_limited(guesser, LENIENCY, start.plus_millis(12_000)));
        let off = Leniency { failures: 0, ..LENIENCY };
        assert!(!failed.is_limited(guesser, off, start));
    }

    #[test]
    fn a_million_addresses_take_no_more_room_and_do_not_clear_a_record_that_is_worse() {
        let failed = FailedBinds::default();
        let now = Time::from_millis(1_000_000);
        let guesser = failed.system_id(b"acme");
        for _ in 0..5 {
            failed.note(guesser, LENIENCY, now);
        }
        for n in 0..1_000_000 {
            failed.note(failed.address(v4(n)), LENIENCY, now);
        }
        assert_eq!(failed.sets.lock().len(), SETS);
        assert!(failed.is_limited(guesser, LENIENCY, now));
    }
}
