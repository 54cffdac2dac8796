//! A hierarchical timer wheel: one timer per key, where a key is the owner's slab slot. Scheduling, re-scheduling
//! and cancelling are O(1) and allocate nothing once the keys have been seen; idle time costs nothing however long
//! it was, because each level knows by a bitmap where its next timer is.
//!
//! One tick is a millisecond. Level `n` has 256 slots of `256^n` ticks: together 2^32 ticks, about 49 days. A timer
//! beyond waits in the farthest slot and is placed again from there.

use super::Time;
use super::prefetch::prefetch;

const LEVELS: usize = 4;
const SLOT_BITS: u32 = 8;
const SLOTS: usize = 1 << SLOT_BITS;
const SLOT_MASK: u64 = (SLOTS - 1) as u64;
/// A timer is placed at most this many ticks ahead: one slot less than a whole turn of the top level, so that a
/// slot of that level always has one meaning.
const HORIZON: u64 = SLOT_MASK << (SLOT_BITS * (LEVELS as u32 - 1));
const NANOS_PER_TICK: u64 = 1_000_000;

const CHUNK_BITS: u32 = 12;
const CHUNK_NODES: usize = 1 << CHUNK_BITS;
/// Of fixed size, so that a place within one needs no check.
type Chunk = Box<[Node; CHUNK_NODES]>;
/// Ends a list; never a key.
const NONE: u32 = u32::MAX;
/// The `place` of a key that is not scheduled.
const NOWHERE: u16 = u16::MAX;

#[derive(Clone, Copy, Debug)]
struct Node {
    /// Low and high bits of the tick: 48 in all, 8,900 years.
    tick_low: u32,
    tick_high: u16,
    /// `level * 256 + slot`, or [`NOWHERE`].
    place: u16,
    next: u32,
    /// The one before; the first one's is the last of the list.
    previous: u32,
}

const UNSCHEDULED: Node = Node { tick_low: 0, tick_high: 0, place: NOWHERE, next: NONE, previous: NONE };
const _: () = assert!(size_of::<Node>() == 16);
/// The last tick that a node can hold.
const TICK_MAX: u64 = (1 << 48) - 1;

impl Node {
    #[inline]
    const fn tick(&self) -> u64 {
        self.tick_low as u64 | (self.tick_high as u64) << 32
    }
}

/// A timer wheel over keys below the owner's bound.
#[derive(Debug)]
pub struct Wheel {
    /// First key of each slot's list.
    heads: [u32; LEVELS * SLOTS],
    /// Which slots have a list, per level.
    occupied: [[u64; SLOTS / 64]; LEVELS],
    /// By key. Grows by whole chunks to the highest key seen, and never moves.
    nodes: Vec<Chunk>,
    /// All earlier ticks have fired; this one may still get timers that are late already.
    current: u64,
    len: u32,
}

impl Default for Wheel {
    fn default() -> Self {
        Self::new()
    }
}

impl Wheel {
    /// An empty wheel that starts at [`Time::ZERO`].
    pub const fn new() -> Self {
        Self {
            heads: [NONE; LEVELS * SLOTS],
            occupied: [[0; SLOTS / 64]; LEVELS],
            nodes: Vec::new(),
            current: 0,
            len: 0,
        }
    }

    /// Timers scheduled.
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether no timer is scheduled.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether `key` has a timer.
    #[inline]
    pub fn is_scheduled(&self, key: u32) -> bool {
        self.seen(key).is_some_and(|node| node.place != NOWHERE)
    }

    /// Sets the timer of `key` to `at`, in place of the one it may have. Memory grows to the highest key used:
    /// keys must be dense, as slab slots are.
    ///
    /// # Panics
    /// When `key` is `u32::MAX`, which no slab gives out.
    #[inline]
    pub fn schedule(&mut self, key: u32, at: Time) {
        if self.nodes.len() <= (key >> CHUNK_BITS) as usize {
            self.grow(key);
        }
        if self.node(key).place == NOWHERE {
            self.len += 1;
        } else {
            self.unlink(key);
        }
        self.link(key, at.as_nanos().div_ceil(NANOS_PER_TICK).min(TICK_MAX));
    }

    #[cold]
    fn grow(&mut self, key: u32) {
        assert!(key != NONE);
        while self.nodes.len() <= (key >> CHUNK_BITS) as usize {
            // Boxed as a slice first: an array would come by way of the stack.
            let chunk: Result<Chunk, _> = vec![UNSCHEDULED; CHUNK_NODES].into_boxed_slice().try_into();
            self.nodes.extend(chunk);
        }
    }

