//! Counters of one hot thread. One writer, so an increment is a plain load and store; the reader sums over threads.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::AccountId;

macro_rules! counters {
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $help:literal])+ $variant:ident => $label:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(usize)]
        pub enum $name { $($(#[doc = $help])+ $variant,)+ }

        impl $name {
            /// Every counter, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The counter's name in `/stats` and, with prefix and `_total`, in `/metrics`.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            /// One line for `/metrics`.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => concat!($($help),+),)+ }
            }
        }
    };
}

counters! {
    /// What a thread counts for the whole daemon. Gauges are pairs of counters (opened, closed).
    Counter {
        /// Connections taken from a listener.
        ConnectionsAccepted => "connections_accepted",
        /// Connections refused at accept: a limit was reached.
        ConnectionsRefused => "connections_refused",
        /// Connections closed, for whatever reason.
        ConnectionsClosed => "connections_closed",
        /// Connections that closed without sending an octet (health checks, port scans).
        ConnectionsEmpty => "connections_empty",
        /// Connections closed by the session_init timer without a bind.
        SessionInitTimeouts => "session_init_timeouts",
        /// Sessions closed by the inactivity timer or an unanswered enquire_link.
        InactivityTimeouts => "inactivity_timeouts",
        /// Sessions closed because a PDU stayed half-read for too long.
        PduTimeouts => "pdu_timeouts",
        /// Sessions closed because the peer took nothing off its socket for too long.
        WriteTimeouts => "write_timeouts",
        /// Sessions closed because buffers had taken all the memory that they may, and theirs had waited longest.
        MemoryEvictions => "memory_evictions",
        /// Times that deliveries to a session paused because its peer did not read.
        DeliveriesPaused => "deliveries_paused",
        /// Times that nothing more was read from a peer because it did not read its responses.
        ReadsPaused => "reads_paused",
        /// Times that nothing more was read from a session because its window was full.
        WindowsFull => "windows_full",
        /// Operations on a message that is nobody's, or another account's.
        UnknownMessages => "unknown_messages",
        /// HTTP requests refused for their token: none, or a wrong one.
        HttpUnauthorized => "http_unauthorized",
        /// HTTP requests refused for where they come from, or for their size.
        HttpRefused => "http_refused",
        /// Requests of ours that got no response in time.
        ResponseTimeouts => "response_timeouts",
        /// Sessions bound as transmitter.
        BoundTransmitter => "bound_transmitter",
        /// Sessions bound as receiver.
        BoundReceiver => "bound_receiver",
        /// Sessions bound as transceiver.
        BoundTransceiver => "bound_transceiver",
        /// Bound transmitter sessions that ended.
        UnboundTransmitter => "unbound_transmitter",
        /// Bound receiver sessions that ended.
        UnboundReceiver => "unbound_receiver",
        /// Bound transceiver sessions that ended.
        UnboundTransceiver => "unbound_transceiver",
        /// Connections closed because they sent too many PDUs, or too many wrong ones, before a bind.
        UnboundFloods => "unbound_floods",
        /// Binds refused, for whatever reason.
        BindsRefused => "binds_refused",
        /// Binds answered without a look at the password: too many from that address or for that system_id had failed.
        BindsLimited => "binds_limited",
        /// PDUs received.
        PdusReceived => "pdus_received",
        /// PDUs sent.
        PdusSent => "pdus_sent",
        /// Octets received.
        BytesReceived => "bytes_received",
        /// Octets sent.
        BytesSent => "bytes_sent",
        /// Broken frames (command_length out of range); each closes its session.
        FramesBroken => "frames_broken",
        /// HTTP or TLS on the SMPP port, SMPP without TLS on the TLS port and the like; each closes its connection.
        ForeignProtocols => "foreign_protocols",
        /// TLS handshakes finished.
        TlsHandshakes => "tls_handshakes",
        /// TLS handshakes finished that took up an earlier session; among those finished.
        TlsResumptions => "tls_resumptions",
        /// Connections refused at accept: as many TLS handshakes were under way as may be.
        TlsHandshakesRefused => "tls_handshakes_refused",
        /// TLS handshakes not finished in time.
        TlsHandshakeTimeouts => "tls_handshake_timeouts",
        /// TLS handshakes that the peer gave up, with an alert or by closing.
        TlsHandshakesAborted => "tls_handshakes_aborted",
        /// TLS handshakes that failed since peer and smscd have no version or cipher suite in common.
        TlsNothingInCommon => "tls_nothing_in_common",
        /// TLS handshakes that failed since the peer's certificate is missing, expired or not of our authorities.
        TlsCertificatesRefused => "tls_certificates_refused",
        /// TLS handshakes that failed since what the peer sent breaks the protocol.
        TlsHandshakesBroken => "tls_handshakes_broken",
        /// TLS records of finished handshakes that could not be opened, or break the protocol; each closes its session.
        TlsRecordsBroken => "tls_records_broken",
        /// Renegotiations refused.
        TlsRenegotiationsRefused => "tls_renegotiations_refused",
        /// TLS sessions that the peer ended without close_notify.
        TlsTruncations => "tls_truncations",
        /// Binds refused since the peer's certificate does not allow that system_id.
        TlsIdentitiesRefused => "tls_identities_refused",
        /// Requests with an unknown command_id, answered by generic_nack.
        UnknownCommands => "unknown_commands",
        /// Requests that the session's state does not allow, answered ESME_RINVBNDSTS.
        WrongState => "wrong_state",
        /// Requests with a malformed body, answered with the field's status.
        MalformedPdus => "malformed_pdus",
        /// Responses and generic_nacks that match no request of ours; ignored.
        UnmatchedResponses => "unmatched_responses",
        /// Messages for a session that has gone meanwhile; dropped by the generation check.
        StaleSessionHandles => "stale_session_handles",
        /// Outcomes for a delivery that is no longer open; dropped by the generation check.
        StaleDeliveryTokens => "stale_delivery_tokens",
        /// Delivery attempts made to the network and to ESMEs.
        DeliveryAttempts => "delivery_attempts",
        /// Delivery attempts that failed for now.
        DeliveryRetries => "delivery_retries",
        /// Intermediate notifications not made because as many messages are held as may be.
        NotificationsSkipped => "notifications_skipped",
        /// ESMEs called with an outbind, or tried to.
        OutbindsSent => "outbinds_sent",
        /// alert_notifications sent.
        AlertsSent => "alerts_sent",
        /// alert_notifications that an ESME has asked for and did not get: no room to note it, or no session that knows them.
        AlertsDropped => "alerts_dropped",
        /// MO messages from the network that were refused: no account owns the destination, or no room.
        MoRefused => "mo_refused",
        /// Binds whose address_range is no regular expression that we take.
        BadAddressRanges => "bad_address_ranges",
        /// Event records written.
        EventRecordsWritten => "event_records_written",
        /// Event records lost: their file could not be written, or not as fast as they came.
        EventRecordsLost => "event_records_lost",
        /// Turns of the event loop.
        Turns => "turns",
        /// Turns that began with a sleep.
        Sleeps => "sleeps",
        /// Times this thread woke another.
        Wakes => "wakes",
        /// Times a session stopped being read because a lane was full.
        LaneStalls => "lane_stalls",
        /// Turns longer than 10 ms.
        LongTurns => "long_turns",
    }
}

