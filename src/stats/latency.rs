//! HDR histograms of one hot thread. The thread records into the set it owns; control swaps an empty one in
//! through the control lane and merges what it gets back, so that recording never waits and never allocates.

use hdrhistogram::Histogram;

/// Which latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Latency {
    /// submit_sm read from the socket to its response written.
    SubmitResp,
    /// Append to durable.
    Commit,
    /// deliver_sm written to its response read.
    DeliverResp,
    /// Accepted to final state.
    EndToEnd,
    /// Final state to receipt acknowledged.
    Receipt,
}

impl Latency {
    /// Every latency, in the order of the contract.
    pub const ALL: [Self; 5] =
        [Self::SubmitResp, Self::Commit, Self::DeliverResp, Self::EndToEnd, Self::Receipt];

    /// Its name in `/stats`, `/stats/latency/NAME` and `/metrics`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SubmitResp => "submit_resp",
            Self::Commit => "commit",
            Self::DeliverResp => "deliver_resp",
            Self::EndToEnd => "end_to_end",
            Self::Receipt => "receipt",
        }
    }

    /// The latency called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|latency| latency.name() == name)
    }
}

/// Longest value told apart: about 7 days; anything longer is recorded as that.
const HIGHEST_NANOS: u64 = 7 * 24 * 3600 * 1_000_000_000;
/// Values are told apart by the power of two below this, 512 ns; finer is noise.
const LOWEST_NANOS: u64 = 1_000;

/// One histogram per [`Latency`], of nanoseconds, exact to 1 % or 512 ns, whichever is more, over the whole range.
#[derive(Clone, Debug)]
pub struct LatencySet {
    histograms: [Histogram<u64>; Latency::ALL.len()],
}

impl Default for LatencySet {
    fn default() -> Self {
        Self::new()
    }
}

impl LatencySet {
    /// Empty histograms, allocated in full: recording never grows them.
    pub fn new() -> Self {
        Self { histograms: std::array::from_fn(|_| empty_histogram()) }
    }

    /// Records one value.
    #[inline]
    pub fn record(&mut self, latency: Latency, nanos: u64) {
        self.record_n(latency, nanos, 1);
    }

    /// Records the same value `count` times, for the price of one.
    #[inline]
    pub fn record_n(&mut self, latency: Latency, nanos: u64, count: u64) {
        self.histograms[latency as usize].saturating_record_n(nanos, count);
    }

    /// The histogram of one latency.
    pub const fn histogram(&self, latency: Latency) -> &Histogram<u64> {
        &self.histograms[latency as usize]
    }

    /// Adds all that `other` holds.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.histograms.iter_mut().zip(&other.histograms) {
            // Same bounds on both sides, so adding cannot fail.
            if mine.add(theirs).is_err() {
                debug_assert!(false, "histograms of different bounds");
            }
        }
    }

    /// Empties every histogram, keeping its memory.
    pub fn clear(&mut self) {
        for histogram in &mut self.histograms {
            if !histogram.is_empty() {
                histogram.reset();
            }
        }
    }
}

/// A histogram with the bounds of every latency here.
fn empty_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(LOWEST_NANOS, HIGHEST_NANOS, 2)
        .unwrap_or_else(|error| unreachable!("constant histogram bounds: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_what_threads_recorded() {
        let (mut a, mut b) = (LatencySet::new(), LatencySet::new());
        a.record(Latency::SubmitResp, 10_000);
        b.record_n(Latency::SubmitResp, 20_000, 3);
        a.add(&b);
        b.clear();
        assert_eq!(a.histogram(Latency::SubmitResp).len(), 4);
        assert_eq!(b.histogram(Latency::SubmitResp).len(), 0);
        let p99 = a.histogram(Latency::SubmitResp).value_at_quantile(0.99);
        assert!((19_500..=20_500).contains(&p99), "{p99}");
    }

    #[test]
    fn absurd_values_are_kept_at_the_bound() {
        let mut set = LatencySet::new();
        set.record(Latency::Receipt, u64::MAX);
        set.record(Latency::Receipt, 0);
        assert_eq!(set.histogram(Latency::Receipt).len(), 2);
    }

    #[test]
    fn names_round_trip() {
        for latency in Latency::ALL {
            assert_eq!(Latency::from_name(latency.name()), Some(latency));
        }
        assert_eq!(Latency::from_name("nope"), None);
    }
}
