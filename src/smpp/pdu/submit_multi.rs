//! submit_multi and its response, with their lists (3.4 section 4.5).

use bytes::BufMut;

use super::sm::bounded;
use super::{PduBody, put_c_octets};
use crate::smpp::command_status::CommandStatus;
use crate::smpp::error::DecodeError;
use crate::smpp::fields::{
    DESTINATION_ADDR, DL_NAME, MESSAGE_ID, SCHEDULE_DELIVERY_TIME, SERVICE_TYPE, SOURCE_ADDR, VALIDITY_PERIOD,
};
use crate::smpp::flags::{EsmClass, RegisteredDelivery};
use crate::smpp::reader::Reader;
use crate::smpp::tlv::Tlvs;
use crate::smpp::tlv_tag::TlvTag;

/// dest_flag of an address.
const SME_ADDRESS: u8 = 1;
/// dest_flag of a distribution list.
const DISTRIBUTION_LIST: u8 = 2;

/// One destination of a submit_multi.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DestAddress<'a> {
    /// dest_flag 1.
    Sme {
        /// Type of number.
        dest_addr_ton: u8,
        /// Numbering plan.
        dest_addr_npi: u8,
        /// At most 20 octets.
        destination_addr: &'a [u8],
    },
    /// dest_flag 2.
    DistributionList {
        /// At most 20 octets.
        dl_name: &'a [u8],
    },
}

impl<'a> DestAddress<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        match reader.octet("dest_flag")? {
            SME_ADDRESS => {
                let [dest_addr_ton, dest_addr_npi] = reader.array("dest_addr_ton")?;
                let destination_addr = reader.c_octets(&DESTINATION_ADDR)?;
                Ok(Self::Sme { dest_addr_ton, dest_addr_npi, destination_addr })
            }
            DISTRIBUTION_LIST => Ok(Self::DistributionList { dl_name: reader.c_octets(&DL_NAME)? }),
            _ => Err(DecodeError::new(CommandStatus::ESME_RINVDESTFLAG, "dest_flag")),
        }
    }
}

/// Appends one dest_address, for [`DestAddresses::decode`] to take.
pub fn push_dest_address(out: &mut impl BufMut, dest: &DestAddress<'_>) {
    match *dest {
        DestAddress::Sme { dest_addr_ton, dest_addr_npi, destination_addr } => {
            out.put_slice(&[SME_ADDRESS, dest_addr_ton, dest_addr_npi]);
            put_c_octets(out, destination_addr);
        }
        DestAddress::DistributionList { dl_name } => {
            out.put_u8(DISTRIBUTION_LIST);
            put_c_octets(out, dl_name);
        }
    }
}

/// The destinations of a submit_multi: well-formed octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DestAddresses<'a> {
    octets: &'a [u8],
    number_of_dests: u8,
}

impl<'a> DestAddresses<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let number_of_dests = reader.octet("number_of_dests")?;
        if number_of_dests == 0 {
            return Err(DecodeError::new(CommandStatus::ESME_RINVNUMDESTS, "number_of_dests"));
        }
        let before = reader.rest();
        for _ in 0..number_of_dests {
            DestAddress::read(reader)?;
        }
        let octets = before.get(..before.len() - reader.rest().len()).unwrap_or_default();
        Ok(Self { octets, number_of_dests })
    }

    /// Takes `number_of_dests` destinations that fill `octets`, as [`push_dest_address`] wrote them.
    ///
    /// # Errors
    /// What a decoder would say about them.
    pub fn decode(number_of_dests: u8, octets: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(octets);
        for _ in 0..number_of_dests {
            DestAddress::read(&mut reader)?;
        }
        if number_of_dests == 0 || !reader.rest().is_empty() {
            return Err(DecodeError::new(CommandStatus::ESME_RINVNUMDESTS, "number_of_dests"));
        }
        Ok(Self { octets, number_of_dests })
    }

    /// number_of_dests; 1 to 255 unless made by `default()`.
    pub const fn number_of_dests(self) -> u8 {
        self.number_of_dests
    }

    /// Each destination in its order.
    pub const fn iter(self) -> DestAddressIter<'a> {
        DestAddressIter { reader: Reader::new(self.octets) }
    }
}

impl<'a> IntoIterator for DestAddresses<'a> {
    type Item = DestAddress<'a>;
    type IntoIter = DestAddressIter<'a>;

    fn into_iter(self) -> DestAddressIter<'a> {
        self.iter()
    }
}

/// Iterator over [`DestAddresses`].
pub struct DestAddressIter<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for DestAddressIter<'a> {
    type Item = DestAddress<'a>;

    fn next(&mut self) -> Option<DestAddress<'a>> {
        DestAddress::read(&mut self.reader).ok()
    }
}

