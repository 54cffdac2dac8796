//! Text of user data: alphabets, and how much fits one short message. For edges (HTTP, tools, excerpts); a message in
//! transit is octets and is never transcoded on the way.

mod default_alphabet;
pub mod gsm;
pub mod packing;

pub use default_alphabet::DefaultAlphabet;

/// data_coding of the MC's default alphabet; see [`DefaultAlphabet`].
pub const DATA_CODING_DEFAULT: u8 = 0x00;
/// data_coding of IA5 (ASCII).
pub const DATA_CODING_IA5: u8 = 0x01;
/// data_coding of Latin-1.
pub const DATA_CODING_LATIN1: u8 = 0x03;
/// data_coding of UCS-2, big-endian.
pub const DATA_CODING_UCS2: u8 = 0x08;

/// Octets of user data that one short message holds on the air.
pub const USER_DATA_OCTETS_MAX: usize = 140;

/// The text of user data (without a UDH) by a data_coding that names its alphabet itself, as 0 does not; `None` for binary
/// and for alphabets that are not known here. What does not decode shows as U+FFFD.
fn decode(data_coding: u8, octets: &[u8]) -> Option<String> {
    match data_coding {
        0xC0..=0xDF | 0xF0..=0xF3 => Some(gsm::decode(octets)),
        DATA_CODING_IA5 => Some(octets.iter().map(|&octet| ascii(octet)).collect()),
        DATA_CODING_LATIN1 => Some(decode_latin1(octets)),
        DATA_CODING_UCS2 | 0xE0..=0xEF => Some(decode_ucs2(octets)),
        // General data coding of GSM 03.38: bits 3-2 are the alphabet, bit 5 says compressed.
        0x10..=0x1F | 0x40..=0x5F => match data_coding & 0x0C {
            0x00 => Some(gsm::decode(octets)),
            0x08 => Some(decode_ucs2(octets)),
            _ => None,
        },
        _ => None,
    }
}

const fn ascii(octet: u8) -> char {
    if octet.is_ascii() { octet as char } else { char::REPLACEMENT_CHARACTER }
}

/// Latin-1 octets as text.
pub fn decode_latin1(octets: &[u8]) -> String {
    octets.iter().map(|&octet| char::from(octet)).collect()
}

/// A text in Latin-1; `None` when a character is not in it.
pub fn encode_latin1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect()
}

/// UCS-2 as text. Surrogate pairs are read (UTF-16BE), as in practice; a lone surrogate or a last odd octet becomes
/// U+FFFD.
pub fn decode_ucs2(octets: &[u8]) -> String {
    let (units, odd) = octets.as_chunks::<2>();
    let units = units.iter().map(|&unit| u16::from_be_bytes(unit));
    let mut text: String =
        char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    if !odd.is_empty() {
        text.push(char::REPLACEMENT_CHARACTER);
    }
    text
}

/// A text as UCS-2 (UTF-16BE).
pub fn encode_ucs2(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// Septets of GSM 7-bit text that fit one short message beside a UDH of `udh_octets` (its length octet included).
pub const fn septets_max(udh_octets: usize) -> usize {
    USER_DATA_OCTETS_MAX.saturating_sub(udh_octets) * 8 / 7
}

/// Octets of 8-bit data that fit one short message beside a UDH of `udh_octets`.
pub const fn octets_max(udh_octets: usize) -> usize {
    USER_DATA_OCTETS_MAX.saturating_sub(udh_octets)
}

/// UCS-2 units that fit one short message beside a UDH of `udh_octets`.
pub const fn ucs2_units_max(udh_octets: usize) -> usize {
    octets_max(udh_octets) / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smpp::flags::EsmClass;
    use proptest::prelude::*;

    #[test]
    fn what_fits_one_message() {
        let fits = |udh| (septets_max(udh), octets_max(udh), ucs2_units_max(udh));
        assert_eq!(fits(0), (160, 140, 70));
        assert_eq!(fits(6), (153, 134, 67));
        assert_eq!(fits(7), (152, 133, 66));
        assert_eq!(fits(12), (146, 128, 64));
        assert_eq!(fits(13), (145, 127, 63));
        assert_eq!(fits(200), (0, 0, 0));
    }

    #[test]
    fn alphabet_by_data_coding() {
        let gsm = DefaultAlphabet::Gsm;
        assert_eq!(gsm.encode_or_ucs2("Hi {€}"), (0x00, b"Hi \x1B\x28\x1B\x65\x1B\x29".to_vec()));
        assert_eq!(gsm.encode_or_ucs2("Привет  €").0, 0x08);
        assert_eq!(decode(1, b"@\xFF").as_deref(), Some("@\u{FFFD}"));
        assert_eq!(decode(3, b"\xE9").as_deref(), Some("é"));
        assert_eq!(decode(0x18, b"\x04\x1F").as_deref(), Some("П"));
        assert_eq!(decode(0xF0, b"\x00").as_deref(), Some("@"));
        for binary in [0x02, 0x04, 0x14, 0xF4, 0x05, 0x30] {
            assert_eq!(decode(binary, b"x"), None, "{binary:#x}");
        }
    }

    #[test]
    fn broken_ucs2_is_shown_not_refused() {
        assert_eq!(decode_ucs2(&[0xD8, 0x3D, 0xDE, 0x00]), "😀");
        assert_eq!(decode_ucs2(&[0xD8, 0x3D, 0x00]), "\u{FFFD}\u{FFFD}");
        assert_eq!(encode_latin1("é€"), None);
    }

    proptest! {
        #[test]
        fn any_text_survives_its_own_coding(text in any::<String>()) {
            let alphabet = DefaultAlphabet::Gsm;
            let (data_coding, octets) = alphabet.encode_or_ucs2(&text);
            let back = alphabet.text_of(&octets, data_coding, EsmClass(0)).expect("a text coding");
            prop_assert_eq!(back.replace('Ç', "ç"), text.replace('Ç', "ç"));
        }

        #[test]
        fn any_octets_show_as_text(data_coding in any::<u8>(), octets in prop::collection::vec(any::<u8>(), 0..50)) {
            let _ = decode(data_coding, &octets);
            prop_assert_eq!(encode_latin1(&decode_latin1(&octets)), Some(octets));
        }
    }
}
