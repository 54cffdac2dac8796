//! submit_sm and deliver_sm: one layout, and the hot path of the codec (3.4 sections 4.4 and 4.6).

use bytes::BufMut;

use super::{PduBody, put_c_octets};
use crate::smpp::error::DecodeError;
use crate::smpp::fields::{
    DESTINATION_ADDR, SCHEDULE_DELIVERY_TIME, SERVICE_TYPE, SOURCE_ADDR, VALIDITY_PERIOD,
};
use crate::smpp::flags::{EsmClass, RegisteredDelivery};
use crate::smpp::reader::Reader;
use crate::smpp::tlv::Tlvs;
use crate::smpp::tlv_tag::TlvTag;

/// The fields of submit_sm and deliver_sm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SmFields<'a> {
    /// At most 5 octets.
    pub service_type: &'a [u8],
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
    /// At most 20 octets.
    pub destination_addr: &'a [u8],
    /// Mode, type and features.
    pub esm_class: EsmClass,
    /// TP-PID on GSM.
    pub protocol_id: u8,
    /// 0 normal to 3.
    pub priority_flag: u8,
    /// Empty, or 16 characters (at most 16 octets are sure; see [`crate::smpp::time_format`]).
    pub schedule_delivery_time: &'a [u8],
    /// As schedule_delivery_time.
    pub validity_period: &'a [u8],
    /// Which receipts are asked for.
    pub registered_delivery: RegisteredDelivery,
    /// 1: replace a pending message with the same addresses and service_type.
    pub replace_if_present_flag: u8,
    /// Alphabet and class of the user data.
    pub data_coding: u8,
    /// A predefined message; 0 for none.
    pub sm_default_msg_id: u8,
    /// User data of at most 255 octets (254 before 5.0); its length is sm_length.
    pub short_message: &'a [u8],
    /// What follows.
    pub tlvs: Tlvs<'a>,
}

/// submit_sm: an ESME hands over a message.
pub type SubmitSm<'a> = SmFields<'a>;
/// deliver_sm: an ESME is handed a message or a receipt.
pub type DeliverSm<'a> = SmFields<'a>;

/// sm_length is one octet.
pub(super) const SHORT_MESSAGE_MAX: usize = 255;
/// Octets of the mandatory fields beside the contents of the variable ones: 12 integers and 5 NULs.
const FIXED_LEN: usize = 17;

impl<'a> SmFields<'a> {
    /// The user data: short_message unless that is empty, else message_payload, else nothing.
    #[inline]
    pub fn user_data(&self) -> &'a [u8] {
        if self.short_message.is_empty() && !self.tlvs.is_empty() {
            self.tlvs.find(TlvTag::MESSAGE_PAYLOAD).unwrap_or_default()
        } else {
            self.short_message
        }
    }
}

/// What an encoder may write of a short_message: the excess over one length octet is cut.
#[inline]
pub(super) fn bounded(short_message: &[u8]) -> &[u8] {
    short_message.get(..SHORT_MESSAGE_MAX).unwrap_or(short_message)
}

