//! Bodies of young messages in memory: a ring that the newest bodies overwrite. What has left it is read from disk.

use super::entry::SlotName;

/// Bodies begin at multiples of this, and a place counts in it.
const ALIGN: u64 = 16;
/// In front of each body: whose it is.
const OWNER_BYTES: usize = 8;

/// Room for what may be on its way to disk, whose bodies are nowhere else.
const BYTES_MIN: usize = 2 << 20;

/// The ring.
#[derive(Debug)]
pub(super) struct BodyRing {
    memory: Box<[u8]>,
    /// Octets ever used, skipped ones too.
    head: u64,
}

impl BodyRing {
    /// A ring of `bytes` octets (rounded up to a power of two). Memory is taken as it is first used.
    pub(super) fn new(bytes: usize) -> Self {
        let bytes = bytes.max(BYTES_MIN).next_power_of_two();
        // Begins after one lap, so that place 0 is that of a body which is not here.
        Self { memory: vec![0; bytes].into_boxed_slice(), head: bytes as u64 + ALIGN }
    }

    /// Octets that it holds.
    pub(super) const fn bytes(&self) -> u64 {
        self.memory.len() as u64
    }

    /// Puts a message's body in; its place. A body that could not be in whole is not taken, and has place 0.
    #[inline]
    pub(super) fn push(&mut self, name: SlotName, body: &[u8]) -> u32 {
        let size = self.bytes();
        let length = (OWNER_BYTES + body.len()) as u64;
        if (self.head / ALIGN) as u32 == 0 {
            self.head += ALIGN;
        }
        let mut start = self.head & (size - 1);
        if start + length > size {
            self.head += size - start;
            start = 0;
        }
        let place = self.head / ALIGN;
        let start = start as usize;
        match self.memory.get_mut(start..start + length as usize).and_then(<[u8]>::split_first_chunk_mut) {
            Some((owner, room)) => {
                *owner = owner_of(name);
                room.copy_from_slice(body);
            }
            None => return 0,
        }
        self.head += length.next_multiple_of(ALIGN);
        place as u32
    }

    /// The body of `length` octets that was put at `place` for a message, if nothing has overwritten it. A place that
    /// comes round again, after 64 GiB, has another owner by then.
    #[inline]
    pub(super) fn get(&self, place: u32, name: SlotName, length: u32) -> Option<&[u8]> {
        let size = self.bytes();
        let behind = u64::from(((self.head / ALIGN) as u32).wrapping_sub(place)) * ALIGN;
        if place == 0 || behind > size {
            return None;
        }
        let start = ((self.head - behind) & (size - 1)) as usize;
        let (owner, body) =
            self.memory.get(start..start + OWNER_BYTES + length as usize)?.split_first_chunk()?;
        (*owner == owner_of(name)).then_some(body)
    }
}

#[inline]
fn owner_of(name: SlotName) -> [u8; OWNER_BYTES] {
    (u64::from(name.generation) << 32 | u64::from(name.slot)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_bodies_are_whole_and_older_ones_are_gone() {
        let mut ring = BodyRing::new(1);
        let size = ring.bytes() as usize;
        let name = |count: usize| SlotName { slot: count as u32, generation: 9 };
        assert_eq!(ring.get(0, name(0), 0), None);
        let bodies: Vec<Vec<u8>> = (0..4_000u32).map(|i| vec![i as u8; (i as usize * 37) % 3_000]).collect();
        let mut placed: Vec<(u32, usize, &Vec<u8>)> = Vec::new();
        for (count, body) in bodies.iter().enumerate() {
            placed.push((ring.push(name(count), body), count, body));
            if count % 97 != 0 {
                continue;
            }
            // Everything that is still there is whole, and at least half of the memory is in use.
            let mut held = 0;
            for (place, count, body) in placed.iter().rev() {
                assert_eq!(ring.get(*place, name(count + 1), body.len() as u32), None);
                let Some(found) = ring.get(*place, name(*count), body.len() as u32) else { break };
                assert_eq!(found, &body[..]);
                held += body.len();
            }
            let put: usize = placed.iter().map(|(_, _, body)| body.len()).sum();
            assert!(held >= put.min(size / 2));
        }
        assert_eq!(ring.get(placed[0].0, name(0), 0), None);
        assert_eq!(ring.get(u32::MAX, name(0), 1), None);
    }
}
