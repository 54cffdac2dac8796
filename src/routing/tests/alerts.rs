//! Delivery pending flags: who sets one, when its alert goes where, and what a restart makes of it.

use super::*;
use crate::base::SubmitOperation;
use crate::smpp::Tlvs;

const SET_DPF: &[u8] = &[0x04, 0x21, 0x00, 0x01, 0x01];
const AWAY: Outcome = Outcome::Absent { back_after_nanos: 60_000_000_000, error: 27 };

/// A message that asks for the flag.
fn asking() -> SubmitSm<'static> {
    SubmitSm { tlvs: Tlvs::decode(SET_DPF).unwrap(), ..sm(0) }
}

impl Bench {
    fn submit_by(&mut self, operation: SubmitOperation, version: InterfaceVersion, sm: SubmitSm<'_>) {
        let mut body = Vec::new();
        sm.encode_body(&mut body);
        let origin =
            Origin { session: session(0), sequence_number: 7, received_at: self.now.mono, operation };
        let submit = Submit { origin, account: ALICE, version, sm: &sm, body: &body };
        assert!(matches!(self.shard.submit(&submit, self.now, &mut self.out), SubmitOutcome::Accepted(_)));
        self.turn();
    }

    fn alerts(&mut self) -> Vec<(SessionHandle, Vec<u8>)> {
        std::mem::take(&mut self.out.alerts)
    }

    fn bind_version(&mut self, slot: u32, version: InterfaceVersion) {
        let session = session(slot);
        let address_range = b"";
        self.bind_as(Bound {
            session,
            account: ALICE,
            version,
            receives: true,
            deliver_credit: 9,
            address_range,
        });
    }
}

#[test]
fn an_alert_tells_that_the_subscriber_is_back() {
    let mut bench = bench();
    bench.bind_version(0, InterfaceVersion::V50);
    bench.bind(session(1), ALICE, 9);
    bench.shard.network.then(0, AWAY);
    bench.submit_by(SubmitOperation::SubmitSm, InterfaceVersion::V50, asking());
    for _ in 0..6 {
        bench.shard.network.then(0, Outcome::Absent { back_after_nanos: u64::MAX, error: 27 });
    }
    bench.pass(59_999);
    assert!(bench.alerts().is_empty(), "still away");
    bench.pass(1);
    // To the session that has asked; source is the subscriber, and what asked was ACME.
    let body = b"\x01\x01447700900123\0\x05\0ACME\0\x04\x22\0\x01\0".to_vec();
    assert_eq!(bench.alerts(), [(session(0), body)]);
    assert!(bench.out.facts.contains(&Fact::AlertSent { account: ALICE }));
    bench.pass(3_600_000);
    assert_eq!(bench.out.finals(), [MessageState::Expired]);
}

#[test]
fn only_those_who_ask_and_may_are_told() {
    for (operation, version, sm, alerts) in [
        (SubmitOperation::SubmitSm, InterfaceVersion::V50, asking(), 1),
        (SubmitOperation::DataSm, InterfaceVersion::V34, asking(), 1),
        // 3.4 has the TLV in data_sm only.
        (SubmitOperation::SubmitSm, InterfaceVersion::V34, asking(), 0),
        (SubmitOperation::DataSm, InterfaceVersion::V50, sm(0), 0),
    ] {
        let mut bench = bench();
        bench.bind(session(0), ALICE, 9);
        bench.shard.network.then(0, AWAY);
        bench.submit_by(operation, version, sm);
        bench.pass(3_700_000);
        assert_eq!(bench.alerts().len(), alerts, "{operation:?} {version:?}");
        bench.assert_drained();
    }
}

#[test]
fn one_alert_for_all_that_wait_and_one_more_after_the_next_absence() {
    let mut bench = bench();
    bench.bind(session(0), ALICE, 9);
    bench.shard.network.then(0, AWAY);
    for _ in 0..3 {
        bench.submit_by(SubmitOperation::DataSm, InterfaceVersion::V34, asking());
    }
    bench.pass(60_000);
    assert_eq!(bench.alerts().len(), 1);
    bench.shard.network.then(0, AWAY);
    bench.submit_by(SubmitOperation::DataSm, InterfaceVersion::V34, asking());
    bench.pass(60_000);
    assert_eq!(bench.alerts().len(), 1);
    bench.assert_drained();
}