impl<'a> PduBody<'a> for SmFields<'a> {
    #[inline]
    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let service_type = reader.c_octets(&SERVICE_TYPE)?;
        let [source_addr_ton, source_addr_npi] = reader.array("source_addr_ton")?;
        let source_addr = reader.c_octets(&SOURCE_ADDR)?;
        let [dest_addr_ton, dest_addr_npi] = reader.array("dest_addr_ton")?;
        let destination_addr = reader.c_octets(&DESTINATION_ADDR)?;
        let [esm_class, protocol_id, priority_flag] = reader.array("esm_class")?;
        let schedule_delivery_time = reader.c_octets(&SCHEDULE_DELIVERY_TIME)?;
        let validity_period = reader.c_octets(&VALIDITY_PERIOD)?;
        let [registered_delivery, replace_if_present_flag, data_coding, sm_default_msg_id, sm_length] =
            reader.array("registered_delivery")?;
        let short_message = reader.octets(usize::from(sm_length), "short_message")?;
        let tlvs = Tlvs::decode_after_short_message(reader.rest())?;
        Ok(Self {
            service_type,
            source_addr_ton,
            source_addr_npi,
            source_addr,
            dest_addr_ton,
            dest_addr_npi,
            destination_addr,
            esm_class: EsmClass(esm_class),
            protocol_id,
            priority_flag,
            schedule_delivery_time,
            validity_period,
            registered_delivery: RegisteredDelivery(registered_delivery),
            replace_if_present_flag,
            data_coding,
            sm_default_msg_id,
            short_message,
            tlvs,
        })
    }

    #[inline]
    fn body_len(&self) -> usize {
        self.service_type.len()
            + self.source_addr.len()
            + self.destination_addr.len()
            + self.schedule_delivery_time.len()
            + self.validity_period.len()
            + bounded(self.short_message).len()
            + self.tlvs.as_bytes().len()
            + FIXED_LEN
    }

    #[inline]
    fn encode_body(&self, out: &mut impl BufMut) {
        let short_message = bounded(self.short_message);
        put_c_octets(out, self.service_type);
        out.put_slice(&[self.source_addr_ton, self.source_addr_npi]);
        put_c_octets(out, self.source_addr);
        out.put_slice(&[self.dest_addr_ton, self.dest_addr_npi]);
        put_c_octets(out, self.destination_addr);
        out.put_slice(&[self.esm_class.0, self.protocol_id, self.priority_flag]);
        put_c_octets(out, self.schedule_delivery_time);
        put_c_octets(out, self.validity_period);
        out.put_slice(&[
            self.registered_delivery.0,
            self.replace_if_present_flag,
            self.data_coding,
            self.sm_default_msg_id,
            short_message.len() as u8,
        ]);
        out.put_slice(short_message);
        if !self.tlvs.is_empty() {
            out.put_slice(self.tlvs.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smpp::command_status::CommandStatus;
    use crate::smpp::tlv::push_tlv;

    fn encoded(sm: &SmFields<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        sm.encode_body(&mut out);
        assert_eq!(out.len(), sm.body_len());
        out
    }

    #[test]
    fn every_cut_of_a_body_is_too_short_and_nothing_else() {
        let body = encoded(&SmFields {
            service_type: b"CMT",
            source_addr: b"ACME",
            destination_addr: b"447700900123",
            validity_period: b"000002000000000R",
            short_message: b"Hello",
            ..SmFields::default()
        });
        for len in 0..body.len() {
            let error = SmFields::decode(&body[..len]).expect_err("cut");
            assert_eq!(error.status, CommandStatus::ESME_RINVCMDLEN, "{len} {}", error.field);
        }
        assert!(SmFields::decode(&body).is_ok());
    }

    #[test]
    fn each_long_field_has_its_own_status() {
        let long = [b'1'; 21];
        let status = |sm: SmFields<'_>| SmFields::decode(&encoded(&sm)).expect_err("too long").status.0;
        assert_eq!(status(SmFields { service_type: &long[..6], ..SmFields::default() }), 0x15);
        assert_eq!(status(SmFields { source_addr: &long, ..SmFields::default() }), 0x0A);
        assert_eq!(status(SmFields { destination_addr: &long, ..SmFields::default() }), 0x0B);
        assert_eq!(status(SmFields { schedule_delivery_time: &long[..20], ..SmFields::default() }), 0x61);
        assert_eq!(status(SmFields { validity_period: &long[..17], ..SmFields::default() }), 0x62);
    }

    #[test]
    fn short_message_wins_over_payload_unless_empty() {
        let mut octets = Vec::new();
        push_tlv(&mut octets, TlvTag::MESSAGE_PAYLOAD, b"payload");
        let tlvs = Tlvs::decode(&octets).expect("one TLV");
        assert_eq!(SmFields { short_message: b"short", tlvs, ..SmFields::default() }.user_data(), b"short");
        assert_eq!(SmFields { tlvs, ..SmFields::default() }.user_data(), b"payload");
        assert_eq!(SmFields::default().user_data(), b"");
    }

    #[test]
    fn the_length_octet_never_lies() {
        let body = encoded(&SmFields { short_message: &[b'x'; 300], ..SmFields::default() });
        assert_eq!(SmFields::decode(&body).expect("cut at 255").short_message.len(), 255);
    }
}
