//! Every PDU body of 3.4 and 5.0 as a borrowed view: fields by their names in the specification, C-Octet Strings without
//! their NUL. Decoding checks what is needed to read on (sizes, NULs, lengths, TLV structure); meaning is for
//! [`super::validate`]. Requests are read strictly; responses as leniently as they can be, since a response can't be
//! answered with an error.
//!
//! Encoders write what a view holds. Fields longer than the specification allows are the caller's mistake and are
//! written as they are, except where a length octet would lie: there the excess is cut.

mod alert;
mod bind;
mod broadcast;
mod data_sm;
mod dest_count;
mod manage;
mod responses;
mod sm;
mod submit_multi;

use bytes::BufMut;

use super::command_id::CommandId;
use super::command_status::CommandStatus;
use super::error::DecodeError;
use super::frame::Frame;
use super::header::Header;
use crate::limits::HEADER_LEN;

pub use alert::AlertNotification;
pub use bind::{Bind, BindResp, Outbind};
pub use broadcast::{BroadcastSm, CancelBroadcastSm, QueryBroadcastSm, QueryBroadcastSmResp};
pub use data_sm::{AsDataSm, DataSm};
pub use dest_count::is_miscounted;
pub use manage::{CancelSm, QuerySm, QuerySmResp, ReplaceSm};
pub use responses::{BroadcastSmResp, DataSmResp, DeliverSmResp, HeaderOnly, MessageIdResp, SubmitSmResp};
pub use sm::{DeliverSm, SmFields, SubmitSm};
pub use submit_multi::{
    DestAddress, DestAddressIter, DestAddresses, SubmitMulti, SubmitMultiResp, UnsuccessSme,
    UnsuccessSmeIter, UnsuccessSmes, push_dest_address, push_unsuccess_sme,
};

/// The body of one kind of PDU.
pub trait PduBody<'a>: Sized {
    /// Reads a body: the octets after the header.
    ///
    /// # Errors
    /// The status that the operation's response must carry, and the field at fault.
    fn decode(body: &'a [u8]) -> Result<Self, DecodeError>;

    /// Octets that [`PduBody::encode_body`] writes.
    fn body_len(&self) -> usize;

    /// Appends the body to `out`.
    ///
    /// # Panics
    /// When `out` is a fixed buffer with less than [`PduBody::body_len`] octets of room.
    fn encode_body(&self, out: &mut impl BufMut);
}

/// A body that may be absent altogether, as in a response with an error.
impl<'a, Body: PduBody<'a>> PduBody<'a> for Option<Body> {
    fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        if body.is_empty() { Ok(None) } else { Body::decode(body).map(Some) }
    }

    fn body_len(&self) -> usize {
        self.as_ref().map_or(0, Body::body_len)
    }

    fn encode_body(&self, out: &mut impl BufMut) {
        if let Some(body) = self {
            body.encode_body(out);
        }
    }
}

/// Appends a whole PDU to `out`: header, then body.
///
/// # Panics
/// When `out` is a fixed buffer without room for it.
#[inline]
pub fn encode_pdu<'a>(
    out: &mut impl BufMut,
    command_id: CommandId,
    command_status: CommandStatus,
    sequence_number: u32,
    body: &impl PduBody<'a>,
) {
    let command_length = (HEADER_LEN + body.body_len()) as u32;
    out.put_slice(&Header { command_length, command_id, command_status, sequence_number }.encode());
    body.encode_body(out);
}

/// Appends a PDU without a body to `out`: 16 octets.
///
/// # Panics
/// When `out` is a fixed buffer without room for it.
#[inline]
pub fn encode_header_only(
    out: &mut impl BufMut,
    command_id: CommandId,
    command_status: CommandStatus,
    sequence_number: u32,
) {
    let header = Header { command_length: HEADER_LEN as u32, command_id, command_status, sequence_number };
    out.put_slice(&header.encode());
}

/// Appends a C-Octet String: the value and its NUL.
#[inline]
fn put_c_octets(out: &mut impl BufMut, value: &[u8]) {
    if !value.is_empty() {
        out.put_slice(value);
    }
    out.put_u8(0);
}

