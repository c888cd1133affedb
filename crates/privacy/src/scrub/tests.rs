use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::json;

use super::*;

static KEYS: LazyLock<KeyRules> = LazyLock::new(|| KeyRules::new(&[], &[]));

fn event() -> Value {
    serde_json::from_str(include_str!("../../../../tests/fixtures/sentry/big_python_error.json")).unwrap()
}

fn scrubbed(mut payload: Value) -> (Value, Vec<String>) {
    let removals = scrub(&KEYS, &mut payload);
    (payload, removals.into_iter().map(|removal| format!("{} {}", removal.path, removal.rule)).collect())
}

#[test]
fn a_request_loses_its_secrets_and_says_where() {
    let (request, removals) = scrubbed(json!({ "request": {
        "url": "https://ada:pw@shop.example/pay?token=t0k3n",
        "query_string": "token=t0k3n&page=2",
        "cookies": { "sessionid": "s3ss", "theme": "dark" },
        "headers": [["Authorization", "Bearer abc"], ["Accept", "*/*"], ["X-Forwarded-For", "203.0.113.7"]],
        "env": { "REMOTE_ADDR": "203.0.113.7", "PWD": "/srv/app" },
        "data": { "card[number]": "4111 1111 1111 1111", "note": "mail ada@example.com", "n": 4111111111111111_u64 },
    } }));
    assert_eq!(
        request,
        json!({ "request": {
        "url": "https://[Filtered]@shop.example/pay?token=[Filtered]",
        "query_string": "token=[Filtered]&page=2",
        "cookies": "[Filtered]",
        "headers": [["Authorization", "[Filtered]"], ["Accept", "*/*"], ["X-Forwarded-For", "[Filtered]"]],
        "env": { "REMOTE_ADDR": "[Filtered]", "PWD": "/srv/app" },
        "data": { "card[number]": "[Filtered]", "note": "mail [email]", "n": "[card]" },
    } })
    );
    assert_eq!(
        removals,
        [
            "/request/cookies cookie",
            "/request/data/card[number] credit_card",
            "/request/data/n credit_card",
            "/request/data/note email",
            "/request/env/REMOTE_ADDR ip",
            "/request/headers/0/1 authorization",
            "/request/headers/2/1 ip",
            "/request/query_string token",
            "/request/url url_credentials",
            "/request/url token",
        ]
    );
}

#[test]
fn what_identifies_an_event_and_its_code_stays() {
    let event = json!({
        "event_id": "4111111111111111aaaaaaaaaaaaaaaa",
        "timestamp": 1_795_435_445.25,
        "release": "shop@1.2.3.4",
        "sdk": { "name": "sentry.python", "version": "2.75.0.1", "packages": [{ "name": "x", "version": "1.2.3.4" }] },
        "modules": { "password-strength": "1.2.3.4", "PyJWT": "2.8.0", "google-auth": "2.29.0" },
        "debug_meta": { "images": [{ "debug_id": "e4b1a3", "code_file": "https://10.0.0.1/app.js" }] },
        "contexts": {
            "trace": { "trace_id": "41111111111111114111111111111111", "span_id": "4111111111111111" },
            "runtime": { "name": "CPython", "version": "3.11.2.0" },
            "browser": { "name": "Chrome", "version": "120.1.2.3" },
        },
        "exception": { "values": [{
            "type": "AuthorizationError",
            "module": "a::b::c1",
            "stacktrace": { "frames": [{
                "filename": "app/auth/password@2.example.py",
                "abs_path": "/srv/10.1.2.3/app.py",
                "function": "login@example.com",
                "module": "app.token",
                "lineno": 12,
                "context_line": "    password = form['password']  # 10.1.2.3",
                "pre_context": ["token = None"],
            }] },
        }] },
        "tags": { "author": "ops", "browser": "Chrome 120.0.0.0" },
    });
    assert_eq!(scrubbed(event.clone()), (event, vec![]));
}

#[test]
fn frames_lose_secrets_in_variables_code_and_addresses() {
    let frame = |vars: Value, line: &str, path: &str| {
        json!({ "exception": { "values": [{ "value": "x", "stacktrace": { "frames": [
            { "vars": vars, "context_line": line, "post_context": [line], "abs_path": path, "filename": path }
        ] } }] } })
    };
    let (event, removals) = scrubbed(frame(
        json!({ "password": "'hunter2'", "user": "<User ada@example.com>", "kwargs": { "api_key": ["k"] }, "n": "1" }),
        "OPS = 'ada@example.com'",
        "https://app.example/main.js?access_token=abc",
    ));
    let clean = frame(
        json!({ "password": "[Filtered]", "user": "<User [email]>", "kwargs": { "api_key": "[Filtered]" }, "n": "1" }),
        "OPS = '[email]'",
        "https://app.example/main.js?access_token=[Filtered]",
    );
    assert_eq!(event, clean);
    assert_eq!(removals.len(), 7);
    assert_eq!(removals[0], "/exception/values/0/stacktrace/frames/0/abs_path token");
}

