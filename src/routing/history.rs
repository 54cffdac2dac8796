//! Final states, remembered for queries after the message itself is gone: a ring indexed by the id's counter, so that
//! remembering is one store and forgetting is being overwritten.

use crate::base::MessageId;
use crate::smpp::MessageState;

/// A remembered final state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FinalRecord {
    pub(super) id: MessageId,
    /// Unix time in seconds.
    pub(super) finished_s: u32,
    pub(super) error: u16,
    pub(super) state: MessageState,
}

const _: () = assert!(size_of::<FinalRecord>() == 16);

#[derive(Debug)]
pub(super) struct FinalHistory {
    records: Vec<Option<FinalRecord>>,
    mask: u64,
}

impl FinalHistory {
    /// Room for `records` final states, rounded up to a power of two; 0: none are remembered.
    pub(super) fn new(records: u32) -> Self {
        let places = if records == 0 { 0 } else { (records as usize).next_power_of_two() };
        Self { records: vec![None; places], mask: (places as u64).wrapping_sub(1) }
    }

    #[inline]
    pub(super) fn remember(&mut self, id: MessageId, state: MessageState, error: u16, finished_s: u32) {
        if let Some(place) = self.records.get_mut((id.as_u64() & self.mask) as usize) {
            *place = Some(FinalRecord { id, finished_s, error, state });
        }
    }

    pub(super) fn find(&self, id: MessageId) -> Option<FinalRecord> {
        let record = (*self.records.get((id.as_u64() & self.mask) as usize)?)?;
        (record.id == id).then_some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_displaces_the_oldest() {
        let mut history = FinalHistory::new(3);
        let id = |n: u64| MessageId::from_u64((1 << 40) + n);
        for n in 0..6 {
            history.remember(id(n), MessageState::Delivered, n as u16, 5);
        }
        assert_eq!(history.find(id(1)), None);
        for n in 2..6 {
            assert_eq!(history.find(id(n)).map(|r| (r.error, r.finished_s)), Some((n as u16, 5)));
        }
        let mut none = FinalHistory::new(0);
        none.remember(id(0), MessageState::Delivered, 0, 0);
        assert_eq!(none.find(id(0)), None);
    }
}
