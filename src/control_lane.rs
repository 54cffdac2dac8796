//! The values that the control thread and the hot threads (workers, shards) exchange. Control sends a request to
//! each thread's own lane and collects the replies, tagged by request, from one shared lane.

use crossbeam_channel::{Receiver, Sender, TrySendError};
use std::fmt;
use std::sync::Arc;

use crate::base::{AccountId, MessageId};
use crate::stats::LatencySet;
pub use crate::store::journal::StoreStats;

/// Wakes a thread that may be asleep in its poll.
pub trait Wake: Send + Sync {
    /// Makes the thread look at its lanes soon. Cheap when it is already awake.
    fn wake(&self);

    /// Ends its sleep, or the next one if it is awake: for news in no lane, which it does not look for once more before it
    /// sleeps.
    fn rouse(&self);
}

/// What control asks of one hot thread.
#[derive(Debug)]
pub enum ControlRequest {
    /// Hand over the latencies recorded since the last snapshot; `spare` (empty) takes their place.
    Snapshot {
        /// Echoed in the reply.
        request: u64,
        /// The set to record into from now on.
        spare: Box<LatencySet>,
    },
    /// List the bound sessions that this thread hosts.
    Sessions {
        /// Echoed in the reply.
        request: u64,
    },
    /// Take in an MO message; sent to the thread that hosts the shard of its destination address.
    InjectMo {
        /// Echoed in the reply.
        request: u64,
        /// The message.
        message: Box<MoMessage>,
    },
    /// Take in a message for an account's receiving sessions, if it has any; sent to the thread that hosts the shard of its
    /// destination address. Answered as [`ControlRequest::InjectMo`] is.
    Notify {
        /// Echoed in the reply.
        request: u64,
        /// Whose sessions get it, whoever owns the destination address.
        account: AccountId,
        /// How long it may wait, in milliseconds.
        validity_ms: u64,
        /// The message.
        message: Box<MoMessage>,
    },
    /// Tell what is known of a message; sent to every shard's thread when the id does not say which.
    QueryMessage {
        /// Echoed in the reply.
        request: u64,
        /// Which message.
        message_id: MessageId,
    },
    /// Shut down: unbind every session, let responses drain, then leave the thread.
    Shutdown,
}

/// A hot thread's answer. `thread` is the runtime thread's index.
#[derive(Debug)]
pub enum ControlReply {
    /// The latencies since the last snapshot.
    Snapshot {
        /// Of the request.
        request: u64,
        /// Which thread.
        thread: usize,
        /// The filled set.
        latencies: Box<LatencySet>,
        /// The figures of the thread's store on disk, if it has one.
        store: Option<Box<StoreStats>>,
    },
    /// The thread's sessions.
    Sessions {
        /// Of the request.
        request: u64,
        /// Which thread.
        thread: usize,
        /// One per bound session.
        sessions: Vec<SessionInfo>,
    },
    /// What became of an injected MO message.
    InjectMo {
        /// Of the request.
        request: u64,
        /// The id it was accepted under, or why it was not.
        result: Result<MessageId, MoRefused>,
    },
    /// What is known of a message.
    Message {
        /// Of the request.
        request: u64,
        /// Which thread.
        thread: usize,
        /// `None`: this thread does not know it.
        message: Option<MessageInfo>,
    },
    /// The thread has drained and left.
    Left {
        /// Which thread.
        thread: usize,
    },
    /// The thread has ended because it could not go on: the daemon must stop.
    Failed {
        /// Which thread.
        thread: usize,
        /// Why.
        why: String,
    },
}

/// Why an MO message was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoRefused {
    /// No account owns the destination address, by configuration or by a bind's address_range.
    NoOwner,
    /// It is for the receiving sessions of an account that has none.
    NobodyReceives,
    /// The store holds as many messages as it may.
    Full,
    /// The thread is shutting down.
    ShuttingDown,
}

/// An MO message as the network or POST /mo brings it. Addresses are digits or alphanumeric text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MoMessage {
    /// The subscriber's address (at most 20 octets).
    pub source_addr: Vec<u8>,
    /// The short code or number of the application (at most 20 octets).
    pub destination_addr: Vec<u8>,
    /// data_coding of `short_message` (3.4 section 5.2.19).
    pub data_coding: u8,
    /// esm_class: 0x40 when `short_message` starts with a UDH.
    pub esm_class: u8,
    /// The text, already in the alphabet that `data_coding` names.
    pub short_message: Vec<u8>,
}

/// The TLS side of a session, for GET /sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsInfo {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite, as rustls names it.
    pub cipher: &'static str,
    /// The first name in the peer's certificate, if it showed one.
    pub identity: Option<String>,
}

