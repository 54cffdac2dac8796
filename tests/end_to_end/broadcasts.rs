//! broadcast_sm, query_broadcast_sm and cancel_broadcast_sm, by 5.0 binds, against the simulated network's areas.

use crate::on_every_layout;
use crate::support::Daemon;
use crate::support::esme::*;

const BROADCAST_AREA_IDENTIFIER: u16 = 0x0606;
const BROADCAST_ERROR_STATUS: u16 = 0x0607;
const BROADCAST_AREA_SUCCESS: u16 = 0x0608;
const BROADCAST_END_TIME: u16 = 0x0609;
const ESME_RMISSINGTLV: u32 = 0xC3;
const ESME_RINVBCASTFREQINT: u32 = 0x107;
const ESME_RINVBCASTALIAS_NAME: u32 = 0x108;
const ESME_RINVBCASTAREAFMT: u32 = 0x109;
const ESME_RBCASTQUERYFAIL: u32 = 0x10E;
const ESME_RBCASTCANCELFAIL: u32 = 0x10F;
const ESME_RBCASTFAIL: u32 = 0x10D;

on_every_layout! {
    a_broadcast_is_sent_and_its_areas_tell_how_far_it_got,
    areas_that_are_not_served_are_named,
    a_shape_means_the_areas_in_it,
    it_is_cancelled_by_id_and_by_group,
    it_is_replaced_by_id_and_by_reference,
    only_5_0_has_it_and_only_its_own,
    what_is_wrong_has_its_status,
}

fn tlv(tag: u16, value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(value.len()).expect("a TLV's length");
    [&tag.to_be_bytes()[..], &len.to_be_bytes(), value].concat()
}

/// What a broadcast_sm says, by the table of 5.0 section 4.4.1.1.
#[derive(Clone)]
struct Broadcast<'a> {
    service_type: &'a str,
    message_id: &'a str,
    schedule: &'a str,
    replace: u8,
    /// Names of areas.
    areas: &'a [&'a str],
    rounds: u16,
    /// Unit and count.
    interval: [u8; 3],
    reference: Option<u16>,
}

const PLAIN: Broadcast<'static> = Broadcast {
    service_type: "CBS",
    message_id: "",
    schedule: "",
    replace: 0,
    areas: &["Dublin"],
    rounds: 1,
    interval: [0x08, 0, 2],
    reference: None,
};
/// Many rounds, a long time apart.
const LONG: Broadcast<'static> = Broadcast { rounds: 100, interval: [0x0A, 0, 1], ..PLAIN };

impl Broadcast<'_> {
    fn encode(&self) -> Vec<u8> {
        let mut body = [self.service_type.as_bytes(), b"\0\x05\0ALERTS\0"].concat();
        body.extend([self.message_id.as_bytes(), b"\0\0"].concat());
        body.extend([self.schedule.as_bytes(), b"\0\0"].concat());
        body.extend([self.replace, 0, 0]);
        for area in self.areas {
            body.extend(tlv(BROADCAST_AREA_IDENTIFIER, &[b"\0", area.as_bytes()].concat()));
        }
        body.extend(tlv(0x0601, &[0, 0, 0x30]));
        body.extend(tlv(0x0604, &self.rounds.to_be_bytes()));
        body.extend(tlv(0x0605, &self.interval));
        body.extend(tlv(MESSAGE_PAYLOAD, b"road closed"));
        if let Some(reference) = self.reference {
            body.extend(tlv(USER_MESSAGE_REFERENCE, &reference.to_be_bytes()));
        }
        body
    }
}

fn bind(daemon: &Daemon, system_id: &str, version: u8) -> RawEsme {
    let mut esme = RawEsme::connect(daemon.smpp);
    let password = if system_id == "demo" { "demo" } else { "secret" };
    assert_eq!(esme.try_bind(Mode::Transceiver, system_id, password, version, "").status, ESME_ROK);
    esme
}

