//! The golden vectors: 55 PDUs that five other implementations agree on decode to every field stated for them and encode
//! back to the same octets; the malformed ones are refused with the status stated for their answer.

use std::collections::BTreeMap;

use serde_json::Value;
use smscd::limits::{PDU_BYTES_MAX, PDU_BYTES_MAX_UNBOUND};
use smscd::smpp::{
    BroadcastSm, CommandId, CommandStatus, DataSm, DecodeError, DestAddress, Frame, FrameError, FrameStep,
    InterfaceVersion, Pdu, ReplaceSm, SmFields, SubmitMulti, TlvTag, Tlvs, next_frame, validate_submit,
};

struct Vector {
    name: String,
    octets: Vec<u8>,
    json: Value,
}

fn vectors(kind: &str) -> Vec<Vector> {
    let all: Vec<Value> = serde_json::from_str(include_str!("smpp-vectors.json")).expect("the file is JSON");
    all.into_iter()
        .filter(|json| json["kind"] == kind)
        .map(|json| Vector { name: text(&json["name"]), octets: unhex(&text(&json["hex"])), json })
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

fn unhex(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2));
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex digits"))
        .collect()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn whole_frame(octets: &[u8]) -> Frame<'_> {
    match next_frame(octets, PDU_BYTES_MAX) {
        Ok(FrameStep::Complete { frame, consumed }) if consumed == octets.len() => frame,
        other => panic!("{other:?}"),
    }
}

