//! Message ids: one number, printed the same everywhere (response, receipt text, receipted_message_id) unless an account
//! asks for other forms, which are `id_form`'s.
//!
//! Layout of a long id (16 hex digits): `node:5 | shard:7 | counter:52`. The counter starts at the wall clock
//! (milliseconds since 2024-01-01, times 2048) or above the stored high-water mark, whichever is later, and
//! grows by one per message, so ids repeat neither across restarts nor across nodes and shards.
//! Layout of a short id (8 hex digits, for interface_version up to 0x33): `node:5 | counter:27`, the counter
//! striped over the shards and workers. A long id is never below 2^32, so the two kinds can't be confused.
//! There are only 134 million short ids, so they come round: within a run after all have been given; over a restart
//! sooner, for that begins where the clock says, 20 further for each second of it. Whoever takes more than 20 a second on
//! average from binds below 3.4 gets ids again after a restart that were given in the time before. One that still names
//! a pending message is never given again.
//! The id of a submit_multi is made by a worker: a long id with the top bit of the counter set and the worker's index
//! in place of the shard's.

use std::fmt;

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

/// Hands out the ids of one shard.
#[derive(Debug)]
pub struct MessageIdSource {
    prefix: u64,
    next: u64,
    node: u8,
    short_next: u32,
    short_stride: u32,
}

impl MessageIdSource {
    /// A source for shard `shard` on node `node`, starting after `wall` and after `high_water` (the highest counter that
    /// an earlier run may have used; 0 if none). `stripes` sources, shards and then workers, share the short ids.
    ///
    /// # Panics
    /// When `node`, `shard` or `stripes` exceed what an id can hold: configuration is checked before.
    pub fn new(node: u8, shard: u16, stripes: u16, wall: WallTime, high_water: u64) -> Self {
        assert!(shard <= SHARD_MAX);
        Self::striped(node, shard, shard, stripes, wall, high_water)
    }

    /// A source for worker `worker` beside `shards` shards and `workers` workers in all: of ids for whole requests, not
    /// for single messages.
    ///
    /// # Panics
    /// As [`MessageIdSource::new`].
    pub fn for_worker(
        node: u8,
        worker: u16,
        shards: u16,
        workers: u16,
        wall: WallTime,
        high_water: u64,
    ) -> Self {
        assert!(worker <= SHARD_MAX);
        let source = Self::striped(node, worker, shards + worker, shards + workers, wall, high_water);
        Self { prefix: source.prefix | WORKER_BIT, ..source }
    }

    fn striped(node: u8, index: u16, stripe: u16, stripes: u16, wall: WallTime, high_water: u64) -> Self {
        assert!(node <= NODE_MAX && stripe < stripes && stripes <= 2 * (SHARD_MAX + 1));
        // Long ids stay above every short one even if the clock claims to be before 2024.
        let next = clock_counter(wall).max(high_water + 1).max(1 << 32);
        // 20 short ids per second of wall clock, as a start that differs from the last run's.
        let short_start = ((wall.unix_seconds() * 20) as u32) / u32::from(stripes) * u32::from(stripes);
        Self {
            prefix: (u64::from(node) << (COUNTER_BITS + SHARD_BITS)) | (u64::from(index) << COUNTER_BITS),
            next,
            node,
            short_next: short_start.wrapping_add(u32::from(stripe)),
            short_stride: u32::from(stripes),
        }
    }

    /// The next 16-digit id.
    pub fn next_long(&mut self) -> MessageId {
        let counter = self.next & (WORKER_BIT - 1);
        self.next += 1;
        MessageId(self.prefix | counter)
    }

    /// The next 8-digit id. The caller skips one that still names a pending message.
    pub fn next_short(&mut self) -> MessageId {
        let counter = self.short_next & ((1 << SHORT_COUNTER_BITS) - 1);
        self.short_next = self.short_next.wrapping_add(self.short_stride);
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
        MessageIdSource::new(3, shard, 4, WallTime::from_unix_millis(1_763_900_000_000), high_water)
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
        assert_ne!(source(0, 0).next_short(), source(1, 0).next_short());
        assert!(source(2, 0).next_short().is_short());
    }

    #[test]
    fn ids_of_workers_are_nobody_elses() {
        let wall = WallTime::from_unix_millis(1_763_900_000_000);
        let mut shard = MessageIdSource::new(3, 0, 6, wall, 0);
        let mut workers: Vec<_> = (0..2).map(|w| MessageIdSource::for_worker(3, w, 4, 2, wall, 0)).collect();
        let ids: Vec<_> = workers.iter_mut().map(MessageIdSource::next_long).collect();
        assert!(ids[0] != ids[1] && ids.iter().all(|id| id.shard().is_none() && !id.is_short()));
        let first = shard.next_long();
        shard.pass(ids[0]);
        assert_eq!(shard.next_long().as_u64(), first.as_u64() + 1);
        let shorts: Vec<_> = (0..4).map(|s| MessageIdSource::new(3, s, 6, wall, 0).next_short()).collect();
        assert!(workers.iter_mut().all(|worker| !shorts.contains(&worker.next_short())));
    }

    #[test]
    fn a_clock_gone_mad_leaves_room() {
        let mut ids = MessageIdSource::new(0, 0, 1, WallTime::from_unix_millis(u64::MAX), 0);
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