/// Sends one; its id, and the TLVs of the answer.
fn broadcast(esme: &mut RawEsme, body: &[u8]) -> (String, Vec<Tlv>) {
    let sequence = esme.request(BROADCAST_SM, body);
    let response = esme.expect(BROADCAST_SM | RESP, ESME_ROK);
    assert_eq!(response.sequence, sequence);
    let mut fields = Fields(&response.body);
    (fields.text(), fields.tlvs())
}

fn status(esme: &mut RawEsme, command_id: u32, body: &[u8]) -> u32 {
    let sequence = esme.request(command_id, body);
    let response = esme.receive();
    assert_eq!((response.id, response.sequence), (command_id | RESP, sequence));
    response.status
}

fn query_body(id: &str, reference: Option<u16>) -> Vec<u8> {
    let reference = reference.map(|reference| tlv(USER_MESSAGE_REFERENCE, &reference.to_be_bytes()));
    [id.as_bytes(), b"\0\x05\0ALERTS\0", &reference.unwrap_or_default()].concat()
}

/// What a query_broadcast_sm is told: the id and the TLVs.
fn query(esme: &mut RawEsme, id: &str, reference: Option<u16>) -> (String, Vec<Tlv>) {
    esme.request(QUERY_BROADCAST_SM, &query_body(id, reference));
    let response = esme.expect(QUERY_BROADCAST_SM | RESP, ESME_ROK);
    let mut fields = Fields(&response.body);
    (fields.text(), fields.tlvs())
}

fn state(tlvs: &[Tlv]) -> u8 {
    assert_eq!(tlvs[0].0, MESSAGE_STATE, "{tlvs:?}");
    tlvs[0].1[0]
}

/// Asks until the broadcast has this state.
fn await_state(esme: &mut RawEsme, id: &str, expected: u8) -> Vec<Tlv> {
    let start = std::time::Instant::now();
    loop {
        let (found, tlvs) = query(esme, id, None);
        assert_eq!(found, id);
        if state(&tlvs) == expected {
            return tlvs;
        }
        assert!(start.elapsed() < crate::support::DEADLINE, "{tlvs:?}");
    }
}

fn cancel_body(service_type: &str, id: &str, tlvs: &[u8]) -> Vec<u8> {
    [service_type.as_bytes(), b"\0", id.as_bytes(), b"\0\x05\0ALERTS\0", tlvs].concat()
}

fn a_broadcast_is_sent_and_its_areas_tell_how_far_it_got(daemon: &Daemon) {
    // The account asks for receipts.
    let mut esme = bind(daemon, "bank", 0x50);
    let both = Broadcast { areas: &["Dublin", "Cork"], reference: Some(7), ..PLAIN };
    let (id, tlvs) = broadcast(&mut esme, &both.encode());
    assert_eq!((id.len(), tlvs), (16, Vec::new()));
    let (pdu, receipt) = esme.delivery();
    esme.respond(&pdu, ESME_ROK);
    assert_eq!((receipt.receipted_id(), receipt.dest.as_str()), (id, "ALERTS"));
    assert!(
        receipt.text().contains("stat:DELIVRD") && receipt.text().ends_with("road closed"),
        "{receipt:?}"
    );
    let (_, tlvs) = query(&mut esme, "", Some(7));
    let end = tlvs.iter().find(|tlv| tlv.0 == BROADCAST_END_TIME).expect("an end").1.clone();
    assert!(end.len() == 16 && end.ends_with(b"+"), "{end:?}");
    let expected = [
        (MESSAGE_STATE, vec![2]),
        (BROADCAST_AREA_IDENTIFIER, b"\0Dublin".to_vec()),
        (BROADCAST_AREA_SUCCESS, vec![100]),
        (BROADCAST_AREA_IDENTIFIER, b"\0Cork".to_vec()),
        (BROADCAST_AREA_SUCCESS, vec![0]),
        (BROADCAST_END_TIME, end),
        (USER_MESSAGE_REFERENCE, vec![0, 7]),
    ];
    assert_eq!(tlvs, expected);
    // Nowhere at all.
    let (id, _) = broadcast(&mut esme, &Broadcast { areas: &["Cork"], ..PLAIN }.encode());
    assert!(esme.take_delivery().text().contains("stat:UNDELIV"));
    await_state(&mut esme, &id, 5);
    daemon.await_stats(&[
        ("/accounts/bank/submitted", 2),
        ("/accounts/bank/accepted", 2),
        ("/messages/delivered", 1),
        ("/messages/undeliverable", 1),
        ("/messages/pending", 0),
    ]);
}

