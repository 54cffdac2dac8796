//! The responses that are a message_id or nothing at all.

use bytes::BufMut;

use super::{PduBody, put_c_octets};
use crate::smpp::error::DecodeError;
use crate::smpp::fields::MESSAGE_ID;
use crate::smpp::reader::Reader;
use crate::smpp::tlv::Tlvs;

/// submit_sm_resp, deliver_sm_resp, data_sm_resp and broadcast_sm_resp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageIdResp<'a> {
    /// At most 64 octets; unused (empty, one NUL) in deliver_sm_resp, where anything is accepted.
    pub message_id: &'a [u8],
    /// What follows.
    pub tlvs: Tlvs<'a>,
}

/// submit_sm_resp.
pub type SubmitSmResp<'a> = MessageIdResp<'a>;
/// deliver_sm_resp.
pub type DeliverSmResp<'a> = MessageIdResp<'a>;
/// data_sm_resp.
pub type DataSmResp<'a> = MessageIdResp<'a>;
/// broadcast_sm_resp; failed areas stand in its TLVs, paired with broadcast_error_status by order.
pub type BroadcastSmResp<'a> = MessageIdResp<'a>;

impl<'a> PduBody<'a> for MessageIdResp<'a> {
    #[inline]
    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let message_id = reader.c_octets_lenient(&MESSAGE_ID)?;
        Ok(Self { message_id, tlvs: Tlvs::decode_lenient(reader.rest()) })
    }

    #[inline]
    fn body_len(&self) -> usize {
        self.message_id.len() + 1 + self.tlvs.as_bytes().len()
    }

    #[inline]
    fn encode_body(&self, out: &mut impl BufMut) {
        put_c_octets(out, self.message_id);
        if !self.tlvs.is_empty() {
            out.put_slice(self.tlvs.as_bytes());
        }
    }
}

/// A PDU without mandatory fields: unbind, enquire_link, their responses, generic_nack, and the responses of cancel_sm,
/// replace_sm and cancel_broadcast_sm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeaderOnly<'a> {
    /// congestion_state may follow in a response of 5.0. Octets that are no TLV are dropped in silence.
    pub tlvs: Tlvs<'a>,
}

impl<'a> PduBody<'a> for HeaderOnly<'a> {
    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(Self { tlvs: Tlvs::decode_lenient(body) })
    }

    fn body_len(&self) -> usize {
        self.tlvs.as_bytes().len()
    }

    fn encode_body(&self, out: &mut impl BufMut) {
        out.put_slice(self.tlvs.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smpp::tlv_tag::TlvTag;

    #[test]
    fn any_body_of_a_response_is_understood() {
        let id = |body| MessageIdResp::decode(body).expect("lenient").message_id;
        assert_eq!(id(b""), b"");
        assert_eq!(id(b"\0"), b"");
        assert_eq!(id(b"12345\0"), b"12345");
        assert_eq!(id(b"12345"), b"12345");
        assert_eq!(id(b"12345\0\x02"), b"12345");
        assert!(MessageIdResp::decode(&[b'x'; 65]).is_err());
    }

    #[test]
    fn tlvs_of_a_response_are_read_as_far_as_they_go() {
        let resp = MessageIdResp::decode(b"77\0\x04\x28\x00\x01\x55\xFF").expect("lenient");
        assert_eq!(resp.tlvs.u8(TlvTag::CONGESTION_STATE), Some(0x55));
        assert_eq!(resp.tlvs.as_bytes().len(), 5);
        assert!(HeaderOnly::decode(&[0]).expect("lenient").tlvs.is_empty());
    }
}
