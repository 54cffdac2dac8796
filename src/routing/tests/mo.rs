//! MO messages, messages from ESME to ESME, and who owns which address.

use super::*;
use crate::smpp::{EsmClass, TlvTag, TlvWriter};

/// Bob owns 7000 and everything from 80 on; Alice may claim by address_range.
fn owners() -> Bench {
    Bench::new(ShardSettings {
        accounts: vec![
            AccountRouting { claims_by_address_range: true, ..AccountRouting::default() },
            AccountRouting {
                addresses: vec![b"7000".to_vec()],
                prefixes: vec![b"80".to_vec()],
                ..AccountRouting::default()
            },
        ],
        ..settings()
    })
}

fn range(session: SessionHandle, account: AccountId, address_range: &[u8]) -> Bound<'_> {
    Bound {
        session,
        account,
        version: InterfaceVersion::V34,
        receives: true,
        deliver_credit: 10,
        address_range,
    }
}

fn inject(bench: &mut Bench, destination_addr: &[u8]) -> Result<MessageId, MoRefused> {
    let mo = Mo {
        source_addr: b"447700900123",
        destination_addr,
        data_coding: 8,
        esm_class: 0x40,
        short_message: b"\x05\x00\x03\x01\x02\x01\0H",
    };
    let result = bench.shard.inject_mo(&mo, bench.now, &mut bench.out);
    bench.turn();
    result.map(MoOutcome::message_id)
}

#[test]
fn an_mo_message_reaches_the_owner() {
    let mut bench = owners();
    bench.bind(session(1), BOB, 10);
    let id = inject(&mut bench, b"7000").unwrap();
    let delivery = bench.delivery();
    let mo = delivery.sm();
    assert_eq!(delivery.to, session(1));
    assert_eq!((mo.source_addr, mo.destination_addr), (&b"447700900123"[..], &b"7000"[..]));
    assert_eq!((mo.source_addr_ton, mo.source_addr_npi, mo.data_coding), (1, 1, 8));
    assert_eq!((mo.esm_class, mo.short_message), (EsmClass(0x40), &b"\x05\x00\x03\x01\x02\x01\0H"[..]));
    assert_eq!(bench.shard.query(id, bench.now).unwrap().state, MessageState::Enroute);
    bench.pass(40);
    bench.accept(&delivery);
    assert!(bench.out.facts.contains(&Fact::MoAccepted { account: BOB }));
    assert!(bench.out.facts.contains(&Fact::MoDelivered { account: BOB, nanos: 40_000_000 }));
    assert_eq!(bench.shard.query(id, bench.now).unwrap().state, MessageState::Delivered);
    bench.assert_drained();
}

#[test]
fn it_waits_for_a_bind_and_expires_without_one() {
    let mut bench = owners();
    inject(&mut bench, b"8012").unwrap();
    bench.pass(1_000_000);
    bench.bind(session(1), BOB, 10);
    bench.turn();
    let delivery = bench.delivery();
    bench.result(&delivery, DeliveryResult::TimedOut);
    bench.unbind(session(1));
    bench.pass(3_600_000);
    assert!(bench.out.facts.contains(&Fact::MoFailed { account: BOB }));
    bench.assert_drained();
}

#[test]
fn a_refusal_for_good_fails_it() {
    let mut bench = owners();
    bench.bind(session(1), BOB, 10);
    let id = inject(&mut bench, b"7000").unwrap();
    let delivery = bench.delivery();
    bench.result(&delivery, DeliveryResult::Answered(CommandStatus::ESME_RX_R_APPN));
    assert!(bench.out.facts.contains(&Fact::MoFailed { account: BOB }));
    assert_eq!(bench.shard.query(id, bench.now).unwrap().state, MessageState::Rejected);
    bench.assert_drained();
}

#[test]
fn without_owner_or_room_it_is_refused() {
    let mut bench = owners();
    assert_eq!(inject(&mut bench, b"9999"), Err(MoRefused::NoOwner));
    for _ in 0..100 {
        inject(&mut bench, b"7000").unwrap();
    }
    assert_eq!(inject(&mut bench, b"7000"), Err(MoRefused::Full));
}

