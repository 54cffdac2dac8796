//! query_sm, cancel_sm, replace_sm and replace_if_present_flag on messages in every stage.

use super::*;
use crate::base::{IdForm, IdForms, SubmitOperation};
use crate::smpp::{CancelSm, Operation, QueriedState, QuerySm, ReplaceSm, SmFields, SubmitMulti};
use OperationAnswer::{Done, NotFound, Refused};

const SOURCE: &[u8] = b"ACME";
const SCHEDULED: &[u8] = b"000000010000000R";

fn operate(bench: &mut Bench, account: AccountId, operation: Operation<'_>) -> OperationOutcome {
    let asker = Asker { session: session(0), ticket: 3 };
    let request = OperationRequest { asker, account, version: InterfaceVersion::V50, operation };
    let outcome = bench.shard.operate(&request, bench.now, &mut bench.out);
    bench.shard.check_invariants();
    outcome
}

pub(super) fn answer(bench: &mut Bench, account: AccountId, operation: Operation<'_>) -> OperationAnswer {
    match operate(bench, account, operation) {
        OperationOutcome::Answered(answer) => answer,
        OperationOutcome::Later => panic!("not durable"),
    }
}

fn query(bench: &mut Bench, account: AccountId, id: MessageId) -> OperationAnswer {
    let text = id.text();
    let query = QuerySm { message_id: text.as_bytes(), source_addr: SOURCE, ..QuerySm::default() };
    answer(bench, account, Operation::Query(query))
}

fn state(bench: &mut Bench, id: MessageId) -> MessageState {
    match query(bench, ALICE, id) {
        OperationAnswer::State(QueriedState { message_id, state, .. }) if message_id == id => state,
        other => panic!("{other:?}"),
    }
}

fn cancel(bench: &mut Bench, account: AccountId, id: MessageId, source_addr: &[u8]) -> OperationAnswer {
    let text = id.text();
    let cancel = CancelSm { message_id: text.as_bytes(), source_addr, ..CancelSm::default() };
    answer(bench, account, Operation::Cancel(cancel))
}

fn cancel_group(bench: &mut Bench, account: AccountId, service_type: &[u8]) -> OperationAnswer {
    let cancel = CancelSm {
        service_type,
        source_addr: SOURCE,
        destination_addr: b"447700900123",
        ..CancelSm::default()
    };
    answer(bench, account, Operation::Cancel(cancel))
}

fn replace(bench: &mut Bench, account: AccountId, id: MessageId, replace: ReplaceSm<'_>) -> OperationAnswer {
    let text = id.text();
    let replace = ReplaceSm { message_id: text.as_bytes(), source_addr: SOURCE, ..replace };
    answer(bench, account, Operation::Replace(replace))
}

fn scheduled(registered_delivery: u8) -> SubmitSm<'static> {
    SubmitSm { schedule_delivery_time: SCHEDULED, ..sm(registered_delivery) }
}

/// One message in each stage in which it can be changed: scheduled, in line, waiting to be repeated in front
/// of that one, and in the queue of an ESME.
fn one_in_each_stage(bench: &mut Bench) -> [MessageId; 4] {
    bench.shard.owners.insert_exact(b"8001", BOB);
    let scheduled = bench.submit(session(0), scheduled(1));
    let absent = Outcome::Absent { back_after_nanos: u64::MAX, error: 27 };
    bench.shard.network.then(0, absent);
    let waiting = bench.submit(session(0), sm(1));
    bench.turn();
    let behind = bench.submit(session(0), sm(1));
    let queued = bench.submit(session(0), SubmitSm { destination_addr: b"8001", ..sm(1) });
    bench.turn();
    [scheduled, behind, waiting, queued]
}

#[test]
fn a_query_tells_the_state_and_only_to_its_account() {
    let mut bench = bench();
    let id = bench.submit(session(0), scheduled(0));
    assert_eq!(state(&mut bench, id), MessageState::Scheduled);
    assert_eq!(query(&mut bench, BOB, id), NotFound);
    let text = id.text();
    for (message_id, source_addr) in
        [(text.as_bytes(), &b"OTHER"[..]), (b"", SOURCE), (b"12", SOURCE), (b"0000000100000000", SOURCE)]
    {
        let query = QuerySm { message_id, source_addr, ..QuerySm::default() };
        assert_eq!(answer(&mut bench, ALICE, Operation::Query(query)), NotFound, "{message_id:?}");
    }
    bench.pass(3_600_000);
    let OperationAnswer::State(told) = query(&mut bench, ALICE, id) else { panic!() };
    assert_eq!(
        (told.state, told.error_code, told.final_date),
        (MessageState::Delivered, 0, Some(bench.now.wall))
    );
    assert_eq!(query(&mut bench, BOB, id), NotFound, "of a message that is only remembered, too");
    bench.assert_drained();
}

