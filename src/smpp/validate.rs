//! Field rules of submissions that depend on neither time nor account: what the specification refuses, and no more.

use super::command_status::CommandStatus;
use super::error::DecodeError;
use super::flags::{EsmClass, RegisteredDelivery};
use super::pdu::{BroadcastSm, DataSm, ReplaceSm, SubmitMulti, SubmitSm};
use super::time_format::SmppTime;
use super::tlv::Tlvs;
use super::tlv_tag::TlvTag;
use super::version::InterfaceVersion;
use crate::limits::BROADCAST_AREAS_MAX;

/// Highest priority_flag of a short message; 5.0 has one more for broadcasts.
const PRIORITY_MAX: u8 = 3;
/// sm_length up to 3.4.
const SHORT_MESSAGE_MAX_BEFORE_V50: usize = 254;

type Checked = Result<(), DecodeError>;

/// Checks a submit_sm from a peer of this version.
///
/// # Errors
/// The status for the submit_sm_resp, and the field at fault.
#[inline]
pub fn validate_submit(sm: &SubmitSm<'_>, version: InterfaceVersion) -> Checked {
    // Nearly every message: nothing set beside the plain kinds of receipt.
    let plain = sm.priority_flag <= PRIORITY_MAX
        && sm.replace_if_present_flag <= 1
        && sm.esm_class.0 & 0x3C == 0
        && sm.registered_delivery.0 <= 2
        && sm.schedule_delivery_time.is_empty()
        && sm.validity_period.is_empty()
        && !sm.destination_addr.is_empty()
        && sm.short_message.len() <= SHORT_MESSAGE_MAX_BEFORE_V50
        && (sm.tlvs.is_empty() || sm.short_message.is_empty());
    if plain { Ok(()) } else { validate_submit_fully(sm, version) }
}

#[inline(never)]
fn validate_submit_fully(sm: &SubmitSm<'_>, version: InterfaceVersion) -> Checked {
    check(!sm.destination_addr.is_empty(), CommandStatus::ESME_RINVDSTADR, "destination_addr")?;
    check_esm_class(sm.esm_class)?;
    check_priority(sm.priority_flag)?;
    check_times(sm.schedule_delivery_time, sm.validity_period)?;
    check_registered_delivery(sm.registered_delivery, version)?;
    check_replace(sm.replace_if_present_flag)?;
    check_sm_length(sm.short_message, version)?;
    check_one_text(sm.short_message, sm.tlvs)
}

/// Checks what the destinations of a submit_multi share; each one of them can fail on its own (unsuccess_sme).
///
/// # Errors
/// The status for the submit_multi_resp, and the field at fault.
pub fn validate_submit_multi(sm: &SubmitMulti<'_>, version: InterfaceVersion) -> Checked {
    let too_many = version < InterfaceVersion::V50 && sm.dest_address.number_of_dests() == u8::MAX;
    check(!too_many, CommandStatus::ESME_RINVNUMDESTS, "number_of_dests")?;
    check_esm_class(sm.esm_class)?;
    check_priority(sm.priority_flag)?;
    check_times(sm.schedule_delivery_time, sm.validity_period)?;
    check_registered_delivery(sm.registered_delivery, version)?;
    check_replace(sm.replace_if_present_flag)?;
    check_sm_length(sm.short_message, version)?;
    check_one_text(sm.short_message, sm.tlvs)
}

/// Checks a data_sm that an ESME of this version submits.
///
/// # Errors
/// The status for the data_sm_resp, and the field at fault.
pub fn validate_data_sm(sm: &DataSm<'_>, version: InterfaceVersion) -> Checked {
    check(!sm.destination_addr.is_empty(), CommandStatus::ESME_RINVDSTADR, "destination_addr")?;
    check_esm_class(sm.esm_class)?;
    check_registered_delivery(sm.registered_delivery, version)?;
    check_present(sm.tlvs, TlvTag::MESSAGE_PAYLOAD)
}

/// Checks a replace_sm from a peer of this version.
///
/// # Errors
/// The status for the replace_sm_resp, and the field at fault.
pub fn validate_replace_sm(sm: &ReplaceSm<'_>, version: InterfaceVersion) -> Checked {
    check(!sm.message_id.is_empty(), CommandStatus::ESME_RINVMSGID, "message_id")?;
    check_times(sm.schedule_delivery_time, sm.validity_period)?;
    check_registered_delivery(sm.registered_delivery, version)?;
    check_sm_length(sm.short_message, version)?;
    check_one_text(sm.short_message, sm.tlvs)
}