counters! {
    /// What a thread counts per account.
    AccountCounter {
        /// submit_sm, submit_multi and data_sm requests received.
        Submitted => "submitted",
        /// Requests accepted: answered with status 0.
        Accepted => "accepted",
        /// Requests refused, other than by throttling.
        Rejected => "rejected",
        /// Requests refused with ESME_RTHROTTLED or ESME_RMSGQFUL.
        Throttled => "throttled",
        /// MT messages that became DELIVERED.
        Delivered => "delivered",
        /// MT messages that became UNDELIVERABLE.
        Undeliverable => "undeliverable",
        /// MT messages that became EXPIRED.
        Expired => "expired",
        /// MT messages that became DELETED.
        Deleted => "deleted",
        /// MT messages that became REJECTED.
        RejectedByNetwork => "rejected_by_network",
        /// MO messages taken in for this account.
        MoAccepted => "mo_accepted",
        /// MO messages whose deliver_sm this account's ESME accepted.
        MoDelivered => "mo_delivered",
        /// MO messages given up.
        MoFailed => "mo_failed",
        /// Receipts created.
        ReceiptsCreated => "receipts_created",
        /// Receipts whose deliver_sm was accepted.
        ReceiptsSent => "receipts_sent",
        /// Receipts given up.
        ReceiptsFailed => "receipts_failed",
        /// MT messages without a final state that an earlier run had left.
        Recovered => "recovered",
        /// MO messages that an earlier run had left.
        MoRecovered => "mo_recovered",
        /// Receipts owed that an earlier run had left.
        ReceiptsRecovered => "receipts_recovered",
        /// Sessions bound.
        SessionsOpened => "sessions_opened",
        /// Bound sessions that ended.
        SessionsClosed => "sessions_closed",
    }
}

