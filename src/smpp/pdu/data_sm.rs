//! data_sm: the message without a short_message (3.4 section 4.7).

use bytes::BufMut;

use super::sm::DeliverSm;
use super::{PduBody, put_c_octets};
use crate::smpp::error::DecodeError;
use crate::smpp::fields::{DESTINATION_ADDR_LONG, SERVICE_TYPE, SOURCE_ADDR_LONG};
use crate::smpp::flags::{EsmClass, RegisteredDelivery};
use crate::smpp::reader::Reader;
use crate::smpp::tlv::{Tlvs, push_tlv};
use crate::smpp::tlv_tag::TlvTag;

/// data_sm, in either direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataSm<'a> {
    /// At most 5 octets.
    pub service_type: &'a [u8],
    /// Type of number of the source.
    pub source_addr_ton: u8,
    /// Numbering plan of the source.
    pub source_addr_npi: u8,
    /// At most 64 octets.
    pub source_addr: &'a [u8],
    /// Type of number of the destination.
    pub dest_addr_ton: u8,
    /// Numbering plan of the destination.
    pub dest_addr_npi: u8,
    /// At most 64 octets.
    pub destination_addr: &'a [u8],
    /// Mode, type and features.
    pub esm_class: EsmClass,
    /// Which receipts are asked for.
    pub registered_delivery: RegisteredDelivery,
    /// Alphabet and class of the user data.
    pub data_coding: u8,
    /// message_payload and whatever else.
    pub tlvs: Tlvs<'a>,
}

impl<'a> DataSm<'a> {
    /// The user data: message_payload, else nothing.
    pub fn user_data(&self) -> &'a [u8] {
        self.tlvs.find(TlvTag::MESSAGE_PAYLOAD).unwrap_or_default()
    }
}

/// A deliver_sm in the form of a data_sm: its short_message as message_payload, and without what data_sm has no field for
/// (protocol_id, priority_flag).
#[derive(Clone, Copy, Debug)]
pub struct AsDataSm<'b, 'a>(pub &'b DeliverSm<'a>);

impl AsDataSm<'_, '_> {
    /// Octets of the body.
    pub fn body_len(&self) -> usize {
        self.fields().body_len() + self.payload().map_or(0, |payload| payload.len() + 4)
    }

    /// Appends the body.
    pub fn encode_body(&self, out: &mut impl BufMut) {
        self.fields().encode_body(out);
        if let Some(payload) = self.payload() {
            push_tlv(out, TlvTag::MESSAGE_PAYLOAD, payload);
        }
    }

    /// What becomes of short_message: the one message_payload that data_sm must have.
    fn payload(&self) -> Option<&[u8]> {
        self.0.tlvs.find(TlvTag::MESSAGE_PAYLOAD).is_none().then_some(self.0.short_message)
    }

    const fn fields(&self) -> DataSm<'_> {
        let sm = self.0;
        DataSm {
            service_type: sm.service_type,
            source_addr_ton: sm.source_addr_ton,
            source_addr_npi: sm.source_addr_npi,
            source_addr: sm.source_addr,
            dest_addr_ton: sm.dest_addr_ton,
            dest_addr_npi: sm.dest_addr_npi,
            destination_addr: sm.destination_addr,
            esm_class: sm.esm_class,
            registered_delivery: sm.registered_delivery,
            data_coding: sm.data_coding,
            tlvs: sm.tlvs,
        }
    }
}

impl<'a> PduBody<'a> for DataSm<'a> {
    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let service_type = reader.c_octets(&SERVICE_TYPE)?;
        let [source_addr_ton, source_addr_npi] = reader.array("source_addr_ton")?;
        let source_addr = reader.c_octets(&SOURCE_ADDR_LONG)?;
        let [dest_addr_ton, dest_addr_npi] = reader.array("dest_addr_ton")?;
        let destination_addr = reader.c_octets(&DESTINATION_ADDR_LONG)?;
        let [esm_class, registered_delivery, data_coding] = reader.array("esm_class")?;
        let tlvs = Tlvs::decode(reader.rest())?;
        Ok(Self {
            service_type,
            source_addr_ton,
            source_addr_npi,
            source_addr,
            dest_addr_ton,
            dest_addr_npi,
            destination_addr,
            esm_class: EsmClass(esm_class),
            registered_delivery: RegisteredDelivery(registered_delivery),
            data_coding,
            tlvs,
        })
    }

    fn body_len(&self) -> usize {
        self.service_type.len()
            + self.source_addr.len()
            + self.destination_addr.len()
            + self.tlvs.as_bytes().len()
            + 10
    }

    fn encode_body(&self, out: &mut impl BufMut) {
        put_c_octets(out, self.service_type);
        out.put_slice(&[self.source_addr_ton, self.source_addr_npi]);
        put_c_octets(out, self.source_addr);
        out.put_slice(&[self.dest_addr_ton, self.dest_addr_npi]);
        put_c_octets(out, self.destination_addr);
        out.put_slice(&[self.esm_class.0, self.registered_delivery.0, self.data_coding]);
        out.put_slice(self.tlvs.as_bytes());
    }
}
