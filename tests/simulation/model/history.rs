//! Which final states the shards have to remember. What has ended in the run that is going on is known for as long as that
//! goes on: the simulation keeps far fewer messages than a shard remembers. After a restart the counters of ids begin
//! anywhere, so that what an earlier run has left, or a short id, may take the place of what is remembered of another.

use super::super::message::Message;
use super::Model;

impl Model {
    /// Takes note that a message has ended on `shard`.
    pub(super) fn note_end(&mut self, shard: u16, number: u32) {
        let crashes = self.crashes;
        self.ends += 1;
        let ends = self.ends;
        let message = self.message(number);
        message.ended_as = (shard, ends);
        if crashes > 0 && (message.run != crashes || message.has_short_id()) {
            self.displaced.insert(shard, ends);
        }
    }

    /// Whether its shard has to know what has become of a message.
    pub(super) fn is_kept(&self, message: &Message) -> bool {
        let (shard, at) = message.ended_as;
        message.ended.is_some()
            && (self.crashes == 0
                || message.run == self.crashes
                    && !message.has_short_id()
                    && self.displaced.get(&shard).is_none_or(|&displaced| displaced < at))
    }

    /// The ids of the messages whose final states have to be known, and those. Of a submit_multi several go by one id.
    pub(crate) fn kept(&self) -> impl Iterator<Item = (&str, u8)> {
        let has_own_id = |message: &&Message| message.parts == 1 && !message.lost_its_id;
        self.messages
            .iter()
            .filter(has_own_id)
            .filter(|message| self.is_kept(message))
            .filter_map(|message| Some((message.id.as_deref()?, message.ended?)))
    }
}
