//! The text of a delivery receipt (3.4 appendix B): written in exactly one form, read in whatever form peers send.

use bytes::BufMut;

use super::flags::EsmClass;
use super::message_state::MessageState;
use super::text::{DATA_CODING_DEFAULT, DefaultAlphabet, gsm, packing};
use super::time_format::{ReceiptDate, parse_receipt_date};
use super::udh::text_octets;
use crate::base::WallTime;

/// Characters of the message that a receipt quotes.
pub const RECEIPT_EXCERPT_MAX: usize = 20;
/// Characters of a message_id.
const ID_MAX: usize = 64;
/// No receipt text is longer.
pub const RECEIPT_TEXT_MAX: usize =
    "id: sub:001 dlvrd:001 submit date:YYYYMMDDhhmmss done date:YYYYMMDDhhmmss stat:DELIVRD err:000 text:"
        .len()
        + ID_MAX
        + RECEIPT_EXCERPT_MAX;

/// What a receipt says, for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptText<'a> {
    /// The message_id, as in the response; at most 64 characters, the excess is cut.
    pub id: &'a [u8],
    /// Messages submitted; written up to 999.
    pub sub: u16,
    /// Messages delivered; written up to 999.
    pub dlvrd: u16,
    /// When it was submitted.
    pub submit_date: ReceiptDate,
    /// When it got to `stat`.
    pub done_date: ReceiptDate,
    /// The outcome.
    pub stat: MessageState,
    /// Network error; written up to 999, 0 for none.
    pub err: u16,
    /// The first 20 characters of the message, the excess is cut; see [`ReceiptExcerpt`].
    pub text: &'a [u8],
}

impl ReceiptText<'_> {
    /// Appends the text to `out`: at most [`RECEIPT_TEXT_MAX`] octets.
    ///
    /// # Panics
    /// When `out` is a fixed buffer without room for it.
    pub fn encode(&self, out: &mut impl BufMut) {
        out.put_slice(b"id:");
        out.put_slice(self.id.get(..ID_MAX).unwrap_or(self.id));
        let [s2, s1, s0] = three_digits(self.sub);
        let [d2, d1, d0] = three_digits(self.dlvrd);
        out.put_slice(&[
            b' ', b's', b'u', b'b', b':', s2, s1, s0, b' ', b'd', b'l', b'v', b'r', b'd', b':', d2, d1, d0,
        ]);
        out.put_slice(b" submit date:");
        out.put_slice(self.submit_date.as_bytes());
        out.put_slice(b" done date:");
        out.put_slice(self.done_date.as_bytes());
        let [a, b, c, d, e, f, g] = *self.stat.stat();
        let [e2, e1, e0] = three_digits(self.err);
        out.put_slice(&[
            b' ', b's', b't', b'a', b't', b':', a, b, c, d, e, f, g, b' ', b'e', b'r', b'r', b':', e2, e1, e0,
        ]);
        out.put_slice(b" text:");
        out.put_slice(self.text.get(..RECEIPT_EXCERPT_MAX).unwrap_or(self.text));
    }
}

#[inline]
fn three_digits(value: u16) -> [u8; 3] {
    let value = value.min(999);
    [b'0' + (value / 100) as u8, b'0' + (value / 10 % 10) as u8, b'0' + (value % 10) as u8]
}

/// The first characters of a message, in the ASCII that a receipt text is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptExcerpt {
    characters: [u8; RECEIPT_EXCERPT_MAX],
    len: u8,
}

impl ReceiptExcerpt {
    /// The excerpt of a message's user data, of a sender whose data_coding 0 is `alphabet`. A UDH is left out, characters
    /// outside ASCII become '?', and 8-bit data gives nothing.
    pub fn new(user_data: &[u8], data_coding: u8, esm_class: EsmClass, alphabet: DefaultAlphabet) -> Self {
        let text = text_octets(user_data, esm_class);
        let mut excerpt = Self { characters: [0; RECEIPT_EXCERPT_MAX], len: 0 };
        match Characters::of(data_coding, alphabet) {
            Characters::Septets => excerpt.fill(gsm::as_ascii(text.iter().copied())),
            Characters::Packed => {
                let udh_octets = user_data.len() - text.len();
                excerpt.fill(gsm::as_ascii(packing::unpack_text(text, udh_octets)));
            }
            Characters::Octets => excerpt.fill(text.iter().copied()),
            Characters::Ucs2 => {
                let (units, _) = text.as_chunks::<2>();
                excerpt.fill(units.iter().map(|&[high, low]| if high == 0 { low } else { b'?' }));
            }
            Characters::None => {}
        }
        excerpt
    }

