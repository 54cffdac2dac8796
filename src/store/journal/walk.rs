//! Handing out every pending message in order of acceptance, with its body read from disk.

use super::Recovered;
use super::accounts::AccountNumbers;
use super::disk::{SegmentFile, read_full};
use super::message_store::location_of;
use super::segments::Segments;
use super::slots::{Place, Slots};
use crate::store::{Location, Record};

/// Octets read at once.
const WINDOW_BYTES: usize = 256 * 1024;

impl<F: SegmentFile> Recovered<F> {
    /// Hands out every message, oldest acceptance first, with its body (empty if it can't be read).
    pub fn visit(&self, accounts: &AccountNumbers, visit: &mut dyn FnMut(Location, &Record, &[u8])) {
        let mut walk = Walk::new(&self.slots);
        while let Some((location, record, body)) = walk.next(&self.slots, &self.segments, accounts) {
            visit(location, &record, body);
        }
    }
}

/// On the way through what the slots held when it began: by acceptance, and by id among those of one millisecond.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// What is left, the next one last: acceptance, the low part of the id, and the slot, highest bits first.
    order: Vec<u128>,
    window: Window,
}

/// Steps after which memory is given back: the messages are taken up elsewhere meanwhile.
const SHRINK_STEPS: usize = 1 << 16;
const TIME_BITS: u32 = 48;
const SLOT_BITS: u32 = 32;

impl Walk {
    pub(super) fn new(slots: &Slots) -> Self {
        let mut order = Vec::with_capacity(slots.live() as usize);
        order.extend(slots.iter().map(|(name, _, gist)| {
            // Ids of one source differ in their low part.
            let id = (u128::from(gist.id) << (TIME_BITS + SLOT_BITS)) >> TIME_BITS;
            u128::from(gist.accepted) << (u128::BITS - TIME_BITS) | id | u128::from(name.slot)
        }));
        order.sort_unstable_by(|a, b| b.cmp(a));
        let window = Window { segment: u32::MAX, start: 0, bytes: Vec::new() };
        Self { order, window }
    }

    /// Whether it has come to its end.
    pub(super) fn is_over(&self) -> bool {
        self.order.is_empty()
    }

    pub(super) fn next<F: SegmentFile>(
        &mut self,
        slots: &Slots,
        segments: &Segments<F>,
        accounts: &AccountNumbers,
    ) -> Option<(Location, Record, &[u8])> {
        let (name, place, record, segment) = loop {
            let slot = self.order.pop()? as u32;
            if self.order.len().is_multiple_of(SHRINK_STEPS) {
                self.order.shrink_to_fit();
            }
            let found = slots.occupant(slot).and_then(|(name, place, record)| {
                Some((name, place, accounts.decode(&record), segments.get(place.segment)?))
            });
            if let Some(found) = found {
                break found;
            }
        };
        let body = segment.file().and_then(|file| self.window.body(&**file, place)).unwrap_or_default();
        Some((location_of(name), record, body))
    }
}

/// A part of a segment in memory, from which bodies that lie close together are served.
#[derive(Debug, Default)]
struct Window {
    segment: u32,
    start: u32,
    bytes: Vec<u8>,
}

impl Window {
    fn body<F: SegmentFile>(&mut self, file: &F, place: Place) -> Option<&[u8]> {
        let length = place.length as usize;
        let is_here = self.segment == place.segment
            && place.offset >= self.start
            && (place.offset - self.start) as usize + length <= self.bytes.len();
        if !is_here {
            self.segment = u32::MAX;
            self.bytes.resize(WINDOW_BYTES.max(length), 0);
            let read = read_full(file, &mut self.bytes, place.offset).ok()?;
            self.bytes.truncate(read);
            (self.segment, self.start) = (place.segment, place.offset);
        }
        let from = (place.offset - self.start) as usize;
        self.bytes.get(from..from + length)
    }
}
