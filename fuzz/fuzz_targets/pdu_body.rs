//! Any octets as one PDU body.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| smscd::smpp::checks::check_pdu_body(octets));