    fn fill(&mut self, characters: impl Iterator<Item = u8>) {
        for (slot, character) in self.characters.iter_mut().zip(characters) {
            *slot = if matches!(character, b' '..=b'~') { character } else { b'?' };
            self.len += 1;
        }
    }

    /// At most 20 printable ASCII characters.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.characters.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// How user data splits into characters.
enum Characters {
    /// GSM 7-bit, one septet to an octet.
    Septets,
    /// GSM 7-bit, packed.
    Packed,
    /// One to an octet, ASCII as far as it is shown.
    Octets,
    Ucs2,
    None,
}

impl Characters {
    const fn of(data_coding: u8, alphabet: DefaultAlphabet) -> Self {
        match data_coding {
            DATA_CODING_DEFAULT => match alphabet {
                DefaultAlphabet::Gsm => Self::Septets,
                DefaultAlphabet::GsmPacked => Self::Packed,
                DefaultAlphabet::Latin1 | DefaultAlphabet::Ascii => Self::Octets,
            },
            // SMPP's own values, then the groups of GSM 03.38.
            0x02 | 0x04 | 0x05 | 0x09 | 0x0A | 0x0D | 0x0E => Self::None,
            0x08 | 0xE0..=0xEF => Self::Ucs2,
            0x10..=0x7F if data_coding & 0x2C == 0x08 => Self::Ucs2,
            0x10..=0x7F if data_coding & 0x2C != 0 => Self::None,
            0xF0..=0xFF if data_coding & 0x04 != 0 => Self::None,
            0x10..=0x7F | 0xC0..=0xDF | 0xF0..=0xFF => Self::Septets,
            _ => Self::Octets,
        }
    }
}

/// A receipt text as a peer wrote it. Every field may be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParsedReceipt<'a> {
    /// The message_id, opaque and of any length.
    pub id: Option<&'a [u8]>,
    /// Messages submitted.
    pub sub: Option<u16>,
    /// Messages delivered.
    pub dlvrd: Option<u16>,
    /// 10, 12 or 14 digits if it is in order; see [`ParsedReceipt::submit_time`].
    pub submit_date: Option<&'a [u8]>,
    /// As submit_date.
    pub done_date: Option<&'a [u8]>,
    /// The word of the outcome, standard or vendor's; see [`ParsedReceipt::state`].
    pub stat: Option<&'a [u8]>,
    /// Network error: digits by the specification, sometimes more.
    pub err: Option<&'a [u8]>,
    /// Everything after `text:`.
    pub text: Option<&'a [u8]>,
}

impl<'a> ParsedReceipt<'a> {
    /// Reads a receipt text: keys in any letter case and order (`text:` last), any of them missing, any blanks. `None`
    /// when there is neither an id nor a stat: that is no receipt.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let mut receipt = Self::default();
        let mut rest = text;
        while let Some((key, after)) = take_key(&mut rest) {
            let value = match key {
                Key::Text => std::mem::take(&mut rest),
                _ => {
                    let end = after.iter().position(u8::is_ascii_whitespace).unwrap_or(after.len());
                    let (value, after) = after.split_at_checked(end).unwrap_or_default();
                    rest = after;
                    value
                }
            };
            receipt.set(key, value);
        }
        (receipt.id.is_some() || receipt.stat.is_some()).then_some(receipt)
    }

    fn set(&mut self, key: Key, value: &'a [u8]) {
        match key {
            Key::Id => self.id = Some(value).filter(|id| !id.is_empty()),
            Key::Sub => self.sub = number(value),
            Key::Dlvrd => self.dlvrd = number(value),
            Key::SubmitDate => self.submit_date = Some(value),
            Key::DoneDate => self.done_date = Some(value),
            Key::Stat => self.stat = Some(value).filter(|stat| !stat.is_empty()),
            Key::Err => self.err = Some(value),
            Key::Text => self.text = Some(value),
        }
    }

    /// The state that `stat` stands for; `None` for a word that no one knows.
    pub fn state(&self) -> Option<MessageState> {
        MessageState::from_stat(self.stat?)
    }

    /// `err` as a number, if it is one.
    pub fn error_code(&self) -> Option<u16> {
        number(self.err?)
    }

    /// `submit_date` as a time in UTC, if it is one.
    pub fn submit_time(&self) -> Option<WallTime> {
        parse_receipt_date(self.submit_date?)
    }

    /// `done_date` as a time in UTC, if it is one.
    pub fn done_time(&self) -> Option<WallTime> {
        parse_receipt_date(self.done_date?)
    }
}

