//! The entries of a frame: a message put (or copied forward), its record replaced, its end. Little-endian, packed.
//!
//! ```text
//! put     1 | slot:4 | generation:2 | length:3 | checksum of the body:4 | record:43 | body:length
//! update  2 | slot:4 | generation:2 | record:43
//! remove  3 | slot:4 | generation:2
//! end     5 | slot:4 | generation:2 | state:1 | error:2 | finished:4    a remove that says what became of the message
//! note    4                                       keeps the log moving; says nothing
//! ```

use crate::base::{AccountId, MessageId, WallTime};
use crate::store::{Ending, Record};

/// Octets of an encoded record.
pub const RECORD_BYTES: usize = 43;
/// Octets of a put before its body.
pub const PUT_HEAD_BYTES: usize = 1 + 4 + 2 + 3 + 4 + RECORD_BYTES;
/// Octets of an update.
pub const UPDATE_BYTES: usize = 1 + 4 + 2 + RECORD_BYTES;
/// Octets of a remove.
pub const REMOVE_BYTES: usize = 1 + 4 + 2;
/// Octets of an end.
pub const END_BYTES: usize = REMOVE_BYTES + 1 + 2 + 4;
/// Longest body; above any PDU.
pub const BODY_BYTES_MAX: usize = 1 << 17;

const PUT: u8 = 1;
const UPDATE: u8 = 2;
const REMOVE: u8 = 3;
const NOTE: u8 = 4;
const END: u8 = 5;
/// No target account.
const NO_TARGET: u16 = u16::MAX;
/// Times have 48 bits of milliseconds: 8,900 years.
const TIME_MAX: u64 = (1 << 48) - 1;

/// An encoded record.
pub type RecordBytes = [u8; RECORD_BYTES];

/// Names a message within the log: a slot of the index, and which tenancy of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotName {
    /// Slot of the index.
    pub slot: u32,
    /// Counts the messages that the slot has held, modulo 2^16.
    pub generation: u16,
}

/// One entry, as read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A message is taken in, or copied forward with its latest record.
    Put {
        /// Which message.
        name: SlotName,
        /// Its record, encoded.
        record: &'a RecordBytes,
        /// Where the body begins within the payload, and how long it is.
        body: (u32, u32),
    },
    /// The record of a message is replaced.
    Update {
        /// Which message.
        name: SlotName,
        /// Its record, encoded.
        record: &'a RecordBytes,
    },
    /// A message has ended.
    Remove {
        /// Which message.
        name: SlotName,
    },
    /// A message has ended, in this way.
    End {
        /// Which message.
        name: SlotName,
        /// What became of it.
        ending: Ending,
    },
    /// Nothing.
    Note,
}

/// Encodes a record.
#[inline]
pub fn encode_record(record: &Record) -> RecordBytes {
    let time = |wall: WallTime| wall.unix_millis().min(TIME_MAX).to_le_bytes();
    let mut out = [0; RECORD_BYTES];
    out[..8].copy_from_slice(&record.id.as_u64().to_le_bytes());
    out[8..10].copy_from_slice(&record.account.0.to_le_bytes());
    out[10..12].copy_from_slice(&record.target.map_or(NO_TARGET, |target| target.0).to_le_bytes());
    (out[12], out[13], out[14]) = (record.stage, record.state, record.version);
    out[15..17].copy_from_slice(&record.error.to_le_bytes());
    out[17..19].copy_from_slice(&record.attempts.to_le_bytes());
    out[19..25].copy_from_slice(&time(record.accepted)[..6]);
    out[25..31].copy_from_slice(&time(record.due)[..6]);
    out[31..37].copy_from_slice(&time(record.expires)[..6]);
    out[37..43].copy_from_slice(&time(record.finished)[..6]);
    out
}

/// Decodes a record: every pattern of octets is one.
pub fn decode_record(bytes: &RecordBytes) -> Record {
    let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let time_at = |at: usize| {
        let mut le = [0; 8];
        le[..6].copy_from_slice(&bytes[at..at + 6]);
        WallTime::from_unix_millis(u64::from_le_bytes(le))
    };
    let mut id = [0; 8];
    id.copy_from_slice(&bytes[..8]);
    let target = u16_at(10);
    Record {
        id: MessageId::from_u64(u64::from_le_bytes(id)),
        account: AccountId(u16_at(8)),
        target: (target != NO_TARGET).then_some(AccountId(target)),
        stage: stage_of(bytes),
        state: bytes[13],
        version: bytes[14],
        error: u16_at(15),
        attempts: u16_at(17),
        accepted: time_at(19),
        due: time_at(25),
        expires: time_at(31),
        finished: time_at(37),
    }
}

