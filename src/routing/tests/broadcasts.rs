//! Broadcasts: rounds, ends, what a restart makes of them, and when they are answered.

use super::*;
use crate::base::mobile::Reach;
use crate::smpp::{BroadcastSm, CancelBroadcastSm, Operation, QueryBroadcastSm, TlvTag, Tlvs, push_tlv};

const ASKER: Asker = Asker { session: SessionHandle { slot: 0, generation: 1, worker: 0 }, ticket: 3 };
const HALF: Reach = Reach { cells: 10, reached: 5 };

/// So many rounds in Dublin, ten seconds apart.
fn tlvs(rounds: u16) -> Vec<u8> {
    let mut tlvs = Vec::new();
    push_tlv(&mut tlvs, TlvTag::BROADCAST_AREA_IDENTIFIER, b"\0Dublin");
    push_tlv(&mut tlvs, TlvTag::BROADCAST_CONTENT_TYPE, &[0, 0, 0x30]);
    push_tlv(&mut tlvs, TlvTag::BROADCAST_REP_NUM, &rounds.to_be_bytes());
    push_tlv(&mut tlvs, TlvTag::BROADCAST_FREQUENCY_INTERVAL, &[0x08, 0, 10]);
    push_tlv(&mut tlvs, TlvTag::MESSAGE_PAYLOAD, b"road closed");
    tlvs
}

fn broadcast(tlvs: &[u8]) -> BroadcastSm<'_> {
    BroadcastSm { source_addr: b"ALERTS", tlvs: Tlvs::decode(tlvs).unwrap(), ..BroadcastSm::default() }
}

impl Bench {
    fn broadcasting(settings: ShardSettings) -> Self {
        let mut bench = Self::new(settings);
        bench.shard.network.areas.insert(b"Dublin".to_vec(), HALF);
        bench
    }

    fn ask(&mut self, operation: Operation<'_>) -> OperationOutcome {
        let (asker, account, version) = (ASKER, ALICE, InterfaceVersion::V50);
        let request = OperationRequest { asker, account, version, operation };
        let outcome = self.shard.operate(&request, self.now, &mut self.out);
        self.shard.check_invariants();
        outcome
    }

    /// Takes a broadcast in; its id.
    fn begin(&mut self, sm: BroadcastSm<'_>) -> MessageId {
        assert_eq!(self.ask(Operation::Broadcast(sm)), OperationOutcome::Later);
        self.turn();
        let (asker, body) = self.out.bodies.pop().expect("an answer");
        assert_eq!((asker, body.len(), self.out.bodies.len()), (ASKER, 17, 0));
        MessageId::parse(&body[..16]).expect("an id")
    }

    /// message_state and broadcast_area_success.
    fn state_and_success(&mut self, id: MessageId) -> (u8, u8) {
        let text = id.text();
        let query = QueryBroadcastSm {
            message_id: text.as_bytes(),
            source_addr: b"ALERTS",
            ..QueryBroadcastSm::default()
        };
        assert_eq!(self.ask(Operation::QueryBroadcast(query)), OperationOutcome::Later);
        self.turn();
        let (_, body) = self.out.bodies.pop().expect("an answer");
        let tlvs = Tlvs::decode(&body[17..]).unwrap();
        let octet = |tag| tlvs.u8(tag).unwrap();
        (octet(TlvTag::MESSAGE_STATE), octet(TlvTag::BROADCAST_AREA_SUCCESS))
    }

    fn rounds(&self) -> usize {
        self.out.facts.iter().filter(|fact| **fact == Fact::Attempt).count()
    }
}

#[test]
fn as_many_rounds_as_asked_for_at_their_interval() {
    let mut bench = Bench::broadcasting(settings());
    let id = bench.begin(broadcast(&tlvs(3)));
    assert_eq!(bench.rounds(), 1, "the first at once");
    assert_eq!(bench.state_and_success(id), (1, 50));
    bench.pass(9_999);
    assert_eq!(bench.rounds(), 1);
    bench.shard.network.areas.insert(b"Dublin".to_vec(), Reach { cells: 10, reached: 10 });
    bench.pass(1);
    assert_eq!((bench.rounds(), bench.state_and_success(id)), (2, (1, 75)));
    bench.pass(10_000);
    assert_eq!(bench.out.finals(), [MessageState::Delivered]);
    assert_eq!(bench.state_and_success(id), (2, 83));
    bench.assert_drained();
}

