//! `[account.compat]`, octet by octet: how an account's messages look to a client that was written for another SMSC
//! (docs/compatibility.md).

use super::support::esme::*;
use super::{bind_as, daemon_with};

/// In an hour.
const LATER: &str = "000000010000000R";

/// The octets of an address field of source 12345.
const SOURCE: &[u8] = b"\x01\x0112345\0";

fn query(esme: &mut RawEsme, id: &str) -> Pdu {
    esme.request(QUERY_SM, &[id.as_bytes(), &[0], SOURCE].concat());
    esme.receive()
}

fn cancel(esme: &mut RawEsme, id: &str) -> u32 {
    esme.request(CANCEL_SM, &[&[0], id.as_bytes(), &[0], SOURCE, &[0, 0, 0]].concat());
    esme.receive().status
}

fn replace(esme: &mut RawEsme, id: &str) -> u32 {
    let tail = [&b"\0\0\0\0\x03"[..], b"new"].concat();
    esme.request(REPLACE_SM, &[id.as_bytes(), &[0], SOURCE, &tail].concat());
    esme.receive().status
}

/// What an id in one of the forms stands for, by arithmetic of the test's own.
fn number(form: &str, id: &str) -> u64 {
    match form {
        "hex" => {
            assert_eq!(id.len(), 16, "{id}");
            assert_eq!(id, id.to_uppercase());
            u64::from_str_radix(id, 16).expect(id)
        }
        "decimal" => {
            assert!(!id.starts_with('0'), "{id}");
            id.parse().expect(id)
        }
        "padded" => {
            assert_eq!(id.len(), 20, "{id}");
            id.parse().expect(id)
        }
        "uuid" => {
            let groups: Vec<&str> = id.split('-').collect();
            let lens: Vec<usize> = groups.iter().map(|group| group.len()).collect();
            assert_eq!(lens, [8, 4, 4, 4, 12], "{id}");
            let digits = groups.concat();
            assert_eq!((id, &digits[12..13]), (id.to_lowercase().as_str(), "8"), "the version");
            let variant = u8::from_str_radix(&digits[16..18], 16).expect(id);
            assert_eq!(variant >> 6, 0b10, "the variant of {id}");
            let value = digits[..12].to_owned() + &digits[13..16] + &format!("{:x}", (variant >> 2) & 0xF);
            u64::from_str_radix(&value, 16).expect(id)
        }
        _ => panic!("{form}"),
    }
}

/// As [`number`], of an id in whichever form.
fn number_of_any(id: &str) -> u64 {
    let form = match id.len() {
        16 if id.bytes().any(|digit| !digit.is_ascii_digit()) || id.starts_with('0') => "hex",
        20 => "padded",
        36 => "uuid",
        _ => "decimal",
    };
    number(form, id)
}

