//! The three binds, their responses, and outbind (3.4 section 4.1, 5.0 section 4.1.1).

use bytes::BufMut;

use super::{PduBody, put_c_octets};
use crate::smpp::error::DecodeError;
use crate::smpp::fields::{ADDRESS_RANGE, PASSWORD, SYSTEM_ID, SYSTEM_TYPE};
use crate::smpp::reader::Reader;
use crate::smpp::tlv::Tlvs;
use crate::smpp::tlv_tag::TlvTag;
use crate::smpp::version::InterfaceVersion;

/// bind_transmitter, bind_receiver and bind_transceiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bind<'a> {
    /// Who binds; at most 15 octets.
    pub system_id: &'a [u8],
    /// At most 8 octets by the specification; up to 64 are read, since longer ones are in use.
    pub password: &'a [u8],
    /// Free text; at most 12 octets.
    pub system_type: &'a [u8],
    /// See [`InterfaceVersion::from_octet`].
    pub interface_version: u8,
    /// Type of number of address_range.
    pub addr_ton: u8,
    /// Numbering plan of address_range.
    pub addr_npi: u8,
    /// The addresses that the ESME serves, as a regular expression; at most 40 octets.
    pub address_range: &'a [u8],
    /// None are defined for a bind; any are kept.
    pub tlvs: Tlvs<'a>,
}

impl Bind<'_> {
    /// The version that the ESME speaks.
    pub const fn version(&self) -> InterfaceVersion {
        InterfaceVersion::from_octet(self.interface_version)
    }
}

impl<'a> PduBody<'a> for Bind<'a> {
    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let system_id = reader.c_octets(&SYSTEM_ID)?;
        let password = reader.c_octets(&PASSWORD)?;
        let system_type = reader.c_octets(&SYSTEM_TYPE)?;
        let [interface_version, addr_ton, addr_npi] = reader.array("interface_version")?;
        let address_range = reader.c_octets(&ADDRESS_RANGE)?;
        let tlvs = Tlvs::decode(reader.rest())?;
        Ok(Self {
            system_id,
            password,
            system_type,
            interface_version,
            addr_ton,
            addr_npi,
            address_range,
            tlvs,
        })
    }

    fn body_len(&self) -> usize {
        self.system_id.len()
            + self.password.len()
            + self.system_type.len()
            + self.address_range.len()
            + self.tlvs.as_bytes().len()
            + 7
    }

    fn encode_body(&self, out: &mut impl BufMut) {
        put_c_octets(out, self.system_id);
        put_c_octets(out, self.password);
        put_c_octets(out, self.system_type);
        out.put_slice(&[self.interface_version, self.addr_ton, self.addr_npi]);
        put_c_octets(out, self.address_range);
        out.put_slice(self.tlvs.as_bytes());
    }
}

/// bind_transmitter_resp, bind_receiver_resp and bind_transceiver_resp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BindResp<'a> {
    /// The MC's name; at most 15 octets.
    pub system_id: &'a [u8],
    /// sc_interface_version, to an ESME of 3.4 or later.
    pub tlvs: Tlvs<'a>,
}

impl BindResp<'_> {
    /// The version that the MC announces; 3.3 (no TLVs) when it announces none.
    pub fn sc_interface_version(&self) -> InterfaceVersion {
        self.tlvs.u8(TlvTag::SC_INTERFACE_VERSION).map_or(InterfaceVersion::V33, InterfaceVersion::from_octet)
    }
}

impl<'a> PduBody<'a> for BindResp<'a> {
    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let system_id = reader.c_octets_lenient(&SYSTEM_ID)?;
        Ok(Self { system_id, tlvs: Tlvs::decode_lenient(reader.rest()) })
    }

    fn body_len(&self) -> usize {
        self.system_id.len() + 1 + self.tlvs.as_bytes().len()
    }

    fn encode_body(&self, out: &mut impl BufMut) {
        put_c_octets(out, self.system_id);
        out.put_slice(self.tlvs.as_bytes());
    }
}

/// outbind: the MC asks an ESME to bind. It has no response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outbind<'a> {
    /// The MC's name; at most 15 octets.
    pub system_id: &'a [u8],
    /// What the MC authenticates with.
    pub password: &'a [u8],
    /// None are defined; any are kept.
    pub tlvs: Tlvs<'a>,
}

impl<'a> PduBody<'a> for Outbind<'a> {
    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let system_id = reader.c_octets(&SYSTEM_ID)?;
        let password = reader.c_octets(&PASSWORD)?;
        Ok(Self { system_id, password, tlvs: Tlvs::decode(reader.rest())? })
    }

    fn body_len(&self) -> usize {
        self.system_id.len() + self.password.len() + 2 + self.tlvs.as_bytes().len()
    }

    fn encode_body(&self, out: &mut impl BufMut) {
        put_c_octets(out, self.system_id);
        put_c_octets(out, self.password);
        out.put_slice(self.tlvs.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smpp::command_status::CommandStatus;

    #[test]
    fn a_bind_without_the_tlv_in_its_answer_has_no_tlvs() {
        assert_eq!(BindResp::default().sc_interface_version(), InterfaceVersion::V33);
    }

    #[test]
    fn long_passwords_pass_and_long_names_do_not() {
        let mut body = Vec::new();
        Bind { system_id: b"a", password: &[b'p'; 64], interface_version: 0x34, ..Bind::default() }
            .encode_body(&mut body);
        let bind = Bind::decode(&body).expect("64 octets of password");
        assert_eq!((bind.password.len(), bind.version()), (64, InterfaceVersion::V34));
        body.clear();
        Bind { system_id: &[b'x'; 16], ..Bind::default() }.encode_body(&mut body);
        assert_eq!(Bind::decode(&body).expect_err("16 octets").status, CommandStatus::ESME_RINVSYSID);
    }
}
