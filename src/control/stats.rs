//! `/stats`: the figures as JSON, with the keys that the contract fixes and more beside them.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::Shared;
use crate::control_lane::SessionInfo;
use crate::stats::{AccountCounter, AccountTotals, Counter, CounterTotals, Latency, LatencySet};

#[derive(Debug, Serialize)]
pub(super) struct Stats<'a> {
    version: &'static str,
    uptime_s: f64,
    ready: bool,
    sessions: Sessions,
    messages: Messages,
    latency: BTreeMap<&'static str, LatencyFigures>,
    accounts: BTreeMap<&'a str, Account>,
    /// Every daemon-wide counter.
    counters: BTreeMap<&'static str, u64>,
    threads: Vec<Thread>,
}

#[derive(Debug, Serialize)]
struct Sessions {
    bound: u64,
    transmitter: u64,
    receiver: u64,
    transceiver: u64,
}

#[derive(Debug, Serialize)]
struct Messages {
    submitted: u64,
    accepted: u64,
    rejected: u64,
    throttled: u64,
    pending: u64,
    delivered: u64,
    undeliverable: u64,
    expired: u64,
    deleted: u64,
    /// Accepted, then REJECTED by the network.
    rejected_by_network: u64,
    mo_accepted: u64,
    mo_delivered: u64,
    mo_failed: u64,
    mo_pending: u64,
    receipts_sent: u64,
    receipts_failed: u64,
    receipts_pending: u64,
}

#[derive(Debug, Serialize)]
struct LatencyFigures {
    count: u64,
    min_us: f64,
    mean_us: f64,
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    p999_us: f64,
    p9999_us: f64,
    max_us: f64,
}

#[derive(Debug, Serialize)]
struct Account {
    #[serde(flatten)]
    messages: Messages,
    /// Delivered among final; null before the first final state.
    success_ratio: Option<f64>,
    sessions: u64,
    /// Requests that one session may have unanswered.
    window: u32,
    /// Why sessions of it are not read at present; null when there are too many sessions to ask them all.
    throttled_by: Option<Vec<&'static str>>,
}

#[derive(Debug, Serialize)]
struct Thread {
    /// Shards that it hosts.
    shards: Vec<usize>,
    turns: u64,
    sleeps: u64,
    wakes: u64,
    lane_stalls: u64,
    long_turns: u64,
    pdus_received: u64,
    pdus_sent: u64,
}

/// The figures of this moment. `sessions`: all bound sessions, when there are few enough to list.
pub(super) fn collect<'a>(
    shared: &'a Shared,
    totals: &CounterTotals,
    sessions: Option<&[SessionInfo]>,
) -> Stats<'a> {
    let accounts = shared.config.accounts.iter().zip(totals.accounts()).enumerate();
    let accounts = accounts.map(|(i, (config, totals))| {
        let throttled_by = sessions.map(|sessions| {
            let own = sessions.iter().filter(|session| session.account.index() == i);
            let mut reasons: Vec<&'static str> = own.filter_map(|session| session.throttled_by).collect();
            reasons.sort_unstable();
            reasons.dedup();
            reasons
        });
        let account = Account {
            messages: messages(totals),
            success_ratio: totals.success_ratio(),
            sessions: totals.sessions(),
            window: config.window,
            throttled_by,
        };
        (config.system_id.as_str(), account)
    });
    Stats {
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: uptime_s(shared),
        ready: shared.is_ready(),
        sessions: bound_sessions(totals),
        messages: messages(totals.all_accounts()),
        latency: shared.latencies.read(latency),
        accounts: accounts.collect(),
        counters: Counter::ALL.iter().map(|&counter| (counter.label(), totals.get(counter))).collect(),
        threads: threads(shared),
    }
}

/// Seconds since the process started, to the millisecond.
pub(super) fn uptime_s(shared: &Shared) -> f64 {
    shared.started.elapsed().as_millis() as f64 / 1_000.0
}

const fn bound_sessions(totals: &CounterTotals) -> Sessions {
    let transmitter = totals.open(Counter::BoundTransmitter, Counter::UnboundTransmitter);
    let receiver = totals.open(Counter::BoundReceiver, Counter::UnboundReceiver);
    let transceiver = totals.open(Counter::BoundTransceiver, Counter::UnboundTransceiver);
    Sessions { bound: transmitter + receiver + transceiver, transmitter, receiver, transceiver }
}

const fn messages(totals: &AccountTotals) -> Messages {
    Messages {
        submitted: totals.get(AccountCounter::Submitted),
        accepted: totals.get(AccountCounter::Accepted),
        rejected: totals.get(AccountCounter::Rejected),
        throttled: totals.get(AccountCounter::Throttled),
        pending: totals.pending(),
        delivered: totals.get(AccountCounter::Delivered),
        undeliverable: totals.get(AccountCounter::Undeliverable),
        expired: totals.get(AccountCounter::Expired),
        deleted: totals.get(AccountCounter::Deleted),
        rejected_by_network: totals.get(AccountCounter::RejectedByNetwork),
        mo_accepted: totals.get(AccountCounter::MoAccepted),
        mo_delivered: totals.get(AccountCounter::MoDelivered),
        mo_failed: totals.get(AccountCounter::MoFailed),
        mo_pending: totals.mo_pending(),
        receipts_sent: totals.get(AccountCounter::ReceiptsSent),
        receipts_failed: totals.get(AccountCounter::ReceiptsFailed),
        receipts_pending: totals.receipts_pending(),
    }
}

fn latency(set: &LatencySet) -> BTreeMap<&'static str, LatencyFigures> {
    Latency::ALL.into_iter().map(|latency| (latency.name(), figures(set.histogram(latency)))).collect()
}

/// Figures of a histogram of nanoseconds, in microseconds to three places; zeros when it is empty.
fn figures(histogram: &Histogram<u64>) -> LatencyFigures {
    let micros = |nanos: f64| if histogram.is_empty() { 0.0 } else { nanos.round() / 1_000.0 };
    let quantile = |quantile| micros(histogram.value_at_quantile(quantile) as f64);
    LatencyFigures {
        count: histogram.len(),
        min_us: micros(histogram.min() as f64),
        mean_us: micros(histogram.mean()),
        p50_us: quantile(0.5),
        p90_us: quantile(0.9),
        p99_us: quantile(0.99),
        p999_us: quantile(0.999),
        p9999_us: quantile(0.9999),
        max_us: micros(histogram.max() as f64),
    }
}

fn threads(shared: &Shared) -> Vec<Thread> {
    let hosted = |thread| {
        let shards = shared.shard_ports.iter().enumerate();
        shards.filter(|(_, host)| **host == thread).map(|(shard, _)| shard).collect()
    };
    let thread = |(i, counters): (usize, &std::sync::Arc<crate::stats::ThreadCounters>)| Thread {
        shards: hosted(i),
        turns: counters.get(Counter::Turns),
        sleeps: counters.get(Counter::Sleeps),
        wakes: counters.get(Counter::Wakes),
        lane_stalls: counters.get(Counter::LaneStalls),
        long_turns: counters.get(Counter::LongTurns),
        pdus_received: counters.get(Counter::PdusReceived),
        pdus_sent: counters.get(Counter::PdusSent),
    };
    shared.counters.iter().enumerate().map(thread).collect()
}
