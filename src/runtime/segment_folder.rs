//! The real disk under the journal: one folder for each shard, one file for each segment.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use rustix::fs::{FallocateFlags, SeekFrom, fallocate, fdatasync, seek};
use rustix::io::Errno;

use crate::store::journal::{Disk, SegmentFile};

const PREFIX: &str = "segment-";
const INDEX: &str = "index";
/// One that is not complete.
const NEW_INDEX: &str = "index.new";
/// Octets written at once where a file system can't reserve room otherwise.
const ZEROS: usize = 1 << 20;

/// One segment's file.
#[derive(Debug)]
pub struct SegmentOnDisk {
    file: File,
    len: u32,
}

impl SegmentFile for SegmentOnDisk {
    fn len(&self) -> u32 {
        self.len
    }

    fn written_bytes(&self) -> u32 {
        let mut end = 0;
        // The position in the file is nobody's: all reading and writing says where.
        loop {
            let data = match seek(&self.file, SeekFrom::Data(end)) {
                Ok(data) => data,
                Err(Errno::NXIO) => return u32::try_from(end).unwrap_or(self.len),
                Err(_) => return self.len,
            };
            match seek(&self.file, SeekFrom::Hole(data)) {
                Ok(hole) if hole > data => end = hole,
                _ => return self.len,
            }
        }
    }

    fn write_at(&self, bytes: &[u8], offset: u32) -> io::Result<usize> {
        self.file.write_at(bytes, u64::from(offset))
    }

    fn read_at(&self, bytes: &mut [u8], offset: u32) -> io::Result<usize> {
        self.file.read_at(bytes, u64::from(offset))
    }

    fn sync(&self) -> io::Result<()> {
        Ok(fdatasync(&self.file)?)
    }
}

/// The folder of one shard's segments.
#[derive(Debug)]
pub struct SegmentFolder {
    path: PathBuf,
    is_read_only: bool,
}

impl SegmentFolder {
    /// The folder at `path`, made if need be.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        if let Some(parent) = path.parent() {
            sync_folder(parent)?;
        }
        Ok(Self { path: path.to_owned(), is_read_only: false })
    }

    /// The folder at `path`, only to be read.
    pub fn read_only(path: &Path) -> Self {
        Self { path: path.to_owned(), is_read_only: true }
    }

    fn file(&self, number: u32) -> PathBuf {
        self.path.join(format!("{PREFIX}{number:08}"))
    }
}

impl Disk for SegmentFolder {
    type File = SegmentOnDisk;

    fn create(&mut self, number: u32, bytes: u32) -> io::Result<Arc<SegmentOnDisk>> {
        let path = self.file(number);
        let made = (|| {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
            reserve(&file, bytes)?;
            file.sync_all()?;
            Ok(file)
        })();
        match made {
            Ok(file) => {
                sync_folder(&self.path)?;
                Ok(Arc::new(SegmentOnDisk { file, len: bytes }))
            }
            Err(error) => {
                // What is left of it takes the room that there was none of.
                drop(fs::remove_file(&path));
                Err(error)
            }
        }
    }

    fn delete(&mut self, number: u32) -> io::Result<()> {
        fs::remove_file(self.file(number))
    }

    fn files(&mut self) -> io::Result<Vec<(u32, Arc<SegmentOnDisk>)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let number = name
                .to_str()
                .and_then(|name| name.strip_prefix(PREFIX))
                .and_then(|digits| digits.parse().ok());
            let Some(number) = number else { continue };
            let file = OpenOptions::new().read(true).write(!self.is_read_only).open(entry.path())?;
            let len = u32::try_from(file.metadata()?.len()).unwrap_or(u32::MAX);
            files.push((number, Arc::new(SegmentOnDisk { file, len })));
        }
        Ok(files)
    }

    fn side_by_side(ahead: impl FnOnce() + Send, here: impl FnOnce()) {
        thread::scope(|scope| {
            scope.spawn(ahead);
            here();
        });
    }

    fn create_index(&mut self) -> io::Result<Arc<SegmentOnDisk>> {
        let path = self.path.join(NEW_INDEX);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Arc::new(SegmentOnDisk { file, len: 0 }))
    }

    fn publish_index(&mut self) -> io::Result<()> {
        fs::rename(self.path.join(NEW_INDEX), self.path.join(INDEX))
    }

    fn index(&mut self) -> io::Result<Option<Arc<SegmentOnDisk>>> {
        let file = match File::open(self.path.join(INDEX)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let len = u32::try_from(file.metadata()?.len()).unwrap_or(u32::MAX);
        Ok(Some(Arc::new(SegmentOnDisk { file, len })))
    }

    fn remove_index(&mut self) -> io::Result<()> {
        let removed = [INDEX, NEW_INDEX].map(|name| remove_if_there(&self.path.join(name)));
        for removed in removed {
            if removed? {
                sync_folder(&self.path)?;
            }
        }
        Ok(())
    }
}

fn remove_if_there(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes the names in a folder survive the machine.
///
/// # Errors
/// The folder's.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(if path.as_os_str().is_empty() { Path::new(".") } else { path })?.sync_all()
}

/// Gives a new file its room on disk, reading as zeros, so that a full disk shows here and not in the middle of a write.
fn reserve(file: &File, bytes: u32) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, u64::from(bytes)) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            let zeros = vec![0; ZEROS];
            let mut at = 0;
            while at < u64::from(bytes) {
                let part = zeros.len().min((u64::from(bytes) - at) as usize);
                file.write_all_at(&zeros[..part], at)?;
                at += part as u64;
            }
            Ok(())
        }
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_keep_number_length_and_content() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = SegmentFolder::create(&dir.path().join("shard-0")).unwrap();
        let file = folder.create(7, 8192).unwrap();
        file.write_at(b"abc", 4096).unwrap();
        file.sync().unwrap();
        fs::write(dir.path().join("shard-0/notes.txt"), "not ours").unwrap();
        let mut again = SegmentFolder::read_only(&dir.path().join("shard-0"));
        let files = again.files().unwrap();
        assert_eq!((files.len(), files[0].0, files[0].1.len()), (1, 7, 8192));
        let mut read = [9; 4];
        assert_eq!(files[0].1.read_at(&mut read, 4096).unwrap(), 4);
        assert_eq!(&read, b"abc\0");
        assert!(files[0].1.write_at(b"x", 0).is_err());
        folder.delete(7).unwrap();
        assert!(again.files().unwrap().is_empty());
    }

    #[test]
    fn what_was_never_written_need_not_be_read() {
        const LEN: u32 = 1 << 20;
        let dir = tempfile::tempdir().unwrap();
        let mut folder = SegmentFolder::create(&dir.path().join("shard-0")).unwrap();
        let file = folder.create(1, LEN).unwrap();
        // Where the file system can't say, it is all of it.
        assert!([0, LEN].contains(&file.written_bytes()));
        // With a gap before it, as damage may leave one, and whether synced or not.
        file.write_at(b"abc", 65_536).unwrap();
        for _ in 0..2 {
            let written = file.written_bytes();
            assert!((65_539..=LEN).contains(&written), "{written}");
            let mut rest = vec![9; (LEN - written) as usize];
            assert_eq!(file.read_at(&mut rest, written).unwrap(), rest.len());
            assert!(rest.iter().all(|&octet| octet == 0));
            file.sync().unwrap();
        }
        file.write_at(b"x", LEN - 1).unwrap();
        assert_eq!(file.written_bytes(), LEN);
    }
}
