//! One message as it ought to be: what was asked of it, and what may still come of it.

use super::broadcasts::AREAS;
use super::reload::Routes;

/// message_state values (3.4 section 5.2.28).
pub(crate) const DELIVERED: u8 = 2;
pub(crate) const EXPIRED: u8 = 3;
pub(crate) const DELETED: u8 = 4;
/// source_addr of most messages.
pub(crate) const SOURCE: u32 = 100;
/// How far the wall clock may be off after a restart.
pub(crate) const CLOCK_JUMP_MS: u64 = 5_000;
/// Messages are looked at in the turns of their shard, which come at random.
const LATE_MAX_MS: u64 = 300_000;

/// What a delivery is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Message,
    Receipt,
    /// An intermediate notification.
    Notification,
}

/// What whoever has sent a message knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Awaited,
    Accepted,
    Refused,
    /// The connection was gone first: it may be held, or not.
    Lost,
}

/// A point in time as a request states it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum When {
    #[default]
    Unsaid,
    In {
        seconds: u64,
    },
    At {
        unix_ms: u64,
    },
}

impl When {
    fn ahead_ms(self, wall_ms: u64) -> Option<u64> {
        match self {
            Self::Unsaid => None,
            Self::In { seconds } => Some(seconds * 1_000),
            Self::At { unix_ms } => Some(unix_ms.saturating_sub(wall_ms)),
        }
    }
}

/// The text of a message: that of a request, by its number, or one that replace_sm has put in its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) number: u32,
    pub(crate) revision: u32,
}

/// The times of a message, from when a shard has taken it in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) not_before_ms: u64,
    pub(crate) expires_ms: u64,
    pub(crate) crashes: u32,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) account: usize,
    /// source_addr. Above [`SOURCE`]: of a chain of messages in which each replaces the one before if that is pending.
    pub(crate) source: u32,
    /// The connection that it comes on.
    pub(crate) connection: u32,
    /// interface_version of its bind.
    pub(crate) version: u8,
    pub(crate) to: &'static str,
    pub(crate) registered_delivery: u8,
    pub(crate) schedule: When,
    pub(crate) validity: When,
    pub(crate) is_mo: bool,
    /// What a broadcast_sm asks for beside that.
    pub(crate) broadcast: Option<Broadcast>,
    /// set_dpf: to be told when an absent subscriber is back.
    pub(crate) wants_alert: bool,
}

/// What a broadcast asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broadcast {
    /// Bits, by the place in [`AREAS`].
    pub(crate) areas: u8,
    /// 0: until its validity ends.
    pub(crate) rounds: u16,
    pub(crate) interval_ms: u64,
    /// user_message_reference.
    pub(crate) reference: Option<u16>,
}

impl Broadcast {
    fn areas(self) -> impl Iterator<Item = (&'static str, Option<u16>)> {
        (0..).zip(AREAS).filter(move |(bit, _)| self.areas >> bit & 1 != 0).map(|(_, area)| area)
    }

    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        self.areas().map(|(name, _)| name)
    }

    /// Those that the network has not.
    pub(crate) fn unknown(self) -> Vec<&'static str> {
        self.areas().filter(|(_, share)| share.is_none()).map(|(name, _)| name).collect()
    }

    /// Whether the network has any of them.
    pub(crate) fn is_served(self) -> bool {
        self.areas().any(|(_, share)| share.is_some())
    }

    /// Whether some of its cells may send it, and whether some must.
    pub(crate) fn reach(self) -> (bool, bool) {
        let shares = || self.areas().filter_map(|(_, share)| share);
        (shares().any(|share| share > 0), shares().any(|share| share == 1_000))
    }
}

/// Why a shard has to refuse a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    Schedule,
    Validity,
}

