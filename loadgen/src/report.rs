//! The result of a run: judged, as a table, as JSON and as percentile distributions.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};
use hdrhistogram::Histogram;
use serde::Serialize;
use smscd::smpp::CommandStatus;

use crate::matching::Reconciled;
use crate::plan::{Load, Plan};
use crate::status;
use crate::tally::Tally;

/// A latency distribution in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Latency {
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

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            count: histogram.len(),
            min_us: histogram.min() as f64 / 1e3,
            mean_us: histogram.mean() / 1e3,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            p9999_us: at(0.9999),
            max_us: histogram.max() as f64 / 1e3,
        }
    }
}

/// How the asked rate was kept.
#[derive(Debug, Serialize)]
struct OpenLoop {
    asked_per_s: f64,
    /// submit_sm written a second while sending.
    achieved_per_s: f64,
    /// How late the generator itself was each time it woke to send: lateness that is not the target's.
    generator_lag: Latency,
}

/// What verification found.
#[derive(Debug, Serialize)]
struct Verification {
    passed: bool,
    submitted: u64,
    unanswered: u64,
    repeated_responses: u64,
    unknown_responses: u64,
    responses_without_id: u64,
    repeated_ids: u64,
    receipts_matched: u64,
    receipts_missing: u64,
    receipts_repeated: u64,
    receipts_unknown: u64,
    receipts_without_id: u64,
}

/// The whole result.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Whether the run and its verification went well.
    pub(crate) ok: bool,
    /// What did not.
    failures: Vec<String>,
    target: String,
    mode: &'static str,
    bind: String,
    sessions: usize,
    sessions_lost: u64,
    threads: usize,
    window: Option<u64>,
    text_len: usize,
    destinations: u64,
    warmup_s: f64,
    /// From the end of warm-up to the last response.
    elapsed_s: f64,
    submitted: u64,
    accepted: u64,
    /// Accepted messages a second, after warm-up.
    accepted_per_s: f64,
    refused: u64,
    /// Refusals by command_status.
    errors: BTreeMap<String, u64>,
    retried: u64,
    unanswered: u64,
    submit_resp: Latency,
    receipts: u64,
    receipts_per_s: f64,
    /// Receipts whose message was not found: unknown, or sent by another thread than got the receipt.
    receipts_unmatched: u64,
    submit_receipt: Latency,
    intermediate_notifications: u64,
    mo_messages: u64,
    enquire_links: u64,
    malformed: u64,
    open_loop: Option<OpenLoop>,
    verification: Option<Verification>,
    /// The generator's CPU time while it ran, user and system, all threads.
    cpu_s: f64,
    /// The same for each submitted message.
    cpu_us_per_message: f64,
    system_calls: u64,
}

impl Report {
    /// Judges a run. `elapsed_ns` of the tally count from the run's start.
    pub(crate) fn new(plan: &Plan, tally: &Tally, reconciled: Option<&Reconciled>) -> Self {
        let measure_from = plan.warmup.as_nanos() as u64;
        let seconds = |until: u64| until.saturating_sub(measure_from) as f64 / 1e9;
        let per_second =
            |n: u64, until: u64| if until > measure_from { n as f64 / seconds(until) } else { 0.0 };
        let idle = plan.load == Load::Idle;
        let verification = reconciled.map(|found| Verification::of(tally, found));
        let mut failures = Vec::new();
        if tally.sessions_lost > 0 {
            let reasons = tally.reasons.join("; ");
            failures.push(format!("{} sessions ended before the run did: {reasons}", tally.sessions_lost));
        }
        if tally.unanswered > 0 {
            failures.push(format!("{} submit_sm never got a response", grouped(tally.unanswered as f64)));
        }
        if !idle && tally.accepted == 0 {
            failures.push("no message was accepted".into());
        }
        if plan.shape.receipts && tally.receipts < tally.accepted && reconciled.is_none() {
            let missing = grouped((tally.accepted - tally.receipts) as f64);
            failures.push(format!("{missing} receipts are missing"));
        }
        if verification.as_ref().is_some_and(|verification| !verification.passed) {
            failures.push("verification failed".into());
        }
        let last = if idle { tally.sending_ended } else { tally.last_response };
        Self {
            ok: failures.is_empty(),
            failures,
            target: plan.target.clone(),
            mode: match plan.load {
                Load::Closed { .. } => "closed loop",
                Load::Open { .. } => "open loop",
                Load::Idle => "idle",
            },
            bind: clap::ValueEnum::to_possible_value(&plan.bind)
                .map_or_else(String::new, |value| value.get_name().to_owned()),
            sessions: plan.sessions,
            sessions_lost: tally.sessions_lost,
            threads: plan.threads,
            window: match plan.load {
                Load::Closed { window } => Some(u64::from(window)),
                Load::Open { window, .. } => window.map(u64::from),
                Load::Idle => None,
            },
            text_len: plan.shape.text_len,
            destinations: plan.shape.destinations,
            warmup_s: plan.warmup.as_secs_f64(),
            elapsed_s: seconds(last),
            submitted: tally.submitted,
            accepted: tally.accepted,
            accepted_per_s: per_second(tally.submit_response.len(), tally.last_response),
            refused: tally.refused_total(),
            errors: tally
                .refused
                .iter()
                .map(|(&code, &n)| (status::describe(CommandStatus(code)), n))
                .collect(),
            retried: tally.retried,
            unanswered: tally.unanswered,
            submit_resp: Latency::of(&tally.submit_response),
            receipts: tally.receipts,
            receipts_per_s: per_second(tally.receipts_measured, tally.last_receipt),
            receipts_unmatched: tally.receipts - tally.receipts_matched.min(tally.receipts),
            submit_receipt: Latency::of(&tally.submit_receipt),
            intermediate_notifications: tally.intermediate,
            mo_messages: tally.mobile,
            enquire_links: tally.enquire_links,
            malformed: tally.malformed,
            open_loop: match plan.load {
                Load::Open { rate, .. } => Some(OpenLoop {
                    asked_per_s: rate,
                    achieved_per_s: tally.submitted as f64 * 1e9 / tally.sending_ended.max(1) as f64,
                    generator_lag: Latency::of(&tally.lag),
                }),
                Load::Closed { .. } | Load::Idle => None,
            },
            verification,
            cpu_s: tally.cpu_ns as f64 / 1e9,
            cpu_us_per_message: tally.cpu_ns as f64 / 1e3 / tally.submitted.max(1) as f64,
            system_calls: tally.system_calls,
        }
    }

