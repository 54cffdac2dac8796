//! data_sm in both directions, and message_payload up to its greatest length.

use crate::on_every_layout;
use crate::support::Daemon;
use crate::support::esme::*;

const QOS_TIME_TO_LIVE: u16 = 0x0017;
const SOURCE_PORT: u16 = 0x020A;
const SET_DPF: u16 = 0x0421;

on_every_layout! {
    data_sm_is_a_submission,
    data_sm_is_refused_with_its_status,
    an_account_is_delivered_to_by_data_sm,
    the_longest_payload_in_any_pieces,
}

/// A data_sm's body.
fn body(dest: &str, registered_delivery: u8, tlvs: &[Tlv]) -> Vec<u8> {
    let mut body = vec![0, 1, 1];
    body.extend(b"12345\0");
    body.extend([1, 1]);
    body.extend(dest.as_bytes());
    body.extend([0, 0, registered_delivery, 4]);
    for (tag, value) in tlvs {
        body.extend(tag.to_be_bytes());
        body.extend((value.len() as u16).to_be_bytes());
        body.extend(value);
    }
    body
}

fn answer(esme: &mut RawEsme, body: &[u8]) -> Pdu {
    let sequence = esme.request(DATA_SM, body);
    let response = esme.receive();
    assert_eq!((response.id, response.sequence), (DATA_SM | RESP, sequence));
    response
}

fn octets(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n % 251) as u8).collect()
}

fn data_sm_is_a_submission(daemon: &Daemon) {
    let mut demo = daemon.bind(Mode::Transceiver);
    let mut bank = RawEsme::bind(daemon.smpp, Mode::Transceiver, "bank", "secret");
    let tlvs = vec![(SOURCE_PORT, vec![0x23, 0xF0]), (MESSAGE_PAYLOAD, octets(300)), (SET_DPF, vec![1])];
    let response = answer(&mut demo, &body("777", 1, &tlvs));
    assert_eq!(response.status, ESME_ROK);
    let id = message_id(&response);
    let sm = bank.take_delivery();
    assert_eq!((sm.tlvs, sm.data_coding, sm.text.len()), (tlvs, 4, 0));
    assert_eq!(demo.take_delivery().receipted_id(), id);
    // A period of one second, and a subscriber who is away for longer.
    let short = [(QOS_TIME_TO_LIVE, vec![0, 0, 0, 1]), (MESSAGE_PAYLOAD, octets(3))];
    let id = message_id(&answer(&mut demo, &body("4451", 1, &short)));
    let receipt = demo.take_delivery();
    assert_eq!(receipt.receipted_id(), id);
    assert!(receipt.text().contains("stat:EXPIRED"), "{receipt:?}");
    demo.enquire();
}

fn data_sm_is_refused_with_its_status(daemon: &Daemon) {
    let mut esme = daemon.bind(Mode::Transceiver);
    let payload = [(MESSAGE_PAYLOAD, octets(3))];
    for (body, status) in [
        (body("4470", 0, &[]), 0xC3),
        (body("", 0, &payload), 0x0B),
        (body("4470", 0xE0, &payload), 0x07),
        (body(&"1".repeat(21), 0, &payload), 0x0B),
        (body("4470", 0, &[(QOS_TIME_TO_LIVE, vec![0, 1]), payload[0].clone()]), 0xC2),
        (body("4470", 0, &[(QOS_TIME_TO_LIVE, vec![0; 4]), payload[0].clone()]), 0x62),
        (Vec::new(), ESME_RINVCMDLEN),
    ] {
        let response = answer(&mut esme, &body);
        assert_eq!((response.status, response.body.len()), (status, 0), "{body:02x?}");
    }
    esme.enquire();
    daemon.await_stats(&[("/messages/accepted", 0), ("/messages/pending", 0)]);
}

fn an_account_is_delivered_to_by_data_sm(daemon: &Daemon) {
    let mut data = RawEsme::bind(daemon.smpp, Mode::Transceiver, "data", "secret");
    let mut demo = daemon.bind(Mode::Transmitter);
    demo.submit(&Sm::new("12345", "666", "hi"));
    let pdu = data.expect(DATA_SM, 0);
    let mut expected = body("666", 0, &[(MESSAGE_PAYLOAD, b"hi".to_vec())]);
    let coding = expected.len() - 7;
    expected[coding] = 0;
    assert_eq!(pdu.body, expected);
    data.respond(&pdu, ESME_ROK);
    daemon.await_stats(&[("/messages/delivered", 1), ("/messages/pending", 0)]);
    // Its receipts come by deliver_sm, and a 3.3 bind of it knows no data_sm.
    let id = data.submit(&Sm::with_receipt("12345", "4470", "hi"));
    assert_eq!(data.take_delivery().receipted_id(), id);
    data.unbind();
    let mut old = RawEsme::connect(daemon.smpp);
    assert_eq!(old.try_bind(Mode::Receiver, "data", "secret", 0x33, "").status, ESME_ROK);
    demo.submit(&Sm::new("12345", "666", "again"));
    assert_eq!(old.take_delivery().text(), "again");
}

fn the_longest_payload_in_any_pieces(daemon: &Daemon) {
    let mut demo = daemon.bind(Mode::Transceiver);
    let mut bank = RawEsme::bind(daemon.smpp, Mode::Transceiver, "bank", "secret");
    let sm = Sm { tlvs: vec![(MESSAGE_PAYLOAD, octets(65_535))], ..Sm::new("12345", "777", "") };
    let three: Vec<u8> = (1..=3).flat_map(|n| pdu(SUBMIT_SM, 0, n, &sm.encode())).collect();
    for piece in [1, 7, 1_000, 60_001, three.len()] {
        // The small pieces only around the PDUs' borders, for there are many of them.
        let (front, back) = if piece < 10 { three.split_at(2_000) } else { three.split_at(three.len()) };
        for octets in front.chunks(piece).chain([back].into_iter().filter(|back| !back.is_empty())) {
            demo.send(octets);
        }
        for _ in 0..3 {
            demo.expect(SUBMIT_SM | RESP, ESME_ROK);
            assert_eq!(bank.take_delivery(), sm, "{piece}");
        }
    }
    demo.enquire();
    bank.enquire();
}
