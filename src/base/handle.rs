//! Handles that cross threads. Each carries a generation, so that one that outlived its object names nothing
//! instead of whoever took the slot (promise 10 of the design).

/// Names a session: the worker that hosts it, its slot there, and which tenancy of the slot is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionHandle {
    /// Slot in the worker's session table.
    pub slot: u32,
    /// Tenancy of the slot; a session that leaves makes every older handle stale.
    pub generation: u32,
    /// Index of the hosting worker.
    pub worker: u16,
}

impl SessionHandle {
    /// Names no session: the submitter is gone for good, or never was one (MO from the network, HTTP).
    pub const NONE: Self = Self { slot: u32::MAX, generation: 0, worker: u16::MAX };

    /// Whether this names no session at all.
    pub const fn is_none(self) -> bool {
        self.slot == u32::MAX
    }
}

/// The request that a submission came in with: it decides the form of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SubmitOperation {
    /// submit_sm.
    #[default]
    SubmitSm,
    /// data_sm.
    DataSm,
    /// One destination of a submit_multi. Its answer is one of many that make that of the request; the number beside
    /// it is not a sequence_number but the worker's name for the request.
    SubmitMulti,
}

/// Names a delivery that a routing shard has handed to a session and whose outcome it awaits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeliveryToken {
    /// Slot in the shard's message table.
    pub slot: u32,
    /// Tenancy of that slot and attempt; a late outcome of an earlier attempt is stale.
    pub generation: u32,
    /// Index of the shard.
    pub shard: u16,
}

/// Index of an account (the commercial owner of a system_id) in the table that all threads share. Stable for
/// the life of the process: a reload appends, never renumbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub u16);

impl AccountId {
    /// The account as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}