#[test]
fn a_message_in_any_stage_before_its_attempt_is_cancelled() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 10);
    for id in one_in_each_stage(&mut bench) {
        assert_eq!(cancel(&mut bench, BOB, id, SOURCE), NotFound);
        assert_eq!(cancel(&mut bench, ALICE, id, b"OTHER"), NotFound);
        assert_eq!(cancel(&mut bench, ALICE, id, SOURCE), Done);
        assert_eq!(state(&mut bench, id), MessageState::Deleted);
        assert_eq!(cancel(&mut bench, ALICE, id, SOURCE), Refused(CommandStatus::ESME_RCANCELFAIL));
        bench.turn();
        let receipt = bench.delivery();
        assert!(receipt.text().contains("stat:DELETED"), "{}", receipt.text());
        bench.accept(&receipt);
    }
    bench.assert_drained();
    assert_eq!(bench.out.finals(), [MessageState::Deleted; 4]);
}

#[test]
fn a_message_in_an_attempt_is_neither_cancelled_nor_replaced() {
    let mut bench = bench();
    bench.shard.network.then(1_000, Outcome::Delivered);
    let id = bench.submit(session(0), sm(0));
    assert_eq!(cancel(&mut bench, ALICE, id, SOURCE), Refused(CommandStatus::ESME_RCANCELFAIL));
    let failed = Refused(CommandStatus::ESME_RREPLACEFAIL);
    assert_eq!(replace(&mut bench, ALICE, id, ReplaceSm::default()), failed);
    assert_eq!(cancel_group(&mut bench, ALICE, b""), NotFound);
    bench.pass(1_000);
    assert_eq!(replace(&mut bench, ALICE, id, ReplaceSm::default()), failed);
    assert_eq!(replace(&mut bench, BOB, id, ReplaceSm::default()), NotFound);
    assert_eq!(state(&mut bench, id), MessageState::Delivered);
}

#[test]
fn a_group_is_cancelled_by_its_addresses_and_service_type() {
    let mut bench = bench();
    let [scheduled_id, behind, waiting, queued] = one_in_each_stage(&mut bench);
    let cmt = bench.submit(session(0), SubmitSm { service_type: b"CMT", ..scheduled(0) });
    let other = bench.submit(session(0), SubmitSm { source_addr: b"OTHER", ..scheduled(0) });
    assert_eq!(cancel_group(&mut bench, BOB, b""), NotFound);
    assert_eq!(cancel_group(&mut bench, ALICE, b"VMA"), NotFound);
    assert_eq!(cancel_group(&mut bench, ALICE, b"CMT"), Done);
    assert_eq!(state(&mut bench, cmt), MessageState::Deleted);
    assert_eq!(state(&mut bench, scheduled_id), MessageState::Scheduled);
    assert_eq!(cancel_group(&mut bench, ALICE, b""), Done);
    for id in [scheduled_id, waiting, behind] {
        assert_eq!(state(&mut bench, id), MessageState::Deleted);
    }
    assert_eq!(cancel(&mut bench, ALICE, other, b"OTHER"), Done);
    assert_eq!(state(&mut bench, queued), MessageState::Enroute);
    let to_bob = CancelSm { source_addr: SOURCE, destination_addr: b"8001", ..CancelSm::default() };
    assert_eq!(answer(&mut bench, ALICE, Operation::Cancel(to_bob)), Done);
    assert_eq!(state(&mut bench, queued), MessageState::Deleted);
}

#[test]
fn a_message_in_any_stage_before_its_attempt_is_replaced() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 10);
    for id in one_in_each_stage(&mut bench) {
        let new = ReplaceSm {
            short_message: b"Bye",
            registered_delivery: RegisteredDelivery(1),
            ..ReplaceSm::default()
        };
        assert_eq!(replace(&mut bench, BOB, id, new), NotFound);
        assert_eq!(replace(&mut bench, ALICE, id, new), Done);
    }
    bench.bind(session(5), BOB, 10);
    bench.turn();
    let (to_bob, mut receipts): (Vec<_>, Vec<_>) =
        bench.deliveries().into_iter().partition(|delivery| delivery.to == session(5));
    assert_eq!((to_bob[0].text(), to_bob[0].sm().destination_addr), ("Bye".to_owned(), &b"8001"[..]));
    bench.accept(&to_bob[0]);
    bench.pass(3_600_000);
    receipts.extend(bench.deliveries());
    assert_eq!(receipts.len(), 4);
    for receipt in &receipts {
        assert!(receipt.text().ends_with("text:Bye"), "{}", receipt.text());
        bench.accept(receipt);
    }
    bench.assert_drained();
}