#[test]
fn what_the_network_brings_is_taken_when_it_arrives() {
    let mut bench = owners();
    bench.bind(session(1), BOB, 10);
    let at = bench.now.mono.plus_millis(500);
    bench.shard.network.arrivals.push_back((at, "447700900001", "7000", "one"));
    bench.shard.network.arrivals.push_back((at, "447700900002", "9999", "two"));
    assert_eq!(bench.shard.next_deadline(), Some(at));
    bench.pass(499);
    assert!(bench.deliveries().is_empty());
    bench.pass(1);
    assert_eq!(bench.delivery().text(), "one");
    assert!(bench.out.facts.contains(&Fact::MoRefused(MoRefused::NoOwner)));
}

#[test]
fn configured_owners_come_before_claims_by_address_range() {
    let mut bench = owners();
    bench.bind_as(range(session(0), ALICE, b"70"));
    bench.bind_as(range(session(2), ALICE, b"^9[12]$"));
    bench.bind_as(range(session(1), BOB, b"60"));
    for (destination, slot) in [(&b"7000"[..], 1), (b"8012", 1), (b"7001", 0)] {
        inject(&mut bench, destination).unwrap();
        let delivery = bench.delivery();
        let expected = if slot == 1 { BOB } else { ALICE };
        let account = if delivery.to == session(1) { BOB } else { ALICE };
        assert_eq!(account, expected, "{destination:?}");
    }
    inject(&mut bench, b"92").unwrap();
    assert_ne!(bench.delivery().to, session(1));
    // Bob may not claim, and a pattern is no prefix.
    for destination in [&b"60"[..], b"921", b"5"] {
        assert_eq!(inject(&mut bench, destination), Err(MoRefused::NoOwner));
    }
    // A claim ends with its bind.
    bench.unbind(session(0));
    assert_eq!(inject(&mut bench, b"7001"), Err(MoRefused::NoOwner));
}

#[test]
fn a_bad_address_range_is_no_range() {
    let mut bench = owners();
    bench.bind_as(range(session(0), ALICE, b"*"));
    assert_eq!(bench.out.facts, [Fact::BadAddressRange { account: ALICE }]);
    assert_eq!(inject(&mut bench, b"1"), Err(MoRefused::NoOwner));
    finish_receipt(&mut bench);
}

/// The session is bound all the same.
fn finish_receipt(bench: &mut Bench) {
    bench.submit(session(0), sm(1));
    bench.turn();
    assert_eq!(bench.delivery().to, session(0));
}

#[test]
fn an_mt_message_to_an_owned_address_goes_to_its_esme_and_its_receipt_back() {
    let mut bench = owners();
    bench.bind(session(0), ALICE, 10);
    bench.bind(session(1), BOB, 10);
    let mut buffer = [0; 16];
    let mut tlvs = TlvWriter::new(&mut buffer);
    assert!(tlvs.push(TlvTag::USER_MESSAGE_REFERENCE, &[0, 9]));
    let sm = SubmitSm {
        destination_addr: b"7000",
        esm_class: EsmClass(0x43),
        validity_period: b"000000010000000R",
        data_coding: 4,
        tlvs: tlvs.tlvs(),
        ..sm(0x0D)
    };
    let id = bench.submit(session(0), sm);
    bench.turn();
    let delivery = bench.delivery();
    let forwarded = delivery.sm();
    assert_eq!(delivery.to, session(1));
    assert!(bench.shard.network.attempts.is_empty());
    assert_eq!((forwarded.source_addr, forwarded.destination_addr), (&b"ACME"[..], &b"7000"[..]));
    assert_eq!((forwarded.esm_class, forwarded.data_coding), (EsmClass(0x40), 4));
    // Of registered_delivery, only what concerns the recipient goes along.
    assert_eq!((forwarded.registered_delivery.0, forwarded.validity_period), (0x0C, &b""[..]));
    assert_eq!(forwarded.tlvs.u16(TlvTag::USER_MESSAGE_REFERENCE), Some(9));
    bench.accept(&delivery);
    bench.turn();
    assert_eq!(bench.out.finals(), [MessageState::Delivered]);
    let receipt = bench.delivery();
    assert_eq!(receipt.to, session(0));
    assert!(receipt.text().starts_with(&format!("id:{id} ")));
    bench.accept(&receipt);
    bench.assert_drained();
}

