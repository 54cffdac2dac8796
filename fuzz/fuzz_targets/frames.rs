//! Any octets as a stream of PDUs.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| smscd::smpp::checks::check_frames(octets));
