//! Taking over a changed configuration: sessions that are no longer allowed are unbound, the others stay as
//! they are but for what `[account.compat]` says.

use std::sync::Arc;

use tracing::info;

use super::super::reconfigure::WorkersChange;
use super::super::shard_host::ShardHost;
use super::super::thread::ThreadStats;
use super::Worker;

impl Worker {
    /// Goes by this from now on.
    pub fn reconfigure(
        &mut self,
        change: &WorkersChange,
        shard: &mut Option<ShardHost>,
        stats: &mut ThreadStats,
    ) {
        let WorkersChange { accounts, settings, pdu_timeout_ms, write_timeout_ms, buffer_bytes_max } = change;
        self.accounts = Arc::clone(accounts);
        self.settings = Arc::clone(settings);
        self.pdu_timeout_ms = *pdu_timeout_ms;
        self.write_timeout_ms = *write_timeout_ms;
        self.buffer_bytes_max = *buffer_bytes_max;
        let now = self.clock.now();
        let slots: Vec<u32> = self.connections.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            if let Some(system_id) = self.no_longer_allowed(slot) {
                info!(system_id, "a session of an account that may not have it any more is unbound");
                let close = self.with_port(slot, now, shard, stats, |session, port| {
                    session.unbind(now.mono, settings, port)
                });
                if let Some(Some(reason)) = close {
                    self.close(slot, reason, now, shard, stats);
                }
            }
            if let Some(connection) = self.connections.get_mut(slot)
                && let Some(account) = connection.session.account().and_then(|id| self.accounts.get(id))
            {
                connection.session.set_compat(account.compat());
            }
            // A timer may be shorter than it was.
            self.arm_timer(slot, now.mono);
        }
    }

    /// The system_id of a bound session whose account may not have it.
    fn no_longer_allowed(&self, slot: u32) -> Option<&str> {
        let connection = self.connections.get(slot)?;
        let account = self.accounts.get(connection.session.account()?)?;
        let system_id = account.config().system_id.as_bytes();
        let identity = connection.tls.as_ref().and_then(|tls| tls.identity());
        let is_certified = identity
            .zip(self.tls.as_ref().and_then(|tls| tls.server()))
            .is_none_or(|(identity, server)| server.current().identities.allow(identity, system_id));
        let may_stay = is_certified && account.may_stay(connection.session.mode(), connection.peer.ip());
        (!may_stay).then(|| account.config().system_id.as_str())
    }
}
