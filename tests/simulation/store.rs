//! The journal of one shard on a simulated disk, with its committer and keeper one step at a time.

use std::sync::Arc;

use smscd::base::Time;
use smscd::store::Durability;
use smscd::store::journal::{Access, Batch, Journal, JournalSettings, Keeper, Progress, Writer, open};

use super::disk::{SimDisk, SimFile};
use super::link::SimLink;

/// What stands behind a journal.
pub(crate) struct Backend {
    pub(crate) disk: SimDisk,
    link: SimLink,
    writer: Writer<SimFile>,
    keeper: Keeper<SimDisk>,
    /// Written and waiting for its sync.
    in_hand: Option<Box<Batch<SimFile>>>,
    /// The disk hangs: no write and no sync begins before that.
    pub(crate) hangs_until: Time,
    /// A call to the disk has failed: the process must end.
    pub(crate) has_failed: bool,
}

impl Backend {
    /// Opens what is on the disk.
    pub(crate) fn open(mut disk: SimDisk, shard: usize, durability: Durability) -> (Self, Journal<SimLink>) {
        let settings = JournalSettings {
            durability,
            messages_max: 1_000,
            segment_bytes: 64 * 1024,
            segments_max: 24,
            segments_kept: 3,
            batch_bytes_max: 8 * 1024,
            memory_bytes: 0,
            ..JournalSettings::new(0x5EED + shard as u64)
        };
        let recovered = open(&mut disk, &settings, Access::Write).expect("a store");
        assert_eq!(recovered.report().damaged, 0, "{:?}", recovered.report());
        let link = SimLink::default();
        let progress = Arc::new(Progress::from(recovered.lsn()));
        let writer = Writer::new(settings.store_id, Arc::clone(&progress));
        let journal = Journal::new(settings, recovered, link.clone(), progress);
        let keeper = Keeper::new(disk.clone());
        let backend =
            Self { disk, link, writer, keeper, in_hand: None, hangs_until: Time::ZERO, has_failed: false };
        (backend, journal)
    }

    /// The committer does its next thing: writes a batch, or syncs.
    pub(crate) fn commit_step(&mut self, now: Time) {
        if self.has_failed || now < self.hangs_until {
            return;
        }
        if let Some(mut batch) = self.in_hand.take() {
            if batch.wants_sync {
                self.has_failed |= self.writer.sync().is_err();
            }
            batch.done = now;
            self.link.0.borrow_mut().returned.push_back(batch);
            return;
        }
        let batch = self.link.0.borrow_mut().batch.take();
        match batch {
            Some(mut batch) => {
                self.has_failed |= self.writer.write(&mut batch).is_err();
                self.in_hand = Some(batch);
            }
            None if self.writer.is_dirty() => self.has_failed |= self.writer.sync().is_err(),
            None => {}
        }
    }

    /// The keeper makes or deletes a file.
    pub(crate) fn keep_step(&mut self) {
        let Some(request) = self.link.0.borrow_mut().requests.pop_front() else { return };
        match self.keeper.run(request) {
            Ok(Some(answer)) => self.link.0.borrow_mut().answers.push_back(answer),
            Ok(None) => {}
            Err(_) => self.has_failed = true,
        }
    }
}
