//! How a message id is written to an ESME and read back. Inside, in the store and in everything that operators see, an id
//! is a [`MessageId`] in hex; clients written for another SMSC may need it to look as it did there.
//!
//! Every form is one to one, so nothing has to be remembered to read it back. A short id (of a bind with an
//! interface_version up to 0x33) has 8 hex digits in every form: the message_id of 3.3 has room for no more.

use super::message_id::{MessageId, MessageIdText};

/// Octets of the longest form, a UUID.
pub const ID_TEXT_MAX: usize = 36;
/// Digits of the largest id in decimal.
const DECIMAL_MAX: usize = 20;
/// Where the hyphens of a UUID stand.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// A form of message ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdForm {
    /// 16 upper-case hex digits.
    #[default]
    Hex,
    /// A decimal number without leading zeros. It exceeds 63 bits on nodes from 16 on.
    Decimal,
    /// A decimal number of 20 digits, with leading zeros.
    Padded,
    /// A UUID of version 8 (RFC 9562) in lower case: the id, and a digest of it where others have random bits.
    Uuid,
}

impl IdForm {
    /// Every form.
    pub const ALL: [Self; 4] = [Self::Hex, Self::Decimal, Self::Padded, Self::Uuid];

    /// The ids that a text may mean in any form, hex first; digits alone may mean two.
    pub fn meanings(text: &[u8]) -> impl Iterator<Item = MessageId> {
        let mut earlier = None;
        Self::ALL.into_iter().filter_map(move |form| {
            let id = form.parse(text).filter(|id| Some(*id) != earlier)?;
            earlier = Some(id);
            Some(id)
        })
    }

    /// The text of an id.
    #[inline]
    pub fn text(self, id: MessageId) -> MessageIdText {
        if self == Self::Hex || id.is_short() {
            return id.text();
        }
        match self {
            Self::Hex | Self::Decimal => decimal(id, false),
            Self::Padded => decimal(id, true),
            Self::Uuid => uuid(id),
        }
    }

    /// Reads what [`IdForm::text`] writes, hex digits in either letter case. `None` for anything else: such an id is not
    /// ours.
    pub fn parse(self, text: &[u8]) -> Option<MessageId> {
        let id = match self {
            Self::Hex => return MessageId::parse(text),
            _ if text.len() == 8 => return MessageId::parse(text).filter(|id| id.is_short()),
            Self::Decimal => parse_decimal(text).filter(|_| text.first() != Some(&b'0')),
            Self::Padded => parse_decimal(text).filter(|_| text.len() == DECIMAL_MAX),
            Self::Uuid => parse_uuid(text),
        };
        id.filter(|id| !id.is_short())
    }
}

/// The forms that one account's ids have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdForms {
    /// In responses.
    pub response: IdForm,
    /// In receipts, in their text and in receipted_message_id.
    pub receipt: IdForm,
}

impl IdForms {
    /// The ids that an ESME may mean, in any form that it may know one by: that of its response, that of its receipt, or
    /// plain hex from before the account had others. 16 digits may be hex or decimal, so there may be two.
    pub fn meanings(self, text: &[u8]) -> impl Iterator<Item = MessageId> {
        let mut earlier = [None; 2];
        [self.response, self.receipt, IdForm::Hex].into_iter().filter_map(move |form| {
            let id = form.parse(text).filter(|id| !earlier.contains(&Some(*id)))?;
            earlier = [earlier[1], Some(id)];
            Some(id)
        })
    }
}

#[inline(never)]
fn decimal(id: MessageId, is_padded: bool) -> MessageIdText {
    let mut digits = [b'0'; DECIMAL_MAX];
    let mut rest = id.as_u64();
    let mut first = DECIMAL_MAX;
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        if rest == 0 {
            break;
        }
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        first = at;
    }
    let from = if is_padded { 0 } else { first.min(DECIMAL_MAX - 1) };
    MessageIdText::new(digits.get(from..).unwrap_or_default())
}

