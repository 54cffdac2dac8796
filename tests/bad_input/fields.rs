//! Requests with one thing wrong, octet by octet: each has its status, the session stays up, and the store is untouched.

use crate::support::esme::*;
use crate::support::{Daemon, Layout, run};

const SOURCE: &str = "12345";

const CONFIG: &str = r#"
[[account]]
system_id = "demo"
password = "demo"

[[account]]
system_id = "other"
password = "secret"
addresses = ["777"]
"#;

/// What is wrong, the request, and its answer.
type Case = (String, u32, Vec<u8>, u32);

fn good() -> Sm {
    Sm::new(SOURCE, "4470", "hi")
}

/// A message that waits for an hour.
fn waiting() -> Sm {
    Sm { schedule: "000000010000000R".to_owned(), ..Sm::new(SOURCE, "777", "as it was") }
}

fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

fn address(addr: &str) -> Vec<u8> {
    [&[1, 1], text(addr).as_slice()].concat()
}

fn query(id: &str) -> Vec<u8> {
    [text(id), address(SOURCE)].concat()
}

fn cancel(id: &str, source: &str, dest: &str) -> Vec<u8> {
    [text(""), text(id), address(source), address(dest)].concat()
}

fn replace(id: &str, schedule: &str, validity: &str, rest: &[u8]) -> Vec<u8> {
    [text(id), address(SOURCE), text(schedule), text(validity), rest.to_vec()].concat()
}

/// A submit_multi to two that says `count`.
fn multi(count: u8, schedule: &str, rest: &[u8]) -> Vec<u8> {
    let dests = [&[1][..], &address("4470"), &[1], &address("4471")].concat();
    [&[0][..], &address(SOURCE), &[count], &dests, &[0, 0, 0], &text(schedule), &text(""), rest].concat()
}

/// registered_delivery to short_message, of a submit_multi and of a replace_sm.
const SIMPLE: &[u8] = b"\0\0\0\0\x02hi";
const REPLACED: &[u8] = b"\0\0\x02hi";

fn data_sm(source: &str, dest: &str, tlvs: &[u8]) -> Vec<u8> {
    [&[0][..], &address(source), &address(dest), &[0, 0, 0], tlvs].concat()
}

/// What must be wrong with a time, as schedule_delivery_time and as validity_period.
const TIMES: [&str; 12] = [
    "261324083000000+",  // month 13
    "001300000000000R",  // 13 months from now
    "000032000000000R",  // 32 days from now
    "260230083000000+",  // the 30th of February
    "260230243000000+",  // 24 o'clock
    "000000002460000R",  // 60 seconds
    "261124083000049+",  // 49 quarters of an hour
    "261124083000000Z",  // neither + nor - nor R
    "2611240830",        // too short
    "26112408300000+",   // one too short
    "0000000100000000R", // one too long
    "0000000l0000000R",  // not a digit
];

fn submissions(cases: &mut Vec<Case>) {
    let mut sm = |what: &str, sm: Sm, status| cases.push((what.to_owned(), SUBMIT_SM, sm.encode(), status));
    let long = "1".repeat(21);
    sm("service_type too long", Sm { service_type: "ABCDEF".to_owned(), ..good() }, 0x15);
    sm("source_addr too long", Sm { source: long.clone(), ..good() }, ESME_RINVSRCADR);
    sm("destination_addr too long", Sm { dest: long, ..good() }, ESME_RINVDSTADR);
    sm("no destination_addr", Sm { dest: String::new(), ..good() }, ESME_RINVDSTADR);
    sm("reserved esm_class", Sm { esm_class: 0x0C, ..good() }, 0x43);
    sm("reserved priority_flag", Sm { priority: 4, ..good() }, 0x06);
    sm("reserved registered_delivery", Sm { registered_delivery: 0x20, ..good() }, 0x07);
    sm("registered_delivery of 5.0 in 3.4", Sm { registered_delivery: 3, ..good() }, 0x07);
    sm("reserved replace_if_present_flag", Sm { replace_if_present: 2, ..good() }, 0x54);
    sm("sm_length 255 in 3.4", Sm { text: vec![b'x'; 255], ..good() }, ESME_RINVMSGLEN);
    let both = vec![(MESSAGE_PAYLOAD, b"there".to_vec())];
    sm("short_message and message_payload", Sm { tlvs: both, ..good() }, ESME_RINVMSGLEN);
    for time in TIMES {
        sm(&format!("schedule {time}"), Sm { schedule: time.to_owned(), ..good() }, 0x61);
        sm(&format!("validity {time}"), Sm { validity: time.to_owned(), ..good() }, 0x62);
    }
    let past = "240101000000000+";
    sm("validity_period past", Sm { validity: past.to_owned(), ..good() }, 0x62);
    sm("validity_period of nothing", Sm { validity: "000000000000000R".to_owned(), ..good() }, 0x62);
    sm("schedule years ahead", Sm { schedule: "050000000000000R".to_owned(), ..good() }, 0x61);
    let behind = Sm { validity: "000000003000000R".to_owned(), ..waiting() };
    sm("schedule behind validity", behind, 0x61);
    for (tag, len, octets) in [(USER_MESSAGE_REFERENCE, 1, 2), (0x020C, 1, 2), (0x020E, 2, 1), (0x020F, 0, 1)]
    {
        assert_ne!(len, octets);
        sm(&format!("TLV {tag:04X} of {len}"), Sm { tlvs: vec![(tag, vec![1; len])], ..good() }, 0xC2);
    }
    let body = good().encode();
    let mut cut = |what: &str, body: Vec<u8>, status| cases.push((what.to_owned(), SUBMIT_SM, body, status));
    cut("no NUL at all", vec![b'1'; 200], 0x15);
    cut("no NUL in the rest", body[..4].to_vec(), ESME_RINVCMDLEN);
    cut("an empty body", Vec::new(), ESME_RINVCMDLEN);
    cut("cut within short_message", body[..body.len() - 1].to_vec(), ESME_RINVCMDLEN);
    cut("a TLV that overruns", [&body[..], &[0x14, 1, 0, 9, 1]].concat(), 0xC0);
    cut("a TLV of 64 KB that is not there", [&body[..], &[0x04, 0x24, 0xFF, 0xFF]].concat(), 0xC0);
    for len in 1..=3 {
        cut(&format!("{len} octets left over"), [&body[..], &[2, 4, 0][..len]].concat(), 0xC0);
    }
}

