//! Handing out every pending message in order of acceptance, with its body read from disk.

use super::accounts::AccountNumbers;
use super::disk::{SegmentFile, read_full};
use super::entry::{accepted_of, decode_record};
use super::segments::Segments;
use super::slots::{Place, Slots};
use super::{Recovered, SlotName, location_of};
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
    order: std::vec::IntoIter<(u64, SlotName)>,
    window: Window,
}

impl Walk {
    pub(super) fn new(slots: &Slots) -> Self {
        let mut order: Vec<(u64, SlotName)> =
            slots.iter().map(|(name, _, record)| (accepted_of(record), name)).collect();
        let id_of = |name| slots.record(name).map(|record| decode_record(record).id);
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| id_of(a.1).cmp(&id_of(b.1))));
        let window = Window { segment: u32::MAX, start: 0, bytes: Vec::new() };
        Self { order: order.into_iter(), window }
    }

    /// Whether it has come to its end.
    pub(super) fn is_over(&self) -> bool {
        self.order.len() == 0
    }

    pub(super) fn next<F: SegmentFile>(
        &mut self,
        slots: &Slots,
        segments: &Segments<F>,
        accounts: &AccountNumbers,
    ) -> Option<(Location, Record, &[u8])> {
        let (name, place, record, segment) = self.order.find_map(|(_, name)| {
            let (place, record) = (slots.place(name)?, slots.record(name)?);
            Some((name, place, accounts.decode(record), segments.get(place.segment)?))
        })?;
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