/// One message and all that came of it.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) asked: Asked,
    /// The first message of the same request, and how many it has.
    pub(crate) group: u32,
    pub(crate) parts: u32,
    pub(crate) answer: Answer,
    /// Its value, and how it was written in responses and in receipts.
    pub(crate) id: Option<String>,
    pub(crate) shown: [Option<String>; 2],
    /// Its final state in this run of the process, and in any.
    pub(crate) ended: Option<u8>,
    pub(crate) ended_ever: Option<u8>,
    /// On which shard it has ended, and as which of all that have.
    pub(crate) ended_as: (u16, u64),
    /// What its receipt said, or the answer to its cancel_sm.
    pub(crate) told: Option<u8>,
    /// Its receipt was answered for good, in this run and in any.
    pub(crate) settled: bool,
    pub(crate) settled_ever: bool,
    /// Times that each kind was handed out and has arrived.
    pub(crate) handed: [u32; 3],
    pub(crate) seen: [u32; 3],
    /// Whose ESMEs get it, once a shard has taken it in; `None`: the network does.
    target: Option<Option<usize>>,
    times: Option<Times>,
    /// The run of the process, counted from 0, in which it has got its id.
    pub(crate) run: u32,
    /// Somebody has asked to cancel it.
    pub(crate) may_be_deleted: bool,
    /// A shard has stated that it holds it.
    pub(crate) held_ever: bool,
    /// Attempts that failed for now.
    pub(crate) failures: u32,
    /// The request, where it may be repeated; and until when its shard remembers it, in which run.
    pub(crate) request: Option<Vec<u8>>,
    pub(crate) remembered: Option<(u64, u32)>,
    /// Its id, a short one, was given to another message after it.
    pub(crate) lost_its_id: bool,
    /// Which text it has, and which a request without an answer may have given it; the same of its times.
    pub(crate) text: Text,
    pub(crate) maybe: Option<Text>,
    maybe_times: Option<Times>,
    /// The message that it was to take the place of, and the one whose place it has taken: it is that one's text.
    pub(crate) may_replace: Option<u32>,
    pub(crate) became: Option<u32>,
}

impl Message {
    pub(crate) const fn new(asked: Asked, number: u32, group: u32, parts: u32) -> Self {
        Self {
            asked,
            group,
            parts,
            answer: Answer::Awaited,
            id: None,
            shown: [None, None],
            ended: None,
            ended_ever: None,
            ended_as: (0, 0),
            told: None,
            settled: false,
            settled_ever: false,
            handed: [0; 3],
            seen: [0; 3],
            target: None,
            times: None,
            run: 0,
            may_be_deleted: false,
            held_ever: false,
            failures: 0,
            request: None,
            remembered: None,
            lost_its_id: false,
            text: Text { number, revision: 0 },
            maybe: None,
            maybe_times: None,
            may_replace: None,
            became: None,
        }
    }

    /// 3.4 section 5.2.17, bit 4: to be told of an attempt that has failed for now.
    pub(crate) const fn wants_notification(&self) -> bool {
        self.asked.registered_delivery & 0x10 != 0
    }

    /// 3.4 section 5.2.17, bits 1 and 0.
    pub(crate) const fn wants_receipt(&self, state: u8) -> bool {
        match self.asked.registered_delivery & 3 {
            0 => false,
            1 => true,
            2 => state != DELIVERED,
            _ => state == DELIVERED,
        }
    }

    /// Whether somebody is still owed something.
    pub(crate) fn is_owed(&self) -> bool {
        match self.ended_ever {
            None if self.became.is_some() => false,
            None => true,
            Some(state) => self.wants_receipt(state) && !self.settled_ever,
        }
    }

    /// A shard takes it in that goes by `routes`. What it must be refused for, if anything.
    pub(crate) fn taken(
        &mut self,
        routes: &Routes,
        wall_ms: u64,
        now_ms: u64,
        crashes: u32,
    ) -> Option<Wrong> {
        assert_eq!(self.target, None, "taken in twice: {self:?}");
        self.target = Some(routes.owner(self.asked.to));
        let schedule = self.asked.schedule.ahead_ms(wall_ms);
        let not_before = schedule.unwrap_or(0);
        // Without a validity_period a broadcast is valid until all its rounds have been made.
        let rounds_ms = self.asked.broadcast.map_or(0, |it| u64::from(it.rounds) * it.interval_ms);
        let unsaid = not_before + routes.validity_default_ms.max(rounds_ms);
        let expires = self.asked.validity.ahead_ms(wall_ms).unwrap_or(unsaid);
        let times = Times { not_before_ms: now_ms + not_before, expires_ms: now_ms + expires, crashes };
        (self.times, self.run) = (Some(times), crashes);
        match () {
            () if expires == 0 => Some(Wrong::Validity),
            () if not_before >= expires => Some(Wrong::Schedule),
            () => None,
        }
    }

