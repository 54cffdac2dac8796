//! The store behind a hosted shard: in memory or on disk, as the durability setting says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::committer::{ChannelLink, LateWaker};
use crate::base::{MessageId, Time};
use crate::control_lane::Wake;
use crate::store::journal::{AccountNumbers, Damage, Failure, StoreStats};
use crate::store::{
    Durability, Ended, Ending, Journal, Location, Lsn, MemoryStore, MessageStore, Record, StoreFull, Stored,
};

/// How long a stop waits for an index to be written. The next start does without one that takes longer.
const INDEX_TIME_MAX: Duration = Duration::from_secs(5);

/// A store of either kind.
#[derive(Debug)]
pub enum HostedStore {
    /// `durability = "none"`.
    Memory(MemoryStore),
    /// `"buffered"` and `"sync"`.
    Journal(Box<Journal<ChannelLink>>, LateWaker),
}

impl HostedStore {
    /// The thread that runs it is woken from now on when something becomes durable, and ends its turns with
    /// [`HostedStore::send_off`].
    pub fn set_waker(&mut self, waker: Arc<dyn Wake>) {
        if let Self::Journal(journal, late) = self {
            late.set(waker);
            journal.link_mut().keep_small(true);
        }
    }

    /// Ends a turn; see [`ChannelLink::send_off`].
    #[inline]
    pub fn send_off(&mut self, is_idle: bool) -> bool {
        match self {
            Self::Memory(_) => false,
            Self::Journal(journal, _) => journal.link_mut().send_off(is_idle),
        }
    }

    /// Begins a turn; see [`Journal::poll`].
    #[inline]
    pub fn poll(&mut self, now: Time, commit_nanos: impl FnMut(u64, u32)) {
        if let Self::Journal(journal, _) = self {
            journal.poll(now, commit_nanos);
        }
    }

    /// Whether something has become durable since the last [`HostedStore::poll`].
    pub fn has_news(&self) -> bool {
        match self {
            Self::Memory(_) => false,
            Self::Journal(journal, _) => journal.has_news(),
        }
    }

    /// Why nothing becomes durable any more, if so.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Memory(_) => None,
            Self::Journal(journal, _) => journal.failure(),
        }
    }

    /// Where a body was found damaged since the last call, if one was.
    pub fn take_damage(&mut self) -> Option<Damage> {
        match self {
            Self::Memory(_) => None,
            Self::Journal(journal, _) => journal.take_damage(),
        }
    }

    /// Accounts have these numbers on disk from now on; none that had one has another.
    pub fn set_account_numbers(&mut self, numbers: AccountNumbers) {
        if let Self::Journal(journal, _) = self {
            journal.set_account_numbers(numbers);
        }
    }

    /// Figures of this moment; `None` in memory.
    pub fn stats(&self) -> Option<StoreStats> {
        match self {
            Self::Memory(_) => None,
            Self::Journal(journal, _) => Some(journal.stats()),
        }
    }

    /// Hands the last entries to the committer, and `endings` to the next start. `wait` is called while that one is busy.
    pub fn close(&mut self, endings: &mut dyn Iterator<Item = Ended>, mut wait: impl FnMut()) {
        if let Self::Journal(journal, _) = self {
            journal.link_mut().keep_small(false);
            journal.close();
            journal.commit();
            while !journal.is_flushed() {
                wait();
                journal.commit();
            }
            let started = Instant::now();
            while !journal.save_index(endings) && started.elapsed() < INDEX_TIME_MAX {
                wait();
            }
        }
    }
}

impl MessageStore for HostedStore {
    #[inline]
    fn put_as(&mut self, record: &Record, body: &[u8], durability: Durability) -> Result<Stored, StoreFull> {
        match self {
            Self::Memory(store) => store.put_as(record, body, durability),
            Self::Journal(store, _) => store.put_as(record, body, durability),
        }
    }

    #[inline]
    fn put_with(
        &mut self,
        record: impl FnOnce() -> Record,
        body: &[u8],
        durability: Durability,
    ) -> Result<Stored, StoreFull> {
        match self {
            Self::Memory(store) => store.put_with(record, body, durability),
            Self::Journal(store, _) => store.put_with(record, body, durability),
        }
    }

    #[inline]
    fn body(&mut self, location: Location) -> Option<&[u8]> {
        match self {
            Self::Memory(store) => store.body(location),
            Self::Journal(store, _) => store.body(location),
        }
    }

    fn keeps_records(&self) -> bool {
        match self {
            Self::Memory(store) => store.keeps_records(),
            Self::Journal(store, _) => store.keeps_records(),
        }
    }

    fn record(&self, location: Location) -> Option<Record> {
        match self {
            Self::Memory(store) => store.record(location),
            Self::Journal(store, _) => store.record(location),
        }
    }

    fn id(&self, location: Location) -> Option<MessageId> {
        match self {
            Self::Memory(store) => store.id(location),
            Self::Journal(store, _) => store.id(location),
        }
    }

    #[inline]
    fn update_as(&mut self, location: Location, record: &Record, durability: Durability) -> Lsn {
        match self {
            Self::Memory(store) => store.update_as(location, record, durability),
            Self::Journal(store, _) => store.update_as(location, record, durability),
        }
    }

    fn replace_as(
        &mut self,
        location: Location,
        record: &Record,
        body: &[u8],
        durability: Durability,
    ) -> Result<Stored, StoreFull> {
        match self {
            Self::Memory(store) => store.replace_as(location, record, body, durability),
            Self::Journal(store, _) => store.replace_as(location, record, body, durability),
        }
    }

    #[inline]
    fn remove_as(&mut self, location: Location, durability: Durability) -> Lsn {
        match self {
            Self::Memory(store) => store.remove_as(location, durability),
            Self::Journal(store, _) => store.remove_as(location, durability),
        }
    }

    #[inline]
    fn end_as(&mut self, location: Location, ending: &Ending, durability: Durability) -> Lsn {
        match self {
            Self::Memory(store) => store.end_as(location, ending, durability),
            Self::Journal(store, _) => store.end_as(location, ending, durability),
        }
    }

    #[inline]
    fn durability(&self) -> Durability {
        match self {
            Self::Memory(store) => store.durability(),
            Self::Journal(store, _) => store.durability(),
        }
    }

    #[inline]
    fn lsn_at(&self, durability: Durability) -> Lsn {
        match self {
            Self::Memory(store) => store.lsn_at(durability),
            Self::Journal(store, _) => store.lsn_at(durability),
        }
    }

    #[inline]
    fn commit(&mut self) {
        match self {
            Self::Memory(store) => store.commit(),
            Self::Journal(store, _) => store.commit(),
        }
    }

    fn recovered_ending(&mut self) -> Option<Ended> {
        match self {
            Self::Memory(store) => store.recovered_ending(),
            Self::Journal(store, _) => store.recovered_ending(),
        }
    }

    fn recovered_count(&self) -> u32 {
        match self {
            Self::Memory(store) => store.recovered_count(),
            Self::Journal(store, _) => store.recovered_count(),
        }
    }

    fn recovered(&mut self) -> Option<(Location, Record, &[u8])> {
        match self {
            Self::Memory(store) => store.recovered(),
            Self::Journal(store, _) => store.recovered(),
        }
    }
}
