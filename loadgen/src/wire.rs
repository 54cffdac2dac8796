//! The octets that the generator reads and writes itself: the header, the command ids of the fast paths, and the cut
//! of a byte stream into PDUs. Deliberately not the engine's codec, so that each checks the other.

/// Octets of a PDU header.
pub(crate) const HEADER_LEN: usize = 16;
/// Largest command_length believed; above it the peer does not speak SMPP, or the stream is broken.
pub(crate) const PDU_BYTES_MAX: usize = 70_000;
/// Octets that one read may take. Larger than any PDU, so that a half-read PDU always leaves room for its rest.
pub(crate) const READ_BYTES: usize = 256 * 1024;

pub(crate) const GENERIC_NACK: u32 = 0x8000_0000;
pub(crate) const BIND_RECEIVER: u32 = 0x0000_0001;
pub(crate) const BIND_TRANSMITTER: u32 = 0x0000_0002;
pub(crate) const BIND_TRANSCEIVER: u32 = 0x0000_0009;
pub(crate) const SUBMIT_SM: u32 = 0x0000_0004;
pub(crate) const SUBMIT_SM_RESP: u32 = 0x8000_0004;
pub(crate) const SUBMIT_MULTI: u32 = 0x0000_0021;
pub(crate) const SUBMIT_MULTI_RESP: u32 = 0x8000_0021;
pub(crate) const DELIVER_SM: u32 = 0x0000_0005;
pub(crate) const DELIVER_SM_RESP: u32 = 0x8000_0005;
pub(crate) const UNBIND: u32 = 0x0000_0006;
pub(crate) const UNBIND_RESP: u32 = 0x8000_0006;
pub(crate) const ENQUIRE_LINK: u32 = 0x0000_0015;
/// The bit that tells a response from a request.
pub(crate) const RESPONSE: u32 = 0x8000_0000;

/// The big-endian integer at `at`; zero past the end, which no caller asks for.
#[inline]
pub(crate) fn be32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |four| u32::from_be_bytes(*four))
}

/// The big-endian integer at `at`; zero past the end, which no caller asks for.
#[inline]
pub(crate) fn be16(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |two| u16::from_be_bytes(*two))
}

/// A header with nothing behind it.
pub(crate) fn header(command_length: usize, command_id: u32, status: u32, sequence: u32) -> [u8; HEADER_LEN] {
    let mut out = [0; HEADER_LEN];
    out[..4].copy_from_slice(&(command_length as u32).to_be_bytes());
    out[4..8].copy_from_slice(&command_id.to_be_bytes());
    out[8..12].copy_from_slice(&status.to_be_bytes());
    out[12..].copy_from_slice(&sequence.to_be_bytes());
    out
}

/// One PDU as it lies in the read buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pdu<'a> {
    pub(crate) command_id: u32,
    pub(crate) status: u32,
    pub(crate) sequence: u32,
    pub(crate) body: &'a [u8],
}

/// A command_length that no SMPP peer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadLength(pub(crate) u32);

/// Cuts a buffer into whole PDUs. What is left when it ends is [`Frames::rest`].
#[derive(Debug)]
pub(crate) struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Frames<'a> {
    /// The PDUs of `bytes`, which begins at a PDU's first octet.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Octets of a PDU that has not arrived in full.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Pdu<'a>, BadLength>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let length = u32::from_be_bytes(*self.rest.first_chunk::<4>()?);
        if !(HEADER_LEN..=PDU_BYTES_MAX).contains(&(length as usize)) {
            return Some(Err(BadLength(length)));
        }
        let (pdu, rest) = self.rest.split_at_checked(length as usize)?;
        self.rest = rest;
        let (header, body) = pdu.split_first_chunk::<HEADER_LEN>()?;
        Some(Ok(Pdu {
            command_id: be32(header, 4),
            status: be32(header, 8),
            sequence: be32(header, 12),
            body,
        }))
    }
}

/// Reads C-Octet Strings and octets one after the other. Every method gives `None` past the end.
#[derive(Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    /// The string up to the next NUL, without it.
    #[inline]
    pub(crate) fn c_string(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|&octet| octet == 0)?;
        let (text, rest) = self.0.split_at(end);
        self.0 = rest.get(1..)?;
        Some(text)
    }

    /// The next `n` octets.
    #[inline]
    pub(crate) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    /// The next octet.
    #[inline]
    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|one| one[0])
    }

    /// The next TLV: tag and value.
    #[inline]
    pub(crate) fn tlv(&mut self) -> Option<(u16, &'a [u8])> {
        let head = self.take(4)?;
        Some((be16(head, 0), self.take(usize::from(be16(head, 2)))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Vec<u8> {
        let mut bytes = Vec::new();
        for sequence in 1..=3 {
            bytes.extend_from_slice(&header(33, SUBMIT_SM_RESP, 0, sequence));
            bytes.extend_from_slice(b"0123456789ABCDEF\0");
            bytes.extend_from_slice(&header(16, ENQUIRE_LINK, 0, 100 + sequence));
        }
        bytes
    }

    #[test]
    fn cuts_a_stream_split_at_any_octet() {
        let bytes = stream();
        let whole: Vec<u32> = Frames::new(&bytes).map(|pdu| pdu.unwrap().sequence).collect();
        assert_eq!(whole, [1, 101, 2, 102, 3, 103]);
        for cut in 0..=bytes.len() {
            let mut first = Frames::new(&bytes[..cut]);
            let mut seen: Vec<u32> = first.by_ref().map(|pdu| pdu.unwrap().sequence).collect();
            let mut rest = first.rest().to_vec();
            rest.extend_from_slice(&bytes[cut..]);
            let mut second = Frames::new(&rest);
            seen.extend(second.by_ref().map(|pdu| pdu.unwrap().sequence));
            assert_eq!(seen, whole, "cut at {cut}");
            assert!(second.rest().is_empty());
        }
    }

    #[test]
    fn refuses_lengths_that_are_not_smpp() {
        for bad in [0u32, 15, 70_001, 0x4854_5450, u32::MAX] {
            assert_eq!(Frames::new(&bad.to_be_bytes()).next(), Some(Err(BadLength(bad))));
        }
    }

    #[test]
    fn fields_end_without_panic() {
        let mut fields = Fields(b"ab\0c");
        assert_eq!(fields.c_string(), Some(&b"ab"[..]));
        assert_eq!(fields.c_string(), None);
        assert_eq!(fields.u8(), Some(b'c'));
        assert_eq!((fields.u8(), fields.tlv()), (None, None));
        assert_eq!(Fields(&[0, 30, 0, 9, 1]).tlv(), None);
    }
}