    /// Removes the timer of `key`; `false` when it has none.
    #[inline]
    pub fn cancel(&mut self, key: u32) -> bool {
        if !self.is_scheduled(key) {
            return false;
        }
        self.unlink(key);
        self.len -= 1;
        true
    }

    /// Takes one timer that is due at `now`: earlier ticks first, within a tick in the order they were placed.
    /// Never one before its time. The caller bounds how many it takes in a turn.
    #[inline]
    pub fn pop_due(&mut self, now: Time) -> Option<u32> {
        let now = now.as_nanos() / NANOS_PER_TICK;
        loop {
            let slot = (self.current & SLOT_MASK) as usize;
            let key = self.heads[slot];
            if key != NONE {
                self.unlink_head(key, slot);
                self.len -= 1;
                return Some(key);
            }
            if self.current >= now {
                return None;
            }
            self.current = self.next_tick().map_or(now, |tick| tick.min(now));
            self.cascade();
        }
    }

    /// The timer that [`Wheel::pop_due`] takes next, as far as one has the tick where the wheel is.
    #[inline]
    pub fn first(&self) -> Option<u32> {
        let key = self.heads[(self.current & SLOT_MASK) as usize];
        (key != NONE).then_some(key)
    }

    /// The timer that is taken after that of `key`, if it has the same tick. A key without a timer leads anywhere.
    #[inline]
    pub fn after(&self, key: u32) -> Option<u32> {
        self.seen(key).map(|node| node.next).filter(|&next| next != NONE)
    }

    /// Has the memory of a key's timer fetched.
    #[inline]
    pub fn prefetch(&self, key: u32) {
        if let Some(node) = self.seen(key) {
            prefetch(node);
        }
    }

    /// When to call [`Wheel::pop_due`] next: the next timer's tick, or earlier when that timer is more than 256
    /// ticks away (the call then only moves it closer; at most three such steps lead to a timer).
    pub fn next_deadline(&self) -> Option<Time> {
        if self.heads[(self.current & SLOT_MASK) as usize] != NONE {
            return Some(Time::from_millis(self.current));
        }
        self.next_tick().map(|tick| Time::from_nanos(tick.saturating_mul(NANOS_PER_TICK)))
    }

    /// First tick of the nearest slot after the current one that has timers.
    fn next_tick(&self) -> Option<u64> {
        if self.len == 0 {
            return None;
        }
        // A lower level ends before the next slot of the one above begins, so the first hit is the nearest.
        (0..LEVELS).find_map(|level| {
            let shift = SLOT_BITS * level as u32;
            let position = self.current >> shift;
            let distance = distance_to_occupied(&self.occupied[level], (position & SLOT_MASK) as u32)?;
            Some((position + u64::from(distance)) << shift)
        })
    }

    /// Brings the timers of the slots that the current tick has just entered down to where they belong now.
    fn cascade(&mut self) {
        for level in (1..LEVELS).rev() {
            let slot = ((self.current >> (SLOT_BITS * level as u32)) & SLOT_MASK) as usize;
            let place = level * SLOTS + slot;
            let mut key = self.heads[place];
            if key == NONE {
                continue;
            }
            self.heads[place] = NONE;
            self.occupied[level][slot / 64] &= !(1 << (slot % 64));
            while key != NONE {
                let node = *self.node(key);
                self.link(key, node.tick());
                key = node.next;
            }
        }
    }

    /// Appends `key` to the list that `tick` belongs to.
    #[inline]
    fn link(&mut self, key: u32, tick: u64) {
        let near = tick.clamp(self.current, self.current.saturating_add(HORIZON));
        let level = level_of(self.current ^ near);
        let slot = ((near >> (SLOT_BITS * level as u32)) & SLOT_MASK) as usize;
        let place = level * SLOTS + slot;
        let head = self.heads[place];
        let previous = if head == NONE {
            self.heads[place] = key;
            self.occupied[level][slot / 64] |= 1 << (slot % 64);
            key
        } else {
            let last = std::mem::replace(&mut self.node_mut(head).previous, key);
            self.node_mut(last).next = key;
            last
        };
        *self.node_mut(key) = Node {
            tick_low: tick as u32,
            tick_high: (tick >> 32) as u16,
            place: place as u16,
            next: NONE,
            previous,
        };
    }

    #[inline]
    fn unlink(&mut self, key: u32) {
        let Node { next, previous, place, .. } = *self.node(key);
        let place = place as usize;
        let head = self.heads[place];
        if head == key {
            self.unlink_head(key, place);
            return;
        }
        self.node_mut(previous).next = next;
        self.node_mut(if next == NONE { head } else { next }).previous = previous;
        self.node_mut(key).place = NOWHERE;
    }

