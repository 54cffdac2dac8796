//! The body of POST /mo, and the MO message it asks for.

use serde_json::{Map, Value};

use super::api::ApiError;
use crate::control_lane::MoMessage;
use crate::smpp::text;

/// Longest address (3.4 section 5.2.8, less its NUL).
const ADDRESS_OCTETS_MAX: usize = 20;
/// Longest short_message (3.4 section 5.2.22).
const SHORT_MESSAGE_OCTETS_MAX: usize = 254;

/// The message that `body` describes: `{"source_addr", "destination_addr", "text"}`, nothing missing, nothing else.
pub(super) fn parse(body: &[u8]) -> Result<MoMessage, ApiError> {
    let mut fields: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| ApiError::body(format!("the body is not a JSON object: {error}")))?;
    let source_addr = address(&mut fields, "source_addr")?;
    let destination_addr = address(&mut fields, "destination_addr")?;
    let characters = string(&mut fields, "text")?;
    if let Some(unknown) = fields.keys().next() {
        return Err(ApiError::body(format!("unknown field `{unknown}`")));
    }
    let (data_coding, short_message) = text::encode(&characters);
    if short_message.is_empty() || short_message.len() > SHORT_MESSAGE_OCTETS_MAX {
        return Err(ApiError::field(
            "text",
            format!(
                "takes {} octets with data_coding {data_coding}, it must take 1 to {SHORT_MESSAGE_OCTETS_MAX}",
                short_message.len()
            ),
        ));
    }
    Ok(MoMessage { source_addr, destination_addr, data_coding, esm_class: 0, short_message })
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
