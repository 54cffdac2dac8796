//! interface_version: what a peer speaks (3.4 section 5.2.4; how odd values are read is ours).

/// The protocol version of a session. Ordered by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InterfaceVersion {
    /// 3.3 and older: no TLVs.
    V33,
    /// 3.4.
    V34,
    /// 5.0.
    V50,
}

impl InterfaceVersion {
    /// What a peer that sent this octet speaks: 0x00-0x33 is 3.3, 0x34-0x4F is 3.4, 0x50 and above is 5.0.
    pub const fn from_octet(octet: u8) -> Self {
        match octet {
            0x00..=0x33 => Self::V33,
            0x34..=0x4F => Self::V34,
            0x50.. => Self::V50,
        }
    }

    /// The octet that announces this version.
    pub const fn octet(self) -> u8 {
        match self {
            Self::V33 => 0x33,
            Self::V34 => 0x34,
            Self::V50 => 0x50,
        }
    }

    /// Whether TLVs may be sent to such a peer.
    pub const fn has_tlvs(self) -> bool {
        !matches!(self, Self::V33)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_is_a_version() {
        for octet in 0..=u8::MAX {
            let version = InterfaceVersion::from_octet(octet);
            assert_eq!(InterfaceVersion::from_octet(version.octet()), version);
            assert_eq!(version.has_tlvs(), octet >= 0x34);
        }
        assert!(
            InterfaceVersion::V33 < InterfaceVersion::V34 && InterfaceVersion::V34 < InterfaceVersion::V50
        );
        assert_eq!(InterfaceVersion::from_octet(0x4F), InterfaceVersion::V34);
        assert_eq!(InterfaceVersion::from_octet(0xFF), InterfaceVersion::V50);
    }
}
