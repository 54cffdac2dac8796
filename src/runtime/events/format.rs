//! An event record as a line: comma-separated values, or a JSON object. Addresses are a peer's octets, so whatever is not
//! printable ASCII is escaped, and nothing in one can end a field or a line.

use super::{AccountLabel, Address, EventRecord};
use crate::base::WallTime;
use crate::config::EdrFormat;
use crate::routing::EventKind;
use crate::smpp::time_format::{DateDigits, format_receipt_date};
use crate::smpp::{EsmClass, MessageState};

/// The names of the values, in their order.
const NAMES: [&str; 19] = [
    "event",
    "message_id",
    "kind",
    "account",
    "source_addr_ton",
    "source_addr_npi",
    "source_addr",
    "dest_addr_ton",
    "dest_addr_npi",
    "destination_addr",
    "esm_class",
    "data_coding",
    "registered_delivery",
    "octets",
    "accepted",
    "time",
    "attempts",
    "message_state",
    "error_code",
];
/// The names of the message's octets, in hex, and of its text without a UDH, where they are recorded. Text that is none,
/// by data_coding, is empty.
const BODY: [&str; 2] = ["message_hex", "message_text"];

/// The line that a file begins with.
pub(super) fn header(format: EdrFormat, bodies: bool) -> String {
    match format {
        EdrFormat::Jsonl => String::new(),
        EdrFormat::Csv if bodies => format!("{},{}\n", NAMES.join(","), BODY.join(",")),
        EdrFormat::Csv => format!("{}\n", NAMES.join(",")),
    }
}

/// A value of a record.
enum Value<'a> {
    Number(u64),
    /// Ours: needs no escaping.
    Word(&'a [u8]),
    /// A peer's or an operator's.
    Text(&'a [u8]),
    /// UTF-8, written as it is but for controls.
    Utf8(&'a str),
    Hex(&'a [u8]),
}

/// The date of the second that was written last: most records are of the same few.
#[derive(Debug, Default)]
pub(super) struct Dates {
    second: Option<u64>,
    text: [u8; 24],
}

impl Dates {
    fn timestamp(&mut self, at: WallTime) -> [u8; 24] {
        if self.second != Some(at.unix_seconds()) {
            (self.second, self.text) = (Some(at.unix_seconds()), timestamp(at));
        }
        let mut text = self.text;
        set_millis(&mut text, at);
        text
    }
}

/// Appends a record's line. `body`: the message's octets, where they are recorded.
pub(super) fn write(
    format: EdrFormat,
    dates: &mut Dates,
    record: &EventRecord,
    account: &AccountLabel,
    body: Option<&[u8]>,
    out: &mut Vec<u8>,
) {
    let id = record.message_id.text();
    let (accepted, at) = (dates.timestamp(record.accepted), dates.timestamp(record.at));
    let Address { ton: source_ton, npi: source_npi, .. } = record.source;
    let Address { ton: dest_ton, npi: dest_npi, .. } = record.destination;
    let number = |n: u8| Value::Number(u64::from(n));
    let values: [Value<'_>; 19] = [
        Value::Word(event_name(record.event).as_bytes()),
        Value::Word(id.as_bytes()),
        Value::Word(if record.is_mo { b"mo" } else { b"mt" }),
        Value::Text(account.system_id.as_bytes()),
        number(source_ton),
        number(source_npi),
        Value::Text(record.source.text()),
        number(dest_ton),
        number(dest_npi),
        Value::Text(record.destination.text()),
        number(record.esm_class),
        number(record.data_coding),
        number(record.registered_delivery),
        Value::Number(u64::from(record.octets)),
        Value::Word(&accepted),
        Value::Word(&at),
        Value::Number(u64::from(record.attempts)),
        Value::Word(state_name(record.state).as_bytes()),
        Value::Number(u64::from(record.error)),
    ];
    let text = body.and_then(|body| {
        account.default_alphabet.text_of(body, record.data_coding, EsmClass(record.esm_class))
    });
    let text = text.unwrap_or_default();
    let body = body.map(|body| [Value::Hex(body), Value::Utf8(&text)]);
    let named = NAMES.into_iter().zip(values).chain(BODY.into_iter().zip(body.into_iter().flatten()));
    match format {
        EdrFormat::Csv => csv(named, out),
        EdrFormat::Jsonl => json(named, out),
    }
    out.push(b'\n');
}

fn csv<'a>(values: impl Iterator<Item = (&'static str, Value<'a>)>, out: &mut Vec<u8>) {
    for (i, (_, value)) in values.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        match value {
            Value::Number(n) => number(n, out),
            Value::Word(word) => out.extend_from_slice(word),
            Value::Hex(octets) => hex(octets, out),
            Value::Utf8(text) => quoted_utf8(text, out),
            Value::Text(text) => {
                let is_plain = text.iter().all(|b| b.is_ascii_alphanumeric() || b"+ -_.".contains(b));
                if is_plain {
                    out.extend_from_slice(text);
                    continue;
                }
                out.push(b'"');
                for &octet in text {
                    match octet {
                        b'"' => out.extend_from_slice(b"\"\""),
                        b'\\' => out.extend_from_slice(b"\\\\"),
                        0x20..0x7F => out.push(octet),
                        _ => {
                            out.extend_from_slice(b"\\x");
                            hex(&[octet], out);
                        }
                    }
                }
                out.push(b'"');
            }
        }
    }
}

/// Escaped as other texts are, but for what is beyond ASCII.
fn quoted_utf8(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(b"\"\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            character if character.is_control() => {
                // Controls are below U+00A0.
                out.extend_from_slice(b"\\x");
                hex(&[u32::from(character) as u8], out);
            }
            character => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

fn json<'a>(values: impl Iterator<Item = (&'static str, Value<'a>)>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (i, (name, value)) in values.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        if let Value::Number(n) = value {
            number(n, out);
            continue;
        }
        out.push(b'"');
        match value {
            Value::Number(_) => {}
            Value::Word(word) => out.extend_from_slice(word),
            Value::Hex(octets) => hex(octets, out),
            Value::Utf8(text) => {
                for character in text.chars() {
                    match character {
                        '"' | '\\' => out.extend_from_slice(&[b'\\', character as u8]),
                        character if character.is_control() => {
                            out.extend_from_slice(b"\\u00");
                            hex(&[u32::from(character) as u8], out);
                        }
                        character => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
                    }
                }
            }
            Value::Text(text) => {
                for &octet in text {
                    match octet {
                        b'"' | b'\\' => out.extend_from_slice(&[b'\\', octet]),
                        0x20..0x7F => out.push(octet),
                        // As Latin-1: the octet's value is not lost.
                        _ => {
                            out.extend_from_slice(b"\\u00");
                            hex(&[octet], out);
                        }
                    }
                }
            }
        }
        out.push(b'"');
    }
    out.push(b'}');
}

