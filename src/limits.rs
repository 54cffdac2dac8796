//! Every bound of the engine, in one place. Configuration may lower or raise those that have a key; the rest are
//! structural. Each says what happens when it is reached.

/// Octets of an SMPP header, and the least valid command_length (3.4 section 3.2).
pub const HEADER_LEN: usize = 16;

/// Largest command_length accepted from a bound peer: a message_payload of 65,535 octets and its PDU around it,
/// with room for further TLVs. Beyond: generic_nack ESME_RINVCMDLEN and close.
pub const PDU_BYTES_MAX: usize = 70_000;

/// Largest command_length accepted before a bind; a bind with all fields full has 116 octets. Beyond: as above.
pub const PDU_BYTES_MAX_UNBOUND: usize = 1_024;

/// Scratch into which one worker reads every socket. One read takes at most this.
pub const READ_BYTES: usize = 64 * 1024;

/// Octets of one chunk of a session's out-queue. Chunks come from the worker's pool.
pub const OUT_CHUNK_BYTES: usize = 32 * 1024;

/// Octets a session may have queued for its socket. Beyond: nothing more is read from that socket, and no
/// delivery is handed to it, until the peer reads.
pub const OUT_QUEUE_BYTES_MAX: usize = 256 * 1024;

/// PDUs and octets that one session may have handled before the other ready ones have their go (promise 7).
pub const TURN_PDUS_MAX: usize = 256;
/// See [`TURN_PDUS_MAX`].
pub const TURN_BYTES_MAX: usize = 128 * 1024;
/// Octets of one read of a plain socket: about what [`TURN_PDUS_MAX`] ordinary submit_sm take, so that little is read that has
/// to be put aside.
pub const SHARE_BYTES: usize = 32 * 1024;

/// Goes that one session may have in one turn of its worker. Beyond: it waits for the next turn.
pub const GOES_PER_TURN_MAX: usize = 4;

/// PDUs, or times 256 octets, of one session in [`LIGHT_WINDOW_NANOS`] up to which it counts as light: then it comes before the
/// sessions that take more. Beyond: it waits in line with those.
pub const LIGHT_PDUS_MAX: u32 = 64;
/// See [`LIGHT_PDUS_MAX`].
pub const LIGHT_WINDOW_NANOS: u64 = 10_000_000;

/// Time that one worker may spend on reading in one turn, in nanoseconds, the session that it has begun not counted. Beyond:
/// what is ready waits for the next turn.
pub const READ_TURN_NANOS: u64 = 2_000_000;

/// How long light sessions wait for a thread that is busy with others before it looks for them, in nanoseconds, what it has
/// begun not counted.
pub const PEEK_INTERVAL_NANOS: u64 = 50_000;
/// The same where none has had its go for [`LIGHT_MEMORY_NANOS`].
pub const IDLE_PEEK_INTERVAL_NANOS: u64 = 1_000_000;
/// See [`IDLE_PEEK_INTERVAL_NANOS`].
pub const LIGHT_MEMORY_NANOS: u64 = 10_000_000_000;

/// Items of one lane block, and the octets that its bodies take before it is published. A body larger than the
/// block travels alone in it.
pub const LANE_BLOCK_ITEMS: usize = 256;
/// See [`LANE_BLOCK_ITEMS`].
pub const LANE_BLOCK_BYTES: usize = 32 * 1024;
/// Blocks of one lane. All in flight: the lane is full, and the sender stops taking requests in.
pub const LANE_BLOCKS: usize = 8;

/// Blocks taken from one lane in one turn before the next lane has its go.
pub const LANE_BLOCKS_PER_TURN: usize = 4;

/// Connections that can be configured: more than any machine has descriptors for. The configured number is what holds.
pub const CONNECTIONS_MAX: u32 = 1 << 20;

/// Accounts of one configuration, and of one process over all reloads. Beyond: the configuration is refused.
pub const ACCOUNTS_MAX: usize = 4_096;

/// Workers and shards of one process (the shard index is part of a message id). Beyond: the configuration is refused.
pub const THREADS_MAX: usize = 128;

/// Unanswered requests that a session may have towards us, and we towards it. Configurable per account below this.
pub const WINDOW_MAX: usize = 16_384;

/// Unknown or out-of-place PDUs after which a session that never bound is closed.
pub const UNBOUND_ERRORS_MAX: u32 = 5;

/// PDUs of any kind, answered or not, after which a session that has not bound is closed.
pub const UNBOUND_PDUS_MAX: u32 = 16;

/// Chunks that a worker's pool holds from the start, and the most that it keeps when sessions give them back.
pub const POOL_CHUNKS_PREALLOCATED: usize = 64;
/// See [`POOL_CHUNKS_PREALLOCATED`].
pub const POOL_CHUNKS_KEPT: usize = 1_024;

/// Runs of responses, each read at one time, that a connection remembers until its queue is written. A peer that never lets
/// its queue be written to the end makes no more: later ones count as read with the last.
pub const RESPONSE_RUNS_MAX: usize = 256;

/// How long a closed session's connection waits for the peer's end after ours, in milliseconds.
pub const LINGER_MS: u64 = 2_000;

/// Connections handed to a worker that it has not taken yet. Beyond: the acceptor waits, and the kernel's backlog
/// holds the rest.
pub const ARRIVALS_MAX: usize = 1_024;