    /// The tables that a person reads.
    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "{}, {}: {} {} sessions on {} {}{}\n",
            self.target,
            self.mode,
            self.sessions,
            self.bind,
            self.threads,
            if self.threads == 1 { "thread" } else { "threads" },
            self.window.map_or_else(String::new, |window| format!(", window {window}")),
        );
        let mut add = |table: Option<Table>| {
            if let Some(table) = table {
                let _ = writeln!(text, "{table}");
            }
        };
        add(Some(self.counts()));
        add(self.latencies());
        add(self.error_table());
        add(self.verification.as_ref().map(Verification::table));
        if self.receipts_unmatched > 0 && self.verification.is_none() {
            let _ = writeln!(
                text,
                "note: {} receipts match no message of the thread that got them; --verify looks at all threads together",
                grouped(self.receipts_unmatched as f64)
            );
        }
        for failure in &self.failures {
            let _ = writeln!(text, "FAILED: {failure}");
        }
        text
    }

    fn counts(&self) -> Table {
        let mut table = table(&["", "count", "per second"]);
        let mut row = |name: &str, n: u64, rate: String| {
            table.add_row([name.to_owned(), grouped(n as f64), rate]);
        };
        if self.mode == "idle" {
            row("sessions held", self.sessions as u64 - self.sessions_lost, String::new());
        } else {
            let asked = self.open_loop.as_ref().map_or_else(String::new, |open| {
                format!("{} of {} asked", grouped(open.achieved_per_s), grouped(open.asked_per_s))
            });
            row("submit_sm sent", self.submitted, asked);
            row("accepted", self.accepted, grouped(self.accepted_per_s));
        }
        for (name, n) in [
            ("refused", self.refused),
            ("sent again after throttling", self.retried),
            ("without response", self.unanswered),
        ] {
            if n > 0 {
                row(name, n, String::new());
            }
        }
        if self.receipts > 0 {
            row("receipts", self.receipts, grouped(self.receipts_per_s));
        }
        for (name, n) in [
            ("intermediate notifications", self.intermediate_notifications),
            ("MO messages", self.mo_messages),
            ("malformed deliver_sm", self.malformed),
            ("enquire_link answered", self.enquire_links),
        ] {
            if n > 0 {
                row(name, n, String::new());
            }
        }
        table.add_row(["time".to_owned(), format!("{:.2} s", self.elapsed_s), String::new()]);
        let each = if self.submitted > 0 {
            format!("{:.3} µs a message", self.cpu_us_per_message)
        } else {
            String::new()
        };
        table.add_row(["CPU time of the generator".to_owned(), format!("{:.2} s", self.cpu_s), each]);
        table
    }

    fn latencies(&self) -> Option<Table> {
        let mut rows = Vec::new();
        if self.submit_resp.count > 0 {
            rows.push(("submit to response", &self.submit_resp));
        }
        if self.submit_receipt.count > 0 {
            rows.push(("submit to receipt", &self.submit_receipt));
        }
        if let Some(open) = &self.open_loop {
            rows.push(("generator's own lateness", &open.generator_lag));
        }
        if rows.is_empty() {
            return None;
        }
        let mut table =
            table(&["latency", "min", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max", "messages"]);
        for (name, latency) in rows {
            let times = [
                latency.min_us,
                latency.mean_us,
                latency.p50_us,
                latency.p90_us,
                latency.p99_us,
                latency.p999_us,
                latency.p9999_us,
                latency.max_us,
            ];
            let mut cells = vec![name.to_owned()];
            cells.extend(times.map(time));
            cells.push(grouped(latency.count as f64));
            table.add_row(cells);
        }
        Some(table)
    }

    fn error_table(&self) -> Option<Table> {
        if self.errors.is_empty() {
            return None;
        }
        let mut table = table(&["refused with", "count"]);
        for (name, n) in &self.errors {
            table.add_row([name.clone(), grouped(*n as f64)]);
        }
        Some(table)
    }

    /// Writes the result as JSON.
    pub(crate) fn write_json(&self, path: &Path) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        fs::write(path, text)
    }
}