    /// Takes out the first of the list at `place`.
    #[inline]
    fn unlink_head(&mut self, key: u32, place: usize) {
        let node = self.node_mut(key);
        node.place = NOWHERE;
        let (next, last) = (node.next, node.previous);
        self.heads[place] = next;
        if next == NONE {
            let (level, slot) = (place / SLOTS, place % SLOTS);
            self.occupied[level][slot / 64] &= !(1 << (slot % 64));
        } else {
            self.node_mut(next).previous = last;
        }
    }

    #[inline]
    fn seen(&self, key: u32) -> Option<&Node> {
        self.nodes.get((key >> CHUNK_BITS) as usize)?.get(key as usize % CHUNK_NODES)
    }

    #[inline]
    fn node(&self, key: u32) -> &Node {
        &self.nodes[(key >> CHUNK_BITS) as usize][key as usize % CHUNK_NODES]
    }

    #[inline]
    fn node_mut(&mut self, key: u32) -> &mut Node {
        &mut self.nodes[(key >> CHUNK_BITS) as usize][key as usize % CHUNK_NODES]
    }
}

/// The level whose slots tell two ticks apart that differ by these bits.
#[inline]
const fn level_of(difference: u64) -> usize {
    let highest_bit = 63 - (difference | 1).leading_zeros();
    let level = (highest_bit / SLOT_BITS) as usize;
    if level < LEVELS { level } else { LEVELS - 1 }
}

