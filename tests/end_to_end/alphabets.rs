//! data_coding 0 as each account means it: the same text sent in four alphabets reads the same wherever text is shown, and
//! text from outside is written in the alphabet of who gets it.

use serde_json::Value;

use crate::support::esme::*;
use crate::support::{Daemon, Layout, run};

/// Accounts by their alphabet, with `a_b@c` in it, and what `a_b@c` with an e acute behind it is: data_coding and octets.
const ACCOUNTS: [(&str, &[u8], u8, &[u8]); 4] = [
    ("gsm", b"a\x11b\0c", 0, b"a\x11b\0c\x05"),
    ("gsm_packed", &[0xE1, 0x88, 0x18, 0x30, 0x06], 0, &[0xE1, 0x88, 0x18, 0x30, 0x2E, 0x00]),
    ("latin1", b"a_b@c", 0, b"a_b@c\xE9"),
    ("ascii", b"a_b@c", 8, b"\0a\0_\0b\0@\0c\0\xE9"),
];
const TEXT: &str = "a_b@c";

fn account(index: usize, alphabet: &str) -> String {
    let name = ACCOUNTS[index].0;
    format!(
        "[[account]]\nsystem_id = \"{name}\"\npassword = \"x\"\naddresses = [\"77{index}\"]\n\
         default_alphabet = \"{alphabet}\"\n"
    )
}

fn config(edr: &str) -> String {
    let accounts: String = ACCOUNTS.iter().enumerate().map(|(i, (name, ..))| account(i, name)).collect();
    format!(
        "[edr]\npath = \"{edr}\"\nformat = \"jsonl\"\nbodies = true\n{accounts}\n[[network.profile]]\nprefix = \"\"\n\
         delay = {{ distribution = \"fixed\", mean_ms = 1, max_ms = 1 }}\n"
    )
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The text that a receipt quotes.
fn quoted(receipt: &Sm) -> &str {
    receipt.text().split_once(" text:").expect("a text").1
}

#[test]
fn text_reads_the_same_in_every_alphabet_and_everywhere() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let edr = folder.path().join("edr.jsonl");
    let data_dir = folder.path().join("data");
    let config = config(edr.to_str().expect("text"));
    let mut daemon = Daemon::start_on(Some(&data_dir), &config, Layout::TWO_BY_TWO);
    let mut pending = Vec::new();
    for (i, (name, octets, mo_coding, mo_octets)) in ACCOUNTS.into_iter().enumerate() {
        let mut esme = RawEsme::bind(daemon.smpp, Mode::Transceiver, name, "x");
        let sm = Sm { text: octets.to_vec(), ..Sm::with_receipt("1", "4470", "") };
        esme.submit(&sm);
        assert_eq!(quoted(&esme.take_delivery()), TEXT, "{name}");
        // Behind a UDH, where packed text begins at the next septet.
        let behind_udh = if name == "gsm_packed" { &[0xC2, 0x11, 0x31, 0x60, 0x0C][..] } else { octets };
        let part = [&[5, 0, 3, 7, 2, 1], behind_udh].concat();
        esme.submit(&Sm { esm_class: 0x40, text: part, ..sm.clone() });
        assert_eq!(quoted(&esme.take_delivery()), TEXT, "{name}");
        // Latin-1 is Latin-1 and binary is binary, whoever sends it.
        esme.submit(&Sm { data_coding: 3, text: b"a_b@c".to_vec(), ..sm.clone() });
        assert_eq!(quoted(&esme.take_delivery()), TEXT, "{name}");
        esme.submit(&Sm { data_coding: 4, ..sm.clone() });
        assert_eq!(quoted(&esme.take_delivery()), "", "{name}");
        // From a phone.
        daemon.inject_mo("4917", &format!("77{i}"), "a_b@c\u{e9}");
        let mo = esme.take_delivery();
        assert_eq!((mo.data_coding, mo.text.as_slice()), (mo_coding, mo_octets), "{name}");
        let later = Sm { schedule: "000000010000000R".to_owned(), ..sm };
        pending.push((name, esme.submit(&later)));
        esme.unbind();
    }
    let messages = 5 * ACCOUNTS.len() as u64;
    daemon.await_stats(&[("/counters/event_records_written", messages)]);
    daemon.kill();

    let records = json_lines(&std::fs::read_to_string(&edr).expect("records"));
    assert_eq!(records.len() as u64, messages);
    for record in &records {
        let text = record["message_text"].as_str().expect("a text");
        let expected = match (record["kind"].as_str(), record["data_coding"].as_u64()) {
            (Some("mo"), _) => "a_b@c\u{e9}",
            (_, Some(4)) => "",
            _ => TEXT,
        };
        assert_eq!(text, expected, "{record}");
    }

    let file = folder.path().join("dump.toml");
    std::fs::write(&file, &config).expect("written");
    let (data_dir, file) = (data_dir.to_str().expect("text"), file.to_str().expect("text"));
    let dump = |args: &[&str]| {
        let (code, dump, errors) = run(&[&["store", "dump", "--data-dir", data_dir], args].concat());
        assert_eq!(code, Some(0), "{errors}");
        json_lines(&dump)
    };
    let with_config = dump(&["--bodies", "--config", file]);
    for (name, id) in &pending {
        let line = with_config.iter().find(|line| line["message_id"] == id.as_str()).expect("it waits");
        assert_eq!((&line["account"], &line["text"]), (&(*name).into(), &TEXT.into()));
        assert_eq!(line["data_coding"], 0);
    }
    // Without a configuration, data_coding 0 is GSM 7-bit.
    let without = dump(&["--bodies"]);
    let latin1 = without.iter().find(|line| line["account"] == "latin1").expect("it waits");
    assert_eq!(latin1["text"], "a\u{a7}b\u{a1}c");
    assert!(dump(&[]).iter().all(|line| line["text"].is_null()));
    let (code, _, errors) = run(&["store", "dump", "--data-dir", data_dir, "--config", "/nonexistent"]);
    assert_eq!(code, Some(2), "{errors}");
}

