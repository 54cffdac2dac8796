//! The counters of all threads, summed.

use std::sync::Arc;

use super::counters::{AccountCounter, Counter, ThreadCounters};
use crate::base::AccountId;

/// Counts of one account, or of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountTotals([u64; AccountCounter::COUNT]);

impl Default for AccountTotals {
    fn default() -> Self {
        Self([0; AccountCounter::COUNT])
    }
}

impl AccountTotals {
    /// The sum of one counter.
    pub const fn get(&self, counter: AccountCounter) -> u64 {
        self.0[counter as usize]
    }

    /// MT messages in a final state.
    pub const fn finals(&self) -> u64 {
        self.get(AccountCounter::Delivered)
            + self.get(AccountCounter::Undeliverable)
            + self.get(AccountCounter::Expired)
            + self.get(AccountCounter::Deleted)
            + self.get(AccountCounter::RejectedByNetwork)
    }

    /// MT messages accepted, in this run or an earlier one, and not yet final.
    pub const fn pending(&self) -> u64 {
        let taken_in = self.get(AccountCounter::Accepted) + self.get(AccountCounter::Recovered);
        taken_in.saturating_sub(self.finals())
    }

    /// MO messages taken in and neither delivered nor given up.
    pub const fn mo_pending(&self) -> u64 {
        let taken_in = self.get(AccountCounter::MoAccepted) + self.get(AccountCounter::MoRecovered);
        taken_in.saturating_sub(self.get(AccountCounter::MoDelivered) + self.get(AccountCounter::MoFailed))
    }

    /// Receipts created and neither acknowledged nor given up.
    pub const fn receipts_pending(&self) -> u64 {
        let created = self.get(AccountCounter::ReceiptsCreated) + self.get(AccountCounter::ReceiptsRecovered);
        created
            .saturating_sub(self.get(AccountCounter::ReceiptsSent) + self.get(AccountCounter::ReceiptsFailed))
    }

    /// Bound sessions.
    pub const fn sessions(&self) -> u64 {
        self.get(AccountCounter::SessionsOpened).saturating_sub(self.get(AccountCounter::SessionsClosed))
    }

    /// Whether anything of it is still under way.
    pub const fn is_active(&self) -> bool {
        self.sessions() + self.pending() + self.mo_pending() + self.receipts_pending() > 0
    }

    /// Share of the final messages that was delivered; `None` before there is any.
    pub fn success_ratio(&self) -> Option<f64> {
        let finals = self.finals();
        (finals > 0).then(|| self.get(AccountCounter::Delivered) as f64 / finals as f64)
    }
}

/// All counters summed over the threads, as of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterTotals {
    global: [u64; Counter::COUNT],
    accounts: Vec<AccountTotals>,
    all_accounts: AccountTotals,
}

impl CounterTotals {
    /// Sums `threads` for `accounts` accounts.
    ///
    /// What ends something is read before what begins it (the reverse of the declaration order), so that a count
    /// that moves meanwhile makes a difference too large by a few and never negative.
    pub fn of(threads: &[Arc<ThreadCounters>], accounts: usize) -> Self {
        let mut totals = Self {
            global: [0; Counter::COUNT],
            accounts: vec![AccountTotals::default(); accounts],
            all_accounts: AccountTotals::default(),
        };
        for &counter in Counter::ALL.iter().rev() {
            totals.global[counter as usize] = threads.iter().map(|thread| thread.get(counter)).sum();
        }
        for (i, account) in totals.accounts.iter_mut().enumerate() {
            let id = AccountId(i as u16);
            for &counter in AccountCounter::ALL.iter().rev() {
                let sum: u64 = threads.iter().map(|thread| thread.get_account(id, counter)).sum();
                account.0[counter as usize] = sum;
                totals.all_accounts.0[counter as usize] += sum;
            }
        }
        totals
    }

    /// The sum of one daemon-wide counter.
    pub const fn get(&self, counter: Counter) -> u64 {
        self.global[counter as usize]
    }

    /// The sums of each account, in the order of the configuration.
    pub fn accounts(&self) -> &[AccountTotals] {
        &self.accounts
    }

    /// The sums over all accounts.
    pub const fn all_accounts(&self) -> &AccountTotals {
        &self.all_accounts
    }

    /// What `opened` counted and `closed` did not.
    pub const fn open(&self, opened: Counter, closed: Counter) -> u64 {
        self.get(opened).saturating_sub(self.get(closed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_threads_and_derives_what_is_pending() {
        let threads = [Arc::new(ThreadCounters::new(2)), Arc::new(ThreadCounters::new(2))];
        for (thread, n) in threads.iter().zip([10, 20]) {
            thread.add(Counter::PdusSent, n);
            thread.add_account(AccountId(1), AccountCounter::Accepted, n);
            thread.add_account(AccountId(1), AccountCounter::Delivered, n / 2);
        }
        threads[0].add_account(AccountId(1), AccountCounter::Undeliverable, 5);
        threads[1].add_account(AccountId(0), AccountCounter::SessionsOpened, 3);
        threads[0].add_account(AccountId(0), AccountCounter::Recovered, 4);
        threads[1].add_account(AccountId(0), AccountCounter::Undeliverable, 1);
        threads[0].add_account(AccountId(0), AccountCounter::ReceiptsRecovered, 2);
        threads[0].add_account(AccountId(0), AccountCounter::MoRecovered, 6);
        threads[0].add_account(AccountId(0), AccountCounter::SessionsClosed, 1);
        let totals = CounterTotals::of(&threads, 2);
        assert_eq!(totals.get(Counter::PdusSent), 30);
        let account = &totals.accounts()[1];
        assert_eq!((account.finals(), account.pending()), (20, 10));
        assert_eq!(account.success_ratio(), Some(0.75));
        let left = &totals.accounts()[0];
        assert_eq!((left.pending(), left.receipts_pending(), left.mo_pending()), (3, 2, 6));
        assert_eq!(left.success_ratio(), Some(0.0));
        assert_eq!(totals.all_accounts().sessions(), 2);
    }

    #[test]
    fn a_torn_reading_is_not_negative() {
        let threads = [Arc::new(ThreadCounters::new(1))];
        threads[0].add_account(AccountId(0), AccountCounter::ReceiptsSent, 3);
        threads[0].add_account(AccountId(0), AccountCounter::Delivered, 3);
        let totals = CounterTotals::of(&threads, 1);
        assert_eq!((totals.all_accounts().receipts_pending(), totals.all_accounts().pending()), (0, 0));
    }
}
