//! A frame: one group commit on disk. A header of 64 octets, the entries, and zeros up to the next 4 KiB, so that a
//! frame never shares a page with another and writing it never reads one.
//!
//! The checksum covers the header and the payload. The header says which segment and offset the frame was written
//! for, so that what an earlier life of a recycled file left behind is never taken for part of the log; and up to
//! which entry everything was synced when it was written, which is what tells a torn tail from damage.

/// Frames begin at multiples of this.
pub const FRAME_ALIGN: usize = 4096;
/// Octets of a frame's header.
pub const HEADER_BYTES: usize = 64;
/// Octets that a batch may have before another begins.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;
/// Largest payload accepted when reading: a full batch and one entry of the largest body.
pub const PAYLOAD_BYTES_MAX: usize = BATCH_BYTES_MAX + 2 * super::entry::BODY_BYTES_MAX;

/// "SMJ" and the version of the frame's layout.
const MAGIC: u32 = u32::from_le_bytes(*b"SMJ1");
/// The checksum begins behind itself.
const CHECKED_FROM: usize = 8;
const FLAG_CLEAN_STOP: u32 = 1;
const FLAG_AFTER_TORN_END: u32 = 2;

/// What a frame's header says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Of the store and shard, random: frames of another one are not ours.
    pub store_id: u64,
    /// Segment that the frame belongs to.
    pub segment: u32,
    /// Octets from the segment's start to the frame's.
    pub offset: u32,
    /// Octets of entries.
    pub payload_len: u32,
    /// Number of entries.
    pub entries: u32,
    /// Log sequence number of the first entry.
    pub first_lsn: u64,
    /// Everything up to this entry was synced before the frame was written.
    pub synced_lsn: u64,
    /// Segments before this one hold nothing that is needed.
    pub oldest: u32,
    /// The last frame of a run that was stopped in order.
    pub is_clean_stop: bool,
    /// The first frame behind a torn end, made by recovery: the log is whole up to `synced_lsn`, and the entries between
    /// that and `first_lsn` never counted.
    pub is_after_torn_end: bool,
}

impl Header {
    /// The log sequence number of the first entry after this frame.
    pub const fn next_lsn(&self) -> u64 {
        self.first_lsn + self.entries as u64
    }
}

/// Octets that a frame with so many octets of header and payload takes on disk.
#[inline]
pub const fn padded(len: usize) -> usize {
    len.next_multiple_of(FRAME_ALIGN)
}

/// Completes the frame in `bytes`, whose first [`HEADER_BYTES`] octets are reserved for the header and whose payload
/// follows: header, checksum, padding.
pub fn seal(bytes: &mut Vec<u8>, header: &Header) {
    debug_assert_eq!(bytes.len(), HEADER_BYTES + header.payload_len as usize);
    let mut head = [0; HEADER_BYTES];
    head[..4].copy_from_slice(&MAGIC.to_le_bytes());
    head[8..16].copy_from_slice(&header.store_id.to_le_bytes());
    head[16..20].copy_from_slice(&header.segment.to_le_bytes());
    head[20..24].copy_from_slice(&header.offset.to_le_bytes());
    head[24..28].copy_from_slice(&header.payload_len.to_le_bytes());
    head[28..32].copy_from_slice(&header.entries.to_le_bytes());
    head[32..40].copy_from_slice(&header.first_lsn.to_le_bytes());
    head[40..48].copy_from_slice(&header.synced_lsn.to_le_bytes());
    head[48..52].copy_from_slice(&header.oldest.to_le_bytes());
    let clean_stop = if header.is_clean_stop { FLAG_CLEAN_STOP } else { 0 };
    let flags = clean_stop | if header.is_after_torn_end { FLAG_AFTER_TORN_END } else { 0 };
    head[52..56].copy_from_slice(&flags.to_le_bytes());
    bytes[..HEADER_BYTES].copy_from_slice(&head);
    let checksum = crc32c::crc32c(&bytes[CHECKED_FROM..]);
    bytes[4..CHECKED_FROM].copy_from_slice(&checksum.to_le_bytes());
    bytes.resize(padded(bytes.len()), 0);
}

/// The header and payload of the frame that begins `bytes`, when a whole frame of this store lies there, written for
/// `offset`.
pub fn parse(bytes: &[u8], store_id: u64, offset: u32) -> Option<(Header, &[u8])> {
    let header = peek(bytes, store_id, offset)?;
    let frame = bytes.get(..HEADER_BYTES + header.payload_len as usize)?;
    let checksum = u32::from_le_bytes(*frame.get(4..)?.first_chunk()?);
    (crc32c::crc32c(frame.get(CHECKED_FROM..)?) == checksum).then_some((header, frame.get(HEADER_BYTES..)?))
}

/// The header that begins `bytes`, its checksum not yet looked at: enough to know how much to read.
pub fn peek(bytes: &[u8], store_id: u64, offset: u32) -> Option<Header> {
    let head = bytes.first_chunk::<HEADER_BYTES>()?;
    let u32_at = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
    let header = Header {
        store_id: u64_at(8),
        segment: u32_at(16),
        offset: u32_at(20),
        payload_len: u32_at(24),
        entries: u32_at(28),
        first_lsn: u64_at(32),
        synced_lsn: u64_at(40),
        oldest: u32_at(48),
        is_clean_stop: u32_at(52) & FLAG_CLEAN_STOP != 0,
        is_after_torn_end: u32_at(52) & FLAG_AFTER_TORN_END != 0,
    };
    let is_ours = u32_at(0) == MAGIC && header.store_id == store_id && header.offset == offset;
    let is_sound = header.payload_len as usize <= PAYLOAD_BYTES_MAX
        && (1..=header.payload_len).contains(&header.entries)
        && header.first_lsn < 1 << 62
        && header.synced_lsn < header.first_lsn;
    (is_ours && is_sound).then_some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> (Header, Vec<u8>) {
        let payload = vec![7; 5_000];
        let header = Header {
            store_id: 0x1122_3344_5566_7788,
            segment: 3,
            offset: 8192,
            payload_len: 5_000,
            entries: 12,
            first_lsn: 100,
            synced_lsn: 99,
            oldest: 2,
            is_clean_stop: false,
            is_after_torn_end: true,
        };
        let mut bytes = vec![0; HEADER_BYTES];
        bytes.extend_from_slice(&payload);
        seal(&mut bytes, &header);
        (header, bytes)
    }

    #[test]
    fn frames_round_trip() {
        let (header, bytes) = frame();
        assert_eq!(bytes.len(), 8192);
        let (read, payload) = parse(&bytes, header.store_id, 8192).unwrap();
        assert_eq!((read, payload), (header, &[7u8; 5_000][..]));
        assert_eq!(header.next_lsn(), 112);
        assert!(parse(&bytes, header.store_id, 4096).is_none(), "written for another place");
        assert!(parse(&bytes, 1, 8192).is_none(), "of another store");
    }

    #[test]
    fn no_flipped_bit_and_no_missing_octet_goes_unnoticed() {
        let (header, bytes) = frame();
        let used = HEADER_BYTES + header.payload_len as usize;
        for bit in (0..used * 8).step_by(3) {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&flipped, header.store_id, 8192).is_none(), "bit {bit}");
        }
        for end in 0..used {
            assert!(parse(&bytes[..end], header.store_id, 8192).is_none(), "{end} octets");
        }
    }
}
