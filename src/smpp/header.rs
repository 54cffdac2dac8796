//! The 16-octet header in front of every PDU (3.4 section 3.2).

use super::command_id::CommandId;
use super::command_status::CommandStatus;
use crate::limits::HEADER_LEN;

/// A decoded header. Any 16 octets are one; whether its length makes sense is for [`super::frame`] to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Octets of the whole PDU, these four included.
    pub command_length: u32,
    /// Which PDU.
    pub command_id: CommandId,
    /// Result of the request in a response; 0 (ignored) in a request.
    pub command_status: CommandStatus,
    /// Copied from request to response; any value is echoed.
    pub sequence_number: u32,
}

impl Header {
    /// Reads a header.
    #[inline]
    pub const fn decode(octets: &[u8; HEADER_LEN]) -> Self {
        let [l0, l1, l2, l3, i0, i1, i2, i3, s0, s1, s2, s3, n0, n1, n2, n3] = *octets;
        Self {
            command_length: u32::from_be_bytes([l0, l1, l2, l3]),
            command_id: CommandId(u32::from_be_bytes([i0, i1, i2, i3])),
            command_status: CommandStatus(u32::from_be_bytes([s0, s1, s2, s3])),
            sequence_number: u32::from_be_bytes([n0, n1, n2, n3]),
        }
    }

    /// Writes a header.
    #[inline]
    pub const fn encode(&self) -> [u8; HEADER_LEN] {
        // Four big-endian words are one big-endian number.
        (((self.command_length as u128) << 96)
            | ((self.command_id.0 as u128) << 64)
            | ((self.command_status.0 as u128) << 32)
            | self.sequence_number as u128)
            .to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_the_four_words() {
        let octets = [0, 0, 0, 16, 0x80, 0, 0, 4, 0, 0, 0, 0x58, 0x7F, 0xFF, 0xFF, 0xFF];
        let header = Header::decode(&octets);
        assert_eq!(header.command_length, 16);
        assert_eq!(header.command_id, CommandId::SUBMIT_SM_RESP);
        assert_eq!(header.command_status, CommandStatus::ESME_RTHROTTLED);
        assert_eq!(header.sequence_number, 0x7FFF_FFFF);
        assert_eq!(header.encode(), octets);
    }
}