#[test]
fn a_replacement_changes_schedule_validity_and_receipts_or_leaves_them() {
    let mut bench = bench();
    let id = bench.submit(session(0), scheduled(1));
    let refusals = [
        (&b"000002000000000R"[..], &b""[..], CommandStatus::ESME_RINVSCHED),
        (b"", b"000002000000000R", CommandStatus::ESME_RINVEXPIRY),
        (b"", b"251123115959000+", CommandStatus::ESME_RINVEXPIRY),
        // Over before it begins.
        (b"", b"000000003000000R", CommandStatus::ESME_RINVEXPIRY),
        (b"000000040000000R", b"000000030000000R", CommandStatus::ESME_RINVSCHED),
    ];
    for (schedule_delivery_time, validity_period, status) in refusals {
        let new = ReplaceSm { schedule_delivery_time, validity_period, ..ReplaceSm::default() };
        assert_eq!(replace(&mut bench, ALICE, id, new), Refused(status));
    }
    let later = ReplaceSm { schedule_delivery_time: b"000000013000000R", ..ReplaceSm::default() };
    assert_eq!(replace(&mut bench, ALICE, id, later), Done);
    bench.pass(3_600_000);
    assert!(bench.shard.network.attempts.is_empty());
    let now = ReplaceSm { schedule_delivery_time: b"251123120000000+", ..ReplaceSm::default() };
    assert_eq!(replace(&mut bench, ALICE, id, now), Done);
    bench.turn();
    assert_eq!(state(&mut bench, id), MessageState::Delivered);
    // It asks for no receipt any more.
    bench.assert_drained();
}

#[test]
fn a_payload_takes_the_place_of_a_short_message_and_back() {
    let mut bench = bench();
    let reference = [0x02, 0x04, 0, 2, 0, 9];
    let tlvs = crate::smpp::Tlvs::decode(&reference).unwrap();
    let id = bench.submit(session(0), SubmitSm { tlvs, ..scheduled(0) });
    let body = |bench: &mut Bench| {
        let link = bench.shard.find(id).unwrap();
        let location = bench.shard.look_at(link).unwrap().location;
        bench.shard.store.body(location).unwrap().to_vec()
    };
    let payload = [&[0x04, 0x24, 0x01, 0x2C][..], &[b'x'; 300]].concat();
    let tlvs = crate::smpp::Tlvs::decode(&payload).unwrap();
    assert_eq!(replace(&mut bench, ALICE, id, ReplaceSm { tlvs, ..ReplaceSm::default() }), Done);
    let stored = body(&mut bench);
    let sm = SmFields::decode(&stored).unwrap();
    assert_eq!((sm.short_message, sm.user_data()), (&b""[..], &[b'x'; 300][..]));
    assert_eq!(sm.tlvs.u16(crate::smpp::TlvTag::USER_MESSAGE_REFERENCE), Some(9));
    let short = ReplaceSm { short_message: b"short", ..ReplaceSm::default() };
    assert_eq!(replace(&mut bench, ALICE, id, short), Done);
    let stored = body(&mut bench);
    let sm = SmFields::decode(&stored).unwrap();
    assert_eq!((sm.user_data(), sm.tlvs.as_bytes()), (&b"short"[..], &reference[..]));
}

#[test]
fn a_submit_replaces_what_is_present_and_else_is_a_message_of_its_own() {
    let mut bench = bench();
    let flagged = SubmitSm { replace_if_present_flag: 1, ..scheduled(0) };
    let first = bench.submit(session(0), flagged);
    assert_eq!(bench.submit(session(0), SubmitSm { short_message: b"Bye", ..flagged }), first);
    assert_eq!(bench.shard.pending(), 1);
    // Another service_type, another source: another message.
    assert_ne!(bench.submit(session(0), SubmitSm { service_type: b"CMT", ..flagged }), first);
    assert_ne!(bench.submit(session(0), SubmitSm { source_addr: b"OTHER", ..flagged }), first);
    assert_ne!(bench.submit(session(0), scheduled(0)), first);
    // One without a schedule goes at once.
    bench.submit(session(0), SubmitSm { replace_if_present_flag: 1, service_type: b"CMT", ..sm(0) });
    bench.turn();
    assert_eq!(bench.out.finals(), [MessageState::Delivered]);
}

