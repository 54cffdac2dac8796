//! `/stats`: the figures as JSON, with the keys that the contract fixes and more beside them.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::Shared;
use crate::config::Config;
use crate::control_lane::{SessionInfo, StoreStats};
use crate::stats::{AccountCounter, AccountTotals, Counter, CounterTotals, Latency, LatencySet};

#[derive(Debug, Serialize)]
pub(super) struct Stats<'a> {
    version: &'static str,
    uptime_s: f64,
    ready: bool,
    sessions: Sessions,
    messages: Messages,
    latency: BTreeMap<&'static str, LatencyFigures>,
    /// The store on disk; null when messages are in memory.
    store: Option<Store>,
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

/// What is on disk, or on its way there.
#[derive(Debug, Serialize)]
pub(super) struct Store {
    /// Records held, by what they are.
    pending: StorePending,
    /// Octets that they take in segments.
    live_bytes: u64,
    /// Memory of the index and of young bodies.
    memory_bytes: u64,
    segments_in_use: u64,
    segment_files: u64,
    file_bytes: u64,
    batches: u64,
    entries: u64,
    frame_bytes: u64,
    /// Batches by their number of entries, at most the key; "more" beyond.
    batch_sizes: BTreeMap<String, u64>,
    /// Messages copied forward out of segments that were to be used again.
    copied: u64,
    /// Messages refused for want of room.
    refused: u64,
    /// Bodies read back from disk.
    disk_reads: u64,
    /// Those of them that were not what was written.
    damaged_reads: u64,
    /// No message is taken in: the disk, or what is allowed of it, is full.
    is_full: bool,
    /// At most so old is the oldest record; null when there is none.
    oldest_pending_s: Option<f64>,
    recovery: Recovery,
}

#[derive(Debug, Serialize)]
struct StorePending {
    mt: u64,
    mo: u64,
    receipt: u64,
    notification: u64,
}

#[derive(Debug, Serialize)]
struct Recovery {
    messages: u64,
    bytes: u64,
    damaged_places: u64,
    lost_entries: u64,
    seconds: f64,
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
    shared: &Shared,
    config: &'a Config,
    totals: &CounterTotals,
    sessions: Option<&[SessionInfo]>,
) -> Stats<'a> {
    let accounts = config.accounts.iter().zip(totals.accounts()).enumerate();
    // What is left of a removed account is shown for as long as anything is left of it.
    let accounts = accounts.filter(|(_, (config, totals))| !config.removed || totals.is_active());
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
        store: shared.store().map(|figures| store(&figures)),
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

fn store(figures: &StoreStats) -> Store {
    let [mt, mo, receipt, notification, ..] = figures.pending;
    let sizes = figures.batch_sizes.iter().enumerate();
    let last = figures.batch_sizes.len() - 1;
    let name = |i: usize| if i == last { "more".to_owned() } else { (1_u64 << i).to_string() };
    Store {
        pending: StorePending { mt, mo, receipt, notification },
        live_bytes: figures.live_bytes,
        memory_bytes: figures.memory_bytes,
        segments_in_use: figures.segments,
        segment_files: figures.files,
        file_bytes: figures.file_bytes,
        batches: figures.batches,
        entries: figures.entries,
        frame_bytes: figures.frame_bytes,
        batch_sizes: sizes.map(|(i, &count)| (name(i), count)).collect(),
        copied: figures.copied,
        refused: figures.refused,
        disk_reads: figures.disk_reads,
        damaged_reads: figures.damaged_reads,
        is_full: figures.is_full,
        oldest_pending_s: figures.oldest_accepted_ms.map(age_s),
        recovery: Recovery {
            messages: figures.recovery.messages,
            bytes: figures.recovery.bytes,
            damaged_places: figures.recovery.damaged,
            lost_entries: figures.recovery.lost_entries,
            seconds: figures.recovery.nanos as f64 / 1e9,
        },
    }
}

/// Seconds since a Unix time in milliseconds; 0 when the clock has stepped back behind it.
pub(super) fn age_s(unix_ms: u64) -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    (now as f64 - unix_ms as f64).max(0.0) / 1_000.0
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
