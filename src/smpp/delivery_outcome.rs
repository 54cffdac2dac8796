//! What has come of a message in transaction mode, where the response to its submission waits for that, and the TLVs that
//! say so beside a status that is not 0 (3.4 section 4.7.2; 5.0 has them in submit_sm_resp too).

use super::command_status::CommandStatus;
use super::message_state::MessageState;
use super::tlv::TlvWriter;
use super::tlv_tag::TlvTag;
use crate::base::MessageId;

/// network_error_code's first octet: GSM (3.4 section 5.3.2.31).
pub const NETWORK_TYPE_GSM: u8 = 3;
/// GSM's error code for a subscriber that nobody knows (3GPP 23.040 TP-FCS and 29.002).
const UNKNOWN_SUBSCRIBER: u16 = 1;
/// Octets of the longest text below.
const TEXT_MAX: usize = 24;
/// Octets of the four TLVs: reason, network error, text with its NUL, flag.
pub const OUTCOME_TLVS_MAX: usize = (4 + 1) + (4 + 3) + (4 + TEXT_MAX + 1) + (4 + 1);

/// Why a message was not delivered: the values of delivery_failure_reason (3.4 section 5.3.2.33).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum DeliveryFailureReason {
    /// The destination can't be had: cancelled, or refused by whom it was for.
    Unavailable = 0,
    /// Nobody has that destination address.
    BadAddress = 1,
    /// The network will never deliver it.
    Permanent = 2,
    /// The network could not deliver it now.
    Temporary = 3,
}

/// What has come of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryOutcome {
    /// Its id.
    pub message_id: MessageId,
    /// Its final state.
    pub state: MessageState,
    /// The network's error code; 0 = none.
    pub error: u16,
    /// Whether the attempt failed for a reason that may pass.
    pub is_temporary: bool,
    /// Whether the delivery pending flag is set that it has asked for; `None`: it has asked for none.
    pub dpf_result: Option<bool>,
}

impl DeliveryOutcome {
    /// The status of the response.
    pub fn status(&self) -> CommandStatus {
        match self.state {
            MessageState::Delivered => CommandStatus::ESME_ROK,
            _ => CommandStatus::ESME_RDELIVERYFAILURE,
        }
    }

    /// Why it was not delivered, if it was not.
    pub const fn reason(&self) -> DeliveryFailureReason {
        match self.state {
            MessageState::Expired => DeliveryFailureReason::Temporary,
            MessageState::Undeliverable if self.is_temporary => DeliveryFailureReason::Temporary,
            MessageState::Undeliverable if self.error == UNKNOWN_SUBSCRIBER => {
                DeliveryFailureReason::BadAddress
            }
            MessageState::Undeliverable => DeliveryFailureReason::Permanent,
            MessageState::Rejected if self.error != 0 => DeliveryFailureReason::Permanent,
            _ => DeliveryFailureReason::Unavailable,
        }
    }

    /// additional_status_info_text.
    const fn text(&self) -> &'static [u8] {
        match (self.state, self.reason()) {
            (MessageState::Expired, _) => b"expired",
            (MessageState::Deleted, _) => b"cancelled",
            (MessageState::Rejected, _) => b"rejected",
            (_, DeliveryFailureReason::BadAddress) => b"unknown subscriber",
            (_, DeliveryFailureReason::Temporary) => b"can't be delivered now",
            _ => b"can't be delivered",
        }
    }

    /// Writes the TLVs of a response with a status that is not 0; `tlvs` has room for [`OUTCOME_TLVS_MAX`] octets.
    pub fn push_tlvs(&self, tlvs: &mut TlvWriter<'_>) {
        tlvs.push(TlvTag::DELIVERY_FAILURE_REASON, &[self.reason() as u8]);
        if self.error != 0 {
            let [high, low] = self.error.to_be_bytes();
            tlvs.push(TlvTag::NETWORK_ERROR_CODE, &[NETWORK_TYPE_GSM, high, low]);
        }
        tlvs.push_c_octets(TlvTag::ADDITIONAL_STATUS_INFO_TEXT, self.text());
        if let Some(is_set) = self.dpf_result {
            tlvs.push(TlvTag::DPF_RESULT, &[u8::from(is_set)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_fits_and_has_its_reason() {
        let outcome = |state, error, is_temporary| DeliveryOutcome {
            message_id: MessageId::from_u64(1),
            state,
            error,
            is_temporary,
            dpf_result: Some(true),
        };
        for state in MessageState::ALL.into_iter().filter(|state| state.is_final()) {
            for (error, is_temporary) in [(0, false), (1, false), (27, true), (u16::MAX, false)] {
                let mut buffer = [0; OUTCOME_TLVS_MAX];
                let mut tlvs = TlvWriter::new(&mut buffer);
                outcome(state, error, is_temporary).push_tlvs(&mut tlvs);
                assert_eq!(tlvs.tlvs().iter().count(), 3 + usize::from(error != 0));
            }
        }
        let reason = |state, error, is_temporary| outcome(state, error, is_temporary).reason() as u8;
        assert_eq!(reason(MessageState::Undeliverable, 1, false), 1);
        assert_eq!(reason(MessageState::Undeliverable, 27, true), 3);
        assert_eq!(reason(MessageState::Undeliverable, 9, false), 2);
        assert_eq!(reason(MessageState::Rejected, 69, false), 2);
        assert_eq!(
            (reason(MessageState::Expired, 0, false), reason(MessageState::Deleted, 0, false)),
            (3, 0)
        );
        assert_eq!(outcome(MessageState::Delivered, 0, false).status(), CommandStatus::ESME_ROK);
        assert_eq!(outcome(MessageState::Expired, 0, false).status(), CommandStatus::ESME_RDELIVERYFAILURE);
    }
}
