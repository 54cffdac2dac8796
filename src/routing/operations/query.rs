//! query_sm (3.4 section 4.8).

use super::super::Shard;
use super::super::message::{Stage, wall_of};
use super::OperationRequest;
use crate::base::Now;
use crate::base::mobile::MobileNetwork;
use crate::smpp::{InterfaceVersion, MessageState, OperationAnswer, QueriedState, QuerySm};
use crate::store::MessageStore;

impl<S: MessageStore, N: MobileNetwork> Shard<S, N> {
    /// What is known of a message. Of one that is long final only its id, account and outcome are kept, so its source
    /// address can't be compared any more.
    pub(super) fn query_sm(
        &mut self,
        request: &OperationRequest<'_>,
        query: &QuerySm<'_>,
        now: Now,
    ) -> OperationAnswer {
        let Some(id) = self.meant(request.account, query.message_id, now) else {
            return OperationAnswer::NotFound;
        };
        let octet = |error: u16| u8::try_from(error).unwrap_or(u8::MAX);
        if self.find(id).is_none() {
            let record = self.history.find(id, now).filter(|record| record.account == request.account);
            return record.map_or(OperationAnswer::NotFound, |record| {
                OperationAnswer::State(QueriedState {
                    message_id: id,
                    state: record.state,
                    error_code: octet(record.error),
                    final_date: Some(wall_of(record.finished_s)),
                })
            });
        }
        let link = self.find_own(request.account, id, query.source_addr);
        let Some(message) = link.and_then(|link| self.look_at(link)) else {
            return OperationAnswer::NotFound;
        };
        // Only 5.0 has a state for it.
        let is_scheduled = message.stage == Stage::Scheduled
            && message.attempts == 0
            && request.version >= InterfaceVersion::V50;
        OperationAnswer::State(QueriedState {
            message_id: id,
            state: if is_scheduled { MessageState::Scheduled } else { message.state },
            error_code: octet(message.error),
            final_date: message.state.is_final().then_some(wall_of(message.finished_s)),
        })
    }
}
