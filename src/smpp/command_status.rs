//! command_status: how a request ended (3.4 section 5.1.3, 5.0 section 4.7.6), in the spelling of 5.0.

use super::codes::named_codes;
use super::version::InterfaceVersion;

/// A command_status as it stands on the wire; any value, known or vendor's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CommandStatus(pub u32);

named_codes! { CommandStatus(u32);
    ESME_ROK = 0x0000_0000 "ESME_ROK";
    ESME_RINVMSGLEN = 0x0000_0001 "ESME_RINVMSGLEN";
    ESME_RINVCMDLEN = 0x0000_0002 "ESME_RINVCMDLEN";
    ESME_RINVCMDID = 0x0000_0003 "ESME_RINVCMDID";
    ESME_RINVBNDSTS = 0x0000_0004 "ESME_RINVBNDSTS";
    ESME_RALYBND = 0x0000_0005 "ESME_RALYBND";
    ESME_RINVPRTFLG = 0x0000_0006 "ESME_RINVPRTFLG";
    ESME_RINVREGDLVFLG = 0x0000_0007 "ESME_RINVREGDLVFLG";
    ESME_RSYSERR = 0x0000_0008 "ESME_RSYSERR";
    ESME_RINVSRCADR = 0x0000_000A "ESME_RINVSRCADR";
    ESME_RINVDSTADR = 0x0000_000B "ESME_RINVDSTADR";
    ESME_RINVMSGID = 0x0000_000C "ESME_RINVMSGID";
    ESME_RBINDFAIL = 0x0000_000D "ESME_RBINDFAIL";
    ESME_RINVPASWD = 0x0000_000E "ESME_RINVPASWD";
    ESME_RINVSYSID = 0x0000_000F "ESME_RINVSYSID";
    ESME_RCANCELFAIL = 0x0000_0011 "ESME_RCANCELFAIL";
    ESME_RREPLACEFAIL = 0x0000_0013 "ESME_RREPLACEFAIL";
    ESME_RMSGQFUL = 0x0000_0014 "ESME_RMSGQFUL";
    ESME_RINVSERTYP = 0x0000_0015 "ESME_RINVSERTYP";
    ESME_RINVNUMDESTS = 0x0000_0033 "ESME_RINVNUMDESTS";
    ESME_RINVDLNAME = 0x0000_0034 "ESME_RINVDLNAME";
    ESME_RINVDESTFLAG = 0x0000_0040 "ESME_RINVDESTFLAG";
    ESME_RINVSUBREP = 0x0000_0042 "ESME_RINVSUBREP";
    ESME_RINVESMCLASS = 0x0000_0043 "ESME_RINVESMCLASS";
    ESME_RCNTSUBDL = 0x0000_0044 "ESME_RCNTSUBDL";
    ESME_RSUBMITFAIL = 0x0000_0045 "ESME_RSUBMITFAIL";
    ESME_RINVSRCTON = 0x0000_0048 "ESME_RINVSRCTON";
    ESME_RINVSRCNPI = 0x0000_0049 "ESME_RINVSRCNPI";
    ESME_RINVDSTTON = 0x0000_0050 "ESME_RINVDSTTON";
    ESME_RINVDSTNPI = 0x0000_0051 "ESME_RINVDSTNPI";
    ESME_RINVSYSTYP = 0x0000_0053 "ESME_RINVSYSTYP";
    ESME_RINVREPFLAG = 0x0000_0054 "ESME_RINVREPFLAG";
    ESME_RINVNUMMSGS = 0x0000_0055 "ESME_RINVNUMMSGS";
    ESME_RTHROTTLED = 0x0000_0058 "ESME_RTHROTTLED";
    ESME_RINVSCHED = 0x0000_0061 "ESME_RINVSCHED";
    ESME_RINVEXPIRY = 0x0000_0062 "ESME_RINVEXPIRY";
    ESME_RINVDFTMSGID = 0x0000_0063 "ESME_RINVDFTMSGID";
    ESME_RX_T_APPN = 0x0000_0064 "ESME_RX_T_APPN";
    ESME_RX_P_APPN = 0x0000_0065 "ESME_RX_P_APPN";
    ESME_RX_R_APPN = 0x0000_0066 "ESME_RX_R_APPN";
    ESME_RQUERYFAIL = 0x0000_0067 "ESME_RQUERYFAIL";
    ESME_RINVTLVSTREAM = 0x0000_00C0 "ESME_RINVTLVSTREAM";
    ESME_RTLVNOTALLWD = 0x0000_00C1 "ESME_RTLVNOTALLWD";
    ESME_RINVTLVLEN = 0x0000_00C2 "ESME_RINVTLVLEN";
    ESME_RMISSINGTLV = 0x0000_00C3 "ESME_RMISSINGTLV";
    ESME_RINVTLVVAL = 0x0000_00C4 "ESME_RINVTLVVAL";
    ESME_RDELIVERYFAILURE = 0x0000_00FE "ESME_RDELIVERYFAILURE";
    ESME_RUNKNOWNERR = 0x0000_00FF "ESME_RUNKNOWNERR";
    ESME_RSERTYPUNAUTH = 0x0000_0100 "ESME_RSERTYPUNAUTH";
    ESME_RPROHIBITED = 0x0000_0101 "ESME_RPROHIBITED";
    ESME_RSERTYPUNAVAIL = 0x0000_0102 "ESME_RSERTYPUNAVAIL";
    ESME_RSERTYPDENIED = 0x0000_0103 "ESME_RSERTYPDENIED";
    ESME_RINVDCS = 0x0000_0104 "ESME_RINVDCS";
    ESME_RINVSRCADDRSUBUNIT = 0x0000_0105 "ESME_RINVSRCADDRSUBUNIT";
    ESME_RINVDSTADDRSUBUNIT = 0x0000_0106 "ESME_RINVDSTADDRSUBUNIT";
    ESME_RINVBCASTFREQINT = 0x0000_0107 "ESME_RINVBCASTFREQINT";
    ESME_RINVBCASTALIAS_NAME = 0x0000_0108 "ESME_RINVBCASTALIAS_NAME";
    ESME_RINVBCASTAREAFMT = 0x0000_0109 "ESME_RINVBCASTAREAFMT";
    ESME_RINVNUMBCAST_AREAS = 0x0000_010A "ESME_RINVNUMBCAST_AREAS";
    ESME_RINVBCASTCNTTYPE = 0x0000_010B "ESME_RINVBCASTCNTTYPE";
    ESME_RINVBCASTMSGCLASS = 0x0000_010C "ESME_RINVBCASTMSGCLASS";
    ESME_RBCASTFAIL = 0x0000_010D "ESME_RBCASTFAIL";
    ESME_RBCASTQUERYFAIL = 0x0000_010E "ESME_RBCASTQUERYFAIL";
    ESME_RBCASTCANCELFAIL = 0x0000_010F "ESME_RBCASTCANCELFAIL";
    ESME_RINVBCAST_REP = 0x0000_0110 "ESME_RINVBCAST_REP";
    ESME_RINVBCASTSRVGRP = 0x0000_0111 "ESME_RINVBCASTSRVGRP";
    ESME_RINVBCASTCHANIND = 0x0000_0112 "ESME_RINVBCASTCHANIND";
}

