//! Vocabulary shared by every layer: time as a value, handles, and the bounded containers. Imports std only.

pub mod handle;
pub mod id_form;
pub mod message_id;
pub mod mobile;
pub mod prefetch;
pub mod prefix_map;
pub mod slab;
pub mod time;
pub mod wheel;

pub use handle::{AccountId, DeliveryToken, SessionHandle, SubmitOperation};
pub use id_form::{IdForm, IdForms};
pub use message_id::{MessageId, MessageIdSource, ShortIds};
pub use prefix_map::PrefixMap;
pub use slab::Slab;
pub use time::{Now, Time, WallTime};
pub use wheel::Wheel;
