//! PDU boundaries in a stream. A length is judged from its four octets, before anything is buffered for it.

use super::header::Header;
use crate::limits::HEADER_LEN;

/// One whole PDU in a read buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The header.
    pub header: Header,
    /// The `command_length - 16` octets after it.
    pub body: &'a [u8],
}

/// What the front of a buffer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameStep<'a> {
    /// A whole PDU.
    Complete {
        /// The PDU.
        frame: Frame<'a>,
        /// Its octets: where the next one starts.
        consumed: usize,
    },
    /// Not yet a whole PDU.
    Incomplete {
        /// Octets from the front of the buffer that are needed before looking again: 4, the PDU's command_length, or 16 if
        /// that is too large.
        needed: usize,
    },
}

/// The stream can't be followed further: answer with a generic_nack and close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// command_length is below 16 or above the caller's limit (ESME_RINVCMDLEN).
    #[error("command_length {command_length} is not acceptable")]
    CommandLength {
        /// The value on the wire.
        command_length: u32,
        /// sequence_number for the generic_nack: the PDU's own if its length is plausible. `None`: send 0.
        sequence_number: Option<u32>,
    },
}

/// Lengths from here on are not an oversized PDU but no SMPP at all (text and TLS have their first octet set), so what
/// stands in place of a sequence_number is not to be believed.
const IMPLAUSIBLE_LENGTH: u32 = 1 << 24;

/// Looks at the front of `buffer` for a PDU of at most `pdu_bytes_max` octets.
///
/// # Errors
/// [`FrameError`] as soon as the first four octets are a length that can't be accepted; for one that may be a PDU that is
/// merely too large, once its header is there, which holds the sequence_number to answer with.
#[inline]
pub fn next_frame(buffer: &[u8], pdu_bytes_max: usize) -> Result<FrameStep<'_>, FrameError> {
    let Some(length) = buffer.first_chunk::<4>() else {
        return Ok(FrameStep::Incomplete { needed: 4 });
    };
    let command_length = u32::from_be_bytes(*length);
    let consumed = command_length as usize;
    if !(HEADER_LEN..=pdu_bytes_max).contains(&consumed) {
        return bad_length(buffer, command_length);
    }
    let Some((header, body)) = buffer.get(..consumed).and_then(<[u8]>::split_first_chunk::<HEADER_LEN>)
    else {
        return Ok(FrameStep::Incomplete { needed: consumed });
    };
    Ok(FrameStep::Complete { frame: Frame { header: Header::decode(header), body }, consumed })
}

/// Waits for the header if its sequence_number is to be believed, so that how the stream is cut never changes the answer.
#[cold]
fn bad_length(buffer: &[u8], command_length: u32) -> Result<FrameStep<'_>, FrameError> {
    if !(HEADER_LEN as u32..IMPLAUSIBLE_LENGTH).contains(&command_length) {
        return Err(FrameError::CommandLength { command_length, sequence_number: None });
    }
    let Some(header) = buffer.first_chunk::<HEADER_LEN>() else {
        return Ok(FrameStep::Incomplete { needed: HEADER_LEN });
    };
    let sequence_number = Some(Header::decode(header).sequence_number);
    Err(FrameError::CommandLength { command_length, sequence_number })
}

/// A protocol that ends up on an SMPP port by mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignProtocol {
    /// An HTTP request or response.
    Http,
    /// A TLS handshake on a plain-text port.
    Tls,
    /// Some other line of text.
    Text,
}

