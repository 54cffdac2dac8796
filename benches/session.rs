//! A turn of one session: a window of submit_sm in, as many responses out, with a shard that accepts everything.
//! `cargo bench --bench session`

use std::hint::black_box;

use divan::Bencher;
use divan::counter::ItemsCount;
use smscd::base::{AccountId, DeliveryToken, MessageId, SessionHandle, Time};
use smscd::session::{
    Authentication, BindMode, BindRequest, Compat, DeliveryResult, Disposition, Fact, Grant, MultiRequest,
    OperationDisposition, OperationRequest, Origin, Output, Port, Session, SessionSettings, SubmitRequest,
};
use smscd::smpp::{CommandId, CommandStatus, InterfaceVersion, OperationAnswer, SubmitSm, encode_pdu};

fn main() {
    divan::main();
}

struct Accepting {
    out: Vec<u8>,
    next_id: u64,
}

impl Output for Accepting {
    fn send(&mut self, _: usize, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.out);
    }

    fn fact(&mut self, fact: Fact) {
        black_box(fact);
    }
}

impl Port for Accepting {
    fn authenticate(&mut self, _: &BindRequest<'_>) -> Authentication {
        Authentication::Accepted(Grant {
            account: AccountId(0),
            window: 1_000,
            deliver_window: 1_000,
            compat: Compat::default(),
        })
    }

    fn bound(&mut self, _: &Grant, _: BindMode, _: InterfaceVersion, _: &[u8]) {}

    fn submit(&mut self, submit: &SubmitRequest<'_>) -> Disposition {
        black_box(submit.sm);
        self.next_id += 1;
        Disposition::Answered(Ok(MessageId::from_u64(self.next_id)))
    }

    fn submit_fields(
        &mut self,
        _: Origin,
        _: AccountId,
        _: InterfaceVersion,
        _: &SubmitSm<'_>,
    ) -> Disposition {
        Disposition::InFlight
    }
    fn submit_multi(&mut self, _: &MultiRequest<'_>) -> Disposition {
        Disposition::InFlight
    }
    fn delivery_result(&mut self, token: DeliveryToken, result: DeliveryResult) {
        black_box((token, result));
    }

    fn operate(&mut self, _: &OperationRequest<'_>) -> OperationDisposition {
        OperationDisposition::Asked { awaited: 0, answer: OperationAnswer::NotFound }
    }

    fn deliveries_off(&mut self) {}
}

fn settings() -> SessionSettings {
    SessionSettings {
        system_id: b"smscd".to_vec(),
        version_max: InterfaceVersion::V50,
        session_init_timeout_ms: 10_000,
        enquire_link_interval_ms: 30_000,
        inactivity_timeout_ms: 120_000,
        response_timeout_ms: 30_000,
        unbind_timeout_ms: 5_000,
        pdu_bytes_max: 70_000,
        enquire_link_before_bind: true,
    }
}

/// A bound transceiver and what it sends to.
fn bound() -> (Session, Accepting) {
    // bind_transceiver as demo/demo, version 3.4, by hand.
    let mut bind = vec![0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1];
    bind.extend_from_slice(b"demo\0demo\0\0\x34\0\0\0");
    bind[3] = bind.len() as u8;
    let handle = SessionHandle { slot: 0, generation: 0, worker: 0 };
    let mut session = Session::new(handle, Time::ZERO);
    let mut port = Accepting { out: Vec::with_capacity(1 << 20), next_id: 1 << 40 };
    session.receive(&bind, 1, Time::ZERO, &settings(), &mut port);
    assert!(session.is_bound());
    (session, port)
}

#[divan::bench(args = [1, 50, 200])]
fn submit_sm_turn(bencher: Bencher<'_, '_>, pdus: usize) {
    let sm = SubmitSm {
        source_addr: b"smscd",
        dest_addr_ton: 1,
        dest_addr_npi: 1,
        destination_addr: b"447700900123",
        short_message: &[b'x'; 60],
        ..SubmitSm::default()
    };
    let mut octets = Vec::new();
    for sequence_number in 1..=pdus as u32 {
        encode_pdu(&mut octets, CommandId::SUBMIT_SM, CommandStatus::ESME_ROK, sequence_number, &sm);
    }
    let (mut session, mut port) = bound();
    let settings = settings();
    bencher.counter(ItemsCount::new(pdus)).bench_local(|| {
        port.out.clear();
        let received = session.receive(&octets, u32::MAX, Time::ZERO, &settings, &mut port);
        assert_eq!(received.pdus as usize, pdus);
        port.out.len()
    });
}

/// A delivery out and its response in.
#[divan::bench]
fn deliver_sm_turn(bencher: Bencher<'_, '_>) {
    let (mut session, mut port) = bound();
    let settings = settings();
    let body = [0u8; 180];
    let mut response = vec![0, 0, 0, 17, 0x80, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut sequence_number = 0u32;
    bencher.bench_local(|| {
        port.out.clear();
        let token = DeliveryToken { slot: 1, generation: 1, shard: 0 };
        assert!(session.deliver(token, CommandId::DELIVER_SM, body.len(), Time::ZERO, &mut port, |out| {
            out.extend_from_slice(&body)
        }));
        sequence_number = sequence_number % 0x7FFF_FFFF + 1;
        response[12..16].copy_from_slice(&sequence_number.to_be_bytes());
        session.receive(&response, 1, Time::ZERO, &settings, &mut port).pdus
    });
}
