//! Runs of prebuilt submit_sm: one buffer a thread, in which only sequence_number and the destination's digits change.
//! A PDU is a function of its number alone, so what a socket did not take is never kept: it is written again.

use crate::wire::{HEADER_LEN, SUBMIT_MULTI, SUBMIT_SM, header};

/// Sequence numbers used: 2^30, a power of two so that number and sequence map by a mask, within 1..=0x7FFFFFFF.
pub(crate) const SEQUENCE_MASK: u64 = (1 << 30) - 1;
/// The first destination; the others follow it.
pub(crate) const DESTINATION_BASE: u64 = 447_700_900_000;
/// Most destinations: the last one still has as many digits as the first.
pub(crate) const DESTINATIONS_MAX: u64 = 100_000_000;
/// Longest short_message that every SMSC takes in one submit_sm.
pub(crate) const TEXT_LEN_MAX: usize = 254;

const DESTINATION_DIGITS: usize = 12;
/// What one write carries at most, in octets; one PDU at least.
const RUN_BYTES: usize = 128 * 1024;
/// Largest message_payload.
pub(crate) const PAYLOAD_BYTES_MAX: u32 = 65_535;
/// Most destinations of one submit_multi before 5.0.
pub(crate) const MULTI_MAX: u8 = 254;
/// Octets of one dest_address: flag, TON, NPI, digits and NUL.
const DEST_ADDRESS_LEN: usize = 3 + DESTINATION_DIGITS + 1;
/// What the text is cut from.
const TEXT: &[u8] = b"The quick brown fox jumps over the lazy dog, and then it rests. ";

/// The sequence_number of a session's message number `n`.
#[inline]
pub(crate) const fn sequence_of(n: u64) -> u32 {
    (n & SEQUENCE_MASK) as u32 + 1
}

/// What every submit_sm of a run has in common.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// Source address: digits are sent as an international number, 3 to 8 digits as a short code, the rest as a name.
    pub(crate) source: String,
    /// Characters of text, at most [`TEXT_LEN_MAX`].
    pub(crate) text_len: usize,
    /// How many destination addresses to go through, 1 to [`DESTINATIONS_MAX`].
    pub(crate) destinations: u64,
    /// Whether a receipt is asked for.
    pub(crate) receipts: bool,
    /// Send submit_multi to so many destinations each; 0: submit_sm.
    pub(crate) multi: u8,
    /// Send a message_payload of so many octets in place of the text; 0: the text.
    pub(crate) payload_bytes: u32,
}

/// A buffer of prebuilt PDUs.
#[derive(Debug)]
pub(crate) struct Template {
    run: Box<[u8]>,
    pdu_len: usize,
    digits_at: usize,
    destinations: u64,
    /// Destinations of each PDU, and from the digits of one to those of the next.
    per_pdu: u64,
    stride: usize,
}

impl Template {
    /// Builds as many PDUs as a write of `window` messages can need.
    pub(crate) fn new(shape: &Shape, window: usize) -> Self {
        let (pdu, digits_at) = build(shape);
        let pdus = window.clamp(1, (RUN_BYTES / pdu.len()).max(1));
        Self {
            run: pdu.repeat(pdus).into_boxed_slice(),
            pdu_len: pdu.len(),
            digits_at,
            destinations: shape.destinations,
            per_pdu: u64::from(shape.multi.max(1)),
            stride: DEST_ADDRESS_LEN,
        }
    }

    /// Octets of each PDU.
    pub(crate) const fn pdu_len(&self) -> usize {
        self.pdu_len
    }

    /// PDUs that one run holds.
    pub(crate) const fn capacity(&self) -> usize {
        self.run.len() / self.pdu_len
    }

    /// The PDUs of message numbers `first..first + n` of the session that starts at destination `offset`;
    /// `n` is at most [`Template::capacity`].
    #[inline]
    pub(crate) fn fill(&mut self, first: u64, n: usize, offset: u64) -> &[u8] {
        let pdu_len = self.pdu_len;
        let octets = (n * pdu_len).min(self.run.len());
        let digits_at = self.digits_at;
        let mut number = first;
        if self.destinations == 1 {
            for pdu in self.run[..octets].chunks_exact_mut(pdu_len) {
                pdu[12..HEADER_LEN].copy_from_slice(&sequence_of(number).to_be_bytes());
                number += 1;
            }
        } else {
            let place = (first * self.per_pdu + offset) % self.destinations;
            let mut destination = Destination::new(place, self.destinations);
            for pdu in self.run[..octets].chunks_exact_mut(pdu_len) {
                pdu[12..HEADER_LEN].copy_from_slice(&sequence_of(number).to_be_bytes());
                let mut at = digits_at;
                for _ in 0..self.per_pdu {
                    pdu[at..at + DESTINATION_DIGITS].copy_from_slice(&destination.digits);
                    destination.advance();
                    at += self.stride;
                }
                number += 1;
            }
        }
        &self.run[..octets]
    }
}

