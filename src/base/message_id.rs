//! Message ids: one number, printed the same everywhere (response, receipt text, receipted_message_id) unless an account
//! asks for other forms, which are `id_form`'s.
//!
//! Layout of a long id (16 hex digits): `node:5 | shard:7 | counter:52`. The counter starts at the wall clock
//! (milliseconds since 2024-01-01, times 2048) or above the stored high-water mark, whichever is later, and
//! grows by one per message, so ids repeat neither across restarts nor across nodes and shards.
//! Layout of a short id (8 hex digits, for interface_version up to 0x33): `node:5 | counter:27`, the counter
//! handed out in blocks to the shards and workers. A long id is never below 2^32, so the two kinds can't be confused.
//! There are only 134 million short ids, so they come round when all have been given, over restarts too, for whoever
//! starts the process says where the counter was. One that still names a pending message is never given again.
//! The id of a submit_multi is made by a worker: a long id with the top bit of the counter set and the worker's index
//! in place of the shard's.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::id_form::ID_TEXT_MAX;
use super::time::WallTime;

const COUNTER_BITS: u32 = 52;
const SHARD_BITS: u32 = 7;
const SHORT_COUNTER_BITS: u32 = 27;
/// Set in the counter of an id that a worker made. No clock counts up to it, and no shard from a clock.
const WORKER_BIT: u64 = 1 << (COUNTER_BITS - 1);
/// 2024-01-01T00:00:00Z in Unix milliseconds.
const EPOCH_UNIX_MS: u64 = 1_704_067_200_000;
/// Ids that one millisecond of wall clock reserves for each shard.
pub const COUNTERS_PER_MS: u64 = 2_048;

/// The highest node number (5 bits).
pub const NODE_MAX: u8 = 31;
/// The highest shard index that fits an id (7 bits).
pub const SHARD_MAX: u16 = 127;

/// The counter at which a source starts at `wall`, all else aside. A clock beyond the year 2041 is taken for that, so
/// that one gone mad leaves room to count.
pub const fn clock_counter(wall: WallTime) -> u64 {
    const LATEST: u64 = 1 << (COUNTER_BITS - 2);
    let counter = wall.unix_millis().saturating_sub(EPOCH_UNIX_MS).saturating_mul(COUNTERS_PER_MS);
    if counter < LATEST { counter } else { LATEST }
}

/// A message id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(u64);

impl MessageId {
    /// The id with this value.
    pub const fn from_u64(value: u64) -> Self {
        Self(value)
    }

    /// The id as a number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Whether this id has the 8-digit form.
    pub const fn is_short(self) -> bool {
        self.0 <= u32::MAX as u64
    }

    /// The shard that made a long id; `None` for a short one and for one that a worker made.
    pub const fn shard(self) -> Option<u16> {
        if self.is_short() || self.0 & WORKER_BIT != 0 {
            None
        } else {
            Some(((self.0 >> COUNTER_BITS) & ((1 << SHARD_BITS) - 1)) as u16)
        }
    }

    /// The text of the id: 16 or 8 upper-case hex digits in a fixed buffer.
    pub fn text(self) -> MessageIdText {
        let mut octets = [0u8; ID_TEXT_MAX];
        let value = spread_nibbles((self.0 >> 32) as u32);
        octets[..8].copy_from_slice(&value);
        octets[8..16].copy_from_slice(&spread_nibbles(self.0 as u32));
        MessageIdText { octets, start: if self.is_short() { 8 } else { 0 }, end: 16 }
    }

    /// Parses what [`MessageId::text`] prints (either letter case). `None` for anything else: such an id is not ours.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != 16 && text.len() != 8 {
            return None;
        }
        let mut value = 0u64;
        for &digit in text {
            let nibble = (digit as char).to_digit(16)?;
            value = (value << 4) | u64::from(nibble);
        }
        let id = Self(value);
        (id.is_short() == (text.len() == 8)).then_some(id)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(self.text().as_bytes()).unwrap_or_default())
    }
}

