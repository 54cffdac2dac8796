//! A disk in memory that does what real ones do at the worst moment: writes that are short, fail or stop half-way,
//! sectors that reach the medium in any order or not at all, files that can't be made, deletions that are undone.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use smscd::store::journal::{Disk, SegmentFile};

const SECTOR: usize = 512;
/// Numbers of the index and of one that is not complete; no segment has them.
const INDEX: u32 = u32::MAX;
const NEW_INDEX: u32 = u32::MAX - 1;

/// What goes wrong, each in parts per thousand of the calls.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) short_write: u64,
    pub(crate) failed_write: u64,
    pub(crate) failed_sync: u64,
    pub(crate) full: u64,
}

#[derive(Debug, Default)]
struct FileState {
    /// What reads see.
    seen: Vec<u8>,
    /// What a power cut leaves for certain.
    synced: Vec<u8>,
    /// What was written since, in order.
    unsynced: Vec<(usize, Vec<u8>)>,
    is_deleted: bool,
}

#[derive(Debug)]
struct State {
    files: BTreeMap<u32, FileState>,
    faults: Faults,
    /// Writes and syncs so far.
    calls: u64,
    /// Of these, the last that gets through.
    last_call: u64,
    rng: Xoshiro256PlusPlus,
}

impl State {
    /// Counts a call, unless the process died before it.
    fn begin_call(&mut self) -> io::Result<()> {
        if self.calls >= self.last_call {
            return Err(io::Error::other("the process is gone"));
        }
        self.calls += 1;
        Ok(())
    }

    fn happens(&mut self, permille: u64) -> bool {
        permille > 0 && self.rng.next_u64() % 1_000 < permille
    }
}

/// The disk; clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

#[derive(Debug)]
pub(crate) struct SimFile {
    disk: SimDisk,
    number: u32,
    len: u32,
}

