//! Counters and latency histograms: written by one hot thread each without locks, read and merged by control.

pub mod counters;
pub mod latency;

pub use counters::{AccountCounter, Counter, ThreadCounters};
pub use latency::{Latency, LatencySet};
