//! The message store of one routing shard, behind an interface narrow enough that memory, a journal on disk and a
//! simulated disk all fit it. It knows octets, ids and flat metadata, and nothing of SMPP.
//!
//! The life of a message here: [`put`](MessageStore::put) once; [`update`](MessageStore::update) whenever what a
//! restart must know changes (attempts, next due time, the final state while a receipt is still owed);
//! [`replace_as`](MessageStore::replace_as) when its submitter replaces it; and
//! [`remove`](MessageStore::remove) or [`end_as`](MessageStore::end_as) when nothing more is owed to anybody. Each of these
//! is a log entry: they take effect at once for this run, and survive it once [`lsn_at`](MessageStore::lsn_at) has reached
//! theirs. What an earlier run has left comes back through [`recovered`](MessageStore::recovered).

pub mod journal;
pub mod memory;

pub use journal::Journal;
pub use memory::MemoryStore;

use crate::base::{AccountId, MessageId, WallTime};

/// Names what was put, until it is removed. The store gives it a meaning; to others it is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Location(pub u64);

/// Log sequence number: grows with every entry, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

/// What a log entry survives once it has got so far, weakest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// Nothing: it is in memory.
    #[default]
    None,
    /// The end of the process: it is written to the kernel.
    Buffered,
    /// The end of the machine: it is on disk.
    Sync,
}

/// What a restart must know of a message besides its body. Flat and of fixed size; all times are wall time,
/// because a monotonic clock does not outlive the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The message's id.
    pub id: MessageId,
    /// Whose message: the account that submitted it, or for an MO message the one that owns its destination.
    pub account: AccountId,
    /// The account whose sessions get it next, when that is not the network: the owner of the destination, or
    /// the submitter while a receipt is owed.
    pub target: Option<AccountId>,
    /// What it is and how far it has come, as routing numbers its stages. A final state with a receipt owed is a
    /// stage of its own, so that a restart goes on with the receipt and never with the message.
    pub stage: u8,
    /// message_state, as reached so far.
    pub state: u8,
    /// interface_version that the submitter's bind spoke, which fixes the form of the id.
    pub version: u8,
    /// Error code of the last attempt or of the final state; 0 = none.
    pub error: u16,
    /// Attempts made in this stage.
    pub attempts: u16,
    /// When it was accepted.
    pub accepted: WallTime,
    /// When it is to be acted on next: its schedule, its next attempt.
    pub due: WallTime,
    /// When it expires: the message, or the receipt owed.
    pub expires: WallTime,
    /// When it became final; the epoch while it is not.
    pub finished: WallTime,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// message_state.
    pub state: u8,
    /// Error code of it; 0 = none.
    pub error: u16,
    /// When, in Unix seconds.
    pub finished_s: u32,
}

/// What became of a message that is no longer there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its id.
    pub id: MessageId,
    /// Whose it was.
    pub account: AccountId,
    /// What became of it.
    pub ending: Ending,
}

/// The store has no room: the message must be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message store is full")]
pub struct StoreFull;

/// Where a message was put, and the log entry that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// For everything that follows.
    pub location: Location,
    /// The message is held as the durability setting says once [`MessageStore::durable_lsn`] has reached this.
    pub lsn: Lsn,
}

/// The message store of one routing shard. Called from that shard's thread only; no call waits for a write. Only
/// [`body`](MessageStore::body) may read a device, for a message so old that its body is no longer in memory.
pub trait MessageStore {
    /// Takes a message in whose submitter wants it held as `durability` says. `body` is copied.
    ///
    /// # Errors
    /// [`StoreFull`] when a bound (octets, count, disk) is reached; nothing is kept then. Room for later updates and
    /// removals of what was put is reserved with it: only this can be refused.
    fn put_as(&mut self, record: &Record, body: &[u8], durability: Durability) -> Result<Stored, StoreFull>;

