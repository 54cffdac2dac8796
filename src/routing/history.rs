//! Final states, remembered for queries after the message itself is gone: a ring indexed by the id's counter, so that
//! remembering is one store and forgetting is being overwritten, or being too old when looked for.

use crate::base::{MessageId, Now};
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
    keep_s: u32,
}

impl FinalHistory {
    /// Room for `records` final states, rounded up to a power of two, for `keep_s` seconds each; 0 records: none are
    /// remembered.
    pub(super) fn new(records: u32, keep_s: u32) -> Self {
        let places = if records == 0 { 0 } else { (records as usize).next_power_of_two() };
        Self { records: vec![None; places], mask: (places as u64).wrapping_sub(1), keep_s }
    }

    #[inline]
    pub(super) fn remember(&mut self, id: MessageId, state: MessageState, error: u16, finished_s: u32) {
        if let Some(place) = self.records.get_mut((id.as_u64() & self.mask) as usize) {
            *place = Some(FinalRecord { id, finished_s, error, state });
        }
    }

    /// The final state of this message, if it is younger than it need be remembered. A clock that was set back makes
    /// everything young.
    pub(super) fn find(&self, id: MessageId, now: Now) -> Option<FinalRecord> {
        let record = (*self.records.get((id.as_u64() & self.mask) as usize)?)?;
        let age_s = now.wall.unix_seconds().saturating_sub(u64::from(record.finished_s));
        (record.id == id && age_s < u64::from(self.keep_s)).then_some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Time, WallTime};

    fn at(seconds: u64) -> Now {
        Now { mono: Time::ZERO, wall: WallTime::from_unix_millis(seconds * 1_000) }
    }

    #[test]
    fn what_is_too_old_is_forgotten() {
        let mut history = FinalHistory::new(8, 60);
        let id = MessageId::from_u64(1 << 40);
        history.remember(id, MessageState::Expired, 0, 1_000);
        assert!(history.find(id, at(1_059)).is_some() && history.find(id, at(1_060)).is_none());
        assert!(history.find(id, at(5)).is_some(), "a clock that was set back");
    }

    #[test]
    fn the_newest_displaces_the_oldest() {
        let mut history = FinalHistory::new(3, 60);
        let id = |n: u64| MessageId::from_u64((1 << 40) + n);
        for n in 0..6 {
            history.remember(id(n), MessageState::Delivered, n as u16, 5);
        }
        assert_eq!(history.find(id(1), at(5)), None);
        for n in 2..6 {
            assert_eq!(history.find(id(n), at(5)).map(|r| (r.error, r.finished_s)), Some((n as u16, 5)));
        }
        let mut none = FinalHistory::new(0, 60);
        none.remember(id(0), MessageState::Delivered, 0, 0);
        assert_eq!(none.find(id(0), at(5)), None);
    }
}
