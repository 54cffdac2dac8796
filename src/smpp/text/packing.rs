//! Septets packed into octets, as on the air (3GPP 23.038 section 6.1.2.1): the first septet in the low bits.

/// Septets that a UDH of this many octets (its length octet included) takes, fill bits and all.
pub const fn udh_septets(udh_octets: usize) -> usize {
    (udh_octets * 8).div_ceil(7)
}

/// Bits between a UDH and the first septet after it.
pub const fn fill_bits(udh_octets: usize) -> usize {
    udh_septets(udh_octets) * 7 - udh_octets * 8
}

/// Packs septets to follow a UDH of `udh_octets` (0 for none); the UDH itself is not part of the result.
pub fn pack(septets: &[u8], udh_octets: usize) -> Vec<u8> {
    let mut packed = Vec::with_capacity((septets.len() * 7).div_ceil(8) + 1);
    pack_to(septets.iter().copied(), udh_octets, |octet| packed.push(octet));
    packed
}

/// As [`pack`]; each octet is given to `put`.
pub fn pack_to(septets: impl Iterator<Item = u8>, udh_octets: usize, mut put: impl FnMut(u8)) {
    let mut bits = 0u32;
    let mut held = fill_bits(udh_octets);
    let mut any = false;
    for septet in septets {
        any = true;
        bits |= u32::from(septet & 0x7F) << held;
        held += 7;
        if held >= 8 {
            put(bits as u8);
            bits >>= 8;
            held -= 8;
        }
    }
    if held > 0 && any {
        put(bits as u8);
    }
}

/// Pads where seven bits are left over, since zeros there would read as one more character (section 6.1.2.3.1).
pub const CARRIAGE_RETURN: u8 = 0x0D;

/// Packs a text of septets that no UDH stands in front of, padded as the specification asks.
pub fn pack_text(mut septets: Vec<u8>) -> Vec<u8> {
    if septets.len() % 8 == 7 {
        septets.push(CARRIAGE_RETURN);
    }
    pack(&septets, 0)
}

/// The septets of a text that follows a UDH of `udh_octets`, without the padding. A text that fills its last octet and ends in
/// CR loses that; one that ends in @ loses that too, for more senders pad with zeros than write such a text.
pub fn unpack_text(packed: &[u8], udh_octets: usize) -> impl Iterator<Item = u8> {
    septets(packed, udh_octets).take(text_septets(packed, udh_octets))
}

/// How many septets such a text has.
pub fn text_septets(packed: &[u8], udh_octets: usize) -> usize {
    let bits = (packed.len() * 8).saturating_sub(fill_bits(udh_octets));
    let fills_up = bits.is_multiple_of(7)
        && packed.last().is_some_and(|octet| matches!(octet >> 1, 0 | CARRIAGE_RETURN));
    (bits / 7).saturating_sub(usize::from(fills_up))
}

/// One of them, by its number from 0.
pub fn septet_at(packed: &[u8], udh_octets: usize, number: usize) -> u8 {
    let bit = fill_bits(udh_octets) + number * 7;
    let octet = |at: usize| u16::from(packed.get(at).copied().unwrap_or_default());
    ((octet(bit / 8) | octet(bit / 8 + 1) << 8) >> (bit % 8)) as u8 & 0x7F
}

/// The septets that follow a UDH of `udh_octets`, padding included.
fn septets(packed: &[u8], udh_octets: usize) -> impl Iterator<Item = u8> {
    let mut octets = packed.iter();
    let mut skip = fill_bits(udh_octets);
    let mut bits = 0u32;
    let mut held = 0;
    std::iter::from_fn(move || {
        while held < 7 {
            bits |= u32::from(*octets.next()?) << held;
            held += 8;
            bits >>= skip;
            held -= skip;
            skip = 0;
        }
        let septet = (bits & 0x7F) as u8;
        bits >>= 7;
        held -= 7;
        Some(septet)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_packings() {
        assert_eq!(pack(b"hellohello", 0), [0xE8, 0x32, 0x9B, 0xFD, 0x46, 0x97, 0xD9, 0xEC, 0x37]);
        assert_eq!(pack(b"1234567", 0), [0x31, 0xD9, 0x8C, 0x56, 0xB3, 0xDD, 0x00]);
        assert_eq!(pack(b"1234567\r", 0), [0x31, 0xD9, 0x8C, 0x56, 0xB3, 0xDD, 0x1A]);
        assert_eq!(pack(b"part one", 6), [0xE0, 0x61, 0x39, 0x1D, 0xF4, 0x76, 0x97, 0x01]);
        let part = unpack_text(&[0xE0, 0x61, 0x39, 0x1D, 0xF4, 0x76, 0x97, 0x01], 6);
        assert_eq!(part.collect::<Vec<_>>(), b"part one");
        assert_eq!(pack_text(b"1234567".to_vec()), pack(b"1234567\r", 0));
        for padded in [&pack(b"1234567", 0), &pack(b"1234567\r", 0)] {
            assert_eq!(unpack_text(padded, 0).collect::<Vec<_>>(), b"1234567");
        }
        assert!(pack(b"", 6).is_empty());
    }

    #[test]
    fn fill_bits_reach_the_next_septet() {
        assert_eq!([0, 6, 7, 12, 13].map(fill_bits), [0, 1, 0, 2, 1]);
        assert_eq!([0, 6, 7, 12, 13].map(udh_septets), [0, 7, 8, 14, 15]);
    }

    proptest! {
        #[test]
        fn packing_round_trips(septets in prop::collection::vec(0u8..128, 0..200), udh_octets in 0usize..20) {
            let packed = pack(&septets, udh_octets);
            let unpacked: Vec<u8> = super::septets(&packed, udh_octets).take(septets.len()).collect();
            prop_assert_eq!(&unpacked, &septets);
            for (number, septet) in septets.iter().enumerate() {
                prop_assert_eq!(septet_at(&packed, udh_octets, number), *septet);
            }
            // Short of what is, or may be, padding, the text is the same.
            let text: Vec<u8> = unpack_text(&packed, udh_octets).collect();
            prop_assert!(septets.starts_with(&text) && septets.len() - text.len() <= 1);
            let lost = septets.get(text.len()).copied();
            prop_assert!(matches!(lost, None | Some(0 | CARRIAGE_RETURN)));
            let bits = fill_bits(udh_octets) + septets.len() * 7;
            prop_assert_eq!(packed.len(), if septets.is_empty() { 0 } else { bits.div_ceil(8) });
        }
    }
}
