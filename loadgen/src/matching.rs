//! Receipts and the messages they speak of. Two ways: a bounded table that forgets what has matched (any run length),
//! and with `--verify` a log of everything, compared once the run is over. A log is merged over all threads, since in
//! `tx+rx` mode an SMSC may hand a receipt to any receiver of the account; the table is one thread's own.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::message_key::{KeyHasherBuilder, MessageKey};

/// Messages waiting for their receipt that a thread remembers; about 40 octets each. Beyond: latencies are not measured.
const TABLE_MAX: usize = 1 << 22;

/// Messages that `--verify` keeps account of, over all threads; 48 octets each with receipts.
pub(crate) const LOG_MAX: u64 = 1 << 26;

/// Messages whose log is in memory before the run begins.
const PREPARED: u64 = 1 << 23;

/// Receipt latencies found so far, without keeping what has matched.
#[derive(Debug, Default)]
pub(crate) struct Table {
    open: HashMap<MessageKey, Half, KeyHasherBuilder>,
}

/// The half of a pair that came first. A receipt may be read before its response when they use different sockets.
#[derive(Clone, Copy, Debug)]
enum Half {
    Submitted(u64),
    Receipted(u64),
}

impl Table {
    /// Notes an accepted message. Its send time and its receipt's time if that is here already.
    #[inline]
    pub(crate) fn accepted(&mut self, key: MessageKey, sent: u64) -> Option<(u64, u64)> {
        match self.put(key, Half::Submitted(sent))? {
            Half::Receipted(at) => Some((sent, at)),
            Half::Submitted(_) => None,
        }
    }

    /// Notes a receipt. The message's send time and this receipt's time if the message is known.
    #[inline]
    pub(crate) fn receipt(&mut self, key: MessageKey, at: u64) -> Option<(u64, u64)> {
        match self.put(key, Half::Receipted(at))? {
            Half::Submitted(sent) => Some((sent, at)),
            Half::Receipted(_) => None,
        }
    }

    /// Pairs this half with what is there, or stores it.
    #[inline]
    fn put(&mut self, key: MessageKey, half: Half) -> Option<Half> {
        let full = self.open.len() >= TABLE_MAX;
        match self.open.entry(key) {
            Entry::Occupied(entry) => Some(entry.remove()),
            Entry::Vacant(_) if full => None,
            Entry::Vacant(entry) => {
                entry.insert(half);
                None
            }
        }
    }
}

/// Every accepted message and every receipt of a thread, with their times.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) accepted: Vec<(MessageKey, u64)>,
    pub(crate) receipts: Vec<(MessageKey, u64)>,
    /// Accepted messages whose response carried no message id.
    pub(crate) without_id: u64,
}

impl Log {
    /// Room for `messages`. The memory of the first [`PREPARED`] is taken now: a page fault in the middle of the run
    /// would be measured as latency.
    pub(crate) fn with_capacity(messages: u64, receipts: bool) -> Self {
        let room = |wanted: bool| {
            let mut entries = Vec::new();
            if wanted {
                entries.resize(messages.min(PREPARED) as usize, (MessageKey::TOUCHED, u64::MAX));
                entries.clear();
            }
            entries
        };
        Self { accepted: room(true), receipts: room(receipts), without_id: 0 }
    }
}

/// What a thread does with message ids.
#[derive(Debug)]
pub(crate) enum Matching {
    /// Nothing: no receipts, no verification.
    Off,
    /// Pairs receipts with messages as they come.
    Table(Table),
    /// Keeps everything for [`reconcile`].
    Log(Log),
}

/// What a comparison of all accepted messages with all receipts found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reconciled {
    /// Accepted messages.
    pub(crate) accepted: u64,
    /// Responses with status 0 and no message id.
    pub(crate) without_id: u64,
    /// Message ids given to a second message.
    pub(crate) repeated_ids: u64,
    /// Receipts for a known message, the first of each.
    pub(crate) receipted: u64,
    /// Receipts beyond the first of their message.
    pub(crate) repeated_receipts: u64,
    /// Receipts for ids that no response carried.
    pub(crate) unknown_receipts: u64,
    /// Messages without receipt, if receipts were asked for.
    pub(crate) missing_receipts: u64,
}

