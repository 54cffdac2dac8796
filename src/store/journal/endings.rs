//! What became of messages that are no longer there, on its way over a restart: the newest of those that recovery comes
//! across, or those that an orderly stop has saved.

use std::collections::VecDeque;

use super::accounts::AccountNumbers;
use super::entry::{RecordBytes, decode_record};
use crate::base::{AccountId, MessageId};
use crate::store::{Ended, Ending};

/// Octets of a saved one: message id 8, account 2, state 1, error 2, finished 4.
pub(super) const SAVED_BYTES: usize = 17;

/// Endings whose accounts have their numbers on disk.
#[derive(Debug, Default)]
pub(super) struct Endings {
    kept: VecDeque<Ended>,
    maximum: usize,
}

impl Endings {
    /// None yet, and at most `maximum`: then the oldest makes room.
    pub(super) const fn new(maximum: u32) -> Self {
        Self { kept: VecDeque::new(), maximum: maximum as usize }
    }

    /// Whether any is kept.
    #[inline]
    pub(super) const fn is_wanted(&self) -> bool {
        self.maximum > 0
    }

    pub(super) fn push(&mut self, ended: Ended) {
        if self.kept.len() >= self.maximum && self.kept.pop_front().is_none() {
            return;
        }
        self.kept.push_back(ended);
    }

    /// Of a message with this last record, which ended so; as the record says if that is not known.
    pub(super) fn push_of(&mut self, record: &RecordBytes, ending: Option<Ending>) {
        let record = decode_record(record);
        let said = Ending {
            state: record.state,
            error: record.error,
            finished_s: u32::try_from(record.finished.unix_seconds()).unwrap_or(u32::MAX),
        };
        let ending = ending.unwrap_or(said);
        if ending.finished_s > 0 {
            self.push(Ended { id: record.id, account: record.account, ending });
        }
    }

    /// The next one, its account as it is numbered now.
    pub(super) fn take(&mut self, accounts: &AccountNumbers) -> Option<Ended> {
        let Some(ended) = self.kept.pop_front() else {
            // Its memory goes.
            *self = Self::default();
            return None;
        };
        Some(Ended { account: accounts.configured(ended.account), ..ended })
    }

    /// Reads what [`save`] has written. `None`: it is nothing of the kind.
    pub(super) fn load(&mut self, saved: &[u8]) -> Option<()> {
        for one in saved.chunks(SAVED_BYTES) {
            let one: &[u8; SAVED_BYTES] = one.first_chunk()?;
            let [i0, i1, i2, i3, i4, i5, i6, i7, a0, a1, state, e0, e1, f0, f1, f2, f3] = *one;
            self.push(Ended {
                id: MessageId::from_u64(u64::from_le_bytes([i0, i1, i2, i3, i4, i5, i6, i7])),
                account: AccountId(u16::from_le_bytes([a0, a1])),
                ending: Ending {
                    state,
                    error: u16::from_le_bytes([e0, e1]),
                    finished_s: u32::from_le_bytes([f0, f1, f2, f3]),
                },
            });
        }
        Some(())
    }
}

/// Writes these.
pub(super) fn save(endings: impl Iterator<Item = Ended>, accounts: &AccountNumbers, out: &mut Vec<u8>) {
    for Ended { id, account, ending: Ending { state, error, finished_s } } in endings {
        out.extend_from_slice(&id.as_u64().to_le_bytes());
        out.extend_from_slice(&accounts.on_disk(account).0.to_le_bytes());
        out.push(state);
        out.extend_from_slice(&error.to_le_bytes());
        out.extend_from_slice(&finished_s.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(id: u64) -> Ended {
        let ending = Ending { state: 2, error: 300, finished_s: 1_700_000_000 };
        Ended { id: MessageId::from_u64(id), account: AccountId(1), ending }
    }

    #[test]
    fn the_newest_are_kept_and_come_back_under_the_numbers_of_today() {
        let (before, after) = (AccountNumbers::new(vec![7, 4]), AccountNumbers::new(vec![4, 7]));
        let mut saved = Vec::new();
        save((1..=5).map(ended), &before, &mut saved);
        let mut endings = Endings::new(3);
        assert!(endings.load(&saved).is_some() && endings.is_wanted());
        let taken: Vec<Ended> = std::iter::from_fn(|| endings.take(&after)).collect();
        assert_eq!(taken, [3, 4, 5].map(|id| Ended { account: AccountId(0), ..ended(id) }));
        assert_eq!(Endings::new(3).load(&saved[..saved.len() - 1]), None);
        let mut none = Endings::new(0);
        assert!(none.load(&saved).is_some() && !none.is_wanted() && none.take(&after).is_none());
    }
}
