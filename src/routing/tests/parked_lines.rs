//! Messages in line behind one that waits long are parked as it is, and nobody can tell.

use super::lines::{receipts, to};
use super::*;
use crate::smpp::{CancelSm, Operation, OperationAnswer};

/// Parked messages in line.
fn parked(bench: &Bench) -> u32 {
    bench.shard.parked_messages().in_line
}

/// Alice is bound; the first of these messages to one subscriber waits for its next attempt, a second long, and the others
/// stand in line behind it.
fn in_line(priorities: &[u8]) -> (Bench, Vec<MessageId>) {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 100);
    bench.shard.network.then(0, NEVER_BACK);
    let mut ids = vec![bench.submit(session(0), to(b"447", priorities[0]))];
    bench.turn();
    ids.extend(priorities[1..].iter().map(|&priority| bench.submit(session(0), to(b"447", priority))));
    (bench, ids)
}

fn cancel(bench: &mut Bench, cancel: CancelSm<'_>) {
    let operation = Operation::Cancel(CancelSm { source_addr: b"ACME", ..cancel });
    assert_eq!(operations::answer(bench, ALICE, operation), OperationAnswer::Done);
}

#[test]
fn they_go_in_order_whoever_leaves_from_between_them() {
    for gone in [vec![], vec![1], vec![3], vec![6], vec![1, 2, 3], vec![6, 5, 4], vec![2, 4, 3]] {
        let (mut bench, ids) = in_line(&[1; 7]);
        assert_eq!((parked(&bench), bench.shard.pending()), (6, 7));
        for &index in &gone {
            let text = ids[index].text();
            cancel(&mut bench, CancelSm { message_id: text.as_bytes(), ..CancelSm::default() });
        }
        bench.turn();
        let cancelled: Vec<MessageId> = gone.iter().map(|&index| ids[index]).collect();
        assert_eq!(receipts(&mut bench), cancelled);
        bench.pass(1_000);
        let left: Vec<MessageId> = ids.iter().copied().filter(|id| !cancelled.contains(id)).collect();
        assert_eq!(receipts(&mut bench), left, "without {gone:?}");
        bench.assert_drained();
    }
}

#[test]
fn those_of_higher_priority_go_first_and_one_that_is_higher_than_the_first_does_not_wait() {
    let (mut bench, ids) = in_line(&[1, 0, 1, 0, 1, 0]);
    assert_eq!(parked(&bench), 5);
    let urgent = bench.submit(session(0), to(b"447", 3));
    bench.turn();
    assert_eq!(receipts(&mut bench), [urgent]);
    assert_eq!(parked(&bench), 5, "nobody else was looked for");
    bench.pass(1_000);
    assert_eq!(receipts(&mut bench), [0, 2, 4, 1, 3, 5].map(|index| ids[index]));
    bench.assert_drained();
}

#[test]
fn those_who_came_while_the_first_was_attempted_are_parked_with_it() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 100);
    bench.shard.network.then(10, NEVER_BACK);
    let mut ids: Vec<MessageId> = [0, 0, 2, 0].map(|p| bench.submit(session(0), to(b"447", p))).to_vec();
    bench.pass(9);
    assert_eq!(parked(&bench), 0, "all this may be over in a moment");
    bench.shard.network.then(0, NEVER_BACK);
    bench.pass(1);
    // The urgent one has got the turn meanwhile; the first is to be tried again soon.
    assert_eq!(parked(&bench), 2);
    ids.push(bench.submit(session(0), to(b"447", 0)));
    assert_eq!((parked(&bench), bench.shard.pending()), (3, 5));
    bench.pass(1_000);
    assert_eq!(receipts(&mut bench), [2, 0, 1, 3, 4].map(|index| ids[index]));
    bench.assert_drained();
}

#[test]
fn they_expire_when_they_would_have() {
    for is_damaged in [false, true] {
        let mut bench = bench();
        (0..20).for_each(|_| bench.shard.network.then(0, NEVER_BACK));
        for destination_addr in [&b"446"[..], b"447"] {
            bench.submit(session(0), SubmitSm { destination_addr, ..sm(1) });
            bench.turn();
            for validity_period in [&b"000000001000000R"[..], b"000000000500000R", b"000000000800000R"] {
                bench.submit(session(0), SubmitSm { destination_addr, validity_period, ..sm(1) });
            }
        }
        assert_eq!(parked(&bench), 6);
        bench.now.wall = WallTime::from_unix_millis(NOON_MS + 50_000_000);
        bench.pass(299_000);
        // Where the store has lost the texts, in whose line they stand is found all the same.
        bench.shard.store.is_damaged = is_damaged;
        bench.pass(999);
        assert_eq!(bench.out.finals(), []);
        bench.pass(1);
        assert_eq!(bench.out.finals(), [MessageState::Expired; 2]);
        assert_eq!(parked(&bench), 4);
        if is_damaged {
            continue;
        }
        bench.pass(179_999);
        assert_eq!(bench.out.finals().len(), 2);
        bench.pass(1);
        assert_eq!(bench.out.finals(), [MessageState::Expired; 4]);
        bench.pass(120_000);
        assert_eq!((bench.out.finals(), parked(&bench)), (vec![MessageState::Expired; 6], 0));
    }
}

#[test]
fn all_that_goes_to_one_address_is_found() {
    let (mut bench, _) = in_line(&[2, 0, 1, 0]);
    bench.submit(session(0), to(b"448", 0));
    bench.turn();
    cancel(&mut bench, CancelSm { destination_addr: b"447", ..CancelSm::default() });
    bench.turn();
    assert_eq!(bench.out.finals().iter().filter(|state| **state == MessageState::Deleted).count(), 4);
    receipts(&mut bench);
    bench.assert_drained();
}

#[test]
fn a_restart_parks_them_at_once_and_in_order() {
    for (down_ms, at_rest) in [(0, 5), (60_000, 4)] {
        let (mut bench, ids) = in_line(&[1, 0, 1, 0, 1]);
        let newest = bench.shard.store.newest();
        bench.restart(settings(), newest, down_ms, 0);
        assert_eq!(parked(&bench), 4, "before the first turn, and whether it is time for the first or not");
        assert_eq!(bench.shard.parked_messages().all, at_rest);
        bench.bind(session(0), ALICE, 100);
        bench.pass(1_000);
        assert_eq!(receipts(&mut bench), [0, 2, 4, 1, 3].map(|index| ids[index]));
        bench.assert_drained();
    }
}

#[test]
fn a_restart_leaves_the_turn_to_the_first_and_lends_it_to_those_of_higher_priority() {
    let mut bench = bench();
    bench.shard.network.then(60_000, NEVER_BACK);
    let first = bench.submit(session(0), to(b"447", 0));
    let urgent = bench.submit(session(0), to(b"447", 3));
    let newest = bench.shard.store.newest();
    bench.restart(settings(), newest, 1_000, 0);
    assert_eq!(parked(&bench), 1);
    bench.bind(session(0), ALICE, 100);
    bench.shard.network.then(0, NEVER_BACK);
    bench.turn();
    assert_eq!(receipts(&mut bench), [urgent]);
    bench.pass(1_000);
    assert_eq!(receipts(&mut bench), [first]);
    bench.assert_drained();
}