/// Compares the logs of all threads; calls `matched` with send time and receipt time of each pair.
pub(crate) fn reconcile(
    logs: Vec<Log>,
    receipts_wanted: bool,
    mut matched: impl FnMut(u64, u64),
) -> Reconciled {
    let mut accepted = Vec::new();
    let mut receipts = Vec::new();
    let mut found = Reconciled::default();
    for mut log in logs {
        found.without_id += log.without_id;
        append(&mut accepted, &mut log.accepted);
        append(&mut receipts, &mut log.receipts);
    }
    accepted.sort_unstable();
    receipts.sort_unstable();
    found.accepted = accepted.len() as u64 + found.without_id;

    let mut receipts = receipts.into_iter().peekable();
    let mut previous = None;
    for (key, sent) in accepted {
        if previous == Some(key) {
            found.repeated_ids += 1;
            continue;
        }
        previous = Some(key);
        while receipts.next_if(|(other, _)| *other < key).is_some() {
            found.unknown_receipts += 1;
        }
        if let Some((_, at)) = receipts.next_if(|(other, _)| *other == key) {
            found.receipted += 1;
            matched(sent, at);
            while receipts.next_if(|(other, _)| *other == key).is_some() {
                found.repeated_receipts += 1;
            }
        } else if receipts_wanted {
            found.missing_receipts += 1;
        }
    }
    found.unknown_receipts += receipts.count() as u64;
    found
}

/// Moves all of `more` behind `all`, without copying where `all` is empty.
fn append<T>(all: &mut Vec<T>, more: &mut Vec<T>) {
    if all.is_empty() {
        std::mem::swap(all, more);
    } else {
        all.append(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> MessageKey {
        MessageKey::new(format!("{n:016X}").as_bytes()).unwrap()
    }

    fn log(accepted: &[u32], receipts: &[u32]) -> Log {
        Log {
            accepted: accepted.iter().map(|&n| (key(n), u64::from(n))).collect(),
            receipts: receipts.iter().map(|&n| (key(n), u64::from(n) + 10)).collect(),
            without_id: 0,
        }
    }

    #[test]
    fn a_clean_run_over_two_threads() {
        let mut pairs = Vec::new();
        // Each thread got the other's receipts.
        let logs = vec![log(&[1, 2, 3], &[5, 4]), log(&[4, 5], &[3, 1, 2])];
        let found = reconcile(logs, true, |sent, at| pairs.push((sent, at)));
        assert_eq!(found, Reconciled { accepted: 5, receipted: 5, ..Reconciled::default() });
        assert_eq!(pairs, [(1, 11), (2, 12), (3, 13), (4, 14), (5, 15)]);
    }

    #[test]
    fn every_fault_is_seen() {
        let found = reconcile(vec![log(&[1, 2, 2, 3, 8], &[0, 1, 1, 2, 7, 9])], true, |_, _| {});
        let wanted = Reconciled {
            accepted: 5,
            without_id: 0,
            repeated_ids: 1,
            receipted: 2,
            repeated_receipts: 1,
            unknown_receipts: 3,
            missing_receipts: 2,
        };
        assert_eq!(found, wanted);
    }

    #[test]
    fn unasked_receipts_are_unknown_and_none_is_missing() {
        let found = reconcile(vec![log(&[1], &[])], false, |_, _| {});
        assert_eq!(found, Reconciled { accepted: 1, ..Reconciled::default() });
    }

    #[test]
    fn a_table_pairs_in_either_order() {
        let mut table = Table::default();
        assert_eq!(table.accepted(key(1), 100), None);
        assert_eq!(table.receipt(key(1), 150), Some((100, 150)));
        assert_eq!(table.receipt(key(2), 160), None);
        assert_eq!(table.accepted(key(2), 90), Some((90, 160)));
        assert!(table.open.is_empty());
    }
}
