//! A lane between two simulated threads: one value at a time, and a backlog of replies as the runtime's lanes have it.

use std::collections::VecDeque;

/// Holds one value that the other side may take. Requests are refused while it is full; replies, whose number windows
/// and credits bound, wait behind it in order.
#[derive(Debug)]
pub(crate) struct Lane<T> {
    published: Option<T>,
    backlog: VecDeque<T>,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { published: None, backlog: VecDeque::new() }
    }
}

/// Most replies that the windows and credits of a world can owe through one lane.
const BACKLOG_MAX: usize = 256;

impl<T> Lane<T> {
    pub(crate) fn has_room(&self) -> bool {
        self.published.is_none() && self.backlog.is_empty()
    }

    /// False: there is no room, and the value is gone.
    pub(crate) fn push_request(&mut self, value: T) -> bool {
        let has_room = self.has_room();
        if has_room {
            self.published = Some(value);
        }
        has_room
    }

    pub(crate) fn push_reply(&mut self, value: T) {
        self.backlog.push_back(value);
        assert!(self.backlog.len() <= BACKLOG_MAX, "promise 6: a lane's backlog has no bound");
        self.publish();
    }

    pub(crate) fn backlog(&self) -> usize {
        self.backlog.len()
    }

    pub(crate) fn take(&mut self) -> Option<T> {
        let taken = self.published.take();
        self.publish();
        taken
    }

    fn publish(&mut self) {
        if self.published.is_none() {
            self.published = self.backlog.pop_front();
        }
    }
}
