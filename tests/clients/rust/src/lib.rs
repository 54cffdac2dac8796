//! What the clients have in common.

use std::time::Duration;

/// Longer than anything here takes.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// A receipt: its text, receipted_message_id and message_state.
pub type Receipt = (String, Option<String>, Option<u8>);

/// Each id has exactly one receipt, with the same id in text and TLV.
pub fn check_receipts(receipts: &[Receipt], ids: &[String]) {
    let mut seen = Vec::new();
    for (text, receipted_message_id, message_state) in receipts {
        let id = text.strip_prefix("id:").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
        assert!(text.starts_with(&format!("id:{id} sub:001 dlvrd:001 submit date:")), "{text}");
        assert!(text.contains(" stat:DELIVRD err:000 text:"), "{text}");
        assert_eq!(receipted_message_id.as_deref(), Some(id));
        assert_eq!(*message_state, Some(2));
        seen.push(id.to_owned());
    }
    let mut ids = ids.to_vec();
    ids.sort();
    seen.sort();
    assert_eq!(seen, ids);
}

/// More than two parts of text.
pub fn long_text() -> String {
    (0..16).map(|n| format!("part of a long text {n:04}. ")).collect()
}

/// What `parts` say together: each is behind its six octets of UDH (concatenation, 8 bit), in order.
pub fn joined(parts: &[Vec<u8>]) -> String {
    let mut text = String::new();
    for (number, part) in (1..).zip(parts) {
        let (udh, part) = part.split_at(6);
        assert_eq!(udh[..3], [5, 0, 3]);
        assert_eq!(udh[4..], [parts.len() as u8, number]);
        text.push_str(std::str::from_utf8(part).expect("ASCII"));
    }
    text
}

/// Runs these functions one after another with the daemon's address, each announced when it is through.
#[macro_export]
macro_rules! run_cases {
    ($client:literal, $addr:expr, $($case:ident),+ $(,)?) => {$(
        $case($addr).await;
        println!("{}: {} ok", $client, stringify!($case));
    )+};
}
