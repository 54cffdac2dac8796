//! Any octets as what an ESME says once it is bound, to a session of each version.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| smscd::session::harness::drive_versions(octets));