/// The stage of an encoded record.
#[inline]
pub const fn stage_of(bytes: &RecordBytes) -> u8 {
    bytes[12]
}

/// The message id of an encoded record.
#[inline]
pub fn id_of(bytes: &RecordBytes) -> u64 {
    bytes.first_chunk().copied().map_or(0, u64::from_le_bytes)
}

/// Unix milliseconds of acceptance of an encoded record.
#[inline]
pub fn accepted_of(bytes: &RecordBytes) -> u64 {
    let mut le = [0; 8];
    le[..6].copy_from_slice(&bytes[19..25]);
    u64::from_le_bytes(le)
}

/// Appends a put. Where its body begins in `out` is `out.len()` less the body's length afterwards.
#[inline]
pub fn push_put(out: &mut Vec<u8>, name: SlotName, record: &RecordBytes, body: &[u8]) {
    let mut head = [0; PUT_HEAD_BYTES];
    head[..7].copy_from_slice(&tag(PUT, name));
    head[7..10].copy_from_slice(&(body.len() as u32).to_le_bytes()[..3]);
    head[10..14].copy_from_slice(&crc32c::crc32c(body).to_le_bytes());
    head[14..].copy_from_slice(record);
    out.extend_from_slice(&head);
    out.extend_from_slice(body);
}

/// The body in `entry`, a put of `name` read back by itself: its frame, and so the frame's checksum, is not at hand. `None`:
/// it is not that put, or its body is not what it was.
pub fn body_of_put(entry: &[u8], name: SlotName) -> Option<&[u8]> {
    let (head, body) = entry.split_first_chunk::<PUT_HEAD_BYTES>()?;
    let is_it = head[..7] == tag(PUT, name) && head[7..10] == (body.len() as u32).to_le_bytes()[..3];
    (is_it && head[10..14] == crc32c::crc32c(body).to_le_bytes()).then_some(body)
}

/// Appends an update.
#[inline]
pub fn push_update(out: &mut Vec<u8>, name: SlotName, record: &RecordBytes) {
    let mut entry = [0; UPDATE_BYTES];
    entry[..7].copy_from_slice(&tag(UPDATE, name));
    entry[7..].copy_from_slice(record);
    out.extend_from_slice(&entry);
}

/// Appends a remove.
#[inline]
pub fn push_remove(out: &mut Vec<u8>, name: SlotName) {
    out.extend_from_slice(&tag(REMOVE, name));
}

/// Appends an end.
#[inline]
pub fn push_end(out: &mut Vec<u8>, name: SlotName, ending: &Ending) {
    let mut entry = [0; END_BYTES];
    entry[..7].copy_from_slice(&tag(END, name));
    entry[7] = ending.state;
    entry[8..10].copy_from_slice(&ending.error.to_le_bytes());
    entry[10..].copy_from_slice(&ending.finished_s.to_le_bytes());
    out.extend_from_slice(&entry);
}

/// Appends a note.
pub fn push_note(out: &mut Vec<u8>) {
    out.push(NOTE);
}

#[inline]
fn tag(tag: u8, name: SlotName) -> [u8; REMOVE_BYTES] {
    let (slot, generation) = (name.slot.to_le_bytes(), name.generation.to_le_bytes());
    [tag, slot[0], slot[1], slot[2], slot[3], generation[0], generation[1]]
}

/// Reads the entries of a payload in order. Ends at the first octet that begins none; [`Entries::is_clean`] tells
/// whether that was the end of the payload.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    payload: &'a [u8],
    at: usize,
}

impl<'a> Entries<'a> {
    /// The entries of `payload`.
    pub const fn new(payload: &'a [u8]) -> Self {
        Self { payload, at: 0 }
    }

