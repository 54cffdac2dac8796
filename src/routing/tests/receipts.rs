//! Which receipts there are, and what they say.

use super::*;
use crate::smpp::time_format::DateDigits;
use crate::smpp::{EsmClass, TlvTag, TlvWriter};

/// The receipts for one message with this registered_delivery and outcome.
fn receipts(registered_delivery: u8, outcome: Outcome) -> usize {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 10);
    bench.shard.network.then(0, outcome);
    bench.submit(session(0), sm(registered_delivery));
    bench.turn();
    let receipts = bench.deliveries();
    for receipt in &receipts {
        bench.accept(receipt);
    }
    bench.turn();
    bench.assert_drained();
    receipts.len()
}

#[test]
fn a_receipt_if_and_only_if_it_was_asked_for() {
    let failures = [Outcome::Undeliverable { error: 1 }, Outcome::Rejected { error: 1 }, Outcome::Expired];
    for (registered_delivery, on_success, on_failure) in
        [(0x00, 0, 0), (0x01, 1, 1), (0x02, 0, 1), (0x03, 1, 0), (0x11, 1, 1), (0x0C, 0, 0)]
    {
        assert_eq!(receipts(registered_delivery, Outcome::Delivered), on_success, "{registered_delivery:#x}");
        for failure in failures {
            assert_eq!(receipts(registered_delivery, failure), on_failure, "{registered_delivery:#x}");
        }
    }
}

#[test]
fn a_receipt_says_all_there_is_to_say() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 10);
    bench.shard.network.then(90_000, Outcome::Undeliverable { error: 34 });
    let mut buffer = [0; 16];
    let mut tlvs = TlvWriter::new(&mut buffer);
    assert!(tlvs.push(TlvTag::USER_MESSAGE_REFERENCE, &[0x12, 0x34]));
    let long = SubmitSm {
        service_type: b"CMT",
        short_message: b"Twenty characters at most are quoted",
        data_coding: 3,
        tlvs: tlvs.tlvs(),
        ..sm(1)
    };
    let id = bench.submit(session(0), long);
    bench.pass(90_000);
    let delivery = bench.delivery();
    let receipt = delivery.sm();
    assert_eq!(
        delivery.text(),
        format!(
            "id:{id} sub:001 dlvrd:000 submit date:2511231200 done date:2511231201 stat:UNDELIV err:034 \
             text:Twenty characters at"
        )
    );
    assert_eq!((receipt.esm_class, receipt.data_coding), (EsmClass(0x04), 0));
    assert_eq!(receipt.registered_delivery.0, 0);
    assert_eq!((receipt.source_addr, receipt.destination_addr), (&b"447700900123"[..], &b"ACME"[..]));
    assert_eq!((receipt.source_addr_ton, receipt.source_addr_npi), (1, 1));
    assert_eq!((receipt.dest_addr_ton, receipt.dest_addr_npi), (5, 0));
    let id = id.to_string();
    assert_eq!(receipt.tlvs.c_octets(TlvTag::RECEIPTED_MESSAGE_ID), Some(id.as_bytes()));
    assert_eq!(receipt.tlvs.u8(TlvTag::MESSAGE_STATE), Some(5));
    assert_eq!(receipt.tlvs.find(TlvTag::NETWORK_ERROR_CODE), Some(&[3, 0, 34][..]));
    assert_eq!(receipt.tlvs.u16(TlvTag::USER_MESSAGE_REFERENCE), Some(0x1234));
    bench.pass(500);
    bench.accept(&delivery);
    let settled = Fact::ReceiptSettled { account: ALICE, nanos: 500_000_000 };
    assert!(bench.out.facts.contains(&settled), "{:?}", bench.out.facts);
    bench.assert_drained();
}

#[test]
fn a_3_3_bind_gets_the_text_and_no_tlvs() {
    let mut bench = bench();
    let version = InterfaceVersion::V33;
    bench.bind_as(Bound {
        session: session(0),
        account: ALICE,
        version,
        receives: true,
        deliver_credit: 1,
        address_range: b"",
    });
    let SubmitOutcome::Accepted(id) = bench.try_submit(session(0), version, sm(1)) else { panic!() };
    bench.turn();
    let receipt = bench.delivery();
    assert!(receipt.sm().tlvs.is_empty());
    assert!(receipt.text().starts_with(&format!("id:{id} sub:001 dlvrd:001 ")));
    assert_eq!(id.to_string().len(), 8);
}

#[test]
fn dates_have_the_digits_of_the_account() {
    let mut bench = Bench::new(ShardSettings {
        accounts: vec![AccountRouting { receipt_dates: DateDigits::Twelve, ..AccountRouting::default() }],
        ..settings()
    });
    bench.bind(session(0), ALICE, 1);
    bench.submit(session(0), sm(1));
    bench.turn();
    assert!(bench.delivery().text().contains("submit date:251123120000 done date:251123120000 "));
}

#[test]
fn the_first_failed_attempt_is_notified_once() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 10);
    for _ in 0..2 {
        bench.shard.network.then(0, Outcome::Absent { back_after_nanos: u64::MAX, error: 27 });
    }
    let id = bench.submit(session(0), sm(0x11));
    bench.turn();
    let notification = bench.delivery();
    assert_eq!(notification.sm().esm_class, EsmClass(0x20));
    assert_eq!(notification.sm().tlvs.u8(TlvTag::MESSAGE_STATE), Some(1));
    assert!(notification.text().contains("stat:ENROUTE err:027"), "{}", notification.text());
    assert_eq!(bench.shard.query(id).unwrap().state, MessageState::Enroute);
    // The message becomes final and its receipt is settled while the notification is still out.
    bench.pass(1_000);
    bench.pass(2_000);
    let receipt = bench.delivery();
    assert_eq!(receipt.sm().esm_class, EsmClass(0x04));
    bench.accept(&receipt);
    bench.accept(&notification);
    assert_eq!(bench.out.finals(), [MessageState::Delivered]);
    bench.assert_drained();
}

#[test]
fn without_room_there_is_no_notification() {
    let mut bench = Bench::new(ShardSettings { messages_max: 1, ..settings() });
    bench.bind(session(0), ALICE, 10);
    bench.shard.network.then(0, Outcome::Absent { back_after_nanos: u64::MAX, error: 27 });
    bench.submit(session(0), sm(0x10));
    bench.turn();
    assert!(bench.deliveries().is_empty());
    assert!(bench.out.facts.contains(&Fact::NotificationSkipped { account: ALICE }));
    bench.pass(1_000);
    bench.assert_drained();
}

#[test]
fn a_receipt_that_nobody_takes_is_given_up_when_its_validity_ends() {
    let mut bench = bench();
    let id = bench.submit(session(0), sm(1));
    bench.turn();
    assert_eq!(bench.shard.query(id).unwrap().state, MessageState::Delivered);
    bench.pass(7_199_999);
    assert_eq!(bench.shard.pending(), 1);
    bench.pass(1);
    assert!(bench.out.facts.contains(&Fact::ReceiptFailed { account: ALICE }));
    bench.assert_drained();
    assert_eq!(bench.shard.query(id).unwrap().state, MessageState::Delivered);
}