    /// Whether it goes on, as far as anybody knows.
    pub(crate) const fn is_pending(&self) -> bool {
        matches!(self.answer, Answer::Accepted) && self.ended_ever.is_none() && self.became.is_none()
    }

    /// Whether its id is one of 8 digits.
    pub(crate) const fn has_short_id(&self) -> bool {
        self.asked.version == 0x33
    }

    /// Whether a shard has taken it in.
    pub(crate) const fn is_taken(&self) -> bool {
        self.target.is_some()
    }

    /// Whose ESMEs get it.
    pub(crate) const fn owner(&self) -> Option<usize> {
        match self.target {
            Some(owner) => owner,
            None => None,
        }
    }

    pub(crate) fn slack_ms(&self, crashes: u32) -> u64 {
        let since = self.times.map_or(0, |times| u64::from(crashes - times.crashes));
        since * (CLOCK_JUMP_MS + 1_000)
    }

    /// Those that it may go by.
    pub(crate) fn all_times(&self) -> impl Iterator<Item = Times> {
        self.times.into_iter().chain(self.maybe_times)
    }

    /// Whether it may have been sent by now.
    pub(crate) fn is_time(&self, now_ms: u64, crashes: u32) -> bool {
        self.all_times().any(|times| now_ms + self.slack_ms(crashes) >= times.not_before_ms)
    }

    /// A shard has put the text of another message, with its times, in the place of its own.
    pub(crate) const fn may_be(&mut self, other: u32, times: Option<Times>) {
        self.maybe = Some(Text { number: other, revision: 0 });
        self.maybe_times = times;
    }

    /// What may have taken its place has, for good, or has not.
    pub(crate) const fn decide(&mut self, is_replaced: bool) {
        if let Some(text) = self.maybe.take()
            && is_replaced
        {
            self.text = text;
            if self.maybe_times.is_some() {
                self.times = self.maybe_times;
            }
        }
        self.maybe_times = None;
    }

    pub(crate) const fn times(&self) -> Option<Times> {
        self.times
    }

    /// Something is done with it: not before its time.
    pub(crate) fn check_schedule(&self, now_ms: u64, crashes: u32) {
        assert!(self.times.is_some(), "never taken in: {self:?}");
        assert!(self.is_time(now_ms, crashes), "before its schedule, at {now_ms}: {self:?}");
    }

    /// It has come to its end: not by age before its time, and nowhere but in an ESME's hands long after.
    pub(crate) fn check_end(&self, state: u8, now_ms: u64, crashes: u32) {
        assert!(state != DELETED || self.may_be_deleted, "nobody has cancelled {self:?}");
        if state != DELETED {
            self.check_schedule(now_ms, crashes);
        }
        let (Some(first), Some(last)) = (
            self.all_times().map(|times| times.expires_ms).min(),
            self.all_times().map(|times| times.expires_ms).max(),
        ) else {
            return;
        };
        let slack = self.slack_ms(crashes);
        if state == EXPIRED {
            assert!(now_ms + slack >= first, "expired before its time, at {now_ms}: {self:?}");
        }
        if self.owner().is_none() {
            assert!(now_ms <= last + slack + LATE_MAX_MS, "far too late, at {now_ms}: {self:?}");
        }
    }

    /// It was seen with this text.
    pub(crate) fn check_text(&self, text: Text) {
        let is_known = text == self.text || self.maybe == Some(text);
        assert!(is_known, "a text that was replaced, or never sent: {text:?}, {self:?}");
    }
}