impl CommandStatus {
    /// Whether it is ESME_ROK.
    #[inline]
    pub const fn is_ok(self) -> bool {
        self.0 == 0
    }

    /// The status to put on the wire towards a peer of this version: the codes that 5.0 added (0x100 to 0x112) become the
    /// nearest one of 3.4, everything else (vendor codes too) stays.
    #[must_use]
    pub const fn for_version(self, version: InterfaceVersion) -> Self {
        if matches!(version, InterfaceVersion::V50) {
            return self;
        }
        match self {
            Self::ESME_RSERTYPUNAUTH | Self::ESME_RSERTYPUNAVAIL | Self::ESME_RSERTYPDENIED => {
                Self::ESME_RINVSERTYP
            }
            Self::ESME_RINVSRCADDRSUBUNIT | Self::ESME_RINVDSTADDRSUBUNIT => Self::ESME_RINVTLVVAL,
            Self::ESME_RBCASTQUERYFAIL => Self::ESME_RQUERYFAIL,
            Self::ESME_RBCASTCANCELFAIL => Self::ESME_RCANCELFAIL,
            Self(0x100..=0x112) => Self::ESME_RSUBMITFAIL,
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_67_are_named() {
        assert_eq!(CommandStatus::ALL.len(), 67);
        assert!(CommandStatus::ALL.is_sorted());
        assert_eq!(CommandStatus::ESME_RTHROTTLED.0, 0x58);
        assert_eq!(CommandStatus::ESME_RINVTLVLEN.name(), "ESME_RINVTLVLEN");
        assert_eq!(CommandStatus(0x412).name(), "unknown");
        assert_eq!(CommandStatus(0x412).to_string(), "0x412");
    }

    #[test]
    fn codes_of_5_0_never_reach_an_older_peer() {
        for &status in CommandStatus::ALL {
            assert_eq!(status.for_version(InterfaceVersion::V50), status);
            for version in [InterfaceVersion::V33, InterfaceVersion::V34] {
                let mapped = status.for_version(version);
                assert!(mapped.0 <= 0xFF && mapped.name() != "unknown");
                assert_eq!(mapped == status, status.0 <= 0xFF);
            }
        }
        assert_eq!(CommandStatus::ESME_RPROHIBITED.for_version(InterfaceVersion::V34).0, 0x45);
        assert_eq!(CommandStatus::ESME_RSERTYPUNAVAIL.for_version(InterfaceVersion::V34).0, 0x15);
        assert_eq!(CommandStatus(0x412).for_version(InterfaceVersion::V33).0, 0x412);
    }
}
