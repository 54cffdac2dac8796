//! The malformed test vectors: exactly the stated octets and the stated end, however the stream is cut.

use super::*;

struct Vector {
    name: String,
    octets: Vec<u8>,
    answer: Vec<u8>,
    closes: bool,
}

fn octets_of(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

fn malformed() -> Vec<Vector> {
    let json = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/smpp-vectors.json"));
    let all: Vec<serde_json::Value> = serde_json::from_str(json).expect("a list of vectors");
    let vectors: Vec<Vector> = all
        .iter()
        .filter(|vector| vector["kind"] == "malformed")
        .map(|vector| Vector {
            name: vector["name"].as_str().expect("a name").to_owned(),
            octets: octets_of(vector["hex"].as_str().expect("octets")),
            answer: octets_of(vector["expected"]["send"].as_str().unwrap_or_default()),
            closes: vector["expected"]["then"] == "close",
        })
        .collect();
    assert_eq!(vectors.len(), 12);
    vectors
}

/// A session in the state that the vector is about.
fn host_for(vector: &Vector) -> Host {
    if vector.name.starts_with("bind_") { Host::open() } else { Host::trx() }
}

fn check(vector: &Vector, host: &Host, stop: Stop, before: &[u8], after: &[u8]) {
    let expected = [before, &vector.answer, after].concat();
    assert_eq!(host.port.sent, expected, "{}", vector.name);
    assert_eq!(matches!(stop, Stop::Close(_)), vector.closes, "{}: {stop:?}", vector.name);
    assert!(host.port.submitted.is_empty(), "{} reached a shard", vector.name);
}

#[test]
fn whole() {
    for vector in malformed() {
        let mut host = host_for(&vector);
        let stop = host.feed(&vector.octets);
        check(&vector, &host, stop, &[], &[]);
    }
}

#[test]
fn octet_by_octet() {
    for vector in malformed() {
        let mut host = host_for(&vector);
        let mut stop = Stop::NeedMore(4);
        for octet in &vector.octets {
            stop = host.feed(&[*octet]);
            if matches!(stop, Stop::Close(_)) {
                break;
            }
        }
        check(&vector, &host, stop, &[], &[]);
    }
}

#[test]
fn between_other_pdus() {
    let (first, last) = (request(CommandId::ENQUIRE_LINK, 501), request(CommandId::ENQUIRE_LINK, 502));
    let answer = |sequence_number| request(CommandId::ENQUIRE_LINK_RESP, sequence_number);
    for vector in malformed() {
        for cut in 0..=first.len() + vector.octets.len() {
            let glued = [&first[..], &vector.octets, &last].concat();
            let mut host = host_for(&vector);
            let mut stop = host.feed(&glued[..cut]);
            if !matches!(stop, Stop::Close(_)) {
                stop = host.feed(&glued[cut..]);
            }
            let after = if vector.closes { Vec::new() } else { answer(502) };
            check(&vector, &host, stop, &answer(501), &after);
        }
    }
}

#[test]
fn glued_to_the_bind() {
    for vector in malformed().iter().filter(|vector| !vector.name.starts_with("bind_")) {
        let mut host = Host::open();
        let stop = host.feed(&[bind(BindMode::Transceiver, 1, 0x34), vector.octets.clone()].concat());
        let bind_resp = b"\0\0\0\x1c\x80\0\0\x09\0\0\0\0\0\0\0\x01SMSC01\0\x02\x10\0\x01\x34";
        check(vector, &host, stop, bind_resp, &[]);
    }
}
