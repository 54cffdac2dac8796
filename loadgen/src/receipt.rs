//! What a deliver_sm is (receipt, intermediate notification or MO message) and which message it speaks of.

use crate::wire::Fields;

/// esm_class bits that hold the message type.
const MESSAGE_TYPE: u8 = 0x3C;
const DELIVERY_RECEIPT: u8 = 0x04;
const INTERMEDIATE: u8 = 0x20;
const RECEIPTED_MESSAGE_ID: u16 = 0x001E;

/// A deliver_sm as far as the generator cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery<'a> {
    /// A receipt: final state of the message with this id.
    Receipt(&'a [u8]),
    /// A receipt that names no message, in TLV or text.
    ReceiptWithoutId,
    /// An intermediate notification.
    Intermediate,
    /// A message from a subscriber or another ESME.
    Mobile,
}

/// Reads the body of a deliver_sm; `None` if it is malformed.
pub(crate) fn parse(body: &[u8]) -> Option<Delivery<'_>> {
    let mut fields = Fields(body);
    fields.c_string()?; // service_type
    fields.take(2)?;
    fields.c_string()?; // source_addr
    fields.take(2)?;
    fields.c_string()?; // destination_addr
    let esm_class = fields.u8()?;
    fields.take(2)?; // protocol_id, priority_flag
    fields.c_string()?; // schedule_delivery_time
    fields.c_string()?; // validity_period
    fields.take(4)?; // registered_delivery to sm_default_msg_id
    let sm_length = fields.u8()?;
    let text = fields.take(usize::from(sm_length))?;
    match esm_class & MESSAGE_TYPE {
        DELIVERY_RECEIPT => {}
        INTERMEDIATE => return Some(Delivery::Intermediate),
        _ => return Some(Delivery::Mobile),
    }
    while let Some((tag, value)) = fields.tlv() {
        if tag == RECEIPTED_MESSAGE_ID {
            let end = value.iter().position(|&octet| octet == 0).unwrap_or(value.len());
            return Some(Delivery::Receipt(&value[..end]));
        }
    }
    Some(id_in_text(text).map_or(Delivery::ReceiptWithoutId, Delivery::Receipt))
}

/// The word after `id:` at the beginning of a receipt's text.
fn id_in_text(text: &[u8]) -> Option<&[u8]> {
    let (key, rest) = text.split_at_checked(3)?;
    if !key.eq_ignore_ascii_case(b"id:") {
        return None;
    }
    let end = rest.iter().position(|&octet| octet == b' ').unwrap_or(rest.len());
    (end > 0).then_some(&rest[..end])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The body of a deliver_sm.
    pub(crate) fn deliver_body(esm_class: u8, text: &[u8], tlvs: &[u8]) -> Vec<u8> {
        let mut body = b"\0\x01\x01447700900123\0\x05\0ACME\0".to_vec();
        body.extend_from_slice(&[esm_class, 0, 0, 0, 0, 0, 0, 0, 0, text.len() as u8]);
        body.extend_from_slice(text);
        body.extend_from_slice(tlvs);
        body
    }

    #[test]
    fn takes_the_id_from_tlv_or_text() {
        let text = b"id:77 sub:001 dlvrd:001 stat:DELIVRD err:000 text:x";
        let tlvs = b"\x04\x27\x00\x01\x02\x00\x1e\x00\x03AB\0";
        assert_eq!(parse(&deliver_body(4, text, tlvs)), Some(Delivery::Receipt(b"AB")));
        assert_eq!(parse(&deliver_body(4, text, b"")), Some(Delivery::Receipt(b"77")));
        assert_eq!(parse(&deliver_body(4, b"ID:9", b"")), Some(Delivery::Receipt(b"9")));
        assert_eq!(parse(&deliver_body(4, b"hello", b"")), Some(Delivery::ReceiptWithoutId));
    }

    #[test]
    fn tells_receipts_from_the_rest() {
        assert_eq!(parse(&deliver_body(0x20, b"id:1", b"")), Some(Delivery::Intermediate));
        assert_eq!(parse(&deliver_body(0, b"id:1 stat:DELIVRD", b"")), Some(Delivery::Mobile));
        assert_eq!(parse(&deliver_body(0x40, b"", b"")), Some(Delivery::Mobile));
    }

    #[test]
    fn cut_bodies_are_malformed() {
        let body = deliver_body(4, b"id:77 sub:001", b"");
        for end in 0..body.len() {
            assert_eq!(parse(&body[..end]), None, "{end}");
        }
    }
}