fn number(mut n: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut from = digits.len();
    for place in digits.iter_mut().rev() {
        *place = b'0' + (n % 10) as u8;
        n /= 10;
        from -= 1;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(from..).unwrap_or_default());
}

fn hex(octets: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for octet in octets {
        let digit = |nibble: u8| DIGITS[usize::from(nibble & 0x0F)];
        out.extend_from_slice(&[digit(octet >> 4), digit(*octet)]);
    }
}

/// `2026-11-23T10:15:00.123Z`. Of this century, as receipts are.
pub(super) fn timestamp(at: WallTime) -> [u8; 24] {
    let date = format_receipt_date(at, DateDigits::Twelve);
    let mut text = *b"20YY-MM-DDThh:mm:ss.000Z";
    for (pair, from) in [2, 5, 8, 11, 14, 17].into_iter().zip(date.as_bytes().chunks(2)) {
        for (to, digit) in text.iter_mut().skip(pair).zip(from) {
            *to = *digit;
        }
    }
    set_millis(&mut text, at);
    text
}

fn set_millis(text: &mut [u8; 24], at: WallTime) {
    let millis = at.unix_millis() % 1_000;
    for (to, n) in text.iter_mut().skip(20).zip([millis / 100, millis / 10 % 10, millis % 10]) {
        *to = b'0' + n as u8;
    }
}

const fn event_name(event: EventKind) -> &'static str {
    match event {
        EventKind::Accepted => "accepted",
        EventKind::Attempt => "attempt",
        EventKind::Final => "final",
    }
}

