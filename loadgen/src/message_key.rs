//! Message ids as fixed-size keys, and a hash that is cheap for them.

use std::hash::{BuildHasherDefault, Hasher};

/// A message id. Ids of up to 16 octets are kept as they are; longer ones as a 127-bit digest, of which two in
/// a hundred million messages agree with a chance below 10^-22.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MessageKey {
    high: u64,
    low: u64,
}

/// Set in digests only: the first octet of an id is ASCII.
const DIGEST: u64 = 1 << 63;

impl MessageKey {
    /// Any value but zero, for memory that is to be written once.
    pub(crate) const TOUCHED: Self = Self { high: u64::MAX, low: u64::MAX };

    /// The key of an id without its NUL. `None` for an empty id.
    #[inline]
    pub(crate) fn new(id: &[u8]) -> Option<Self> {
        if let Ok(sixteen) = <&[u8; 16]>::try_from(id) {
            let value = u128::from_be_bytes(*sixteen);
            return Some(Self { high: (value >> 64) as u64 & !DIGEST, low: value as u64 });
        }
        match id.len() {
            0 => None,
            1..16 => {
                let mut padded = [0; 16];
                padded[..id.len()].copy_from_slice(id);
                Self::new(&padded)
            }
            _ => Some(Self::digest(id)),
        }
    }

    /// The key in a submit_sm_resp's body: the C-Octet String at its beginning.
    #[inline]
    pub(crate) fn from_body(body: &[u8]) -> Option<Self> {
        if let [id @ .., 0] = body
            && id.len() == 16
            && !id.contains(&0)
        {
            return Self::new(id);
        }
        let end = body.iter().position(|&octet| octet == 0)?;
        Self::new(&body[..end])
    }

    fn digest(id: &[u8]) -> Self {
        let (mut high, mut low) = (0x9E37_79B9_7F4A_7C15_u64, 0xC2B2_AE3D_27D4_EB4F_u64);
        for chunk in id.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            let word = u64::from_be_bytes(word);
            high = fold(high ^ word, 0xFF51_AFD7_ED55_8CCD);
            low = fold(low.rotate_left(23) ^ word, 0xC4CE_B9FE_1A85_EC53);
        }
        Self { high: fold(high, low | 1) | DIGEST, low: fold(low, 0x1656_67B1_9E37_79F9 ^ id.len() as u64) }
    }
}

/// Both halves of the product, folded: every input bit reaches every output bit.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

/// A multiplicative hasher for [`MessageKey`]. Ids come from the target under test, not from an adversary.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeyHasher(u64);

/// Builds [`KeyHasher`]s.
pub(crate) type KeyHasherBuilder = BuildHasherDefault<KeyHasher>;

impl Hasher for KeyHasher {
    #[inline]
    fn write_u64(&mut self, value: u64) {
        self.0 = fold(self.0 ^ value ^ 0x9E37_79B9_7F4A_7C15, 0xD6E8_FEB8_6659_FD93);
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    #[test]
    fn different_ids_have_different_keys() {
        let long: String = "8f14e45f-ceea-467f-9575-".into();
        let mut keys = HashSet::new();
        for n in 0..2000 {
            for id in [format!("{n}"), format!("{n:016X}"), format!("{n:08X}"), format!("{long}{n:012}")] {
                assert!(keys.insert(MessageKey::new(id.as_bytes()).unwrap()), "{id}");
            }
        }
        assert_eq!(MessageKey::new(b""), None);
        assert_ne!(MessageKey::new(b"1"), MessageKey::new(b"01"));
    }

    #[test]
    fn a_response_body_gives_the_same_key() {
        for id in ["0123456789ABCDEF", "42", "0123456789ABCDE", "a-rather-long-message-id-0001"] {
            let body = [id.as_bytes(), b"\0"].concat();
            assert_eq!(MessageKey::from_body(&body), MessageKey::new(id.as_bytes()));
            let with_tlv = [&body[..], b"\x04\x28\x00\x01\x05"].concat();
            assert_eq!(MessageKey::from_body(&with_tlv), MessageKey::new(id.as_bytes()));
        }
        assert_eq!(MessageKey::from_body(b"no NUL"), None);
        assert_eq!(MessageKey::from_body(b"\0"), None);
    }

    #[test]
    fn the_hash_spreads_successive_ids() {
        let build = KeyHasherBuilder::default();
        let mut buckets = [0u32; 1024];
        for n in 0..102_400u64 {
            let key = MessageKey::new(format!("{n:016X}").as_bytes()).unwrap();
            buckets[build.hash_one(key) as usize % 1024] += 1;
        }
        assert!(buckets.iter().all(|&n| (40..180).contains(&n)), "{buckets:?}");
    }
}
