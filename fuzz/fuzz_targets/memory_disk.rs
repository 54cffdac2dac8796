//! A disk in memory on which nothing fails.

use std::io;
use std::sync::{Arc, Mutex};

use smscd::store::journal::{Disk, SegmentFile};

/// One of its files.
#[derive(Debug)]
pub struct MemoryFile {
    bytes: Mutex<Vec<u8>>,
    /// Whether it is an index, and grows as it is written.
    grows: bool,
}

impl MemoryFile {
    fn new(bytes: Vec<u8>, grows: bool) -> Arc<Self> {
        Arc::new(Self { bytes: Mutex::new(bytes), grows })
    }

    fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().expect("nobody panics").clone()
    }
}

impl SegmentFile for MemoryFile {
    fn len(&self) -> u32 {
        self.bytes.lock().map_or(0, |bytes| bytes.len() as u32)
    }

    fn write_at(&self, bytes: &[u8], offset: u32) -> io::Result<usize> {
        let mut file = self.bytes.lock().map_err(|_| io::ErrorKind::Other)?;
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        if self.grows && file.len() < end {
            file.resize(end, 0);
        }
        file.get_mut(start..end).ok_or(io::ErrorKind::StorageFull)?.copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u32) -> io::Result<usize> {
        let file = self.bytes.lock().map_err(|_| io::ErrorKind::Other)?;
        let rest = file.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(bytes.len());
        bytes[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug, Default)]
struct State {
    segments: Vec<(u32, Arc<MemoryFile>)>,
    new_index: Option<Arc<MemoryFile>>,
    index: Option<Arc<MemoryFile>>,
}

/// The disk; clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk(Arc<Mutex<State>>);

impl MemoryDisk {
    /// With these segments, numbered from 1, and this index.
    pub fn holding(segments: impl IntoIterator<Item = Vec<u8>>, index: Option<Vec<u8>>) -> Self {
        let segments = segments.into_iter().map(|bytes| MemoryFile::new(bytes, false));
        let segments = (1..).zip(segments).collect();
        let index = index.map(|bytes| MemoryFile::new(bytes, true));
        Self(Arc::new(Mutex::new(State { segments, index, ..State::default() })))
    }

    /// The segments by number, and the index.
    #[allow(dead_code, reason = "one target looks")]
    pub fn content(&self) -> (Vec<Vec<u8>>, Option<Vec<u8>>) {
        let mut state = self.0.lock().expect("nobody panics");
        state.segments.sort_by_key(|(number, _)| *number);
        let segments = state.segments.iter().map(|(_, file)| file.bytes()).collect();
        (segments, state.index.as_ref().map(|file| file.bytes()))
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> io::Result<T> {
        Ok(change(&mut *self.0.lock().map_err(|_| io::ErrorKind::Other)?))
    }
}

impl Disk for MemoryDisk {
    type File = MemoryFile;

    fn create(&mut self, number: u32, bytes: u32) -> io::Result<Arc<MemoryFile>> {
        let file = MemoryFile::new(vec![0; bytes as usize], false);
        self.with(|state| state.segments.push((number, Arc::clone(&file))))?;
        Ok(file)
    }

    fn delete(&mut self, number: u32) -> io::Result<()> {
        self.with(|state| state.segments.retain(|(have, _)| *have != number))
    }

    fn files(&mut self) -> io::Result<Vec<(u32, Arc<MemoryFile>)>> {
        self.with(|state| state.segments.clone())
    }

    fn side_by_side(ahead: impl FnOnce() + Send, here: impl FnOnce()) {
        std::thread::scope(|scope| {
            scope.spawn(ahead);
            here();
        });
    }

    fn create_index(&mut self) -> io::Result<Arc<MemoryFile>> {
        let file = MemoryFile::new(Vec::new(), true);
        self.with(|state| state.new_index = Some(Arc::clone(&file)))?;
        Ok(file)
    }

    fn publish_index(&mut self) -> io::Result<()> {
        self.with(|state| state.index = state.new_index.take())
    }

    fn index(&mut self) -> io::Result<Option<Arc<MemoryFile>>> {
        self.with(|state| state.index.clone())
    }

    fn remove_index(&mut self) -> io::Result<()> {
        self.with(|state| state.index = None)
    }
}
