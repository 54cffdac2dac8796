//! A record as the index holds it: 32 octets in place of 43. Times are kept as their distance from the acceptance, which
//! takes a whole second. A record that does not fit, which routing makes none of, is kept elsewhere as it is.

use super::entry::{RECORD_BYTES, RecordBytes};

/// What a packed record's stage says when the record did not fit.
pub(super) const ELSEWHERE: u8 = 7;

const NO_TARGET: u64 = u16::MAX as u64;
const NO_TARGET_PACKED: u64 = bits(ACCOUNT_BITS);
const ACCOUNT_BITS: u32 = 14;
const ATTEMPTS_BITS: u32 = 12;
const SECONDS_BITS: u32 = 32;
const STAGE_BITS: u32 = 3;
const STATE_BITS: u32 = 4;
const ERROR_BITS: u32 = 10;
/// Milliseconds: more than a year.
const AHEAD_BITS: u32 = 35;
/// Seconds: a year; one more than the distance, so that 0 is "not yet".
const FINISHED_BITS: u32 = 25;
const ATTEMPTS_HIGH_BITS: u32 = 8;
const ATTEMPTS_LOW_BITS: u32 = ATTEMPTS_BITS - ATTEMPTS_HIGH_BITS;

/// A packed record: the id; accounts, acceptance and some attempts; due, version, stage, error and the other attempts; and
/// expiry, final time and state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PackedRecord([u64; 4]);

const _: () = assert!(2 * ACCOUNT_BITS + SECONDS_BITS + ATTEMPTS_LOW_BITS == u64::BITS);
const _: () = assert!(AHEAD_BITS + 8 + STAGE_BITS + ERROR_BITS + ATTEMPTS_HIGH_BITS == u64::BITS);
const _: () = assert!(AHEAD_BITS + FINISHED_BITS + STATE_BITS == u64::BITS);

const fn bits(count: u32) -> u64 {
    (1 << count) - 1
}

