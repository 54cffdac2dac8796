//! What must hold for any octets whatever: the bodies of the fuzz targets, and of property tests here. Each function
//! panics when the codec breaks its word, never because of what the octets are.

use super::command_id::CommandId;
use super::command_status::CommandStatus;
use super::frame::{Frame, FrameStep, looks_foreign, next_frame};
use super::header::Header;
use super::message_state::MessageState;
use super::pdu::{DestAddresses, Pdu, SubmitSm, UnsuccessSmes, push_dest_address, push_unsuccess_sme};
use super::receipt::{ParsedReceipt, ReceiptText};
use super::time_format::{DateDigits, SmppTime, format_receipt_date};
use super::udh::{Concatenation, Udh};
use super::validate::{
    validate_broadcast_sm, validate_data_sm, validate_replace_sm, validate_submit, validate_submit_multi,
};
use super::version::InterfaceVersion;
use crate::base::WallTime;
use crate::limits::{HEADER_LEN, PDU_BYTES_MAX};

/// A stream: frames lie end to end, each at least a header long and none above the limit; reading only as many octets as
/// [`FrameStep::Incomplete`] asks for finds the same frames as reading all at once.
pub fn check_frames(stream: &[u8]) {
    let _ = looks_foreign(stream);
    let mut rest = stream;
    loop {
        let all_at_once = next_frame(rest, PDU_BYTES_MAX);
        let mut available = 0;
        let frugal = loop {
            let step = next_frame(rest.get(..available).unwrap_or_default(), PDU_BYTES_MAX);
            match step {
                Ok(FrameStep::Incomplete { needed }) => {
                    assert!(needed > available, "no progress");
                    assert!(needed <= PDU_BYTES_MAX, "asks for more than the limit");
                    if needed > rest.len() {
                        break step;
                    }
                    available = needed;
                }
                _ => break step,
            }
        };
        match (all_at_once, frugal) {
            (Ok(FrameStep::Complete { frame, consumed }), Ok(FrameStep::Complete { frame: same, .. })) => {
                assert_eq!(frame, same);
                assert_eq!(consumed, frame.header.command_length as usize);
                assert_eq!(consumed, HEADER_LEN + frame.body.len());
                check_frame(&frame);
                rest = rest.get(consumed..).unwrap_or_default();
            }
            (Ok(FrameStep::Incomplete { .. }), Ok(FrameStep::Incomplete { .. })) => return,
            (Err(_), Err(_)) => return,
            (whole, part) => assert_eq!(whole, part),
        }
    }
}

/// A body after four octets that choose the command_id.
pub fn check_pdu_body(octets: &[u8]) {
    let Some((selector, body)) = octets.split_first_chunk::<4>() else { return };
    let selector = u32::from_be_bytes(*selector);
    // Known ids are wanted most of the time; unknown ones still come up.
    let command_id = CommandId::ALL.get(selector as usize % 64).copied().unwrap_or(CommandId(selector));
    let command_length = (HEADER_LEN + body.len()) as u32;
    let header = Header {
        command_length,
        command_id,
        command_status: CommandStatus::ESME_ROK,
        sequence_number: selector,
    };
    check_frame(&Frame { header, body });
}

/// A PDU that decodes is encoded to something that frames and decodes as the same; an error carries a status that the
/// specification names.
fn check_frame(frame: &Frame<'_>) {
    let pdu = match Pdu::decode(frame) {
        Ok(pdu) => pdu,
        Err(error) => {
            assert!(!error.status.is_ok() && error.status.name() != "unknown");
            return;
        }
    };
    let mut octets = Vec::new();
    pdu.encode(&mut octets, frame.header.command_status, frame.header.sequence_number);
    let step = next_frame(&octets, octets.len());
    assert!(matches!(step, Ok(FrameStep::Complete { .. })), "an encoded PDU is a frame");
    let Ok(FrameStep::Complete { frame: again, consumed }) = step else { return };
    assert_eq!(consumed, octets.len());
    assert_eq!(again.header.command_id, frame.header.command_id);
    assert_eq!(again.header.command_status, frame.header.command_status);
    assert_eq!(again.header.sequence_number, frame.header.sequence_number);
    assert_eq!(Pdu::decode(&again), Ok(pdu));
    check_contents(&pdu);
}

