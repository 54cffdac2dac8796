//! Vocabulary shared by every layer: time as a value, handles, and the bounded containers. Imports std only.

pub mod handle;
pub mod message_id;
pub mod slab;
pub mod time;
pub mod token_bucket;
pub mod wheel;

pub use handle::{AccountId, DeliveryToken, SessionHandle};
pub use message_id::{MessageId, MessageIdSource};
pub use time::{Now, Time, WallTime};
