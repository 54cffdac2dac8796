//! Any octets as the text of a receipt.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| smscd::smpp::checks::check_receipt_text(octets));
