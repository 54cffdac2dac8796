//! Duplicate suppression.

use super::*;
use crate::smpp::{TlvTag, TlvWriter};

fn bench_with_window(duplicate_window_ms: u64) -> Bench {
    let alice = AccountRouting { duplicate_window_ms, ..AccountRouting::default() };
    Bench::new(ShardSettings { accounts: vec![alice, AccountRouting::default()], ..settings() })
}

fn submit_as(
    bench: &mut Bench,
    account: AccountId,
    sequence_number: u32,
    reference: Option<u16>,
    sm: SubmitSm<'_>,
) -> SubmitOutcome {
    let mut room = [0; 16];
    let mut tlvs = TlvWriter::new(&mut room);
    if let Some(reference) = reference {
        tlvs.push(TlvTag::USER_MESSAGE_REFERENCE, &reference.to_be_bytes());
    }
    let mut body = Vec::new();
    SubmitSm { tlvs: tlvs.tlvs(), ..sm }.encode_body(&mut body);
    let sm = SubmitSm::decode(&body).unwrap();
    let origin = Origin {
        session: session(0),
        sequence_number,
        received_at: bench.now.mono,
        operation: crate::base::SubmitOperation::SubmitSm,
    };
    let submit = Submit { origin, account, version: InterfaceVersion::V34, sm: &sm, body: &body };
    let outcome = bench.shard.submit(&submit, bench.now, &mut bench.out);
    bench.shard.check_invariants();
    outcome
}

