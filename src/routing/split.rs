//! A message that is too long for a peer without TLVs, as the parts of a concatenated one. A part is made when it is handed
//! out, from the whole body: nothing of it is stored.

mod packed;

use packed::PackedText;

use crate::base::MessageId;
use crate::smpp::text::{self, DATA_CODING_DEFAULT, DATA_CODING_UCS2, DefaultAlphabet};
use crate::smpp::udh::{Concatenation, Udh};
use crate::smpp::{EsmClass, SmFields};

/// Most octets of one part with its UDH: 160 characters of the default alphabet, one to an octet.
pub(super) const PART_OCTETS_MAX: usize = 160;
/// The concatenation element with its 8-bit reference, and the length octet of the UDH (3GPP 23.040 section 9.2.3.24.1).
const UDH_OCTETS: usize = 6;
/// Most octets of the elements that the message has itself, for room for the text beside them.
const ELEMENTS_OCTETS_MAX: usize = 64;
/// Begins a character of the default alphabet's extension table.
const ESCAPE: u8 = 0x1B;

/// How the user data is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alphabet {
    /// GSM 7-bit, one septet to an octet: no cut behind an escape.
    Septets,
    /// UTF-16: no cut within a unit or a surrogate pair.
    Ucs2,
    /// Octets.
    Octets,
}

impl Alphabet {
    /// By data_coding (3.4 section 5.2.19, GSM 03.38 section 4).
    const fn of(data_coding: u8) -> Self {
        match data_coding {
            DATA_CODING_DEFAULT | 0xC0..=0xDF | 0xF0..=0xF3 => Self::Septets,
            DATA_CODING_UCS2 | 0xE0..=0xEF => Self::Ucs2,
            0x10..=0x1F | 0x40..=0x5F => match data_coding & 0x0C {
                0x00 => Self::Septets,
                0x08 => Self::Ucs2,
                _ => Self::Octets,
            },
            _ => Self::Octets,
        }
    }

    /// Octets of text that fit one part beside a UDH of `udh_octets`.
    const fn octets_max(self, udh_octets: usize) -> usize {
        match self {
            Self::Septets => text::septets_max(udh_octets),
            Self::Ucs2 => text::ucs2_units_max(udh_octets) * 2,
            Self::Octets => text::octets_max(udh_octets),
        }
    }

    /// Where to cut `rest`, which is longer than `most` octets: at most there.
    fn cut(self, rest: &[u8], most: usize) -> usize {
        let (front, _) = rest.split_at(most);
        match self {
            Self::Septets if front.ends_with(&[ESCAPE]) => most - 1,
            Self::Ucs2 if matches!(front, [.., 0xD8..=0xDB, _]) => most - 2,
            _ => most,
        }
    }
}

/// A part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    /// Its UDH and its text.
    pub(super) user_data: &'a [u8],
    /// How many come after it.
    pub(super) after: u8,
}

/// Part number `part`, from 0, of the message `id`, or its last one if there are fewer; written to `buffer`, which takes
/// [`PART_OCTETS_MAX`]. All parts have the same reference, whenever they are made. `default_alphabet` is what data_coding 0 means
/// in it. `None`: the message can't be split, since it is a part of a concatenated one itself, its UDH is broken or leaves no
/// room, or there would be more than 255 parts.
pub(super) fn part<'b>(
    id: MessageId,
    stored: &SmFields<'_>,
    default_alphabet: DefaultAlphabet,
    part: u8,
    buffer: &'b mut [u8],
) -> Option<Part<'b>> {
    if Concatenation::of(stored).is_some() {
        return None;
    }
    let whole = stored.user_data();
    let (elements, text) = if stored.esm_class.has_udh() {
        let (udh, text) = Udh::split(whole)?;
        (whole.get(1..udh.octets())?, text)
    } else {
        (&[][..], whole)
    };
    if elements.len() > ELEMENTS_OCTETS_MAX {
        return None;
    }
    let alphabet = Alphabet::of(stored.data_coding);
    let udh_octets = UDH_OCTETS + elements.len();
    let most = alphabet.octets_max(udh_octets);
    let is_packed =
        stored.data_coding == DATA_CODING_DEFAULT && default_alphabet == DefaultAlphabet::GsmPacked;
    let own_udh_octets = if elements.is_empty() { 0 } else { 1 + elements.len() };
    let packed = PackedText::new(text, own_udh_octets, udh_octets);
    let len = if is_packed { packed.len() } else { text.len() };
    let (mut start, mut found, mut number, mut total) = (0, (0, len), 0, 0u8);
    while start < len {
        let end = if is_packed {
            packed.cut(start, most)
        } else {
            let rest = text.get(start..)?;
            start + if rest.len() > most { alphabet.cut(rest, most) } else { rest.len() }
        };
        if total <= part {
            (found, number) = ((start, end), total);
        }
        start = end;
        total = total.checked_add(1)?;
    }
    let [reference, ..] = id.as_u64().to_le_bytes();
    let head = [(udh_octets - 1) as u8, 0, 3, reference, total, number + 1];
    let (udh, room) = buffer.split_at_mut_checked(udh_octets)?;
    let (front, own) = udh.split_at_mut_checked(UDH_OCTETS)?;
    front.copy_from_slice(&head);
    own.copy_from_slice(elements);
    let (from, to) = found;
    let text_octets = if is_packed {
        packed.pack(from, to, room)?
    } else {
        room.get_mut(..to - from)?.copy_from_slice(text.get(from..to)?);
        to - from
    };
    Some(Part { user_data: buffer.get(..udh_octets + text_octets)?, after: total - 1 - number })
}

/// esm_class of the parts of a message that has `whole`.
pub(super) const fn esm_class(whole: EsmClass) -> EsmClass {
    EsmClass(whole.0 | EsmClass::UDHI.0)
}
