//! Any octets as the text of a configuration, and a reload to it.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| smscd::config::checks::check_config(octets));
