//! The optional part of a body: TLVs in the order in which they came, repeats kept (3.4 section 3.2.4).

use bytes::BufMut;

use super::command_status::CommandStatus;
use super::error::DecodeError;
use super::tlv_tag::TlvTag;

/// Octets of tag and length in front of each value.
const TLV_HEADER_LEN: usize = 4;

/// One TLV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// The tag.
    pub tag: TlvTag,
    /// The value; its length is the TLV's.
    pub value: &'a [u8],
}

/// A well-formed run of TLVs, as octets.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Tlvs<'a> {
    octets: &'a [u8],
}

impl<'a> Tlvs<'a> {
    /// No TLVs.
    pub const EMPTY: Self = Self { octets: &[] };

    /// Takes the octets after the mandatory fields of a request.
    ///
    /// # Errors
    /// ESME_RINVTLVSTREAM when a value runs past the end or 1 to 3 octets are left over; ESME_RINVTLVLEN when a TLV
    /// that the engine acts on has a length that it can't have. What else a TLV holds is never an error.
    #[inline]
    pub fn decode(octets: &'a [u8]) -> Result<Self, DecodeError> {
        if octets.is_empty() {
            return Ok(Self::EMPTY);
        }
        Self::decode_present(octets)
    }

    fn decode_present(octets: &'a [u8]) -> Result<Self, DecodeError> {
        let mut rest = octets;
        while let Some((tlv, after)) = split_first(rest) {
            if tlv.tag.is_acted_on()
                && tlv.tag.lengths().is_some_and(|lengths| !lengths.contains(&tlv.value.len()))
            {
                return Err(DecodeError::new(CommandStatus::ESME_RINVTLVLEN, tlv.tag.name()));
            }
            rest = after;
        }
        if rest.is_empty() {
            Ok(Self { octets })
        } else {
            Err(DecodeError::new(CommandStatus::ESME_RINVTLVSTREAM, "tlv"))
        }
    }

    /// As [`Tlvs::decode`] where short_message stands before the TLVs: one NUL in front of them (or alone) is taken as
    /// its terminator. Peers that end short_message as if it were a C-Octet String exist.
    #[inline]
    pub(super) fn decode_after_short_message(octets: &'a [u8]) -> Result<Self, DecodeError> {
        if octets.is_empty() {
            return Ok(Self::EMPTY);
        }
        Self::decode_present(octets).or_else(|error| match octets.split_first() {
            Some((&0, rest)) => Self::decode(rest).map_err(|_| error),
            _ => Err(error),
        })
    }

    /// Takes the octets after the fields of a response: the well-formed front, silently. A response is never refused
    /// for its TLVs.
    pub fn decode_lenient(octets: &'a [u8]) -> Self {
        let mut rest = octets;
        while let Some((_, after)) = split_first(rest) {
            rest = after;
        }
        Self { octets: octets.get(..octets.len() - rest.len()).unwrap_or_default() }
    }

    /// The TLVs as they are on the wire.
    #[inline]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.octets
    }

    /// Whether there are none.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.octets.is_empty()
    }

    /// Each TLV in its order.
    #[inline]
    pub const fn iter(self) -> TlvIter<'a> {
        TlvIter { rest: self.octets }
    }

    /// The value of the first TLV with this tag.
    #[inline]
    pub fn find(self, tag: TlvTag) -> Option<&'a [u8]> {
        self.iter().find(|tlv| tlv.tag == tag).map(|tlv| tlv.value)
    }

    /// The value of a one-octet TLV; `None` when it is absent or of another length.
    #[inline]
    pub fn u8(self, tag: TlvTag) -> Option<u8> {
        self.find(tag)?.try_into().ok().map(u8::from_be_bytes)
    }

    /// The value of a two-octet TLV; `None` when it is absent or of another length.
    #[inline]
    pub fn u16(self, tag: TlvTag) -> Option<u16> {
        self.find(tag)?.try_into().ok().map(u16::from_be_bytes)
    }

    /// The value of a four-octet TLV; `None` when it is absent or of another length.
    #[inline]
    pub fn u32(self, tag: TlvTag) -> Option<u32> {
        self.find(tag)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// The value of a C-Octet String TLV, without its NUL if it has one.
    pub fn c_octets(self, tag: TlvTag) -> Option<&'a [u8]> {
        let value = self.find(tag)?;
        Some(value.strip_suffix(&[0]).unwrap_or(value))
    }
}

impl std::fmt::Debug for Tlvs<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for Tlvs<'a> {
    type Item = Tlv<'a>;
    type IntoIter = TlvIter<'a>;

    fn into_iter(self) -> TlvIter<'a> {
        self.iter()
    }
}

/// Iterator over [`Tlvs`].
#[derive(Clone, Debug)]
pub struct TlvIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for TlvIter<'a> {
    type Item = Tlv<'a>;

    #[inline]
    fn next(&mut self) -> Option<Tlv<'a>> {
        let (tlv, rest) = split_first(self.rest)?;
        self.rest = rest;
        Some(tlv)
    }
}

/// The first whole TLV and what follows it.
#[inline]
fn split_first(octets: &[u8]) -> Option<(Tlv<'_>, &[u8])> {
    let (&[t0, t1, l0, l1], rest) = octets.split_first_chunk::<TLV_HEADER_LEN>()?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
    Some((Tlv { tag: TlvTag(u16::from_be_bytes([t0, t1])), value }, rest))
}

/// Appends one TLV. Of a value longer than 65,535 octets only that many are written.
#[inline]
pub fn push_tlv(out: &mut impl BufMut, tag: TlvTag, value: &[u8]) {
    let len = u16::try_from(value.len()).unwrap_or(u16::MAX);
    let [t0, t1] = tag.0.to_be_bytes();
    let [l0, l1] = len.to_be_bytes();
    out.put_slice(&[t0, t1, l0, l1]);
    out.put_slice(value.get(..usize::from(len)).unwrap_or_default());
}