/// Counters of one account on one thread, alone on their cache lines.
#[derive(Debug)]
#[repr(align(128))]
struct AccountBlock([AtomicU64; AccountCounter::COUNT]);

/// All counters of one hot thread. Shared by reference with control, which only reads.
#[derive(Debug)]
#[repr(align(128))]
pub struct ThreadCounters {
    global: [AtomicU64; Counter::COUNT],
    /// In chunks that never move, so that a reload may add accounts while others count and read.
    accounts: [OnceLock<Box<[AccountBlock; CHUNK]>>; CHUNKS],
}

/// Accounts whose counters are made together.
const CHUNK: usize = 64;
const CHUNKS: usize = 64;

impl ThreadCounters {
    /// Zeroed counters with room for `accounts` accounts.
    pub fn new(accounts: usize) -> Self {
        let counters = Self {
            global: std::array::from_fn(|_| AtomicU64::new(0)),
            accounts: [const { OnceLock::new() }; CHUNKS],
        };
        counters.make_room(accounts);
        counters
    }

    /// Makes room for `accounts` accounts, from any thread, before any of them is counted.
    pub fn make_room(&self, accounts: usize) {
        for chunk in self.accounts.iter().take(accounts.div_ceil(CHUNK)) {
            chunk.get_or_init(|| {
                Box::new(std::array::from_fn(|_| AccountBlock(std::array::from_fn(|_| AtomicU64::new(0)))))
            });
        }
    }

    #[inline]
    fn block(&self, account: AccountId) -> Option<&AccountBlock> {
        let index = account.index();
        self.accounts.get(index / CHUNK)?.get()?.get(index % CHUNK)
    }

    /// Adds `n`. Only the owning thread may call this.
    #[inline]
    pub fn add(&self, counter: Counter, n: u64) {
        bump(&self.global[counter as usize], n);
    }

    /// Adds `n` for `account`; an account beyond the table is not counted. Only the owning thread may call this.
    #[inline]
    pub fn add_account(&self, account: AccountId, counter: AccountCounter, n: u64) {
        if let Some(block) = self.block(account) {
            bump(&block.0[counter as usize], n);
        }
    }

    /// The current value, from any thread.
    pub fn get(&self, counter: Counter) -> u64 {
        self.global[counter as usize].load(Ordering::Relaxed)
    }

    /// The current value for `account`, from any thread.
    pub fn get_account(&self, account: AccountId, counter: AccountCounter) -> u64 {
        self.block(account).map_or(0, |block| block.0[counter as usize].load(Ordering::Relaxed))
    }
}

/// One writer: no read-modify-write instruction is needed.
#[inline]
fn bump(cell: &AtomicU64, n: u64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn labels_are_unique_and_snake_case() {
        let labels: Vec<&str> = Counter::ALL.iter().map(|c| c.label()).collect();
        assert_eq!(labels.iter().collect::<HashSet<_>>().len(), labels.len());
        assert!(labels.iter().all(|l| l.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
        assert!(Counter::ALL.iter().all(|c| c.help().ends_with('.')));
    }

    #[test]
    fn counts_per_thread_and_account() {
        let counters = ThreadCounters::new(2);
        counters.add(Counter::PdusSent, 3);
        counters.add(Counter::PdusSent, 4);
        counters.add_account(AccountId(1), AccountCounter::Delivered, 5);
        counters.add_account(AccountId(900), AccountCounter::Delivered, 5);
        counters.make_room(901);
        counters.add_account(AccountId(900), AccountCounter::Delivered, 7);
        assert_eq!(counters.get_account(AccountId(900), AccountCounter::Delivered), 7);
        assert_eq!(counters.get(Counter::PdusSent), 7);
        assert_eq!(counters.get_account(AccountId(1), AccountCounter::Delivered), 5);
        assert_eq!(counters.get_account(AccountId(0), AccountCounter::Delivered), 0);
    }
}
