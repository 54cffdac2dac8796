//! alert_notification: a subscriber is reachable again (3.4 section 4.12). It has no response.

use bytes::BufMut;

use super::{PduBody, put_c_octets};
use crate::smpp::error::DecodeError;
use crate::smpp::fields::{ESME_ADDR, SOURCE_ADDR_LONG};
use crate::smpp::reader::Reader;
use crate::smpp::tlv::Tlvs;

/// alert_notification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlertNotification<'a> {
    /// Type of number of the subscriber.
    pub source_addr_ton: u8,
    /// Numbering plan of the subscriber.
    pub source_addr_npi: u8,
    /// The subscriber; at most 64 octets.
    pub source_addr: &'a [u8],
    /// Type of number of the ESME.
    pub esme_addr_ton: u8,
    /// Numbering plan of the ESME.
    pub esme_addr_npi: u8,
    /// The ESME that asked to be told; at most 64 octets.
    pub esme_addr: &'a [u8],
    /// ms_availability_status; absent means available.
    pub tlvs: Tlvs<'a>,
}

impl<'a> PduBody<'a> for AlertNotification<'a> {
    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let [source_addr_ton, source_addr_npi] = reader.array("source_addr_ton")?;
        let source_addr = reader.c_octets(&SOURCE_ADDR_LONG)?;
        let [esme_addr_ton, esme_addr_npi] = reader.array("esme_addr_ton")?;
        let esme_addr = reader.c_octets(&ESME_ADDR)?;
        let tlvs = Tlvs::decode(reader.rest())?;
        Ok(Self {
            source_addr_ton,
            source_addr_npi,
            source_addr,
            esme_addr_ton,
            esme_addr_npi,
            esme_addr,
            tlvs,
        })
    }

    fn body_len(&self) -> usize {
        self.source_addr.len() + self.esme_addr.len() + self.tlvs.as_bytes().len() + 6
    }

    fn encode_body(&self, out: &mut impl BufMut) {
        out.put_slice(&[self.source_addr_ton, self.source_addr_npi]);
        put_c_octets(out, self.source_addr);
        out.put_slice(&[self.esme_addr_ton, self.esme_addr_npi]);
        put_c_octets(out, self.esme_addr);
        out.put_slice(self.tlvs.as_bytes());
    }
}
