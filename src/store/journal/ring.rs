//! Bodies of young messages in memory: a ring that the newest bodies overwrite. What has left it is read from disk.

/// Bodies begin at multiples of this.
const ALIGN: u64 = 16;

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

    /// Puts a body in; its place. A body that could not be in whole is not taken, and has place 0.
    #[inline]
    pub(super) fn push(&mut self, body: &[u8]) -> u64 {
        let size = self.bytes();
        let mut start = self.head & (size - 1);
        if start + body.len() as u64 > size {
            self.head += size - start;
            start = 0;
        }
        let place = self.head;
        let start = start as usize;
        match self.memory.get_mut(start..start + body.len()) {
            Some(room) => room.copy_from_slice(body),
            None => return 0,
        }
        self.head += (body.len() as u64).next_multiple_of(ALIGN);
        place
    }

    /// The body of `length` octets that was put at `place`, if nothing has overwritten it.
    #[inline]
    pub(super) fn get(&self, place: u64, length: u32) -> Option<&[u8]> {
        let size = self.bytes();
        if place > self.head || self.head - place > size {
            return None;
        }
        let start = (place & (size - 1)) as usize;
        self.memory.get(start..start + length as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_bodies_are_whole_and_older_ones_are_gone() {
        let mut ring = BodyRing::new(1);
        let size = ring.bytes() as usize;
        assert_eq!(ring.get(0, 0), None);
        let bodies: Vec<Vec<u8>> = (0..4_000u32).map(|i| vec![i as u8; (i as usize * 37) % 3_000]).collect();
        let mut placed: Vec<(u64, &Vec<u8>)> = Vec::new();
        for (count, body) in bodies.iter().enumerate() {
            placed.push((ring.push(body), body));
            if count % 97 != 0 {
                continue;
            }
            // Everything that is still there is whole, and at least half of the memory is in use.
            let mut held = 0;
            for (place, body) in placed.iter().rev() {
                let Some(found) = ring.get(*place, body.len() as u32) else { break };
                assert_eq!(found, &body[..]);
                held += body.len();
            }
            let put: usize = placed.iter().map(|(_, body)| body.len()).sum();
            assert!(held >= put.min(size / 2));
        }
        assert_eq!(ring.get(placed[0].0, 0), None);
        assert_eq!(ring.get(u64::MAX, 1), None);
    }
}
