//! The message store of one routing shard, behind an interface narrow enough that memory, a journal on disk and a
//! simulated disk all fit it. It knows octets, ids and flat metadata, and nothing of SMPP.
//!
//! The life of a message here: [`put`](MessageStore::put) once; [`update`](MessageStore::update) whenever what a
//! restart must know changes (attempts, next due time, the final state while a receipt is still owed); and
//! [`remove`](MessageStore::remove) when nothing more is owed to anybody. Each of these is a log entry: they take
//! effect at once for this run, and survive it once [`durable_lsn`](MessageStore::durable_lsn) has reached theirs.
//! What an earlier run has left comes back through [`recovered`](MessageStore::recovered).

pub mod memory;

pub use memory::MemoryStore;

use crate::base::{AccountKey, MessageId, WallTime};

/// What an entry must have reached to count as held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// Memory: it is lost with the process.
    #[default]
    None,
    /// The kernel: it is lost with the machine.
    Buffered,
    /// The disk.
    Sync,
}

/// Names what was put, until it is removed. The store gives it a meaning; to others it is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Location(pub u64);

/// Log sequence number: grows with every entry, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

/// What a restart must know of a message besides its body. Flat and of fixed size; all times are wall time,
/// because a monotonic clock does not outlive the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The message's id.
    pub id: MessageId,
    /// Whose message: the account that submitted it, or for an MO message the one that owns its destination.
    pub account: AccountKey,
    /// The account whose sessions get it next, when that is not the network: the owner of the destination, or
    /// the submitter while a receipt is owed.
    pub target: Option<AccountKey>,
    /// What it is and how far it has come, as routing numbers its stages. A final state with a receipt owed is a
    /// stage of its own, so that a restart goes on with the receipt and never with the message.
    pub stage: u8,
    /// message_state, as reached so far.
    pub state: u8,
    /// interface_version that the submitter's bind spoke, which fixes the form of the id.
    pub version: u8,
    /// registered_delivery, as routing goes by it.
    pub registered_delivery: u8,
    /// priority_flag, as routing goes by it.
    pub priority: u8,
    /// What else routing must know, as it numbers its flags.
    pub flags: u8,
    /// Error code of the last attempt or of the final state; 0 = none.
    pub error: u16,
    /// Attempts made in this stage.
    pub attempts: u16,
    /// Names the subscriber, as routing hashes destination addresses.
    pub subscriber: u32,
    /// When this was written. A restart at which the clock says less knows that it has been set back.
    pub written: WallTime,
    /// When it was accepted.
    pub accepted: WallTime,
    /// When it is to be acted on next: its schedule, its next attempt.
    pub due: WallTime,
    /// When it expires: the message, or the receipt owed.
    pub expires: WallTime,
    /// When it became final; the epoch while it is not.
    pub finished: WallTime,
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
    /// The message is held as a durability says once [`MessageStore::durable_lsn`] of that has reached this.
    pub lsn: Lsn,
}

/// The message store of one routing shard. Called from that shard's thread only; no call blocks on a device.
pub trait MessageStore {
    /// Takes a message in. `body` is copied.
    ///
    /// # Errors
    /// [`StoreFull`] when a bound (octets or count) is reached; nothing is kept then. Room for later updates and
    /// removals of what was put is reserved with it: only `put` can be refused.
    fn put(&mut self, record: &Record, body: &[u8]) -> Result<Stored, StoreFull>;

    /// The body as it was put; `None` when nothing is there, which means a bug or a damaged disk. Takes the store
    /// by `&mut` so that one which holds bodies elsewhere may bring this one in.
    fn body(&mut self, location: Location) -> Option<&[u8]>;

    /// Replaces the record of a message; the body stays.
    fn update(&mut self, location: Location, record: &Record) -> Lsn;

    /// Ends a message: its location names nothing from now on, and once this entry is durable no restart brings
    /// it back.
    fn remove(&mut self, location: Location) -> Lsn;

    /// Everything up to this entry has reached what `durability` names. Never goes back, and is never asked for
    /// [`Durability::None`], which every entry has reached.
    fn durable_lsn(&self, durability: Durability) -> Lsn;

    /// The next message that an earlier run has left: put and not removed, with its last record. In the order in which
    /// they were put, which is the order in which their subscribers get them. `None`: that was all. Called at the start,
    /// before anything is put; what it hands out is held from then on as if it had been put in this run.
    fn recovered(&mut self) -> Option<(Location, Record)>;

    /// Ends a batch: what was entered since the last call may be made durable together. Called once per turn.
    fn commit(&mut self);
}