/// Checks a broadcast_sm: its four mandatory TLVs among others.
///
/// # Errors
/// The status for the broadcast_sm_resp, and the field at fault.
pub fn validate_broadcast_sm(sm: &BroadcastSm<'_>) -> Checked {
    check(sm.priority_flag <= PRIORITY_MAX + 1, CommandStatus::ESME_RINVPRTFLG, "priority_flag")?;
    check_times(sm.schedule_delivery_time, sm.validity_period)?;
    check_replace(sm.replace_if_present_flag)?;
    check_present(sm.tlvs, TlvTag::BROADCAST_AREA_IDENTIFIER)?;
    check_present(sm.tlvs, TlvTag::BROADCAST_CONTENT_TYPE)?;
    check_present(sm.tlvs, TlvTag::BROADCAST_REP_NUM)?;
    check_present(sm.tlvs, TlvTag::BROADCAST_FREQUENCY_INTERVAL)?;
    check_broadcast_tlvs(sm)
}

/// What the TLVs of a broadcast_sm say (5.0 sections 4.8.4.4 to 4.8.4.14).
fn check_broadcast_tlvs(sm: &BroadcastSm<'_>) -> Checked {
    let areas = sm.tlvs.iter().filter(|tlv| tlv.tag == TlvTag::BROADCAST_AREA_IDENTIFIER).count();
    let few = areas <= BROADCAST_AREAS_MAX;
    check(few, CommandStatus::ESME_RINVNUMBCAST_AREAS, "broadcast_area_identifier")?;
    let network = sm.tlvs.find(TlvTag::BROADCAST_CONTENT_TYPE).and_then(|value| value.first().copied());
    let known = network.is_none_or(|network| network <= 3);
    check(known, CommandStatus::ESME_RINVBCASTCNTTYPE, "broadcast_content_type")?;
    let at_most =
        |tag, most| sm.tlvs.find(tag).is_none_or(|value| matches!(value, [octet] if *octet <= most));
    let channel = at_most(TlvTag::BROADCAST_CHANNEL_INDICATOR, 1);
    check(channel, CommandStatus::ESME_RINVBCASTCHANIND, "broadcast_channel_indicator")?;
    let class = at_most(TlvTag::BROADCAST_MESSAGE_CLASS, 3);
    check(class, CommandStatus::ESME_RINVBCASTMSGCLASS, "broadcast_message_class")?;
    // A replacement is named by one or the other.
    let has_reference = sm.tlvs.find(TlvTag::USER_MESSAGE_REFERENCE).is_some();
    let twice = sm.replace_if_present_flag == 1 && !sm.message_id.is_empty() && has_reference;
    check(!twice, CommandStatus::ESME_RTLVNOTALLWD, "user_message_reference")
}

#[inline]
const fn check(holds: bool, status: CommandStatus, field: &'static str) -> Checked {
    if holds { Ok(()) } else { Err(DecodeError::new(status, field)) }
}

const fn check_esm_class(esm_class: EsmClass) -> Checked {
    check(esm_class.has_known_type(), CommandStatus::ESME_RINVESMCLASS, "esm_class")
}

const fn check_priority(priority_flag: u8) -> Checked {
    check(priority_flag <= PRIORITY_MAX, CommandStatus::ESME_RINVPRTFLG, "priority_flag")
}

fn check_times(schedule_delivery_time: &[u8], validity_period: &[u8]) -> Checked {
    let is_time = |text: &[u8]| text.is_empty() || SmppTime::parse(text).is_some();
    check(is_time(schedule_delivery_time), CommandStatus::ESME_RINVSCHED, "schedule_delivery_time")?;
    check(is_time(validity_period), CommandStatus::ESME_RINVEXPIRY, "validity_period")
}

fn check_registered_delivery(flag: RegisteredDelivery, version: InterfaceVersion) -> Checked {
    let reserved = flag.has_reserved_bits() || (flag.is_success_only() && version < InterfaceVersion::V50);
    check(!reserved, CommandStatus::ESME_RINVREGDLVFLG, "registered_delivery")
}

const fn check_replace(flag: u8) -> Checked {
    check(flag <= 1, CommandStatus::ESME_RINVREPFLAG, "replace_if_present_flag")
}

fn check_sm_length(short_message: &[u8], version: InterfaceVersion) -> Checked {
    let fits = version >= InterfaceVersion::V50 || short_message.len() <= SHORT_MESSAGE_MAX_BEFORE_V50;
    check(fits, CommandStatus::ESME_RINVMSGLEN, "sm_length")
}

/// Not both may carry data: with message_payload, sm_length is 0 (3.4 section 5.3.2.32).
fn check_one_text(short_message: &[u8], tlvs: Tlvs<'_>) -> Checked {
    let is_one = short_message.is_empty() || tlvs.find(TlvTag::MESSAGE_PAYLOAD).is_none_or(<[u8]>::is_empty);
    check(is_one, CommandStatus::ESME_RINVMSGLEN, "message_payload")
}

