//! The deliver_sm that an ESME is handed: built from the stored body when it is handed out, into scratch that the
//! shard keeps. Nothing here allocates.

use super::message::{Message, Role, wall_of};
use super::multi;
use super::parts::Whole;
use super::split;
use crate::base::IdForm;
use crate::base::id_form::ID_TEXT_MAX;
use crate::smpp::delivery_outcome::NETWORK_TYPE_GSM;
use crate::smpp::receipt::{RECEIPT_TEXT_MAX, ReceiptExcerpt, ReceiptText};
use crate::smpp::text::DefaultAlphabet;
use crate::smpp::time_format::{DateDigits, format_receipt_date};
use crate::smpp::{
    DeliverSm, EsmClass, InterfaceVersion, MessageState, RegisteredDelivery, SmFields, TlvTag, TlvWriter,
    Tlvs,
};

/// Octets of a receipt's five TLVs: a message_id with its NUL, a state, an error code, a reference, a flag.
const RECEIPT_TLVS_MAX: usize = (4 + ID_TEXT_MAX + 1) + (4 + 1) + (4 + 3) + (4 + 2) + (4 + 1);
const _: () = assert!(split::PART_OCTETS_MAX <= RECEIPT_TEXT_MAX);
/// Most user data that a peer without TLVs can be handed.
const SHORT_MESSAGE_MAX: usize = 254;

/// Memory for the parts of a deliver_sm that are not in the stored body, and for a body on its way into the store.
#[derive(Debug)]
pub(super) struct Scratch {
    text: [u8; RECEIPT_TEXT_MAX],
    tlvs: [u8; RECEIPT_TLVS_MAX],
    /// A body to be stored.
    pub(super) body: Vec<u8>,
    /// What follows the bodies of a submit_multi.
    pub(super) trailer: Vec<u8>,
}

impl Scratch {
    pub(super) const fn new() -> Self {
        Self {
            text: [0; RECEIPT_TEXT_MAX],
            tlvs: [0; RECEIPT_TLVS_MAX],
            body: Vec::new(),
            trailer: Vec::new(),
        }
    }
}

/// How a receipt is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReceiptForm {
    /// Their dates.
    pub(super) dates: DateDigits,
    /// Their message ids.
    pub(super) ids: IdForm,
    /// What data_coding 0 means in the messages that they quote.
    pub(super) alphabet: DefaultAlphabet,
    /// What a receipt is about if that is not its message alone.
    pub(super) whole: Option<Whole>,
    /// dpf_result, where it has one.
    pub(super) dpf_result: Option<bool>,
}

/// The message can't be put into a deliver_sm for this peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// What to hand out for `message`, whose stored body is `stored`, and how many parts of it are to come after that.
///
/// # Errors
/// [`TooLong`]: the peer takes no TLVs, and the user data neither fits short_message nor can be split.
#[inline]
pub(super) fn deliver_sm<'a>(
    message: &Message,
    stored: &SmFields<'a>,
    version: InterfaceVersion,
    form: ReceiptForm,
    text: &'a mut [u8; RECEIPT_TEXT_MAX],
    tlvs: &'a mut TlvWriter<'_>,
) -> Result<(DeliverSm<'a>, u8), TooLong> {
    match message.role {
        Role::Receipt | Role::Notification => Ok((receipt(message, stored, version, form, text, tlvs), 0)),
        Role::Mt | Role::Mo | Role::Alert | Role::Broadcast => {
            let (_, tlvs) = multi::known_as(message, stored);
            forwarded(message, &SmFields { tlvs, ..*stored }, version, text)
        }
    }
}

