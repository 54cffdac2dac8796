//! Any octets as a script of what is found in a store's segments: entries that make sense or don't, in frames that are
//! sound, twisted or torn, in one file or several. Recovery neither panics nor takes memory that the octets do not justify,
//! and what it hands out can be handed out again by the next one.
#![no_main]

mod memory_disk;

use memory_disk::MemoryDisk;
use smscd::store::Ending;
use smscd::store::journal::entry::{
    RecordBytes, SlotName, push_end, push_note, push_put, push_remove, push_update,
};
use smscd::store::journal::frame::{FRAME_ALIGN, HEADER_BYTES, Header, seal};
use smscd::store::journal::{Access, JournalSettings, open};

const STORE_ID: u64 = 1;
/// Less than the slots that a script can name.
const MESSAGES_MAX: u32 = 24;
/// As much as a file gets, in octets.
const FILE_BYTES_MAX: usize = 256 * 1024;

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
    let mut disk = MemoryDisk::holding(write(octets), None);
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
