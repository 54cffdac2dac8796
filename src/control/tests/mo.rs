//! MO messages that come in by HTTP.

use super::*;

#[test]
fn mo_goes_to_the_shard_of_its_destination() {
    let control = Control::start(Config::default());
    let body = |to: &str, text: &str| {
        serde_json::json!({"source_addr": "491", "destination_addr": to, "text": text}).to_string()
    };
    let (status, answer) = control.post(&body("121", "Hello [world]"));
    assert_eq!((status, &answer["message_id"]), (202, &"0123456789ABCDEF".into()));
    assert_eq!(control.post(&body("120", "Привет")).0, 202);
    let injected = control.injected.lock().clone();
    assert_eq!(injected[0].0, 1, "the last digit is odd");
    assert_eq!(
        (injected[0].1.data_coding, injected[0].1.short_message.as_slice()),
        (0, &b"Hello \x1b<world\x1b>"[..])
    );
    assert_eq!((injected[1].0, injected[1].1.data_coding), (0, 8));
    assert_eq!(&injected[1].1.short_message[..2], [0x04, 0x1F]);
    let (status, answer) = control.post(&body("404", "x"));
    assert_eq!((status, &answer["field"]), (404, &"destination_addr".into()));
    assert_eq!(control.post(&body("503", "x")).0, 503);
}

#[test]
fn bad_mo_bodies_name_the_field() {
    let control = Control::start(Config::default());
    let long = |n| format!(r#"{{"source_addr":"1","destination_addr":"2","text":"{}"}}"#, "a".repeat(n));
    assert_eq!(control.post(&long(254)).0, 202);
    for (body, field, error) in [
        (String::new(), Value::Null, "not a JSON object"),
        ("[]".to_owned(), Value::Null, "not a JSON object"),
        ("{\"a\":".to_owned(), Value::Null, "not a JSON object"),
        ("{}".to_owned(), "source_addr".into(), "is missing"),
        (r#"{"source_addr":5}"#.to_owned(), "source_addr".into(), "must be a string"),
        (r#"{"source_addr":"1"}"#.to_owned(), "destination_addr".into(), "is missing"),
        (r#"{"source_addr":"012345678901234567890"}"#.to_owned(), "source_addr".into(), "has 21 octets"),
        (
            r#"{"source_addr":"1","destination_addr":"\u0007"}"#.to_owned(),
            "destination_addr".into(),
            "printable",
        ),
        (r#"{"source_addr":"1","destination_addr":"2"}"#.to_owned(), "text".into(), "is missing"),
        (long(0), "text".into(), "takes 0 octets"),
        (long(255), "text".into(), "takes 255 octets"),
        (long(1).replace("{", r#"{"to":"1","#), Value::Null, "unknown field `to`"),
    ] {
        let (status, answer) = control.post(&body);
        assert_eq!((status, &answer["field"]), (400, &field), "{body}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(error), "{body}: {answer}");
    }
    assert_eq!(control.request("POST", "/mo", "", &long(70_000)).0, 413);
    assert_eq!(control.injected.lock().len(), 1);
}
