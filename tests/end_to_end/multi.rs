//! submit_multi: many destinations, distribution lists, partial success, and counts that do not match.

use crate::on_every_layout;
use crate::support::Daemon;
use crate::support::esme::*;

const ESME_RINVNUMDESTS: u32 = 0x33;
const ESME_RINVDLNAME: u32 = 0x34;
const ESME_RINVDESTFLAG: u32 = 0x40;
const ESME_RCNTSUBDL: u32 = 0x44;

on_every_layout! {
    a_hundred_destinations_have_one_id_and_a_receipt_each,
    the_most_destinations_of_a_request,
    lists_are_resolved_and_unknown_ones_named,
    some_fail_and_the_others_are_sent,
    counts_that_do_not_match_have_their_status,
    another_account_gets_its_message,
    a_part_that_a_submission_replaces_is_a_message_of_its_own,
}

/// One destination address.
fn address(digits: &str) -> Vec<u8> {
    [&[1, 1, 1], digits.as_bytes(), &[0]].concat()
}

/// One distribution list.
fn list(name: &str) -> Vec<u8> {
    [&[2], name.as_bytes(), &[0]].concat()
}

/// A submit_multi's body with these destinations and this count.
fn body_with(count: u8, destinations: &[Vec<u8>], registered_delivery: u8, text: &str) -> Vec<u8> {
    let mut body = vec![0, 1, 1];
    body.extend(b"12345\0");
    body.push(count);
    body.extend(destinations.concat());
    body.extend([0, 0, 0, 0, 0, registered_delivery, 0, 0, 0, text.len() as u8]);
    body.extend(text.as_bytes());
    body
}

fn body(destinations: &[Vec<u8>], registered_delivery: u8) -> Vec<u8> {
    body_with(destinations.len() as u8, destinations, registered_delivery, "to many")
}

/// The id of a response, and the refused destinations with their status.
fn decode(response: &Pdu) -> (String, Vec<(String, u32)>) {
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).expect("text");
    let nul = |octets: &[u8]| octets.iter().position(|&octet| octet == 0).expect("a NUL");
    let end = nul(&response.body);
    let id = text(&response.body[..end]);
    let mut rest = &response.body[end + 2..];
    let mut refused = Vec::new();
    for _ in 0..response.body[end + 1] {
        let end = 2 + nul(&rest[2..]);
        let status = u32::from_be_bytes(rest[end + 1..end + 5].try_into().expect("four octets"));
        refused.push((text(&rest[2..end]), status));
        rest = &rest[end + 5..];
    }
    assert!(rest.is_empty(), "{response:02x?}");
    (id, refused)
}

fn submit(esme: &mut RawEsme, body: &[u8]) -> (String, Vec<(String, u32)>) {
    let sequence = esme.request(SUBMIT_MULTI, body);
    let response = esme.expect(SUBMIT_MULTI | RESP, ESME_ROK);
    assert_eq!(response.sequence, sequence);
    decode(&response)
}

fn refused(esme: &mut RawEsme, body: &[u8]) -> u32 {
    let sequence = esme.request(SUBMIT_MULTI, body);
    let response = esme.receive();
    assert_eq!((response.id, response.sequence, response.body.len()), (SUBMIT_MULTI | RESP, sequence, 0));
    response.status
}