#[derive(Clone, Copy)]
enum Key {
    Id,
    Sub,
    Dlvrd,
    SubmitDate,
    DoneDate,
    Stat,
    Err,
    Text,
}

const KEYS: [(&[u8], Key); 10] = [
    (b"id:", Key::Id),
    (b"sub:", Key::Sub),
    (b"dlvrd:", Key::Dlvrd),
    (b"submit date:", Key::SubmitDate),
    (b"submit_date:", Key::SubmitDate),
    (b"done date:", Key::DoneDate),
    (b"done_date:", Key::DoneDate),
    (b"stat:", Key::Stat),
    (b"err:", Key::Err),
    (b"text:", Key::Text),
];

/// The next known key and what follows it; words before it are skipped. Leaves `rest` after the key.
fn take_key<'a>(rest: &mut &'a [u8]) -> Option<(Key, &'a [u8])> {
    loop {
        *rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return None;
        }
        for (name, key) in KEYS {
            if let Some((front, after)) = rest.split_at_checked(name.len())
                && front.eq_ignore_ascii_case(name)
            {
                *rest = after;
                return Some((key, after));
            }
        }
        let word = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        *rest = rest.get(word..).unwrap_or_default();
    }
}

fn number(digits: &[u8]) -> Option<u16> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smpp::time_format::{DateDigits, format_receipt_date};
    use proptest::prelude::*;

    fn date(unix_ms: u64) -> ReceiptDate {
        format_receipt_date(WallTime::from_unix_millis(unix_ms), DateDigits::Ten)
    }

    fn sample() -> ReceiptText<'static> {
        ReceiptText {
            id: b"0000000001",
            sub: 1,
            dlvrd: 1,
            submit_date: date(1_795_509_000_000),
            done_date: date(1_795_509_060_000),
            stat: MessageState::Delivered,
            err: 0,
            text: b"Hello, world!",
        }
    }

    fn written(receipt: &ReceiptText<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        receipt.encode(&mut out);
        assert!(out.len() <= RECEIPT_TEXT_MAX);
        out
    }

    #[test]
    fn written_in_exactly_the_form_of_the_specification() {
        assert_eq!(
            written(&sample()),
            b"id:0000000001 sub:001 dlvrd:001 submit date:2611240830 done date:2611240831 \
              stat:DELIVRD err:000 text:Hello, world!"
        );
    }

    #[test]
    fn the_longest_text_fits_its_bound_and_a_short_message() {
        let at = format_receipt_date(WallTime::from_unix_millis(0), DateDigits::Fourteen);
        let receipt = ReceiptText {
            id: &[b'F'; 80],
            sub: u16::MAX,
            err: u16::MAX,
            submit_date: at,
            done_date: at,
            text: &[b'x'; 30],
            ..sample()
        };
        assert_eq!(written(&receipt).len(), RECEIPT_TEXT_MAX);
        const { assert!(RECEIPT_TEXT_MAX < 254) };
    }

    #[test]
    fn peers_texts_are_understood() {
        let parse = |text: &'static [u8]| ParsedReceipt::parse(text).expect("a receipt");
        // Another letter case, 12-digit dates.
        let full = parse(b"ID:abc SUB:001 Dlvrd:000 Submit Date:261124083000 Done Date:20261124083100 Stat:undeliv Err:011 Text:a b:c ");
        assert_eq!((full.id, full.sub, full.dlvrd), (Some(&b"abc"[..]), Some(1), Some(0)));
        assert_eq!(full.state(), Some(MessageState::Undeliverable));
        assert_eq!((full.error_code(), full.text), (Some(11), Some(&b"a b:c "[..])));
        assert_eq!(full.submit_time().map(WallTime::unix_millis), Some(1_795_509_000_000));
        assert_eq!(full.done_time().map(WallTime::unix_millis), Some(1_795_509_060_000));
        // No sub, dlvrd or text.
        let short = parse(b"id:b6d7-4a submit date:2611240830 done date:2611240831 stat:FAILED err:00A");
        assert_eq!((short.sub, short.text, short.error_code()), (None, None, None));
        assert_eq!(short.state(), Some(MessageState::Undeliverable));
        // Unknown keys, blanks, an empty value.
        let odd = parse(b"  id:1   foo:bar  done date: stat:XYZ text:");
        assert_eq!((odd.id, odd.done_date, odd.state()), (Some(&b"1"[..]), Some(&b""[..]), None));
        assert_eq!(odd.text, Some(&b""[..]));
    }

    #[test]
    fn ordinary_text_is_no_receipt() {
        for text in [&b""[..], b"hello", b"text:id:1", b"id: stat:", b"forbid:1"] {
            assert_eq!(ParsedReceipt::parse(text), None, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn excerpts_are_ascii_whatever_the_message_is() {
        let excerpt = |data: &[u8], coding: u8, class: u8| {
            let alphabet = DefaultAlphabet::Gsm;
            ReceiptExcerpt::new(data, coding, EsmClass(class), alphabet).as_bytes().to_vec()
        };
        assert_eq!(excerpt(b"Hello, world! and more than that", 0, 0), b"Hello, world! and mo");
        assert_eq!(excerpt(b"\x00\x02\x1B\x65 x\x1B\x28\x1B", 0, 0), b"@$? x{ ");
        assert_eq!(excerpt(b"\x00", 0xF0, 0), b"@");
        assert_eq!(excerpt(b"\x00@", 1, 0), b"?@");
        assert_eq!(excerpt(b"\x05\x00\x03\xA7\x02\x01part", 0, 0x40), b"part");
        assert_eq!(excerpt(b"\x04\x1F\x00A\x00 ", 8, 0), b"?A ");
        assert_eq!(excerpt(b"\x00A\x00B", 0x18, 0), b"AB");
        assert_eq!(excerpt(b"\xDE\xAD", 4, 0), b"");
        assert_eq!(excerpt(b"\xDE\xAD", 0xF5, 0), b"");
        assert_eq!(excerpt(b"\xFFa", 0, 0x40), b"?a");
    }

    #[test]
    fn data_coding_0_is_read_in_the_senders_alphabet() {
        let excerpt = |data: &[u8], class, alphabet| {
            ReceiptExcerpt::new(data, 0, EsmClass(class), alphabet).as_bytes().to_vec()
        };
        assert_eq!(excerpt(b"\x00_@\xE9", 0, DefaultAlphabet::Gsm), b"@??i");
        assert_eq!(excerpt(b"\x00_@\xE9", 0, DefaultAlphabet::Latin1), b"?_@?");
        assert_eq!(excerpt(b"\x00_@\xE9", 0, DefaultAlphabet::Ascii), b"?_@?");
        let hello = [0xE8, 0x32, 0x9B, 0xFD, 0x46, 0x97, 0xD9, 0xEC, 0x37];
        assert_eq!(excerpt(&hello, 0, DefaultAlphabet::GsmPacked), b"hellohello");
        let part = [5, 0, 3, 0xA7, 2, 1, 0xE0, 0x61, 0x39, 0x1D, 0xF4, 0x76, 0x97, 0x01];
        assert_eq!(excerpt(&part, 0x40, DefaultAlphabet::GsmPacked), b"part one");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            id in "[0-9A-F]{1,64}", sub in 0u16..1000, dlvrd in 0u16..1000, err in 0u16..1000,
            state in 1u8..10, minutes in 0u64..35_000_000, text in "[ -~]{0,20}",
        ) {
            let stat = MessageState::from_octet(state).expect("a state");
            let at = WallTime::from_unix_millis(minutes * 60_000);
            let when = format_receipt_date(at, DateDigits::Ten);
            let receipt = ReceiptText {
                id: id.as_bytes(), sub, dlvrd, err, stat, submit_date: when, done_date: when, text: text.as_bytes(),
            };
            let octets = written(&receipt);
            let parsed = ParsedReceipt::parse(&octets).expect("own text");
            prop_assert_eq!(parsed.id, Some(id.as_bytes()));
            prop_assert_eq!((parsed.sub, parsed.dlvrd, parsed.error_code()), (Some(sub), Some(dlvrd), Some(err)));
            prop_assert_eq!(parsed.state(), Some(stat));
            prop_assert_eq!((parsed.submit_time(), parsed.done_time()), (Some(at), Some(at)));
            prop_assert_eq!(parsed.text, Some(text.as_bytes()));
        }

        #[test]
        fn any_octets_are_read_without_harm(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = ParsedReceipt::parse(&text);
        }
    }
}
