//! Event records: a line for what happens to a message. Shards put what they know into lanes of bounded size, without
//! waiting; one thread of its own formats and writes. A record that finds its lane full, or can't be written, is lost and
//! counted: no message waits for its record.

mod file;
mod format;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use tracing::error;

use self::file::RotatingFile;
use super::clock::Clock;
use super::lane::{self, LaneReceiver, LaneSender};
use crate::base::{AccountId, MessageId, WallTime};
use crate::config::EdrConfig;
use crate::limits::EVENT_LANE_BLOCKS;
use crate::routing::{EventKind, MessageEvent};
use crate::smpp::MessageState;
use crate::smpp::text::DefaultAlphabet;
use crate::stats::{Counter, ThreadCounters};

/// Between two looks at the lanes.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// Between two tries to open a file that could not be written.
const REOPEN_INTERVAL: Duration = Duration::from_secs(1);
/// Longest address (3.4 section 5.2.8), less its NUL.
const ADDRESS_OCTETS_MAX: usize = 20;

/// What is recorded of an event. The octets of the message itself, if they are recorded, are the lane's body.
#[derive(Clone, Copy, Debug)]
pub struct EventRecord {
    event: EventKind,
    message_id: MessageId,
    account: AccountId,
    is_mo: bool,
    state: MessageState,
    error: u16,
    attempts: u16,
    accepted: WallTime,
    at: WallTime,
    source: Address,
    destination: Address,
    esm_class: u8,
    data_coding: u8,
    registered_delivery: u8,
    octets: u32,
}

/// An address by value.
#[derive(Clone, Copy, Debug)]
struct Address {
    ton: u8,
    npi: u8,
    len: u8,
    octets: [u8; ADDRESS_OCTETS_MAX],
}

impl Address {
    fn new(ton: u8, npi: u8, text: &[u8]) -> Self {
        let mut octets = [0; ADDRESS_OCTETS_MAX];
        for (to, from) in octets.iter_mut().zip(text) {
            *to = *from;
        }
        Self { ton, npi, len: text.len().min(ADDRESS_OCTETS_MAX) as u8, octets }
    }

