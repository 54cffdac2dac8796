//! Any octets as the segments of a store: recovery neither panics nor takes memory that the octets do not justify, and
//! what it hands out can be handed out again by the next one. The first octet says into how many files they are cut;
//! checksums are made right, or nothing would get past them.
#![no_main]

use std::io;
use std::sync::{Arc, Mutex};

use smscd::store::journal::frame::{FRAME_ALIGN, HEADER_BYTES, Header, parse, peek, seal};
use smscd::store::journal::{Access, Disk, JournalSettings, SegmentFile, open};

const STORE_ID: u64 = 1;

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

    // What a saved index may hold is held against the segments in tests/store_simulation.
    fn create_index(&mut self) -> io::Result<Arc<MemoryFile>> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn publish_index(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn index(&mut self) -> io::Result<Option<Arc<MemoryFile>>> {
        Ok(None)
    }

    fn remove_index(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Gives what looks like frames their checksums.
fn mend(file: &mut Vec<u8>) {
    file.resize(file.len().next_multiple_of(FRAME_ALIGN), 0);
    let mut at = 0;
    while at < file.len() {
        let header = peek(&file[at..], STORE_ID, at as u32);
        let end = header.map_or(0, |header: Header| at + HEADER_BYTES + header.payload_len as usize);
        if let Some(header) = header
            && end <= file.len()
            && parse(&file[at..], STORE_ID, at as u32).is_none()
        {
            let mut frame = file[at..end].to_vec();
            seal(&mut frame, &header);
            let len = frame.len().min(file.len() - at);
            file[at..at + len].copy_from_slice(&frame[..len]);
        }
        at += FRAME_ALIGN;
    }
}

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let Some((&files, octets)) = octets.split_first() else { return };
    let part = (octets.len() / (usize::from(files % 4) + 1)).max(FRAME_ALIGN);
    let files = octets.chunks(part).zip(1..).map(|(octets, number)| {
        let mut file = octets.to_vec();
        mend(&mut file);
        (number, Arc::new(MemoryFile(Mutex::new(file))))
    });
    let mut disk = MemoryDisk(files.collect());
    let settings = JournalSettings { messages_max: 65_536, segment_bytes: 64 * 1024, ..JournalSettings::new(STORE_ID) };
    let Ok(first) = open(&mut disk, &settings, Access::Write) else { return };
    let pending = first.report().messages;
    drop(first);
    let second = open(&mut disk, &settings, Access::Write).expect("what could be opened can be opened again");
    assert_eq!(second.report().messages, pending);
    second.visit(&settings.accounts, &mut |_, _, _| {});
});
