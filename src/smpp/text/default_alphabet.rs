//! The MC's default alphabet: what octets with data_coding 0 mean. The specification leaves that to the MC (3.4 section
//! 5.2.19), and clients do differ, so it is a property of who sent them.

use super::{
    DATA_CODING_DEFAULT, DATA_CODING_UCS2, ascii, decode_latin1, encode_latin1, encode_ucs2, gsm, packing,
};
use crate::smpp::flags::EsmClass;
use crate::smpp::udh::Udh;

/// An alphabet for data_coding 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DefaultAlphabet {
    /// GSM 7-bit with its extension table, one septet to an octet.
    #[default]
    Gsm,
    /// The same, eight septets packed into seven octets, behind a UDH from the next septet boundary on.
    GsmPacked,
    /// Latin-1 (ISO 8859-1).
    Latin1,
    /// ASCII (IA5).
    Ascii,
}

impl DefaultAlphabet {
    /// The text of octets that follow a UDH of `udh_octets` (its length octet included; 0 for none). What does not decode
    /// shows as U+FFFD.
    pub fn decode(self, octets: &[u8], udh_octets: usize) -> String {
        match self {
            Self::Gsm => gsm::decode(octets),
            Self::GsmPacked => gsm::decode(&packing::unpack_text(octets, udh_octets).collect::<Vec<_>>()),
            Self::Latin1 => decode_latin1(octets),
            Self::Ascii => octets.iter().map(|&octet| ascii(octet)).collect(),
        }
    }

    /// The octets of a text without a UDH; `None` when a character is not in the alphabet.
    pub fn encode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Gsm => gsm::encode(text),
            Self::GsmPacked => gsm::encode(text).map(packing::pack_text),
            Self::Latin1 => encode_latin1(text),
            Self::Ascii => text.is_ascii().then(|| text.as_bytes().to_vec()),
        }
    }

    /// data_coding and octets of a text: 0 if all of it is in this alphabet, else UCS-2.
    pub fn encode_or_ucs2(self, text: &str) -> (u8, Vec<u8>) {
        match self.encode(text) {
            Some(octets) => (DATA_CODING_DEFAULT, octets),
            None => (DATA_CODING_UCS2, encode_ucs2(text)),
        }
    }

    /// The text of user data, without the UDH that `esm_class` announces; `None` for binary, for alphabets that are not
    /// known here, and where the UDH is broken.
    pub fn text_of(self, user_data: &[u8], data_coding: u8, esm_class: EsmClass) -> Option<String> {
        let (udh_octets, octets) = if esm_class.has_udh() {
            let (udh, octets) = Udh::split(user_data)?;
            (udh.octets(), octets)
        } else {
            (0, user_data)
        };
        if data_coding == DATA_CODING_DEFAULT {
            Some(self.decode(octets, udh_octets))
        } else {
            super::decode(data_coding, octets)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DefaultAlphabet::{Ascii, Gsm, GsmPacked, Latin1};
    use proptest::prelude::*;

    const ALL: [DefaultAlphabet; 4] = [Gsm, GsmPacked, Latin1, Ascii];

    #[test]
    fn the_same_octets_in_each_alphabet() {
        let of = |octets: &[u8]| [Gsm, Latin1, Ascii].map(|alphabet| alphabet.decode(octets, 0));
        assert_eq!(of(b"A\x00\x11\x24\x1B\x65"), ["A@_¤€", "A\0\x11$\x1Be", "A\0\x11$\x1Be"]);
        assert_eq!(of(b"\x40\xE9"), ["¡i", "@é", "@\u{FFFD}"]);
        let hello = [0xE8, 0x32, 0x9B, 0xFD, 0x46, 0x97, 0xD9, 0xEC, 0x37];
        assert_eq!(GsmPacked.decode(&hello, 0), "hellohello");
    }

    #[test]
    fn packed_text_behind_a_udh_and_with_its_padding() {
        let user_data = [5, 0, 3, 0xA7, 2, 1, 0xE0, 0x61, 0x39, 0x1D, 0xF4, 0x76, 0x97, 0x01];
        assert_eq!(GsmPacked.text_of(&user_data, 0, EsmClass(0x40)).as_deref(), Some("part one"));
        assert_eq!(GsmPacked.text_of(&[9, 0, 3], 0, EsmClass(0x40)), None);
        for octets in [[0x31, 0xD9, 0x8C, 0x56, 0xB3, 0xDD, 0x00], [0x31, 0xD9, 0x8C, 0x56, 0xB3, 0xDD, 0x1A]]
        {
            assert_eq!(GsmPacked.decode(&octets, 0), "1234567");
        }
        assert_eq!(GsmPacked.encode("1234567"), Some(vec![0x31, 0xD9, 0x8C, 0x56, 0xB3, 0xDD, 0x1A]));
        // Escapes are packed like any septet.
        assert_eq!(GsmPacked.decode(&GsmPacked.encode("[€]").expect("in it"), 0), "[€]");
    }

    #[test]
    fn only_data_coding_0_depends_on_it() {
        for alphabet in ALL {
            let text_of = |octets: &[u8], data_coding| alphabet.text_of(octets, data_coding, EsmClass(0));
            assert_eq!(text_of(b"\xE9", 3).as_deref(), Some("é"));
            assert_eq!(text_of(b"\x04\x16", 8).as_deref(), Some("Ж"));
            assert_eq!(text_of(b"\x00", 0xF0).as_deref(), Some("@"));
            assert_eq!(text_of(b"x", 4), None);
            assert_eq!(alphabet.encode_or_ucs2("Ж"), (8, vec![0x04, 0x16]));
        }
        assert_eq!(Latin1.encode_or_ucs2("é"), (0, vec![0xE9]));
        assert_eq!(Ascii.encode_or_ucs2("é").0, 8);
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_again(text in "[ -~€äöüñÉ\\n\\r@]{0,200}") {
            for alphabet in ALL {
                let Some(octets) = alphabet.encode(&text) else { continue };
                // At the very end those can't be told from padding.
                let ambiguous = alphabet == GsmPacked && text.ends_with(['@', '\r']);
                prop_assert!(ambiguous || alphabet.decode(&octets, 0) == text, "{:?}", alphabet);
            }
        }

        #[test]
        fn any_octets_show_as_text(octets in prop::collection::vec(any::<u8>(), 0..60), udh in 0usize..20) {
            for alphabet in ALL {
                let _ = alphabet.decode(&octets, udh);
                let _ = alphabet.text_of(&octets, 0, EsmClass(0x40));
            }
        }
    }
}