fn receipts_come(esme: &mut RawEsme, id: &str, mut expected: Vec<String>) {
    let mut found: Vec<String> = (0..expected.len())
        .map(|_| {
            let receipt = esme.take_delivery();
            assert_eq!(receipt.receipted_id(), id);
            assert!(receipt.text().starts_with(&format!("id:{id} ")), "{receipt:?}");
            receipt.source
        })
        .collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

fn a_hundred_destinations_have_one_id_and_a_receipt_each(daemon: &Daemon) {
    let mut esme = daemon.bind(Mode::Transceiver);
    let to: Vec<String> = (0..100).map(|n| format!("4470{n:03}")).collect();
    let destinations: Vec<_> = to.iter().map(|to| address(to)).collect();
    let (id, refused) = submit(&mut esme, &body(&destinations, 1));
    assert_eq!((id.len(), refused.len()), (16, 0));
    receipts_come(&mut esme, &id, to);
    esme.enquire();
    daemon.await_stats(&[
        ("/messages/submitted", 100),
        ("/messages/accepted", 100),
        ("/messages/receipts_sent", 100),
        ("/messages/pending", 0),
    ]);
    // Found by the one id that the ESME knows.
    let (id, _) = submit(&mut esme, &body(&[address("4451001"), address("4451002")], 0));
    assert_eq!(daemon.get(&format!("/messages/{id}")).json()["destination_addr"], "4451001");
}

fn the_most_destinations_of_a_request(daemon: &Daemon) {
    let mut esme = daemon.bind(Mode::Transceiver);
    let destinations: Vec<_> = (0..254).map(|n| address(&format!("4470{n:03}"))).collect();
    // Several at once, in pieces that are cut anywhere.
    let octets: Vec<u8> = (1..=4).flat_map(|n| pdu(SUBMIT_MULTI, 0, n, &body(&destinations, 0))).collect();
    for piece in octets.chunks(1_001) {
        esme.send(piece);
    }
    let mut ids: Vec<String> =
        (0..4).map(|_| decode(&esme.expect(SUBMIT_MULTI | RESP, ESME_ROK)).0).collect();
    ids.dedup();
    assert_eq!(ids.len(), 4);
    let one_more: Vec<_> = (0..255).map(|n| address(&format!("4470{n:03}"))).collect();
    assert_eq!(refused(&mut esme, &body(&one_more, 0)), ESME_RINVNUMDESTS, "5.0 only");
    daemon.await_stats(&[("/messages/delivered", 4 * 254), ("/messages/pending", 0)]);
    esme.enquire();
}

fn lists_are_resolved_and_unknown_ones_named(daemon: &Daemon) {
    let mut esme = daemon.bind(Mode::Transceiver);
    let destinations = [address("4470001"), list("staff"), list("nobody")];
    let (id, refused_ones) = submit(&mut esme, &body(&destinations, 1));
    assert_eq!(refused_ones, [("nobody".to_owned(), ESME_RINVDLNAME)]);
    receipts_come(&mut esme, &id, ["4470001", "4470101", "4470102", "4470103"].map(String::from).to_vec());
    assert_eq!(refused(&mut esme, &body(&[list("nobody")], 0)), ESME_RINVDLNAME);
    let mut bank = RawEsme::bind(daemon.smpp, Mode::Transceiver, "bank", "secret");
    assert_eq!(refused(&mut bank, &body(&[list("staff")], 0)), ESME_RCNTSUBDL, "another account's");
}

fn some_fail_and_the_others_are_sent(daemon: &Daemon) {
    let mut esme = daemon.bind(Mode::Transceiver);
    let (id, refused_ones) = submit(&mut esme, &body(&[address(""), address("4470001")], 1));
    assert_eq!(refused_ones, [(String::new(), 0x0B)]);
    receipts_come(&mut esme, &id, vec!["4470001".to_owned()]);
    assert_eq!(refused(&mut esme, &body(&[address(""), address("")], 1)), 0x0B, "all for one reason");
    let mixed = body(&[address(""), list("nobody")], 1);
    assert_eq!(refused(&mut esme, &mixed), 0x45, "all, for several");
    // Each destination is a message to the rate: three may come at once.
    let mut limited = RawEsme::bind(daemon.smpp, Mode::Transceiver, "limited", "secret");
    let destinations: Vec<_> = (0..5).map(|n| address(&format!("4470{n:03}"))).collect();
    let (_, refused_ones) = submit(&mut limited, &body(&destinations, 0));
    let statuses: Vec<u32> = refused_ones.iter().map(|refused| refused.1).collect();
    assert_eq!(statuses, [ESME_RTHROTTLED; 2]);
    esme.enquire();
}

fn counts_that_do_not_match_have_their_status(daemon: &Daemon) {
    let mut esme = daemon.bind(Mode::Transceiver);
    let two = [address("4470001"), address("4470002")];
    assert_eq!(refused(&mut esme, &body_with(0, &two, 0, "x")), ESME_RINVNUMDESTS);
    // One more than there are, one fewer, and many more.
    for count in [3, 1, 200] {
        assert_eq!(refused(&mut esme, &body_with(count, &two, 0, "x")), ESME_RINVNUMDESTS, "{count}");
    }
    let long = [address("123456789012345678901")];
    assert_ne!(refused(&mut esme, &body(&long, 0)), ESME_ROK);
    assert_eq!(refused(&mut esme, &body(&[vec![3, 1, 1, 0]], 0)), ESME_RINVDESTFLAG);
    assert_eq!(refused(&mut esme, &[]), ESME_RINVCMDLEN);
    esme.enquire();
    daemon.await_stats(&[("/messages/accepted", 0), ("/messages/pending", 0)]);
}

fn another_account_gets_its_message(daemon: &Daemon) {
    let mut demo = daemon.bind(Mode::Transmitter);
    let mut bank = RawEsme::bind(daemon.smpp, Mode::Transceiver, "bank", "secret");
    // Whichever of them has the request's own id: nothing of ours is in what is delivered.
    for destinations in [[address("777"), address("4470001")], [address("4470001"), address("777")]] {
        submit(&mut demo, &body(&destinations, 0));
        assert_eq!(bank.take_delivery(), Sm::new("12345", "777", "to many"));
    }
}

/// More destinations than there are shards: of two on one shard, one goes by the request's id and one by its own.
const TO: [&str; 4] = ["777", "555001", "555002", "555003"];

/// Submits to all of [`TO`], for an hour later.
fn submit_for_later(esme: &mut RawEsme) -> String {
    let mut body = vec![0, 1, 1];
    body.extend(b"12345\0\x04");
    body.extend(TO.map(address).concat());
    body.extend([&b"\0\0\0"[..], b"000000010000000R\0\0\x01\0\0\0\x02hi"].concat());
    submit(esme, &body).0
}

/// What replaces one of them.
fn replacement(dest: &str) -> Sm {
    let tlvs = vec![(USER_MESSAGE_REFERENCE, vec![1, 2]), (0x1401, b"passed on as it is".to_vec())];
    Sm { replace_if_present: 1, tlvs, ..Sm::with_receipt("12345", dest, "instead") }
}

/// Its receipt has its id, and not anything that was read out of its TLVs.
fn receipt_comes(esme: &mut RawEsme, id: &str) {
    let receipt = esme.take_delivery();
    assert_eq!(receipt.receipted_id(), id);
    assert_eq!(receipt.tlv(RECEIPTED_MESSAGE_ID), Some([id.as_bytes(), &[0]].concat().as_slice()));
    assert_eq!(receipt.tlv(USER_MESSAGE_REFERENCE), Some(&[1, 2][..]));
}

fn a_part_that_a_submission_replaces_is_a_message_of_its_own(daemon: &Daemon) {
    let mut bank = RawEsme::bind(daemon.smpp, Mode::Receiver, "bank", "secret");
    let mut esme = daemon.bind(Mode::Transmitter);
    submit_for_later(&mut esme);
    esme.unbind();
    let mut esme = daemon.bind(Mode::Transceiver);
    let mut ids: Vec<String> = Vec::new();
    for dest in TO {
        let sm = replacement(dest);
        ids.push(esme.submit(&sm));
        let delivered = if dest == "777" { bank.take_delivery() } else { esme.take_delivery() };
        assert_eq!(delivered, Sm { replace_if_present: 0, registered_delivery: 0, ..sm });
        receipt_comes(&mut esme, &ids[ids.len() - 1]);
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), TO.len(), "each has an id of its own");
    daemon.await_stats(&[("/messages/pending", 0), ("/messages/receipts_pending", 0)]);
}

