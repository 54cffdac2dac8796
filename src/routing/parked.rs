//! The table of parked messages: what must be at hand of a message that waits long, in 36 octets. All else is in the
//! store's record of it, and its addresses and text are in its stored body.
//!
//! When each is due is kept in buckets of a quarter of a second, so that what waits costs nothing. A message comes out of
//! its bucket a little before it is due; the timer wheel then has it to the millisecond.

use std::collections::BTreeMap;

use super::message::NONE;
use super::traits::{Traits, Waits, waiting_for};
use crate::base::{Now, Time};
use crate::store::Location;

const CHUNK_BITS: u32 = 12;
const CHUNK_ENTRIES: usize = 1 << CHUNK_BITS;
/// A bucket is 2^8 milliseconds.
const BUCKET_BITS: u32 = 8;
/// How long before a message is due it comes out. What is due sooner than that is not parked.
const LEAD_MS: u64 = 512;
/// Farthest point that is not ambiguous in 32 bits of milliseconds, less what a busy shard may be late.
const AHEAD_MS_MAX: u64 = 20 * 86_400_000;

/// What is at hand of a parked message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Next link in the same place of the id index.
    pub(super) chain: u32,
    /// Next link in the same place of the subscribers' table; of one in a list, which is not there, the next in the list.
    next: u32,
    /// Names the subscriber; of one in a list, the link before it.
    subscriber_or_previous: u32,
    /// Neighbours in the bucket.
    earlier: u32,
    /// In a free entry: the next free one.
    later: u32,
    /// The session that submitted, as the session table packs it.
    pub(super) submitter: u32,
    /// When it is due: the low bits of milliseconds.
    due_ms: u32,
    /// The location's low bits; [`NONE`]: the entry is free.
    location_low: u32,
    location_high: u16,
    traits: u16,
}

const _: () = assert!(size_of::<Entry>() == 36);

impl Entry {
    /// Its location in the store.
    pub(super) const fn location(&self) -> Location {
        Location(self.location_low as u64 | (self.location_high as u64) << 32)
    }

    /// What its bits say.
    pub(super) const fn traits(&self) -> Traits {
        Traits::unpack(self.traits)
    }

    /// What it waits for.
    pub(super) const fn waits(&self) -> Waits {
        Waits::from_bits(self.traits)
    }

    /// Others may be in line behind it, which waits for its next attempt, from now on.
    pub(super) const fn follow(&mut self) {
        self.traits = waiting_for(self.traits, Waits::Attempt { is_followed: true });
    }

    /// Names the subscriber; of one in a list that stands in its stored body only.
    pub(super) const fn subscriber(&self) -> Option<u32> {
        if self.waits().is_in_list() { None } else { Some(self.subscriber_or_previous) }
    }

    /// Next link in the same place of the subscribers' table; [`NONE`] for one in a list.
    pub(super) const fn peer(&self) -> u32 {
        if self.waits().is_in_list() { NONE } else { self.next }
    }

    /// Sets it.
    pub(super) fn set_peer(&mut self, peer: u32) {
        debug_assert!(!self.waits().is_in_list());
        self.next = peer;
    }

    /// The links before and behind it in its list; `None`: it stands in none.
    pub(super) const fn neighbours(&self) -> Option<(u32, u32)> {
        if self.waits().is_in_list() { Some((self.subscriber_or_previous, self.next)) } else { None }
    }

    /// See [`Entry::neighbours`].
    pub(super) const fn neighbours_mut(&mut self) -> Option<(&mut u32, &mut u32)> {
        if self.waits().is_in_list() {
            Some((&mut self.subscriber_or_previous, &mut self.next))
        } else {
            None
        }
    }
}

/// First and last entry of a bucket.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    head: u32,
    tail: u32,
}

/// The table.
#[derive(Debug)]
pub(super) struct Parked {
    /// Never moved: growth copies nothing.
    chunks: Vec<Box<[Entry]>>,
    free: u32,
    touched: u32,
    len: u32,
    buckets: BTreeMap<u64, Bucket>,
    /// The latest time known, which says what the low bits of a time mean.
    clock_ms: u64,
}

impl Default for Parked {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: NONE, touched: 0, len: 0, buckets: BTreeMap::new(), clock_ms: 0 }
    }
}

const VACANT: Entry = Entry {
    chain: NONE,
    next: NONE,
    subscriber_or_previous: 0,
    earlier: NONE,
    later: NONE,
    submitter: NONE,
    due_ms: 0,
    location_low: NONE,
    location_high: 0,
    traits: 0,
};

/// In whole milliseconds, and never too early.
const fn millis(at: Time) -> u64 {
    at.as_nanos().div_ceil(1_000_000)
}

