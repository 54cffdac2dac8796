//! command_id: which PDU it is (3.4 section 5.1.2, 5.0 section 4.7.5).

use super::codes::named_codes;

/// A command_id as it stands on the wire; any value, known or not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CommandId(pub u32);

named_codes! { CommandId(u32);
    BIND_RECEIVER = 0x0000_0001 "bind_receiver";
    BIND_TRANSMITTER = 0x0000_0002 "bind_transmitter";
    QUERY_SM = 0x0000_0003 "query_sm";
    SUBMIT_SM = 0x0000_0004 "submit_sm";
    DELIVER_SM = 0x0000_0005 "deliver_sm";
    UNBIND = 0x0000_0006 "unbind";
    REPLACE_SM = 0x0000_0007 "replace_sm";
    CANCEL_SM = 0x0000_0008 "cancel_sm";
    BIND_TRANSCEIVER = 0x0000_0009 "bind_transceiver";
    OUTBIND = 0x0000_000B "outbind";
    ENQUIRE_LINK = 0x0000_0015 "enquire_link";
    SUBMIT_MULTI = 0x0000_0021 "submit_multi";
    ALERT_NOTIFICATION = 0x0000_0102 "alert_notification";
    DATA_SM = 0x0000_0103 "data_sm";
    BROADCAST_SM = 0x0000_0111 "broadcast_sm";
    QUERY_BROADCAST_SM = 0x0000_0112 "query_broadcast_sm";
    CANCEL_BROADCAST_SM = 0x0000_0113 "cancel_broadcast_sm";
    GENERIC_NACK = 0x8000_0000 "generic_nack";
    BIND_RECEIVER_RESP = 0x8000_0001 "bind_receiver_resp";
    BIND_TRANSMITTER_RESP = 0x8000_0002 "bind_transmitter_resp";
    QUERY_SM_RESP = 0x8000_0003 "query_sm_resp";
    SUBMIT_SM_RESP = 0x8000_0004 "submit_sm_resp";
    DELIVER_SM_RESP = 0x8000_0005 "deliver_sm_resp";
    UNBIND_RESP = 0x8000_0006 "unbind_resp";
    REPLACE_SM_RESP = 0x8000_0007 "replace_sm_resp";
    CANCEL_SM_RESP = 0x8000_0008 "cancel_sm_resp";
    BIND_TRANSCEIVER_RESP = 0x8000_0009 "bind_transceiver_resp";
    ENQUIRE_LINK_RESP = 0x8000_0015 "enquire_link_resp";
    SUBMIT_MULTI_RESP = 0x8000_0021 "submit_multi_resp";
    DATA_SM_RESP = 0x8000_0103 "data_sm_resp";
    BROADCAST_SM_RESP = 0x8000_0111 "broadcast_sm_resp";
    QUERY_BROADCAST_SM_RESP = 0x8000_0112 "query_broadcast_sm_resp";
    CANCEL_BROADCAST_SM_RESP = 0x8000_0113 "cancel_broadcast_sm_resp";
}

const RESPONSE_BIT: u32 = 0x8000_0000;

impl CommandId {
    /// Whether it is a response (bit 31), generic_nack included.
    #[inline]
    pub const fn is_response(self) -> bool {
        self.0 & RESPONSE_BIT != 0
    }

    /// The id of this request's response. outbind and alert_notification have none: the caller knows.
    #[inline]
    #[must_use]
    pub const fn response(self) -> Self {
        Self(self.0 | RESPONSE_BIT)
    }

    /// Whether the specifications (3.4 or 5.0) name it.
    pub const fn is_known(self) -> bool {
        !matches!(self.name().as_bytes(), b"unknown")
    }

    /// Whether a request with this id is answered by a response of its own: known, a request, and neither outbind nor
    /// alert_notification.
    pub const fn has_response(self) -> bool {
        self.is_known()
            && !self.is_response()
            && self.0 != Self::OUTBIND.0
            && self.0 != Self::ALERT_NOTIFICATION.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_33_and_each_request_pairs_with_its_response() {
        assert_eq!(CommandId::ALL.len(), 33);
        assert!(CommandId::ALL.is_sorted());
        for &id in CommandId::ALL {
            assert!(id.is_known());
            if id.has_response() {
                assert!(id.response().is_known(), "{id}");
                assert_eq!(id.response().name(), format!("{}_resp", id.name()));
            }
        }
        assert_eq!(CommandId::ALL.iter().filter(|id| id.has_response()).count(), 15);
    }

    #[test]
    fn unknown_ids_say_so() {
        let id = CommandId(0x10);
        assert!(!id.is_known() && !id.is_response() && id.response().is_response());
        assert_eq!((id.name(), id.to_string().as_str()), ("unknown", "0x10"));
        assert_eq!(CommandId::SUBMIT_SM.to_string(), "submit_sm");
    }
}
