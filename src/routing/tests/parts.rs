//! One receipt for all parts of a message: when it goes out, what it says, and what becomes of the others.

use super::*;
use crate::smpp::{EsmClass, TlvTag, Tlvs};

const WAIT_MS: u64 = 5_000;
const FAILED: Outcome = Outcome::Undeliverable { error: 34 };

/// Alice gathers.
fn gathering() -> ShardSettings {
    let alice = AccountRouting { parts_wait_ms: WAIT_MS, ..AccountRouting::default() };
    ShardSettings { accounts: vec![alice, AccountRouting::default()], ..settings() }
}

fn gathering_bench() -> Bench {
    let mut bench = Bench::new(gathering());
    bench.bind(session(0), ALICE, 10);
    bench
}

/// sar_* TLVs of a part.
fn sar(reference: u8, total: u8, part: u8) -> Vec<u8> {
    [&[2, 0x0C, 0, 2, 0, reference][..], &[2, 0x0E, 0, 1, total], &[2, 0x0F, 0, 1, part]].concat()
}

fn submit(bench: &mut Bench, registered_delivery: u8, tlvs: &[u8]) -> MessageId {
    let sm = SubmitSm { tlvs: Tlvs::decode(tlvs).unwrap(), ..sm(registered_delivery) };
    bench.submit(session(0), sm)
}

/// Submits three parts that all ask for a receipt, with these outcomes.
fn three(bench: &mut Bench, outcomes: [Outcome; 3]) -> [MessageId; 3] {
    for outcome in outcomes {
        bench.shard.network.then(0, outcome);
    }
    [1, 2, 3].map(|part| submit(bench, 1, &sar(7, 3, part)))
}

/// id, sub, dlvrd and stat of the one receipt that is out, which is accepted then.
fn told(bench: &mut Bench) -> (String, String) {
    let delivery = bench.delivery();
    let text = delivery.text();
    assert!(delivery.sm().esm_class.is_receipt());
    let id = text.strip_prefix("id:").and_then(|rest| rest.split(' ').next()).unwrap();
    let counts = text.split_once(" sub:").unwrap().1;
    let stat = text.split_once(" stat:").unwrap().1;
    let said = (id.to_owned(), format!("{} {}", &counts[..13], &stat[..7]));
    bench.accept(&delivery);
    said
}

fn receipts(bench: &Bench, of: impl Fn(&Fact) -> bool) -> usize {
    bench.out.facts.iter().filter(|fact| of(fact)).count()
}

#[test]
fn one_receipt_goes_out_for_all_once_the_last_is_final() {
    let mut bench = gathering_bench();
    let ids = [1, 2, 3].map(|part| {
        bench.shard.network.then(u64::from(part) * 100, Outcome::Delivered);
        submit(&mut bench, 1, &sar(7, 3, part))
    });
    // One after the other, as it is one subscriber.
    bench.pass(100);
    bench.pass(200);
    assert!(bench.deliveries().is_empty(), "two of three");
    let view = bench.shard.query(ids[1], bench.now).unwrap();
    assert_eq!((view.state, view.held.unwrap().waits_for), (MessageState::Delivered, "parts"));
    bench.pass(300);
    assert_eq!(told(&mut bench), (ids[0].to_string(), "003 dlvrd:003 DELIVRD".to_owned()));
    bench.turn();
    bench.assert_drained();
    // One receipt was owed, and settled; the final states are all known.
    assert_eq!(receipts(&bench, |fact| matches!(fact, Fact::ReceiptCreated { .. })), 1);
    assert_eq!(receipts(&bench, |fact| matches!(fact, Fact::ReceiptSettled { .. })), 1);
    for id in ids {
        assert_eq!(bench.shard.query(id, bench.now).unwrap().state, MessageState::Delivered);
    }
}

#[test]
fn the_worst_state_wins_and_brings_its_error() {
    let rejected = Outcome::Rejected { error: 69 };
    for (outcomes, said, error) in [
        ([Outcome::Delivered, FAILED, Outcome::Delivered], "003 dlvrd:002 UNDELIV", 34),
        ([Outcome::Expired, Outcome::Delivered, Outcome::Delivered], "003 dlvrd:002 EXPIRED", 0),
        ([FAILED, Outcome::Expired, rejected], "003 dlvrd:000 REJECTD", 69),
        ([FAILED, Outcome::Expired, Outcome::Delivered], "003 dlvrd:001 UNDELIV", 34),
    ] {
        let mut bench = gathering_bench();
        let ids = three(&mut bench, outcomes);
        bench.turn();
        let delivery = bench.out.deliveries[0].clone();
        let code = delivery.sm().tlvs.find(TlvTag::NETWORK_ERROR_CODE).map_or(0, |code| code[2]);
        assert_eq!(code, error, "{outcomes:?}");
        assert_eq!(told(&mut bench), (ids[0].to_string(), said.to_owned()));
        bench.assert_drained();
    }
}