/// A destination counted up in decimal digits.
struct Destination {
    digits: [u8; DESTINATION_DIGITS],
    until_wrap: u64,
    destinations: u64,
}

impl Destination {
    fn new(index: u64, destinations: u64) -> Self {
        Self { digits: digits_of(DESTINATION_BASE + index), until_wrap: destinations - index, destinations }
    }

    #[inline]
    fn advance(&mut self) {
        self.until_wrap -= 1;
        if self.until_wrap == 0 {
            *self = Self::new(0, self.destinations);
            return;
        }
        for digit in self.digits.iter_mut().rev() {
            if *digit < b'9' {
                *digit += 1;
                return;
            }
            *digit = b'0';
        }
    }
}

fn digits_of(mut value: u64) -> [u8; DESTINATION_DIGITS] {
    let mut digits = [b'0'; DESTINATION_DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
    digits
}

/// TON and NPI of the source address: international for long numbers, network specific for short codes, a name otherwise.
fn source_type(source: &str) -> [u8; 2] {
    let digits = source.bytes().all(|octet| octet.is_ascii_digit());
    match source.len() {
        0 => [0, 0],
        1..=8 if digits => [3, 1],
        _ if digits => [1, 1],
        _ => [5, 0],
    }
}

/// One submit_sm or submit_multi with sequence_number 0, and where its first destination's digits begin.
fn build(shape: &Shape) -> (Vec<u8>, usize) {
    let command_id = if shape.multi == 0 { SUBMIT_SM } else { SUBMIT_MULTI };
    let mut pdu = header(0, command_id, 0, 0).to_vec();
    pdu.push(0); // service_type
    pdu.extend_from_slice(&source_type(&shape.source));
    pdu.extend_from_slice(shape.source.as_bytes());
    pdu.push(0);
    let digits_at = if shape.multi == 0 {
        pdu.extend_from_slice(&[1, 1]); // dest_addr_ton, dest_addr_npi
        let at = pdu.len();
        pdu.extend_from_slice(&digits_of(DESTINATION_BASE));
        pdu.push(0);
        at
    } else {
        pdu.push(shape.multi); // number_of_dests
        let at = pdu.len() + 3;
        for index in 0..u64::from(shape.multi) {
            pdu.extend_from_slice(&[1, 1, 1]); // dest_flag, dest_addr_ton, dest_addr_npi
            pdu.extend_from_slice(&digits_of(DESTINATION_BASE + index % shape.destinations));
            pdu.push(0);
        }
        at
    };
    pdu.extend_from_slice(&[0, 0, 0, 0, 0]); // esm_class to validity_period
    pdu.push(u8::from(shape.receipts)); // registered_delivery
    pdu.extend_from_slice(&[0, 0, 0]); // replace_if_present_flag, data_coding, sm_default_msg_id
    if shape.payload_bytes == 0 {
        let text_len = shape.text_len.min(TEXT_LEN_MAX);
        pdu.push(text_len as u8);
        pdu.extend(TEXT.iter().cycle().take(text_len));
    } else {
        let [_, _, high, low] = shape.payload_bytes.min(PAYLOAD_BYTES_MAX).to_be_bytes();
        pdu.extend_from_slice(&[0, 0x04, 0x24, high, low]); // sm_length, message_payload
        pdu.extend(TEXT.iter().cycle().take(shape.payload_bytes.min(PAYLOAD_BYTES_MAX) as usize));
    }
    let command_length = (pdu.len() as u32).to_be_bytes();
    pdu[..4].copy_from_slice(&command_length);
    (pdu, digits_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Fields, Frames};
    use smscd::smpp::{CommandId, CommandStatus, DestAddress, PduBody, SubmitMulti, SubmitSm, encode_pdu};

    fn shape(destinations: u64) -> Shape {
        Shape {
            source: "12345".into(),
            text_len: 60,
            destinations,
            receipts: true,
            multi: 0,
            payload_bytes: 0,
        }
    }

    /// Sequence and destination of each PDU, after checking every other field.
    fn parse(run: &[u8]) -> Vec<(u32, String)> {
        let mut frames = Frames::new(run);
        let parsed = frames
            .by_ref()
            .map(|pdu| {
                let pdu = pdu.unwrap();
                assert_eq!((pdu.command_id, pdu.status), (SUBMIT_SM, 0));
                let mut fields = Fields(pdu.body);
                assert_eq!(fields.c_string(), Some(&b""[..]));
                assert_eq!(fields.take(2), Some(&[3, 1][..]));
                assert_eq!(fields.c_string(), Some(&b"12345"[..]));
                assert_eq!(fields.take(2), Some(&[1, 1][..]));
                let destination = String::from_utf8(fields.c_string().unwrap().to_vec()).unwrap();
                assert_eq!(fields.take(5), Some(&[0; 5][..]));
                assert_eq!(fields.take(4), Some(&[1, 0, 0, 0][..]));
                assert_eq!(fields.u8(), Some(60));
                assert_eq!(fields.0, &TEXT[..60]);
                (pdu.sequence, destination)
            })
            .collect();
        assert!(frames.rest().is_empty());
        parsed
    }

    #[test]
    fn patches_sequence_and_destination() {
        let mut template = Template::new(&shape(3), 8);
        let run = parse(template.fill(7, 5, 1));
        let wanted = [(8, "2"), (9, "0"), (10, "1"), (11, "2"), (12, "0")];
        assert_eq!(run.len(), wanted.len());
        for ((sequence, destination), (wanted_sequence, last)) in run.into_iter().zip(wanted) {
            assert_eq!((sequence, destination), (wanted_sequence, format!("44770090000{last}")));
        }
    }

    #[test]
    fn one_destination_stays_and_many_carry() {
        let mut template = Template::new(&shape(1), 4);
        assert!(parse(template.fill(99, 4, 0)).iter().all(|(_, to)| to == "447700900000"));
        let mut template = Template::new(&shape(100_000), 4);
        let run = parse(template.fill(99_997, 4, 1));
        let to: Vec<&str> = run.iter().map(|(_, to)| to.as_str()).collect();
        assert_eq!(to, ["447700999998", "447700999999", "447700900000", "447700900001"]);
    }

    #[test]
    fn the_same_numbers_give_the_same_octets() {
        let mut template = Template::new(&shape(1000), 200);
        let first = template.fill(1_000_000, 200, 17).to_vec();
        template.fill(3, 100, 0);
        assert_eq!(template.fill(1_000_000, 200, 17), first);
        // A run that begins inside the first one is its tail: what a short write relies on.
        let tail = 50 * template.pdu_len();
        assert_eq!(template.fill(1_000_050, 150, 17), &first[tail..]);
    }

    #[test]
    fn the_engines_codec_reads_it() {
        let mut template = Template::new(&shape(1000), 1);
        let run = template.fill(41, 1, 0).to_vec();
        let submit = SubmitSm::decode(&run[HEADER_LEN..]).unwrap();
        assert_eq!(submit.destination_addr, b"447700900041");
        assert_eq!((submit.source_addr_ton, submit.source_addr), (3, &b"12345"[..]));
        assert_eq!(submit.registered_delivery.0, 1);
        assert_eq!(submit.short_message, &TEXT[..60]);
        let mut encoded = Vec::new();
        encode_pdu(&mut encoded, CommandId::SUBMIT_SM, CommandStatus::ESME_ROK, 42, &submit);
        assert_eq!(encoded, run);
    }

    #[test]
    fn the_engines_codec_reads_many_destinations_and_payloads() {
        let shape = Shape { multi: 3, payload_bytes: 65_535, ..shape(1000) };
        let mut template = Template::new(&shape, 4);
        let run = template.fill(41, 1, 1).to_vec();
        let multi = SubmitMulti::decode(&run[HEADER_LEN..]).unwrap();
        let to: Vec<_> = multi
            .dest_address
            .iter()
            .map(|dest| match dest {
                DestAddress::Sme { destination_addr, .. } => destination_addr,
                DestAddress::DistributionList { .. } => panic!("{dest:?}"),
            })
            .collect();
        assert_eq!(to, [b"447700900124", b"447700900125", b"447700900126"]);
        assert_eq!((multi.user_data().len(), multi.short_message), (65_535, &b""[..]));
    }

    #[test]
    fn sequences_stay_in_range_and_wrap_to_one() {
        assert_eq!(sequence_of(0), 1);
        assert_eq!(sequence_of(SEQUENCE_MASK), 1 << 30);
        assert_eq!(sequence_of(SEQUENCE_MASK + 1), 1);
    }

    #[test]
    fn a_run_is_bounded() {
        let template = Template::new(&shape(1), 1_000_000);
        assert!(template.capacity() * template.pdu_len() <= RUN_BYTES);
        assert_eq!(Template::new(&shape(1), 200).capacity(), 200);
    }
}
