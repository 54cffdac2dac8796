//! cancel_sm (3.4 section 4.9): one message by its id, or all with the same addresses.

use super::super::{Shard, ShardOutput};
use super::find::Group;
use super::{Decided, can_be_changed};
use crate::base::mobile::MobileNetwork;
use crate::base::{AccountId, Now};
use crate::smpp::{CancelSm, CommandStatus, MessageState, OperationAnswer};
use crate::store::{Lsn, MessageStore};

const FAILED: OperationAnswer = OperationAnswer::Refused(CommandStatus::ESME_RCANCELFAIL);

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    pub(super) fn cancel_sm(
        &mut self,
        account: AccountId,
        cancel: &CancelSm<'_>,
        now: Now,
        out: &mut impl ShardOutput,
    ) -> Decided {
        if cancel.message_id.is_empty() {
            return self.cancel_group(account, cancel, now, out);
        }
        let Some(id) = self.meant(account, cancel.message_id, now) else {
            return (OperationAnswer::NotFound, None);
        };
        let Some(link) = self.find_own(account, id, cancel.source_addr) else {
            let is_final = self.find(id).is_none()
                && self.history.find(id, now).is_some_and(|record| record.account == account);
            return (if is_final { FAILED } else { OperationAnswer::NotFound }, None);
        };
        if !self.look_at(link).is_some_and(|message| can_be_changed(&message)) {
            return (FAILED, None);
        }
        let Some(slot) = self.awake(link) else { return (FAILED, None) };
        (OperationAnswer::Done, Some(self.cancel(slot, account, now, out)))
    }

    /// All messages with the same source and destination, and service_type if one is given.
    fn cancel_group(
        &mut self,
        account: AccountId,
        cancel: &CancelSm<'_>,
        now: Now,
        out: &mut impl ShardOutput,
    ) -> Decided {
        let group = Group {
            account,
            source_addr: cancel.source_addr,
            destination_addr: cancel.destination_addr,
            service_type: (!cancel.service_type.is_empty()).then_some(cancel.service_type),
        };
        let mut last = None;
        for slot in self.find_group(&group) {
            last = Some(self.cancel(slot, account, now, out));
        }
        (if last.is_some() { OperationAnswer::Done } else { OperationAnswer::NotFound }, last)
    }

    fn cancel(&mut self, slot: u32, account: AccountId, now: Now, out: &mut impl ShardOutput) -> Lsn {
        let durability = self.accounts.get(account).durability;
        self.take_out(slot);
        self.finish_as(slot, MessageState::Deleted, 0, durability, now, out)
    }
}