#[test]
fn an_esme_that_refuses_for_good_makes_it_rejected() {
    let mut bench = owners();
    bench.bind(session(1), BOB, 10);
    bench.submit(session(0), SubmitSm { destination_addr: b"7000", ..sm(0) });
    bench.turn();
    let delivery = bench.delivery();
    bench.result(&delivery, DeliveryResult::Answered(CommandStatus::ESME_RX_P_APPN));
    assert_eq!(bench.out.finals(), [MessageState::Rejected]);
    bench.assert_drained();
}

#[test]
fn nobody_bound_until_the_validity_ends_makes_it_expired() {
    let mut bench = owners();
    bench.submit(session(0), SubmitSm { destination_addr: b"7000", ..sm(0) });
    bench.pass(3_599_999);
    assert!(bench.out.finals().is_empty());
    bench.pass(1);
    assert_eq!(bench.out.finals(), [MessageState::Expired]);
    bench.assert_drained();
}

/// Submits a payload to 7000 towards a 3.3 session, accepts every delivery, and returns the short_messages.
fn parts(bench: &mut Bench, data_coding: u8, esm_class: u8, payload: &[u8]) -> Vec<Vec<u8>> {
    let mut buffer = vec![0; payload.len() + 4];
    let mut tlvs = TlvWriter::new(&mut buffer);
    assert!(tlvs.push(TlvTag::MESSAGE_PAYLOAD, payload));
    let esm_class = EsmClass(esm_class);
    let tlvs = tlvs.tlvs();
    let sm =
        SubmitSm { destination_addr: b"7000", short_message: b"", data_coding, esm_class, tlvs, ..sm(0) };
    bench.submit(session(0), sm);
    bench.turn();
    let mut parts = Vec::new();
    // One at a time: the next follows its answer at once.
    while let [delivery] = &bench.deliveries()[..] {
        assert!(bench.out.finals().is_empty());
        assert!(delivery.sm().tlvs.is_empty());
        assert_eq!(delivery.sm().esm_class.has_udh(), delivery.sm().short_message.len() < 200);
        parts.push(delivery.sm().short_message.to_vec());
        bench.accept(delivery);
    }
    parts
}

fn old_receiver() -> Bench {
    let mut bench = owners();
    bench.bind_as(Bound { version: InterfaceVersion::V33, ..range(session(1), BOB, b"") });
    bench
}

#[test]
fn a_payload_that_a_3_3_peer_cannot_take_goes_in_parts() {
    let mut escaped = vec![b'x'; 400];
    escaped[152] = 0x1B;
    let mut surrogates = [0x04, 0x1F].repeat(150);
    surrogates[132..136].copy_from_slice(&[0xD8, 0x3D, 0xDE, 0x00]);
    let with_ports = [&b"\x06\x05\x04\x0B\x84\x23\xF0"[..], &[7; 260]].concat();
    for (data_coding, esm_class, payload, own, lens) in [
        (0, 0, vec![b'x'; 254], 0, vec![254]),
        (0, 0, vec![b'x'; 255], 0, vec![153, 102]),
        (0, 0, vec![b'x'; 306], 0, vec![153, 153]),
        (0, 0, escaped, 0, vec![152, 153, 95]),
        (8, 0, surrogates, 0, vec![132, 134, 34]),
        (4, 0, vec![9; 300], 0, vec![134, 134, 32]),
        (4, 0x40, with_ports, 6, vec![128, 128, 4]),
    ] {
        let mut bench = old_receiver();
        let parts = parts(&mut bench, data_coding, esm_class, &payload);
        if let [whole] = &parts[..] {
            assert_eq!((whole, lens.len()), (&payload, 1));
        } else {
            let own_elements = if own > 0 { &payload[1..=own] } else { &[][..] };
            let mut text = payload[if own > 0 { own + 1 } else { 0 }..].to_vec();
            for (n, (part, len)) in parts.iter().zip(&lens).enumerate() {
                let head = [5 + own as u8, 0, 3, parts[0][3], lens.len() as u8, n as u8 + 1];
                assert_eq!((&part[..6], &part[6..6 + own]), (&head[..], own_elements));
                assert_eq!(part[6 + own..], text[..*len]);
                text.drain(..len);
            }
            assert_eq!((parts.len(), text.len()), (lens.len(), 0));
        }
        assert_eq!(bench.out.finals(), [MessageState::Delivered]);
        bench.assert_drained();
    }
}

