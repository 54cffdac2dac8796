//! Responses that come after their timer. A delivery that was not answered in time goes back to its shard, which tries it again
//! some time later; an account may have a response that comes before that taken as the answer. Whether it does come before
//! that, the shard knows: after it the response is one to a delivery that is no longer open.

use std::collections::VecDeque;

use crate::base::DeliveryToken;

/// The deliveries that were not answered in time last, by sequence_number, oldest first.
#[derive(Debug, Default)]
pub(super) struct LateResponses {
    awaited: VecDeque<(u32, DeliveryToken)>,
}

impl LateResponses {
    /// A delivery's time is over. At most `max` are remembered, the newest.
    pub(super) fn note(&mut self, sequence_number: u32, token: DeliveryToken, max: u32) {
        while self.awaited.len() >= max.max(1) as usize {
            self.awaited.pop_front();
        }
        self.awaited.push_back((sequence_number, token));
    }

    /// The delivery that a late response is about, once.
    pub(super) fn take(&mut self, sequence_number: u32) -> Option<DeliveryToken> {
        let at = self.awaited.iter().position(|awaited| awaited.0 == sequence_number)?;
        self.awaited.remove(at).map(|(_, token)| token)
    }
}