fn areas_that_are_not_served_are_named(daemon: &Daemon) {
    let mut esme = bind(daemon, "demo", 0x50);
    let body = Broadcast { areas: &["Atlantis", "Dublin"], ..LONG }.encode();
    // An ellipsoid arc besides.
    let body = [body, tlv(BROADCAST_AREA_IDENTIFIER, &[1, 9, 9])].concat();
    let (id, tlvs) = broadcast(&mut esme, &body);
    let expected = [
        (BROADCAST_AREA_IDENTIFIER, b"\0Atlantis".to_vec()),
        (BROADCAST_ERROR_STATUS, ESME_RINVBCASTALIAS_NAME.to_be_bytes().to_vec()),
        (BROADCAST_AREA_IDENTIFIER, vec![1, 9, 9]),
        (BROADCAST_ERROR_STATUS, ESME_RINVBCASTAREAFMT.to_be_bytes().to_vec()),
    ];
    assert_eq!(tlvs, expected);
    // All that were named are told of.
    let (_, tlvs) = query(&mut esme, &id, None);
    assert_eq!(tlvs.iter().filter(|tlv| tlv.0 == BROADCAST_AREA_SUCCESS).count(), 3);
    let nowhere = Broadcast { areas: &["Atlantis"], ..LONG }.encode();
    assert_eq!(status(&mut esme, BROADCAST_SM, &nowhere), ESME_RINVBCASTALIAS_NAME);
    daemon.await_stats(&[("/messages/accepted", 1), ("/messages/rejected", 1), ("/messages/pending", 1)]);
}

fn a_shape_means_the_areas_in_it(daemon: &Daemon) {
    let mut esme = bind(daemon, "demo", 0x50);
    // 53 and 54 degrees North, 7 and 6 West, as 3GPP 23.032 section 6.1 has them: Dublin, and not Cork.
    let (south, north): (&[u8], &[u8]) = (&[0x4B, 0x60, 0xE0], &[0x4C, 0xCC, 0xCC]);
    let (west, east): (&[u8], &[u8]) = (&[0xFB, 0x05, 0xB0], &[0xFB, 0xBB, 0xBB]);
    let corners = [south, west, north, west, north, east, south, east].concat();
    let dublin = [&[0x02, 0x54][..], &corners].concat();
    // Up to 1,800 km around a corner of that, in all directions: both.
    let both = [&[0x01, 0xA0][..], south, west, &[0, 0, 127, 0, 179, 95]].concat();
    for (shape, success) in [(&dublin, 100), (&both, 50)] {
        let body =
            [Broadcast { areas: &[], ..PLAIN }.encode(), tlv(BROADCAST_AREA_IDENTIFIER, shape)].concat();
        let (id, tlvs) = broadcast(&mut esme, &body);
        assert_eq!(tlvs, []);
        let tlvs = await_state(&mut esme, &id, 2);
        assert!(tlvs.contains(&(BROADCAST_AREA_IDENTIFIER, shape.clone())), "{tlvs:02x?}");
        assert!(tlvs.contains(&(BROADCAST_AREA_SUCCESS, vec![success])), "{tlvs:02x?}");
    }
    // Over the ocean there is nothing; and a polygon has three points at least.
    let nothing = [&[0x02, 0x53, 0, 0, 0, 0, 0, 0][..], &corners[..3], &[0; 9]].concat();
    let two_points = [&[0x02, 0x52][..], &corners[..12]].concat();
    for (shape, refusal) in [(&nothing, ESME_RBCASTFAIL), (&two_points, ESME_RINVBCASTAREAFMT)] {
        let body =
            [Broadcast { areas: &[], ..PLAIN }.encode(), tlv(BROADCAST_AREA_IDENTIFIER, shape)].concat();
        assert_eq!(status(&mut esme, BROADCAST_SM, &body), refusal);
    }
}

