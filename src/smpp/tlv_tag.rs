//! TLV tags and the lengths that their values may have (3.4 section 5.3, 5.0 section 4.8).

use std::ops::RangeInclusive;

use super::codes::named_codes;

/// A TLV tag as it stands on the wire; any value, known or vendor's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TlvTag(pub u16);

named_codes! { TlvTag(u16);
    DEST_ADDR_SUBUNIT = 0x0005 "dest_addr_subunit";
    DEST_NETWORK_TYPE = 0x0006 "dest_network_type";
    DEST_BEARER_TYPE = 0x0007 "dest_bearer_type";
    DEST_TELEMATICS_ID = 0x0008 "dest_telematics_id";
    SOURCE_ADDR_SUBUNIT = 0x000D "source_addr_subunit";
    SOURCE_NETWORK_TYPE = 0x000E "source_network_type";
    SOURCE_BEARER_TYPE = 0x000F "source_bearer_type";
    SOURCE_TELEMATICS_ID = 0x0010 "source_telematics_id";
    QOS_TIME_TO_LIVE = 0x0017 "qos_time_to_live";
    PAYLOAD_TYPE = 0x0019 "payload_type";
    ADDITIONAL_STATUS_INFO_TEXT = 0x001D "additional_status_info_text";
    RECEIPTED_MESSAGE_ID = 0x001E "receipted_message_id";
    MS_MSG_WAIT_FACILITIES = 0x0030 "ms_msg_wait_facilities";
    PRIVACY_INDICATOR = 0x0201 "privacy_indicator";
    SOURCE_SUBADDRESS = 0x0202 "source_subaddress";
    DEST_SUBADDRESS = 0x0203 "dest_subaddress";
    USER_MESSAGE_REFERENCE = 0x0204 "user_message_reference";
    USER_RESPONSE_CODE = 0x0205 "user_response_code";
    SOURCE_PORT = 0x020A "source_port";
    DEST_PORT = 0x020B "dest_port";
    SAR_MSG_REF_NUM = 0x020C "sar_msg_ref_num";
    LANGUAGE_INDICATOR = 0x020D "language_indicator";
    SAR_TOTAL_SEGMENTS = 0x020E "sar_total_segments";
    SAR_SEGMENT_SEQNUM = 0x020F "sar_segment_seqnum";
    SC_INTERFACE_VERSION = 0x0210 "sc_interface_version";
    CALLBACK_NUM_PRES_IND = 0x0302 "callback_num_pres_ind";
    CALLBACK_NUM_ATAG = 0x0303 "callback_num_atag";
    NUMBER_OF_MESSAGES = 0x0304 "number_of_messages";
    CALLBACK_NUM = 0x0381 "callback_num";
    DPF_RESULT = 0x0420 "dpf_result";
    SET_DPF = 0x0421 "set_dpf";
    MS_AVAILABILITY_STATUS = 0x0422 "ms_availability_status";
    NETWORK_ERROR_CODE = 0x0423 "network_error_code";
    MESSAGE_PAYLOAD = 0x0424 "message_payload";
    DELIVERY_FAILURE_REASON = 0x0425 "delivery_failure_reason";
    MORE_MESSAGES_TO_SEND = 0x0426 "more_messages_to_send";
    MESSAGE_STATE = 0x0427 "message_state";
    CONGESTION_STATE = 0x0428 "congestion_state";
    USSD_SERVICE_OP = 0x0501 "ussd_service_op";
    BROADCAST_CHANNEL_INDICATOR = 0x0600 "broadcast_channel_indicator";
    BROADCAST_CONTENT_TYPE = 0x0601 "broadcast_content_type";
    BROADCAST_CONTENT_TYPE_INFO = 0x0602 "broadcast_content_type_info";
    BROADCAST_MESSAGE_CLASS = 0x0603 "broadcast_message_class";
    BROADCAST_REP_NUM = 0x0604 "broadcast_rep_num";
    BROADCAST_FREQUENCY_INTERVAL = 0x0605 "broadcast_frequency_interval";
    BROADCAST_AREA_IDENTIFIER = 0x0606 "broadcast_area_identifier";
    BROADCAST_ERROR_STATUS = 0x0607 "broadcast_error_status";
    BROADCAST_AREA_SUCCESS = 0x0608 "broadcast_area_success";
    BROADCAST_END_TIME = 0x0609 "broadcast_end_time";
    BROADCAST_SERVICE_GROUP = 0x060A "broadcast_service_group";
    BILLING_IDENTIFICATION = 0x060B "billing_identification";
    SOURCE_NETWORK_ID = 0x060D "source_network_id";
    DEST_NETWORK_ID = 0x060E "dest_network_id";
    SOURCE_NODE_ID = 0x060F "source_node_id";
    DEST_NODE_ID = 0x0610 "dest_node_id";
    DEST_ADDR_NP_RESOLUTION = 0x0611 "dest_addr_np_resolution";
    DEST_ADDR_NP_INFORMATION = 0x0612 "dest_addr_np_information";
    DEST_ADDR_NP_COUNTRY = 0x0613 "dest_addr_np_country";
    DISPLAY_TIME = 0x1201 "display_time";
    SMS_SIGNAL = 0x1203 "sms_signal";
    MS_VALIDITY = 0x1204 "ms_validity";
    ALERT_ON_MESSAGE_DELIVERY = 0x130C "alert_on_message_delivery";
    ITS_REPLY_TYPE = 0x1380 "its_reply_type";
    ITS_SESSION_INFO = 0x1383 "its_session_info";
}

impl TlvTag {
    /// Whether it lies in the block that the specifications leave to vendors.
    pub const fn is_vendor(self) -> bool {
        matches!(self.0, 0x1400..=0x3FFF)
    }