/// Messages, timers and deliveries that a shard handles in one turn before the sessions on its thread have theirs.
pub const SHARD_TURN_ITEMS_MAX: usize = 4_096;
/// The same before the light ones among them have theirs. A divisor of [`SHARD_TURN_ITEMS_MAX`].
pub const SHARD_SHARE_ITEMS_MAX: usize = 512;
/// Messages that a shard takes from its lanes in one turn, if another block would come on top: half of what the turn may
/// handle, so that they do not pile up.
pub const SHARD_TURN_MESSAGES_MAX: usize = SHARD_TURN_ITEMS_MAX / 2;

/// Readiness events taken from one poll.
pub const POLL_EVENTS: usize = 1_024;

/// A turn longer than this is counted, in nanoseconds.
pub const LONG_TURN_NANOS: u64 = 10_000_000;

/// Turns with a lone request until a thread looks for the next one instead of sleeping.
pub const LONE_TURNS_MIN: u32 = 8;

/// How soon a thread looks again for room in a full lane, in milliseconds.
pub const LANE_RETRY_MS: u64 = 1;

/// Requests to the hot threads that control may have open at once. Beyond: the HTTP request waits its turn.
pub const REQUESTS_OPEN_MAX: usize = 16;

/// Messages that a shard remembers to find duplicates of, if any account suppresses them. Beyond: the oldest are
/// forgotten, and a duplicate of one is taken in. A power of two.
pub const DUPLICATES_REMEMBERED: usize = 1 << 16;
/// Duplicates whose answer waits until the message that they repeat is durable. Beyond: ESME_RTHROTTLED.
pub const DUPLICATES_WAITING_MAX: usize = 1_024;

/// Concatenated messages whose parts' receipts one shard gathers for accounts that want one for all. Beyond: those of the
/// one begun longest ago go out by themselves, and while all that are gathered are on their way so do those of new ones.
pub const PART_GROUPS_MAX: u32 = 1 << 16;

/// Messages of one priority that wait in a shard for an account's sessions and are kept whole: an ESME that is merely slow gets
/// them at no further cost. Beyond: those that come are parked, and each that goes out then costs 0.2 to 0.6 µs more.
pub const QUEUED_AT_HAND: u32 = 4_096;

/// Messages in line for one subscriber, of each priority, that are parked when the first begins to wait. Those before them, if so
/// many have come during one attempt, stay whole.
pub const LINE_PARKED_AT_ONCE: usize = 1_024;

/// Octets of memory that a shard's store may take for bodies, for each message that it may hold. A 60-character
/// message takes 128; long payloads use up the room sooner, and then submissions get ESME_RMSGQFUL.
pub const STORE_BYTES_PER_MESSAGE: u64 = 512;

/// Blocks of the lane from a shard to the writer of event records. All in flight: further records are lost and counted.
pub const EVENT_LANE_BLOCKS: usize = 64;

/// Lines that wait to be written to stderr. Beyond: lost, but for errors.
pub const LOG_LINES_QUEUED: usize = 4_096;

/// Lines that one place in the code may log at once. Beyond: one in each interval, and a count of those left out.
pub const LOG_LINES_AT_ONCE: u32 = 20;
/// See [`LOG_LINES_AT_ONCE`], in milliseconds.
pub const LOG_LINE_INTERVAL_MS: u64 = 1_000;

/// Destinations of one submit_multi once its distribution lists are resolved. Beyond: ESME_RINVNUMDESTS.
pub const MULTI_DESTINATIONS_MAX: usize = 1_024;
/// submit_multi that one worker has under way. Beyond: the session is not read until one is answered.
pub const MULTI_OPEN_MAX: usize = 1_024;
/// Destinations of submit_multi that a worker takes in in one turn. Beyond: the session waits for the next turn.
pub const MULTI_TURN_DESTINATIONS_MAX: usize = SHARD_TURN_ITEMS_MAX / 2;
/// Distribution lists of one account. Beyond: the configuration is refused.
pub const DISTRIBUTION_LISTS_MAX: usize = 1_000;

/// Octets of the largest body that a lane carries: a PDU, or what a submit_multi has for one shard, whose destinations
/// take at most 25 each.
pub const LANE_BODY_BYTES_MAX: usize = PDU_BYTES_MAX + 25 * MULTI_DESTINATIONS_MAX;

/// Octets of TLS that may wait for the rest of a record, or of a handshake message in several; a record has at most
/// 18,437. Beyond: the handshake is given up. At most half of [`READ_BYTES`].
pub const TLS_PENDING_BYTES_MAX: usize = 32 * 1024;

/// Time that one worker may spend on TLS handshakes in one turn, in nanoseconds, the one that it has begun not counted.
/// Beyond: they wait for the next turn, behind the sessions that are up.
pub const TLS_HANDSHAKE_TURN_NANOS: u64 = 500_000;

/// TLS sessions that can be taken up again without a whole handshake. Beyond: the oldest is forgotten.
pub const TLS_SESSIONS_REMEMBERED: usize = 4_096;

/// Broadcasts that a shard has under way. Beyond: ESME_RMSGQFUL.
pub const BROADCASTS_MAX: usize = 4_096;
/// Broadcasts that a shard remembers after their end, for queries. Beyond: the one that ended longest ago is forgotten.
pub const BROADCASTS_REMEMBERED: usize = 1_024;
/// Areas of one broadcast_sm. Beyond: ESME_RINVNUMBCAST_AREAS.
pub const BROADCAST_AREAS_MAX: usize = 255;