/// Slots from `from` (itself excluded) forward, around the end, to the first occupied one.
fn distance_to_occupied(occupied: &[u64; SLOTS / 64], from: u32) -> Option<u32> {
    let words = occupied.len() as u32;
    let start = (from + 1) % SLOTS as u32;
    for step in 0..=words {
        let index = (start / 64 + step) % words;
        let mut word = occupied[index as usize];
        // The word of the start is looked at twice: its upper part first, its lower part last.
        if step == 0 {
            word &= u64::MAX << (start % 64);
        } else if step == words {
            word &= !(u64::MAX << (start % 64));
        }
        if word != 0 {
            let slot = index * 64 + word.trailing_zeros();
            return Some((slot + SLOTS as u32 - from - 1) % SLOTS as u32 + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn fires_at_the_tick_and_not_before() {
        let mut wheel = Wheel::new();
        wheel.schedule(3, Time::from_nanos(1_000_001));
        assert_eq!(wheel.pop_due(Time::from_nanos(1_999_999)), None);
        assert_eq!(wheel.next_deadline(), Some(Time::from_millis(2)));
        assert_eq!(wheel.pop_due(Time::from_millis(2)), Some(3));
        assert!(wheel.is_empty() && wheel.next_deadline().is_none());
    }

    #[test]
    fn a_timer_in_the_past_fires_at_once() {
        let mut wheel = Wheel::new();
        assert_eq!(wheel.pop_due(Time::from_millis(1_000_000)), None);
        wheel.schedule(1, Time::from_millis(5));
        assert_eq!(wheel.next_deadline(), Some(Time::from_millis(1_000_000)));
        assert_eq!(wheel.pop_due(Time::from_millis(1_000_000)), Some(1));
    }

    #[test]
    fn a_timer_beyond_the_horizon_keeps_its_time() {
        let mut wheel = Wheel::new();
        let year_ms = 365 * 24 * 3_600 * 1_000;
        wheel.schedule(0, Time::from_millis(year_ms));
        wheel.schedule(1, Time::NEVER);
        let mut steps = 0;
        let (fired, now) = loop {
            let now = wheel.next_deadline().unwrap();
            if let Some(key) = wheel.pop_due(now) {
                break (key, now);
            }
            steps += 1;
            assert!(steps < 20, "the wheel must not be walked tick by tick");
        };
        assert_eq!((fired, now), (0, Time::from_millis(year_ms)));
        assert!(wheel.is_scheduled(1) && wheel.cancel(1) && !wheel.cancel(1));
    }

    #[test]
    fn waiting_for_the_deadline_takes_few_steps() {
        let mut wheel = Wheel::new();
        wheel.schedule(9, Time::from_millis(0x00FF_FFFF));
        let mut steps = 0;
        while wheel.pop_due(wheel.next_deadline().unwrap()).is_none() {
            steps += 1;
        }
        assert!(steps <= 3, "{steps}");
    }

    /// Key to (tick, order of placing): what the wheel must agree with.
    #[derive(Default)]
    struct Oracle {
        timers: BTreeMap<u32, u64>,
    }

    impl Oracle {
        fn due(&self, now_tick: u64) -> Option<u64> {
            self.timers.values().copied().filter(|&tick| tick <= now_tick).min()
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Schedule { key: u32, after_nanos: u64 },
        SchedulePast { key: u32, before_nanos: u64 },
        Cancel { key: u32 },
        Advance { nanos: u64 },
        AdvanceToDeadline,
        PopOne,
    }

    /// Spans from below a tick to beyond the horizon, each size as likely.
    fn span() -> impl Strategy<Value = u64> {
        (0u32..53, any::<u64>()).prop_map(|(bits, value)| value & ((1u64 << (bits + 4)) - 1))
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            5 => (0u32..40, span()).prop_map(|(key, after_nanos)| Step::Schedule { key, after_nanos }),
            1 => (0u32..40, span()).prop_map(|(key, before_nanos)| Step::SchedulePast { key, before_nanos }),
            2 => (0u32..40).prop_map(|key| Step::Cancel { key }),
            2 => span().prop_map(|nanos| Step::Advance { nanos }),
            2 => Just(Step::AdvanceToDeadline),
            2 => Just(Step::PopOne),
        ]
    }

    proptest! {
        #[test]
        fn agrees_with_an_ordered_map(steps in prop::collection::vec(step(), 1..300)) {
            let mut wheel = Wheel::new();
            let mut oracle = Oracle::default();
            let mut now = 0u64;
            let pop = |wheel: &mut Wheel, oracle: &mut Oracle, now: u64| -> Result<bool, TestCaseError> {
                let due = oracle.due(now / NANOS_PER_TICK);
                match wheel.pop_due(Time::from_nanos(now)) {
                    Some(key) => {
                        let tick = oracle.timers.remove(&key);
                        // A timer set in the past counts as due at the tick where the wheel stood.
                        prop_assert!(tick.is_some() && due.is_some());
                        prop_assert!(tick <= Some(now / NANOS_PER_TICK), "fired early");
                        Ok(true)
                    }
                    None => {
                        prop_assert_eq!(due, None, "a due timer did not fire");
                        Ok(false)
                    }
                }
            };
            for step in steps {
                match step {
                    Step::Schedule { key, after_nanos } => {
                        wheel.schedule(key, Time::from_nanos(now + after_nanos));
                        oracle.timers.insert(key, (now + after_nanos).div_ceil(NANOS_PER_TICK));
                    }
                    Step::SchedulePast { key, before_nanos } => {
                        let at = now.saturating_sub(before_nanos);
                        wheel.schedule(key, Time::from_nanos(at));
                        oracle.timers.insert(key, at.div_ceil(NANOS_PER_TICK));
                    }
                    Step::Cancel { key } => {
                        prop_assert_eq!(wheel.cancel(key), oracle.timers.remove(&key).is_some());
                    }
                    Step::Advance { nanos } => {
                        now += nanos;
                        while pop(&mut wheel, &mut oracle, now)? {}
                    }
                    Step::AdvanceToDeadline => {
                        let deadline = wheel.next_deadline();
                        prop_assert_eq!(deadline.is_some(), !oracle.timers.is_empty());
                        if let Some(deadline) = deadline {
                            let first = oracle.timers.values().min().unwrap() * NANOS_PER_TICK;
                            prop_assert!(deadline.as_nanos() <= first.max(now), "the deadline is too late");
                            now = now.max(deadline.as_nanos());
                            while pop(&mut wheel, &mut oracle, now)? {}
                        }
                    }
                    Step::PopOne => {
                        pop(&mut wheel, &mut oracle, now)?;
                    }
                }
                prop_assert_eq!(wheel.len() as usize, oracle.timers.len());
                for key in 0..40 {
                    prop_assert_eq!(wheel.is_scheduled(key), oracle.timers.contains_key(&key));
                }
            }
        }

        /// Everything scheduled ahead of time comes out ordered by tick, and by order of scheduling within one
        /// when no cascade lies between.
        #[test]
        fn fires_in_order_of_tick(delays in prop::collection::vec(0u64..100_000, 1..200)) {
            let mut wheel = Wheel::new();
            for (key, &delay_ms) in delays.iter().enumerate() {
                wheel.schedule(key as u32, Time::from_millis(delay_ms));
            }
            let mut fired = Vec::new();
            while let Some(key) = wheel.pop_due(Time::from_millis(200_000)) {
                fired.push(delays[key as usize]);
            }
            prop_assert_eq!(fired.len(), delays.len());
            prop_assert!(fired.is_sorted());
        }
    }
}
