//! The broadcast family of 5.0 (sections 4.4 and 4.6 there). broadcast_sm_resp is a message id with TLVs and stands with
//! the other such responses.

use bytes::BufMut;

use super::{PduBody, put_c_octets};
use crate::smpp::error::DecodeError;
use crate::smpp::fields::{MESSAGE_ID, SCHEDULE_DELIVERY_TIME, SERVICE_TYPE, SOURCE_ADDR, VALIDITY_PERIOD};
use crate::smpp::reader::Reader;
use crate::smpp::tlv::Tlvs;

/// broadcast_sm. Text and areas stand in TLVs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BroadcastSm<'a> {
    /// At most 5 octets.
    pub service_type: &'a [u8],
    /// Type of number of the source.
    pub source_addr_ton: u8,
    /// Numbering plan of the source.
    pub source_addr_npi: u8,
    /// At most 20 octets.
    pub source_addr: &'a [u8],
    /// Empty unless replacing.
    pub message_id: &'a [u8],
    /// 0 to 4; 1 is immediate.
    pub priority_flag: u8,
    /// Empty or a time.
    pub schedule_delivery_time: &'a [u8],
    /// Empty or a time.
    pub validity_period: &'a [u8],
    /// 1: replace.
    pub replace_if_present_flag: u8,
    /// Alphabet and class of the user data.
    pub data_coding: u8,
    /// A predefined message; 0 for none.
    pub sm_default_msg_id: u8,
    /// Four are mandatory; see [`crate::smpp::validate::validate_broadcast_sm`].
    pub tlvs: Tlvs<'a>,
}

impl<'a> PduBody<'a> for BroadcastSm<'a> {
    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let service_type = reader.c_octets(&SERVICE_TYPE)?;
        let [source_addr_ton, source_addr_npi] = reader.array("source_addr_ton")?;
        let source_addr = reader.c_octets(&SOURCE_ADDR)?;
        let message_id = reader.c_octets(&MESSAGE_ID)?;
        let priority_flag = reader.octet("priority_flag")?;
        let schedule_delivery_time = reader.c_octets(&SCHEDULE_DELIVERY_TIME)?;
        let validity_period = reader.c_octets(&VALIDITY_PERIOD)?;
        let [replace_if_present_flag, data_coding, sm_default_msg_id] =
            reader.array("replace_if_present_flag")?;
        let tlvs = Tlvs::decode(reader.rest())?;
        Ok(Self {
            service_type,
            source_addr_ton,
            source_addr_npi,
            source_addr,
            message_id,
            priority_flag,
            schedule_delivery_time,
            validity_period,
            replace_if_present_flag,
            data_coding,
            sm_default_msg_id,
            tlvs,
        })
    }

    fn body_len(&self) -> usize {
        self.service_type.len()
            + self.source_addr.len()
            + self.message_id.len()
            + self.schedule_delivery_time.len()
            + self.validity_period.len()
            + self.tlvs.as_bytes().len()
            + 11
    }

    fn encode_body(&self, out: &mut impl BufMut) {
        put_c_octets(out, self.service_type);
        out.put_slice(&[self.source_addr_ton, self.source_addr_npi]);
        put_c_octets(out, self.source_addr);
        put_c_octets(out, self.message_id);
        out.put_u8(self.priority_flag);
        put_c_octets(out, self.schedule_delivery_time);
        put_c_octets(out, self.validity_period);
        out.put_slice(&[self.replace_if_present_flag, self.data_coding, self.sm_default_msg_id]);
        out.put_slice(self.tlvs.as_bytes());
    }
}

/// query_broadcast_sm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryBroadcastSm<'a> {
    /// At most 64 octets.
    pub message_id: &'a [u8],
    /// Type of number of the source.
    pub source_addr_ton: u8,
    /// Numbering plan of the source.
    pub source_addr_npi: u8,
    /// At most 20 octets.
    pub source_addr: &'a [u8],
    /// user_message_reference.
    pub tlvs: Tlvs<'a>,
}

impl<'a> PduBody<'a> for QueryBroadcastSm<'a> {
    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let message_id = reader.c_octets(&MESSAGE_ID)?;
        let [source_addr_ton, source_addr_npi] = reader.array("source_addr_ton")?;
        let source_addr = reader.c_octets(&SOURCE_ADDR)?;
        let tlvs = Tlvs::decode(reader.rest())?;
        Ok(Self { message_id, source_addr_ton, source_addr_npi, source_addr, tlvs })
    }

    fn body_len(&self) -> usize {
        self.message_id.len() + self.source_addr.len() + self.tlvs.as_bytes().len() + 4
    }

    fn encode_body(&self, out: &mut impl BufMut) {
        put_c_octets(out, self.message_id);
        out.put_slice(&[self.source_addr_ton, self.source_addr_npi]);
        put_c_octets(out, self.source_addr);
        out.put_slice(self.tlvs.as_bytes());
    }
}

/// query_broadcast_sm_resp: state, areas and their success stand in TLVs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryBroadcastSmResp<'a> {
    /// At most 64 octets.
    pub message_id: &'a [u8],
    /// message_state, broadcast_area_identifier and broadcast_area_success (paired by order), broadcast_end_time.
    pub tlvs: Tlvs<'a>,
}

impl<'a> PduBody<'a> for QueryBroadcastSmResp<'a> {
    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let message_id = reader.c_octets_lenient(&MESSAGE_ID)?;
        Ok(Self { message_id, tlvs: Tlvs::decode_lenient(reader.rest()) })
    }

    fn body_len(&self) -> usize {
        self.message_id.len() + 1 + self.tlvs.as_bytes().len()
    }

    fn encode_body(&self, out: &mut impl BufMut) {
        put_c_octets(out, self.message_id);
        out.put_slice(self.tlvs.as_bytes());
    }
}

/// cancel_broadcast_sm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CancelBroadcastSm<'a> {
    /// At most 5 octets.
    pub service_type: &'a [u8],
    /// At most 64 octets.
    pub message_id: &'a [u8],
    /// Type of number of the source.
    pub source_addr_ton: u8,
    /// Numbering plan of the source.
    pub source_addr_npi: u8,
    /// At most 20 octets.
    pub source_addr: &'a [u8],
    /// broadcast_content_type and user_message_reference.
    pub tlvs: Tlvs<'a>,
}

impl<'a> PduBody<'a> for CancelBroadcastSm<'a> {
    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let service_type = reader.c_octets(&SERVICE_TYPE)?;
        let message_id = reader.c_octets(&MESSAGE_ID)?;
        let [source_addr_ton, source_addr_npi] = reader.array("source_addr_ton")?;
        let source_addr = reader.c_octets(&SOURCE_ADDR)?;
        let tlvs = Tlvs::decode(reader.rest())?;
        Ok(Self { service_type, message_id, source_addr_ton, source_addr_npi, source_addr, tlvs })
    }

    fn body_len(&self) -> usize {
        self.service_type.len()
            + self.message_id.len()
            + self.source_addr.len()
            + self.tlvs.as_bytes().len()
            + 5
    }

    fn encode_body(&self, out: &mut impl BufMut) {
        put_c_octets(out, self.service_type);
        put_c_octets(out, self.message_id);
        out.put_slice(&[self.source_addr_ton, self.source_addr_npi]);
        put_c_octets(out, self.source_addr);
        out.put_slice(self.tlvs.as_bytes());
    }
}