#[test]
fn what_each_part_asks_for_goes_by_the_whole() {
    // registered_delivery of the three, whether the second fails, and which one's receipt goes out.
    for (asked, fails, carrier) in [
        ([0, 0, 1], false, Some(2)),
        ([0, 0, 2], false, None),
        ([0, 0, 2], true, Some(2)),
        ([0, 2, 1], false, Some(2)),
        ([0, 2, 1], true, Some(1)),
        ([3, 0, 0], true, None),
        ([3, 0, 0], false, Some(0)),
        ([0, 0, 0], true, None),
    ] {
        let mut bench = gathering_bench();
        let mut ids = Vec::new();
        for (part, asked) in (1..).zip(asked) {
            bench.shard.network.then(0, if fails && part == 2 { FAILED } else { Outcome::Delivered });
            ids.push(submit(&mut bench, asked, &sar(7, 3, part)));
        }
        bench.turn();
        match carrier {
            Some(carrier) => {
                let counts = if fails { "003 dlvrd:002 UNDELIV" } else { "003 dlvrd:003 DELIVRD" };
                let id: MessageId = ids[carrier];
                assert_eq!(told(&mut bench), (id.to_string(), counts.to_owned()), "{asked:?} {fails}");
            }
            None => assert!(bench.deliveries().is_empty(), "{asked:?} {fails}"),
        }
        bench.turn();
        bench.assert_drained();
    }
}

#[test]
fn the_wait_is_bounded_and_what_comes_later_has_a_receipt_of_its_own() {
    let mut bench = gathering_bench();
    bench.shard.network.then(1_000, Outcome::Delivered);
    bench.shard.network.then(60_000, Outcome::Delivered);
    let first = submit(&mut bench, 1, &sar(7, 3, 1));
    let second = submit(&mut bench, 1, &sar(7, 3, 2));
    bench.pass(1_000);
    bench.pass(WAIT_MS - 1);
    assert!(bench.deliveries().is_empty());
    bench.pass(1);
    assert_eq!(told(&mut bench), (first.to_string(), "001 dlvrd:001 DELIVRD".to_owned()));
    bench.pass(60_000);
    assert_eq!(told(&mut bench), (second.to_string(), "001 dlvrd:001 DELIVRD".to_owned()));
    // A part that arrives when the others have been told of.
    bench.shard.network.then(0, FAILED);
    let third = submit(&mut bench, 1, &sar(7, 3, 3));
    bench.turn();
    bench.pass(WAIT_MS);
    assert_eq!(told(&mut bench), (third.to_string(), "001 dlvrd:000 UNDELIV".to_owned()));
    bench.assert_drained();
}

#[test]
fn a_reference_that_is_used_again_is_another_message() {
    let mut bench = gathering_bench();
    let first = submit(&mut bench, 1, &sar(7, 2, 1));
    bench.turn();
    assert!(bench.deliveries().is_empty());
    // The second part of the first never came.
    let again = [1, 2].map(|part| submit(&mut bench, 1, &sar(7, 2, part)));
    bench.turn();
    let texts: Vec<String> = bench.out.deliveries.iter().map(Delivery::text).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    let says = |id: MessageId, counts: &str| {
        let start = format!("id:{id} sub:{counts} ");
        texts.iter().any(|text| text.starts_with(&start))
    };
    assert!(says(first, "001 dlvrd:001") && says(again[0], "002 dlvrd:002"), "{texts:?}");
    for delivery in bench.deliveries() {
        bench.accept(&delivery);
    }
    bench.assert_drained();
}

#[test]
fn other_messages_and_other_accounts_parts_are_not_gathered() {
    let mut bench = gathering_bench();
    let alone = submit(&mut bench, 1, &[]);
    bench.turn();
    assert_eq!(told(&mut bench), (alone.to_string(), "001 dlvrd:001 DELIVRD".to_owned()));
    let only = submit(&mut bench, 1, &sar(9, 1, 1));
    bench.turn();
    assert_eq!(told(&mut bench), (only.to_string(), "001 dlvrd:001 DELIVRD".to_owned()));
    // By UDH, to two subscribers at once.
    let mut ids = Vec::new();
    for part in 1..=2u8 {
        for destination_addr in [&b"4470"[..], b"4471"] {
            let text = [5, 0, 3, 7, 2, part, b'x'];
            let esm_class = EsmClass(0x40);
            ids.push(
                bench.submit(
                    session(0),
                    SubmitSm { short_message: &text, esm_class, destination_addr, ..sm(1) },
                ),
            );
        }
    }
    bench.turn();
    let texts: Vec<String> = bench.out.deliveries.iter().map(Delivery::text).collect();
    let starts: Vec<String> = ids[..2].iter().map(|id| format!("id:{id} sub:002 dlvrd:002 ")).collect();
    assert!(
        texts.len() == 2 && starts.iter().all(|it| texts.iter().any(|text| text.starts_with(it))),
        "{texts:?}"
    );
    for delivery in bench.deliveries() {
        bench.accept(&delivery);
    }
    bench.assert_drained();
    // Without the setting each part has its own.
    let mut bench = super::bench();
    bench.bind(session(0), ALICE, 10);
    three(&mut bench, [Outcome::Delivered; 3]);
    bench.turn();
    assert_eq!(bench.deliveries().len(), 3);
}

