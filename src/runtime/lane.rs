//! Lanes: one bounded channel per ordered pair of threads, carrying *blocks* of items.
//!
//! A block holds up to [`LANE_BLOCK_ITEMS`] small fixed-size items and the octets of their bodies in one buffer.
//! Blocks circulate: the receiver gives a drained one back through a second channel, so that a lane allocates
//! nothing after its start and its bound is the number of blocks. One channel operation and one wake-up check
//! serve a whole block.
//!
//! Two kinds of items differ in what happens when all blocks are under way. A *request* is refused, and the
//! sender stops taking requests in. A *reply* (the outcome of something the other side handed out) is always
//! taken, into a backlog that the credit behind those replies bounds; while there is a backlog, requests are
//! refused, so order is kept and two threads can't wait for each other.

use std::collections::VecDeque;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::limits::{LANE_BLOCK_BYTES, LANE_BLOCK_ITEMS, LANE_BODY_BYTES_MAX};

/// Where the body of an item lies in its block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BodyRange {
    start: u32,
    len: u32,
}

/// A batch of items under way.
#[derive(Debug)]
pub struct Block<T> {
    items: Vec<(T, BodyRange)>,
    bytes: Vec<u8>,
}

impl<T> Block<T> {
    fn new() -> Self {
        Self { items: Vec::with_capacity(LANE_BLOCK_ITEMS), bytes: Vec::with_capacity(LANE_BLOCK_BYTES) }
    }

    /// Takes the items out in order, each with its body.
    pub fn drain(&mut self) -> impl Iterator<Item = (T, &[u8])> {
        let bytes = self.bytes.as_slice();
        self.items.drain(..).map(move |(item, range)| {
            let start = range.start as usize;
            (item, bytes.get(start..start + range.len as usize).unwrap_or_default())
        })
    }

    /// Items not yet taken.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether no item is left.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn recycle(&mut self) {
        self.items.clear();
        self.bytes.clear();
        // A body larger than a block made it grow; such bodies are rare enough not to keep the memory for.
        if self.bytes.capacity() > 4 * LANE_BLOCK_BYTES {
            self.bytes.shrink_to(LANE_BLOCK_BYTES);
        }
    }
}

/// The sending end.
#[derive(Debug)]
pub struct LaneSender<T> {
    full: Sender<Block<T>>,
    empty: Receiver<Block<T>>,
    open: Option<Block<T>>,
    backlog: VecDeque<T>,
    published: bool,
}

/// The receiving end.
#[derive(Debug)]
pub struct LaneReceiver<T> {
    full: Receiver<Block<T>>,
    empty: Sender<Block<T>>,
}

/// A lane of `blocks` blocks.
pub fn lane<T>(blocks: usize) -> (LaneSender<T>, LaneReceiver<T>) {
    let (full_tx, full_rx) = bounded(blocks);
    let (empty_tx, empty_rx) = bounded(blocks);
    for _ in 0..blocks {
        if empty_tx.try_send(Block::new()).is_err() {
            unreachable!("the channel holds as many blocks as there are");
        }
    }
    let sender =
        LaneSender { full: full_tx, empty: empty_rx, open: None, backlog: VecDeque::new(), published: false };
    (sender, LaneReceiver { full: full_rx, empty: empty_tx })
}

impl<T> LaneSender<T> {
    /// Adds a request whose body `write` appends. False: the lane is full; nothing was taken.
    pub fn push_request(&mut self, item: T, body_len: usize, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        debug_assert!(body_len <= LANE_BODY_BYTES_MAX);
        if !self.drain_backlog() || !self.make_room(body_len) {
            return false;
        }
        if let Some(block) = &mut self.open {
            let start = block.bytes.len();
            write(&mut block.bytes);
            let len = block.bytes.len() - start;
            block.items.push((item, BodyRange { start: start as u32, len: len as u32 }));
        }
        true
    }

    /// Adds a reply; it is never refused.
    pub fn push_reply(&mut self, item: T) {
        if !self.drain_backlog() || !self.make_room(0) {
            self.backlog.push_back(item);
            return;
        }
        if let Some(block) = &mut self.open {
            block.items.push((item, BodyRange::default()));
        }
    }

    /// Publishes what was added since. Call once at the end of a turn. True: something went out since the last
    /// call, so the receiver may have to be woken.
    pub fn publish(&mut self) -> bool {
        self.drain_backlog();
        self.send_open();
        std::mem::take(&mut self.published)
    }

    /// Whether a request with a body of `body_len` octets would be taken now.
    pub fn has_room(&mut self, body_len: usize) -> bool {
        self.drain_backlog() && self.make_room(body_len)
    }

    /// Blocks that the receiver has given back, beside the one being filled.
    pub fn free_blocks(&self) -> usize {
        self.empty.len()
    }

    /// Replies waiting for a block.
    pub fn backlog(&self) -> usize {
        self.backlog.len()
    }

    /// Whether nothing waits here to be published.
    pub fn is_idle(&self) -> bool {
        self.backlog.is_empty() && self.open.as_ref().is_none_or(Block::is_empty)
    }