fn parse_decimal(text: &[u8]) -> Option<MessageId> {
    if text.is_empty() || text.len() > DECIMAL_MAX {
        return None;
    }
    let mut value = 0u64;
    for digit in text {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(MessageId::from_u64(value))
}

/// The 128 bits of an id's UUID: 48 of the id, the version, 12 of the id, the variant, the last 4 of the id, a digest.
const fn uuid_bits(id: MessageId) -> u128 {
    const VERSION: u128 = 8;
    const VARIANT: u128 = 0b10;
    let value = id.as_u64();
    let (high, middle, low) = (value >> 16, (value >> 4) & 0xFFF, value & 0xF);
    let digest = scatter(value) >> 6;
    (high as u128) << 80
        | VERSION << 76
        | (middle as u128) << 64
        | VARIANT << 62
        | (low as u128) << 58
        | digest as u128
}

/// The finalizer of SplitMix64.
const fn scatter(value: u64) -> u64 {
    let mut x = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[inline(never)]
fn uuid(id: MessageId) -> MessageIdText {
    let mut text = [b'-'; ID_TEXT_MAX];
    let mut bits = uuid_bits(id);
    let places = text.iter_mut().enumerate().filter(|(at, _)| !HYPHENS.contains(at));
    for (_, place) in places {
        *place = char::from_digit((bits >> 124) as u32, 16).map_or(b'0', |digit| digit as u8);
        bits <<= 4;
    }
    MessageIdText::new(&text)
}

fn parse_uuid(text: &[u8]) -> Option<MessageId> {
    if text.len() != ID_TEXT_MAX {
        return None;
    }
    let mut bits = 0u128;
    for (at, &octet) in text.iter().enumerate() {
        if HYPHENS.contains(&at) {
            if octet != b'-' {
                return None;
            }
        } else {
            bits = (bits << 4) | u128::from((octet as char).to_digit(16)?);
        }
    }
    let (high, middle, low) = ((bits >> 80) as u64, (bits >> 64) as u64 & 0xFFF, (bits >> 58) as u64 & 0xF);
    let id = MessageId::from_u64(high << 16 | middle << 4 | low);
    // A UUID that somebody else has made is not ours.
    (uuid_bits(id) == bits).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FORMS: [IdForm; 4] = IdForm::ALL;
    const ID: MessageId = MessageId::from_u64(0x0123_4567_89AB_CDEF);

    fn text(form: IdForm, id: MessageId) -> String {
        String::from_utf8(form.text(id).as_bytes().to_vec()).expect("ASCII")
    }

    #[test]
    fn each_form_is_written_its_own_way() {
        assert_eq!(text(IdForm::Hex, ID), "0123456789ABCDEF");
        assert_eq!(text(IdForm::Decimal, ID), "81985529216486895");
        assert_eq!(text(IdForm::Padded, ID), "00081985529216486895");
        let uuid = text(IdForm::Uuid, ID);
        assert_eq!(&uuid[..20], "01234567-89ab-8cde-b");
        assert_eq!(uuid.len(), ID_TEXT_MAX);
        assert_eq!(text(IdForm::Decimal, MessageId::from_u64(u64::MAX)), "18446744073709551615");
        for form in FORMS {
            assert_eq!(text(form, MessageId::from_u64(0xBEEF)), "0000BEEF", "{form:?}");
        }
    }

    #[test]
    fn what_is_of_another_form_is_not_read() {
        for (form, text) in [
            (IdForm::Decimal, "0123456789ABCDEF"),
            (IdForm::Decimal, "081985529216486895"),
            (IdForm::Decimal, "18446744073709551616"),
            (IdForm::Decimal, "12"),
            (IdForm::Decimal, ""),
            (IdForm::Padded, "81985529216486895"),
            (IdForm::Padded, "00000000000000000012"),
            (IdForm::Padded, "0008198552921648689+"),
            (IdForm::Uuid, "01234567-89ab-8cde-bc00-000000000000"),
            (IdForm::Uuid, "0123456789ABCDEF"),
            (IdForm::Hex, "81985529216486895"),
        ] {
            assert_eq!(form.parse(text.as_bytes()), None, "{form:?} {text}");
        }
        let upper = text(IdForm::Uuid, ID).to_uppercase();
        assert_eq!(IdForm::Uuid.parse(upper.as_bytes()), Some(ID));
    }

    #[test]
    fn an_account_is_understood_in_all_forms_that_it_may_know() {
        let forms = IdForms { response: IdForm::Uuid, receipt: IdForm::Decimal };
        let meanings = |forms: IdForms, text: &[u8]| forms.meanings(text).collect::<Vec<_>>();
        for form in [IdForm::Uuid, IdForm::Decimal, IdForm::Hex] {
            assert_eq!(meanings(forms, form.text(ID).as_bytes()), [ID], "{form:?}");
        }
        assert_eq!(meanings(forms, IdForm::Padded.text(ID).as_bytes()), []);
        // As shard 1 of node 0 makes them: in decimal they have as many digits as in hex.
        let text = b"4633000000000000";
        let (hex, decimal) = (0x4633_0000_0000_0000, 4_633_000_000_000_000);
        let both = [IdForm::Hex, IdForm::Decimal];
        for (response, receipt, ids) in
            [(both[0], both[1], [hex, decimal]), (both[1], both[0], [decimal, hex])]
        {
            assert_eq!(meanings(IdForms { response, receipt }, text), ids.map(MessageId::from_u64));
        }
    }

    #[test]
    fn a_text_has_every_meaning_that_it_may_have() {
        let meanings =
            |text: &str| IdForm::meanings(text.as_bytes()).map(MessageId::as_u64).collect::<Vec<_>>();
        for form in FORMS {
            assert_eq!(meanings(&text(form, ID)), [ID.as_u64()], "{form:?}");
        }
        // 16 digits: in hex, or in decimal.
        assert_eq!(meanings("8198552921648689"), [0x8198_5529_2164_8689, 8_198_552_921_648_689]);
        assert_eq!(meanings("12345678"), [0x1234_5678]);
        assert!(meanings("01234567-89ab-8cde-bc00-000000000000").is_empty());
        assert!(meanings("hello").is_empty());
    }

    proptest! {
        #[test]
        fn every_id_comes_back(value: u64, small: u32) {
            for id in [value, u64::from(small)].map(MessageId::from_u64) {
                for form in FORMS {
                    let text = form.text(id);
                    prop_assert!(text.as_bytes().len() <= ID_TEXT_MAX);
                    prop_assert_eq!(form.parse(text.as_bytes()), Some(id), "{:?}", form);
                }
            }
        }

        #[test]
        fn any_octets_are_read_without_harm(text in prop::collection::vec(any::<u8>(), 0..40)) {
            for form in FORMS {
                let _ = form.parse(&text);
            }
        }
    }
}
