//! Who may do what.

use super::*;

#[test]
fn a_token_guards_what_changes_state() {
    let mut config = Config::default();
    config.http.admin_token = Secret::new("s3cret");
    let control = Control::start(config);
    let body = r#"{"source_addr":"1","destination_addr":"2","text":"x"}"#;
    for headers in
        ["", "Authorization: Bearer wrong!\r\n", "Authorization: s3cret\r\n", "Authorization: Bearer \r\n"]
    {
        assert_eq!(control.request("POST", "/mo", headers, body).0, 401, "{headers}");
    }
    assert_eq!(control.request("POST", "/mo", "Authorization: Bearer s3cret\r\n", body).0, 202);
    let counters = control.json("/stats")["counters"].clone();
    assert_eq!((&counters["http_unauthorized"], &counters["http_refused"]), (&4.into(), &0.into()));
}

#[test]
fn pages_of_other_sites_change_nothing() {
    let control = Control::start(Config::default());
    let body = r#"{"source_addr":"1","destination_addr":"2","text":"x"}"#;
    for origin in ["https://example.com", "http://127.0.0.1:81", "null"] {
        assert_eq!(control.request("POST", "/mo", &format!("Origin: {origin}\r\n"), body).0, 403, "{origin}");
    }
    assert_eq!(control.request("POST", "/mo", "Origin: http://127.0.0.1\r\n", body).0, 202);
    assert_eq!(control.json("/stats")["counters"]["http_refused"], 3);
}

/// A page whose own name has come to mean 127.0.0.1 is of the same origin to its browser (DNS rebinding).
#[test]
fn on_loopback_without_a_token_it_answers_to_no_other_name() {
    let body = r#"{"source_addr":"1","destination_addr":"2","text":"x"}"#;
    let control = Control::start(Config::default());
    for name in ["example.com:2780", "example.com", "127.0.0.1.example.com", "localhost.example.com:80", ""] {
        let origin = format!("Origin: http://{name}\r\n");
        assert_eq!(control.request_to(name, "POST", "/mo", &origin, body).0, 403, "{name}");
        assert_eq!(control.request_to(name, "GET", "/sessions", "", "").0, 403, "{name}");
    }
    for name in ["127.0.0.1:2780", "localhost:2780", "LocalHost", "[::1]:2780", "[::1]", "192.0.2.7:80"] {
        assert_eq!(control.request_to(name, "GET", "/sessions", "", "").0, 200, "{name}");
    }
    let mut config = Config::default();
    config.http.admin_token = Secret::new("s3cret");
    let control = Control::start(config);
    assert_eq!(control.request_to("smscd.example.com", "GET", "/stats", "", "").0, 200);
    assert_eq!(control.request_to("smscd.example.com", "POST", "/mo", "", body).0, 401);
}

#[test]
fn reload_and_config_need_the_token_where_there_is_one() {
    let mut config = Config::default();
    config.http.admin_token = Secret::new("t0ken");
    let control = Control::start(config);
    for (method, path) in
        [("POST", "/reload"), ("POST", "/reload?dry_run=true"), ("GET", "/config"), ("POST", "/mo")]
    {
        for headers in [
            "",
            "Authorization: Bearer t0kem\r\n",
            "Authorization: Basic t0ken\r\n",
            "Authorization: Bearer \r\n",
        ] {
            let (status, _, body) = control.request(method, path, headers, "");
            assert_eq!(status, 401, "{method} {path} {headers}");
            assert!(!body.contains("t0ken"));
        }
    }
    let bearer = "Authorization: Bearer t0ken\r\n";
    let (status, _, body) = control.request("GET", "/config", bearer, "");
    assert_eq!(status, 200);
    assert!(body.contains("admin_token = \"(redacted)\"") && !body.contains("t0ken"), "{body}");
    let (status, _, _) =
        control.request("POST", "/reload", &format!("{bearer}Origin: http://elsewhere\r\n"), "");
    assert_eq!(status, 403, "another site's page, with the operator's browser");
}

#[test]
fn a_reload_that_fails_says_where_and_one_that_is_tried_changes_nothing() {
    let control = Control::start(Config::default());
    let (status, _, body) = control.request("POST", "/reload", "", "");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, body["error"].as_str()),
        (422, Some("f.toml:3: account[0].window: 0 is out of range"))
    );
    assert_eq!(body["problems"][0]["place"], "f.toml:3");
    assert_eq!(body["problems"][0]["key"], "account[0].window");
    let (status, _, body) = control.request("POST", "/reload?dry_run=true", "", "");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, &body["applied"], &body["changes"][0]["account"]),
        (200, &false.into(), &"new".into())
    );
    let (status, _, _) = control.request("GET", "/reload", "", "");
    assert_eq!(status, 405);
}