fn id_of(outcome: SubmitOutcome) -> MessageId {
    match outcome {
        SubmitOutcome::Accepted(id) => id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_repetition_within_the_window_gets_the_first_answer_and_is_not_sent() {
    let mut bench = bench_with_window(60_000);
    let first = id_of(submit_as(&mut bench, ALICE, 1, None, sm(1)));
    bench.pass(59_999);
    assert_eq!(
        id_of(submit_as(&mut bench, ALICE, 1, None, sm(1))),
        first,
        "long final, and its receipt is owed"
    );
    bench.turn();
    assert_eq!(bench.shard.network.attempts.len(), 1);
    bench.pass(1);
    assert_ne!(id_of(submit_as(&mut bench, ALICE, 1, None, sm(1))), first);
}

#[test]
fn whatever_differs_is_another_message() {
    let mut bench = bench_with_window(60_000);
    let mut ids = vec![id_of(submit_as(&mut bench, ALICE, 1, None, sm(1)))];
    let others = [
        SubmitSm { source_addr: b"ACMF", ..sm(1) },
        SubmitSm { source_addr_ton: 1, ..sm(1) },
        SubmitSm { destination_addr: b"447700900124", ..sm(1) },
        SubmitSm { dest_addr_npi: 0, ..sm(1) },
        SubmitSm { short_message: b"Hellp", ..sm(1) },
        SubmitSm { data_coding: 8, ..sm(1) },
        SubmitSm { esm_class: crate::smpp::EsmClass(0x40), ..sm(1) },
    ];
    ids.extend(others.map(|sm| id_of(submit_as(&mut bench, ALICE, 1, None, sm))));
    ids.push(id_of(submit_as(&mut bench, ALICE, 2, None, sm(1))));
    ids.push(id_of(submit_as(&mut bench, ALICE, 1, Some(1), sm(1))));
    ids.push(id_of(submit_as(&mut bench, ALICE, 1, Some(2), sm(1))));
    // What is not part of the message does not make another of it; nor does sequence_number beside a reference.
    assert_eq!(
        id_of(submit_as(&mut bench, ALICE, 9, Some(2), SubmitSm { priority_flag: 1, ..sm(0) })),
        ids[10]
    );
    // Bob does not want it.
    ids.push(id_of(submit_as(&mut bench, BOB, 1, None, sm(1))));
    ids.push(id_of(submit_as(&mut bench, BOB, 1, None, sm(1))));
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 13);
}

#[test]
fn a_repetition_of_what_is_not_durable_is_answered_with_it() {
    let mut bench = bench_with_window(60_000);
    bench.shard.store.durable = Some(Lsn(0));
    for sequence_number in [1, 2] {
        let outcome = submit_as(&mut bench, ALICE, sequence_number, Some(7), sm(1));
        assert_eq!(outcome, SubmitOutcome::Later);
    }
    assert_eq!((bench.shard.store.newest(), bench.shard.pending()), (Lsn(1), 1));
    bench.turn();
    assert!(bench.out.results.is_empty());
    bench.shard.store.durable = None;
    bench.turn();
    let results: Vec<_> =
        bench.out.results.iter().map(|(origin, id)| (origin.sequence_number, *id)).collect();
    assert_eq!(results, [(1, results[0].1), (2, results[0].1)]);
    assert_eq!(bench.shard.network.attempts.len(), 1);
}

#[test]
fn what_waits_is_bounded() {
    let mut bench = bench_with_window(60_000);
    bench.shard.store.durable = Some(Lsn(0));
    let throttled = SubmitOutcome::Refused(CommandStatus::ESME_RTHROTTLED);
    let refused = (0..2_000).find(|&n| submit_as(&mut bench, ALICE, n, Some(7), sm(1)) == throttled);
    assert_eq!(refused, Some(crate::limits::DUPLICATES_WAITING_MAX as u32 + 1));
}

#[test]
fn a_refused_message_may_be_repeated() {
    let mut bench = Bench::new(ShardSettings {
        messages_max: 1,
        accounts: vec![AccountRouting { duplicate_window_ms: 1_000, ..AccountRouting::default() }],
        ..settings()
    });
    bench.shard.network.then(10, Outcome::Delivered);
    submit_as(&mut bench, ALICE, 1, None, sm(0));
    let full = SubmitOutcome::Refused(CommandStatus::ESME_RMSGQFUL);
    assert_eq!(submit_as(&mut bench, ALICE, 2, None, sm(0)), full);
    bench.pass(10);
    id_of(submit_as(&mut bench, ALICE, 2, None, sm(0)));
    bench.turn();
    assert_eq!(bench.shard.network.attempts.len(), 2);
}

#[test]
fn one_with_a_reference_is_known_after_a_restart_while_it_is_held() {
    let mut bench = bench_with_window(60_000);
    bench.shard.network.then(0, Outcome::Absent { back_after_nanos: u64::MAX, error: 27 });
    let id = id_of(submit_as(&mut bench, ALICE, 1, Some(7), sm(1)));
    bench.turn();
    let settings = bench.shard.settings.clone();
    let kept = bench.shard.store.newest();
    bench.restart(settings.clone(), kept, 30_000, 0);
    assert_eq!(id_of(submit_as(&mut bench, ALICE, 1, Some(7), sm(1))), id);
    let kept = bench.shard.store.newest();
    bench.restart(settings, kept, 30_000, 0);
    assert_ne!(id_of(submit_as(&mut bench, ALICE, 1, Some(7), sm(1))), id);
}

#[test]
fn the_table_forgets_the_oldest_first() {
    let mut bench = Bench::new(ShardSettings {
        messages_max: 1_000_000,
        accounts: vec![AccountRouting { duplicate_window_ms: 600_000, ..AccountRouting::default() }],
        ..settings()
    });
    let count = 4 * crate::limits::DUPLICATES_REMEMBERED as u32;
    let duplicates = &mut bench.shard.duplicates;
    let id = |n: u32| MessageId::from_u64(1 << 40 | u64::from(n));
    let fingerprint = |n| super::super::duplicates::Fingerprint::of(ALICE, &sm(0), Some(n)).unwrap();
    for n in 0..count {
        duplicates.remember(fingerprint(n), id(n), Time::from_millis(600_000 + u64::from(n)));
    }
    let last = id_of(submit_as(&mut bench, ALICE, count - 1, None, sm(0)));
    assert_eq!(last, id(count - 1));
    assert!(id_of(submit_as(&mut bench, ALICE, 0, None, sm(0))) > id(count));
}
