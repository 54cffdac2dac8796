//! Final states, remembered for queries after the message itself is gone: a ring indexed by the id's counter, so that
//! remembering is one store and forgetting is being overwritten, or being too old when looked for.

use crate::base::{AccountId, MessageId, Now};
use crate::limits::ACCOUNTS_MAX;
use crate::smpp::MessageState;

/// A remembered final state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FinalRecord {
    pub(super) id: MessageId,
    pub(super) account: AccountId,
    /// Unix time in seconds.
    pub(super) finished_s: u32,
    pub(super) error: u16,
    pub(super) state: MessageState,
}

/// One of them as it is kept.
#[derive(Clone, Copy, Debug)]
struct Place {
    id: MessageId,
    /// 0: vacant.
    finished_s: u32,
    error: u16,
    /// The account, and below it, in [`STATE_BITS`], the state.
    account_and_state: u16,
}

const _: () = assert!(size_of::<Place>() == 16);

const VACANT: Place = Place { id: MessageId::from_u64(0), finished_s: 0, error: 0, account_and_state: 0 };
/// Bits of a final state less [`FIRST_FINAL`]; those above are enough for every account there can be.
const STATE_BITS: u32 = 3;
const FIRST_FINAL: u8 = MessageState::Delivered as u8;

const _: () = assert!(MessageState::Skipped as u8 - FIRST_FINAL < 1 << STATE_BITS);
const _: () = assert!(2 * ACCOUNTS_MAX <= 1 << (u16::BITS - STATE_BITS));

#[derive(Debug)]
pub(super) struct FinalHistory {
    places: Vec<Place>,
    mask: u64,
    keep_s: u32,
}

impl FinalHistory {
    /// Room for `records` final states, rounded up to a power of two, for `keep_s` seconds each; 0 records: none are
    /// remembered.
    pub(super) fn new(records: u32, keep_s: u32) -> Self {
        let places = if records == 0 { 0 } else { (records as usize).next_power_of_two() };
        Self { places: vec![VACANT; places], mask: (places as u64).wrapping_sub(1), keep_s }
    }

    #[inline]
    pub(super) fn remember(&mut self, record: &FinalRecord) {
        let FinalRecord { id, account, finished_s, error, state } = *record;
        if let Some(place) = self.places.get_mut((id.as_u64() & self.mask) as usize) {
            let state = u16::from(state.octet().saturating_sub(FIRST_FINAL));
            *place = Place { id, finished_s, error, account_and_state: account.0 << STATE_BITS | state };
        }
    }

    /// The final state of this message, if it is younger than it need be remembered. A clock that was set back makes
    /// everything young.
    pub(super) fn find(&self, id: MessageId, now: Now) -> Option<FinalRecord> {
        let place = self.places.get((id.as_u64() & self.mask) as usize)?;
        let age_s = now.wall.unix_seconds().saturating_sub(u64::from(place.finished_s));
        if place.id != id || place.finished_s == 0 || age_s >= u64::from(self.keep_s) {
            return None;
        }
        let state = FIRST_FINAL + (place.account_and_state & ((1 << STATE_BITS) - 1)) as u8;
        Some(FinalRecord {
            id,
            account: AccountId(place.account_and_state >> STATE_BITS),
            finished_s: place.finished_s,
            error: place.error,
            state: MessageState::from_octet(state)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Time, WallTime};

    fn at(seconds: u64) -> Now {
        Now { mono: Time::ZERO, wall: WallTime::from_unix_millis(seconds * 1_000) }
    }

    fn record(id: MessageId, state: MessageState, error: u16, finished_s: u32) -> FinalRecord {
        FinalRecord { id, account: AccountId(8_191), finished_s, error, state }
    }

    #[test]
    fn what_is_too_old_is_forgotten() {
        let mut history = FinalHistory::new(8, 60);
        let id = MessageId::from_u64(1 << 40);
        history.remember(&record(id, MessageState::Expired, 0, 1_000));
        let account = history.find(id, at(1_000)).map(|record| (record.account, record.state));
        assert_eq!(account, Some((AccountId(8_191), MessageState::Expired)));
        assert!(history.find(id, at(1_059)).is_some() && history.find(id, at(1_060)).is_none());
        assert!(history.find(id, at(5)).is_some(), "a clock that was set back");
    }

    #[test]
    fn the_newest_displaces_the_oldest() {
        let mut history = FinalHistory::new(3, 60);
        let id = |n: u64| MessageId::from_u64((1 << 40) + n);
        for n in 0..6 {
            history.remember(&record(id(n), MessageState::Delivered, n as u16, 5));
        }
        assert_eq!(history.find(id(1), at(5)), None);
        for n in 2..6 {
            assert_eq!(history.find(id(n), at(5)).map(|r| (r.error, r.finished_s)), Some((n as u16, 5)));
        }
        let mut none = FinalHistory::new(0, 60);
        none.remember(&record(id(0), MessageState::Delivered, 0, 5));
        assert_eq!(none.find(id(0), at(5)), None);
    }
}