/// The store has it as a message of its own too.
#[test]
fn a_part_that_was_replaced_keeps_its_own_id_after_a_restart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start = || Daemon::start_on(Some(folder.path()), crate::CONFIG, crate::support::Layout::ONE_BY_ONE);
    let mut daemon = start();
    let mut esme = daemon.bind(Mode::Transmitter);
    submit_for_later(&mut esme);
    let later = |dest: &str| Sm { schedule: "000000010000000R".to_owned(), ..replacement(dest) };
    let ids = TO.map(|dest| esme.submit(&later(dest)));
    daemon.kill();
    let daemon = start();
    let _bank = RawEsme::bind(daemon.smpp, Mode::Receiver, "bank", "secret");
    let mut esme = daemon.bind(Mode::Transceiver);
    for (id, dest) in ids.iter().zip(TO) {
        assert_eq!(daemon.get(&format!("/messages/{id}")).json()["destination_addr"], dest);
        esme.request(CANCEL_SM, &[b"\0", id.as_bytes(), b"\0\x01\x0112345\0\0\0\0"].concat());
        esme.expect(CANCEL_SM | RESP, ESME_ROK);
        receipt_comes(&mut esme, id);
    }
    daemon.await_stats(&[("/messages/pending", 0), ("/messages/deleted", 4)]);
}

/// Killed with receipts and attempts outstanding: the receipts still name the request.
#[test]
fn receipts_name_the_request_after_a_restart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start = || Daemon::start_on(Some(folder.path()), crate::CONFIG, crate::support::Layout::ONE_BY_THREE);
    let mut daemon = start();
    let mut esme = daemon.bind(Mode::Transmitter);
    let to: Vec<String> = (0..20).map(|n| format!("4470{n:03}")).collect();
    let destinations: Vec<_> = to.iter().map(|to| address(to)).collect();
    let (id, _) = submit(&mut esme, &body(&destinations, 1));
    daemon.kill();
    let daemon = start();
    let mut esme = daemon.bind(Mode::Transceiver);
    receipts_come(&mut esme, &id, to);
    let (next, _) = submit(&mut esme, &body(&destinations, 0));
    assert_ne!(next, id);
    esme.enquire();
}
