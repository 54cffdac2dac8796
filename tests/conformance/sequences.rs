//! Any sequence of operations in any order, in any state, one by one or many at once: each request that has a response gets
//! exactly one, and the session goes on answering until its unbind.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::operations::OPERATIONS;
use crate::support::esme::*;
use crate::support::{Daemon, Layout};

/// Half of the messages fail, and each takes its time: what is answered by the outcome (transaction mode) is answered late.
const NETWORK: &str = r#"
[[network.profile]]
prefix = ""
delay = { distribution = "fixed", mean_ms = 3, max_ms = 3 }
delivered_per_mille = 500
undeliverable_per_mille = 500
"#;

/// Requests that an unbound peer may get wrong: at the fifth it is closed, so here are fewer.
const UNBOUND_MAX: usize = 4;

#[derive(Clone, Debug)]
struct Script {
    /// Operations before the bind, then how to bind, then those behind it.
    unbound: Vec<usize>,
    mode: Mode,
    version: u8,
    bound: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Step {
    /// An operation by its place in the list; the body cut to so many octets, if at all.
    Ask(usize, Option<usize>),
    /// Awaits all answers that are due.
    Settle,
}

/// Places in the list of operations but unbind, for the session to go on.
fn operation() -> impl Strategy<Value = usize> {
    let stays = |at: &usize| OPERATIONS[*at].command_id != UNBIND;
    prop::sample::select((0..OPERATIONS.len()).filter(stays).collect::<Vec<_>>())
}

fn script() -> impl Strategy<Value = Script> {
    let is_no_bind = |at: &usize| !OPERATIONS[*at].name.starts_with("bind_");
    let unbound = prop::collection::vec(operation().prop_filter("no bind", is_no_bind), 0..UNBOUND_MAX);
    let cut = prop_oneof![4 => Just(None), 1 => (0..60usize).prop_map(Some)];
    let step = prop_oneof![
        8 => (operation(), cut).prop_map(|(at, cut)| Step::Ask(at, cut)),
        1 => Just(Step::Settle),
    ];
    let mode = prop::sample::select(Mode::ALL.to_vec());
    let version = prop::sample::select(crate::VERSIONS.to_vec());
    (unbound, mode, version, prop::collection::vec(step, 1..60))
        .prop_map(|(unbound, mode, version, bound)| Script { unbound, mode, version, bound })
}

/// The answers that are due, by sequence_number; deliveries are answered on the way.
struct Due(BTreeMap<u32, u32>);

impl Due {
    fn ask(&mut self, esme: &mut RawEsme, at: usize, cut: Option<usize>, message_id: &str) {
        let operation = &OPERATIONS[at];
        let body = (operation.body)(message_id);
        let body = &body[..cut.unwrap_or(body.len()).min(body.len())];
        // Responses must answer nothing: no delivery of ours has such a number.
        let is_response = operation.command_id & RESP != 0;
        let sequence = esme.sequence();
        esme.send(&pdu(operation.command_id, 0, if is_response { 0x7F00_0000 } else { sequence }, body));
        if operation.is_answered() {
            let is_known = !operation.name.contains('(');
            let answer = if is_known { operation.command_id | RESP } else { GENERIC_NACK };
            self.0.insert(sequence, answer);
        }
    }

    fn settle(&mut self, esme: &mut RawEsme) {
        while !self.0.is_empty() {
            self.take(esme);
        }
    }

    fn take(&mut self, esme: &mut RawEsme) {
        let pdu = esme.receive();
        if [DELIVER_SM, 0x103].contains(&pdu.id) {
            esme.respond(&pdu, ESME_ROK);
        } else {
            let due = self.0.remove(&pdu.sequence);
            assert_eq!(due, Some(pdu.id), "not asked for, or answered twice: {pdu:02x?}");
        }
    }
}

/// Plays a script; ends with the unbind, behind which nothing comes but its answer.
fn play(smpp: SocketAddr, message_id: &str, script: &Script) {
    let mut esme = RawEsme::connect(smpp);
    let mut due = Due(BTreeMap::new());
    for &at in &script.unbound {
        due.ask(&mut esme, at, None, message_id);
    }
    due.settle(&mut esme);
    let response = esme.try_bind(script.mode, "demo", "demo", script.version, "");
    assert_eq!(response.status, ESME_ROK);
    for step in &script.bound {
        match step {
            Step::Ask(at, cut) => due.ask(&mut esme, *at, *cut, message_id),
            Step::Settle => due.settle(&mut esme),
        }
    }
    let sequence = esme.request(ENQUIRE_LINK, &[]);
    due.0.insert(sequence, ENQUIRE_LINK | RESP);
    due.settle(&mut esme);
    let sequence = esme.request(UNBIND, &[]);
    due.0.insert(sequence, UNBIND | RESP);
    while let Some(pdu) = esme.receive_or_end() {
        // What was on its way when the unbind came.
        if ![DELIVER_SM, 0x103].contains(&pdu.id) {
            assert_eq!(due.0.remove(&pdu.sequence), Some(pdu.id), "{pdu:02x?}");
        }
    }
    assert!(due.0.is_empty(), "without an answer: {:x?}", due.0);
}

#[test]
fn any_sequence_of_operations_is_answered_request_by_request() {
    for layout in [Layout::AUTOMATIC, Layout::TWO_BY_TWO] {
        let daemon = Daemon::start(NETWORK, layout);
        let mut first = daemon.bind(Mode::Transmitter);
        let waits = Sm { schedule: "000001000000000R".to_owned(), ..Sm::new("12345", "4470", "waits") };
        let message_id = first.submit(&waits);
        first.unbind();
        let mut runner =
            TestRunner::new(Config { cases: 150, failure_persistence: None, ..Config::default() });
        runner
            .run(&script(), |script| {
                play(daemon.plain, &message_id, &script);
                Ok(())
            })
            .unwrap_or_else(|failure| panic!("{layout:?}: {failure}"));
        assert_eq!(daemon.stat("/counters/frames_broken"), 0);
        daemon.await_stats(&[("/sessions/bound", 0)]);
    }
}