/// The request's id names the destination that goes by it; what the others go by inside names nothing outside.
#[test]
fn a_part_of_a_submit_multi_can_not_be_named() {
    let mut bench = bench();
    let mut batch = MultiBatch::default();
    let sm = SubmitMulti { source_addr: SOURCE, schedule_delivery_time: SCHEDULED, ..SubmitMulti::default() };
    for (index, destination_addr) in [(0, b"4477"), (1, b"4478"), (2, b"4479")] {
        batch.push(&sm, index, 1, 1, destination_addr);
    }
    let message_id = MessageId::from_u64(0x7700_0000_0000_0001);
    let multi = Multi {
        origin: Origin {
            session: session(0),
            sequence_number: 1,
            received_at: bench.now.mono,
            operation: SubmitOperation::SubmitMulti,
        },
        account: ALICE,
        version: InterfaceVersion::V34,
        message_id,
        names_first: true,
        batch: batch.as_bytes(),
    };
    bench.shard.submit_multi(&multi, bench.now, &mut bench.out, |_, status| panic!("{status:?}"));
    let parked = bench.shard.messages.parked.iter();
    let ids: Vec<MessageId> =
        parked.map(|(place, _)| bench.shard.parked_message(place).unwrap().id).collect();
    assert_eq!(ids.len(), 3);
    for id in ids {
        let expected = if id == message_id { Done } else { NotFound };
        let text = ReplaceSm { short_message: b"Bye", ..ReplaceSm::default() };
        assert_eq!(replace(&mut bench, ALICE, id, text), expected);
        assert_eq!(query(&mut bench, ALICE, id) == NotFound, expected == NotFound);
        assert_eq!(cancel(&mut bench, ALICE, id, SOURCE), expected);
    }
    assert_eq!(bench.shard.pending(), 2);
}

/// What was attempted was another text, before a restart and after it.
#[test]
fn no_attempt_has_been_made_with_what_replaces_a_message() {
    let mut bench = bench();
    bench.shard.network.then(0, NEVER_BACK);
    let flagged = SubmitSm { replace_if_present_flag: 1, ..sm(0) };
    let id = bench.submit(session(0), flagged);
    bench.pass(0);
    let later = ReplaceSm { schedule_delivery_time: b"000000000100000R", ..ReplaceSm::default() };
    assert_eq!(replace(&mut bench, ALICE, id, later), Done);
    let kept = bench.shard.store.newest();
    bench.restart(settings(), kept, 0, 0);
    let held = bench.shard.query(id, bench.now).unwrap().held.unwrap();
    assert_eq!((held.waits_for, held.attempts), ("schedule", 0));
    assert_eq!(std::mem::take(&mut bench.shard.network.attempts).len(), 1);
    let again = SubmitSm { schedule_delivery_time: b"000000000200000R", ..flagged };
    assert_eq!(bench.submit(session(0), again), id);
    bench.pass(119_999);
    assert!(bench.shard.network.attempts.is_empty());
    bench.pass(1);
    assert_eq!(state(&mut bench, id), MessageState::Delivered);
    bench.assert_drained();
}

/// By the id of the one that replaced: neither a receipt nor anything else may be there before the response.
#[test]
fn what_replaces_a_message_is_attempted_only_once_it_is_durable() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 10);
    let flagged = SubmitSm { replace_if_present_flag: 1, ..scheduled(1) };
    let ids = [b"CMT", b"CPT"].map(|service_type| {
        let sm = SubmitSm { service_type, ..flagged };
        bench.submit(session(0), sm)
    });
    bench.shard.store.durable = Some(bench.shard.store.newest());
    for service_type in [b"CMT", b"CPT"] {
        let now = SubmitSm { service_type, schedule_delivery_time: b"", ..flagged };
        assert_eq!(bench.try_submit(session(0), InterfaceVersion::V34, now), SubmitOutcome::Later);
    }
    bench.pass(60_000);
    assert!(bench.out.results.is_empty() && bench.out.finals().is_empty());
    // It can still be changed.
    let text = ids[1].text();
    let again = CancelSm { message_id: text.as_bytes(), source_addr: SOURCE, ..CancelSm::default() };
    assert_eq!(operate(&mut bench, ALICE, Operation::Cancel(again)), OperationOutcome::Later);
    bench.shard.store.durable = None;
    bench.turn();
    assert_eq!(bench.out.results.iter().map(|(_, result)| *result).collect::<Vec<_>>(), ids.map(Ok));
    bench.turn();
    assert_eq!(bench.out.finals(), [MessageState::Deleted, MessageState::Delivered]);
    let receipts = bench.deliveries();
    assert_eq!(receipts.len(), 2);
    receipts.iter().for_each(|receipt| bench.accept(receipt));
    bench.assert_drained();
}

