//! An orderly end: its mark in the log, and the index for the next start.

use super::batch::Batch;
use super::saved::Saving;
use super::{Answer, Journal, Link, Request};
use crate::store::Ended;

/// On the way to a saved index.
#[derive(Debug)]
pub(super) struct IndexSaving {
    saving: Saving,
    /// Blocks that are with the keeper.
    open: usize,
    is_complete: bool,
    is_over: bool,
}

/// Blocks that may be with the keeper at once.
const INDEX_BLOCKS_OPEN: usize = 4;

impl<L: Link> Journal<L> {
    /// Marks the log's end as an orderly one. Then [`commit`](crate::store::MessageStore::commit) until [`Journal::is_flushed`].
    pub fn close(&mut self) {
        self.is_closed = true;
        self.note();
        if let Some(open) = &mut self.open {
            open.is_clean_stop = true;
            open.wants_sync = true;
        }
    }

    /// Whether everything that is to go has been handed to the committer.
    pub fn is_flushed(&self) -> bool {
        let may_stay = |open: &Batch<_>| open.entries == 0 || self.is_better_kept(open);
        self.failure.is_some() || (self.waiting.is_empty() && self.open.as_deref().is_none_or(may_stay))
    }

    /// Goes on with saving the index beside a log that has been closed and is on disk, for a quick start, and with it these
    /// endings, from which each call takes some. `true`: it is saved, or can't be; nothing else may be done before, and
    /// nothing at all after that.
    pub fn save_index(&mut self, endings: &mut dyn Iterator<Item = Ended>) -> bool {
        if !self.is_closed || self.failure.is_some() {
            return true;
        }
        if self.progress.synced() < self.lsn {
            return false;
        }
        let saving = self.saving.get_or_insert_with(|| IndexSaving {
            saving: Saving::new(self.settings.store_id, self.lsn, self.last_frame, self.next_offset),
            open: 0,
            is_complete: false,
            is_over: false,
        });
        let mut spare = Vec::new();
        while let Some(answer) = self.link.answer() {
            match answer {
                Answer::Saved { block } => {
                    saving.open -= 1;
                    spare = block;
                }
                Answer::Published | Answer::NotSaved => saving.is_over = true,
                // Files that nobody is going to use now.
                _ => {}
            }
        }
        while !saving.is_over && !saving.is_complete && saving.open < INDEX_BLOCKS_OPEN {
            let mut block = std::mem::take(&mut spare);
            let accounts = &self.settings.accounts;
            if saving.saving.next(&self.slots, &self.segments, endings, accounts, &mut block) {
                saving.open += 1;
                self.link.ask(Request::SaveIndex { block });
            } else {
                saving.is_complete = true;
                self.link.ask(Request::PublishIndex);
            }
        }
        saving.is_over
    }
}
