//! Counters and latency histograms: written by one hot thread each without locks, read and merged by control.

pub mod counters;
pub mod hgrm;
pub mod latency;
pub mod totals;

pub use counters::{AccountCounter, Counter, ThreadCounters};
pub use latency::{Latency, LatencySet};
pub use totals::{AccountTotals, CounterTotals};