/// Two octets, little-endian.
#[inline]
fn u16_at(bytes: &RecordBytes, at: usize) -> u64 {
    u64::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

/// Eight octets, little-endian.
#[inline]
fn u64_at(bytes: &RecordBytes, at: usize) -> u64 {
    let octets: [u8; 8] = std::array::from_fn(|i| bytes[at + i]);
    u64::from_le_bytes(octets)
}

/// A time: six octets.
#[inline]
fn time_at(bytes: &RecordBytes, at: usize) -> u64 {
    // With the two before, which are there.
    u64_at(bytes, at - 2) >> 16
}

/// Octets of a packed record.
pub(super) const PACKED_BYTES: usize = 32;

impl PackedRecord {
    pub(super) const NONE: Self = Self([0; 4]);

    /// Packs a record; `None`: it does not fit.
    #[inline]
    pub(super) fn pack(bytes: &RecordBytes) -> Option<Self> {
        let (id, account, target) = (u64_at(bytes, 0), u16_at(bytes, 8), u16_at(bytes, 10));
        let (stage, state, version) = (u64::from(bytes[12]), u64::from(bytes[13]), u64::from(bytes[14]));
        let (error, attempts) = (u16_at(bytes, 15), u16_at(bytes, 17));
        let (accepted, due) = (time_at(bytes, 19), time_at(bytes, 25));
        let (expires, finished) = (time_at(bytes, 31), time_at(bytes, 37));
        let seconds = accepted / 1_000;
        let target = if target == NO_TARGET { Some(NO_TARGET_PACKED) } else { below(target, ACCOUNT_BITS) }?;
        let finished = match finished {
            0 => 0,
            _ if !finished.is_multiple_of(1_000) => return None,
            _ => (finished / 1_000).checked_sub(seconds)? + 1,
        };
        let (due, expires) = (due.checked_sub(accepted)?, expires.checked_sub(accepted)?);
        let fits = accepted.is_multiple_of(1_000)
            && seconds <= bits(SECONDS_BITS)
            && account < NO_TARGET_PACKED
            && stage < u64::from(ELSEWHERE)
            && state <= bits(STATE_BITS)
            && error <= bits(ERROR_BITS)
            && attempts <= bits(ATTEMPTS_BITS)
            && due <= bits(AHEAD_BITS)
            && expires <= bits(AHEAD_BITS)
            && finished <= bits(FINISHED_BITS);
        let first = (account << ACCOUNT_BITS | target) << SECONDS_BITS | seconds;
        let second = ((due << 8 | version) << STAGE_BITS | stage) << ERROR_BITS | error;
        fits.then_some(Self([
            id,
            first << ATTEMPTS_LOW_BITS | (attempts & bits(ATTEMPTS_LOW_BITS)),
            second << ATTEMPTS_HIGH_BITS | attempts >> ATTEMPTS_LOW_BITS,
            (expires << FINISHED_BITS | finished) << STATE_BITS | state,
        ]))
    }

    /// In place of a record that does not fit.
    pub(super) const fn elsewhere() -> Self {
        Self([0, 0, (ELSEWHERE as u64) << (ERROR_BITS + ATTEMPTS_HIGH_BITS), 0])
    }

    /// The stage, or [`ELSEWHERE`].
    #[inline]
    pub(super) const fn stage(&self) -> u8 {
        (self.0[2] >> (ERROR_BITS + ATTEMPTS_HIGH_BITS) & bits(STAGE_BITS)) as u8
    }

    /// The message id, unless the record is elsewhere.
    #[inline]
    pub(super) const fn id(&self) -> u64 {
        self.0[0]
    }

    /// Unix milliseconds of acceptance, unless the record is elsewhere.
    #[inline]
    pub(super) const fn accepted(&self) -> u64 {
        (self.0[1] >> ATTEMPTS_LOW_BITS & bits(SECONDS_BITS)) * 1_000
    }

    /// Whether it says when the message became final, unless the record is elsewhere.
    #[inline]
    pub(super) const fn is_finished(&self) -> bool {
        self.0[3] >> STATE_BITS & bits(FINISHED_BITS) != 0
    }

    /// Its octets in a saved index.
    pub(super) fn to_bytes(self) -> [u8; PACKED_BYTES] {
        let mut out = [0; PACKED_BYTES];
        for (to, word) in out.chunks_exact_mut(8).zip(self.0) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        out
    }

    /// That of these octets.
    pub(super) fn from_bytes(bytes: &[u8; PACKED_BYTES]) -> Self {
        let word =
            |at: usize| bytes.get(at..).and_then(<[u8]>::first_chunk).copied().map_or(0, u64::from_le_bytes);
        Self([word(0), word(8), word(16), word(24)])
    }

    /// The record that was packed.
    pub(super) fn unpack(&self) -> RecordBytes {
        let [id, mut first, mut second, mut third] = self.0;
        let take = |word: &mut u64, count: u32| {
            let value = *word & bits(count);
            *word >>= count;
            value
        };
        let attempts_low = take(&mut first, ATTEMPTS_LOW_BITS);
        let accepted = take(&mut first, SECONDS_BITS) * 1_000;
        let target = Some(take(&mut first, ACCOUNT_BITS)).filter(|&target| target != NO_TARGET_PACKED);
        let attempts = take(&mut second, ATTEMPTS_HIGH_BITS) << ATTEMPTS_LOW_BITS | attempts_low;
        let error = take(&mut second, ERROR_BITS);
        let stage = take(&mut second, STAGE_BITS);
        let version = take(&mut second, 8);
        let state = take(&mut third, STATE_BITS);
        let finished = match take(&mut third, FINISHED_BITS) {
            0 => 0,
            after => accepted + (after - 1) * 1_000,
        };
        let mut out = [0; RECORD_BYTES];
        out[..8].copy_from_slice(&id.to_le_bytes());
        out[8..10].copy_from_slice(&first.to_le_bytes()[..2]);
        out[10..12].copy_from_slice(&target.unwrap_or(NO_TARGET).to_le_bytes()[..2]);
        (out[12], out[13], out[14]) = (stage as u8, state as u8, version as u8);
        out[15..17].copy_from_slice(&error.to_le_bytes()[..2]);
        out[17..19].copy_from_slice(&attempts.to_le_bytes()[..2]);
        out[19..25].copy_from_slice(&accepted.to_le_bytes()[..6]);
        out[25..31].copy_from_slice(&(accepted + second).to_le_bytes()[..6]);
        out[31..37].copy_from_slice(&(accepted + third).to_le_bytes()[..6]);
        out[37..43].copy_from_slice(&finished.to_le_bytes()[..6]);
        out
    }
}

fn below(value: u64, count: u32) -> Option<u64> {
    (value < bits(count)).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::super::entry::{decode_record, encode_record, stage_of};
    use super::*;
    use crate::base::{AccountId, MessageId, WallTime};
    use crate::store::Record;
    use proptest::prelude::*;

    const ACCEPTED_MS: u64 = 1_763_900_000_000;

    fn receipt() -> Record {
        Record {
            id: MessageId::from_u64(u64::MAX - 7),
            account: AccountId(8_191),
            target: Some(AccountId(0)),
            stage: 2,
            state: 9,
            version: 0xD8,
            error: 999,
            attempts: 4_095,
            accepted: WallTime::from_unix_millis(ACCEPTED_MS),
            due: WallTime::from_unix_millis(ACCEPTED_MS + 366 * 86_400_000),
            expires: WallTime::from_unix_millis(ACCEPTED_MS + 366 * 86_400_000 + 1),
            finished: WallTime::from_unix_millis(ACCEPTED_MS + 86_400_000),
        }
    }

    #[test]
    fn what_routing_makes_fits() {
        let receipt = receipt();
        let unfinished = Record { finished: WallTime::default(), target: None, attempts: 0, ..receipt };
        let at_once = Record { finished: receipt.accepted, due: receipt.accepted, ..receipt };
        for record in [receipt, unfinished, at_once] {
            let bytes = encode_record(&record);
            let packed = PackedRecord::pack(&bytes).expect("it fits");
            assert_eq!(decode_record(&packed.unpack()), record);
            assert_eq!((packed.stage(), packed.id()), (record.stage, record.id.as_u64()));
            assert_eq!(packed.accepted(), record.accepted.unix_millis());
        }
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let later = WallTime::from_unix_millis(ACCEPTED_MS + (1 << AHEAD_BITS));
        let earlier = WallTime::from_unix_millis(ACCEPTED_MS - 1_000);
        let odd = WallTime::from_unix_millis(ACCEPTED_MS + 1);
        let fits = receipt();
        for record in [
            Record { account: AccountId(1 << ACCOUNT_BITS), ..fits },
            Record { target: Some(AccountId(bits(ACCOUNT_BITS) as u16)), ..fits },
            Record { stage: ELSEWHERE, ..fits },
            Record { state: 16, ..fits },
            Record { error: 1_024, ..fits },
            Record { attempts: 4_096, ..fits },
            Record { accepted: odd, ..fits },
            Record { due: later, ..fits },
            Record { due: earlier, ..fits },
            Record { expires: later, ..fits },
            Record { finished: odd, ..fits },
            Record { finished: earlier, ..fits },
        ] {
            assert_eq!(PackedRecord::pack(&encode_record(&record)), None, "{record:?}");
        }
        assert_eq!(PackedRecord::elsewhere().stage(), ELSEWHERE);
    }

    proptest! {
        /// Whatever is packed comes back octet by octet.
        #[test]
        fn round_trips(
            mut bytes in any::<[u8; RECORD_BYTES]>(),
            seconds in any::<u32>(),
            (due, expires, finished) in (0u64..1 << 36, 0u64..1 << 36, 0u64..1 << 26),
            small in any::<bool>(),
        ) {
            let accepted = u64::from(seconds) * 1_000;
            if small {
                (bytes[9], bytes[11], bytes[12], bytes[13]) = (bytes[9] & 0x1F, bytes[11] & 0x1F, bytes[12] & 3, 9);
                (bytes[16], bytes[18]) = (0, 0);
            }
            for (at, time) in [(19, accepted), (25, accepted + due), (31, accepted + expires), (37, finished * 1_000)] {
                bytes[at..at + 6].copy_from_slice(&time.to_le_bytes()[..6]);
            }
            if let Some(packed) = PackedRecord::pack(&bytes) {
                prop_assert_eq!(packed.unpack(), bytes);
                prop_assert_eq!(packed.stage(), stage_of(&bytes));
            }
        }
    }
}
