//! The routing shard: takes messages in, tries to deliver them to the mobile network or to an ESME, brings each to
//! exactly one final state, and sends the receipts that were asked for. Sans-IO: it is handed `now` and values, and
//! it states outcomes and facts through [`ShardOutput`]; it reads no clock, counts and logs nothing.
//!
//! | part | owns |
//! |---|---|
//! | [`Shard`] (`shard`) | the tables, the turn, look-up by id |
//! | `accept` | taking in submits and MO messages; validity and schedule |
//! | `alert` | delivery pending flags, alert_notification |
//! | `broadcast` | broadcasts: taking in, rounds, query and cancel |
//! | `multi` | taking in the destinations of a submit_multi |
//! | `attempt` | attempts at the network, retries, expiry, final states |
//! | `subscribers`, `lines`, `turns` | one attempt per subscriber at a time, in order |
//! | `delivery` | queues towards sessions, hand-out and its outcomes |
//! | `outgoing` | the deliver_sm of a receipt, an MO message, a message from another ESME |
//! | `sessions`, `address_range` | who is bound, with what credit and which addresses |
//! | `operations` | query_sm, cancel_sm, replace_sm, replace_if_present_flag |
//! | `transaction` | submissions that are answered with what comes of their message |
//! | `duplicates` | submits that repeat another |
//! | `policy` | what goes for which account |
//! | `message`, `list` | a message, and the lists that it stands in |
//! | `parking`, `parked`, `traits` | what waits long, in a fraction of the room |
//! | `index`, `history` | the way from an id to its message; final states remembered |
//! | `restore` | what an earlier run has left, back where it was |
//! | `invariants` | what holds between any two calls |
//!
//! Life of a message: `submit` stores it and opens its first attempt (or puts it on the wheel for its schedule). The
//! wheel brings the network's report back in a later `turn`: so its receipt is never ahead of the response, which
//! the shell has queued by then. A final state without a receipt frees everything; with one, the same entry and the
//! same stored body live on as the receipt until the ESME has answered or its time is over.

mod accept;
mod address_range;
mod alert;
mod attempt;
mod broadcast;
mod delivery;
mod duplicates;
mod event;
mod history;
mod index;
mod invariants;
mod lines;
mod list;
mod message;
mod messages;
mod multi;
mod operations;
mod outgoing;
mod parked;
mod parking;
mod parts;
mod policy;
mod reconfigure;
mod restore;
mod sessions;
mod settings;
mod shard;
mod split;
mod subscriber_names;
mod subscribers;
mod traits;
mod transaction;
mod turns;
mod values;

#[cfg(test)]
mod tests;

pub use event::{EventKind, EventKinds, MessageEvent};
pub use invariants::ParkedMessages;
pub use multi::{Multi, MultiBatch};
pub use operations::{Asker, OperationOutcome, OperationRequest};
pub use reconfigure::ShardChange;
pub use restore::{RecoveredAs, TooManyMessages};
pub use settings::{AccountRouting, RetrySettings, SettingsError, ShardSettings};
pub use shard::Shard;
pub use values::{
    Bound, DeliveryResult, Fact, HeldMessage, MessageView, Mo, MoOutcome, MoRefused, Origin, ShardOutput,
    Submit, SubmitOutcome,
};

/// The shard, of `shards`, that handles messages to this address: all of one subscriber's in one place. Stable over
/// versions and machines.
///
/// # Panics
/// Never: 0 shards count as 1.
#[inline]
pub fn shard_of(destination_addr: &[u8], shards: u16) -> u16 {
    if shards <= 1 {
        return 0;
    }
    // FNV-1a by octets would be a multiplication each; eight at a time is enough for addresses.
    let step = |hash: u64, word: u64| {
        let hash = (hash ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        hash ^ hash >> 32
    };
    let mut hash = destination_addr.len() as u64;
    let (words, rest) = destination_addr.as_chunks::<8>();
    for word in words {
        hash = step(hash, u64::from_le_bytes(*word));
    }
    if !rest.is_empty() {
        let word = match destination_addr.last_chunk::<8>() {
            // The octets before the rest are shifted out.
            Some(last) => u64::from_le_bytes(*last) >> (64 - 8 * rest.len()),
            None => rest.iter().rev().fold(0, |word, &octet| word << 8 | u64::from(octet)),
        };
        hash = step(hash, word);
    }
    (((hash & 0xFFFF_FFFF) * u64::from(shards)) >> 32) as u16
}
