//! The response to a submission in transaction mode: it comes when its message is final, and says what came of that. A failure
//! has the message's id and its TLVs beside the status, which is the one case where a refusal has a body by itself (3.4
//! section 4.7.2; 5.0 also for submit_sm_resp).

use super::submit::response_to;
use super::{Session, State};
use crate::base::SubmitOperation;
use crate::limits::HEADER_LEN;
use crate::session::port::{CloseReason, Output};
use crate::session::wire::header;
use crate::smpp::delivery_outcome::OUTCOME_TLVS_MAX;
use crate::smpp::tlv::TlvWriter;
use crate::smpp::{CommandStatus, DeliveryOutcome, InterfaceVersion};

impl Session {
    /// The message of a submission in flight is final. Returns why to close, if that was all a drain waited for.
    pub fn outcome(
        &mut self,
        operation: SubmitOperation,
        sequence_number: u32,
        outcome: &DeliveryOutcome,
        port: &mut impl Output,
    ) -> Option<CloseReason> {
        if let State::Closing(_) = self.state {
            return None;
        }
        self.in_flight = self.in_flight.saturating_sub(1);
        let status = outcome.status();
        let mut buffer = [0; OUTCOME_TLVS_MAX];
        let mut tlvs = TlvWriter::new(&mut buffer);
        let has_tlvs = match operation {
            SubmitOperation::DataSm => self.version.has_tlvs(),
            _ => self.version >= InterfaceVersion::V50,
        };
        if has_tlvs && status != CommandStatus::ESME_ROK {
            outcome.push_tlvs(&mut tlvs);
        }
        let id = self.compat.ids.response.text(outcome.message_id);
        let congestion = self.congestion_tlv(port);
        let (id, tlvs, congestion) = (id.as_bytes(), tlvs.tlvs().as_bytes(), congestion.as_bytes());
        let len = HEADER_LEN + id.len() + 1 + tlvs.len() + congestion.len();
        port.send(len, |out| {
            out.extend_from_slice(&header(response_to(operation), status, sequence_number, len).encode());
            out.extend_from_slice(id);
            out.push(0);
            out.extend_from_slice(tlvs);
            out.extend_from_slice(congestion);
        });
        self.finish_drain(port)
    }
}