#[test]
fn compat_ids_have_the_form_of_the_account_and_are_understood_in_it() {
    for (response, receipt) in [
        ("hex", "decimal"),
        ("decimal", "same"),
        ("padded", "uuid"),
        ("uuid", "same"),
        ("uuid", "hex"),
        ("decimal", "padded"),
    ] {
        let keys = format!("compat.message_id = \"{response}\"\ncompat.receipt_id = \"{receipt}\"");
        let daemon = daemon_with("", &keys);
        let mut esme = bind_as(&daemon, 0x34);
        let receipt = if receipt == "same" { response } else { receipt };

        let id = esme.submit(&Sm::with_receipt("12345", "4470", "hi"));
        let told = esme.take_delivery();
        assert_eq!(number(receipt, &told.receipted_id()), number(response, &id));
        let tlv = [told.receipted_id().as_bytes(), &[0]].concat();
        assert_eq!(told.tlv(RECEIPTED_MESSAGE_ID), Some(tlv.as_slice()));

        // By the id of the response, and by that of the receipt, while it waits and when it is final.
        let waiting = esme.submit(&Sm { schedule: LATER.to_owned(), ..Sm::new("12345", "4471", "hi") });
        for id in [&waiting, &id, &told.receipted_id()] {
            let answer = query(&mut esme, id);
            assert_eq!(answer.status, ESME_ROK, "{id}");
            assert_eq!(number(response, &Fields(&answer.body).text()), number_of_any(id));
        }
        assert_eq!(replace(&mut esme, &waiting), ESME_ROK);
        assert_eq!(cancel(&mut esme, &waiting), ESME_ROK);
        assert_eq!(query(&mut esme, &waiting[1..]).status, ESME_RINVMSGID);
        // Whoever looks it up for the client has it in the client's form.
        for (id, state) in [(&waiting, "DELETED"), (&id, "DELIVERED"), (&told.receipted_id(), "DELIVERED")] {
            let known = daemon.get(&format!("/messages/{id}"));
            assert_eq!((known.status, &known.json()["message_state"]), (200, &state.into()), "{id}");
            let hex = known.json()["message_id"].as_str().map(|hex| number("hex", hex));
            assert_eq!(hex, Some(number_of_any(id)));
        }

        // Of the other submissions too.
        let multi = [b"\0\x01\x0112345\0\x01\x01\x01\x014472\0".as_slice(), &[0; 10], &[0]].concat();
        esme.request(SUBMIT_MULTI, &multi);
        let answer = esme.expect(SUBMIT_MULTI | RESP, ESME_ROK);
        number(response, &Fields(&answer.body).text());
        esme.request(DATA_SM, b"\0\x01\x0112345\0\x01\x014473\0\0\0\0\x04\x24\x00\x01x");
        let answer = esme.expect(DATA_SM | RESP, ESME_ROK);
        number(response, &message_id(&answer));

        // A 3.3 client has room for 8 characters only, and its receipts go to whoever is bound.
        let mut old = bind_as(&daemon, 0x33);
        let id = old.submit(&Sm::with_receipt("12345", "4474", "hi"));
        assert_eq!((id.len(), u32::from_str_radix(&id, 16).is_ok()), (8, true), "{id}");
        assert_eq!(old.take_delivery().receipted_id(), id);
        assert_eq!(query(&mut old, &id).status, ESME_ROK);
        assert_eq!(daemon.get(&format!("/messages/{id}")).json()["message_id"], id.as_str());
    }
}

#[test]
fn compat_broadcasts_have_ids_and_refusals_as_the_account_needs_them() {
    let area = "[[network.area]]\nname = \"Dublin\"";
    let keys = "compat.message_id = \"uuid\"\ncompat.error_response_body = true";
    let daemon = daemon_with(area, keys);
    let mut esme = bind_as(&daemon, 0x50);
    let tlv = |tag: u16, value: &[u8]| {
        [&tag.to_be_bytes()[..], &(value.len() as u16).to_be_bytes(), value].concat()
    };
    // service_type, source, message_id, priority_flag, the times, three flags; then area, content, rounds, interval, text.
    let fields = [b"\0".as_slice(), SOURCE, b"\0\0\0\0\0\0\0"].concat();
    let tlvs = [
        tlv(0x0606, b"\0Dublin"),
        tlv(0x0601, &[0, 0, 0x30]),
        tlv(0x0604, &[0, 100]),
        tlv(0x0605, &[0x0A, 0, 1]),
        tlv(MESSAGE_PAYLOAD, b"road closed"),
    ];
    esme.request(BROADCAST_SM, &[fields.clone(), tlvs.concat()].concat());
    let answer = esme.expect(BROADCAST_SM | RESP, ESME_ROK);
    let id = Fields(&answer.body).text();
    number("uuid", &id);
    esme.request(QUERY_BROADCAST_SM, &[id.as_bytes(), &[0], SOURCE].concat());
    let answer = esme.expect(QUERY_BROADCAST_SM | RESP, ESME_ROK);
    assert_eq!(Fields(&answer.body).text(), id);
    for (request, body) in [(BROADCAST_SM, &fields[..]), (QUERY_BROADCAST_SM, &[b"1\0", SOURCE].concat()[..])]
    {
        esme.request(request, body);
        let answer = esme.receive();
        assert_eq!((answer.id, answer.body.as_slice()), (request | RESP, &[0][..]), "{answer:02x?}");
        assert_ne!(answer.status, ESME_ROK);
    }
}