    /// [`put_as`](MessageStore::put_as) with a record that is made only if the store reads it.
    ///
    /// # Errors
    /// As there.
    #[inline]
    fn put_with(
        &mut self,
        record: impl FnOnce() -> Record,
        body: &[u8],
        durability: Durability,
    ) -> Result<Stored, StoreFull> {
        self.put_as(&record(), body, durability)
    }

    /// [`put_as`](MessageStore::put_as) with the durability of the store.
    ///
    /// # Errors
    /// As there.
    #[inline]
    fn put(&mut self, record: &Record, body: &[u8]) -> Result<Stored, StoreFull> {
        self.put_as(record, body, self.durability())
    }

    /// The body as it was put; `None` when nothing is there, which means a bug or a damaged disk. Takes the store
    /// by `&mut` so that one which holds bodies elsewhere may bring this one in.
    fn body(&mut self, location: Location) -> Option<&[u8]>;

    /// Whether [`record`](MessageStore::record) tells.
    fn keeps_records(&self) -> bool {
        false
    }

    /// The latest record of a message, from memory; `None` if the store keeps none there, or nothing is there.
    fn record(&self, _: Location) -> Option<Record> {
        None
    }

    /// The id in that record.
    fn id(&self, location: Location) -> Option<MessageId> {
        self.record(location).map(|record| record.id)
    }

    /// Replaces the record of a message; the body stays. Somebody waits until this has reached `durability`.
    fn update_as(&mut self, location: Location, record: &Record, durability: Durability) -> Lsn;

    /// [`update_as`](MessageStore::update_as) where nobody waits.
    #[inline]
    fn update(&mut self, location: Location, record: &Record) -> Lsn {
        self.update_as(location, record, Durability::None)
    }

    /// Replaces the record and the body of a message, whose location may change with that; a restart finds either the
    /// old ones or the new. Somebody waits until this has reached `durability`.
    ///
    /// # Errors
    /// [`StoreFull`] as for a put; the message stays what it was.
    fn replace_as(
        &mut self,
        location: Location,
        record: &Record,
        body: &[u8],
        durability: Durability,
    ) -> Result<Stored, StoreFull>;

    /// Ends a message: its location names nothing from now on, and once this entry is durable no restart brings
    /// it back. Somebody waits until it has reached `durability`.
    fn remove_as(&mut self, location: Location, durability: Durability) -> Lsn;

    /// [`remove_as`](MessageStore::remove_as) where nobody waits.
    #[inline]
    fn remove(&mut self, location: Location) -> Lsn {
        self.remove_as(location, Durability::None)
    }

    /// [`remove_as`](MessageStore::remove_as) of a message whose last record does not say what became of it. A restart
    /// knows that as long as the store has not used the place of this entry, or of the message, for something else.
    #[inline]
    fn end_as(&mut self, location: Location, _: &Ending, durability: Durability) -> Lsn {
        self.remove_as(location, durability)
    }

    /// The durability that the store was opened with.
    fn durability(&self) -> Durability;

    /// Everything up to this entry survives what `durability` names. Never goes back, and moves only between turns.
    fn lsn_at(&self, durability: Durability) -> Lsn;

    /// [`lsn_at`](MessageStore::lsn_at) the durability of the store.
    #[inline]
    fn durable_lsn(&self) -> Lsn {
        self.lsn_at(self.durability())
    }

    /// Ends a batch: what was entered since the last call may be made durable together. Called once per turn.
    fn commit(&mut self);

    /// The next message that the store held when it was opened, oldest acceptance first, with its body; `None`: that was
    /// all. To be called until then before anything is put. An account that the configuration does not have any more
    /// is numbered behind all that it has.
    fn recovered(&mut self) -> Option<(Location, Record, &[u8])>;

    /// What became of the next of those messages that had ended when the store was opened, in no order; `None`: no more is
    /// known.
    fn recovered_ending(&mut self) -> Option<Ended> {
        None
    }

    /// How many messages [`recovered`](MessageStore::recovered) hands out, as far as is known: a hint, for tables to be
    /// made large enough at once.
    fn recovered_count(&self) -> u32 {
        0
    }
}