impl Verification {
    fn of(tally: &Tally, found: &Reconciled) -> Self {
        let mut verification = Self {
            passed: false,
            submitted: tally.submitted,
            unanswered: tally.unanswered,
            repeated_responses: tally.repeated_responses,
            unknown_responses: tally.unknown_responses,
            responses_without_id: found.without_id,
            repeated_ids: found.repeated_ids,
            receipts_matched: found.receipted,
            receipts_missing: found.missing_receipts,
            receipts_repeated: found.repeated_receipts,
            receipts_unknown: found.unknown_receipts,
            receipts_without_id: tally.receipts_without_id,
        };
        verification.passed = verification.faults().iter().all(|(_, n)| *n == 0);
        verification
    }

    /// Every fault that verification knows, with its count.
    const fn faults(&self) -> [(&'static str, u64); 9] {
        [
            ("submit_sm without response", self.unanswered),
            ("second responses to one submit_sm", self.repeated_responses),
            ("responses to no submit_sm", self.unknown_responses),
            ("responses without message id", self.responses_without_id),
            ("message ids given twice", self.repeated_ids),
            ("receipts missing", self.receipts_missing),
            ("second receipts for one message", self.receipts_repeated),
            ("receipts for unknown messages", self.receipts_unknown),
            ("receipts without message id", self.receipts_without_id),
        ]
    }

    fn table(&self) -> Table {
        let mut table = table(&["verification", if self.passed { "passed" } else { "FAILED" }]);
        table.add_row(["submit_sm sent".to_owned(), grouped(self.submitted as f64)]);
        table.add_row(["receipts matched".to_owned(), grouped(self.receipts_matched as f64)]);
        for (name, n) in self.faults() {
            table.add_row([name.to_owned(), grouped(n as f64)]);
        }
        table
    }
}

/// An empty table whose columns but the first are aligned to the right.
fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A number with its thousands apart: 1,234,567.
pub(crate) fn grouped(n: f64) -> String {
    let digits = format!("{n:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time in the unit that suits it.
fn time(us: f64) -> String {
    match us {
        _ if us < 1e3 => format!("{us:.1} µs"),
        _ if us < 1e6 => format!("{:.2} ms", us / 1e3),
        _ => format!("{:.2} s", us / 1e6),
    }
}

/// Writes a percentile distribution in microseconds, as HdrHistogram's own tools write it.
pub(crate) fn write_hgrm(histogram: &Histogram<u64>, path: &Path) -> io::Result<()> {
    let mut text =
        format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let mut total = 0;
    for point in histogram.iter_quantiles(5) {
        total += point.count_since_last_iteration();
        let quantile = point.quantile_iterated_to();
        let value = point.value_iterated_to() as f64 / 1e3;
        let _ = write!(text, "{value:>12.3} {quantile:>2.12} {total:>10}");
        if quantile < 1.0 {
            let _ = write!(text, " {:>14.2}", 1.0 / (1.0 - quantile));
        }
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]",
        histogram.mean() / 1e3,
        histogram.stdev() / 1e3
    );
    let _ = writeln!(
        text,
        "#[Max     = {:>12.3}, Total count    = {:>12}]",
        histogram.max() as f64 / 1e3,
        histogram.len()
    );
    let _ = writeln!(text, "#[Buckets = {:>12}, SubBuckets     = {:>12}]", histogram.buckets(), 2048);
    fs::write(path, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_read_well() {
        assert_eq!(grouped(0.0), "0");
        assert_eq!(grouped(999.6), "1,000");
        assert_eq!(grouped(1_234_567.0), "1,234,567");
        assert_eq!([time(12.34), time(2500.0), time(3e6)], ["12.3 µs", "2.50 ms", "3.00 s"]);
    }

    #[test]
    fn latencies_are_told_in_microseconds() {
        let mut histogram = crate::tally::histogram();
        histogram.saturating_record_n(50_000, 99);
        histogram.saturating_record(900_000);
        let latency = Latency::of(&histogram);
        assert_eq!(latency.count, 100);
        assert!(
            (49.9..50.1).contains(&latency.p50_us) && (899.0..901.0).contains(&latency.max_us),
            "{latency:?}"
        );
        assert_eq!(Latency::of(&crate::tally::histogram()).max_us, 0.0);
    }
}
