//! Final states, remembered for queries after the message itself is gone: a ring indexed by the id's counter, so that
//! remembering is one store and forgetting is being overwritten, or being too old when looked for. Ids of a submit_multi
//! are made by workers, which count from the same clock as the shard: each source of ids has a start of its own in the
//! ring, so that what one has counted does not at once overwrite what another has.

use crate::base::prefetch::prefetch;
use crate::base::{AccountId, MessageId, Now};
use crate::limits::ACCOUNTS_MAX;
use crate::smpp::MessageState;
use crate::store::{Ended, Ending};

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

impl FinalRecord {
    /// As the store keeps it.
    pub(super) fn ended(self) -> Ended {
        let Self { id, account, finished_s, error, state } = self;
        Ended { id, account, ending: Ending { state: state.octet(), error, finished_s } }
    }

    /// As the store has kept it. `None`: no shard has ended a message like that.
    pub(super) fn of(ended: &Ended) -> Option<Self> {
        let Ended { id, account, ending: Ending { state, error, finished_s } } = *ended;
        let state = MessageState::from_octet(state).filter(|state| state.is_final())?;
        (account.index() < 2 * ACCOUNTS_MAX).then_some(Self { id, account, finished_s, error, state })
    }
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

/// Above the counter of a long id: who made it.
const SOURCE_SHIFT: u32 = 51;
/// In place of that for short ids; no long one has it.
const SHORT_SOURCE: u64 = 1 << (u64::BITS - SOURCE_SHIFT);
/// 2^64 by the golden ratio: multiples of it lie far apart.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

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
    fn place_of(&self, id: MessageId) -> usize {
        // Short ones are counted by themselves, from anywhere.
        let source = if id.is_short() { SHORT_SOURCE } else { id.as_u64() >> SOURCE_SHIFT };
        let id = id.as_u64();
        let start = source.wrapping_mul(GOLDEN) >> (self.mask.leading_zeros() & 63);
        (id.wrapping_add(start) & self.mask) as usize
    }

    /// Has the memory fetched that this message's final state goes to.
    #[inline]
    pub(super) fn prefetch(&self, id: MessageId) {
        if let Some(place) = self.places.get(self.place_of(id)) {
            prefetch(place);
        }
    }

    #[inline]
    pub(super) fn remember(&mut self, record: &FinalRecord) {
        let FinalRecord { id, account, finished_s, error, state } = *record;
        let place = self.place_of(id);
        if let Some(place) = self.places.get_mut(place) {
            let state = u16::from(state.octet().saturating_sub(FIRST_FINAL));
            *place = Place { id, finished_s, error, account_and_state: account.0 << STATE_BITS | state };
        }
    }

    /// The final state of this message, if it is younger than it need be remembered. A clock that was set back makes
    /// everything young.
    pub(super) fn find(&self, id: MessageId, now: Now) -> Option<FinalRecord> {
        self.places
            .get(self.place_of(id))
            .filter(|place| place.id == id)
            .and_then(|place| self.look(place, now))
    }

    /// Every final state that is young enough to be remembered.
    pub(super) fn iter(&self, now: Now) -> impl Iterator<Item = FinalRecord> {
        self.places.iter().filter_map(move |place| self.look(place, now))
    }

    fn look(&self, place: &Place, now: Now) -> Option<FinalRecord> {
        let age_s = now.wall.unix_seconds().saturating_sub(u64::from(place.finished_s));
        if place.finished_s == 0 || age_s >= u64::from(self.keep_s) {
            return None;
        }
        let state = FIRST_FINAL + (place.account_and_state & ((1 << STATE_BITS) - 1)) as u8;
        Some(FinalRecord {
            id: place.id,
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
    fn sources_that_count_from_the_same_clock_do_not_displace_each_other() {
        use crate::base::{MessageIdSource, ShortIds, WallTime};
        let wall = WallTime::from_unix_millis(1_767_268_800_000);
        let short_ids = ShortIds::default();
        let mut sources = vec![MessageIdSource::new(0, 1, short_ids.clone(), wall, 0)];
        let worker = |worker| MessageIdSource::for_worker(0, worker, short_ids.clone(), wall, 0);
        sources.extend((0..4).map(worker));
        let mut history = FinalHistory::new(1 << 10, 60);
        let mut ids: Vec<MessageId> = (0..80)
            .flat_map(|_| sources.iter_mut().map(MessageIdSource::next_long).collect::<Vec<_>>())
            .collect();
        // Short ones too, from where the long ones happen to be.
        let short_ids = ShortIds::starting_at(ids[0].as_u64() as u32 & 0xFF_FFC0);
        let mut short = MessageIdSource::new(0, 1, short_ids, wall, 0);
        ids.extend((0..80).map(|_| short.next_short()));
        for &id in &ids {
            history.remember(&record(id, MessageState::Delivered, 0, 5));
        }
        let forgotten = ids.iter().filter(|&&id| history.find(id, at(5)).is_none()).count();
        assert_eq!(forgotten, 0, "of {}", ids.len());
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
