//! How accounts are numbered on disk. A configuration numbers its accounts in its own order, which the next start may
//! have changed; on disk each keeps the number that it first got.

use super::entry::{RecordBytes, decode_record, encode_record};
use crate::base::AccountId;
use crate::store::Record;

/// The numbers both ways. The default: the same on disk as in the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountNumbers {
    /// By number in the configuration.
    on_disk: Vec<u16>,
    /// By number on disk.
    configured: Vec<Option<AccountId>>,
}

impl AccountNumbers {
    /// Account `i` of the configuration has the number `on_disk[i]` on disk.
    pub fn new(on_disk: Vec<u16>) -> Self {
        let mut configured = Vec::new();
        for (account, &number) in (0..).map(AccountId).zip(&on_disk) {
            let number = usize::from(number);
            if number >= configured.len() {
                configured.resize(number + 1, None);
            }
            if let Some(place) = configured.get_mut(number) {
                *place = Some(account);
            }
        }
        Self { on_disk, configured }
    }

    #[inline]
    pub(super) fn encode(&self, record: &Record) -> RecordBytes {
        encode_record(&Record {
            account: self.on_disk(record.account),
            target: record.target.map(|target| self.on_disk(target)),
            ..*record
        })
    }

    /// The number on disk of an account.
    #[inline]
    pub(super) fn on_disk(&self, account: AccountId) -> AccountId {
        let former = account.0.saturating_sub(self.on_disk.len() as u16);
        AccountId(self.on_disk.get(account.index()).copied().unwrap_or(former))
    }

    pub(super) fn decode(&self, bytes: &RecordBytes) -> Record {
        let record = decode_record(bytes);
        Record {
            account: self.configured(record.account),
            target: record.target.map(|target| self.configured(target)),
            ..record
        }
    }

    /// An account that is no longer configured is numbered behind all that are.
    pub(super) fn configured(&self, on_disk: AccountId) -> AccountId {
        let known = self.configured.get(on_disk.index()).copied().flatten();
        known.unwrap_or_else(|| AccountId((self.on_disk.len() as u16).saturating_add(on_disk.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{MessageId, WallTime};

    #[test]
    fn accounts_keep_their_numbers() {
        let record = Record {
            id: MessageId::from_u64(1),
            account: AccountId(1),
            target: Some(AccountId(0)),
            stage: 0,
            state: 0,
            version: 0,
            error: 0,
            attempts: 0,
            accepted: WallTime::default(),
            due: WallTime::default(),
            expires: WallTime::default(),
            finished: WallTime::default(),
        };
        let before = AccountNumbers::new(vec![0, 1]);
        let bytes = before.encode(&record);
        let swapped = AccountNumbers::new(vec![1, 0]);
        let read = swapped.decode(&bytes);
        assert_eq!((read.account, read.target), (AccountId(0), Some(AccountId(1))));
        // An account that is no longer configured keeps its number on disk.
        let without = AccountNumbers::new(vec![0]);
        let read = without.decode(&bytes);
        assert_eq!((read.account, read.target), (AccountId(2), Some(AccountId(0))));
        assert_eq!(without.encode(&read), bytes);
        assert_eq!(AccountNumbers::default().decode(&bytes), record);
    }
}