/// submit_multi: one message to many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubmitMulti<'a> {
    /// At most 5 octets.
    pub service_type: &'a [u8],
    /// Type of number of the source.
    pub source_addr_ton: u8,
    /// Numbering plan of the source.
    pub source_addr_npi: u8,
    /// At most 20 octets.
    pub source_addr: &'a [u8],
    /// The destinations.
    pub dest_address: DestAddresses<'a>,
    /// Mode, type and features.
    pub esm_class: EsmClass,
    /// TP-PID on GSM.
    pub protocol_id: u8,
    /// 0 normal to 3.
    pub priority_flag: u8,
    /// Empty or a time.
    pub schedule_delivery_time: &'a [u8],
    /// Empty or a time.
    pub validity_period: &'a [u8],
    /// Which receipts are asked for.
    pub registered_delivery: RegisteredDelivery,
    /// 1: replace (5.0; reserved in 3.4).
    pub replace_if_present_flag: u8,
    /// Alphabet and class of the user data.
    pub data_coding: u8,
    /// A predefined message; 0 for none.
    pub sm_default_msg_id: u8,
    /// User data; its length is sm_length.
    pub short_message: &'a [u8],
    /// What follows.
    pub tlvs: Tlvs<'a>,
}

impl<'a> SubmitMulti<'a> {
    /// The user data: short_message unless that is empty, else message_payload, else nothing.
    pub fn user_data(&self) -> &'a [u8] {
        if self.short_message.is_empty() {
            self.tlvs.find(TlvTag::MESSAGE_PAYLOAD).unwrap_or_default()
        } else {
            self.short_message
        }
    }
}

impl<'a> PduBody<'a> for SubmitMulti<'a> {
    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let service_type = reader.c_octets(&SERVICE_TYPE)?;
        let [source_addr_ton, source_addr_npi] = reader.array("source_addr_ton")?;
        let source_addr = reader.c_octets(&SOURCE_ADDR)?;
        let dest_address = DestAddresses::read(&mut reader)?;
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
            dest_address,
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

    fn body_len(&self) -> usize {
        self.service_type.len()
            + self.source_addr.len()
            + self.dest_address.octets.len()
            + self.schedule_delivery_time.len()
            + self.validity_period.len()
            + bounded(self.short_message).len()
            + self.tlvs.as_bytes().len()
            + 15
    }

    fn encode_body(&self, out: &mut impl BufMut) {
        let short_message = bounded(self.short_message);
        put_c_octets(out, self.service_type);
        out.put_slice(&[self.source_addr_ton, self.source_addr_npi]);
        put_c_octets(out, self.source_addr);
        out.put_u8(self.dest_address.number_of_dests);
        out.put_slice(self.dest_address.octets);
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
        out.put_slice(self.tlvs.as_bytes());
    }
}

/// One destination that a submit_multi did not reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsuccessSme<'a> {
    /// Type of number.
    pub dest_addr_ton: u8,
    /// Numbering plan.
    pub dest_addr_npi: u8,
    /// At most 20 octets.
    pub destination_addr: &'a [u8],
    /// Why.
    pub error_status_code: CommandStatus,
}

impl<'a> UnsuccessSme<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let [dest_addr_ton, dest_addr_npi] = reader.array("dest_addr_ton")?;
        let destination_addr = reader.c_octets(&DESTINATION_ADDR)?;
        let status = reader.array("error_status_code")?;
        let error_status_code = CommandStatus(u32::from_be_bytes(status));
        Ok(Self { dest_addr_ton, dest_addr_npi, destination_addr, error_status_code })
    }
}

/// Appends one unsuccess_sme, for [`UnsuccessSmes::decode`] to take.
pub fn push_unsuccess_sme(out: &mut impl BufMut, sme: &UnsuccessSme<'_>) {
    out.put_slice(&[sme.dest_addr_ton, sme.dest_addr_npi]);
    put_c_octets(out, sme.destination_addr);
    out.put_u32(sme.error_status_code.0);
}

/// The destinations that a submit_multi did not reach: well-formed octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnsuccessSmes<'a> {
    octets: &'a [u8],
    no_unsuccess: u8,
}

impl<'a> UnsuccessSmes<'a> {
    /// Takes `no_unsuccess` entries that fill `octets`, as [`push_unsuccess_sme`] wrote them.
    ///
    /// # Errors
    /// What a decoder would say about them.
    pub fn decode(no_unsuccess: u8, octets: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(octets);
        let smes = Self::read(no_unsuccess, &mut reader)?;
        if reader.rest().is_empty() { Ok(smes) } else { Err(DecodeError::too_short("no_unsuccess")) }
    }