#[test]
fn statistics_come_in_the_alphabet_and_a_reload_changes_it() {
    let statistics = "[account.statistics]\ninterval_ms = 100\n";
    let daemon = Daemon::start(&(account(0, "gsm") + statistics), Layout::ONE_BY_THREE);
    let mut esme = RawEsme::bind(daemon.smpp, Mode::Transceiver, "gsm", "x");
    assert!(esme.take_delivery().text.starts_with(b"smscd-stats:1 at:"));
    let answer = daemon.reload(&(account(0, "gsm_packed") + statistics));
    assert_eq!(answer["changes"][0]["key"], "default_alphabet");
    // "smscd-st", packed.
    let packed = [0xF3, 0xF6, 0x7C, 0x4C, 0x6E, 0xCD, 0xE9];
    while !esme.take_delivery().text.starts_with(&packed) {}
    // The text of a receipt itself is ASCII in any alphabet; what it quotes is not.
    let sm = Sm { text: vec![0xE1, 0x88, 0x18, 0x30, 0x06], ..Sm::with_receipt("1", "4470", "") };
    let sequence = esme.request(SUBMIT_SM, &sm.encode());
    let receipt = loop {
        let pdu = esme.receive();
        if pdu.id == SUBMIT_SM | RESP {
            assert_eq!((pdu.sequence, pdu.status), (sequence, ESME_ROK));
            continue;
        }
        esme.respond(&pdu, ESME_ROK);
        let sm = Sm::decode(&pdu.body);
        if sm.esm_class == 0x04 {
            break sm;
        }
    };
    assert_eq!(quoted(&receipt), TEXT);
}

/// Bit after bit, the low one of each octet first (3GPP 23.038 section 6.1.2.1).
fn bits_of(octets: &[u8], of_each: u8) -> Vec<u8> {
    octets.iter().flat_map(|octet| (0..of_each).map(move |bit| octet >> bit & 1)).collect()
}

/// Octets, or septets, of so many bits each; what is left over is filled up with zeros, or dropped.
fn of_bits(bits: &[u8], each: usize) -> Vec<u8> {
    let value = |bits: &[u8]| bits.iter().rev().fold(0, |value, bit| value << 1 | bit);
    bits.chunks(each).filter(|chunk| each == 8 || chunk.len() == each).map(value).collect()
}

/// A 3.3 client reads each part by itself: cut between septets and not within a character, packed from the septet behind its UDH.
#[test]
fn a_packed_payload_is_cut_at_septets_for_a_3_3_client() {
    let daemon = Daemon::start(&(account(0, "gsm") + &account(1, "gsm_packed")), Layout::TWO_BY_TWO);
    let mut old = RawEsme::connect(daemon.smpp);
    assert_eq!(old.try_bind(Mode::Receiver, "gsm", "x", 0x33, "").status, ESME_ROK);
    let mut esme = RawEsme::bind(daemon.smpp, Mode::Transmitter, "gsm_packed", "x");
    let mut septets: Vec<u8> = (0..300u16).map(|n| b'a' + (n % 26) as u8).collect();
    // A euro sign is two septets, the first of which would be the last that fits.
    septets[152..154].copy_from_slice(&[0x1B, 0x65]);
    let payload = of_bits(&bits_of(&septets, 7), 8);
    assert_eq!(payload.len(), 263);
    esme.submit(&Sm { tlvs: vec![(MESSAGE_PAYLOAD, payload)], ..Sm::new("1", "770", "") });
    let mut read: Vec<u8> = Vec::new();
    for (n, len) in [(1, 140), (2, 136)] {
        let part = old.take_delivery();
        assert_eq!((part.esm_class & 0x40, part.text.len(), part.tlvs.len()), (0x40, len, 0));
        let reference = part.text[3];
        assert_eq!(part.text[..6], [5, 0, 3, reference, 2, n]);
        // The UDH takes seven septets, with the bit that fills them up.
        let text = of_bits(&bits_of(&part.text, 8)[7 * 7..], 7);
        // A septet that is left over is a CR (23.038 section 6.1.2.3.1), and no character of the text.
        read.extend(text.strip_suffix(b"\r").unwrap_or(text.as_slice()));
    }
    assert_eq!(read, septets);
    old.enquire();
}
