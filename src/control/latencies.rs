//! The latencies since the start, fetched from the hot threads when someone asks, at most once per [`REFRESH`].

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::exchange::{Exchange, NoAnswer};
use crate::control_lane::ControlRequest;
use crate::stats::LatencySet;

/// Least time between two fetches, so that a storm of requests costs the engine nothing.
const REFRESH: Duration = Duration::from_millis(100);

/// The sum of all that the threads have recorded.
pub(super) struct Latencies {
    total: Mutex<LatencySet>,
    /// Emptied sets to swap in at the next fetch, boxed as they travel.
    #[expect(clippy::vec_box, reason = "the lane carries boxes; unboxing and boxing again would allocate")]
    spares: Mutex<Vec<Box<LatencySet>>>,
    spares_max: usize,
    /// When the last fetch ended and how. Held during a fetch, so that all who ask meanwhile share it.
    fetched: tokio::sync::Mutex<Option<(Instant, Result<(), NoAnswer>)>>,
}

impl Latencies {
    pub(super) fn new(threads: usize) -> Self {
        Self {
            total: Mutex::new(LatencySet::new()),
            spares: Mutex::default(),
            spares_max: threads,
            fetched: tokio::sync::Mutex::new(None),
        }
    }

    /// Adds what a thread handed over and keeps the set for reuse.
    pub(super) fn absorb(&self, mut set: Box<LatencySet>) {
        self.total.lock().add(&set);
        let mut spares = self.spares.lock();
        if spares.len() < self.spares_max {
            set.clear();
            spares.push(set);
        }
    }

    /// Fetches from every thread, unless that was done just now.
    pub(super) async fn refresh(&self, exchange: &Exchange) -> Result<(), NoAnswer> {
        let mut fetched = self.fetched.lock().await;
        if let Some((at, result)) = *fetched
            && at.elapsed() < REFRESH
        {
            return result;
        }
        let result = exchange
            .ask(exchange.threads(), |request| ControlRequest::Snapshot { request, spare: self.spare() })
            .await
            .map(drop);
        *fetched = Some((Instant::now(), result));
        result
    }

    fn spare(&self) -> Box<LatencySet> {
        self.spares.lock().pop().unwrap_or_default()
    }

    /// Reads the sum as of the last fetch.
    pub(super) fn read<T>(&self, read: impl FnOnce(&LatencySet) -> T) -> T {
        read(&self.total.lock())
    }
}
