//! `/metrics`: the counters and latencies in the OpenMetrics text that Prometheus reads.

use std::fmt;

use hdrhistogram::Histogram;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::control_lane::StoreStats;
use crate::stats::{AccountCounter, AccountTotals, Counter, CounterTotals, Latency, LatencySet};

/// Media type of the text.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of the histograms' buckets, in seconds: from a local response to a day of retries.
const BUCKETS_S: [f64; 24] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1,
    0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 600.0, 3_600.0, 86_400.0,
];

/// A gauge of one account: name, help, value.
type AccountGauge = (&'static str, &'static str, fn(&AccountTotals) -> u64);

const ACCOUNT_GAUGES: [AccountGauge; 4] = [
    ("sessions", "Sessions bound.", AccountTotals::sessions),
    ("messages_pending", "MT messages accepted and not yet final.", AccountTotals::pending),
    ("mo_pending", "MO messages not yet delivered.", AccountTotals::mo_pending),
    ("receipts_pending", "Receipts not yet acknowledged.", AccountTotals::receipts_pending),
];

const BINDS: [(&str, Counter, Counter); 3] = [
    ("transmitter", Counter::BoundTransmitter, Counter::UnboundTransmitter),
    ("receiver", Counter::BoundReceiver, Counter::UnboundReceiver),
    ("transceiver", Counter::BoundTransceiver, Counter::UnboundTransceiver),
];

/// All figures of one scrape.
#[derive(Debug)]
pub(super) struct Scrape {
    pub(super) ready: bool,
    pub(super) uptime_s: f64,
    pub(super) totals: CounterTotals,
    /// system_id of each account in `totals`.
    pub(super) accounts: Vec<String>,
    pub(super) latencies: LatencySet,
    /// `None`: messages are in memory.
    pub(super) store: Option<StoreStats>,
}

/// A figure of the store: name, help, unit, value.
type StoreFigure = (&'static str, &'static str, Option<Unit>, fn(&StoreStats) -> f64);

const STORE_GAUGES: [StoreFigure; 9] = [
    ("store_live", "Octets of pending messages in segments.", Some(Unit::Bytes), |s| s.live_bytes as f64),
    ("store_memory", "Memory of the index and of young bodies.", Some(Unit::Bytes), |s| {
        s.memory_bytes as f64
    }),
    ("store_files", "Octets of the segment files.", Some(Unit::Bytes), |s| s.file_bytes as f64),
    ("store_segments_in_use", "Segments that hold pending messages.", None, |s| s.segments as f64),
    ("store_segment_files", "Segment files.", None, |s| s.files as f64),
    ("store_full", "Whether messages are refused for want of disk.", None, |s| {
        f64::from(u8::from(s.is_full))
    }),
    ("store_oldest_pending", "Age of the oldest record, at most.", Some(Unit::Seconds), |s| {
        s.oldest_accepted_ms.map_or(0.0, super::stats::age_s)
    }),
    ("store_recovery", "How long recovery took at the start.", Some(Unit::Seconds), |s| {
        s.recovery.nanos as f64 / 1e9
    }),
    ("store_damaged_places", "Places that recovery could not read.", None, |s| s.recovery.damaged as f64),
];

const STORE_COUNTERS: [StoreFigure; 7] = [
    ("store_batches", "Batches written.", None, |s| s.batches as f64),
    ("store_entries", "Log entries written.", None, |s| s.entries as f64),
    ("store_frames", "Octets of the batches written.", Some(Unit::Bytes), |s| s.frame_bytes as f64),
    ("store_copied", "Messages copied forward.", None, |s| s.copied as f64),
    ("store_refused", "Messages refused for want of room.", None, |s| s.refused as f64),
    ("store_disk_reads", "Bodies read back from disk.", None, |s| s.disk_reads as f64),
    ("store_damaged_reads", "Bodies read back that were not what was written.", None, |s| {
        s.damaged_reads as f64
    }),
];

/// What a record is, as routing numbers it.
const RECORD_KINDS: [&str; 4] = ["mt", "mo", "receipt", "notification"];

fn encode_store(encoder: &mut DescriptorEncoder<'_>, store: &StoreStats) -> fmt::Result {
    for (name, help, unit, value) in STORE_GAUGES {
        let metric = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
        ConstGauge::new(value(store)).encode(metric)?;
    }
    for (name, help, unit, value) in STORE_COUNTERS {
        let metric = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?;
        ConstCounter::new(value(store)).encode(metric)?;
    }
    let mut pending = encoder.encode_descriptor(
        "store_pending",
        "Records held, by what they are.",
        None,
        MetricType::Gauge,
    )?;
    for (kind, count) in RECORD_KINDS.iter().zip(store.pending) {
        let labels = [("kind", *kind)];
        ConstGauge::new(count).encode(pending.encode_family(&labels)?)?;
    }
    let metric =
        encoder.encode_descriptor("store_batch_size", "Entries of a batch.", None, MetricType::Histogram)?;
    let last = store.batch_sizes.len() - 1;
    let upper = |i| if i == last { f64::INFINITY } else { (1_u64 << i) as f64 };
    let buckets: Vec<(f64, u64)> =
        store.batch_sizes.iter().enumerate().map(|(i, &n)| (upper(i), n)).collect();
    metric_histogram(metric, store.entries as f64, store.batches, &buckets)
}