/// A receipt or an intermediate notification (3.4 appendix B and section 5.3.2).
fn receipt<'a>(
    message: &Message,
    stored: &SmFields<'a>,
    version: InterfaceVersion,
    form: ReceiptForm,
    text: &'a mut [u8; RECEIPT_TEXT_MAX],
    tlvs: &'a mut TlvWriter<'_>,
) -> DeliverSm<'a> {
    let (id, tlvs_stored) = multi::known_as(message, stored);
    let id = form.ids.text(id);
    let excerpt =
        ReceiptExcerpt::new(stored.user_data(), stored.data_coding, stored.esm_class, form.alphabet);
    let Whole { sub, dlvrd, state, error, finished_s } = form.whole.unwrap_or_else(|| Whole {
        sub: 1,
        dlvrd: u8::from(message.state == MessageState::Delivered),
        state: message.state,
        error: message.error,
        finished_s: message.finished_s,
    });
    let receipt = ReceiptText {
        id: id.as_bytes(),
        sub: sub.into(),
        dlvrd: dlvrd.into(),
        submit_date: format_receipt_date(wall_of(message.accepted_s), form.dates),
        done_date: format_receipt_date(wall_of(finished_s), form.dates),
        stat: state,
        err: error,
        text: excerpt.as_bytes(),
    };
    let room = text.len();
    let mut rest = &mut text[..];
    receipt.encode(&mut rest);
    let written = room - rest.len();
    if version.has_tlvs() {
        tlvs.push_c_octets(TlvTag::RECEIPTED_MESSAGE_ID, id.as_bytes());
        tlvs.push(TlvTag::MESSAGE_STATE, &[state.octet()]);
        if error != 0 {
            let [high, low] = error.to_be_bytes();
            tlvs.push(TlvTag::NETWORK_ERROR_CODE, &[NETWORK_TYPE_GSM, high, low]);
        }
        if let Some(reference) = tlvs_stored.find(TlvTag::USER_MESSAGE_REFERENCE) {
            tlvs.push(TlvTag::USER_MESSAGE_REFERENCE, reference);
        }
        if let Some(is_set) = form.dpf_result.filter(|_| version >= InterfaceVersion::V50) {
            tlvs.push(TlvTag::DPF_RESULT, &[u8::from(is_set)]);
        }
    }
    let esm_class = if message.role == Role::Receipt { EsmClass::RECEIPT } else { EsmClass::INTERMEDIATE };
    DeliverSm {
        service_type: stored.service_type,
        source_addr_ton: stored.dest_addr_ton,
        source_addr_npi: stored.dest_addr_npi,
        source_addr: stored.destination_addr,
        dest_addr_ton: stored.source_addr_ton,
        dest_addr_npi: stored.source_addr_npi,
        destination_addr: stored.source_addr,
        esm_class,
        short_message: &text[..written],
        tlvs: tlvs.tlvs(),
        ..DeliverSm::default()
    }
}

/// A message from a subscriber or another ESME.
#[inline]
fn forwarded<'a>(
    message: &Message,
    stored: &SmFields<'a>,
    version: InterfaceVersion,
    part: &'a mut [u8; RECEIPT_TEXT_MAX],
) -> Result<(DeliverSm<'a>, u8), TooLong> {
    const MODE_MASK: u8 = 0x03;
    const SME_ACKNOWLEDGEMENTS: u8 = 0x0C;
    let mut deliver_sm = DeliverSm {
        // How the submitter wanted it sent is between it and the MC; type and features go along.
        esm_class: EsmClass(stored.esm_class.0 & !MODE_MASK),
        registered_delivery: RegisteredDelivery(stored.registered_delivery.0 & SME_ACKNOWLEDGEMENTS),
        schedule_delivery_time: b"",
        validity_period: b"",
        replace_if_present_flag: 0,
        sm_default_msg_id: 0,
        ..*stored
    };
    if !version.has_tlvs() {
        deliver_sm.short_message = stored.user_data();
        deliver_sm.tlvs = Tlvs::EMPTY;
        if deliver_sm.short_message.len() > SHORT_MESSAGE_MAX {
            let part = split::part(message.id, stored, message.parts_settled, part).ok_or(TooLong)?;
            deliver_sm.esm_class = split::esm_class(deliver_sm.esm_class);
            deliver_sm.short_message = part.user_data;
            return Ok((deliver_sm, part.after));
        }
    }
    Ok((deliver_sm, 0))
}

impl Scratch {
    /// The parts of the scratch that [`deliver_sm`] writes to.
    pub(super) const fn parts(&mut self) -> (&mut [u8; RECEIPT_TEXT_MAX], &mut [u8; RECEIPT_TLVS_MAX]) {
        (&mut self.text, &mut self.tlvs)
    }
}