#[test]
fn immediate_is_once_and_without_a_number_it_goes_on_until_its_end() {
    let mut bench = Bench::broadcasting(settings());
    bench.begin(BroadcastSm { priority_flag: 1, ..broadcast(&tlvs(100)) });
    assert_eq!(bench.out.finals(), [MessageState::Delivered]);
    let until = |validity_period| BroadcastSm { validity_period, ..broadcast(&[]) };
    // Three rounds within 25 seconds; all that there was time for.
    let mut bench = Bench::broadcasting(settings());
    let endless = tlvs(0);
    bench.begin(BroadcastSm { tlvs: Tlvs::decode(&endless).unwrap(), ..until(b"000000000025000R") });
    bench.pass(10_000);
    bench.pass(10_000);
    bench.pass(4_999);
    assert_eq!((bench.rounds(), bench.out.finals()), (3, vec![]));
    bench.pass(1);
    assert_eq!((bench.rounds(), bench.out.finals()), (3, vec![MessageState::Delivered]));
    bench.assert_drained();
    // Where a number was given, and was not reached.
    let mut bench = Bench::broadcasting(settings());
    let many = tlvs(100);
    bench.begin(BroadcastSm { tlvs: Tlvs::decode(&many).unwrap(), ..until(b"000000000005000R") });
    bench.pass(5_000);
    assert_eq!(bench.out.finals(), [MessageState::Expired]);
}

#[test]
fn nobody_reached_is_undeliverable() {
    let mut bench = Bench::broadcasting(settings());
    bench.shard.network.areas.insert(b"Dublin".to_vec(), Reach { cells: 10, reached: 0 });
    let id = bench.begin(broadcast(&tlvs(1)));
    assert_eq!(bench.out.finals(), [MessageState::Undeliverable]);
    assert_eq!(bench.state_and_success(id), (5, 0));
}

#[test]
fn neither_answered_nor_begun_before_it_is_durable() {
    let mut bench = Bench::broadcasting(settings());
    bench.shard.store.durable = Some(Lsn::default());
    assert_eq!(bench.ask(Operation::Broadcast(broadcast(&tlvs(2)))), OperationOutcome::Later);
    bench.turn();
    assert_eq!((bench.out.bodies.len(), bench.rounds()), (0, 0));
    bench.shard.store.durable = None;
    bench.turn();
    assert_eq!((bench.out.bodies.len(), bench.rounds()), (1, 1));
}

#[test]
fn an_answer_waits_for_room_in_the_lane() {
    let mut bench = Bench::broadcasting(settings());
    bench.out.full_lanes = vec![0];
    bench.ask(Operation::Broadcast(broadcast(&tlvs(2))));
    bench.turn();
    assert!(bench.out.bodies.is_empty());
    bench.out.full_lanes.clear();
    bench.turn();
    assert_eq!(bench.out.bodies.len(), 1);
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let mut bench = Bench::broadcasting(settings());
    let id = bench.begin(broadcast(&tlvs(3)));
    bench.pass(10_000);
    let scheduled = BroadcastSm { schedule_delivery_time: b"000000000100000R", ..broadcast(&[]) };
    let once = tlvs(1);
    let later = bench.begin(BroadcastSm { tlvs: Tlvs::decode(&once).unwrap(), ..scheduled });
    let kept = bench.shard.store.newest();
    bench.restart(settings(), kept, 5_000, 0);
    bench.shard.network.areas.insert(b"Dublin".to_vec(), HALF);
    assert_eq!(bench.state_and_success(id), (1, 255), "how it fared before is not known");
    assert_eq!(bench.state_and_success(later), (0, 255));
    bench.pass(4_999);
    assert_eq!(bench.rounds(), 0);
    bench.pass(1);
    assert_eq!((bench.rounds(), bench.out.finals()), (1, vec![MessageState::Delivered]));
    bench.pass(3_600_000);
    assert_eq!(bench.out.finals().len(), 2);
    bench.assert_drained();
}

#[test]
fn the_end_is_told_where_the_account_wants_to_know() {
    let mut settings = settings();
    settings.accounts[0].broadcast_receipts = true;
    let mut bench = Bench::broadcasting(settings);
    bench.bind(session(0), ALICE, 9);
    let id = bench.begin(broadcast(&tlvs(2)));
    assert!(bench.deliveries().is_empty());
    let text = id.text();
    let cancel = CancelBroadcastSm {
        message_id: text.as_bytes(),
        source_addr: b"ALERTS",
        ..CancelBroadcastSm::default()
    };
    let done = OperationOutcome::Answered(OperationAnswer::Done);
    assert_eq!(bench.ask(Operation::CancelBroadcast(cancel)), done);
    bench.turn();
    let delivery = bench.delivery();
    assert!(delivery.body.windows(12).any(|window| window == b"stat:DELETED"), "{delivery:?}");
    bench.accept(&delivery);
    bench.assert_drained();
}