    /// Moves the backlog into blocks. True: none is left.
    fn drain_backlog(&mut self) -> bool {
        while !self.backlog.is_empty() {
            if !self.make_room(0) {
                return false;
            }
            let (Some(block), Some(item)) = (&mut self.open, self.backlog.pop_front()) else { return false };
            block.items.push((item, BodyRange::default()));
        }
        true
    }

    /// Makes the open block one that takes another item with `body_len` octets.
    fn make_room(&mut self, body_len: usize) -> bool {
        let fits = self.open.as_ref().is_some_and(|block| {
            block.items.len() < LANE_BLOCK_ITEMS
                && (block.bytes.len() + body_len <= LANE_BLOCK_BYTES || block.items.is_empty())
        });
        if fits {
            return true;
        }
        self.send_open();
        if self.open.is_none() {
            self.open = self.empty.try_recv().ok();
        }
        self.open.is_some()
    }

    fn send_open(&mut self) {
        if let Some(block) = self.open.take_if(|block| !block.is_empty()) {
            // There are only as many blocks as the channel holds; a receiver that has left needs nothing.
            self.published |= self.full.try_send(block).is_ok();
        }
    }
}

impl<T> LaneReceiver<T> {
    /// The next block, if one is there. Give it back with [`LaneReceiver::give_back`].
    pub fn take(&self) -> Option<Block<T>> {
        self.full.try_recv().ok()
    }

    /// Returns a drained block to the sender.
    pub fn give_back(&self, mut block: Block<T>) {
        block.recycle();
        // A sender that has left needs no blocks.
        drop(self.empty.try_send(block));
    }

    /// Whether no block is waiting. A hint while the sender is active; exact after a fence on both sides.
    pub fn is_empty(&self) -> bool {
        self.full.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain_all(receiver: &LaneReceiver<u32>) -> Vec<(u32, Vec<u8>)> {
        let mut seen = Vec::new();
        while let Some(mut block) = receiver.take() {
            seen.extend(block.drain().map(|(item, body)| (item, body.to_vec())));
            receiver.give_back(block);
        }
        seen
    }

    #[test]
    fn keeps_order_and_bodies() {
        let (mut sender, receiver) = lane::<u32>(2);
        for i in 0..5u32 {
            assert!(sender.push_request(i, 4, |out| out.extend_from_slice(&i.to_be_bytes())));
        }
        sender.push_reply(5);
        assert!(receiver.is_empty(), "nothing is seen before it is published");
        assert!(sender.publish());
        assert!(!sender.publish());
        let seen = drain_all(&receiver);
        assert_eq!(seen.iter().map(|(i, _)| *i).collect::<Vec<_>>(), (0..6).collect::<Vec<_>>());
        assert_eq!(seen[3].1, 3u32.to_be_bytes());
        assert!(seen[5].1.is_empty());
    }

    #[test]
    fn full_refuses_requests_keeps_replies_and_order() {
        let (mut sender, receiver) = lane::<u32>(2);
        let mut sent = 0;
        while sender.push_request(sent, 0, |_| ()) {
            sent += 1;
        }
        assert_eq!(sent as usize, 2 * LANE_BLOCK_ITEMS, "the bound is the number of blocks");
        for reply in 0..1000 {
            sender.push_reply(100_000 + reply);
        }
        assert_eq!(sender.backlog(), 1000);
        assert!(!sender.push_request(7, 0, |_| ()), "a request must not pass the backlog");
        let mut seen = Vec::new();
        while seen.len() < sent as usize + 1000 {
            sender.publish();
            seen.extend(drain_all(&receiver).into_iter().map(|(item, _)| item));
        }
        let expected: Vec<u32> = (0..sent).chain((0..1000).map(|r| 100_000 + r)).collect();
        assert_eq!(seen, expected);
        assert!(sender.is_idle() && sender.push_request(8, 0, |_| ()));
    }

    #[test]
    fn a_body_larger_than_a_block_travels_alone() {
        let (mut sender, receiver) = lane::<u32>(3);
        let big = vec![7u8; 2 * LANE_BLOCK_BYTES];
        assert!(sender.push_request(1, 3, |out| out.extend_from_slice(b"abc")));
        assert!(sender.push_request(2, big.len(), |out| out.extend_from_slice(&big)));
        assert!(sender.push_request(3, 3, |out| out.extend_from_slice(b"def")));
        sender.publish();
        let seen = drain_all(&receiver);
        assert_eq!(seen.len(), 3);
        assert_eq!(seen[1].1, big);
        assert_eq!(seen[2].1, b"def");
    }

    #[test]
    fn crosses_threads_without_loss() {
        let (mut sender, receiver) = lane::<u32>(4);
        let total = 100_000u32;
        let reader = std::thread::spawn(move || {
            let mut next = 0;
            while next < total {
                if let Some(mut block) = receiver.take() {
                    for (item, body) in block.drain() {
                        assert_eq!(item, next);
                        assert_eq!(body, item.to_le_bytes());
                        next += 1;
                    }
                    receiver.give_back(block);
                } else {
                    std::thread::yield_now();
                }
            }
        });
        let mut next = 0;
        while next < total {
            if sender.push_request(next, 4, |out| out.extend_from_slice(&next.to_le_bytes())) {
                next += 1;
            } else {
                sender.publish();
                std::thread::yield_now();
            }
        }
        sender.publish();
        reader.join().expect("the reader saw every item");
    }
}