#[test]
fn nothing_is_answered_before_it_is_durable_and_all_that_was_survives() {
    let mut bench = bench();
    let cancelled = bench.submit(session(0), scheduled(0));
    let with_receipt = bench.submit(session(0), scheduled(1));
    let replaced = bench.submit(session(0), scheduled(0));
    let flagged = SubmitSm { replace_if_present_flag: 1, service_type: b"CMT", ..scheduled(0) };
    let resubmitted = bench.submit(session(0), flagged);
    bench.shard.store.durable = Some(bench.shard.store.newest());
    for id in [cancelled, with_receipt] {
        let text = id.text();
        let cancel = CancelSm { message_id: text.as_bytes(), source_addr: SOURCE, ..CancelSm::default() };
        assert_eq!(operate(&mut bench, ALICE, Operation::Cancel(cancel)), OperationOutcome::Later);
    }
    let text = replaced.text();
    let new = ReplaceSm {
        message_id: text.as_bytes(),
        source_addr: SOURCE,
        short_message: b"Bye",
        ..ReplaceSm::default()
    };
    assert_eq!(operate(&mut bench, ALICE, Operation::Replace(new)), OperationOutcome::Later);
    let again = SubmitSm { short_message: b"Bye", ..flagged };
    assert_eq!(bench.try_submit(session(0), InterfaceVersion::V34, again), SubmitOutcome::Later);
    bench.turn();
    assert!(bench.out.answers.is_empty() && bench.out.results.is_empty());
    bench.shard.store.durable = None;
    bench.turn();
    assert_eq!(bench.out.answers.iter().map(|(_, answer)| *answer).collect::<Vec<_>>(), [Done; 3]);
    assert_eq!(bench.out.results.iter().map(|(_, result)| *result).collect::<Vec<_>>(), [Ok(resubmitted)]);

    let newest = bench.shard.store.newest();
    bench.restart(settings(), newest, 0, 0);
    assert_eq!(query(&mut bench, ALICE, cancelled), NotFound, "final states are not kept over a restart");
    assert_eq!(state(&mut bench, with_receipt), MessageState::Deleted);
    let texts: Vec<Vec<u8>> = [replaced, resubmitted]
        .into_iter()
        .map(|id| {
            let link = bench.shard.find(id).unwrap();
            let location = bench.shard.look_at(link).unwrap().location;
            SmFields::decode(bench.shard.store.body(location).unwrap()).unwrap().short_message.to_vec()
        })
        .collect();
    assert_eq!(texts, [b"Bye", b"Bye"]);
    bench.pass(3_600_000);
    assert_eq!(bench.out.finals(), [MessageState::Delivered; 2], "the cancelled ones are not sent");
}

/// The decimal ids that shard 1 of node 0 makes have as many digits as ids in hex.
#[test]
fn an_id_is_found_in_the_receipts_form_too_where_it_could_be_another_in_the_responses() {
    let mut settings = ShardSettings { shard: 1, shards: 2, ..settings() };
    settings.accounts[0].ids = IdForms { response: IdForm::Hex, receipt: IdForm::Decimal };
    let mut bench = Bench::new(settings);
    let (kept, ended) = (bench.submit(session(0), scheduled(0)), bench.submit(session(0), sm(0)));
    bench.turn();
    for id in [kept, ended] {
        let texts = [id.text(), IdForm::Decimal.text(id)];
        assert_eq!(texts.map(|text| text.as_bytes().len()), [16; 2]);
        for text in texts {
            let message_id = text.as_bytes();
            let query = QuerySm { message_id, source_addr: SOURCE, ..QuerySm::default() };
            let state = answer(&mut bench, ALICE, Operation::Query(query));
            assert!(matches!(state, OperationAnswer::State(state) if state.message_id == id), "{state:?}");
            assert_eq!(answer(&mut bench, BOB, Operation::Query(query)), NotFound);
        }
    }
    let text = IdForm::Decimal.text(kept);
    let replace = ReplaceSm { message_id: text.as_bytes(), source_addr: SOURCE, ..ReplaceSm::default() };
    assert_eq!(answer(&mut bench, ALICE, Operation::Replace(replace)), Done);
    let cancel = CancelSm { message_id: text.as_bytes(), source_addr: SOURCE, ..CancelSm::default() };
    assert_eq!(answer(&mut bench, ALICE, Operation::Cancel(cancel)), Done);
}
