//! Why a journal goes no further.

use std::io;

/// Why the journal can go no further. The daemon must stop: nothing is made durable any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The reserve is used up: not even final states can be written.
    #[error("the disk is full: no segment is left even for final states")]
    NoRoom,
    /// A frame that was good when it was written or recovered no longer is.
    #[error("segment file {file:08}: the frame at offset {offset} has become unreadable")]
    Unreadable {
        /// Number of the segment's file.
        file: u32,
        /// Octets from its start.
        offset: u32,
    },
    /// A call to the disk has failed. What it left there is unknown, so it is never tried again.
    #[error(
        "{doing} the store failed: {why}. Nothing is tried again and nothing more is acknowledged; the next start recovers what is on disk"
    )]
    Disk {
        /// What was being done.
        doing: Doing,
        /// What the disk says.
        why: String,
    },
}

/// What was being done when the disk failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Writing a frame.
    Writing,
    /// Syncing what is written.
    Syncing,
    /// Reading a segment back.
    Reading,
}

impl std::fmt::Display for Doing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Writing => "writing to",
            Self::Syncing => "syncing",
            Self::Reading => "reading from",
        })
    }
}

impl Failure {
    /// The disk has failed with `error`.
    pub fn disk(doing: Doing, error: &io::Error) -> Self {
        Self::Disk { doing, why: error.to_string() }
    }
}