fn it_is_cancelled_by_id_and_by_group(daemon: &Daemon) {
    let mut esme = bind(daemon, "demo", 0x50);
    let (id, _) = broadcast(&mut esme, &LONG.encode());
    let tlvs = await_state(&mut esme, &id, 1);
    assert_eq!(tlvs.len(), 3);
    assert_eq!(status(&mut esme, CANCEL_BROADCAST_SM, &cancel_body("", &id, &[])), ESME_ROK);
    assert_eq!(state(&query(&mut esme, &id, None).1), 4);
    let again = status(&mut esme, CANCEL_BROADCAST_SM, &cancel_body("", &id, &[]));
    assert_eq!(again, ESME_RBCASTCANCELFAIL);
    // The group: by service_type, and by content type.
    let weather = Broadcast { service_type: "WTHR", schedule: "000001000000000R", ..LONG };
    let (weather, _) = broadcast(&mut esme, &weather.encode());
    let (roads, _) = broadcast(&mut esme, &LONG.encode());
    assert_eq!(state(&query(&mut esme, &weather, None).1), 0, "scheduled");
    assert_eq!(status(&mut esme, CANCEL_BROADCAST_SM, &cancel_body("WTHR", "", &[])), ESME_ROK);
    let states = [&weather, &roads].map(|id| state(&query(&mut esme, id, None).1));
    assert_eq!(states, [4, 1]);
    let other = tlv(0x0601, &[0, 0, 0x31]);
    let status_of_other = status(&mut esme, CANCEL_BROADCAST_SM, &cancel_body("", "", &other));
    assert_eq!(status_of_other, ESME_RBCASTCANCELFAIL);
    let same = tlv(0x0601, &[0, 0, 0x30]);
    assert_eq!(status(&mut esme, CANCEL_BROADCAST_SM, &cancel_body("", "", &same)), ESME_ROK);
    assert_eq!(state(&query(&mut esme, &roads, None).1), 4);
    daemon.await_stats(&[("/messages/deleted", 3), ("/messages/pending", 0)]);
}

fn it_is_replaced_by_id_and_by_reference(daemon: &Daemon) {
    let mut esme = bind(daemon, "demo", 0x50);
    let (id, _) = broadcast(&mut esme, &Broadcast { reference: Some(9), ..LONG }.encode());
    await_state(&mut esme, &id, 1);
    let by_id = Broadcast { message_id: &id, replace: 1, areas: &["Cork"], ..LONG };
    assert_eq!(broadcast(&mut esme, &by_id.encode()).0, id);
    assert_eq!(query(&mut esme, &id, None).1[1].1, b"\0Cork");
    let nothing = Broadcast { replace: 1, reference: Some(9), ..LONG };
    assert_eq!(status(&mut esme, BROADCAST_SM, &nothing.encode()), ESME_RBCASTFAIL, "its reference is gone");
    let by_id = Broadcast { message_id: &id, replace: 1, ..LONG };
    broadcast(&mut esme, &by_id.encode());
    let unknown = Broadcast { message_id: "0000000000000000", replace: 1, ..LONG };
    assert_eq!(status(&mut esme, BROADCAST_SM, &unknown.encode()), ESME_RINVMSGID);
    let (second, _) = broadcast(&mut esme, &Broadcast { reference: Some(10), ..LONG }.encode());
    let by_reference = Broadcast { replace: 1, reference: Some(10), areas: &["Cork"], ..LONG };
    assert_eq!(broadcast(&mut esme, &by_reference.encode()).0, second);
    daemon.await_stats(&[("/messages/accepted", 5), ("/messages/deleted", 3), ("/messages/pending", 2)]);
}