fn multis_and_data(cases: &mut Vec<Case>) {
    let mut add = |what: &str, id, body, status| cases.push((what.to_owned(), id, body, status));
    for count in [0, 1, 3, 254, 255] {
        add(&format!("number_of_dests {count} for two"), SUBMIT_MULTI, multi(count, "", SIMPLE), 0x33);
    }
    add("submit_multi, month 13", SUBMIT_MULTI, multi(2, TIMES[1], SIMPLE), 0x61);
    let both = [SIMPLE, b"\x04\x24\0\x01x"].concat();
    add("submit_multi with both texts", SUBMIT_MULTI, multi(2, "", &both), ESME_RINVMSGLEN);
    let overrun = [SIMPLE, b"\x14\x01\0\x09x"].concat();
    add("submit_multi, TLV overruns", SUBMIT_MULTI, multi(2, "", &overrun), 0xC0);
    let mut flag = multi(2, "", SIMPLE);
    flag[10] = 3;
    add("dest_flag 3", SUBMIT_MULTI, flag, 0x40);
    let payload = b"\x04\x24\0\x02hi";
    add("data_sm without a payload", DATA_SM, data_sm(SOURCE, "4470", b""), 0xC3);
    add("data_sm to nobody", DATA_SM, data_sm(SOURCE, "", payload), ESME_RINVDSTADR);
    add("data_sm, long source", DATA_SM, data_sm(&"1".repeat(21), "4470", payload), ESME_RINVSRCADR);
    add("data_sm, long destination", DATA_SM, data_sm(SOURCE, &"1".repeat(65), payload), ESME_RINVDSTADR);
    let overrun = data_sm(SOURCE, "4470", b"\x04\x24\0\x03hi");
    add("data_sm, payload overruns", DATA_SM, overrun, 0xC0);
    let time_to_live = |value: &[u8]| {
        data_sm(SOURCE, "4470", &[&payload[..], &[0, 0x17, 0, value.len() as u8], value].concat())
    };
    add("qos_time_to_live of two octets", DATA_SM, time_to_live(&[0, 9]), 0xC2);
    add("qos_time_to_live of nothing", DATA_SM, time_to_live(&[0; 4]), 0x62);
    add("qos_time_to_live for ever", DATA_SM, time_to_live(&[0xFF; 4]), 0x62);
}

/// `waits` is a message of the asking account, `others` one that is not.
fn operations(cases: &mut Vec<Case>, waits: &str, others: &str) {
    let mut add = |what: String, id, body, status| cases.push((what, id, body, status));
    let too_long = "1".repeat(65);
    for (what, id) in [
        ("no", ""),
        ("an unknown", "0123456789ABCDEF"),
        ("a short", "00000001"),
        ("a senseless", "no such message"),
        ("another account's", others),
        ("too long a", &too_long),
    ] {
        add(format!("query_sm of {what} id"), QUERY_SM, query(id), 0x0C);
        add(format!("replace_sm of {what} id"), REPLACE_SM, replace(id, "", "", REPLACED), 0x0C);
        if !id.is_empty() {
            add(format!("cancel_sm of {what} id"), CANCEL_SM, cancel(id, SOURCE, ""), 0x0C);
        }
    }
    add("cancel_sm from another source".to_owned(), CANCEL_SM, cancel(waits, "999", ""), 0x0C);
    add("cancel_sm of nobody's group".to_owned(), CANCEL_SM, cancel("", SOURCE, "778"), 0x11);
    for time in TIMES {
        add(format!("replace_sm, schedule {time}"), REPLACE_SM, replace(waits, time, "", REPLACED), 0x61);
        add(format!("replace_sm, validity {time}"), REPLACE_SM, replace(waits, "", time, REPLACED), 0x62);
    }
    let past = replace(waits, "", "240101000000000+", REPLACED);
    add("replace_sm, validity past".to_owned(), REPLACE_SM, past, 0x62);
    let both = replace(waits, "", "", &[REPLACED, b"\x04\x24\0\x01x"].concat());
    add("replace_sm with both texts".to_owned(), REPLACE_SM, both, ESME_RINVMSGLEN);
    for id in [QUERY_SM, CANCEL_SM, REPLACE_SM] {
        add(format!("{id} that ends early"), id, b"0".to_vec(), ESME_RINVCMDLEN);
    }
}