impl Parked {
    /// Messages parked.
    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    /// Whether a message at this location that is due at `due` can be parked.
    pub(super) fn takes(&mut self, location: Location, due: Time, now: Now) -> bool {
        self.clock_ms = self.clock_ms.max(now.mono.as_millis());
        let (due_ms, frontier) = (millis(due), self.frontier());
        // Behind those of its bucket that are still here, lest it overtake them.
        let is_ahead =
            due_ms >> BUCKET_BITS > frontier || self.buckets.contains_key(&(due_ms >> BUCKET_BITS));
        is_ahead
            && due_ms.saturating_sub(self.clock_ms) < AHEAD_MS_MAX
            && location.0 >> 48 == 0
            && location.0 as u32 != NONE
    }

    /// The last bucket that is due to come out.
    const fn frontier(&self) -> u64 {
        (self.clock_ms + LEAD_MS) >> BUCKET_BITS
    }

    /// Parks a message that [`Parked::takes`] has allowed. The links are left to the tables and lists that they belong to.
    pub(super) fn insert(
        &mut self,
        location: Location,
        due: Time,
        subscriber: u32,
        submitter: u32,
        traits: Traits,
    ) -> u32 {
        let place = if self.free != NONE {
            self.free
        } else {
            if self.touched as usize == self.chunks.len() * CHUNK_ENTRIES {
                self.chunks.push(vec![VACANT; CHUNK_ENTRIES].into_boxed_slice());
            }
            self.touched
        };
        if place == self.touched {
            self.touched += 1;
        } else {
            self.free = self.entry(place).later;
        }
        *self.entry_mut(place) = Entry {
            subscriber_or_previous: if traits.waits.is_in_list() { NONE } else { subscriber },
            submitter,
            due_ms: millis(due) as u32,
            location_low: location.0 as u32,
            location_high: (location.0 >> 32) as u16,
            traits: traits.pack(),
            ..VACANT
        };
        self.len += 1;
        self.link(place, millis(due) >> BUCKET_BITS);
        place
    }

    /// Frees an entry, which is in no table any more.
    pub(super) fn remove(&mut self, place: u32) {
        self.unlink(place);
        let free = self.free;
        *self.entry_mut(place) = Entry { later: free, ..VACANT };
        self.free = place;
        self.len -= 1;
    }

    /// A parked message.
    #[inline]
    pub(super) fn get(&self, place: u32) -> Option<&Entry> {
        let entry = self.chunks.get((place >> CHUNK_BITS) as usize)?.get(place as usize % CHUNK_ENTRIES)?;
        (entry.location_low != NONE).then_some(entry)
    }

    /// A parked message.
    #[inline]
    pub(super) fn get_mut(&mut self, place: u32) -> Option<&mut Entry> {
        let entry =
            self.chunks.get_mut((place >> CHUNK_BITS) as usize)?.get_mut(place as usize % CHUNK_ENTRIES)?;
        (entry.location_low != NONE).then_some(entry)
    }

