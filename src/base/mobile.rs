//! What a routing shard and the mobile network say to each other. Both sides know only this: the network can be the
//! simulated one, a scripted one in a test, or something real later.

use super::Time;

/// The mobile network as one routing shard sees it: it takes delivery attempts, and it brings MO messages.
pub trait MobileNetwork {
    /// Starts the `attempt`th (from 1) try to deliver a message to a subscriber, and tells at once what will come
    /// of it and when. The caller acts on the verdict only when its time has come.
    fn attempt(&mut self, destination_addr: &[u8], attempt: u32, now: Time) -> Verdict;

    /// Whether it has a broadcast area that this broadcast_area_identifier means.
    fn has_area(&self, identifier: &[u8]) -> bool {
        let _ = identifier;
        false
    }

    /// Sends a message once to everybody in the areas that this broadcast_area_identifier means. `None`: it has none.
    fn broadcast(&mut self, identifier: &[u8]) -> Option<Reach> {
        let _ = identifier;
        None
    }

    /// When [`MobileNetwork::poll_mo`] will have something; `None`: never.
    fn next_mo(&self) -> Option<Time>;

    /// The next MO message that has arrived by `now`. It counts as handed over.
    fn poll_mo(&mut self, now: Time) -> Option<MoArrival<'_>>;
}

/// What comes of one round of a broadcast in one area.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Cells of the area.
    pub cells: u32,
    /// Those that have sent it.
    pub reached: u32,
}

/// What comes of a delivery attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Nanoseconds from the attempt until the network reports.
    pub after_nanos: u64,
    /// What it reports then.
    pub outcome: Outcome,
}

/// What the network reports of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The subscriber has it.
    Delivered,
    /// It never will: a permanent error.
    Undeliverable {
        /// The network's error code, for the receipt.
        error: u16,
    },
    /// The subscriber is absent; a later attempt may succeed.
    Absent {
        /// Nanoseconds from the report until the network says that the subscriber is back.
        back_after_nanos: u64,
        /// The network's error code, for the receipt if it comes to that.
        error: u16,
    },
    /// The network has no room for it now; a later attempt may succeed.
    Congested {
        /// The network's error code, for the receipt if it comes to that.
        error: u16,
    },
    /// The network refuses the message.
    Rejected {
        /// The network's error code, for the receipt.
        error: u16,
    },
    /// The network kept the message and let it run out.
    Expired,
}

/// An MO message that has just arrived from a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoArrival<'a> {
    /// The subscriber's address (at most 20 octets).
    pub source_addr: &'a [u8],
    /// The short code or number of the application (at most 20 octets).
    pub destination_addr: &'a [u8],
    /// The text in the default alphabet (at most 254 octets).
    pub short_message: &'a [u8],
}