#[test]
fn an_exceptions_type_loses_what_no_class_is_called() {
    let kinds = |kinds: &[&str]| {
        let values: Vec<Value> = kinds.iter().map(|kind| json!({ "type": kind })).collect();
        json!({ "exception": { "values": values } })
    };
    let classes =
        ["auth.TokenError", "Acme::V4::Password", "Foo$1@2x", "std::io::Error", "Password: 127.0.0.1"];
    assert_eq!(scrubbed(kinds(&classes)), (kinds(&classes), vec![]));
    assert_eq!(
        scrubbed(kinds(&["no account ada@example.com", "card 4111 1111 1111 1111"])),
        (
            kinds(&["no account [email]", "card [card]"]),
            vec![
                "/exception/values/0/type email".to_owned(),
                "/exception/values/1/type credit_card".to_owned()
            ]
        )
    );
}

#[test]
fn breadcrumbs_messages_tags_and_extra_are_scrubbed() {
    let (event, _) = scrubbed(json!({
        "logentry": { "message": "no account %s", "params": ["ada@example.com"] },
        "transaction": "/users/ada@example.com",
        "breadcrumbs": { "values": [{ "message": "GET /?apikey=k1", "data": { "url": "http://203.0.113.7/" } }] },
        "tags": [["email", "ada@example.com"], ["session", "abc"]],
        "extra": { "ada@example.com": 1, "list": [{ "name": "Set-Cookie", "value": "a=b" }], "body": "{\"secret\":\"x\"}" },
    }));
    assert_eq!(
        event,
        json!({
            "logentry": { "message": "no account %s", "params": ["[email]"] },
            "transaction": "/users/[email]",
            "breadcrumbs": { "values": [{ "message": "GET /?apikey=[Filtered]", "data": { "url": "http://[ip]/" } }] },
            "tags": [["email", "[email]"], ["session", "[Filtered]"]],
            "extra": {
                "[email]": 1,
                "list": [{ "name": "Set-Cookie", "value": "[Filtered]" }],
                "body": "{\"secret\":\"[Filtered]\"}",
            },
        })
    );
}

#[test]
fn nothing_and_other_meanings_are_kept() {
    let payload = json!({ "extra": {
        "password": null, "token": "", "has_cookie": true, "tokens": 512, "session": { "length": 3 }, "credentials": [],
        "max_tokens": 4096, "authors": ["ada"],
    } });
    assert_eq!(scrubbed(payload.clone()), (payload, vec![]));
}

#[test]
fn a_project_can_add_keys_and_exempt_others() {
    let keys = KeyRules::new(&["matrikel".to_owned()], &["authkeyname".to_owned(), "contact".to_owned()]);
    let mut payload = json!({ "extra": {
        "Matrikel-Nr": "4711", "auth_key_name": "main", "contact": "ada@example.com", "auth_key": "k",
    } });
    let removals = scrub(&keys, &mut payload);
    assert_eq!(
        payload,
        json!({ "extra": {
        "Matrikel-Nr": "[Filtered]", "auth_key_name": "main", "contact": "ada@example.com", "auth_key": "[Filtered]",
    } })
    );
    let rules: Vec<_> = removals.iter().map(|removal| removal.rule.as_str()).collect();
    assert_eq!(rules, ["project:matrikel", "auth"]);
}

#[test]
fn two_keys_that_become_the_same_are_both_kept() {
    let (payload, removals) =
        scrubbed(json!({ "extra": { "a@example.com": 1, "b@example.com": 2, "[email]": 3 } }));
    assert_eq!(payload, json!({ "extra": { "[email]": 3, "[email] 2": 1, "[email] 3": 2 } }));
    assert_eq!(removals, ["/extra/[email] 2 email", "/extra/[email] 3 email"]);
}

#[test]
fn deep_values_are_removed_whole_and_the_list_of_removals_ends() {
    let mut deep = json!("ada@example.com");
    for _ in 0..500 {
        deep = json!([deep]);
    }
    let mut payload = json!({ "extra": deep });
    let removals = scrub(&KEYS, &mut payload);
    assert_eq!((removals.len(), removals[0].rule.as_str()), (1, "depth"));

    let mut many = json!({ "extra": vec!["ada@example.com"; 1_500] });
    assert_eq!(scrub(&KEYS, &mut many).len(), 1_000);
    assert_eq!(many["extra"][1_499], "[email]");
}

#[test]
fn a_path_is_a_json_pointer() {
    let (_, removals) = scrubbed(json!({ "extra": { "a/b~c": ["ada@example.com"] } }));
    assert_eq!(removals, ["/extra/a~1b~0c/0 email"]);
}

/// The event of the Python SDK from which the product is measured: only what identifies people goes.
#[test]
fn a_real_event_stays_readable() {
    let (scrubbed, removals) = scrubbed(event());
    let mut expected = event();
    let mut replaced = Vec::new();
    differences(&mut expected, &scrubbed, &mut String::new(), &mut replaced);
    assert_eq!(
        replaced,
        [
            "/exception/values/2/stacktrace/frames/0/vars/environ/REMOTE_ADDR: \"'127.0.0.1'\" became \"[Filtered]\"",
            "/request/env/REMOTE_ADDR: \"127.0.0.1\" became \"[Filtered]\"",
            "/request/headers/X-Forwarded-For: \"203.0.113.24\" became \"[Filtered]\"",
            "/user/email: \"m.devries@codeland.example\" became \"[email]\"",
            "/user/ip_address: \"203.0.113.24\" became \"[ip]\"",
        ]
    );
    assert_eq!(removals.len(), replaced.len());
}

