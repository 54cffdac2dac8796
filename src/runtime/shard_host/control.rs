//! What control asks of a shard: to take in messages from outside, and what is known of one.

use super::super::thread::ThreadStats;
use super::ShardHost;
use super::output::FactsOnly;
use crate::base::{AccountId, MessageId, Now, WallTime};
use crate::control_lane::{HeldInfo, MessageInfo, MoMessage, MoRefused};
use crate::routing::{self, MoOutcome};

impl ShardHost {
    /// Takes an MO message in. `None`: [`ShardHost::held_mo`] tells of `request` once it is held.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn inject_mo(
        &mut self,
        request: u64,
        message: &MoMessage,
        now: Now,
        stats: &mut ThreadStats,
    ) -> Result<Option<MessageId>, MoRefused> {
        let result = self.shard.inject_mo(&mo_of(message), now, &mut FactsOnly { stats });
        self.taken_in(request, result)
    }

    /// Takes a message in for an account's receiving sessions. `None`: as for [`ShardHost::inject_mo`].
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn notify_account(
        &mut self,
        request: u64,
        (account, validity_ms): (AccountId, u64),
        message: &MoMessage,
        now: Now,
        stats: &mut ThreadStats,
    ) -> Result<Option<MessageId>, MoRefused> {
        let mo = mo_of(message);
        let result = self.shard.notify_account(account, validity_ms, &mo, now, &mut FactsOnly { stats });
        self.taken_in(request, result)
    }

    fn taken_in(
        &mut self,
        request: u64,
        result: Result<MoOutcome, routing::MoRefused>,
    ) -> Result<Option<MessageId>, MoRefused> {
        match result {
            Ok(MoOutcome::Accepted(message_id)) => Ok(Some(message_id)),
            Ok(MoOutcome::Later(message_id)) => {
                self.mo_waiting.push((message_id, request));
                Ok(None)
            }
            Err(routing::MoRefused::NoOwner) => Err(MoRefused::NoOwner),
            Err(routing::MoRefused::NobodyReceives) => Err(MoRefused::NobodyReceives),
            Err(routing::MoRefused::Full) => Err(MoRefused::Full),
        }
    }

    /// The MO messages that are held since the last call, with their requests.
    pub fn held_mo(&mut self) -> impl Iterator<Item = (MessageId, u64)> {
        self.mo_held.drain(..)
    }

    /// What is known of a message.
    pub fn message(&mut self, message_id: MessageId, now: Now) -> Option<MessageInfo> {
        let view = self.shard.query(message_id, now)?;
        let text = |addr: &[u8]| String::from_utf8_lossy(addr).into_owned();
        Some(MessageInfo {
            message_id,
            message_state: view.state as u8,
            error_code: view.error,
            final_unix_ms: view.finished.map_or(0, WallTime::unix_millis),
            held: view.held.map(|held| HeldInfo {
                account: held.account,
                role: held.role,
                waits_for: held.waits_for,
                priority: held.priority,
                attempts: held.attempts,
                accepted_unix_ms: held.accepted.unix_millis(),
                scheduled_unix_ms: held.scheduled.map_or(0, WallTime::unix_millis),
                next_attempt_unix_ms: held.next_attempt.map_or(0, WallTime::unix_millis),
                expires_unix_ms: held.expires.unix_millis(),
                addresses: held.addresses.map(|(source, destination)| (text(&source), text(&destination))),
            }),
        })
    }
}

fn mo_of(message: &MoMessage) -> routing::Mo<'_> {
    routing::Mo {
        source_addr: &message.source_addr,
        destination_addr: &message.destination_addr,
        data_coding: message.data_coding,
        esm_class: message.esm_class,
        short_message: &message.short_message,
    }
}