macro_rules! pdus {
    ($($Variant:ident($Body:ty) = $ID:ident),+ $(,)?) => {
        /// Any PDU's body, by its command_id. For tracing, tools and tests; hot paths decode the one body they expect.
        /// `None`: a response without a body.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the variants are the PDUs of the specification, by their names")]
        pub enum Pdu<'a> {
            $($Variant($Body)),+
        }

        impl<'a> Pdu<'a> {
            /// Reads the body of a frame.
            ///
            /// # Errors
            /// ESME_RINVCMDID for a command_id that the specifications don't have; else what the body's decoder says.
            pub fn decode(frame: &Frame<'a>) -> Result<Self, DecodeError> {
                match frame.header.command_id {
                    $(CommandId::$ID => <$Body>::decode(frame.body).map(Self::$Variant),)+
                    _ => Err(DecodeError::new(CommandStatus::ESME_RINVCMDID, "command_id")),
                }
            }

            /// The command_id of this PDU.
            pub const fn command_id(&self) -> CommandId {
                match self {
                    $(Self::$Variant(_) => CommandId::$ID),+
                }
            }

            /// Appends the whole PDU to `out`.
            ///
            /// # Panics
            /// When `out` is a fixed buffer without room for it.
            pub fn encode(&self, out: &mut impl BufMut, command_status: CommandStatus, sequence_number: u32) {
                match self {
                    $(Self::$Variant(body) => {
                        encode_pdu(out, CommandId::$ID, command_status, sequence_number, body);
                    })+
                }
            }
        }
    };
}

pdus! {
    BindReceiver(Bind<'a>) = BIND_RECEIVER,
    BindTransmitter(Bind<'a>) = BIND_TRANSMITTER,
    BindTransceiver(Bind<'a>) = BIND_TRANSCEIVER,
    BindReceiverResp(Option<BindResp<'a>>) = BIND_RECEIVER_RESP,
    BindTransmitterResp(Option<BindResp<'a>>) = BIND_TRANSMITTER_RESP,
    BindTransceiverResp(Option<BindResp<'a>>) = BIND_TRANSCEIVER_RESP,
    Outbind(Outbind<'a>) = OUTBIND,
    Unbind(HeaderOnly<'a>) = UNBIND,
    UnbindResp(HeaderOnly<'a>) = UNBIND_RESP,
    EnquireLink(HeaderOnly<'a>) = ENQUIRE_LINK,
    EnquireLinkResp(HeaderOnly<'a>) = ENQUIRE_LINK_RESP,
    GenericNack(HeaderOnly<'a>) = GENERIC_NACK,
    SubmitSm(SubmitSm<'a>) = SUBMIT_SM,
    SubmitSmResp(Option<SubmitSmResp<'a>>) = SUBMIT_SM_RESP,
    DeliverSm(DeliverSm<'a>) = DELIVER_SM,
    DeliverSmResp(Option<DeliverSmResp<'a>>) = DELIVER_SM_RESP,
    SubmitMulti(SubmitMulti<'a>) = SUBMIT_MULTI,
    SubmitMultiResp(Option<SubmitMultiResp<'a>>) = SUBMIT_MULTI_RESP,
    DataSm(DataSm<'a>) = DATA_SM,
    DataSmResp(Option<DataSmResp<'a>>) = DATA_SM_RESP,
    QuerySm(QuerySm<'a>) = QUERY_SM,
    QuerySmResp(Option<QuerySmResp<'a>>) = QUERY_SM_RESP,
    CancelSm(CancelSm<'a>) = CANCEL_SM,
    CancelSmResp(HeaderOnly<'a>) = CANCEL_SM_RESP,
    ReplaceSm(ReplaceSm<'a>) = REPLACE_SM,
    ReplaceSmResp(HeaderOnly<'a>) = REPLACE_SM_RESP,
    AlertNotification(AlertNotification<'a>) = ALERT_NOTIFICATION,
    BroadcastSm(BroadcastSm<'a>) = BROADCAST_SM,
    BroadcastSmResp(Option<BroadcastSmResp<'a>>) = BROADCAST_SM_RESP,
    QueryBroadcastSm(QueryBroadcastSm<'a>) = QUERY_BROADCAST_SM,
    QueryBroadcastSmResp(Option<QueryBroadcastSmResp<'a>>) = QUERY_BROADCAST_SM_RESP,
    CancelBroadcastSm(CancelBroadcastSm<'a>) = CANCEL_BROADCAST_SM,
    CancelBroadcastSmResp(HeaderOnly<'a>) = CANCEL_BROADCAST_SM_RESP,
}