fn differences(left: &mut Value, right: &Value, path: &mut String, into: &mut Vec<String>) {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            for (key, left) in left {
                let len = path.len();
                path.push('/');
                path.push_str(key);
                differences(left, &right[key.as_str()], path, into);
                path.truncate(len);
            }
        }
        (Value::Array(left), Value::Array(right)) => {
            for (index, left) in left.iter_mut().enumerate() {
                let len = path.len();
                path.push_str(&format!("/{index}"));
                differences(left, &right[index], path, into);
                path.truncate(len);
            }
        }
        (left, right) if left == right => {}
        (left, right) => into.push(format!("{path}: {left} became {right}")),
    }
}

#[test]
fn a_card_number_under_a_key_of_text_secrets_is_replaced_once() {
    let mut payload = json!([{"session": 4_076_197_203_037_552_774_u64}]);
    scrub(&KEYS, &mut payload);
    assert_eq!(payload, json!([{"session": "[card]"}]));
    assert_eq!(scrub(&KEYS, &mut payload), vec![]);
}

/// Run with `cargo test --release -p belvedere-privacy -- --ignored --nocapture scrub_speed`.
#[test]
#[ignore = "measures; prints microseconds for one event of 23 KB"]
fn scrub_speed() {
    let mut event = event();
    scrub(&KEYS, &mut event);
    for (name, event) in [("with removals", self::event()), ("already scrubbed", event)] {
        let mut events: Vec<Value> = vec![event; 2_000];
        let start = std::time::Instant::now();
        let removals: usize = events.iter_mut().map(|event| scrub(&KEYS, event).len()).sum();
        let micros = start.elapsed().as_secs_f64() * 1e6 / 2_000.0;
        println!("{name}: {micros:.1} us an event, {} removals each", removals / 2_000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_json_is_scrubbed_without_panic_and_a_second_time_changes_nothing(mut payload in json_value()) {
        scrub(&KEYS, &mut payload);
        let once = payload.clone();
        let removals = scrub(&KEYS, &mut payload);
        prop_assert_eq!(&payload, &once);
        prop_assert_eq!(removals, vec![]);
    }

    #[test]
    fn planted_secrets_are_nowhere_in_the_output(mut payload in json_value(), at in prop::collection::vec(any::<prop::sample::Index>(), 1..4)) {
        for (number, at) in at.iter().enumerate() {
            plant(&mut payload, number, *at);
        }
        scrub(&KEYS, &mut payload);
        let output = payload.to_string();
        for secret in ["zoe.quinn@", "198.51.100.23", "4012888888881881", "hunter2-planted", "t0k3n-planted"] {
            prop_assert!(!output.contains(secret), "{} in {}", secret, output);
        }
    }
}

/// Puts secrets into the object or list that `at` chooses.
fn plant(payload: &mut Value, number: usize, at: prop::sample::Index) {
    match payload {
        Value::Object(fields) => {
            if !fields.is_empty() && number.is_multiple_of(2) {
                let index = at.index(fields.len());
                // What an event says of itself is not looked into.
                let child = fields
                    .iter_mut()
                    .nth(index)
                    .filter(|(key, _)| !["sdk", "release"].contains(&key.as_str()));
                if let Some((_, child)) = child.filter(|(_, child)| child.is_object() || child.is_array()) {
                    return plant(child, number / 2, at);
                }
            }
            fields.insert("userPassword".to_owned(), json!("hunter2-planted"));
            fields.insert("note".to_owned(), json!("mail zoe.quinn@mail.example from 198.51.100.23"));
            fields.insert("number".to_owned(), json!(4012888888881881_u64));
            fields.insert("link".to_owned(), json!("/cb?access_token=t0k3n-planted"));
        }
        Value::Array(items) => items.push(json!("pay 4012888888881881, zoe.quinn@mail.example")),
        other => *other = json!({ "password": { "x": "hunter2-planted" } }),
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec![
        "password",
        "data",
        "headers",
        "values",
        "exception",
        "stacktrace",
        "frames",
        "vars",
        "extra",
        "tags",
        "value",
        "name",
        "trace_id",
        "version",
        "session",
        "context_line",
        "abs_path",
        "request",
        "ada@example.com",
        "sdk",
        "release",
    ]);
    let text = prop::sample::select(vec![
        "hello",
        "ada@example.com",
        "203.0.113.7",
        "token=abc",
        "{\"secret\": [1, 2",
        "Authorization",
        "",
        "[Filtered]",
        "-----BEGIN PRIVATE KEY-----",
        "a=b&password=x",
        "4111111111111111",
        "https://u:p@h/?sig=1",
        "/srv/app",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text.prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}
