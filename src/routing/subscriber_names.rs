//! Names of subscribers: hashes of their addresses, made such that neighbouring numbers are neighbours in the table of
//! subscribers.

use super::subscribers::PLACE_MASK;

/// Names subscribers in few octets, differently in every process: whoever does not know the key can't choose addresses
/// that crowd one place of the table. Two subscribers that share a name wait for each other, no more.
#[derive(Clone, Copy, Debug)]
pub(super) struct SubscriberNames {
    key: u64,
}

impl SubscriberNames {
    pub(super) const fn new(key: u64) -> Self {
        Self { key }
    }

    /// The name of the subscriber with this address. Those of addresses that differ in the last digit only differ in
    /// their lowest four bits only.
    #[inline]
    pub(super) fn name(self, destination_addr: &[u8]) -> u32 {
        let Some((&last, rest)) = destination_addr.split_last() else { return 0 };
        let (head, tail) = match (rest.first_chunk::<8>(), rest.last_chunk::<8>()) {
            // Octets in the middle of a longer one: addresses have at most 20.
            (Some(head), Some(tail)) if rest.len() <= 16 => {
                (u64::from_le_bytes(*head), u64::from_le_bytes(*tail))
            }
            (Some(head), Some(tail)) => {
                let middle = rest.get(8..).and_then(<[u8]>::first_chunk::<8>).copied().unwrap_or_default();
                let middle = u64::from_le_bytes(middle).rotate_left(29);
                (u64::from_le_bytes(*head) ^ middle, u64::from_le_bytes(*tail).wrapping_add(middle))
            }
            _ => (rest.iter().fold(0, |word, &octet| (word << 8) | u64::from(octet)), 0),
        };
        let length = (rest.len() as u64) << 56 | u64::from(last >> 4) << 48;
        let product = u128::from(head ^ self.key)
            * u128::from(tail ^ length ^ self.key.rotate_left(32) ^ 0x9E37_79B9_7F4A_7C15);
        let hash = (product as u64) ^ ((product >> 64) as u64);
        ((hash >> 32) as u32 & !PLACE_MASK) | ((hash as u32).wrapping_add(u32::from(last)) & PLACE_MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::super::subscribers::PLACE_BITS;
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_differ_and_neighbours_share_a_line() {
        let names = SubscriberNames::new(0x0123_4567_89AB_CDEF);
        let mut seen = HashSet::new();
        for number in 0..100_000u64 {
            let name = names.name((447_700_900_000 + number).to_string().as_bytes());
            assert!(seen.insert(name), "{number}: one in 2^32 / 100,000 could be");
            let first = names.name((447_700_900_000 + number / 10 * 10).to_string().as_bytes());
            assert_eq!(name >> PLACE_BITS, first >> PLACE_BITS);
        }
        // All lengths, each octet counts, and so does the key.
        let address = b"abcdefghijklmnopqrst";
        for length in 1..=address.len() {
            assert!(seen.insert(names.name(&address[..length])));
            for position in 0..length {
                let mut other = address[..length].to_vec();
                other[position] ^= 0x10;
                assert!(seen.insert(names.name(&other)), "octet {position} of {length}");
            }
        }
        assert_eq!(names.name(b""), 0);
        assert_ne!(names.name(b"447"), SubscriberNames::new(1).name(b"447"));
    }
}