    /// The lengths that the value may have, the wider one where the versions differ or practice is kinder than the
    /// text (source_telematics_id 2, broadcast_end_time with its NUL). `None` for a tag without a rule of ours.
    pub const fn lengths(self) -> Option<RangeInclusive<usize>> {
        Some(match self {
            Self::DEST_ADDR_SUBUNIT
            | Self::DEST_NETWORK_TYPE
            | Self::DEST_BEARER_TYPE
            | Self::SOURCE_ADDR_SUBUNIT
            | Self::SOURCE_NETWORK_TYPE
            | Self::SOURCE_BEARER_TYPE
            | Self::PAYLOAD_TYPE
            | Self::MS_MSG_WAIT_FACILITIES
            | Self::PRIVACY_INDICATOR
            | Self::USER_RESPONSE_CODE
            | Self::LANGUAGE_INDICATOR
            | Self::SAR_TOTAL_SEGMENTS
            | Self::SAR_SEGMENT_SEQNUM
            | Self::SC_INTERFACE_VERSION
            | Self::CALLBACK_NUM_PRES_IND
            | Self::NUMBER_OF_MESSAGES
            | Self::DPF_RESULT
            | Self::SET_DPF
            | Self::MS_AVAILABILITY_STATUS
            | Self::DELIVERY_FAILURE_REASON
            | Self::MORE_MESSAGES_TO_SEND
            | Self::MESSAGE_STATE
            | Self::CONGESTION_STATE
            | Self::USSD_SERVICE_OP
            | Self::BROADCAST_CHANNEL_INDICATOR
            | Self::BROADCAST_MESSAGE_CLASS
            | Self::BROADCAST_AREA_SUCCESS
            | Self::DEST_ADDR_NP_RESOLUTION
            | Self::DISPLAY_TIME
            | Self::ITS_REPLY_TYPE => 1..=1,
            Self::SOURCE_TELEMATICS_ID => 1..=2,
            Self::DEST_TELEMATICS_ID
            | Self::USER_MESSAGE_REFERENCE
            | Self::SOURCE_PORT
            | Self::DEST_PORT
            | Self::SAR_MSG_REF_NUM
            | Self::BROADCAST_REP_NUM
            | Self::SMS_SIGNAL
            | Self::ITS_SESSION_INFO => 2..=2,
            Self::NETWORK_ERROR_CODE | Self::BROADCAST_CONTENT_TYPE | Self::BROADCAST_FREQUENCY_INTERVAL => {
                3..=3
            }
            Self::QOS_TIME_TO_LIVE | Self::BROADCAST_ERROR_STATUS => 4..=4,
            Self::SOURCE_NODE_ID | Self::DEST_NODE_ID => 6..=6,
            Self::DEST_ADDR_NP_INFORMATION => 10..=10,
            Self::BROADCAST_END_TIME => 16..=17,
            Self::ALERT_ON_MESSAGE_DELIVERY => 0..=1,
            Self::MS_VALIDITY => 1..=4,
            Self::DEST_ADDR_NP_COUNTRY => 1..=5,
            Self::CALLBACK_NUM => 4..=19,
            Self::SOURCE_SUBADDRESS | Self::DEST_SUBADDRESS => 2..=23,
            Self::RECEIPTED_MESSAGE_ID | Self::CALLBACK_NUM_ATAG => 1..=65,
            Self::SOURCE_NETWORK_ID | Self::DEST_NETWORK_ID => 7..=65,
            Self::BROADCAST_AREA_IDENTIFIER => 1..=101,
            Self::BROADCAST_CONTENT_TYPE_INFO | Self::BROADCAST_SERVICE_GROUP => 1..=255,
            Self::ADDITIONAL_STATUS_INFO_TEXT => 1..=256,
            Self::BILLING_IDENTIFICATION => 1..=1024,
            Self::MESSAGE_PAYLOAD => 0..=65_535,
            _ => return None,
        })
    }

    /// Whether the engine acts on this TLV in a request. Only these are refused for a wrong length
    /// (ESME_RINVTLVLEN); all others pass through untouched, as peers depend on.
    #[inline]
    pub const fn is_acted_on(self) -> bool {
        matches!(
            self,
            Self::QOS_TIME_TO_LIVE
                | Self::RECEIPTED_MESSAGE_ID
                | Self::USER_MESSAGE_REFERENCE
                | Self::SOURCE_PORT
                | Self::DEST_PORT
                | Self::SAR_MSG_REF_NUM
                | Self::SAR_TOTAL_SEGMENTS
                | Self::SAR_SEGMENT_SEQNUM
                | Self::SET_DPF
                | Self::MS_AVAILABILITY_STATUS
                | Self::NETWORK_ERROR_CODE
                | Self::MORE_MESSAGES_TO_SEND
                | Self::MESSAGE_STATE
                | Self::BROADCAST_CONTENT_TYPE
                | Self::BROADCAST_REP_NUM
                | Self::BROADCAST_FREQUENCY_INTERVAL
                | Self::BROADCAST_AREA_IDENTIFIER
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_64_have_a_name_and_a_length_rule() {
        assert_eq!(TlvTag::ALL.len(), 64);
        assert!(TlvTag::ALL.is_sorted());
        for &tag in TlvTag::ALL {
            assert!(tag.lengths().is_some(), "{tag}");
            assert!(!tag.is_vendor());
        }
        assert!(TlvTag(0x1401).is_vendor() && TlvTag(0x1401).lengths().is_none());
        assert_eq!(TlvTag::DEST_PORT.name(), "dest_port");
    }

    #[test]
    fn broadcast_rep_num_has_two_octets() {
        // Two popular decoders read one and misparse what follows.
        assert_eq!(TlvTag::BROADCAST_REP_NUM.lengths(), Some(2..=2));
    }
}