#[test]
fn a_packed_text_is_cut_between_septets_and_each_part_reads_by_itself() {
    use crate::smpp::text::{DefaultAlphabet, gsm, packing};
    const PACKED: DefaultAlphabet = DefaultAlphabet::GsmPacked;
    let text = |len: usize| (0..len).map(|n| char::from(b'a' + (n % 23) as u8)).collect::<String>();
    // An escape at the cut, and what would read as padding there, in the first part or in the last.
    let at = |len: usize, place: usize, what: &str| {
        let mut text = text(len);
        text.replace_range(place..=place, what);
        text
    };
    for (text, own, lens) in [
        (text(306), &b""[..], vec![140, 140]),
        (text(300), b"", vec![140, 135]),
        (at(306, 152, "\u{20ac}"), b"", vec![140, 140, 8]),
        (at(306, 152, "@"), b"", vec![140, 140, 7]),
        (at(307, 152, "\r"), b"", vec![140, 140, 8]),
        (text(300), b"\x06\x05\x04\x0B\x84\x23\xF0", vec![140, 140, 20]),
    ] {
        let septets = gsm::encode(&text).unwrap();
        let esm_class = if own.is_empty() { 0 } else { 0x40 };
        let payload = [own, &packing::pack(&septets, own.len())].concat();
        let mut bench = old_receiver();
        let mut settings = bench.shard.settings.clone();
        settings.accounts[usize::from(ALICE.0)].default_alphabet = PACKED;
        bench.shard =
            Shard::new(settings, SlowStore::new(100), ScriptedNetwork::default(), bench.now.wall).unwrap();
        bench.bind_as(Bound { version: InterfaceVersion::V33, ..range(session(1), BOB, b"") });
        let parts = parts(&mut bench, 0, esm_class, &payload);
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), lens, "{text}");
        let read = |part: &Vec<u8>| PACKED.text_of(part, 0, EsmClass(0x40)).unwrap();
        assert_eq!(parts.iter().map(read).collect::<String>(), text);
        bench.assert_drained();
    }
}

#[test]
fn what_cannot_be_split_for_a_3_3_peer_is_undeliverable() {
    let concatenated = [&b"\x05\x00\x03\x01\x02\x01"[..], &[b'x'; 260]].concat();
    for (data_coding, esm_class, payload) in
        [(0, 0x40, concatenated), (0, 0x40, vec![0xFF; 255]), (4, 0, vec![9; 255 * 134 + 1])]
    {
        let mut bench = old_receiver();
        assert!(parts(&mut bench, data_coding, esm_class, &payload).is_empty());
        assert_eq!(bench.out.finals(), [MessageState::Undeliverable]);
        bench.assert_drained();
    }
    let mut bench = old_receiver();
    assert_eq!(parts(&mut bench, 4, 0, &[9; 255 * 134]).len(), 255);
    bench.assert_drained();
}

#[test]
fn parts_go_on_where_they_were_and_end_with_a_refusal() {
    let mut bench = old_receiver();
    let mut buffer = [0; 600];
    let mut tlvs = TlvWriter::new(&mut buffer);
    assert!(tlvs.push(TlvTag::MESSAGE_PAYLOAD, &[b'x'; 500]));
    let sm = SubmitSm { destination_addr: b"7000", short_message: b"", tlvs: tlvs.tlvs(), ..sm(0) };
    let number = |delivery: &Delivery| delivery.sm().short_message[5];
    bench.submit(session(0), sm);
    bench.turn();
    let first = bench.delivery();
    bench.accept(&first);
    let second = bench.delivery();
    assert_eq!((number(&first), number(&second)), (1, 2));
    // A doubled answer to the first says nothing of the second.
    bench.result(&first, DeliveryResult::Answered(CommandStatus::ESME_ROK));
    assert_eq!(bench.out.facts.last(), Some(&Fact::StaleToken));
    bench.result(&second, DeliveryResult::Answered(CommandStatus::ESME_RMSGQFUL));
    bench.pass(7_000);
    let again = bench.delivery();
    assert_eq!(again.sm().short_message, second.sm().short_message);
    bench.unbind(session(1));
    bench.bind_as(Bound { version: InterfaceVersion::V33, ..range(session(2), BOB, b"") });
    bench.turn();
    let again = bench.delivery();
    assert_eq!((again.to, number(&again)), (session(2), 2));
    bench.result(&again, DeliveryResult::Answered(CommandStatus::ESME_RX_P_APPN));
    assert_eq!(bench.out.finals(), [MessageState::Rejected]);
    bench.assert_drained();
}