#[test]
fn compat_receipts_come_by_the_request_that_the_account_asks_for() {
    let daemon = daemon_with("", "compat.receipts_by = \"data_sm\"");
    let mut esme = daemon.bind(Mode::Transceiver);
    let id = esme.submit(&Sm::with_receipt("12345", "4470", "hi"));
    let receipt = esme.expect(DATA_SM, 0);
    esme.respond(&receipt, ESME_ROK);
    // service_type, source, destination, then esm_class.
    let mut fields = Fields(&receipt.body);
    fields.text();
    for address in ["4470", "12345"] {
        fields.take(2);
        assert_eq!(fields.text(), address);
    }
    assert_eq!(fields.octet(), 0x04);
    fields.take(2);
    let tlvs = fields.tlvs();
    let value = |tag| tlvs.iter().find(|(found, _)| *found == tag).map(|(_, value)| value.clone());
    assert_eq!(value(RECEIPTED_MESSAGE_ID), Some([id.as_bytes(), &[0]].concat()));
    assert!(value(MESSAGE_PAYLOAD).is_some_and(|text| text.starts_with(format!("id:{id} ").as_bytes())));
    // Messages stay with deliver_sm, and so do receipts to a peer that has no data_sm.
    daemon.inject_mo("491701", "12345", "hello");
    assert_eq!(esme.take_delivery().text(), "hello");
    esme.unbind();
    let mut old = bind_as(&daemon, 0x33);
    let id = old.submit(&Sm::with_receipt("12345", "4470", "hi"));
    assert_eq!(old.take_delivery().receipted_id(), id);
}

#[test]
fn compat_refusals_have_a_body_where_the_account_needs_one() {
    let bad_sm = Sm::new("12345", "", "hi").encode();
    let bad_multi = [b"\0\x01\x0112345\0\x00".as_slice(), &[0; 10]].concat();
    let unknown = [b"0123456789ABCDEF\0".as_slice(), SOURCE].concat();
    let requests: [(u32, &[u8], &[u8]); 5] = [
        (SUBMIT_SM, &bad_sm, &[0]),
        (DATA_SM, b"\0\x01\x0112345\0\x01\x01\0\0\0\0", &[0]),
        (SUBMIT_MULTI, &bad_multi, &[0, 0]),
        (QUERY_SM, &unknown, &[0, 0, 0, 0]),
        (CANCEL_SM, b"", &[]),
    ];
    for (account, has_body) in [("", false), ("compat.error_response_body = true", true)] {
        let daemon = daemon_with("", account);
        let mut esme = daemon.bind(Mode::Transceiver);
        for (id, request, body) in requests {
            let sequence = esme.request(id, request);
            let answer = esme.receive();
            assert_eq!((answer.id, answer.sequence), (id | RESP, sequence), "{answer:02x?}");
            assert_ne!(answer.status, ESME_ROK, "{id:#x}");
            assert_eq!(answer.body, if has_body { body } else { &[] }, "{id:#x}");
        }
        // Also where the bind is of the wrong type; not before the bind, when nobody knows whose request it is.
        let mut receiver = daemon.bind(Mode::Receiver);
        receiver.request(SUBMIT_SM, &bad_sm);
        let answer = receiver.expect(SUBMIT_SM | RESP, ESME_RINVBNDSTS);
        assert_eq!(answer.body, if has_body { &[0][..] } else { &[] });
        let mut unbound = RawEsme::connect(daemon.smpp);
        unbound.request(SUBMIT_SM, &bad_sm);
        assert_eq!(unbound.expect(SUBMIT_SM | RESP, ESME_RINVBNDSTS).body, b"");
    }
}

#[test]
fn compat_a_reload_reaches_sessions_that_are_bound() {
    let daemon = daemon_with("", "# compat");
    let mut esme = daemon.bind(Mode::Transceiver);
    let id = esme.submit(&Sm::new("12345", "4470", "hi"));
    number("hex", &id);
    daemon.replace_in_config(
        "# compat",
        "compat.preset = \"like_opensmppbox\"\ncompat.error_response_body = true",
    );
    let answer = daemon.post("/reload", &[], "").json();
    let changed = |key: &str| {
        let changes = answer["changes"].as_array().expect("changes");
        changes.iter().any(|change| change["key"] == key && change["takes_effect"] == "now")
    };
    assert!(changed("compat.preset") && changed("compat.error_response_body"), "{answer}");
    assert_eq!(query(&mut esme, &id).status, ESME_ROK, "ids from before are still known");
    let id = esme.submit(&Sm::with_receipt("12345", "4470", "hi"));
    number("uuid", &id);
    assert_eq!(esme.take_delivery().receipted_id(), id);
    esme.request(SUBMIT_SM, &Sm::new("12345", "", "hi").encode());
    assert_eq!(esme.receive().body, [0]);
}
