//! The ids of messages: each is one value, in the form that its account has for the place where it stands, and is given
//! once.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::Rng;

use super::super::ids::{Form, Place, form};
use super::super::message::Message;
use super::Model;

impl Model {
    fn form(&self, message: &Message, place: Place) -> Form {
        form(self.seed, (!message.asked.is_mo).then_some(message.asked.account), place)
    }

    /// A message was named by this id, there.
    pub(crate) fn has_id(&mut self, number: u32, text: &str, place: Place) {
        let message = &self.messages[number as usize];
        if message.lost_its_id {
            return;
        }
        let (form, is_short) = (self.form(message, place), message.has_short_id());
        self.seen.other_ids += u64::from(form != Form::Hex && !is_short);
        let id = form.read(text, is_short);
        let message = self.message(number);
        let group = message.group;
        let known = message.id.get_or_insert_with(|| id.clone());
        assert_eq!(*known, id, "m{number} has two ids");
        let shown = message.shown[place as usize].get_or_insert_with(|| text.to_owned());
        assert_eq!(shown, text, "the id of m{number} is written in two ways");
        let other = *self.ids.entry(id.clone()).or_insert(group);
        if other == group {
            return;
        }
        // A short one comes round, the sooner for a restart, once it names nothing that is pending.
        let parts = self.message(other).parts;
        for part in other..other + parts {
            let other = self.message(part);
            assert!(is_short && !other.is_owed(), "the id {id} was given twice: {other:?}");
            other.lost_its_id = true;
        }
        self.ids.insert(id, group);
    }

    /// A message that is known to have an id, as its ESME may name it: as a response or a receipt does, or in plain hex.
    pub(super) fn name(&self, message: &Message, rng: &mut Xoshiro256PlusPlus) -> Option<String> {
        let id = message.id.as_deref()?;
        let place = match rng.next_u64() % 8 {
            0 => return Some(id.to_owned()),
            1..=3 => Place::Receipt,
            _ => Place::Response,
        };
        let written = || if message.has_short_id() { None } else { self.form(message, place).write(id) };
        Some(message.shown[place as usize].clone().or_else(written).unwrap_or_else(|| id.to_owned()))
    }
}
