//! The same octets, said to a session of each version. Whatever they are, each session answers each request once, says
//! nothing that is no PDU, and nothing that its peer's version does not know.

use super::shell::{Event, Shell};
use super::{MESSAGE_ID, Sent, bind, pdus_of};
use crate::session::{BindMode, Disposition};
use crate::smpp::{CommandId, CommandStatus, Frame, Header, InterfaceVersion, Pdu, TlvTag, Tlvs};

/// What a session of 5.0 is told to report.
const CONGESTION: u8 = 42;

/// Says `octets` after the first to a bound session of 3.3, 3.4 and 5.0, and panics where a promise does not hold. The
/// first octet says what submissions get, in which pieces the octets arrive, and what happens in between. For the
/// fuzz target.
pub fn drive_versions(octets: &[u8]) {
    let Some((&script, wire)) = octets.split_first() else { return };
    for version in [InterfaceVersion::V33, InterfaceVersion::V34, InterfaceVersion::V50] {
        drive_version(version, script, wire);
    }
}

fn drive_version(version: InterfaceVersion, script: u8, wire: &[u8]) {
    let mut shell = Shell::new(false);
    shell.host.port.congestion_state = Some(CONGESTION);
    shell.handle(&Event::Write(bind(BindMode::Transceiver, 1, version.octet())));
    shell.handle(&Event::Arrive(usize::MAX));
    assert_eq!(shell.host.session.version(), version);
    shell.handle(&Event::Disposition(if script & 1 == 0 {
        Disposition::Answered(Ok(MESSAGE_ID))
    } else {
        Disposition::InFlight
    }));
    let piece = match usize::from(script >> 3) {
        0 => wire.len().max(1),
        pieces => pieces * 16,
    };
    for octets in wire.chunks(piece) {
        shell.handle(&Event::Write(octets.to_vec()));
        shell.handle(&Event::Arrive(usize::MAX));
        if script & 2 != 0 {
            shell.handle(&Event::Deliver);
        }
        if script & 4 != 0 {
            shell.handle(&Event::Decide(usize::MAX, true));
            shell.handle(&Event::Answer(0, true));
        }
    }
    shell.settle();
    for sent in pdus_of(&shell.host.port.sent) {
        check_sent(&sent, version);
    }
    shell.finish();
}

/// A PDU that a peer of this version can read.
fn check_sent(sent: &Sent, version: InterfaceVersion) {
    let header = Header {
        command_length: (16 + sent.body.len()) as u32,
        command_id: sent.id,
        command_status: sent.status,
        sequence_number: sent.sequence_number,
    };
    let pdu = Pdu::decode(&Frame { header, body: &sent.body });
    let pdu = pdu.unwrap_or_else(|error| panic!("{version:?}: sent what is no PDU: {sent:02x?}: {error:?}"));
    assert_eq!(sent.status.for_version(version), sent.status, "{version:?}: a status of 5.0");
    let tlvs = tlvs_of(&pdu);
    assert!(version.has_tlvs() || tlvs.is_empty(), "{version:?}: a TLV: {sent:02x?}");
    let is_bind_resp = sent.id == CommandId::BIND_TRANSCEIVER_RESP && sent.status == CommandStatus::ESME_ROK;
    assert_eq!(
        tlvs.u8(TlvTag::SC_INTERFACE_VERSION),
        (is_bind_resp && version.has_tlvs()).then_some(version.octet())
    );
    let congestion = tlvs.u8(TlvTag::CONGESTION_STATE);
    assert!(congestion.is_none() || (congestion == Some(CONGESTION) && version == InterfaceVersion::V50));
    let is_accepted = sent.id == CommandId::SUBMIT_SM_RESP && sent.status == CommandStatus::ESME_ROK;
    assert_eq!(is_accepted && version == InterfaceVersion::V50, is_accepted && congestion.is_some());
}

/// The TLVs of what an SMSC sends.
fn tlvs_of<'a>(pdu: &Pdu<'a>) -> Tlvs<'a> {
    match pdu {
        Pdu::BindReceiverResp(Some(resp))
        | Pdu::BindTransmitterResp(Some(resp))
        | Pdu::BindTransceiverResp(Some(resp)) => resp.tlvs,
        Pdu::SubmitSmResp(Some(resp)) | Pdu::DataSmResp(Some(resp)) | Pdu::BroadcastSmResp(Some(resp)) => {
            resp.tlvs
        }
        Pdu::SubmitMultiResp(Some(resp)) => resp.tlvs,
        Pdu::QuerySmResp(Some(resp)) => resp.tlvs,
        Pdu::QueryBroadcastSmResp(Some(resp)) => resp.tlvs,
        Pdu::DeliverSm(sm) => sm.tlvs,
        Pdu::DataSm(sm) => sm.tlvs,
        Pdu::UnbindResp(resp)
        | Pdu::EnquireLinkResp(resp)
        | Pdu::GenericNack(resp)
        | Pdu::CancelSmResp(resp)
        | Pdu::ReplaceSmResp(resp)
        | Pdu::CancelBroadcastSmResp(resp) => resp.tlvs,
        _ => Tlvs::EMPTY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::harness::{submit, with_body};

    #[test]
    fn every_version_answers_each_command_in_pieces_of_any_size() {
        let mut wire = Vec::new();
        for (sequence_number, id) in (2..).zip(CommandId::ALL.iter().filter(|id| **id != CommandId::UNBIND)) {
            wire.extend(with_body(*id, sequence_number, &[0; 24]));
            wire.extend(submit(100 + sequence_number));
        }
        for script in 0..=u8::MAX {
            let octets: Vec<u8> = std::iter::once(script).chain(wire.iter().copied()).collect();
            drive_versions(&octets);
        }
    }
}
