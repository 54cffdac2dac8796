//! The body of POST /mo, and the MO message it asks for.

use serde_json::{Map, Value};

use super::api::ApiError;
use crate::control_lane::MoMessage;
use crate::smpp::EsmClass;
use crate::smpp::text::DefaultAlphabet;
use crate::smpp::udh::Udh;

/// Longest address (3.4 section 5.2.8, less its NUL).
const ADDRESS_OCTETS_MAX: usize = 20;
/// Longest short_message (3.4 section 5.2.22).
const SHORT_MESSAGE_OCTETS_MAX: usize = 254;

/// esm_class bits that an MO message may have: UDHI, and reply path (3.4 section 5.2.12). Mode and type are not a phone's.
const ESM_CLASS_MO: u8 = 0xC0;

/// The message that `body` describes: `source_addr`, `destination_addr`, and either `text`, or `short_message_hex` for
/// octets as they are, which `data_coding` and `esm_class` may tell of. Nothing else. `alphabet_of`: what data_coding 0
/// means to who owns an address.
pub(super) fn parse(
    body: &[u8],
    alphabet_of: impl FnOnce(&[u8]) -> DefaultAlphabet,
) -> Result<MoMessage, ApiError> {
    let mut fields: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| ApiError::body(format!("the body is not a JSON object: {error}")))?;
    let source_addr = address(&mut fields, "source_addr")?;
    let destination_addr = address(&mut fields, "destination_addr")?;
    let octets = fields.remove("short_message_hex");
    let esm_class = octet(&mut fields, "esm_class")?.unwrap_or(0);
    let data_coding = octet(&mut fields, "data_coding")?;
    let characters = if octets.is_none() { Some(string(&mut fields, "text")?) } else { None };
    if let Some(unknown) = fields.keys().next() {
        return Err(ApiError::body(format!("unknown field `{unknown}`")));
    }
    if esm_class & !ESM_CLASS_MO != 0 {
        return Err(ApiError::field("esm_class", "may be 64 (UDHI), 128 (reply path), both or neither"));
    }
    let (field, data_coding, short_message) = match (characters, octets) {
        (Some(characters), _) => {
            for (field, is_given) in [("data_coding", data_coding.is_some()), ("esm_class", esm_class != 0)] {
                if is_given {
                    return Err(ApiError::field(field, "goes with short_message_hex only"));
                }
            }
            let (data_coding, short_message) = alphabet_of(&destination_addr).encode_or_ucs2(&characters);
            ("text", data_coding, short_message)
        }
        (None, octets) => ("short_message_hex", data_coding.unwrap_or(0), hex(octets)?),
    };
    if short_message.is_empty() || short_message.len() > SHORT_MESSAGE_OCTETS_MAX {
        return Err(ApiError::field(
            field,
            format!(
                "takes {} octets with data_coding {data_coding}, it must take 1 to {SHORT_MESSAGE_OCTETS_MAX}",
                short_message.len()
            ),
        ));
    }
    if esm_class & EsmClass::UDHI.0 != 0 && Udh::split(&short_message).is_none() {
        return Err(ApiError::field(field, "does not begin with a whole UDH, as esm_class says"));
    }
    Ok(MoMessage { source_addr, destination_addr, data_coding, esm_class, short_message })
}

/// Takes a number of 0 to 255 out of the body, if it is there.
fn octet(fields: &mut Map<String, Value>, field: &'static str) -> Result<Option<u8>, ApiError> {
    let Some(value) = fields.remove(field) else { return Ok(None) };
    match value.as_u64().map(u8::try_from) {
        Some(Ok(octet)) => Ok(Some(octet)),
        _ => Err(ApiError::field(field, "must be a whole number of 0 to 255")),
    }
}

/// The octets that short_message_hex stands for.
fn hex(value: Option<Value>) -> Result<Vec<u8>, ApiError> {
    let bad = || ApiError::field("short_message_hex", "must be a string of pairs of hex digits");
    let Some(Value::String(digits)) = value else { return Err(bad()) };
    let (pairs, odd) = digits.as_bytes().as_chunks::<2>();
    let octet = |pair: &[u8; 2]| {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
        Some((high? << 4 | low?) as u8)
    };
    let octets: Option<Vec<u8>> = pairs.iter().map(octet).collect();
    octets.filter(|_| odd.is_empty()).ok_or_else(bad)
}

/// Takes a string out of the body.
fn string(fields: &mut Map<String, Value>, field: &'static str) -> Result<String, ApiError> {
    match fields.remove(field) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(ApiError::field(field, "must be a string")),
        None => Err(ApiError::field(field, "is missing")),
    }
}

/// Takes an address out of the body: digits or alphanumeric text.
fn address(fields: &mut Map<String, Value>, field: &'static str) -> Result<Vec<u8>, ApiError> {
    let address = string(fields, field)?.into_bytes();
    if address.is_empty() || address.len() > ADDRESS_OCTETS_MAX {
        return Err(ApiError::field(
            field,
            format!("has {} octets, it must have 1 to {ADDRESS_OCTETS_MAX}", address.len()),
        ));
    }
    if !address.iter().all(|b| b.is_ascii_graphic() || *b == b' ') {
        return Err(ApiError::field(field, "may hold printable ASCII characters only"));
    }
    Ok(address)
}