#[test]
fn an_address_has_one_owner() {
    let account = |addresses: &[&[u8]], prefixes: &[&[u8]]| AccountRouting {
        addresses: addresses.iter().map(|a| a.to_vec()).collect(),
        prefixes: prefixes.iter().map(|p| p.to_vec()).collect(),
        ..AccountRouting::default()
    };
    let build = |accounts| {
        let settings = ShardSettings { accounts, ..settings() };
        Shard::new(settings, SlowStore::new(1), ScriptedNetwork::default(), WallTime::default()).map(|_| ())
    };
    let twice = |what, text: &str| Err(SettingsError::OwnedTwice { what, text: text.into() });
    assert_eq!(build(vec![account(&[b"1"], &[]), account(&[b"1"], &[])]), twice("address", "1"));
    assert_eq!(build(vec![account(&[], &[b"44"]), account(&[], &[b"44"])]), twice("prefix", "44"));
    assert_eq!(build(vec![account(&[b"1", b"1"], &[b"1"]), account(&[], &[b"11"])]), Ok(()));
}

#[test]
fn of_an_accounts_sessions_the_one_whose_range_has_the_address_comes_first() {
    for chooses in [true, false] {
        let bob = AccountRouting {
            prefixes: vec![b"80".to_vec()],
            delivers_by_address_range: chooses,
            ..AccountRouting::default()
        };
        let accounts = vec![AccountRouting::default(), bob];
        let mut bench = Bench::new(ShardSettings { accounts, ..settings() });
        // By prefix, by pattern, and without.
        bench.bind_as(Bound { deliver_credit: 2, ..range(session(1), BOB, b"^801") });
        bench.bind_as(range(session(2), BOB, b"^80[23]"));
        bench.bind_as(range(session(3), BOB, b""));
        let mut got: Vec<(&str, u32)> = Vec::new();
        for address in ["8010", "8020", "8040", "8010", "8030", "8040", "8010"] {
            inject(&mut bench, address.as_bytes()).unwrap();
            got.push((address, bench.delivery().to.slot));
        }
        let chosen =
            [("8010", 1), ("8020", 2), ("8040", 3), ("8010", 1), ("8030", 2), ("8040", 3), ("8010", 3)];
        assert_eq!(got == chosen, chooses, "{got:?}");
        // Nobody's range, and nobody without one has room: whoever is there.
        for n in [3, 1, 2] {
            bench.unbind(session(n));
        }
        let returned = bench.deliveries();
        assert!(returned.is_empty());
        bench.bind_as(range(session(4), BOB, b"^99"));
        bench.turn();
        assert_eq!(bench.deliveries().len(), 7);
    }
}

#[test]
fn a_receipt_goes_by_the_address_that_it_is_for_once_its_session_is_gone() {
    let alice = AccountRouting { delivers_by_address_range: true, ..AccountRouting::default() };
    let mut bench =
        Bench::new(ShardSettings { accounts: vec![alice, AccountRouting::default()], ..settings() });
    for (n, address_range) in [(1, &b"^447"[..]), (2, b""), (3, b"ACME")] {
        bench.bind_as(range(session(n), ALICE, address_range));
    }
    bench.submit(session(2), sm(1));
    bench.turn();
    assert_eq!(bench.delivery().to, session(2), "its own session, whatever its range");
    bench.unbind(session(2));
    bench.turn();
    // From ACME to 447700900123: the receipt is for ACME.
    assert_eq!(bench.delivery().to, session(3));
}