/// What the first octets of a refused stream look like; for the log, so that the operator knows what to look for.
/// `None` when they may be SMPP or are too few.
pub fn looks_foreign(first_octets: &[u8]) -> Option<ForeignProtocol> {
    const HTTP: [&[u8; 4]; 10] =
        [b"GET ", b"POST", b"PUT ", b"HEAD", b"HTTP", b"OPTI", b"DELE", b"PATC", b"CONN", b"PRI "];
    if let [0x16, 0x03, ..] = first_octets {
        return Some(ForeignProtocol::Tls);
    }
    let word = first_octets.first_chunk::<4>()?;
    if HTTP.contains(&word) {
        Some(ForeignProtocol::Http)
    } else if word.iter().all(|octet| matches!(octet, b' '..=b'~' | b'\r' | b'\n' | b'\t')) {
        Some(ForeignProtocol::Text)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smpp::command_id::CommandId;

    const ENQUIRE_LINK: [u8; 16] = [0, 0, 0, 16, 0, 0, 0, 0x15, 0, 0, 0, 0, 0, 0, 0, 9];

    #[test]
    fn every_prefix_waits_and_the_whole_is_taken() {
        for len in 0..16 {
            let needed = if len < 4 { 4 } else { 16 };
            assert_eq!(next_frame(&ENQUIRE_LINK[..len], 1024), Ok(FrameStep::Incomplete { needed }));
        }
        let mut glued = ENQUIRE_LINK.to_vec();
        glued.extend(ENQUIRE_LINK);
        let Ok(FrameStep::Complete { frame, consumed }) = next_frame(&glued, 1024) else {
            panic!("no frame")
        };
        assert_eq!((consumed, frame.header.command_id, frame.body), (16, CommandId::ENQUIRE_LINK, &[][..]));
    }

    #[test]
    fn four_octets_decide() {
        let refused = |octets: &[u8]| match next_frame(octets, 1024) {
            Err(FrameError::CommandLength { command_length, sequence_number }) => {
                (command_length, sequence_number)
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(&[0, 0, 0, 0]), (0, None));
        assert_eq!(refused(&[0, 0, 0, 15]), (15, None));
        assert_eq!(refused(&[0xFF; 4]), (u32::MAX, None));
    }

    #[test]
    fn a_pdu_that_is_merely_too_large_is_refused_by_its_header() {
        let mut octets = ENQUIRE_LINK;
        octets[..4].copy_from_slice(&1025u32.to_be_bytes());
        for len in 4..16 {
            assert_eq!(next_frame(&octets[..len], 1024), Ok(FrameStep::Incomplete { needed: 16 }));
        }
        let refused = FrameError::CommandLength { command_length: 1025, sequence_number: Some(9) };
        assert_eq!(next_frame(&octets, 1024), Err(refused));
    }

    #[test]
    fn sequence_number_is_told_only_from_a_header_to_believe() {
        let sequence_of = |length: [u8; 4]| {
            let mut octets = ENQUIRE_LINK;
            octets[..4].copy_from_slice(&length);
            let Err(FrameError::CommandLength { sequence_number, .. }) = next_frame(&octets, 1024) else {
                panic!("accepted {length:?}")
            };
            sequence_number
        };
        assert_eq!(sequence_of([0, 1, 0, 0]), Some(9));
        assert_eq!(sequence_of([0x7F, 0xFF, 0xFF, 0xFF]), None);
        assert_eq!(sequence_of([0, 0, 0, 15]), None);
    }

    #[test]
    fn foreign_protocols_are_named() {
        assert_eq!(looks_foreign(b"GET / HTTP/1.1\r\n"), Some(ForeignProtocol::Http));
        assert_eq!(looks_foreign(b"HTTP"), Some(ForeignProtocol::Http));
        assert_eq!(looks_foreign(&[0x16, 0x03, 0x01, 0x02]), Some(ForeignProtocol::Tls));
        assert_eq!(looks_foreign(b"SSH-2.0"), Some(ForeignProtocol::Text));
        assert_eq!(looks_foreign(b"\r\n\r\n"), Some(ForeignProtocol::Text));
        assert_eq!(looks_foreign(&ENQUIRE_LINK), None);
        assert_eq!(looks_foreign(&[]), None);
        assert_eq!(looks_foreign(&[0xFF; 8]), None);
    }
}