fn only_5_0_has_it_and_only_its_own(daemon: &Daemon) {
    let mut esme = bind(daemon, "demo", 0x50);
    let (id, _) = broadcast(&mut esme, &Broadcast { reference: Some(3), ..LONG }.encode());
    for version in [0x33, 0x34] {
        let mut old = bind(daemon, "demo", version);
        assert_eq!(status(&mut old, BROADCAST_SM, &LONG.encode()), ESME_RINVCMDID);
        assert_eq!(status(&mut old, QUERY_BROADCAST_SM, &query_body(&id, None)), ESME_RINVCMDID);
        assert_eq!(status(&mut old, CANCEL_BROADCAST_SM, &cancel_body("", &id, &[])), ESME_RINVCMDID);
    }
    let mut other = bind(daemon, "bank", 0x50);
    assert_eq!(status(&mut other, QUERY_BROADCAST_SM, &query_body(&id, None)), ESME_RINVMSGID);
    assert_eq!(status(&mut other, QUERY_BROADCAST_SM, &query_body("", Some(3))), ESME_RBCASTQUERYFAIL);
    assert_eq!(status(&mut other, CANCEL_BROADCAST_SM, &cancel_body("", &id, &[])), ESME_RINVMSGID);
    assert_eq!(status(&mut other, CANCEL_BROADCAST_SM, &cancel_body("", "", &[])), ESME_RBCASTCANCELFAIL);
    let replace = Broadcast { message_id: &id, replace: 1, ..LONG };
    assert_eq!(status(&mut other, BROADCAST_SM, &replace.encode()), ESME_RINVMSGID);
    await_state(&mut esme, &id, 1);
}

fn what_is_wrong_has_its_status(daemon: &Daemon) {
    let mut esme = bind(daemon, "demo", 0x50);
    let no_areas = Broadcast { areas: &[], ..PLAIN };
    assert_eq!(status(&mut esme, BROADCAST_SM, &no_areas.encode()), ESME_RMISSINGTLV);
    let interval = Broadcast { interval: [0x0F, 0, 1], ..PLAIN };
    assert_eq!(status(&mut esme, BROADCAST_SM, &interval.encode()), ESME_RINVBCASTFREQINT);
    let twice = Broadcast { message_id: "1", replace: 1, reference: Some(1), ..PLAIN };
    assert_eq!(status(&mut esme, BROADCAST_SM, &twice.encode()), 0xC1);
    for (extra, expected) in
        [(tlv(0x0600, &[2]), 0x112), (tlv(0x0603, &[4]), 0x10C), (tlv(0x0604, &[1]), 0xC2)]
    {
        let body = [PLAIN.encode(), extra].concat();
        assert_eq!(status(&mut esme, BROADCAST_SM, &body), expected);
    }
    let full = PLAIN.encode();
    assert_eq!(status(&mut esme, BROADCAST_SM, &full[..10]), 0x02);
    assert_eq!(status(&mut esme, QUERY_BROADCAST_SM, b"x"), 0x02);
    esme.enquire();
    daemon.await_stats(&[("/messages/accepted", 0), ("/messages/pending", 0)]);
}

/// Killed between two rounds: it goes on.
#[test]
fn a_broadcast_goes_on_after_a_restart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start = || Daemon::start_on(Some(folder.path()), crate::CONFIG, crate::support::Layout::ONE_BY_THREE);
    let mut daemon = start();
    let mut esme = bind(&daemon, "demo", 0x50);
    let (id, _) = broadcast(&mut esme, &Broadcast { rounds: 2, ..PLAIN }.encode());
    daemon.kill();
    let daemon = start();
    let mut esme = bind(&daemon, "demo", 0x50);
    let tlvs = await_state(&mut esme, &id, 2);
    assert_eq!(tlvs[2], (BROADCAST_AREA_SUCCESS, vec![100]));
}
