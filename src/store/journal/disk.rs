//! What the journal asks of a disk, narrow enough that a simulated one can stand in for it.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

/// One segment's file. Reads and writes may run on different threads.
pub trait SegmentFile: Debug + Send + Sync + 'static {
    /// Octets of the file.
    fn len(&self) -> u32;

    /// Whether the file has no octets.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Octets from its start behind which nothing was ever written, as far as the device knows: they read as zeros, and need
    /// not be read.
    fn written_bytes(&self) -> u32 {
        self.len()
    }

    /// Writes some of `bytes` at `offset`; how many.
    ///
    /// # Errors
    /// As the device says. A failed write is never tried again.
    fn write_at(&self, bytes: &[u8], offset: u32) -> io::Result<usize>;

    /// Reads into `bytes` from `offset`; how many octets. 0 only at the end.
    ///
    /// # Errors
    /// As the device says.
    fn read_at(&self, bytes: &mut [u8], offset: u32) -> io::Result<usize>;

    /// Makes all that was written survive the machine.
    ///
    /// # Errors
    /// As the device says. What was written may be lost then, even if a later call succeeds.
    fn sync(&self) -> io::Result<()>;
}

/// The folder of one shard's segments. Files are named by number; the numbers mean nothing.
pub trait Disk: Debug + Send + 'static {
    /// Its files.
    type File: SegmentFile;

    /// Makes a file with room for `bytes` octets, reading as zeros, and makes its name survive the machine.
    ///
    /// # Errors
    /// As the device says; a full disk is one of the reasons, and then nothing is left of the file.
    fn create(&mut self, number: u32, bytes: u32) -> io::Result<Arc<Self::File>>;

    /// Removes a file.
    ///
    /// # Errors
    /// As the device says.
    fn delete(&mut self, number: u32) -> io::Result<()>;

    /// Every file that is there, in any order.
    ///
    /// # Errors
    /// As the device says.
    fn files(&mut self) -> io::Result<Vec<(u32, Arc<Self::File>)>>;

    /// Runs `ahead`, which waits for the device, beside `here`; returns when both have ended.
    fn side_by_side(ahead: impl FnOnce() + Send, here: impl FnOnce());

    /// Makes an empty file that is to hold an index. Nobody finds it yet. This and the next three are of a disk that
    /// keeps no index, unless it says otherwise.
    ///
    /// # Errors
    /// As the device says.
    fn create_index(&mut self) -> io::Result<Arc<Self::File>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Has the file made last, which is complete, be the index from now on. Neither it nor its name need survive the
    /// machine: an index that is not whole is not used.
    ///
    /// # Errors
    /// As the device says.
    fn publish_index(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The index, if there is one.
    ///
    /// # Errors
    /// As the device says.
    fn index(&mut self) -> io::Result<Option<Arc<Self::File>>> {
        Ok(None)
    }

    /// Removes the index and what may be left of one that is not complete; once this returns, no failure brings it back.
    ///
    /// # Errors
    /// As the device says.
    fn remove_index(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes all of `bytes`, however few octets each write takes.
///
/// # Errors
/// The file's; also when it takes nothing more.
pub fn write_all<F: SegmentFile>(file: &F, mut bytes: &[u8], mut offset: u32) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = bytes.get(written..).unwrap_or_default();
                offset += written as u32;
            }
            // The call was interrupted before it wrote anything.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Fills `bytes` from `offset`, as far as the file goes; how many octets.
///
/// # Errors
/// The file's.
pub fn read_full<F: SegmentFile>(file: &F, bytes: &mut [u8], offset: u32) -> io::Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(&mut bytes[done..], offset + done as u32) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