    fn text(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// A shard's end.
#[derive(Debug)]
pub struct EventLane {
    sender: LaneSender<EventRecord>,
    bodies: bool,
}

impl EventLane {
    /// Records what has happened to a message. False: there was no room, and the record is lost.
    pub fn record(&mut self, event: &MessageEvent<'_>) -> bool {
        let sm = &event.sm;
        let body = sm.user_data();
        let record = EventRecord {
            event: event.kind,
            message_id: event.message_id,
            account: event.account,
            is_mo: event.is_mo,
            state: event.state,
            error: event.error,
            attempts: event.attempts,
            accepted: event.accepted,
            at: event.at,
            source: Address::new(sm.source_addr_ton, sm.source_addr_npi, sm.source_addr),
            destination: Address::new(sm.dest_addr_ton, sm.dest_addr_npi, sm.destination_addr),
            esm_class: sm.esm_class.0,
            data_coding: sm.data_coding,
            registered_delivery: sm.registered_delivery.0,
            octets: body.len() as u32,
        };
        let body = if self.bodies { body } else { &[] };
        self.sender.push_request(record, body.len(), |out| out.extend_from_slice(body))
    }

    /// Publishes what the turns have added; the writer looks by itself. Not if that would take one of the last free blocks
    /// for a few records: they are better filled then. False: some are left, so this has to be called again soon.
    pub fn publish(&mut self) -> bool {
        if self.sender.free_blocks() >= EVENT_LANE_BLOCKS / 2 {
            self.sender.publish();
        }
        self.sender.is_idle()
    }
}

/// What a record says of its account, and how its text is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountLabel {
    /// Its name.
    pub system_id: String,
    /// What data_coding 0 means in its messages.
    pub default_alphabet: DefaultAlphabet,
}

/// The accounts, by number. Replaced by a reload.
pub type AccountLabels = Arc<RwLock<Vec<AccountLabel>>>;

/// The thread that writes, as its starter sees it.
#[derive(Debug)]
pub struct EventWriter {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl EventWriter {
    /// Writes what the shards have left, who must have ended, and ends.
    pub fn finish(self) {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        // Its panic has been said on stderr, and its records are lost either way.
        drop(self.thread.join());
    }
}

/// Opens the file and starts the thread that writes, for so many shards.
///
/// # Errors
/// When the file can't be opened, or the thread not started.
pub fn start(
    config: &EdrConfig,
    shards: u16,
    clock: Clock,
    accounts: AccountLabels,
    counters: Arc<ThreadCounters>,
) -> io::Result<(EventWriter, Vec<EventLane>)> {
    let file = RotatingFile::open(config, clock.now().wall)?;
    let (mut lanes, mut ends) = (Vec::new(), Vec::new());
    for _ in 0..shards {
        let (sender, receiver) = lane::lane(EVENT_LANE_BLOCKS);
        lanes.push(EventLane { sender, bodies: config.bodies });
        ends.push(receiver);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writer = Writer {
        lanes: ends,
        file,
        format: config.format,
        bodies: config.bodies,
        clock,
        accounts,
        counters,
        text: Vec::new(),
        dates: format::Dates::default(),
        gathered: 0,
        broken_since: None,
    };
    let told = Arc::clone(&stop);
    let thread = std::thread::Builder::new().name("smscd-events".into()).spawn(move || writer.run(&told))?;
    Ok((EventWriter { stop, thread }, lanes))
}

struct Writer {
    lanes: Vec<LaneReceiver<EventRecord>>,
    file: RotatingFile,
    format: crate::config::EdrFormat,
    bodies: bool,
    clock: Clock,
    accounts: AccountLabels,
    counters: Arc<ThreadCounters>,
    /// Lines of one block.
    text: Vec<u8>,
    dates: format::Dates,
    /// Records that the kernel has not got yet.
    gathered: u64,
    /// When the file could last not be written.
    broken_since: Option<Instant>,
}

impl Writer {
    fn run(mut self, stop: &AtomicBool) {
        loop {
            // Before the last look, so that it finds everything.
            let is_last = stop.load(Ordering::Acquire);
            while self.look() {}
            self.flush();
            if is_last {
                if let Err(error) = self.file.close() {
                    error!(%error, "event records could not be made durable");
                }
                return;
            }
            std::thread::park_timeout(LOOK_INTERVAL);
        }
    }

    /// Takes one block of each lane. False: there was none.
    fn look(&mut self) -> bool {
        let (mut any, nobody) = (false, AccountLabel::default());
        for index in 0..self.lanes.len() {
            let Some(mut block) = self.lanes.get(index).and_then(LaneReceiver::take) else { continue };
            any = true;
            self.text.clear();
            let mut records = 0;
            {
                let accounts = self.accounts.read();
                for (record, body) in block.drain() {
                    let account = accounts.get(record.account.index()).unwrap_or(&nobody);
                    let body = self.bodies.then_some(body);
                    format::write(self.format, &mut self.dates, &record, account, body, &mut self.text);
                    records += 1;
                }
            }
            if let Some(lane) = self.lanes.get(index) {
                lane.give_back(block);
            }
            self.write(records);
        }
        any
    }

    fn write(&mut self, records: u64) {
        if self.broken_since.is_some_and(|since| since.elapsed() < REOPEN_INTERVAL) {
            self.counters.add(Counter::EventRecordsLost, records);
            return;
        }
        let wall = self.clock.now().wall;
        let text = std::mem::take(&mut self.text);
        let written = if self.broken_since.is_some() { self.file.reopen(wall) } else { Ok(()) };
        match written.and_then(|()| self.file.write(&text, wall)) {
            Ok(()) => {
                self.broken_since = None;
                self.gathered += records;
            }
            Err(error) => {
                self.gathered += records;
                self.failed(&error);
            }
        }
        self.text = text;
    }

    /// Hands what has been gathered to the kernel.
    fn flush(&mut self) {
        if self.gathered == 0 {
            return;
        }
        match self.file.flush() {
            Ok(()) => {
                let written = std::mem::take(&mut self.gathered);
                self.counters.add(Counter::EventRecordsWritten, written);
            }
            Err(error) => self.failed(&error),
        }
    }

    /// What has been gathered is lost.
    fn failed(&mut self, error: &io::Error) {
        error!(%error, "event records can't be written: they are lost until they can");
        let lost = std::mem::take(&mut self.gathered);
        self.counters.add(Counter::EventRecordsLost, lost);
        self.broken_since = Some(Instant::now());
    }
}