/// Builds a short run of TLVs in a caller's array, to hand to an encoder as [`Tlvs`].
#[derive(Debug)]
pub struct TlvWriter<'b> {
    buffer: &'b mut [u8],
    len: usize,
}

impl<'b> TlvWriter<'b> {
    /// A writer that starts at the front of `buffer`.
    pub const fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }

    /// Appends one TLV. `false`, and nothing written, when the buffer has no room for it.
    #[inline]
    pub fn push(&mut self, tag: TlvTag, value: &[u8]) -> bool {
        let Some(mut room) = self.buffer.get_mut(self.len..) else { return false };
        let size = TLV_HEADER_LEN + value.len();
        if room.len() < size || value.len() > usize::from(u16::MAX) {
            return false;
        }
        push_tlv(&mut room, tag, value);
        self.len += size;
        true
    }

    /// Appends a C-Octet String TLV: the value and its NUL. `false`, and nothing written, without room.
    #[inline]
    pub fn push_c_octets(&mut self, tag: TlvTag, value: &[u8]) -> bool {
        let Ok(len) = u16::try_from(value.len() + 1) else { return false };
        let Some(mut room) = self.buffer.get_mut(self.len..) else { return false };
        let size = TLV_HEADER_LEN + usize::from(len);
        if room.len() < size {
            return false;
        }
        room.put_u16(tag.0);
        room.put_u16(len);
        room.put_slice(value);
        room.put_u8(0);
        self.len += size;
        true
    }

    /// What was written so far.
    #[inline]
    pub fn tlvs(&self) -> Tlvs<'_> {
        Tlvs { octets: self.buffer.get(..self.len).unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn status(octets: &[u8]) -> u32 {
        Tlvs::decode(octets).expect_err("accepted").status.0
    }

    #[test]
    fn broken_runs_are_refused_and_vendor_tags_are_not() {
        assert_eq!(status(&[2, 4, 0]), 0xC0);
        assert_eq!(status(&[2, 4, 0, 10, 1, 2]), 0xC0);
        assert_eq!(status(&[2, 4, 0, 1, 1]), 0xC2);
        // privacy_indicator with two octets: not ours to judge.
        assert!(Tlvs::decode(&[2, 1, 0, 2, 0, 0]).is_ok());
        assert!(Tlvs::decode(&[0x14, 1, 0, 0]).is_ok());
        assert_eq!(Tlvs::decode(&[]), Ok(Tlvs::EMPTY));
    }

    #[test]
    fn one_nul_may_end_short_message() {
        assert_eq!(Tlvs::decode_after_short_message(&[0]), Ok(Tlvs::EMPTY));
        let after = Tlvs::decode_after_short_message(&[0, 2, 4, 0, 2, 1, 2]).expect("NUL, then a TLV");
        assert_eq!(after.u16(TlvTag::USER_MESSAGE_REFERENCE), Some(0x0102));
        for octets in [&[0u8, 0][..], &[0, 0, 0], &[1], &[2, 4, 0], &[0, 2, 4]] {
            assert_eq!(Tlvs::decode_after_short_message(octets).expect_err("accepted").status.0, 0xC0);
        }
    }

    #[test]
    fn order_and_repeats_are_kept() {
        let mut octets = Vec::new();
        for value in [&b"a"[..], b"bc", b""] {
            push_tlv(&mut octets, TlvTag::BROADCAST_SERVICE_GROUP, value);
        }
        let values: Vec<&[u8]> = Tlvs::decode(&octets).expect("valid").iter().map(|tlv| tlv.value).collect();
        assert_eq!(values, [&b"a"[..], b"bc", b""]);
        assert_eq!(Tlvs::decode_lenient(&octets[..octets.len() - 2]).iter().count(), 2);
    }

    #[test]
    fn writer_fills_its_buffer_and_no_more() {
        let mut buffer = [0u8; 16];
        let mut writer = TlvWriter::new(&mut buffer);
        assert!(writer.push(TlvTag::MESSAGE_STATE, &[2]));
        assert!(writer.push_c_octets(TlvTag::RECEIPTED_MESSAGE_ID, b"AB"));
        assert!(!writer.push(TlvTag::USER_MESSAGE_REFERENCE, &[0, 1]));
        assert!(!writer.push_c_octets(TlvTag::RECEIPTED_MESSAGE_ID, b"A"));
        let tlvs = writer.tlvs();
        assert_eq!(tlvs.u8(TlvTag::MESSAGE_STATE), Some(2));
        assert_eq!(tlvs.c_octets(TlvTag::RECEIPTED_MESSAGE_ID), Some(&b"AB"[..]));
        assert_eq!(tlvs.u8(TlvTag::RECEIPTED_MESSAGE_ID), None);
        assert_eq!(Tlvs::decode(tlvs.as_bytes()), Ok(tlvs));
    }

    proptest! {
        #[test]
        fn any_tlvs_round_trip(
            list in prop::collection::vec((0x1400u16..0x4000, prop::collection::vec(any::<u8>(), 0..20)), 0..8)
        ) {
            let mut octets = Vec::new();
            for (tag, value) in &list {
                push_tlv(&mut octets, TlvTag(*tag), value);
            }
            let back: Vec<(u16, Vec<u8>)> = Tlvs::decode(&octets)
                .expect("valid")
                .iter()
                .map(|tlv| (tlv.tag.0, tlv.value.to_vec()))
                .collect();
            prop_assert_eq!(back, list);
        }
    }
}