#[test]
fn a_restart_loses_no_receipt() {
    // While they gather, and while the one for all is on its way.
    for settled in [2, 3] {
        let mut bench = gathering_bench();
        let mut ids = Vec::new();
        for part in 1..=3 {
            let after_ms = if part <= settled { 0 } else { 1_000_000 };
            bench.shard.network.then(after_ms, Outcome::Delivered);
            ids.push(submit(&mut bench, 1, &sar(7, 3, part)));
        }
        bench.turn();
        assert_eq!(bench.deliveries().len(), usize::from(settled == 3));
        let kept = bench.shard.store.newest();
        bench.restart(gathering(), kept, 1_000, 0);
        bench.bind(session(0), ALICE, 10);
        bench.turn();
        let mut told: Vec<String> = Vec::new();
        for delivery in bench.deliveries() {
            told.push(delivery.text().split(" submit").next().unwrap().to_owned());
            bench.accept(&delivery);
        }
        told.sort();
        let mut expected: Vec<String> = ids.iter().map(|id| format!("id:{id} sub:001 dlvrd:001")).collect();
        expected.sort();
        assert_eq!(told, expected);
        bench.turn();
        bench.assert_drained();
    }
}

#[test]
fn a_restart_sends_no_receipt_that_only_a_failed_whole_would_have_had() {
    let mut bench = gathering_bench();
    submit(&mut bench, 2, &sar(7, 2, 1));
    bench.turn();
    assert_eq!(bench.shard.pending(), 1, "kept for a second part that fails");
    let kept = bench.shard.store.newest();
    bench.restart(gathering(), kept, 1_000, 0);
    bench.bind(session(0), ALICE, 10);
    bench.turn();
    assert!(bench.deliveries().is_empty());
    assert_eq!(receipts(&bench, |fact| matches!(fact, Fact::ReceiptFailed { .. })), 1);
    bench.assert_drained();
}

#[test]
fn the_others_wait_until_the_one_is_settled_and_go_with_it_if_it_is_given_up() {
    let refused = CommandStatus::ESME_RX_P_APPN;
    for (result, created) in [(CommandStatus::ESME_ROK, 1), (refused, 1)] {
        let mut bench = gathering_bench();
        three(&mut bench, [Outcome::Delivered; 3]);
        bench.turn();
        assert_eq!(bench.shard.pending(), 3);
        let first = bench.delivery();
        // Lost and refused for now: the same again.
        bench.result(&first, DeliveryResult::TimedOut);
        bench.pass(1_000);
        let again = bench.delivery();
        assert_eq!(again.text(), first.text());
        bench.result(&again, DeliveryResult::Answered(result));
        assert_eq!(receipts(&bench, |fact| matches!(fact, Fact::ReceiptCreated { .. })), created);
        bench.turn();
        bench.assert_drained();
    }
    // Nobody ever takes it: it goes with the end of its validity.
    let mut bench = Bench::new(gathering());
    three(&mut bench, [Outcome::Delivered; 3]);
    bench.turn();
    bench.pass(7_200_000);
    assert_eq!(receipts(&bench, |fact| matches!(fact, Fact::ReceiptFailed { .. })), 1);
    bench.assert_drained();
}

#[test]
fn a_store_that_lags_holds_the_receipt_back_and_not_the_responses() {
    let mut bench = gathering_bench();
    bench.shard.store.durable = Some(Lsn(0));
    for part in 1..=2u8 {
        let tlvs = sar(7, 2, part);
        let sm = SubmitSm { tlvs: Tlvs::decode(&tlvs).unwrap(), ..sm(1) };
        assert_eq!(bench.try_submit(session(0), InterfaceVersion::V34, sm), SubmitOutcome::Later);
    }
    // Each is answered for itself, whatever the other does.
    bench.shard.store.durable = Some(Lsn(1));
    bench.turn();
    assert_eq!(bench.out.results.len(), 1);
    bench.shard.store.durable = Some(Lsn(2));
    bench.turn();
    assert_eq!(bench.out.results.len(), 2);
    assert!(bench.deliveries().is_empty(), "final, but not durably");
    bench.shard.store.durable = None;
    bench.turn();
    assert_eq!(told(&mut bench).1, "002 dlvrd:002 DELIVRD");
    bench.assert_drained();
}