const fn state_name(state: MessageState) -> &'static str {
    match state {
        MessageState::Delivered => "DELIVERED",
        MessageState::Expired => "EXPIRED",
        MessageState::Deleted => "DELETED",
        MessageState::Undeliverable => "UNDELIVERABLE",
        MessageState::Rejected => "REJECTED",
        MessageState::Enroute | MessageState::Scheduled => "ENROUTE",
        MessageState::Accepted => "ACCEPTED",
        MessageState::Skipped => "SKIPPED",
        MessageState::Unknown => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{AccountId, MessageId};
    use crate::smpp::text::DefaultAlphabet;

    fn record(source: &[u8]) -> EventRecord {
        EventRecord {
            event: EventKind::Final,
            message_id: MessageId::from_u64(0x0123_4567_89AB_CDEF),
            account: AccountId(0),
            is_mo: false,
            state: MessageState::Undeliverable,
            error: 11,
            attempts: 3,
            accepted: WallTime::from_unix_millis(1_795_429_800_007),
            at: WallTime::from_unix_millis(1_795_429_812_345),
            source: Address::new(5, 0, source),
            destination: Address::new(1, 1, b"4470"),
            esm_class: 0x40,
            data_coding: 8,
            registered_delivery: 1,
            octets: 3,
        }
    }

    fn line(format: EdrFormat, source: &[u8], body: Option<&[u8]>) -> String {
        line_of(format, &record(source), DefaultAlphabet::Gsm, body)
    }

    fn line_of(
        format: EdrFormat,
        record: &EventRecord,
        default_alphabet: DefaultAlphabet,
        body: Option<&[u8]>,
    ) -> String {
        let mut out = Vec::new();
        let account = AccountLabel { system_id: "acme".to_owned(), default_alphabet };
        write(format, &mut Dates::default(), record, &account, body, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_line_of_values_in_the_order_of_the_header() {
        assert_eq!(
            line(EdrFormat::Csv, b"ACME", None),
            "final,0123456789ABCDEF,mt,acme,5,0,ACME,1,1,4470,64,8,1,3,2026-11-23T10:30:00.007Z,2026-11-23T10:30:12.345Z,3,UNDELIVERABLE,11\n"
        );
        let header = header(EdrFormat::Csv, true);
        let with_body = line(EdrFormat::Csv, b"ACME", Some(b"a\x00\xFF"));
        assert!(with_body.ends_with(",11,6100FF,\"\"\n"), "a broken UDH has no text: {with_body}");
        assert_eq!(header.split(',').count(), with_body.split(',').count());
    }

    #[test]
    fn dates_and_numbers_of_any_size() {
        let mut dates = Dates::default();
        for ms in [0, 1_795_429_800_007, 1_795_429_800_999, 1_795_429_801_000, 1_795_429_800_010] {
            let at = WallTime::from_unix_millis(ms);
            assert_eq!(dates.timestamp(at), timestamp(at));
        }
        for n in [0, 9, 10, 12_345, u64::MAX] {
            let mut out = Vec::new();
            number(n, &mut out);
            assert_eq!(out, n.to_string().into_bytes());
        }
    }

    #[test]
    fn a_json_object_with_the_same_values() {
        let text = line(EdrFormat::Jsonl, b"ACME", Some(b"abc"));
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value["message_id"], "0123456789ABCDEF");
        assert_eq!(value["time"], "2026-11-23T10:30:12.345Z");
        assert_eq!((&value["attempts"], &value["error_code"]), (&3.into(), &11.into()));
        assert_eq!(value["message_hex"], "616263");
        assert_eq!(value.as_object().map(serde_json::Map::len), Some(NAMES.len() + BODY.len()));
    }

    #[test]
    fn text_is_read_as_its_account_means_it() {
        let record = EventRecord { data_coding: 0, esm_class: 0, ..record(b"ACME") };
        let octets = b"\x00\"\\\n\xE9";
        for (alphabet, csv, text) in [
            (DefaultAlphabet::Gsm, "\"@\"\"Ö\\x0Ai\"\n", "@\"Ö\ni"),
            (DefaultAlphabet::Latin1, "\"\\x00\"\"\\\\\\x0Aé\"\n", "\0\"\\\né"),
        ] {
            let line = line_of(EdrFormat::Csv, &record, alphabet, Some(octets));
            assert!(line.ends_with(&format!(",00225C0AE9,{csv}")), "{line}");
            let value: serde_json::Value =
                serde_json::from_str(&line_of(EdrFormat::Jsonl, &record, alphabet, Some(octets)))
                    .expect("JSON");
            assert_eq!(value["message_text"], text);
        }
        let binary = EventRecord { data_coding: 4, ..record };
        assert!(line_of(EdrFormat::Csv, &binary, DefaultAlphabet::Gsm, Some(b"x")).ends_with(",78,\"\"\n"));
    }

    #[test]
    fn no_address_can_end_a_field_or_a_line() {
        let hostile = b"a\",\n\\\x00\xE9\r;=1+\"";
        let csv = line(EdrFormat::Csv, hostile, None);
        assert_eq!(csv.matches('\n').count(), 1);
        assert!(csv.contains(r#","a"",\x0A\\\x00\xE9\x0D;=1+""","#), "{csv}");
        let json = line(EdrFormat::Jsonl, hostile, None);
        let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(value["source_addr"], "a\",\n\\\u{0}\u{e9}\r;=1+\"");
    }
}
