//! How many messages each account has sent on the present day (UTC), for its quota. Counted by system_id, so that an account
//! that a reload takes away and brings back, or a restart finds again, goes on where it was.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::base::WallTime;

/// Bits of a [`DailyCount`] below the day: a trillion messages.
const COUNT_BITS: u32 = 40;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const MILLIS_PER_DAY: u64 = 86_400_000;

/// Messages of one account on one day, over all workers.
#[derive(Debug, Default)]
pub struct DailyCount(AtomicU64);

impl DailyCount {
    /// Takes `n` messages out of a quota of `max` a day. False: there are not so many left, and none is taken.
    pub fn take(&self, n: u64, max: u64, now: WallTime) -> bool {
        let day = now.unix_millis() / MILLIS_PER_DAY;
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |packed| {
                let (counted_day, count) = (packed >> COUNT_BITS, packed & COUNT_MASK);
                // A clock that was set back does not begin a day anew.
                let (day, count) = if day > counted_day { (day, 0) } else { (counted_day, count) };
                let count = count + n;
                (count <= max).then_some((day << COUNT_BITS) | count)
            })
            .is_ok()
    }

    /// Gives `n` messages back that were taken and not sent.
    pub fn give_back(&self, n: u64) {
        // Never below the start of the day, should that have begun meanwhile.
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |packed| {
            Some(packed - n.min(packed & COUNT_MASK))
        });
    }
}

/// One account's count, by value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedDay {
    /// The account.
    pub system_id: String,
    /// Days since 1970-01-01.
    pub day: u64,
    /// Messages on that day.
    pub messages: u64,
}

/// The counts of all accounts. Locked by reloads and by whoever writes them down, never per message.
#[derive(Debug, Default)]
pub struct DailyCounts {
    by_system_id: Mutex<BTreeMap<String, Arc<DailyCount>>>,
}

impl DailyCounts {
    /// Goes on from what was written down.
    pub fn resumed(counted: impl IntoIterator<Item = CountedDay>) -> Self {
        let resume = |it: CountedDay| {
            let packed = it.day << COUNT_BITS | it.messages.min(COUNT_MASK);
            (it.system_id, Arc::new(DailyCount(AtomicU64::new(packed))))
        };
        Self { by_system_id: Mutex::new(counted.into_iter().map(resume).collect()) }
    }

    /// The count of an account, which is 0 if there was none.
    pub fn of(&self, system_id: &str) -> Arc<DailyCount> {
        Arc::clone(self.by_system_id.lock().entry(system_id.to_owned()).or_default())
    }

    /// A number that is another one once any count has moved; made without allocating.
    pub fn mark(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for count in self.by_system_id.lock().values() {
            hasher.write_u64(count.0.load(Ordering::Acquire));
        }
        hasher.finish()
    }

    /// All that are not 0, in the order of their names.
    pub fn counted(&self) -> Vec<CountedDay> {
        let counts = self.by_system_id.lock();
        let counted = counts.iter().map(|(system_id, count)| {
            let packed = count.0.load(Ordering::Acquire);
            let (day, messages) = (packed >> COUNT_BITS, packed & COUNT_MASK);
            CountedDay { system_id: system_id.clone(), day, messages }
        });
        counted.filter(|counted| counted.messages > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: u64) -> WallTime {
        WallTime::from_unix_millis(day * MILLIS_PER_DAY + 5)
    }

    #[test]
    fn a_count_goes_on_where_it_was_and_ends_with_its_day() {
        let counts = DailyCounts::default();
        let mark = counts.mark();
        assert_eq!(
            (counts.of("a").0.load(Ordering::Relaxed), counts.mark() == mark),
            (0, false),
            "a new account"
        );
        let mark = counts.mark();
        assert!(counts.of("a").take(7, 10, at(20_000)));
        assert_ne!(counts.mark(), mark);
        assert!(counts.of("b").take(1, 10, at(20_000)));
        counts.of("b").give_back(1);
        let counted = counts.counted();
        assert_eq!(counted, [CountedDay { system_id: "a".into(), day: 20_000, messages: 7 }]);

        let resumed = DailyCounts::resumed(counted);
        assert!(!resumed.of("a").take(4, 10, at(20_000)));
        assert!(resumed.of("a").take(3, 10, at(20_000)));
        assert!(!resumed.of("a").take(1, 10, at(19_999)), "the clock was set back over the restart");
        assert!(resumed.of("a").take(10, 10, at(20_001)));
    }
}
