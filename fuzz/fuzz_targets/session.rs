//! Any octets as a script of what happens to an SMSC session: PDUs, results, verdicts, deliveries and clock jumps.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| smscd::session::harness::drive(octets));
