//! One message as it ought to be: what was asked of it, and what may still come of it.

use super::reload::Routes;

/// message_state values (3.4 section 5.2.28).
const DELIVERED: u8 = 2;
pub(crate) const EXPIRED: u8 = 3;
pub(crate) const DELETED: u8 = 4;
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

/// The times of a message, from when a shard has taken it in.
#[derive(Clone, Copy, Debug)]
struct Times {
    not_before_ms: u64,
    expires_ms: u64,
    crashes: u32,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) account: usize,
    /// The connection that it comes on.
    pub(crate) connection: u32,
    /// interface_version of its bind.
    pub(crate) version: u8,
    pub(crate) to: &'static str,
    pub(crate) registered_delivery: u8,
    pub(crate) schedule: When,
    pub(crate) validity: When,
    pub(crate) is_mo: bool,
    /// set_dpf: to be told when an absent subscriber is back.
    pub(crate) wants_alert: bool,
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
    /// Which text it has, and which a replace_sm without an answer may have given it.
    pub(crate) revision: u32,
    pub(crate) maybe: Option<u32>,
}

impl Message {
    pub(crate) const fn new(asked: Asked, group: u32, parts: u32) -> Self {
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
            may_be_deleted: false,
            held_ever: false,
            failures: 0,
            request: None,
            remembered: None,
            lost_its_id: false,
            revision: 0,
            maybe: None,
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
        let expires =
            self.asked.validity.ahead_ms(wall_ms).unwrap_or(not_before + routes.validity_default_ms);
        let times = Times { not_before_ms: now_ms + not_before, expires_ms: now_ms + expires, crashes };
        self.times = Some(times);
        match () {
            () if expires == 0 => Some(Wrong::Validity),
            () if not_before >= expires => Some(Wrong::Schedule),
            () => None,
        }
    }

    /// The run of the process, counted from 0, in which it was taken in.
    pub(crate) fn run(&self) -> Option<u32> {
        self.times.map(|times| times.crashes)
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

    fn slack_ms(&self, crashes: u32) -> u64 {
        let since = self.times.map_or(0, |times| u64::from(crashes - times.crashes));
        since * (CLOCK_JUMP_MS + 1_000)
    }

    /// Something is done with it: not before its time.
    pub(crate) fn check_schedule(&self, now_ms: u64, crashes: u32) {
        let Some(times) = self.times else { panic!("never taken in: {self:?}") };
        let is_time = now_ms + self.slack_ms(crashes) >= times.not_before_ms;
        assert!(is_time, "before its schedule, at {now_ms}: {self:?}");
    }

    /// It has come to its end: not by age before its time, and nowhere but in an ESME's hands long after.
    pub(crate) fn check_end(&self, state: u8, now_ms: u64, crashes: u32) {
        assert!(state != DELETED || self.may_be_deleted, "nobody has cancelled {self:?}");
        if state != DELETED {
            self.check_schedule(now_ms, crashes);
        }
        let Some(times) = self.times else { return };
        let slack = self.slack_ms(crashes);
        if state == EXPIRED {
            assert!(now_ms + slack >= times.expires_ms, "expired before its time, at {now_ms}: {self:?}");
        }
        if self.owner().is_none() {
            assert!(now_ms <= times.expires_ms + slack + LATE_MAX_MS, "far too late, at {now_ms}: {self:?}");
        }
    }

    /// Its text was seen with this revision.
    pub(crate) fn check_revision(&self, revision: u32) {
        let is_known = revision == self.revision || self.maybe == Some(revision);
        assert!(is_known, "a text that was replaced, or never sent: r{revision}, {self:?}");
    }
}