/// Eight hex digits of `value`, most significant first, without a loop over digits.
fn spread_nibbles(value: u32) -> [u8; 8] {
    // One nibble per byte lane, then add '0', and 7 more in the lanes above 9.
    let mut x = u64::from(value);
    x = ((x << 16) | x) & 0x0000_FFFF_0000_FFFF;
    x = ((x << 8) | x) & 0x00FF_00FF_00FF_00FF;
    x = ((x << 4) | x) & 0x0F0F_0F0F_0F0F_0F0F;
    let above_nine = ((x + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    (x + 0x3030_3030_3030_3030 + above_nine * 7).to_be_bytes()
}

/// The printed form of a [`MessageId`]; no allocation.
#[derive(Clone, Copy, Debug)]
pub struct MessageIdText {
    octets: [u8; ID_TEXT_MAX],
    start: u8,
    end: u8,
}

impl MessageIdText {
    /// A text of at most [`ID_TEXT_MAX`] octets; the excess is cut.
    pub(super) fn new(text: &[u8]) -> Self {
        let mut octets = [0; ID_TEXT_MAX];
        for (to, from) in octets.iter_mut().zip(text) {
            *to = *from;
        }
        Self { octets, start: 0, end: text.len().min(ID_TEXT_MAX) as u8 }
    }

    /// The text, without a NUL.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.get(usize::from(self.start)..usize::from(self.end)).unwrap_or_default()
    }
}

/// The short ids of one process, from which each source takes a block at a time. Clones are the same ones.
#[derive(Clone, Debug, Default)]
pub struct ShortIds(Arc<AtomicU32>);

impl ShortIds {
    /// Short ids that a source takes at once.
    const BLOCK: u32 = 64;

    /// Begins at this counter, or the next one at which a block may begin.
    pub fn starting_at(counter: u32) -> Self {
        // Counters go round at a multiple of what ids hold.
        Self(Arc::new(AtomicU32::new(counter.checked_next_multiple_of(Self::BLOCK).unwrap_or(0))))
    }

    /// Begins where a clock says: for a process that knows of none before it.
    pub fn starting_by(wall: WallTime) -> Self {
        // 20 for each second.
        Self::starting_at((wall.unix_seconds() * 20) as u32)
    }

    /// Counters below this, back to half of what an id holds, may have been handed out. Goes round at 2^32.
    pub fn counter(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    fn take_block(&self) -> u32 {
        self.0.fetch_add(Self::BLOCK, Ordering::Relaxed)
    }
}

/// Hands out the ids of one shard.
#[derive(Debug)]
pub struct MessageIdSource {
    prefix: u64,
    next: u64,
    node: u8,
    short_ids: ShortIds,
    /// The next of the block.
    short_next: u32,
    /// How many are left of it.
    short_left: u32,
}

impl MessageIdSource {
    /// A source for shard `shard` on node `node`, starting after `wall` and after `high_water` (the highest counter that
    /// an earlier run may have used; 0 if none).
    ///
    /// # Panics
    /// When `node` or `shard` exceed what an id can hold: configuration is checked before.
    pub fn new(node: u8, shard: u16, short_ids: ShortIds, wall: WallTime, high_water: u64) -> Self {
        assert!(node <= NODE_MAX && shard <= SHARD_MAX);
        // Long ids stay above every short one even if the clock claims to be before 2024.
        let next = clock_counter(wall).max(high_water + 1).max(1 << 32);
        Self {
            prefix: (u64::from(node) << (COUNTER_BITS + SHARD_BITS)) | (u64::from(shard) << COUNTER_BITS),
            next,
            node,
            short_ids,
            short_next: 0,
            short_left: 0,
        }
    }

    /// A source for worker `worker`: of ids for whole requests, not for single messages.
    ///
    /// # Panics
    /// As [`MessageIdSource::new`].
    pub fn for_worker(node: u8, worker: u16, short_ids: ShortIds, wall: WallTime, high_water: u64) -> Self {
        let source = Self::new(node, worker, short_ids, wall, high_water);
        Self { prefix: source.prefix | WORKER_BIT, ..source }
    }

    /// The next 16-digit id.
    pub fn next_long(&mut self) -> MessageId {
        let counter = self.next & (WORKER_BIT - 1);
        self.next += 1;
        MessageId(self.prefix | counter)
    }

    /// The next 8-digit id. The caller skips one that still names a pending message.
    pub fn next_short(&mut self) -> MessageId {
        if self.short_left == 0 {
            (self.short_next, self.short_left) = (self.short_ids.take_block(), ShortIds::BLOCK);
        }
        let counter = self.short_next & ((1 << SHORT_COUNTER_BITS) - 1);
        self.short_next = self.short_next.wrapping_add(1);
        self.short_left -= 1;
        MessageId((u64::from(self.node) << SHORT_COUNTER_BITS) | u64::from(counter))
    }

    /// Takes note of an id that is in use: no long id up to it will be given out.
    pub const fn pass(&mut self, id: MessageId) {
        const COUNTER_MASK: u64 = WORKER_BIT - 1;
        let counter = id.0 & COUNTER_MASK;
        if !id.is_short() && id.0 & !COUNTER_MASK == self.prefix && counter >= self.next {
            self.next = counter + 1;
        }
    }

    /// The counter that the next long id will carry; an id lease covers everything below its limit.
    pub const fn next_counter(&self) -> u64 {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(shard: u16, high_water: u64) -> MessageIdSource {
        let wall = WallTime::from_unix_millis(1_763_900_000_000);
        MessageIdSource::new(3, shard, ShortIds::default(), wall, high_water)
    }

    #[test]
    fn text_round_trips_and_has_its_length() {
        for value in [0x1_0000_0000, 0x0123_4567_89AB_CDEF, u64::MAX, 0xABCD, 0] {
            let id = MessageId::from_u64(value);
            let text = id.text();
            assert_eq!(text.as_bytes().len(), if id.is_short() { 8 } else { 16 });
            assert_eq!(
                id.to_string(),
                if id.is_short() { format!("{value:08X}") } else { format!("{value:016X}") }
            );
            assert_eq!(MessageId::parse(text.as_bytes()), Some(id));
        }
    }

    #[test]
    fn parse_refuses_what_is_not_ours() {
        for text in [
            &b""[..],
            b"12",
            b"0000000000000001",
            b"12345678901234567",
            b"ZZZZZZZZ",
            b"+1234567",
            b"0x345678",
        ] {
            assert_eq!(MessageId::parse(text), None, "{text:?}");
        }
        assert_eq!(MessageId::parse(b"abcdef01"), MessageId::parse(b"ABCDEF01"));
    }

    #[test]
    fn ids_of_different_shards_and_restarts_differ() {
        let (mut a, mut b) = (source(0, 0), source(1, 0));
        let first = a.next_long();
        assert_ne!(first, b.next_long());
        assert_eq!(first.shard(), Some(0));
        let high_water = a.next_counter() + 10_000_000_000;
        let mut restarted = source(0, high_water);
        assert!(restarted.next_long() > MessageId::from_u64(first.as_u64() + 10_000_000_000));
        assert!(source(2, 0).next_short().is_short());
    }

    #[test]
    fn short_ids_are_given_once_before_they_come_round() {
        let wall = WallTime::from_unix_millis(1_763_900_000_000);
        let mut given = std::collections::HashSet::new();
        // Each run begins where the one before may have come to, though no time has passed.
        let mut counter = u32::MAX - 300;
        for _ in 0..3 {
            let short_ids = ShortIds::starting_at(counter);
            let mut sources: Vec<_> =
                (0..2).map(|shard| MessageIdSource::new(3, shard, short_ids.clone(), wall, 0)).collect();
            sources.push(MessageIdSource::for_worker(3, 0, short_ids.clone(), wall, 0));
            for turn in 0..500 {
                assert!(given.insert(sources[turn % 7 % 3].next_short()), "given twice");
            }
            counter = short_ids.counter();
        }
        assert!(given.iter().all(|id| id.is_short() && id.as_u64() >> SHORT_COUNTER_BITS == 3));
        assert_ne!(
            ShortIds::starting_by(wall).counter(),
            ShortIds::starting_by(WallTime::from_unix_millis(0)).counter()
        );
    }

    #[test]
    fn ids_of_workers_are_nobody_elses() {
        let wall = WallTime::from_unix_millis(1_763_900_000_000);
        let short_ids = ShortIds::default();
        let mut shard = MessageIdSource::new(3, 0, short_ids.clone(), wall, 0);
        let mut workers: Vec<_> =
            (0..2).map(|w| MessageIdSource::for_worker(3, w, short_ids.clone(), wall, 0)).collect();
        let ids: Vec<_> = workers.iter_mut().map(MessageIdSource::next_long).collect();
        assert!(ids[0] != ids[1] && ids.iter().all(|id| id.shard().is_none() && !id.is_short()));
        let first = shard.next_long();
        shard.pass(ids[0]);
        assert_eq!(shard.next_long().as_u64(), first.as_u64() + 1);
    }

    #[test]
    fn a_clock_gone_mad_leaves_room() {
        let mut ids =
            MessageIdSource::new(0, 0, ShortIds::default(), WallTime::from_unix_millis(u64::MAX), 0);
        assert!(ids.next_long() < ids.next_long());
    }

    #[test]
    fn an_id_in_use_is_passed_over() {
        let mut ids = source(1, 0);
        let first = ids.next_long().as_u64();
        ids.pass(MessageId::from_u64(first - 5));
        assert_eq!(ids.next_long().as_u64(), first + 1);
        ids.pass(MessageId::from_u64(first + 100));
        assert_eq!(ids.next_long().as_u64(), first + 101);
        // Of another shard, and short.
        ids.pass(MessageId::from_u64((first + 1_000) ^ (1 << COUNTER_BITS)));
        ids.pass(MessageId::from_u64(0xFFFF_FFFF));
        assert_eq!(ids.next_long().as_u64(), first + 102);
    }
}