    fn read(no_unsuccess: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let before = reader.rest();
        for _ in 0..no_unsuccess {
            UnsuccessSme::read(reader)?;
        }
        let octets = before.get(..before.len() - reader.rest().len()).unwrap_or_default();
        Ok(Self { octets, no_unsuccess })
    }

    /// The entries as octets.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.octets
    }

    /// no_unsuccess.
    pub const fn no_unsuccess(self) -> u8 {
        self.no_unsuccess
    }

    /// Each entry in its order.
    pub const fn iter(self) -> UnsuccessSmeIter<'a> {
        UnsuccessSmeIter { reader: Reader::new(self.octets) }
    }
}

impl<'a> IntoIterator for UnsuccessSmes<'a> {
    type Item = UnsuccessSme<'a>;
    type IntoIter = UnsuccessSmeIter<'a>;

    fn into_iter(self) -> UnsuccessSmeIter<'a> {
        self.iter()
    }
}

/// Iterator over [`UnsuccessSmes`].
pub struct UnsuccessSmeIter<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for UnsuccessSmeIter<'a> {
    type Item = UnsuccessSme<'a>;

    fn next(&mut self) -> Option<UnsuccessSme<'a>> {
        UnsuccessSme::read(&mut self.reader).ok()
    }
}

/// submit_multi_resp. A partial failure has command_status 0 and entries in unsuccess_sme.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubmitMultiResp<'a> {
    /// At most 64 octets.
    pub message_id: &'a [u8],
    /// The destinations that were refused.
    pub unsuccess_sme: UnsuccessSmes<'a>,
    /// What follows.
    pub tlvs: Tlvs<'a>,
}

impl<'a> PduBody<'a> for SubmitMultiResp<'a> {
    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let message_id = reader.c_octets_lenient(&MESSAGE_ID)?;
        // An error response may end after the id.
        let no_unsuccess = reader.octet("no_unsuccess").unwrap_or(0);
        let unsuccess_sme = UnsuccessSmes::read(no_unsuccess, &mut reader)?;
        Ok(Self { message_id, unsuccess_sme, tlvs: Tlvs::decode_lenient(reader.rest()) })
    }

    fn body_len(&self) -> usize {
        self.message_id.len() + self.unsuccess_sme.octets.len() + self.tlvs.as_bytes().len() + 2
    }

    fn encode_body(&self, out: &mut impl BufMut) {
        put_c_octets(out, self.message_id);
        out.put_u8(self.unsuccess_sme.no_unsuccess);
        out.put_slice(self.unsuccess_sme.octets);
        out.put_slice(self.tlvs.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_round_trip_through_their_builder() {
        let list = [
            DestAddress::Sme { dest_addr_ton: 1, dest_addr_npi: 1, destination_addr: b"447700900123" },
            DestAddress::DistributionList { dl_name: b"staff" },
        ];
        let mut octets = Vec::new();
        for dest in &list {
            push_dest_address(&mut octets, dest);
        }
        let dests = DestAddresses::decode(2, &octets).expect("valid");
        assert!(dests.iter().eq(list));
        let status = |count| DestAddresses::decode(count, &octets).expect_err("wrong count").status.0;
        assert_eq!((status(0), status(1), status(3)), (0x33, 0x33, 0x02));
    }

    #[test]
    fn bad_lists_have_their_status() {
        let status = |dests: &[u8]| {
            let mut body = vec![0, 0, 0, 0];
            body.extend(dests);
            SubmitMulti::decode(&body).expect_err("bad list").status.0
        };
        assert_eq!(status(&[0]), 0x33);
        assert_eq!(status(&[1, 3]), 0x40);
        assert_eq!(status(&[1, 2, b'x']), 0x02);
        assert_eq!(status(&[[1, 2].as_slice(), &[b'x'; 21]].concat()), 0x34);
    }

    #[test]
    fn unsuccess_list_round_trips_and_may_be_absent() {
        let sme = UnsuccessSme {
            dest_addr_ton: 1,
            dest_addr_npi: 1,
            destination_addr: b"447700900124",
            error_status_code: CommandStatus::ESME_RINVDSTADR,
        };
        let mut octets = Vec::new();
        push_unsuccess_sme(&mut octets, &sme);
        assert!(UnsuccessSmes::decode(1, &octets).expect("valid").iter().eq([sme]));
        assert!(UnsuccessSmes::decode(0, &octets).is_err());
        assert_eq!(SubmitMultiResp::decode(b"88\0").expect("no list").unsuccess_sme.no_unsuccess(), 0);
    }
}