fn metric_histogram(
    mut metric: MetricEncoder<'_>,
    sum: f64,
    count: u64,
    buckets: &[(f64, u64)],
) -> fmt::Result {
    metric.encode_histogram::<NoLabelSet>(sum, count, buckets, None)
}

impl Scrape {
    /// The text.
    pub(super) fn into_text(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("smscd");
        registry.register_collector(Box::new(self));
        let mut text = String::with_capacity(64 * 1024);
        encode(&mut text, &registry)?;
        Ok(text)
    }

    /// One metric with a value for each account.
    fn per_account<M: EncodeMetric>(
        &self,
        mut encoder: MetricEncoder<'_>,
        metric: impl Fn(&AccountTotals) -> M,
    ) -> fmt::Result {
        for (system_id, totals) in self.accounts.iter().zip(self.totals.accounts()) {
            let labels = [("account", system_id.as_str())];
            metric(totals).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for &counter in Counter::ALL {
            let metric = encoder.encode_descriptor(
                counter.label(),
                counter.help().trim(),
                None,
                MetricType::Counter,
            )?;
            ConstCounter::new(self.totals.get(counter)).encode(metric)?;
        }
        for &counter in AccountCounter::ALL {
            let metric = encoder.encode_descriptor(
                counter.label(),
                counter.help().trim(),
                None,
                MetricType::Counter,
            )?;
            self.per_account(metric, |totals| ConstCounter::new(totals.get(counter)))?;
        }
        for (name, help, value) in ACCOUNT_GAUGES {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            self.per_account(metric, |totals| ConstGauge::new(value(totals)))?;
        }
        let mut bound = encoder.encode_descriptor(
            "bound_sessions",
            "Sessions bound, by bind type.",
            None,
            MetricType::Gauge,
        )?;
        for (bind, opened, closed) in BINDS {
            let labels = [("bind", bind)];
            ConstGauge::new(self.totals.open(opened, closed)).encode(bound.encode_family(&labels)?)?;
        }
        let connections = self.totals.open(Counter::ConnectionsAccepted, Counter::ConnectionsClosed);
        let metric =
            encoder.encode_descriptor("connections", "Connections open.", None, MetricType::Gauge)?;
        ConstGauge::new(connections).encode(metric)?;
        let metric =
            encoder.encode_descriptor("ready", "Whether binds are accepted.", None, MetricType::Gauge)?;
        ConstGauge::new(u64::from(self.ready)).encode(metric)?;
        let metric = encoder.encode_descriptor(
            "uptime",
            "Time since the start.",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        ConstGauge::new(self.uptime_s).encode(metric)?;
        if let Some(store) = &self.store {
            encode_store(&mut encoder, store)?;
        }
        for latency in Latency::ALL {
            let metric = encoder.encode_descriptor(
                latency.name(),
                latency_help(latency),
                Some(&Unit::Seconds),
                MetricType::Histogram,
            )?;
            encode_histogram(metric, self.latencies.histogram(latency))?;
        }
        Ok(())
    }
}

const fn latency_help(latency: Latency) -> &'static str {
    match latency {
        Latency::SubmitResp => "submit_sm read from the socket to its response written.",
        Latency::Commit => "Append to durable.",
        Latency::DeliverResp => "deliver_sm written to its response read.",
        Latency::EndToEnd => "Message accepted to final state.",
        Latency::Receipt => "Final state to receipt acknowledged.",
    }
}

/// A histogram of nanoseconds as a classic one of seconds.
fn encode_histogram(mut encoder: MetricEncoder<'_>, histogram: &Histogram<u64>) -> fmt::Result {
    let mut buckets: Vec<(f64, u64)> =
        BUCKETS_S.iter().chain([&f64::INFINITY]).map(|&upper| (upper, 0)).collect();
    let mut bucket = 0;
    for step in histogram.iter_recorded() {
        let seconds = step.value_iterated_to() as f64 / 1e9;
        while buckets[bucket].0 < seconds {
            bucket += 1;
        }
        buckets[bucket].1 += step.count_since_last_iteration();
    }
    let sum = if histogram.is_empty() { 0.0 } else { histogram.mean() * histogram.len() as f64 / 1e9 };
    encoder.encode_histogram::<NoLabelSet>(sum, histogram.len(), &buckets, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::AccountId;
    use crate::stats::ThreadCounters;
    use std::collections::HashMap;
    use std::sync::Arc;

    /// Samples by name with labels, after checking that each belongs to a described metric.
    fn samples(text: &str) -> HashMap<String, f64> {
        assert!(text.ends_with("# EOF\n"));
        let mut described = Vec::new();
        let mut samples = HashMap::new();
        for line in text.lines().take_while(|line| *line != "# EOF") {
            if let Some(descriptor) = line.strip_prefix("# TYPE ") {
                described.push(descriptor.split(' ').next().unwrap().to_owned());
            } else if !line.starts_with('#') {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert!(described.iter().any(|metric| name.starts_with(metric.as_str())), "{line}");
                let old = samples.insert(name.to_owned(), value.parse().unwrap());
                assert!(old.is_none(), "{name} occurs twice");
            }
        }
        assert!(described.iter().all(|name| name.starts_with("smscd_")));
        samples
    }

    #[test]
    fn counters_gauges_and_histograms() {
        let counters = Arc::new(ThreadCounters::new(2));
        counters.add(Counter::PdusSent, 7);
        counters.add(Counter::BoundReceiver, 3);
        counters.add(Counter::UnboundReceiver, 1);
        counters.add_account(AccountId(1), AccountCounter::Accepted, 9);
        counters.add_account(AccountId(1), AccountCounter::Delivered, 4);
        let mut latencies = LatencySet::new();
        latencies.record_n(Latency::SubmitResp, 20_000, 3);
        latencies.record(Latency::SubmitResp, 2_000_000_000);
        latencies.record(Latency::Receipt, 100_000 * 1_000_000_000);
        let scrape = Scrape {
            ready: true,
            uptime_s: 1.5,
            totals: CounterTotals::of(&[counters], 2),
            accounts: vec!["demo".to_owned(), "quote\"d".to_owned()],
            latencies,
            store: Some(StoreStats {
                pending: [5, 0, 7, 0, 0, 0, 0, 0],
                live_bytes: 4096,
                entries: 30,
                batches: 3,
                batch_sizes: [1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                ..StoreStats::default()
            }),
        };
        let text = scrape.into_text().unwrap();
        let samples = samples(&text);
        let get = |name: &str| *samples.get(name).unwrap_or_else(|| panic!("no {name} in\n{text}"));
        assert_eq!(get("smscd_pdus_sent_total"), 7.0);
        assert_eq!(get("smscd_bound_sessions{bind=\"receiver\"}"), 2.0);
        assert_eq!(get("smscd_accepted_total{account=\"demo\"}"), 0.0);
        assert_eq!(get("smscd_accepted_total{account=\"quote\\\"d\"}"), 9.0);
        assert_eq!(get("smscd_messages_pending{account=\"quote\\\"d\"}"), 5.0);
        assert_eq!(get("smscd_uptime_seconds"), 1.5);
        assert_eq!(get("smscd_store_live_bytes"), 4096.0);
        assert_eq!(get("smscd_store_pending{kind=\"receipt\"}"), 7.0);
        assert_eq!(get("smscd_store_entries_total"), 30.0);
        assert_eq!(get("smscd_store_batch_size_bucket{le=\"16.0\"}"), 3.0);
        assert_eq!(get("smscd_submit_resp_seconds_count"), 4.0);
        assert_eq!(get("smscd_submit_resp_seconds_bucket{le=\"+Inf\"}"), 4.0);
        assert_eq!(get("smscd_receipt_seconds_bucket{le=\"+Inf\"}"), 1.0);
        assert_eq!(get("smscd_receipt_seconds_bucket{le=\"86400.0\"}"), 0.0);
        assert_eq!(get("smscd_commit_seconds_sum"), 0.0);
        let sum = get("smscd_submit_resp_seconds_sum");
        assert!((1.98..=2.03).contains(&sum), "{sum}");
        let mut cumulative: Vec<(f64, f64)> = BUCKETS_S
            .iter()
            .map(|le| {
                let le_text = text
                    .lines()
                    .filter_map(|line| {
                        line.strip_prefix("smscd_submit_resp_seconds_bucket{le=\"")?.split_once('"')
                    })
                    .find(|(text, _)| text.parse() == Ok(*le))
                    .unwrap()
                    .0;
                (*le, get(&format!("smscd_submit_resp_seconds_bucket{{le=\"{le_text}\"}}")))
            })
            .collect();
        cumulative.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(cumulative.windows(2).all(|pair| pair[0].1 <= pair[1].1));
        assert_eq!(cumulative.iter().find(|(le, _)| *le >= 0.000_025).unwrap().1, 3.0);
    }
}
