//! The way from a journal to its committer and keeper in a simulation: the test steps both.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use smscd::store::journal::{Answer, Batch, Link, Request};

use super::disk::SimFile;

/// What is under way.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    pub(crate) batch: Option<Box<Batch<SimFile>>>,
    pub(crate) returned: VecDeque<Box<Batch<SimFile>>>,
    pub(crate) requests: VecDeque<Request<SimFile>>,
    pub(crate) answers: VecDeque<Answer<SimFile>>,
}

/// The journal's end and the test's: one batch at a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct SimLink(pub(crate) Rc<RefCell<Queues>>);

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
