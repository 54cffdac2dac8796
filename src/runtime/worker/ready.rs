//! Whose turn it is to be read. Light sessions come before the rest, those that flood and those that are not bound, so that a
//! light ESME does not wait for what others have in flight; and of either kind each has its go before one has a second.

use std::collections::VecDeque;

/// Slots with something to read or take, each once.
#[derive(Debug, Default)]
pub(super) struct Ready {
    light: VecDeque<u32>,
    rest: VecDeque<u32>,
}

impl Ready {
    /// Adds a slot behind the others of its kind.
    #[inline]
    pub(super) fn push(&mut self, slot: u32, goes_last: bool) {
        let line = if goes_last { &mut self.rest } else { &mut self.light };
        line.push_back(slot);
    }

    /// The first of the light ones.
    #[inline]
    pub(super) fn pop_light(&mut self) -> Option<u32> {
        self.light.pop_front()
    }

    /// The first of the rest.
    #[inline]
    pub(super) fn pop_rest(&mut self) -> Option<u32> {
        self.rest.pop_front()
    }

    /// Whether there is none.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.light.is_empty() && self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_own_line() {
        let mut ready = Ready::default();
        for (slot, goes_last) in [(1, true), (2, false), (3, true), (4, false)] {
            ready.push(slot, goes_last);
        }
        assert!(!ready.is_empty());
        assert_eq!([ready.pop_light(), ready.pop_light(), ready.pop_light()], [Some(2), Some(4), None]);
        assert_eq!([ready.pop_rest(), ready.pop_rest(), ready.pop_rest()], [Some(1), Some(3), None]);
        assert!(ready.is_empty());
    }
}
