//! What one thread counts and measures; threads' tallies add up to the run's.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

/// Longest latency told apart: one hour. Longer ones count as that.
const LATENCY_MAX_NS: u64 = 3_600_000_000_000;
/// Latencies below this many nanoseconds are not told apart.
const LATENCY_MIN_NS: u64 = 100;
/// Why sessions were lost: this many reasons are kept.
const REASONS_MAX: usize = 5;

/// A latency histogram in nanoseconds, three significant digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(LATENCY_MIN_NS, LATENCY_MAX_NS, 3)
        .unwrap_or_else(|error| unreachable!("constant histogram bounds: {error}"))
}

/// Counts and latencies. Times are nanoseconds of the run's clock.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Write of a submit_sm (open loop: its intended time) to the read of its response with status 0, after warm-up.
    pub(crate) submit_response: Histogram<u64>,
    /// The same beginning to the read of the message's receipt.
    pub(crate) submit_receipt: Histogram<u64>,
    /// Open loop: how late the generator itself was each time it woke to send.
    pub(crate) lag: Histogram<u64>,
    /// submit_sm written in full.
    pub(crate) submitted: u64,
    /// Responses with status 0.
    pub(crate) accepted: u64,
    /// Responses (and generic_nacks) with another status, by status.
    pub(crate) refused: BTreeMap<u32, u64>,
    /// Refused messages that were sent again (`--retry-throttled`).
    pub(crate) retried: u64,
    /// submit_sm without a response when the run ended.
    pub(crate) unanswered: u64,
    /// Second responses to a submit_sm.
    pub(crate) repeated_responses: u64,
    /// Responses to no submit_sm of ours.
    pub(crate) unknown_responses: u64,
    /// Receipts, whether or not they match a message.
    pub(crate) receipts: u64,
    /// Of those, receipts that came after warm-up.
    pub(crate) receipts_measured: u64,
    /// Receipts whose message was found.
    pub(crate) receipts_matched: u64,
    /// Receipts that name no message id.
    pub(crate) receipts_without_id: u64,
    /// Intermediate notifications.
    pub(crate) intermediate: u64,
    /// deliver_sm that are not about a message of ours (MO).
    pub(crate) mobile: u64,
    /// deliver_sm whose body is malformed.
    pub(crate) malformed: u64,
    /// enquire_link requests answered.
    pub(crate) enquire_links: u64,
    /// Requests with a command_id that is not for an ESME, answered by generic_nack.
    pub(crate) foreign_requests: u64,
    /// Sessions that ended before the run did.
    pub(crate) sessions_lost: u64,
    /// Why, for the first of them.
    pub(crate) reasons: Vec<String>,
    /// When sending stopped.
    pub(crate) sending_ended: u64,
    /// When the last response came.
    pub(crate) last_response: u64,
    /// When the last receipt came.
    pub(crate) last_receipt: u64,
    /// CPU time of the thread, user and system, in nanoseconds.
    pub(crate) cpu_ns: u64,
    /// Reads, writes and polls: what batching saves.
    pub(crate) system_calls: u64,
}

impl Tally {
    /// All zero.
    pub(crate) fn new() -> Self {
        Self {
            submit_response: histogram(),
            submit_receipt: histogram(),
            lag: histogram(),
            submitted: 0,
            accepted: 0,
            refused: BTreeMap::new(),
            retried: 0,
            unanswered: 0,
            repeated_responses: 0,
            unknown_responses: 0,
            receipts: 0,
            receipts_measured: 0,
            receipts_matched: 0,
            receipts_without_id: 0,
            intermediate: 0,
            mobile: 0,
            malformed: 0,
            enquire_links: 0,
            foreign_requests: 0,
            sessions_lost: 0,
            reasons: Vec::new(),
            sending_ended: 0,
            last_response: 0,
            last_receipt: 0,
            cpu_ns: 0,
            system_calls: 0,
        }
    }

    /// Counts a response with another status than 0.
    pub(crate) fn refuse(&mut self, status: u32) {
        *self.refused.entry(status).or_default() += 1;
    }

    /// All refused messages.
    pub(crate) fn refused_total(&self) -> u64 {
        self.refused.values().sum()
    }

    /// Counts a message and its receipt that found each other; measures them if the message was sent after warm-up.
    pub(crate) fn matched(&mut self, sent: u64, receipted: u64, measure_from: u64) {
        self.receipts_matched += 1;
        if sent >= measure_from {
            self.submit_receipt.saturating_record(receipted.saturating_sub(sent));
        }
    }

    /// Counts a session that ended early.
    pub(crate) fn lose_session(&mut self, reason: String) {
        self.sessions_lost += 1;
        if self.reasons.len() < REASONS_MAX && !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    /// Adds what another thread counted.
    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.submit_response, &other.submit_response),
            (&mut self.submit_receipt, &other.submit_receipt),
            (&mut self.lag, &other.lag),
        ] {
            // Same bounds on both sides, so adding can't fail.
            let added = mine.add(theirs);
            debug_assert!(added.is_ok(), "histograms of different bounds");
        }
        for (&status, &n) in &other.refused {
            *self.refused.entry(status).or_default() += n;
        }
        for reason in &other.reasons {
            if self.reasons.len() < REASONS_MAX && !self.reasons.contains(reason) {
                self.reasons.push(reason.clone());
            }
        }
        for (mine, theirs) in [
            (&mut self.submitted, other.submitted),
            (&mut self.accepted, other.accepted),
            (&mut self.retried, other.retried),
            (&mut self.unanswered, other.unanswered),
            (&mut self.repeated_responses, other.repeated_responses),
            (&mut self.unknown_responses, other.unknown_responses),
            (&mut self.receipts, other.receipts),
            (&mut self.receipts_measured, other.receipts_measured),
            (&mut self.receipts_matched, other.receipts_matched),
            (&mut self.receipts_without_id, other.receipts_without_id),
            (&mut self.intermediate, other.intermediate),
            (&mut self.mobile, other.mobile),
            (&mut self.malformed, other.malformed),
            (&mut self.enquire_links, other.enquire_links),
            (&mut self.foreign_requests, other.foreign_requests),
            (&mut self.sessions_lost, other.sessions_lost),
            (&mut self.cpu_ns, other.cpu_ns),
            (&mut self.system_calls, other.system_calls),
        ] {
            *mine += theirs;
        }
        self.sending_ended = self.sending_ended.max(other.sending_ended);
        self.last_response = self.last_response.max(other.last_response);
        self.last_receipt = self.last_receipt.max(other.last_receipt);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_add_up() {
        let (mut a, mut b) = (Tally::new(), Tally::new());
        a.submit_response.saturating_record_n(1000, 2);
        b.submit_response.saturating_record_n(9000, 3);
        a.refuse(0x58);
        b.refuse(0x58);
        b.refuse(0x14);
        b.lose_session("closed".into());
        (a.submitted, b.submitted) = (5, 7);
        (a.last_response, b.last_response) = (50, 40);
        a.add(&b);
        assert_eq!((a.submitted, a.last_response, a.submit_response.len()), (12, 50, 5));
        assert_eq!(a.refused, BTreeMap::from([(0x14, 1), (0x58, 2)]));
        assert_eq!((a.refused_total(), a.sessions_lost, a.reasons.len()), (3, 1, 1));
    }
}