fn check_contents(pdu: &Pdu<'_>) {
    for version in [InterfaceVersion::V33, InterfaceVersion::V34, InterfaceVersion::V50] {
        let _ = match pdu {
            Pdu::SubmitSm(sm) => validate_submit(sm, version),
            Pdu::SubmitMulti(sm) => validate_submit_multi(sm, version),
            Pdu::DataSm(sm) => validate_data_sm(sm, version),
            Pdu::ReplaceSm(sm) => validate_replace_sm(sm, version),
            Pdu::BroadcastSm(sm) => validate_broadcast_sm(sm),
            _ => Ok(()),
        };
    }
    match pdu {
        Pdu::SubmitSm(sm) | Pdu::DeliverSm(sm) => check_user_data(sm),
        Pdu::SubmitMulti(sm) => {
            let dests = sm.dest_address;
            let mut octets = Vec::new();
            dests.iter().for_each(|dest| push_dest_address(&mut octets, &dest));
            assert_eq!(dests.iter().count(), usize::from(dests.number_of_dests()));
            assert_eq!(DestAddresses::decode(dests.number_of_dests(), &octets), Ok(dests));
        }
        Pdu::SubmitMultiResp(Some(resp)) => {
            let smes = resp.unsuccess_sme;
            let mut octets = Vec::new();
            smes.iter().for_each(|sme| push_unsuccess_sme(&mut octets, &sme));
            assert_eq!(UnsuccessSmes::decode(smes.no_unsuccess(), &octets), Ok(smes));
        }
        _ => {}
    }
}

fn check_user_data(sm: &SubmitSm<'_>) {
    if let Some(Concatenation { total, part, .. }) = Concatenation::of(sm) {
        assert!(part >= 1 && part <= total);
    }
    if let Some((udh, text)) = Udh::split(sm.user_data()) {
        let _ = udh.ports();
        assert_eq!(udh.octets() + text.len(), sm.user_data().len());
    }
    for time in [sm.schedule_delivery_time, sm.validity_period] {
        if let Some(time) = SmppTime::parse(time) {
            assert_eq!(SmppTime::parse(&time.format()), Some(time));
            time.resolve(WallTime::from_unix_millis(u64::MAX));
        }
    }
}

/// A receipt text that is understood says the same once it is written in our own form.
pub fn check_receipt_text(octets: &[u8]) {
    let Some(parsed) = ParsedReceipt::parse(octets) else { return };
    let at = parsed.done_time().unwrap_or_default();
    let receipt = ReceiptText {
        id: parsed.id.unwrap_or(b"0"),
        sub: parsed.sub.unwrap_or(1),
        dlvrd: parsed.dlvrd.unwrap_or(0),
        submit_date: format_receipt_date(at, DateDigits::Ten),
        done_date: format_receipt_date(at, DateDigits::Twelve),
        stat: parsed.state().unwrap_or(MessageState::Unknown),
        err: parsed.error_code().unwrap_or(0),
        text: parsed.text.unwrap_or_default(),
    };
    let mut written = Vec::new();
    receipt.encode(&mut written);
    let again = ParsedReceipt::parse(&written);
    assert_eq!(again.and_then(|again| again.state()), Some(receipt.stat));
    assert_eq!(again.and_then(|again| again.id), receipt.id.get(..64).or(Some(receipt.id)));
    assert_eq!(again.and_then(|again| again.error_code()), Some(receipt.err.min(999)));
    assert_eq!(again.and_then(|again| again.text), receipt.text.get(..20).or(Some(receipt.text)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_stream_is_framed(
            pdus in prop::collection::vec((0u32..40, 0usize..34, prop::collection::vec(any::<u8>(), 0..40)), 0..6)
        ) {
            let mut stream = Vec::new();
            for (length_error, id, body) in pdus {
                // One in forty lengths is wrong.
                let command_length = (HEADER_LEN + body.len()) as u32 + u32::from(length_error == 0);
                let command_id = CommandId::ALL.get(id).copied().unwrap_or(CommandId(0x10));
                let command_status = CommandStatus::ESME_ROK;
                stream.extend(Header { command_length, command_id, command_status, sequence_number: 1 }.encode());
                stream.extend(body);
            }
            check_frames(&stream);
        }

        #[test]
        fn any_body_is_decoded_or_answered(
            id in 0u32..34,
            // Mostly small octets, so that C-Octet Strings end and length octets fit.
            body in prop::collection::vec(prop_oneof![Just(0u8), 0u8..8, any::<u8>()], 0..120),
        ) {
            let mut octets = id.to_be_bytes().to_vec();
            octets.extend(body);
            check_pdu_body(&octets);
        }

        #[test]
        fn any_receipt_is_understood_or_not(
            text in "(id:[0-9a-f]{0,70} )?(sub:[0-9]{1,3} )?(done date:[0-9]{10,14} )?(stat:[A-Z]{0,8} )?(err:[0-9]{1,5} )?(text:.{0,30})?"
        ) {
            check_receipt_text(text.as_bytes());
        }
    }
}