/// One bound session, for GET /sessions.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// Whose session.
    pub account: AccountId,
    /// `transmitter`, `receiver` or `transceiver`.
    pub bind: &'static str,
    /// The peer's address and port.
    pub peer: std::net::SocketAddr,
    /// interface_version as the ESME gave it.
    pub interface_version: u8,
    /// Worker that hosts it.
    pub worker: u16,
    /// Milliseconds since it bound.
    pub bound_for_ms: u64,
    /// Milliseconds since its last PDU.
    pub idle_ms: u64,
    /// Requests of the ESME that await our response, and the most allowed.
    pub window: (u32, u32),
    /// Our requests that await the ESME's response, and the most allowed.
    pub deliver_window: (u32, u32),
    /// Requests received and responses sent since the bind.
    pub submitted: u64,
    /// deliver_sm sent since the bind.
    pub delivered: u64,
    /// Octets queued for a socket that does not take them.
    pub queued_bytes: u64,
    /// Why nothing is read from it at present: `window`, `rate`, `lane`, `peer_not_reading`, or nothing.
    pub throttled_by: Option<&'static str>,
    /// `None`: without TLS.
    pub tls: Option<TlsInfo>,
}

/// What is known of one message, for GET /messages/ID.
#[derive(Clone, Debug)]
pub struct MessageInfo {
    /// Its id.
    pub message_id: MessageId,
    /// message_state (3.4 section 5.2.28).
    pub message_state: u8,
    /// Error code of the last attempt or of the final state, as network_error_code has it; 0 = none.
    pub error_code: u16,
    /// Unix milliseconds of the final state; 0 while there is none.
    pub final_unix_ms: u64,
    /// The rest, unless only the final state is remembered.
    pub held: Option<HeldInfo>,
}

/// What is known of a message until it is final and its receipt settled. Times are Unix milliseconds.
#[derive(Clone, Debug)]
pub struct HeldInfo {
    /// Whose message.
    pub account: AccountId,
    /// `mt`, `mo`, or `receipt`: a final message whose receipt is owed.
    pub role: &'static str,
    /// What it waits for: `store`, `schedule`, `turn`, `subscriber`, `network`, `retry`, `session` or `response`.
    pub waits_for: &'static str,
    /// priority_flag, at most 3.
    pub priority: u8,
    /// Attempts made to deliver it, or once it is final its receipt.
    pub attempts: u32,
    /// When it was accepted.
    pub accepted_unix_ms: u64,
    /// When it is scheduled for; 0: that is past, or it was not.
    pub scheduled_unix_ms: u64,
    /// When the next attempt comes; 0: it does not wait for that.
    pub next_attempt_unix_ms: u64,
    /// When it expires, or once it is final its receipt.
    pub expires_unix_ms: u64,
    /// Source and destination, when the body is readable.
    pub addresses: Option<(String, String)>,
}

/// Control's end of one hot thread's lane.
#[derive(Clone)]
pub struct ControlPort {
    /// Bounded; a full lane means that the thread is stuck, and the request fails.
    pub requests: Sender<ControlRequest>,
    /// Wakes that thread.
    pub waker: Arc<dyn Wake>,
}

impl ControlPort {
    /// Sends a request and wakes the thread.
    ///
    /// # Errors
    /// Gives the request back when the lane is full or the thread has left.
    pub fn send(&self, request: ControlRequest) -> Result<(), ControlRequest> {
        match self.requests.try_send(request) {
            Ok(()) => {
                self.waker.wake();
                Ok(())
            }
            Err(TrySendError::Full(request) | TrySendError::Disconnected(request)) => Err(request),
        }
    }
}

impl fmt::Debug for ControlPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlPort").finish_non_exhaustive()
    }
}

/// A hot thread's end: requests come in, replies go out to the one lane that control reads.
#[derive(Clone)]
pub struct ControlEnd {
    /// This thread's requests.
    pub requests: Receiver<ControlRequest>,
    /// The shared reply lane. Sized for the requests that can be open at once, so it is never full.
    pub replies: Sender<ControlReply>,
    /// Tells control that a reply is there.
    pub notify: Arc<dyn Fn() + Send + Sync>,
}

impl ControlEnd {
    /// Sends a reply. A control thread that has gone does not matter to a hot thread.
    pub fn reply(&self, reply: ControlReply) {
        if self.replies.try_send(reply).is_ok() {
            (self.notify)();
        }
    }
}

impl fmt::Debug for ControlEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlEnd").finish_non_exhaustive()
    }
}
