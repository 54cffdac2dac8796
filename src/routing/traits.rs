//! What is at hand of a parked message in 16 bits: what it waits for, and what the store's record does not say.

use super::message::{Message, OnFailure, Queue, Stage, Turn};
use crate::smpp::RegisteredDelivery;

/// Steps of the fraction of a second in which a message was accepted.
const FRACTION_MS: u64 = 4;

/// What a parked message waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// For its schedule. It is in its subscriber's place of the table, without a turn.
    Schedule,
    /// For its next attempt. It has its subscriber's turn.
    Attempt {
        /// Others may be in line behind.
        is_followed: bool,
    },
    /// To be called. It is in a list: the queue of the account that it goes to; or, if it goes to the network, the line of
    /// those who wait for their turn with its subscriber.
    InList,
}

impl Waits {
    /// What a message waits for that may be parked; `None`: it waits for something else.
    pub(super) const fn of(message: &Message) -> Option<Self> {
        match (message.stage, message.turn) {
            (Stage::Scheduled, Turn::No) => Some(Self::Schedule),
            (Stage::Waiting, Turn::Yes) => Some(Self::Attempt { is_followed: false }),
            (Stage::Waiting, Turn::Followed) => Some(Self::Attempt { is_followed: true }),
            (Stage::Queued { queue: Queue::Account(_) } | Stage::Behind, Turn::No) => Some(Self::InList),
            _ => None,
        }
    }

    /// Whether it stands in a list; else it has a place in the subscribers' table.
    pub(super) const fn is_in_list(self) -> bool {
        matches!(self, Self::InList)
    }

    const fn bits(self) -> u16 {
        match self {
            Self::Attempt { is_followed: false } => 0,
            Self::Attempt { is_followed: true } => 1,
            Self::Schedule => 2,
            Self::InList => 3,
        }
    }

    /// What packed traits say of the wait.
    pub(super) const fn from_bits(bits: u16) -> Self {
        match bits & WAITS_MASK {
            0 => Self::Attempt { is_followed: false },
            1 => Self::Attempt { is_followed: true },
            2 => Self::Schedule,
            _ => Self::InList,
        }
    }
}

/// What the bits of an entry say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Traits {
    pub(super) waits: Waits,
    /// The intermediate notification has been made.
    pub(super) is_notified: bool,
    /// 0 to 3.
    pub(super) priority: u8,
    /// What of it matters to whoever brings a message to its final state.
    pub(super) registered_delivery: RegisteredDelivery,
    /// Milliseconds after the full second in which it was accepted.
    pub(super) accepted_ms: u64,
}

const WAITS_MASK: u16 = 0x03;
const IS_NOTIFIED: u16 = 1 << 2;
const PRIORITY_AT: u32 = 3;
const RECEIPT_AT: u32 = 5;
const IS_INTERMEDIATE: u16 = 1 << 7;
const FRACTION_AT: u32 = 8;
/// Of registered_delivery: when a receipt is wanted.
const RECEIPT_MASK: u8 = 0x03;

impl Traits {
    pub(super) const fn pack(self) -> u16 {
        let fraction = self.accepted_ms / FRACTION_MS;
        let mut bits = (if fraction < 255 { fraction as u16 } else { 255 }) << FRACTION_AT;
        bits |= ((self.registered_delivery.0 & RECEIPT_MASK) as u16) << RECEIPT_AT;
        bits |= (self.priority as u16 & 3) << PRIORITY_AT;
        bits |= self.waits.bits();
        if self.is_notified {
            bits |= IS_NOTIFIED;
        }
        if self.registered_delivery.intermediate() {
            bits |= IS_INTERMEDIATE;
        }
        bits
    }

    pub(super) const fn unpack(bits: u16) -> Self {
        let receipt = (bits >> RECEIPT_AT) as u8 & RECEIPT_MASK;
        let intermediate = if bits & IS_INTERMEDIATE != 0 { RegisteredDelivery::INTERMEDIATE.0 } else { 0 };
        Self {
            waits: Waits::from_bits(bits),
            is_notified: bits & IS_NOTIFIED != 0,
            priority: (bits >> PRIORITY_AT) as u8 & 3,
            registered_delivery: RegisteredDelivery(receipt | intermediate),
            accepted_ms: (bits >> FRACTION_AT) as u64 * FRACTION_MS,
        }
    }

    pub(super) const fn on_failure(&self) -> OnFailure {
        if self.is_notified { OnFailure::RetryNotified } else { OnFailure::Retry }
    }
}

/// The same traits of one that waits for this.
pub(super) const fn waiting_for(bits: u16, waits: Waits) -> u16 {
    bits & !WAITS_MASK | waits.bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traits_come_back_from_their_bits() {
        let attempt = |is_followed| Waits::Attempt { is_followed };
        for waits in [Waits::Schedule, attempt(false), attempt(true), Waits::InList] {
            for (is_notified, priority, registered_delivery) in [(false, 0, 0x11), (true, 3, 0x12)] {
                let registered_delivery = RegisteredDelivery(registered_delivery);
                let traits = Traits { waits, is_notified, priority, registered_delivery, accepted_ms: 996 };
                assert_eq!(Traits::unpack(traits.pack()), traits);
                let other = Traits::unpack(waiting_for(traits.pack(), attempt(true)));
                assert_eq!(other, Traits { waits: attempt(true), ..traits });
            }
        }
    }
}