#[test]
fn each_wrong_field_has_its_status_and_the_store_is_untouched() {
    for layout in [Layout::AUTOMATIC, Layout::TWO_BY_TWO] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut daemon = Daemon::start_on(Some(folder.path()), CONFIG, layout);
        let mut esme = daemon.bind(Mode::Transceiver);
        let mut other = RawEsme::bind(daemon.smpp, Mode::Transceiver, "other", "secret");
        let waits = esme.submit(&waiting());
        let others = other.submit(&waiting());
        let before = daemon.stats();
        let (mut cases, mut submits) = (Vec::new(), 0);
        submissions(&mut cases);
        multis_and_data(&mut cases);
        operations(&mut cases, &waits, &others);
        for (what, id, body, status) in &cases {
            let sequence = esme.request(*id, body);
            let answer = esme.receive();
            let expected = Pdu { id: id | RESP, status: *status, sequence, body: Vec::new() };
            assert_eq!(answer, expected, "{what}, {layout:?}");
            submits += u64::from([SUBMIT_SM, SUBMIT_MULTI, DATA_SM].contains(id));
        }
        esme.enquire();
        daemon.await_stats(&[("/messages/rejected", submits), ("/messages/submitted", submits + 2)]);
        let after = daemon.stats();
        for untouched in ["accepted", "pending", "delivered", "expired", "deleted", "receipts_pending"] {
            assert_eq!(after["messages"][untouched], before["messages"][untouched], "{untouched}");
        }
        for untouched in ["entries", "frame_bytes", "live_bytes"] {
            assert_eq!(after["store"][untouched], before["store"][untouched], "{untouched}");
        }
        // And what the store has is what it had.
        daemon.kill();
        let folder = folder.path().to_str().expect("text");
        let (code, dump, errors) = run(&["store", "dump", "--bodies", "--data-dir", folder]);
        assert_eq!(code, Some(0), "{errors}");
        let mut bodies: Vec<String> = Vec::new();
        for line in dump.lines() {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            bodies.push(line["body"].as_str().expect("a body").to_owned());
        }
        let stored: String = waiting().encode().iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(bodies, [stored.clone(), stored]);
    }
}

#[test]
fn what_only_looks_wrong_is_taken() {
    let daemon = Daemon::start(CONFIG, Layout::TWO_BY_TWO);
    let mut esme = daemon.bind(Mode::Transceiver);
    let mut other = RawEsme::bind(daemon.smpp, Mode::Receiver, "other", "secret");
    let mut delivered = |sm: &Sm| {
        esme.submit(&Sm { dest: "777".to_owned(), ..sm.clone() });
        other.take_delivery()
    };
    // A schedule that is past is now.
    let past = Sm { schedule: "240101000000000+".to_owned(), ..good() };
    assert_eq!(delivered(&past).text(), "hi");
    // Unknown TLVs, and known ones twice, go along as they are.
    let tlvs = vec![
        (0x1401, vec![1]),
        (USER_MESSAGE_REFERENCE, vec![0, 1]),
        (0x1401, vec![2]),
        (USER_MESSAGE_REFERENCE, vec![0, 2]),
        (0xFFFF, vec![]),
    ];
    assert_eq!(delivered(&Sm { tlvs: tlvs.clone(), ..good() }).tlvs, tlvs);
    // An empty payload is no second text; one NUL may end short_message; any command_status and sequence_number will do.
    let empty = Sm { tlvs: vec![(MESSAGE_PAYLOAD, vec![])], ..good() };
    assert_eq!(delivered(&empty).text(), "hi");
    for sequence in [0, 0x8000_0000, u32::MAX] {
        esme.send(&pdu(SUBMIT_SM, 0x58, sequence, &[good().encode(), vec![0]].concat()));
        assert_eq!(esme.expect(SUBMIT_SM | RESP, ESME_ROK).sequence, sequence);
    }
    // Of a TLV that repeats, the first is the one that counts.
    let twice = Sm { tlvs, ..Sm::with_receipt(SOURCE, "4470", "hi") };
    esme.submit(&twice);
    assert_eq!(esme.take_delivery().tlv(USER_MESSAGE_REFERENCE), Some(&[0, 1][..]));
    esme.enquire();
}
