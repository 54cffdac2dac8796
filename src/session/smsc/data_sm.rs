//! data_sm from an ESME: a submission in other clothes (3.4 section 4.7). It is taken in as the submit_sm that says the same:
//! message_payload and all other TLVs stay as they are, and qos_time_to_live is its validity.

use super::Session;
use crate::base::{SubmitOperation, Time};
use crate::session::port::{Origin, Port, StallReason};
use crate::session::received::Flow;
use crate::smpp::validate::validate_data_sm;
use crate::smpp::{CommandStatus, DataSm, DecodeError, Frame, PduBody, SubmitSm};

/// Octets of an address that a message can be sent to or from: what a submit_sm carries. data_sm has room for 64.
const ADDRESS_LEN_MAX: usize = 20;

impl Session {
    pub(super) fn data_sm(&mut self, frame: &Frame<'_>, now: Time, port: &mut impl Port) -> Flow {
        if self.in_flight >= self.in_flight_max {
            return Flow::Stall(StallReason::Window);
        }
        let operation = SubmitOperation::DataSm;
        let sequence_number = frame.header.sequence_number;
        let decoded = DataSm::decode(frame.body)
            .and_then(|sm| validate_data_sm(&sm, self.version).map(|()| sm))
            .and_then(|sm| as_submit_sm(&sm));
        let sm = match decoded {
            Ok(sm) => sm,
            Err(error) => return self.malformed(operation, sequence_number, error, port),
        };
        let origin = Origin { session: self.handle, sequence_number, operation, received_at: now };
        let mut disposition = port.submit_fields(origin, self.account, self.version, &sm);
        self.throttled(&mut disposition, now);
        self.submitted(operation, sequence_number, &disposition, port)
    }
}

/// The submit_sm that says the same.
fn as_submit_sm<'a>(sm: &DataSm<'a>) -> Result<SubmitSm<'a>, DecodeError> {
    if sm.source_addr.len() > ADDRESS_LEN_MAX {
        return Err(DecodeError::new(CommandStatus::ESME_RINVSRCADR, "source_addr"));
    }
    if sm.destination_addr.len() > ADDRESS_LEN_MAX {
        return Err(DecodeError::new(CommandStatus::ESME_RINVDSTADR, "destination_addr"));
    }
    Ok(SubmitSm {
        service_type: sm.service_type,
        source_addr_ton: sm.source_addr_ton,
        source_addr_npi: sm.source_addr_npi,
        source_addr: sm.source_addr,
        dest_addr_ton: sm.dest_addr_ton,
        dest_addr_npi: sm.dest_addr_npi,
        destination_addr: sm.destination_addr,
        esm_class: sm.esm_class,
        registered_delivery: sm.registered_delivery,
        data_coding: sm.data_coding,
        tlvs: sm.tlvs,
        ..SubmitSm::default()
    })
}