    /// Whether all octets so far were entries, and none are left.
    pub const fn is_clean(&self) -> bool {
        self.at == self.payload.len()
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        let rest = self.payload.get(self.at..)?;
        let (&tag, after_tag) = rest.split_first()?;
        if tag == NOTE {
            self.at += 1;
            return Some(Entry::Note);
        }
        let &[s0, s1, s2, s3, g0, g1] = after_tag.first_chunk::<6>()?;
        let name =
            SlotName { slot: u32::from_le_bytes([s0, s1, s2, s3]), generation: u16::from_le_bytes([g0, g1]) };
        match tag {
            PUT => {
                let &[l0, l1, l2] = rest.get(7..)?.first_chunk::<3>()?;
                let length = u32::from_le_bytes([l0, l1, l2, 0]);
                let record = rest.get(14..)?.first_chunk::<RECORD_BYTES>()?;
                let end = PUT_HEAD_BYTES + length as usize;
                if length as usize > BODY_BYTES_MAX || end > rest.len() {
                    return None;
                }
                let body = ((self.at + PUT_HEAD_BYTES) as u32, length);
                self.at += end;
                Some(Entry::Put { name, record, body })
            }
            UPDATE => {
                let record = rest.get(7..)?.first_chunk::<RECORD_BYTES>()?;
                self.at += UPDATE_BYTES;
                Some(Entry::Update { name, record })
            }
            REMOVE => {
                self.at += REMOVE_BYTES;
                Some(Entry::Remove { name })
            }
            END => {
                let &[state, e0, e1, f0, f1, f2, f3] = rest.get(7..)?.first_chunk::<7>()?;
                self.at += END_BYTES;
                let (error, finished_s) =
                    (u16::from_le_bytes([e0, e1]), u32::from_le_bytes([f0, f1, f2, f3]));
                Some(Entry::End { name, ending: Ending { state, error, finished_s } })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(seed: u64) -> Record {
        let time = |n: u64| WallTime::from_unix_millis(seed.wrapping_mul(n) & TIME_MAX);
        Record {
            id: MessageId::from_u64(seed),
            account: AccountId(seed as u16 & 0x7FFF),
            target: (seed & 1 == 1).then_some(AccountId(seed as u16 >> 1)),
            stage: seed as u8,
            state: (seed >> 8) as u8,
            version: 0x34,
            error: (seed >> 16) as u16,
            attempts: (seed >> 24) as u16,
            accepted: time(3),
            due: time(5),
            expires: time(7),
            finished: time(11),
        }
    }

    proptest! {
        #[test]
        fn records_round_trip(seed in any::<u64>()) {
            let bytes = encode_record(&record(seed));
            prop_assert_eq!(decode_record(&bytes), record(seed));
            prop_assert_eq!(accepted_of(&bytes), record(seed).accepted.unix_millis());
        }

        #[test]
        fn any_octets_read_as_entries_without_harm(payload in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut entries = Entries::new(&payload);
            for entry in entries.by_ref() {
                if let Entry::Put { body: (start, length), .. } = entry {
                    prop_assert!(payload.get(start as usize..(start + length) as usize).is_some());
                }
            }
        }
    }

    #[test]
    fn entries_come_back_in_order() {
        let name = SlotName { slot: 70_000, generation: 9 };
        let bytes = encode_record(&record(77));
        let mut out = Vec::new();
        push_put(&mut out, name, &bytes, b"body");
        push_note(&mut out);
        push_update(&mut out, name, &bytes);
        push_remove(&mut out, name);
        let ending = Ending { state: 2, error: 515, finished_s: 0x6543_2101 };
        push_end(&mut out, name, &ending);
        let mut entries = Entries::new(&out);
        let start = PUT_HEAD_BYTES as u32;
        assert_eq!(entries.next(), Some(Entry::Put { name, record: &bytes, body: (start, 4) }));
        assert_eq!(entries.next(), Some(Entry::Note));
        assert_eq!(entries.next(), Some(Entry::Update { name, record: &bytes }));
        assert_eq!(entries.next(), Some(Entry::Remove { name }));
        assert_eq!(entries.next(), Some(Entry::End { name, ending }));
        assert!(entries.next().is_none() && entries.is_clean());
        out.push(9);
        let mut entries = Entries::new(&out);
        assert!(entries.by_ref().count() == 5 && !entries.is_clean());
    }

    #[test]
    fn times_beyond_the_field_are_kept_at_its_end() {
        let late = Record { due: WallTime::from_unix_millis(u64::MAX), ..record(1) };
        assert_eq!(decode_record(&encode_record(&late)).due.unix_millis(), TIME_MAX);
    }
}
