//! query_sm, cancel_sm and replace_sm (3.4 sections 4.8 to 4.10).

use bytes::BufMut;

use super::sm::bounded;
use super::{PduBody, put_c_octets};
use crate::smpp::error::DecodeError;
use crate::smpp::fields::{
    DESTINATION_ADDR, FINAL_DATE, MESSAGE_ID, SCHEDULE_DELIVERY_TIME, SERVICE_TYPE, SOURCE_ADDR,
    VALIDITY_PERIOD,
};
use crate::smpp::flags::RegisteredDelivery;
use crate::smpp::reader::Reader;
use crate::smpp::tlv::Tlvs;
use crate::smpp::tlv_tag::TlvTag;

/// query_sm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuerySm<'a> {
    /// At most 64 octets.
    pub message_id: &'a [u8],
    /// Type of number of the source.
    pub source_addr_ton: u8,
    /// Numbering plan of the source.
    pub source_addr_npi: u8,
    /// The source of the message asked about; at most 20 octets.
    pub source_addr: &'a [u8],
    /// None are defined; any are kept.
    pub tlvs: Tlvs<'a>,
}

impl<'a> PduBody<'a> for QuerySm<'a> {
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

/// query_sm_resp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuerySmResp<'a> {
    /// At most 64 octets.
    pub message_id: &'a [u8],
    /// Empty until final, then an absolute time.
    pub final_date: &'a [u8],
    /// See [`crate::smpp::MessageState`].
    pub message_state: u8,
    /// Network specific; 0 for none.
    pub error_code: u8,
    /// None are defined; any are kept.
    pub tlvs: Tlvs<'a>,
}

impl<'a> PduBody<'a> for QuerySmResp<'a> {
    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let message_id = reader.c_octets(&MESSAGE_ID)?;
        let final_date = reader.c_octets(&FINAL_DATE)?;
        let [message_state, error_code] = reader.array("message_state")?;
        Ok(Self {
            message_id,
            final_date,
            message_state,
            error_code,
            tlvs: Tlvs::decode_lenient(reader.rest()),
        })
    }

    fn body_len(&self) -> usize {
        self.message_id.len() + self.final_date.len() + self.tlvs.as_bytes().len() + 4
    }

    fn encode_body(&self, out: &mut impl BufMut) {
        put_c_octets(out, self.message_id);
        put_c_octets(out, self.final_date);
        out.put_slice(&[self.message_state, self.error_code]);
        out.put_slice(self.tlvs.as_bytes());
    }
}

/// cancel_sm: one message by its id, or all pending ones with the same addresses when message_id is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CancelSm<'a> {
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
    /// Type of number of the destination.
    pub dest_addr_ton: u8,
    /// Numbering plan of the destination.
    pub dest_addr_npi: u8,
    /// At most 20 octets; may be empty when message_id is not.
    pub destination_addr: &'a [u8],
    /// None are defined; any are kept.
    pub tlvs: Tlvs<'a>,
}

impl<'a> PduBody<'a> for CancelSm<'a> {
    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let service_type = reader.c_octets(&SERVICE_TYPE)?;
        let message_id = reader.c_octets(&MESSAGE_ID)?;
        let [source_addr_ton, source_addr_npi] = reader.array("source_addr_ton")?;
        let source_addr = reader.c_octets(&SOURCE_ADDR)?;
        let [dest_addr_ton, dest_addr_npi] = reader.array("dest_addr_ton")?;
        let destination_addr = reader.c_octets(&DESTINATION_ADDR)?;
        let tlvs = Tlvs::decode(reader.rest())?;
        Ok(Self {
            service_type,
            message_id,
            source_addr_ton,
            source_addr_npi,
            source_addr,
            dest_addr_ton,
            dest_addr_npi,
            destination_addr,
            tlvs,
        })
    }

    fn body_len(&self) -> usize {
        self.service_type.len()
            + self.message_id.len()
            + self.source_addr.len()
            + self.destination_addr.len()
            + self.tlvs.as_bytes().len()
            + 8
    }

    fn encode_body(&self, out: &mut impl BufMut) {
        put_c_octets(out, self.service_type);
        put_c_octets(out, self.message_id);
        out.put_slice(&[self.source_addr_ton, self.source_addr_npi]);
        put_c_octets(out, self.source_addr);
        out.put_slice(&[self.dest_addr_ton, self.dest_addr_npi]);
        put_c_octets(out, self.destination_addr);
        out.put_slice(self.tlvs.as_bytes());
    }
}

/// replace_sm. There is no data_coding, esm_class or destination: the stored ones stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplaceSm<'a> {
    /// At most 64 octets.
    pub message_id: &'a [u8],
    /// Type of number of the source.
    pub source_addr_ton: u8,
    /// Numbering plan of the source.
    pub source_addr_npi: u8,
    /// At most 20 octets.
    pub source_addr: &'a [u8],
    /// Empty: keep the stored one.
    pub schedule_delivery_time: &'a [u8],
    /// Empty: keep the stored one.
    pub validity_period: &'a [u8],
    /// Which receipts are asked for.
    pub registered_delivery: RegisteredDelivery,
    /// A predefined message; 0 for none.
    pub sm_default_msg_id: u8,
    /// The new user data.
    pub short_message: &'a [u8],
    /// message_payload in 5.0.
    pub tlvs: Tlvs<'a>,
}

impl<'a> ReplaceSm<'a> {
    /// The new user data: short_message unless that is empty, else message_payload, else nothing.
    pub fn user_data(&self) -> &'a [u8] {
        if self.short_message.is_empty() {
            self.tlvs.find(TlvTag::MESSAGE_PAYLOAD).unwrap_or_default()
        } else {
            self.short_message
        }
    }
}

impl<'a> PduBody<'a> for ReplaceSm<'a> {
    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let message_id = reader.c_octets(&MESSAGE_ID)?;
        let [source_addr_ton, source_addr_npi] = reader.array("source_addr_ton")?;
        let source_addr = reader.c_octets(&SOURCE_ADDR)?;
        let schedule_delivery_time = reader.c_octets(&SCHEDULE_DELIVERY_TIME)?;
        let validity_period = reader.c_octets(&VALIDITY_PERIOD)?;
        let [registered_delivery, sm_default_msg_id, sm_length] = reader.array("registered_delivery")?;
        let short_message = reader.octets(usize::from(sm_length), "short_message")?;
        let tlvs = Tlvs::decode_after_short_message(reader.rest())?;
        Ok(Self {
            message_id,
            source_addr_ton,
            source_addr_npi,
            source_addr,
            schedule_delivery_time,
            validity_period,
            registered_delivery: RegisteredDelivery(registered_delivery),
            sm_default_msg_id,
            short_message,
            tlvs,
        })
    }

    fn body_len(&self) -> usize {
        self.message_id.len()
            + self.source_addr.len()
            + self.schedule_delivery_time.len()
            + self.validity_period.len()
            + bounded(self.short_message).len()
            + self.tlvs.as_bytes().len()
            + 9
    }

    fn encode_body(&self, out: &mut impl BufMut) {
        let short_message = bounded(self.short_message);
        put_c_octets(out, self.message_id);
        out.put_slice(&[self.source_addr_ton, self.source_addr_npi]);
        put_c_octets(out, self.source_addr);
        put_c_octets(out, self.schedule_delivery_time);
        put_c_octets(out, self.validity_period);
        out.put_slice(&[self.registered_delivery.0, self.sm_default_msg_id, short_message.len() as u8]);
        out.put_slice(short_message);
        out.put_slice(self.tlvs.as_bytes());
    }
}