#[test]
fn a_flag_outlives_the_message_the_session_and_the_process() {
    let mut bench = bench();
    bench.shard.network.then(0, AWAY);
    // A single attempt: it has failed for good while the flag waits.
    let datagram = SubmitSm { esm_class: crate::smpp::EsmClass(1), ..asking() };
    bench.submit_by(SubmitOperation::DataSm, InterfaceVersion::V34, datagram);
    assert_eq!(bench.out.finals(), [MessageState::Undeliverable]);
    let kept = bench.shard.store.newest();
    bench.restart(settings(), kept, 30_000, 0);
    // Meanwhile, the flag is set already.
    bench.shard.network.then(0, AWAY);
    bench.submit_by(SubmitOperation::DataSm, InterfaceVersion::V34, datagram);
    bench.pass(31_000);
    assert!(bench.alerts().is_empty(), "nobody is bound");
    bench.bind(session(5), ALICE, 9);
    bench.turn();
    let sessions: Vec<SessionHandle> = bench.alerts().iter().map(|alert| alert.0).collect();
    assert_eq!(sessions, [session(5)]);
    bench.assert_drained();
}

#[test]
fn sessions_of_3_3_get_none() {
    let mut bench = bench();
    bench.bind_version(0, InterfaceVersion::V33);
    bench.shard.network.then(0, AWAY);
    bench.submit_by(SubmitOperation::DataSm, InterfaceVersion::V34, asking());
    bench.pass(60_000);
    assert!(bench.alerts().is_empty());
    assert!(bench.out.facts.contains(&Fact::AlertDropped { account: ALICE }));
    bench.assert_drained();
    bench.bind_version(3, InterfaceVersion::V34);
    bench.shard.network.then(0, AWAY);
    bench.submit_by(SubmitOperation::DataSm, InterfaceVersion::V34, asking());
    bench.pass(60_000);
    let sessions: Vec<SessionHandle> = bench.alerts().iter().map(|alert| alert.0).collect();
    assert_eq!(sessions, [session(3)], "not to the one that asked");
}

#[test]
fn an_alert_waits_for_room_in_the_lane() {
    let mut bench = bench();
    bench.bind(session(1), ALICE, 9);
    bench.shard.network.then(0, AWAY);
    bench.submit_by(SubmitOperation::DataSm, InterfaceVersion::V34, asking());
    bench.out.full_lanes = vec![1];
    bench.pass(60_000);
    assert!(bench.alerts().is_empty());
    bench.out.full_lanes.clear();
    bench.turn();
    assert_eq!(bench.alerts().len(), 1);
    bench.assert_drained();
}

#[test]
fn a_receipt_of_5_0_says_whether_the_flag_is_set() {
    const DPF_RESULT: [u8; 4] = [0x04, 0x20, 0x00, 0x01];
    let result = |delivery: &Delivery| {
        let at = delivery.body.windows(4).position(|window| window == DPF_RESULT)?;
        delivery.body.get(at + 4).copied()
    };
    for (version, sm, outcome, expected) in [
        (InterfaceVersion::V50, asking(), AWAY, Some(1)),
        (InterfaceVersion::V50, asking(), Outcome::Delivered, Some(0)),
        (InterfaceVersion::V50, sm(0), AWAY, None),
        (InterfaceVersion::V34, asking(), AWAY, None),
    ] {
        let mut bench = bench();
        bench.bind_version(0, version);
        bench.shard.network.then(0, outcome);
        bench.shard.network.then(0, AWAY);
        let validity_period = b"000000000002000R";
        let registered_delivery = RegisteredDelivery::FINAL;
        let sm = SubmitSm { validity_period, registered_delivery, ..sm };
        bench.submit_by(SubmitOperation::SubmitSm, version, sm);
        bench.pass(3_000);
        assert_eq!(result(&bench.delivery()), expected, "{version:?} {outcome:?}");
    }
}
