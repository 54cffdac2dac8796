//! Any octets as a script of what is found in a store's segments: entries that make sense or don't, in frames that are
//! sound, twisted or torn, in one file or several. Recovery neither panics nor takes memory that the octets do not justify,
//! and what it hands out can be handed out again by the next one.
#![no_main]

use std::io;
use std::sync::{Arc, Mutex};

use smscd::store::Ending;
use smscd::store::journal::entry::{
    RecordBytes, SlotName, push_end, push_note, push_put, push_remove, push_update,
};
use smscd::store::journal::frame::{FRAME_ALIGN, HEADER_BYTES, Header, seal};
use smscd::store::journal::{Access, Disk, JournalSettings, SegmentFile, open};

const STORE_ID: u64 = 1;
/// Less than the slots that a script can name.
const MESSAGES_MAX: u32 = 24;
/// As much as a file gets, in octets.
const FILE_BYTES_MAX: usize = 256 * 1024;

#[derive(Debug)]
struct MemoryFile(Mutex<Vec<u8>>);

impl SegmentFile for MemoryFile {
    fn len(&self) -> u32 {
        self.0.lock().map_or(0, |bytes| bytes.len() as u32)
    }

    fn write_at(&self, bytes: &[u8], offset: u32) -> io::Result<usize> {
        let mut file = self.0.lock().map_err(|_| io::ErrorKind::Other)?;
        let start = offset as usize;
        file.get_mut(start..start + bytes.len()).ok_or(io::ErrorKind::StorageFull)?.copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u32) -> io::Result<usize> {
        let file = self.0.lock().map_err(|_| io::ErrorKind::Other)?;
        let rest = file.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(bytes.len());
        bytes[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct MemoryDisk(Vec<(u32, Arc<MemoryFile>)>);

impl Disk for MemoryDisk {
    type File = MemoryFile;

    fn create(&mut self, number: u32, bytes: u32) -> io::Result<Arc<MemoryFile>> {
        let file = Arc::new(MemoryFile(Mutex::new(vec![0; bytes as usize])));
        self.0.push((number, Arc::clone(&file)));
        Ok(file)
    }

    fn delete(&mut self, number: u32) -> io::Result<()> {
        self.0.retain(|(have, _)| *have != number);
        Ok(())
    }

    fn files(&mut self) -> io::Result<Vec<(u32, Arc<MemoryFile>)>> {
        Ok(self.0.clone())
    }

    fn side_by_side(ahead: impl FnOnce() + Send, here: impl FnOnce()) {
        std::thread::scope(|scope| {
            scope.spawn(ahead);
            here();
        });
    }
}

/// Segments being written.
struct Script {
    files: Vec<Vec<u8>>,
    /// Header and payload of the frame that is not sealed yet.
    frame: Vec<u8>,
    entries: u32,
    next_lsn: u64,
    /// Only grows, as every run has it.
    oldest: u32,
}

impl Script {
    fn entry(&mut self, push: impl FnOnce(&mut Vec<u8>)) {
        push(&mut self.frame);
        self.entries += 1;
    }

    /// Ends the frame. The lower bits of `twist` say what is wrong with it, the others by how much.
    fn seal(&mut self, twist: u8, is_clean_stop: bool) {
        let segment = self.files.len() as u32;
        let Some(file) = self.files.last_mut() else { return };
        let amount = twist >> 3;
        let mut header = Header {
            store_id: STORE_ID,
            segment,
            offset: file.len() as u32,
            payload_len: (self.frame.len() - HEADER_BYTES) as u32,
            entries: self.entries,
            first_lsn: self.next_lsn,
            synced_lsn: self.next_lsn - 1,
            oldest: self.oldest,
            is_clean_stop,
            is_after_torn_end: false,
        };
        self.next_lsn = header.next_lsn();
        match twist % 8 {
            0 => {
                self.oldest = segment.min(self.oldest + u32::from(amount));
                header.oldest = self.oldest;
            }
            1 => header.segment += u32::from(amount),
            2 => header.offset += u32::from(amount) * FRAME_ALIGN as u32,
            3 => header.first_lsn += u64::from(amount),
            4 => header.first_lsn = header.first_lsn.saturating_sub(amount.into()),
            5 => header.synced_lsn = header.synced_lsn.saturating_sub(amount.into()),
            6 => header.entries += u32::from(amount),
            _ => {}
        }
        seal(&mut self.frame, &header);
        if twist % 8 == 7 {
            // Torn: the rest never got there.
            let torn = self.frame.len() * usize::from(amount) / 32;
            self.frame[torn..].fill(0);
        }
        if file.len() + self.frame.len() <= FILE_BYTES_MAX {
            file.append(&mut self.frame);
        }
        self.begin();
    }

    fn begin(&mut self) {
        self.frame.clear();
        self.frame.resize(HEADER_BYTES, 0);
        self.entries = 0;
    }
}

/// The files that a script describes.
fn write(octets: &[u8]) -> Vec<Vec<u8>> {
    let mut input = octets.iter().copied();
    let mut script =
        Script { files: vec![Vec::new()], frame: Vec::new(), entries: 0, next_lsn: 1, oldest: 1 };
    script.begin();
    while let Some(op) = input.next() {
        let mut octet = || input.next().unwrap_or_default();
        // A few slots and generations, so that entries meet.
        let mut name = || {
            let octet = octet();
            SlotName { slot: u32::from(octet % 32), generation: u16::from(octet >> 5) }
        };
        match op % 16 {
            0..=4 => {
                let name = name();
                let record: RecordBytes = [octet(); _];
                let body: Vec<u8> = (0..octet()).map(|_| octet()).collect();
                script.entry(|out| push_put(out, name, &record, &body));
            }
            5 | 6 => {
                let name = name();
                let record: RecordBytes = [octet(); _];
                script.entry(|out| push_update(out, name, &record));
            }
            7 | 8 => {
                let name = name();
                script.entry(|out| push_remove(out, name));
            }
            9 => {
                let name = name();
                let ending = Ending { state: octet(), error: 0, finished_s: u32::from(octet()) };
                script.entry(|out| push_end(out, name, &ending));
            }
            10 => script.entry(push_note),
            11 => {
                let raw: Vec<u8> = (0..octet()).map(|_| octet()).collect();
                script.entry(|out| out.extend(raw));
            }
            12 | 13 => script.seal(octet(), false),
            14 => {
                script.seal(octet(), false);
                script.files.push(Vec::new());
            }
            _ => script.seal(octet(), true),
        }
    }
    script.seal(0, false);
    script.files
}

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let files = write(octets);
    let files =
        files.into_iter().zip(1..).map(|(file, number)| (number, Arc::new(MemoryFile(Mutex::new(file)))));
    let mut disk = MemoryDisk(files.collect());
    let settings = JournalSettings {
        messages_max: MESSAGES_MAX,
        segment_bytes: 64 * 1024,
        endings_max: 8,
        ..JournalSettings::new(STORE_ID)
    };
    let Ok(first) = open(&mut disk, &settings, Access::Write) else { return };
    let pending = first.report().messages;
    drop(first);
    let second = open(&mut disk, &settings, Access::Write).expect("what could be opened can be opened again");
    assert_eq!(second.report().messages, pending);
    second.visit(&settings.accounts, &mut |_, _, _| {});
});
