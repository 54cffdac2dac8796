//! What was seen in a run, to show that it does something.

/// How often each thing was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) submitted: u64,
    pub(crate) receipts: u64,
    pub(crate) forwarded: u64,
    pub(crate) mo: u64,
    pub(crate) other_ids: u64,
    pub(crate) stale: u64,
    pub(crate) refused: u64,
    pub(crate) throttled: u64,
    pub(crate) expired: u64,
    pub(crate) recovered: u64,
    /// Messages parked, after each turn of a shard, and of them those in an account's queue and those in line.
    pub(crate) parked: u64,
    pub(crate) queued: u64,
    pub(crate) in_line: u64,
    pub(crate) paused: u64,
    pub(crate) timed_out: u64,
    pub(crate) queried: u64,
    pub(crate) cancelled: u64,
    pub(crate) replaced: u64,
    pub(crate) replaced_by_submit: u64,
    pub(crate) multis: u64,
    pub(crate) lists: u64,
    pub(crate) repeated: u64,
    pub(crate) broadcasts: u64,
    pub(crate) broadcasts_queried: u64,
    pub(crate) alerts: u64,
    pub(crate) notifications: u64,
    pub(crate) binds_refused: u64,
    pub(crate) asked_to_unbind: u64,
    pub(crate) changes: u64,
    pub(crate) crashes: u64,
}

impl Seen {
    /// Adds what was seen in another run.
    pub(crate) fn add(&mut self, other: &Self) {
        for ((_, total), (_, seen)) in self.counts_mut().into_iter().zip(other.counts()) {
            *total += seen;
        }
    }

    /// Each by its name.
    pub(crate) fn counts(&self) -> Vec<(&'static str, u64)> {
        let mut copy = *self;
        copy.counts_mut().into_iter().map(|(name, count)| (name, *count)).collect()
    }

    fn counts_mut(&mut self) -> [(&'static str, &mut u64); 30] {
        [
            ("submitted", &mut self.submitted),
            ("receipts", &mut self.receipts),
            ("forwarded", &mut self.forwarded),
            ("mo", &mut self.mo),
            ("ids in other forms", &mut self.other_ids),
            ("stale outcomes", &mut self.stale),
            ("refused", &mut self.refused),
            ("throttled", &mut self.throttled),
            ("expired", &mut self.expired),
            ("recovered", &mut self.recovered),
            ("parked", &mut self.parked),
            ("parked in a queue", &mut self.queued),
            ("parked in line", &mut self.in_line),
            ("paused", &mut self.paused),
            ("timed out", &mut self.timed_out),
            ("queried", &mut self.queried),
            ("cancelled", &mut self.cancelled),
            ("replaced", &mut self.replaced),
            ("replaced by submit_sm", &mut self.replaced_by_submit),
            ("submit_multi", &mut self.multis),
            ("distribution lists", &mut self.lists),
            ("repeated", &mut self.repeated),
            ("broadcasts", &mut self.broadcasts),
            ("broadcasts queried", &mut self.broadcasts_queried),
            ("alerts", &mut self.alerts),
            ("notifications", &mut self.notifications),
            ("binds refused", &mut self.binds_refused),
            ("asked to unbind", &mut self.asked_to_unbind),
            ("changes", &mut self.changes),
            ("crashes", &mut self.crashes),
        ]
    }
}
