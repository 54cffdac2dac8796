//! The journal of one shard on a simulated disk, with its committer and keeper one step at a time.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use smscd::base::Time;
use smscd::store::Durability;
use smscd::store::journal::{
    Access, Answer, Batch, Journal, JournalSettings, Keeper, Link, Progress, Request, Writer, open,
};

use super::disk::{SimDisk, SimFile};

#[derive(Debug, Default)]
struct Queues {
    batch: Option<Box<Batch<SimFile>>>,
    returned: VecDeque<Box<Batch<SimFile>>>,
    requests: VecDeque<Request<SimFile>>,
    answers: VecDeque<Answer<SimFile>>,
}

/// The way from the journal to its committer, for one batch at a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct SimLink(Rc<RefCell<Queues>>);

impl Link for SimLink {
    type File = SimFile;

    fn has_room(&self) -> bool {
        self.0.borrow().batch.is_none()
    }

    fn submit(&mut self, batch: Box<Batch<SimFile>>) -> Result<(), Box<Batch<SimFile>>> {
        let mut queues = self.0.borrow_mut();
        if queues.batch.is_some() {
            return Err(batch);
        }
        queues.batch = Some(batch);
        Ok(())
    }

    fn take_back(&mut self) -> Option<Box<Batch<SimFile>>> {
        self.0.borrow_mut().batch.take()
    }

    fn returned(&mut self) -> Option<Box<Batch<SimFile>>> {
        self.0.borrow_mut().returned.pop_front()
    }

    fn ask(&mut self, request: Request<SimFile>) {
        self.0.borrow_mut().requests.push_back(request);
    }

    fn answer(&mut self) -> Option<Answer<SimFile>> {
        self.0.borrow_mut().answers.pop_front()
    }
}

/// What stands behind a journal.
pub(crate) struct Backend {
    pub(crate) disk: SimDisk,
    link: SimLink,
    writer: Writer<SimFile>,
    keeper: Keeper<SimDisk>,
    /// Written and waiting for its sync.
    in_hand: Option<Box<Batch<SimFile>>>,
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
        (Self { disk, link, writer, keeper, in_hand: None, has_failed: false }, journal)
    }

    /// The committer does its next thing: writes a batch, or syncs.
    pub(crate) fn commit_step(&mut self, now: Time) {
        if self.has_failed {
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
