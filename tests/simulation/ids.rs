//! How the ids of each account look, told from what the documentation says of each form and not by the code that writes
//! them. What the model keeps of an id is its value, in hex.

use smscd::config::Preset;

/// A form of message ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// 16 digits.
    Hex,
    /// Without leading zeros.
    Decimal,
    /// 20 digits.
    Padded,
    Uuid,
}

/// Where an ESME meets an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Response,
    Receipt,
}

/// The presets that an account may have, with the forms of its ids in responses and in receipts.
const PRESETS: [(Preset, Form, Form); 6] = [
    (Preset::Standard, Form::Hex, Form::Hex),
    (Preset::LikeVonage, Form::Hex, Form::Decimal),
    (Preset::Jsmpp, Form::Decimal, Form::Decimal),
    (Preset::LikeRestcomm, Form::Padded, Form::Padded),
    (Preset::LikeOpensmppbox, Form::Uuid, Form::Uuid),
    (Preset::LikeSmppsim, Form::Decimal, Form::Decimal),
];

/// What the seed of a world gives an account.
pub(crate) const fn preset(seed: u64, account: usize) -> Preset {
    PRESETS[at(seed, account)].0
}

/// The form of an account's ids. An MO message has no account; whoever brings it is told hex.
pub(crate) fn form(seed: u64, account: Option<usize>, place: Place) -> Form {
    let Some(account) = account else { return Form::Hex };
    let (_, response, receipt) = PRESETS[at(seed, account)];
    if place == Place::Response { response } else { receipt }
}

const fn at(seed: u64, account: usize) -> usize {
    let seed = seed / if account == 0 { 1 } else { PRESETS.len() as u64 };
    (seed % PRESETS.len() as u64) as usize
}

impl Form {
    /// The value of an id in this form; those of 8 digits have but one.
    pub(crate) fn read(self, text: &str, is_short: bool) -> String {
        let is_hex = |text: &str| text.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'A'..=b'F'));
        if is_short {
            assert!(text.len() == 8 && is_hex(text), "an id for 3.3: {text}");
            return text.to_owned();
        }
        let decimal = |text: &str| {
            assert!(text.bytes().all(|octet| octet.is_ascii_digit()), "a decimal id: {text}");
            format!("{:016X}", text.parse::<u64>().expect("an id has 64 bits"))
        };
        match self {
            Self::Hex => {
                assert!(text.len() == 16 && is_hex(text), "an id: {text}");
                text.to_owned()
            }
            Self::Decimal => {
                assert!(!text.starts_with('0'), "a decimal id: {text}");
                decimal(text)
            }
            Self::Padded => {
                assert_eq!(text.len(), 20, "a padded id: {text}");
                decimal(text)
            }
            Self::Uuid => uuid(text),
        }
    }

    /// The text in this form of a long id with this value; `None`: only what was seen can tell.
    pub(crate) fn write(self, value: &str) -> Option<String> {
        let number = u64::from_str_radix(value, 16).expect("hex digits");
        match self {
            Self::Hex => Some(value.to_owned()),
            Self::Decimal => Some(number.to_string()),
            Self::Padded => Some(format!("{number:020}")),
            Self::Uuid => None,
        }
    }
}

/// A UUID of version 8 (RFC 9562): 48 bits of the id before the version, 12 behind it, and 4 behind the variant.
fn uuid(text: &str) -> String {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12], "a UUID: {text}");
    let is_digit = |octet: u8| matches!(octet, b'0'..=b'9' | b'a'..=b'f');
    assert!(groups.iter().all(|group| group.bytes().all(is_digit)), "a UUID: {text}");
    assert!(groups[2].starts_with('8'), "version 8: {text}");
    let clock = u16::from_str_radix(groups[3], 16).expect("hex digits");
    assert_eq!(clock >> 14, 0b10, "the variant: {text}");
    format!("{}{}{}{:X}", groups[0], groups[1], &groups[2][1..], clock >> 10 & 0xF).to_uppercase()
}
