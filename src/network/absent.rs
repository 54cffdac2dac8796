//! Who is absent and until when. Bounded: a table by hash of the address, in which a newcomer overwrites whoever
//! was there. The one overwritten merely counts as back sooner.

use super::profile::{Fate, PreparedProfile};
use crate::base::Time;
use crate::base::mobile::Outcome;

const SLOTS: usize = 1 << 16;

#[derive(Clone, Copy, Debug)]
struct Absence {
    address_hash: u64,
    /// [`Time::ZERO`]: nobody.
    back_at: Time,
}

/// The subscribers who are absent at present, as far as remembered.
#[derive(Debug)]
pub(super) struct AbsentSubscribers {
    slots: Box<[Absence]>,
}

impl AbsentSubscribers {
    pub(super) fn new() -> Self {
        Self { slots: vec![Absence { address_hash: 0, back_at: Time::ZERO }; SLOTS].into_boxed_slice() }
    }

    /// What an attempt comes to, given what the draw says and who is known to be away. Absence counts from the
    /// report, `after_nanos` from now.
    pub(super) fn outcome(
        &mut self,
        profile: &PreparedProfile,
        fate: Fate,
        address: &[u8],
        attempt: u32,
        now: Time,
        after_nanos: u64,
    ) -> Outcome {
        let address_hash = hash(address);
        let slot = &mut self.slots[(address_hash >> 48) as usize % SLOTS];
        let reported_at = Time::from_nanos(now.as_nanos().saturating_add(after_nanos));
        if slot.back_at != Time::ZERO && slot.address_hash == address_hash {
            if reported_at < slot.back_at {
                return profile.absent_until(slot.back_at.nanos_since(reported_at));
            }
            slot.back_at = Time::ZERO;
            return Outcome::Delivered;
        }
        match fate {
            // Whoever has tried before has waited for this subscriber already.
            Fate::Absent if attempt > 1 => Outcome::Delivered,
            Fate::Absent => {
                *slot = Absence { address_hash, back_at: reported_at.plus_millis(profile.absent_ms()) };
                profile.absent_until(slot.back_at.nanos_since(reported_at))
            }
            _ => profile.outcome(fate),
        }
    }
}

/// FNV-1a, then a multiplication that spreads it to the top bits.
fn hash(address: &[u8]) -> u64 {
    let mut hash = 0xCBF2_9CE4_8422_2325u64;
    for &octet in address {
        hash = (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01B3);
    }
    (hash ^ (hash >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9)
}