impl SimDisk {
    pub(crate) fn new(seed: u64) -> Self {
        let rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        Self(Arc::new(Mutex::new(State {
            files: BTreeMap::new(),
            faults: Faults::default(),
            calls: 0,
            last_call: u64::MAX,
            rng,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("one thread")
    }

    /// Writes and syncs so far, failed ones too.
    pub(crate) fn calls(&self) -> u64 {
        self.state().calls
    }

    /// The process dies after so many more of them; `None`: it lives.
    pub(crate) fn die_after(&self, calls: Option<u64>) {
        let mut state = self.state();
        state.last_call = calls.map_or(u64::MAX, |calls| state.calls + calls);
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// The process dies: what was written stays.
    pub(crate) fn kill(&self) {
        for (_, file) in self.state().files.range_mut(..NEW_INDEX) {
            assert!(file.seen.len() == file.synced.len());
        }
    }

    /// The power fails: each sector that was not synced is on the medium or not, by itself.
    pub(crate) fn cut_power(&self) {
        let mut state = self.state();
        let State { files, rng, .. } = &mut *state;
        // Nothing, everything, or anything between got through.
        let odds = [0, 1_000, 500, 900, 100][(rng.next_u64() % 5) as usize];
        for file in files.values_mut() {
            for (offset, bytes) in std::mem::take(&mut file.unsynced) {
                for (sector, part) in bytes.chunks(SECTOR).enumerate() {
                    if rng.next_u64() % 1_000 < odds {
                        let at = offset + sector * SECTOR;
                        let end = file.synced.len().max(at + part.len());
                        file.synced.resize(end, 0);
                        file.synced[at..at + part.len()].copy_from_slice(part);
                    }
                }
            }
            file.seen.clone_from(&file.synced);
            // The name of a deleted file may not have gone yet.
            if file.is_deleted && rng.next_u64().is_multiple_of(2) {
                file.is_deleted = false;
            }
        }
        files.retain(|_, file| !file.is_deleted);
    }

    pub(crate) fn numbers(&self) -> Vec<u32> {
        let state = self.state();
        let files = state.files.range(..NEW_INDEX).filter(|(_, file)| !file.is_deleted);
        files.map(|(number, _)| *number).collect()
    }

    /// What the saved index holds, if there is one.
    pub(crate) fn index_content(&self) -> Option<Vec<u8>> {
        self.state().files.get(&INDEX).map(|file| file.seen.clone())
    }

    /// Puts an index there.
    pub(crate) fn set_index(&self, content: &[u8]) {
        let file = FileState { seen: content.to_vec(), synced: content.to_vec(), ..FileState::default() };
        self.state().files.insert(INDEX, file);
    }

    pub(crate) fn content(&self, number: u32) -> Vec<u8> {
        self.state().files[&number].seen.clone()
    }

    /// Puts a segment's file there.
    pub(crate) fn set_segment(&self, number: u32, content: &[u8]) {
        let file = FileState { seen: content.to_vec(), synced: content.to_vec(), ..FileState::default() };
        self.state().files.insert(number, file);
    }

    /// Changes what is on the medium.
    pub(crate) fn tamper(&self, number: u32, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let file = state.files.get_mut(&number).expect("a file of that number");
        change(&mut file.seen);
        file.synced.clone_from(&file.seen);
        file.unsynced.clear();
    }

    /// An independent copy, without faults.
    pub(crate) fn copy(&self) -> Self {
        self.copy_seeded(1)
    }

    /// An independent copy, without faults, whose power cuts go by this seed.
    pub(crate) fn copy_seeded(&self, seed: u64) -> Self {
        let copy = Self::new(seed);
        for (number, file) in &self.state().files {
            let copied =
                FileState { seen: file.seen.clone(), synced: file.seen.clone(), ..FileState::default() };
            if !file.is_deleted {
                copy.state().files.insert(*number, copied);
            }
        }
        copy
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn create(&mut self, number: u32, bytes: u32) -> io::Result<Arc<SimFile>> {
        let mut state = self.state();
        let full = state.faults.full;
        if state.happens(full) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let zeros = vec![0; bytes as usize];
        let file = FileState { seen: zeros.clone(), synced: zeros, ..FileState::default() };
        state.files.insert(number, file);
        Ok(Arc::new(SimFile { disk: self.clone(), number, len: bytes }))
    }

    fn delete(&mut self, number: u32) -> io::Result<()> {
        self.state().files.get_mut(&number).expect("a file of that number").is_deleted = true;
        Ok(())
    }

    fn files(&mut self) -> io::Result<Vec<(u32, Arc<SimFile>)>> {
        let state = self.state();
        let files = state.files.range(..NEW_INDEX).filter(|(_, file)| !file.is_deleted);
        Ok(files
            .map(|(&number, file)| {
                (number, Arc::new(SimFile { disk: self.clone(), number, len: file.seen.len() as u32 }))
            })
            .collect())
    }

    fn side_by_side(ahead: impl FnOnce() + Send, here: impl FnOnce()) {
        std::thread::scope(|scope| {
            scope.spawn(ahead);
            here();
        });
    }

    fn create_index(&mut self) -> io::Result<Arc<SimFile>> {
        let mut state = self.state();
        let full = state.faults.full;
        if state.happens(full) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.files.insert(NEW_INDEX, FileState::default());
        Ok(Arc::new(SimFile { disk: self.clone(), number: NEW_INDEX, len: 0 }))
    }

    fn publish_index(&mut self) -> io::Result<()> {
        let mut state = self.state();
        let file = state.files.remove(&NEW_INDEX).expect("it was made");
        state.files.insert(INDEX, file);
        Ok(())
    }

    fn index(&mut self) -> io::Result<Option<Arc<SimFile>>> {
        let state = self.state();
        let len = state.files.get(&INDEX).map(|file| file.seen.len() as u32);
        Ok(len.map(|len| Arc::new(SimFile { disk: self.clone(), number: INDEX, len })))
    }

    fn remove_index(&mut self) -> io::Result<()> {
        self.state().files.retain(|number, _| *number < NEW_INDEX);
        Ok(())
    }
}

impl SegmentFile for SimFile {
    fn len(&self) -> u32 {
        self.len
    }

    fn write_at(&self, bytes: &[u8], offset: u32) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.begin_call()?;
        let Faults { short_write, failed_write, .. } = state.faults;
        let (is_short, fails) = (state.happens(short_write), state.happens(failed_write));
        let len = if is_short || fails { (state.rng.next_u64() as usize) % bytes.len() } else { bytes.len() };
        let (start, part) = (offset as usize, &bytes[..len]);
        let file = state.files.get_mut(&self.number).expect("written after it was gone");
        if self.number >= NEW_INDEX {
            let len = file.seen.len().max(start + len);
            file.seen.resize(len, 0);
        }
        file.seen[start..start + len].copy_from_slice(part);
        file.unsynced.push((start, part.to_vec()));
        if fails {
            return Err(io::ErrorKind::StorageFull.into());
        }
        // Taking nothing is how a device says that it will take nothing more.
        if len == 0 { Err(io::ErrorKind::Interrupted.into()) } else { Ok(len) }
    }

    fn read_at(&self, bytes: &mut [u8], offset: u32) -> io::Result<usize> {
        let state = self.disk.state();
        let Some(file) = state.files.get(&self.number) else { return Ok(0) };
        let rest = file.seen.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(bytes.len());
        bytes[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.begin_call()?;
        let failed_sync = state.faults.failed_sync;
        if state.happens(failed_sync) {
            return Err(io::Error::other("the device is gone"));
        }
        if let Some(file) = state.files.get_mut(&self.number) {
            file.unsynced.clear();
            let FileState { seen, synced, .. } = file;
            synced.clone_from(seen);
        }
        Ok(())
    }
}