/// The fields of a decoded PDU in the form of the JSON file.
#[derive(Default)]
struct Stated(BTreeMap<&'static str, Value>);

impl Stated {
    fn number(&mut self, name: &'static str, value: impl Into<u64>) {
        self.put(name, Value::from(value.into()));
    }

    fn string(&mut self, name: &'static str, value: &[u8]) {
        self.put(name, Value::from(std::str::from_utf8(value).expect("ASCII")));
    }

    fn put(&mut self, name: &'static str, value: Value) {
        assert!(self.0.insert(name, value).is_none(), "{name} twice");
    }

    fn source(&mut self, ton: u8, npi: u8, addr: &[u8]) {
        self.number("source_addr_ton", ton);
        self.number("source_addr_npi", npi);
        self.string("source_addr", addr);
    }

    fn destination(&mut self, ton: u8, npi: u8, addr: &[u8]) {
        self.number("dest_addr_ton", ton);
        self.number("dest_addr_npi", npi);
        self.string("destination_addr", addr);
    }

    fn short_message(&mut self, short_message: &[u8]) {
        self.number("sm_length", short_message.len() as u64);
        self.put("short_message_hex", Value::from(hex(short_message)));
    }

    fn times(&mut self, schedule_delivery_time: &[u8], validity_period: &[u8]) {
        self.string("schedule_delivery_time", schedule_delivery_time);
        self.string("validity_period", validity_period);
    }

    fn tlvs(&mut self, tlvs: Tlvs<'_>, in_response: bool) {
        if tlvs.is_empty() {
            return;
        }
        let list = tlvs.iter().map(|tlv| {
            // One tag has two names, by where it stands; a vendor's has none.
            let name = match tlv.tag {
                TlvTag::BROADCAST_AREA_IDENTIFIER if in_response => "failed_broadcast_area_identifier",
                tag if tag.is_vendor() => "vendor/unknown",
                tag => tag.name(),
            };
            serde_json::json!({
                "tag": format!("0x{:04X}", tlv.tag.0),
                "name": name,
                "length": tlv.value.len(),
                "value_hex": hex(tlv.value),
            })
        });
        self.put("tlvs", list.collect());
    }

    fn sm(&mut self, sm: &SmFields<'_>) {
        self.string("service_type", sm.service_type);
        self.source(sm.source_addr_ton, sm.source_addr_npi, sm.source_addr);
        self.destination(sm.dest_addr_ton, sm.dest_addr_npi, sm.destination_addr);
        self.number("esm_class", sm.esm_class.0);
        self.number("protocol_id", sm.protocol_id);
        self.number("priority_flag", sm.priority_flag);
        self.times(sm.schedule_delivery_time, sm.validity_period);
        self.number("registered_delivery", sm.registered_delivery.0);
        self.number("replace_if_present_flag", sm.replace_if_present_flag);
        self.number("data_coding", sm.data_coding);
        self.number("sm_default_msg_id", sm.sm_default_msg_id);
        self.short_message(sm.short_message);
        self.tlvs(sm.tlvs, false);
    }

    fn submit_multi(&mut self, sm: &SubmitMulti<'_>) {
        self.string("service_type", sm.service_type);
        self.source(sm.source_addr_ton, sm.source_addr_npi, sm.source_addr);
        self.number("number_of_dests", sm.dest_address.number_of_dests());
        let dests = sm.dest_address.iter().map(|dest| match dest {
            DestAddress::Sme { dest_addr_ton, dest_addr_npi, destination_addr } => serde_json::json!({
                "dest_flag": 1, "dest_addr_ton": dest_addr_ton, "dest_addr_npi": dest_addr_npi,
                "destination_addr": std::str::from_utf8(destination_addr).expect("ASCII"),
            }),
            DestAddress::DistributionList { dl_name } => serde_json::json!({
                "dest_flag": 2, "dl_name": std::str::from_utf8(dl_name).expect("ASCII"),
            }),
        });
        self.put("dest_address", dests.collect());
        self.number("esm_class", sm.esm_class.0);
        self.number("protocol_id", sm.protocol_id);
        self.number("priority_flag", sm.priority_flag);
        self.times(sm.schedule_delivery_time, sm.validity_period);
        self.number("registered_delivery", sm.registered_delivery.0);
        self.number("replace_if_present_flag", sm.replace_if_present_flag);
        self.number("data_coding", sm.data_coding);
        self.number("sm_default_msg_id", sm.sm_default_msg_id);
        self.short_message(sm.short_message);
        self.tlvs(sm.tlvs, false);
    }

    fn data_sm(&mut self, sm: &DataSm<'_>) {
        self.string("service_type", sm.service_type);
        self.source(sm.source_addr_ton, sm.source_addr_npi, sm.source_addr);
        self.destination(sm.dest_addr_ton, sm.dest_addr_npi, sm.destination_addr);
        self.number("esm_class", sm.esm_class.0);
        self.number("registered_delivery", sm.registered_delivery.0);
        self.number("data_coding", sm.data_coding);
        self.tlvs(sm.tlvs, false);
    }

    fn replace_sm(&mut self, sm: &ReplaceSm<'_>) {
        self.string("message_id", sm.message_id);
        self.source(sm.source_addr_ton, sm.source_addr_npi, sm.source_addr);
        self.times(sm.schedule_delivery_time, sm.validity_period);
        self.number("registered_delivery", sm.registered_delivery.0);
        self.number("sm_default_msg_id", sm.sm_default_msg_id);
        self.short_message(sm.short_message);
        self.tlvs(sm.tlvs, false);
    }

    fn broadcast_sm(&mut self, sm: &BroadcastSm<'_>) {
        self.string("service_type", sm.service_type);
        self.source(sm.source_addr_ton, sm.source_addr_npi, sm.source_addr);
        self.string("message_id", sm.message_id);
        self.number("priority_flag", sm.priority_flag);
        self.times(sm.schedule_delivery_time, sm.validity_period);
        self.number("replace_if_present_flag", sm.replace_if_present_flag);
        self.number("data_coding", sm.data_coding);
        self.number("sm_default_msg_id", sm.sm_default_msg_id);
        self.tlvs(sm.tlvs, false);
    }

    fn body(&mut self, pdu: &Pdu<'_>) {
        match pdu {
            Pdu::BindReceiver(bind) | Pdu::BindTransmitter(bind) | Pdu::BindTransceiver(bind) => {
                self.string("system_id", bind.system_id);
                self.string("password", bind.password);
                self.string("system_type", bind.system_type);
                self.number("interface_version", bind.interface_version);
                self.number("addr_ton", bind.addr_ton);
                self.number("addr_npi", bind.addr_npi);
                self.string("address_range", bind.address_range);
                self.tlvs(bind.tlvs, false);
            }
            Pdu::BindReceiverResp(Some(resp))
            | Pdu::BindTransmitterResp(Some(resp))
            | Pdu::BindTransceiverResp(Some(resp)) => {
                self.string("system_id", resp.system_id);
                self.tlvs(resp.tlvs, true);
            }
            Pdu::Outbind(outbind) => {
                self.string("system_id", outbind.system_id);
                self.string("password", outbind.password);
                self.tlvs(outbind.tlvs, false);
            }
            Pdu::SubmitSm(sm) | Pdu::DeliverSm(sm) => self.sm(sm),
            Pdu::SubmitSmResp(Some(resp))
            | Pdu::DeliverSmResp(Some(resp))
            | Pdu::DataSmResp(Some(resp))
            | Pdu::BroadcastSmResp(Some(resp)) => {
                self.string("message_id", resp.message_id);
                self.tlvs(resp.tlvs, true);
            }
            Pdu::SubmitMulti(sm) => self.submit_multi(sm),
            Pdu::SubmitMultiResp(Some(resp)) => {
                self.string("message_id", resp.message_id);
                self.number("no_unsuccess", resp.unsuccess_sme.no_unsuccess());
                let smes = resp.unsuccess_sme.iter().map(|sme| {
                    serde_json::json!({
                        "dest_addr_ton": sme.dest_addr_ton, "dest_addr_npi": sme.dest_addr_npi,
                        "destination_addr": std::str::from_utf8(sme.destination_addr).expect("ASCII"),
                        "error_status_code": sme.error_status_code.0,
                    })
                });
                self.put("unsuccess_sme", smes.collect());
                self.tlvs(resp.tlvs, true);
            }
            Pdu::DataSm(sm) => self.data_sm(sm),
            Pdu::QuerySm(query) => {
                self.string("message_id", query.message_id);
                self.source(query.source_addr_ton, query.source_addr_npi, query.source_addr);
                self.tlvs(query.tlvs, false);
            }
            Pdu::QuerySmResp(Some(resp)) => {
                self.string("message_id", resp.message_id);
                self.string("final_date", resp.final_date);
                self.number("message_state", resp.message_state);
                self.number("error_code", resp.error_code);
                self.tlvs(resp.tlvs, true);
            }
            Pdu::CancelSm(cancel) => {
                self.string("service_type", cancel.service_type);
                self.string("message_id", cancel.message_id);
                self.source(cancel.source_addr_ton, cancel.source_addr_npi, cancel.source_addr);
                self.destination(cancel.dest_addr_ton, cancel.dest_addr_npi, cancel.destination_addr);
                self.tlvs(cancel.tlvs, false);
            }
            Pdu::ReplaceSm(sm) => self.replace_sm(sm),
            Pdu::AlertNotification(alert) => {
                self.source(alert.source_addr_ton, alert.source_addr_npi, alert.source_addr);
                self.number("esme_addr_ton", alert.esme_addr_ton);
                self.number("esme_addr_npi", alert.esme_addr_npi);
                self.string("esme_addr", alert.esme_addr);
                self.tlvs(alert.tlvs, false);
            }
            Pdu::BroadcastSm(sm) => self.broadcast_sm(sm),
            Pdu::QueryBroadcastSm(query) => {
                self.string("message_id", query.message_id);
                self.source(query.source_addr_ton, query.source_addr_npi, query.source_addr);
                self.tlvs(query.tlvs, false);
            }
            Pdu::QueryBroadcastSmResp(Some(resp)) => {
                self.string("message_id", resp.message_id);
                // These areas did not fail: they are the broadcast's own.
                self.tlvs(resp.tlvs, false);
            }
            Pdu::CancelBroadcastSm(cancel) => {
                self.string("service_type", cancel.service_type);
                self.string("message_id", cancel.message_id);
                self.source(cancel.source_addr_ton, cancel.source_addr_npi, cancel.source_addr);
                self.tlvs(cancel.tlvs, false);
            }
            Pdu::Unbind(body)
            | Pdu::UnbindResp(body)
            | Pdu::EnquireLink(body)
            | Pdu::EnquireLinkResp(body)
            | Pdu::GenericNack(body)
            | Pdu::CancelSmResp(body)
            | Pdu::ReplaceSmResp(body)
            | Pdu::CancelBroadcastSmResp(body) => self.tlvs(body.tlvs, true),
            Pdu::BindReceiverResp(None)
            | Pdu::BindTransmitterResp(None)
            | Pdu::BindTransceiverResp(None)
            | Pdu::SubmitSmResp(None)
            | Pdu::DeliverSmResp(None)
            | Pdu::DataSmResp(None)
            | Pdu::BroadcastSmResp(None)
            | Pdu::SubmitMultiResp(None)
            | Pdu::QuerySmResp(None)
            | Pdu::QueryBroadcastSmResp(None) => {}
        }
    }
}

#[test]
fn valid_vectors_decode_to_every_stated_field() {
    let vectors = vectors("valid");
    assert_eq!(vectors.len(), 55);
    let mut kinds = Vec::new();
    for vector in &vectors {
        let frame = whole_frame(&vector.octets);
        let pdu = Pdu::decode(&frame).unwrap_or_else(|error| panic!("{}: {error}", vector.name));
        kinds.push(pdu.command_id());
        let mut stated = Stated::default();
        stated.number("command_length", frame.header.command_length);
        stated.put("command_id", Value::from(format!("0x{:08X}", frame.header.command_id.0)));
        stated.put("command", Value::from(frame.header.command_id.name()));
        stated.put("command_status", Value::from(format!("0x{:08X}", frame.header.command_status.0)));
        stated.number("sequence_number", frame.header.sequence_number);
        stated.body(&pdu);
        // Both ways: no field of the file is missed, and none is decoded that the file does not have.
        let decoded: Value = stated.0.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        assert_eq!(decoded, vector.json["fields"], "{}", vector.name);
    }
    kinds.sort();
    kinds.dedup();
    assert_eq!(kinds, CommandId::ALL, "every PDU has a vector");
}

#[test]
fn valid_vectors_encode_back_to_the_same_octets() {
    for vector in vectors("valid") {
        let frame = whole_frame(&vector.octets);
        let pdu = Pdu::decode(&frame).expect("valid");
        let mut encoded = Vec::new();
        pdu.encode(&mut encoded, frame.header.command_status, frame.header.sequence_number);
        assert_eq!(hex(&encoded), hex(&vector.octets), "{}", vector.name);
    }
}

#[test]
fn submissions_among_them_pass_validation() {
    for vector in vectors("valid") {
        if let Ok(Pdu::SubmitSm(sm)) = Pdu::decode(&whole_frame(&vector.octets)) {
            assert_eq!(validate_submit(&sm, InterfaceVersion::V34), Ok(()), "{}", vector.name);
        }
    }
}

#[test]
fn frames_come_out_one_octet_at_a_time() {
    for vector in vectors("valid") {
        for len in 0..vector.octets.len() {
            match next_frame(&vector.octets[..len], PDU_BYTES_MAX) {
                Ok(FrameStep::Incomplete { needed }) => {
                    assert!(needed > len && needed <= vector.octets.len())
                }
                other => panic!("{} at {len}: {other:?}", vector.name),
            }
        }
        whole_frame(&vector.octets);
    }
}

#[test]
fn glued_pairs_come_apart() {
    let vectors = vectors("valid");
    for first in &vectors {
        for second in &vectors {
            let glued = [first.octets.as_slice(), &second.octets].concat();
            let Ok(FrameStep::Complete { frame, consumed }) = next_frame(&glued, PDU_BYTES_MAX) else {
                panic!("{} then {}", first.name, second.name)
            };
            assert_eq!((frame, consumed), (whole_frame(&first.octets), first.octets.len()));
            assert_eq!(whole_frame(&glued[consumed..]), whole_frame(&second.octets));
        }
    }
}

/// The answer to a malformed input as far as the codec decides it: `None` for none.
fn answer(octets: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let frame = match next_frame(octets, PDU_BYTES_MAX_UNBOUND) {
        Ok(FrameStep::Complete { frame, .. }) => frame,
        Ok(FrameStep::Incomplete { needed }) => panic!("waits for {needed} octets"),
        Err(FrameError::CommandLength { sequence_number, .. }) => {
            let sequence_number = sequence_number.unwrap_or(0);
            let status = CommandStatus::ESME_RINVCMDLEN;
            smscd::smpp::encode_header_only(&mut out, CommandId::GENERIC_NACK, status, sequence_number);
            return Some(out);
        }
    };
    let checked = Pdu::decode(&frame).and_then(|pdu| match pdu {
        Pdu::SubmitSm(sm) => validate_submit(&sm, InterfaceVersion::V34),
        _ => Ok(()),
    });
    let DecodeError { status, .. } = checked.expect_err("malformed");
    let command_id = frame.header.command_id;
    if command_id.is_response() {
        return None;
    }
    let command_id = if command_id.is_known() { command_id.response() } else { CommandId::GENERIC_NACK };
    smscd::smpp::encode_header_only(&mut out, command_id, status, frame.header.sequence_number);
    Some(out)
}

#[test]
fn malformed_vectors_get_the_stated_answer() {
    let vectors = vectors("malformed");
    assert_eq!(vectors.len(), 12);
    for vector in vectors {
        let stated = &vector.json["expected"]["send"];
        let expected = stated.as_str().map(str::to_owned);
        assert_eq!(answer(&vector.octets).map(|octets| hex(&octets)), expected, "{}", vector.name);
    }
}

#[test]
fn a_bad_length_is_known_from_its_four_octets() {
    for vector in vectors("malformed").iter().filter(|vector| vector.name.starts_with("bad_length")) {
        assert!(next_frame(&vector.octets[..4], PDU_BYTES_MAX).is_err(), "{}", vector.name);
    }
}
