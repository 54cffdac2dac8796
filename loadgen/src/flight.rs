//! What one session has in flight: a ring of send times addressed by sequence_number. A slot that is not zero is a
//! submit_sm without its response, so that a second or unknown response is seen for what it is.

use crate::template::SEQUENCE_MASK;

/// What a response's sequence_number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The response to a submit_sm of this time.
    To(u64),
    /// That submit_sm has its response already.
    Twice,
    /// No submit_sm in reach has that sequence_number.
    Unknown,
}

/// Send times of the messages in flight. Times are nanoseconds, never zero.
#[derive(Debug)]
pub(crate) struct Flight {
    times: Box<[u64]>,
    /// Messages given a number.
    assigned: u64,
    /// Of those, messages written to the socket in full.
    written: u64,
    /// Of those, messages with their response.
    answered: u64,
}

impl Flight {
    /// Room for `capacity` messages (rounded up to a power of two) between the oldest without a response and the newest.
    pub(crate) fn new(capacity: usize) -> Self {
        let capacity = capacity.next_power_of_two();
        Self { times: vec![0; capacity].into_boxed_slice(), assigned: 0, written: 0, answered: 0 }
    }

    /// The number of the first message not yet written.
    pub(crate) const fn written(&self) -> u64 {
        self.written
    }

    /// Messages assigned and not yet written.
    pub(crate) const fn unwritten(&self) -> u64 {
        self.assigned - self.written
    }

    /// Messages written and not yet answered.
    pub(crate) const fn unanswered(&self) -> u64 {
        self.written - self.answered
    }

    /// Messages assigned and not yet answered.
    pub(crate) const fn open(&self) -> u64 {
        self.assigned - self.answered
    }

    /// Assigns up to `n` messages of the same `time`; fewer where the ring has no room. Returns how many.
    #[inline]
    pub(crate) fn assign(&mut self, n: u64, time: u64) -> u64 {
        let mask = self.times.len() as u64 - 1;
        let mut done = 0;
        while done < n {
            let slot = &mut self.times[((self.assigned + done) & mask) as usize];
            if *slot != 0 {
                break;
            }
            *slot = time;
            done += 1;
        }
        self.assigned += done;
        done
    }

    /// Notes that the next `n` messages are with the socket.
    pub(crate) fn wrote(&mut self, n: u64) {
        self.written += n;
        debug_assert!(self.written <= self.assigned);
    }

    /// Takes the response with this sequence_number.
    #[inline]
    pub(crate) fn answer(&mut self, sequence: u32) -> Answer {
        let mask = self.times.len() as u64 - 1;
        let number = u64::from(sequence).wrapping_sub(1);
        // How far behind the last written message it lies; slots past the ring's reach belong to newer messages.
        let behind = self.written.wrapping_sub(1).wrapping_sub(number) & SEQUENCE_MASK;
        if behind >= self.written || behind + self.unwritten() > mask || number > SEQUENCE_MASK {
            return Answer::Unknown;
        }
        let slot = &mut self.times[(number & mask) as usize];
        let time = std::mem::take(slot);
        if time == 0 {
            return Answer::Twice;
        }
        self.answered += 1;
        Answer::To(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::sequence_of;

    #[test]
    fn answers_in_any_order_once() {
        let mut flight = Flight::new(8);
        assert_eq!(flight.assign(5, 100), 5);
        flight.wrote(5);
        for sequence in [3, 1, 5, 2, 4] {
            assert_eq!(flight.answer(sequence), Answer::To(100));
            assert_eq!(flight.answer(sequence), Answer::Twice);
        }
        assert_eq!((flight.open(), flight.unanswered()), (0, 0));
    }

    #[test]
    fn unknown_sequences_are_not_taken_for_others() {
        let mut flight = Flight::new(4);
        flight.assign(2, 7);
        assert_eq!(flight.answer(1), Answer::Unknown, "not written yet");
        flight.wrote(2);
        for sequence in [0, 3, 5, 6, 1 << 30, u32::MAX, (1 << 30) + 1] {
            assert_eq!(flight.answer(sequence), Answer::Unknown, "{sequence}");
        }
        assert_eq!(flight.answer(2), Answer::To(7));
        assert_eq!(flight.answer(1), Answer::To(7));
        // Message 5 takes the slot of message 1, which then is out of reach.
        assert_eq!(flight.assign(3, 9), 3);
        assert_eq!(flight.answer(1), Answer::Unknown);
        flight.wrote(3);
        assert_eq!(flight.answer(1), Answer::Unknown);
        assert_eq!(flight.answer(5), Answer::To(9));
    }

    #[test]
    fn one_late_response_holds_the_ring_but_not_more() {
        let mut flight = Flight::new(4);
        assert_eq!(flight.assign(9, 1), 4);
        flight.wrote(4);
        assert_eq!(flight.answer(2), Answer::To(1));
        assert_eq!(flight.assign(1, 2), 0, "message 1 still has the slot");
        assert_eq!(flight.answer(1), Answer::To(1));
        assert_eq!(flight.assign(9, 2), 2);
    }

    #[test]
    fn sequences_wrap() {
        let start = SEQUENCE_MASK - 1;
        let mut flight = Flight { assigned: start, written: start, answered: start, ..Flight::new(8) };
        assert_eq!(flight.assign(4, 5), 4);
        flight.wrote(4);
        for number in start..start + 4 {
            assert_eq!(flight.answer(sequence_of(number)), Answer::To(5));
        }
        assert_eq!(flight.answer(3), Answer::Unknown);
    }
}