fn check_present(tlvs: Tlvs<'_>, tag: TlvTag) -> Checked {
    check(tlvs.find(tag).is_some(), CommandStatus::ESME_RMISSINGTLV, tag.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smpp::tlv::TlvWriter;
    use InterfaceVersion::{V33, V34, V50};

    fn plain() -> SubmitSm<'static> {
        SubmitSm { destination_addr: b"447700900123", short_message: b"x", ..SubmitSm::default() }
    }

    fn status(sm: SubmitSm<'_>, version: InterfaceVersion) -> u32 {
        validate_submit(&sm, version).err().map_or(0, |error| error.status.0)
    }

    #[test]
    fn what_a_submit_sm_is_refused_for() {
        assert_eq!(status(plain(), V34), 0);
        assert_eq!(status(SubmitSm { destination_addr: b"", ..plain() }, V34), 0x0B);
        assert_eq!(status(SubmitSm { priority_flag: 3, ..plain() }, V34), 0);
        assert_eq!(status(SubmitSm { priority_flag: 4, ..plain() }, V50), 0x06);
        assert_eq!(status(SubmitSm { replace_if_present_flag: 2, ..plain() }, V34), 0x54);
        assert_eq!(status(SubmitSm { esm_class: EsmClass(0x0C), ..plain() }, V34), 0x43);
        assert_eq!(status(SubmitSm { esm_class: EsmClass(0xC3), ..plain() }, V34), 0);
        assert_eq!(status(SubmitSm { esm_class: EsmClass(0x08), ..plain() }, V34), 0);
        let times = |schedule_delivery_time, validity_period| {
            status(SubmitSm { schedule_delivery_time, validity_period, ..plain() }, V34)
        };
        assert_eq!(times(b"261124083000000+", b"000002000000000R"), 0);
        assert_eq!(times(b"261324083000000+", b""), 0x61);
        assert_eq!(times(b"", b"00000200000000R"), 0x62);
    }

    #[test]
    fn versions_differ_in_receipts_and_length() {
        let registered = |flag, version| {
            status(SubmitSm { registered_delivery: RegisteredDelivery(flag), ..plain() }, version)
        };
        assert_eq!(registered(0x11, V34), 0);
        assert_eq!(registered(0x20, V50), 0x07);
        assert_eq!((registered(3, V33), registered(3, V34), registered(3, V50)), (7, 7, 0));
        let long = SubmitSm { short_message: &[b'x'; 255], ..plain() };
        assert_eq!((status(long, V34), status(long, V50)), (1, 0));
    }

    #[test]
    fn a_text_stands_in_one_place() {
        let mut buffer = [0; 16];
        let mut payload = |value: &[u8]| {
            let mut writer = TlvWriter::new(&mut buffer);
            assert!(writer.push(TlvTag::MESSAGE_PAYLOAD, value));
            let tlvs = writer.tlvs();
            let multi = SubmitMulti { short_message: b"x", tlvs, ..SubmitMulti::default() };
            let replace = ReplaceSm { message_id: b"1", short_message: b"x", tlvs, ..ReplaceSm::default() };
            [
                status(SubmitSm { tlvs, ..plain() }, V34),
                status(SubmitSm { tlvs, short_message: b"", ..plain() }, V34),
                validate_submit_multi(&multi, V34).err().map_or(0, |error| error.status.0),
                validate_replace_sm(&replace, V50).err().map_or(0, |error| error.status.0),
            ]
        };
        assert_eq!(payload(b"y"), [1, 0, 1, 1]);
        assert_eq!(payload(b""), [0; 4]);
    }

    #[test]
    fn mandatory_tlvs_are_missed() {
        fn missing(tlvs: Tlvs<'_>) -> Checked {
            validate_broadcast_sm(&BroadcastSm { tlvs, ..BroadcastSm::default() })
        }
        let mut buffer = [0; 64];
        let mut writer = TlvWriter::new(&mut buffer);
        for (tag, len) in [
            (TlvTag::BROADCAST_AREA_IDENTIFIER, 7),
            (TlvTag::BROADCAST_CONTENT_TYPE, 3),
            (TlvTag::BROADCAST_REP_NUM, 2),
            (TlvTag::BROADCAST_FREQUENCY_INTERVAL, 3),
        ] {
            let error = missing(writer.tlvs()).expect_err("a TLV is missing");
            assert_eq!((error.status, error.field), (CommandStatus::ESME_RMISSINGTLV, tag.name()));
            assert!(writer.push(tag, &[0; 8][..len]));
        }
        assert_eq!(missing(writer.tlvs()), Ok(()));
        let data_sm = DataSm { destination_addr: b"1", ..DataSm::default() };
        assert_eq!(validate_data_sm(&data_sm, V34).expect_err("no payload").status.0, 0xC3);
    }
}
