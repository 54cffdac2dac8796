//! The places of one account: which sessions hold them, and what becomes of a bind that finds one of its own kind there.

use parking_lot::Mutex;

use crate::base::SessionHandle;
use crate::config::DuplicateBind;
use crate::session::BindMode;

/// Who holds an account's places. Touched by binds and by the ends of sessions only.
#[derive(Debug, Default)]
pub(super) struct Places {
    taken: Mutex<Vec<Place>>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    session: SessionHandle,
    mode: BindMode,
}

/// What became of a bind that asked for a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It has one; these sessions have lost theirs to it.
    Granted(Vec<SessionHandle>),
    /// This session has to be asked first whether it is still there.
    Ask(SessionHandle),
    /// There is none for it.
    Refused,
}

impl Places {
    /// Takes one of `max` places for a session. One of the same account and bind type is dealt with as `policy` says.
    pub(super) fn take(
        &self,
        session: SessionHandle,
        mode: BindMode,
        policy: DuplicateBind,
        max: u32,
    ) -> Taken {
        let mut taken = self.taken.lock();
        let is_older = |place: &Place| policy != DuplicateBind::Allow && place.mode == mode;
        let older = taken.iter().find(|place| is_older(place)).map(|place| place.session);
        match (policy, older) {
            (DuplicateBind::Refuse, Some(_)) => return Taken::Refused,
            (DuplicateBind::Probe, Some(older)) => return Taken::Ask(older),
            _ => {}
        }
        if taken.iter().filter(|place| !is_older(place)).count() >= max as usize {
            return Taken::Refused;
        }
        let replaced = taken.extract_if(.., |place| is_older(place)).map(|place| place.session).collect();
        taken.push(Place { session, mode });
        Taken::Granted(replaced)
    }

    /// Gives the place of a session back. False: it had lost it to another one.
    pub(super) fn give_back(&self, session: SessionHandle) -> bool {
        let mut taken = self.taken.lock();
        let found = taken.iter().position(|place| place.session == session);
        if let Some(index) = found {
            taken.remove(index);
        }
        found.is_some()
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> u32 {
        self.taken.lock().len() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(slot: u32) -> SessionHandle {
        SessionHandle { slot, generation: 1, worker: 0 }
    }

    #[test]
    fn a_duplicate_is_dealt_with_as_the_policy_says() {
        let trx = BindMode::Transceiver;
        for (policy, second) in [
            (DuplicateBind::Allow, Taken::Granted(vec![])),
            (DuplicateBind::Refuse, Taken::Refused),
            (DuplicateBind::Replace, Taken::Granted(vec![session(1)])),
            (DuplicateBind::Probe, Taken::Ask(session(1))),
        ] {
            let places = Places::default();
            assert_eq!(places.take(session(1), trx, policy, 10), Taken::Granted(vec![]));
            assert_eq!(places.take(session(2), trx, policy, 10), second, "{policy:?}");
            // Of another type it is no duplicate.
            assert_eq!(places.take(session(3), BindMode::Receiver, policy, 10), Taken::Granted(vec![]));
            let had_two = policy == DuplicateBind::Allow;
            assert_eq!(places.taken(), 2 + u32::from(had_two));
            assert_eq!(places.give_back(session(1)), policy != DuplicateBind::Replace);
            assert!(!places.give_back(session(1)), "only once");
        }
    }

    #[test]
    fn a_limit_that_was_lowered_costs_nobody_a_place_in_vain() {
        let places = Places::default();
        for slot in 1..=2 {
            places.take(session(slot), BindMode::Transceiver, DuplicateBind::Allow, 10);
            places.take(session(10 + slot), BindMode::Receiver, DuplicateBind::Allow, 10);
        }
        let replace =
            |slot, max| places.take(session(slot), BindMode::Transceiver, DuplicateBind::Replace, max);
        assert_eq!(replace(3, 2), Taken::Refused);
        assert_eq!(places.taken(), 4);
        assert_eq!(replace(3, 3), Taken::Granted(vec![session(1), session(2)]));
        assert_eq!(places.taken(), 3);
    }
}