    /// Every parked message.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Entry)> {
        (0..self.touched).filter_map(|place| Some((place, self.get(place)?)))
    }

    /// When a parked message is due.
    pub(super) fn due(&self, place: u32) -> Time {
        Time::from_millis(self.due_ms(place))
    }

    /// The next message that is to come out, if it is time.
    pub(super) fn next_due(&mut self, now: Now) -> Option<u32> {
        if self.len == 0 {
            return None;
        }
        self.clock_ms = self.clock_ms.max(now.mono.as_millis());
        let (&key, bucket) = self.buckets.first_key_value()?;
        (key <= self.frontier()).then_some(bucket.head)
    }

    /// When [`Parked::next_due`] next has one; `None`: nothing is parked.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        let (&key, _) = self.buckets.first_key_value()?;
        Some(Time::from_millis((key << BUCKET_BITS).saturating_sub(LEAD_MS)))
    }

    /// Checks the buckets against the entries.
    ///
    /// # Panics
    /// When they disagree.
    pub(super) fn check(&self) {
        let mut count = 0;
        for (&key, bucket) in &self.buckets {
            let (mut previous, mut at) = (NONE, bucket.head);
            while at != NONE {
                let Some(entry) = self.get(at) else { panic!("a bucket leads to the free entry {at}") };
                assert_eq!((entry.earlier, self.due_ms(at) >> BUCKET_BITS), (previous, key));
                (previous, at) = (at, entry.later);
                count += 1;
            }
            assert_eq!(bucket.tail, previous);
        }
        assert_eq!((count, self.iter().count() as u32), (self.len, self.len));
    }

    fn due_ms(&self, place: u32) -> u64 {
        // Nothing is farther from the clock than half the range of the low bits.
        let ahead = self.entry(place).due_ms.wrapping_sub(self.clock_ms as u32) as i32;
        self.clock_ms.saturating_add_signed(i64::from(ahead))
    }

    fn link(&mut self, place: u32, key: u64) {
        let bucket = self.buckets.entry(key).or_insert(Bucket { head: place, tail: NONE });
        let before = std::mem::replace(&mut bucket.tail, place);
        self.entry_mut(place).earlier = before;
        if before != NONE {
            self.entry_mut(before).later = place;
        }
    }

    fn unlink(&mut self, place: u32) {
        let Entry { earlier, later, .. } = *self.entry(place);
        if earlier != NONE {
            self.entry_mut(earlier).later = later;
        }
        if later != NONE {
            self.entry_mut(later).earlier = earlier;
        }
        if earlier != NONE && later != NONE {
            return;
        }
        let key = self.due_ms(place) >> BUCKET_BITS;
        if earlier == NONE && later == NONE {
            self.buckets.remove(&key);
        } else if let Some(bucket) = self.buckets.get_mut(&key) {
            if earlier == NONE {
                bucket.head = later;
            } else {
                bucket.tail = earlier;
            }
        }
    }

    #[inline]
    fn entry(&self, place: u32) -> &Entry {
        &self.chunks[(place >> CHUNK_BITS) as usize][place as usize % CHUNK_ENTRIES]
    }

    #[inline]
    fn entry_mut(&mut self, place: u32) -> &mut Entry {
        &mut self.chunks[(place >> CHUNK_BITS) as usize][place as usize % CHUNK_ENTRIES]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::WallTime;
    use crate::smpp::RegisteredDelivery;
    use proptest::prelude::*;

    fn at(ms: u64) -> Now {
        Now { mono: Time::from_millis(ms), wall: WallTime::default() }
    }

    const TRAITS: Traits = Traits {
        waits: Waits::Schedule,
        is_notified: true,
        priority: 3,
        registered_delivery: RegisteredDelivery(0x12),
        accepted_ms: 996,
    };

    #[test]
    fn traits_and_location_come_back() {
        let mut parked = Parked::default();
        let location = Location(0xFFFF_0000_0007);
        assert!(parked.takes(location, Time::from_millis(5_000), at(0)));
        let place = parked.insert(location, Time::from_millis(5_000), 77, 8, TRAITS);
        let entry = parked.get(place).copied().expect("parked");
        assert_eq!(
            (entry.location(), entry.traits(), entry.subscriber(), entry.submitter),
            (location, TRAITS, Some(77), 8)
        );
        assert_eq!((entry.waits(), entry.neighbours()), (Waits::Schedule, None));
        parked.remove(place);
        assert!(parked.get(place).is_none() && parked.len() == 0);
    }

    #[test]
    fn what_is_due_soon_or_far_away_or_named_by_more_bits_is_not_taken() {
        let mut parked = Parked::default();
        let location = Location(1);
        assert!(!parked.takes(location, Time::from_millis(10_000 + LEAD_MS), at(10_000)));
        assert!(parked.takes(location, Time::from_millis(10_257 + LEAD_MS), at(10_000)));
        assert!(!parked.takes(location, Time::from_millis(10_000 + AHEAD_MS_MAX), at(10_000)));
        assert!(!parked.takes(Location(1 << 48), Time::from_millis(20_000), at(10_000)));
    }

    proptest! {
        /// Each comes out once, in good time and in order of its bucket, whatever is removed meanwhile and wherever the
        /// clock stands.
        #[test]
        fn they_come_out_in_time(
            start in prop_oneof![Just(0), Just(u64::from(u32::MAX) - 3_000), 0..1u64 << 41],
            steps in prop::collection::vec((0u8..3, 0u64..100_000), 1..300),
        ) {
            let mut parked = Parked::default();
            let mut model: Vec<(u64, u32)> = Vec::new();
            let mut now = start;
            for (step, &(kind, value)) in steps.iter().enumerate() {
                match kind {
                    0 => {
                        let due = now + value;
                        if parked.takes(Location(step as u64), Time::from_millis(due), at(now)) {
                            let place = parked.insert(Location(step as u64), Time::from_millis(due), 0, 0, TRAITS);
                            prop_assert_eq!(parked.due(place), Time::from_millis(due));
                            model.push((due, place));
                        } else {
                            prop_assert!(due - now < LEAD_MS + 256);
                        }
                    }
                    1 if !model.is_empty() => {
                        let (_, place) = model.remove(value as usize % model.len());
                        parked.remove(place);
                    }
                    _ => {
                        now += value / 10;
                        let mut last = 0;
                        while let Some(place) = parked.next_due(at(now)) {
                            let index = model.iter().position(|(_, held)| *held == place).expect("once");
                            let (due, _) = model.remove(index);
                            prop_assert!(due >> BUCKET_BITS >= last && due < now + LEAD_MS + 256);
                            last = due >> BUCKET_BITS;
                            parked.remove(place);
                        }
                        prop_assert!(model.iter().all(|(due, _)| *due > now), "one is late");
                        let next = parked.next_deadline();
                        prop_assert_eq!(next.is_some(), !model.is_empty());
                        prop_assert!(next.is_none_or(|next| next > Time::from_millis(now)));
                    }
                }
                parked.check();
            }
        }
    }
}
