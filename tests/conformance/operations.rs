//! The operations asked for, each well formed by the specification's tables, as octets.

use crate::support::esme::*;

pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) command_id: u32,
    /// The body, given the id of a message that waits.
    pub(crate) body: fn(&str) -> Vec<u8>,
}

impl Operation {
    /// Whether it is a request that has a response, or is none that is known.
    pub(crate) fn is_answered(&self) -> bool {
        self.command_id & RESP == 0 && !["outbind", "alert_notification"].contains(&self.name)
    }
}

const fn operation(name: &'static str, command_id: u32, body: fn(&str) -> Vec<u8>) -> Operation {
    Operation { name, command_id, body }
}

const SOURCE: &[u8] = b"\x01\x0112345\0";
const DESTINATION: &[u8] = b"\x01\x01447012345678\0";

/// By command_id; one that no version has comes last.
pub(crate) const OPERATIONS: [Operation; 25] = [
    operation("bind_receiver", BIND_RECEIVER, bind),
    operation("bind_transmitter", BIND_TRANSMITTER, bind),
    operation("query_sm", QUERY_SM, |id| [id.as_bytes(), b"\0", SOURCE].concat()),
    operation("submit_sm", SUBMIT_SM, sm),
    operation("submit_sm in transaction mode", SUBMIT_SM, |_| {
        Sm { esm_class: 0x02, ..Sm::new("12345", "447012345678", "hello") }.encode()
    }),
    operation("deliver_sm", DELIVER_SM, sm),
    operation("unbind", UNBIND, empty),
    operation("replace_sm", REPLACE_SM, |id| [id.as_bytes(), b"\0", SOURCE, b"\0\0\0\0\x05again"].concat()),
    operation("cancel_sm", CANCEL_SM, |id| [b"\0", id.as_bytes(), b"\0", SOURCE, b"\0\0\0"].concat()),
    operation("bind_transceiver", BIND_TRANSCEIVER, bind),
    operation("outbind", OUTBIND, |_| b"demo\0demo\0".to_vec()),
    operation("enquire_link", ENQUIRE_LINK, empty),
    operation("submit_multi", SUBMIT_MULTI, |_| {
        [b"\0", SOURCE, b"\x01\x01", DESTINATION, b"\0\0\0\0\0\0\0\0\0\x05hello"].concat()
    }),
    operation("alert_notification", ALERT_NOTIFICATION, |_| [DESTINATION, SOURCE].concat()),
    operation("data_sm", DATA_SM, |_| [b"\0", SOURCE, DESTINATION, b"\0\0\0\x04\x24\0\x05hello"].concat()),
    operation("data_sm in transaction mode", DATA_SM, |_| {
        [b"\0", SOURCE, DESTINATION, b"\x02\0\0\x04\x24\0\x05hello"].concat()
    }),
    operation("broadcast_sm", BROADCAST_SM, |_| {
        [
            b"\0",
            SOURCE,
            b"\0\0\0\0\0\0\0",
            b"\x06\x06\0\x0b\0everywhere\x06\x01\0\x03\0\0\x30\x06\x04\0\x02\0\x01\x06\x05\0\x03\x09\0\x1f\x04\x24\0\x05hello",
        ]
        .concat()
    }),
    operation("query_broadcast_sm", QUERY_BROADCAST_SM, |id| [id.as_bytes(), b"\0", SOURCE].concat()),
    operation("cancel_broadcast_sm", CANCEL_BROADCAST_SM, |id| {
        [b"\0", id.as_bytes(), b"\0", SOURCE].concat()
    }),
    operation("generic_nack", GENERIC_NACK, empty),
    operation("submit_sm_resp", SUBMIT_SM | RESP, |_| b"1\0".to_vec()),
    operation("deliver_sm_resp", DELIVER_SM | RESP, |_| b"\0".to_vec()),
    operation("unbind_resp", UNBIND | RESP, empty),
    operation("query_last_msgs (3.3)", 0x23, empty),
    operation("0x00000010 (reserved)", 0x10, empty),
];

fn empty(_: &str) -> Vec<u8> {
    Vec::new()
}

fn bind(_: &str) -> Vec<u8> {
    bind_body("demo", "demo", 0x34, "")
}

fn sm(_: &str) -> Vec<u8> {
    Sm::new("12345", "447012345678", "hello").encode()
}

/// A response's or request's name.
pub(crate) fn command_name(id: u32) -> String {
    let known = OPERATIONS.iter().find(|operation| operation.command_id == id & !RESP);
    match known {
        _ if id == GENERIC_NACK => "generic_nack".to_owned(),
        Some(operation) if id & RESP == RESP => format!("{}_resp", operation.name),
        Some(operation) => operation.name.to_owned(),
        None => format!("0x{id:08X}"),
    }
}

/// A command_status by the specification's name, as far as this page needs them.
pub(crate) fn status_name(status: u32) -> String {
    let name = match status {
        0x00 => "ESME_ROK",
        0x01 => "ESME_RINVMSGLEN",
        0x02 => "ESME_RINVCMDLEN",
        0x03 => "ESME_RINVCMDID",
        0x04 => "ESME_RINVBNDSTS",
        0x05 => "ESME_RALYBND",
        0x08 => "ESME_RSYSERR",
        0x0B => "ESME_RINVDSTADR",
        0x0C => "ESME_RINVMSGID",
        0x0D => "ESME_RBINDFAIL",
        0x11 => "ESME_RCANCELFAIL",
        0x13 => "ESME_RREPLACEFAIL",
        0x33 => "ESME_RINVNUMDESTS",
        0x45 => "ESME_RSUBMITFAIL",
        0x67 => "ESME_RQUERYFAIL",
        0xC3 => "ESME_RMISSINGTLV",
        0x101 => "ESME_RPROHIBITED",
        0x108 => "ESME_RINVBCASTALIAS_NAME",
        0x109 => "ESME_RINVBCASTAREAFMT",
        0x10D => "ESME_RBCASTFAIL",
        0x10E => "ESME_RBCASTQUERYFAIL",
        0x10F => "ESME_RBCASTCANCELFAIL",
        _ => return format!("0x{status:08X}"),
    };
    name.to_owned()
}
