//! The wire: SMPP 3.3, 3.4 and 5.0 framing, PDUs, TLVs, times, receipts and text. No sessions, no I/O, no clocks.
//!
//! | part | owns |
//! |---|---|
//! | [`frame`], [`header`] | PDU boundaries in a stream, the 16-octet header |
//! | [`command_id`], [`command_status`], [`version`], [`tlv_tag`], [`message_state`] | the numbers and their names |
//! | [`pdu`] | every PDU body as a borrowed view, its decoder and its encoder |
//! | [`operation`] | requests about stored messages, and their answers |
//! | [`delivery_outcome`] | what a response says that waits for the delivery |
//! | [`tlv`] | the optional part of a body: ordered, repeats kept |
//! | [`validate`] | field rules that a decoder does not need in order to read on |
//! | [`flags`] | the bits of esm_class and registered_delivery |
//! | [`time_format`] | `YYMMDDhhmmsstnnp` and receipt dates |
//! | [`receipt`] | the text of a delivery receipt, written and read |
//! | [`text`], [`udh`] | alphabets, septet packing, user data headers, concatenation |
//!
//! Views borrow the read buffer and nothing here allocates on the way of a message; only [`text`] makes strings.
//! Octets of a peer never panic: the lints below hold for the whole module, and the fuzz targets call [`checks`].
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::string_slice
)]

pub mod checks;
mod codes;
pub mod command_id;
pub mod command_status;
pub mod delivery_outcome;
pub mod error;
pub(crate) mod fields;
pub mod flags;
pub mod frame;
pub mod header;
pub mod message_state;
pub mod operation;
pub mod pdu;
mod reader;
pub mod receipt;
pub mod text;
pub mod time_format;
pub mod tlv;
pub mod tlv_tag;
pub mod udh;
pub mod validate;
pub mod version;

pub use command_id::CommandId;
pub use command_status::CommandStatus;
pub use delivery_outcome::{DeliveryFailureReason, DeliveryOutcome};
pub use error::DecodeError;
pub use flags::{EsmClass, RegisteredDelivery};
pub use frame::{ForeignProtocol, Frame, FrameError, FrameStep, looks_foreign, next_frame};
pub use header::Header;
pub use message_state::MessageState;
pub use operation::{Operation, OperationAnswer, QueriedState};
pub use pdu::{
    AlertNotification, AsDataSm, Bind, BindResp, BroadcastSm, BroadcastSmResp, CancelBroadcastSm, CancelSm,
    DataSm, DataSmResp, DeliverSm, DeliverSmResp, DestAddress, DestAddresses, HeaderOnly, MessageIdResp,
    Outbind, QueryBroadcastSm, QueryBroadcastSmResp, QuerySm, QuerySmResp, ReplaceSm, SmFields, SubmitMulti,
    SubmitMultiResp, SubmitSm, SubmitSmResp, UnsuccessSme, UnsuccessSmes,
};
pub use pdu::{Pdu, PduBody, encode_header_only, encode_pdu, is_miscounted};
pub use receipt::{ParsedReceipt, ReceiptExcerpt, ReceiptText};
pub use time_format::{DateDigits, ReceiptDate, ReceiptDateCache, SmppTime, format_receipt_date};
pub use tlv::{Tlv, TlvWriter, Tlvs, push_tlv};
pub use tlv_tag::TlvTag;
pub use validate::validate_submit;
pub use version::InterfaceVersion;
