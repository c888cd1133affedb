use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::grouping_rules::Ruling;

fn received() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn arrival<'a>() -> Arrival<'a> {
    Arrival { received_at: received(), ..Arrival::default() }
}

fn stored(event: Value) -> Value {
    normalise(event, &arrival()).unwrap().payload
}

fn rules(normalised: &Normalised) -> Vec<(&str, &str)> {
    normalised.removals.iter().map(|removal| (removal.path.as_str(), removal.rule.as_str())).collect()
}

#[test]
fn every_dialect_ends_in_one_shape() {
    let event = stored(json!({
        "event_id": "3A60E31A-B547-4D65-AAF8-6EEDEFE7D501",
        "timestamp": 1_795_435_190.5,
        "level": 40,
        "platform": "Python",
        "exception": [{"type": "KeyError", "value": 7}, null],
        "stacktrace": {"frames": [{"filename": "a.py", "function": "f"}, {"filename": "/x/site-packages/b.py"}, 3]},
        "breadcrumbs": [{"message": "one"}, "no"],
        "tags": {"a": 1, "b": null, "c": "x\ny"},
        "request": {"url": "/", "headers": {"Accept": ["a", "b"]}},
        "message": "took %s",
        "sentry.interfaces.Message": {"message": "took %s", "params": ["3 s"]},
        "extra": "not an object",
        "environment": " prod ",
        "release": null,
        "_meta": {"x": 1},
        "fingerprint": ["{{ default }}", 7],
    }));
    assert_eq!(
        event,
        json!({
            "event_id": "3a60e31ab5474d65aaf86eedefe7d501",
            "timestamp": "2026-11-23T11:59:50.5Z",
            "level": "error",
            "platform": "python",
            "exception": {"values": [{"type": "KeyError", "value": "7", "stacktrace": {"frames": [
                {"filename": "a.py", "function": "f", "in_app": true},
                {"filename": "/x/site-packages/b.py", "in_app": false},
            ]}}]},
            "breadcrumbs": {"values": [{"message": "one"}]},
            "tags": [["a", "1"], ["c", "x y"]],
            "request": {"url": "/", "headers": [["Accept", "a, b"]]},
            "logentry": {"formatted": "took 3 s", "message": "took %s", "params": ["3 s"]},
            "environment": "prod",
            "fingerprint": ["{{ default }}", "7"],
        })
    );
}

#[test]
fn the_id_of_the_envelope_goes_before_the_payloads_and_that_before_the_assigned_one() {
    let [first, second, third] = ["1", "2", "3"].map(|digit| digit.repeat(32).parse::<EventId>().unwrap());
    let id = |payload: Value, arrival: &Arrival<'_>| normalise(payload, arrival).map(|event| event.event_id);
    let own = || json!({"event_id": "2".repeat(32)});
    let all = Arrival { event_id: Some(first), assigned_id: Some(third), ..arrival() };
    assert_eq!(id(own(), &all), Ok(first));
    let assigned = Arrival { assigned_id: Some(third), ..arrival() };
    assert_eq!(id(own(), &assigned), Ok(second));
    assert_eq!(id(json!({}), &assigned), Ok(third));
    assert_eq!(id(json!({"event_id": "x"}), &assigned), Ok(third));
    assert_eq!(id(json!({"event_id": "x"}), &arrival()), Err(InvalidEvent::EventId));
    assert!(id(json!({}), &arrival()).is_ok());
    assert_eq!(id(json!([]), &arrival()), Err(InvalidEvent::NotAnObject));
}

#[test]
fn the_person_leaves_the_payload_entirely() {
    let event = json!({
        "user": {"id": 20117, "email": "m.devries@codeland.example", "ip_address": "{{auto}}", "geo": {"city": "Utrecht"}},
        "platform": "javascript",
        "tags": {"customer": "20117"},
        "extra": {"note": "c-20117 wrote m.devries@codeland.example"},
        "request": {
            "headers": {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "X-Forwarded-For": "203.0.113.24"},
            "env": {"REMOTE_ADDR": "203.0.113.24", "SERVER_NAME": "shop"},
        },
        "exception": {"values": [{"type": "E", "stacktrace": {"frames": [{"function": "user_20117", "vars": {"u": "'20117'"}}]}}]},
    });
    let raw = event.to_string();
    let event = normalise(
        event,
        &Arrival { remote_ip: Some("203.0.113.24"), raw: Some(raw.as_bytes()), ..arrival() },
    )
    .unwrap();
    assert_eq!(
        event.identity,
        Identity {
            id: Some("20117".to_owned()),
            email: Some("m.devries@codeland.example".to_owned()),
            ip_address: Some("203.0.113.24".to_owned()),
            ..Identity::default()
        }
    );
    assert_eq!(event.payload["tags"], json!([["customer", "[user]"]]));
    assert_eq!(event.payload["extra"], json!({"note": "c-[user] wrote [user]"}));
    assert_eq!(event.payload["request"], json!({"headers": [], "env": {"SERVER_NAME": "shop"}}));
    assert_eq!(
        event.payload["exception"]["values"][0]["stacktrace"]["frames"][0]["vars"],
        json!({"u": "'[user]'"})
    );
    assert_eq!(
        event.payload["contexts"],
        json!({
            "browser": {"name": "Firefox", "version": "145"}, "os": {"name": "Linux"}
        })
    );
    assert_eq!(
        rules(&event),
        [
            ("/user", "identity"),
            ("/request/headers/User-Agent", "user_agent"),
            ("/request/headers/X-Forwarded-For", "ip"),
            ("/request/env/REMOTE_ADDR", "ip"),
            ("/exception/values/0/stacktrace/frames/0/vars/u", "identity"),
            ("/extra/note", "identity"),
            ("/tags/0/1", "identity"),
        ]
    );
}

#[test]
fn the_person_is_found_in_numbers_and_keys_too() {
    let event = json!({
        "user": {"id": 20117, "username": "extra"},
        "extra": {
            "user_id": 20117,
            "order": 201170,
            "c-20117": {"20117": 1, "20118": 2},
            "c-[user]": "sent so",
            "extra": "a word of its own",
        },
        "exception": {"values": [{"type": "E", "stacktrace": {"frames": [
            {"function": "f", "lineno": 20117, "vars": {"ids": [20117, 7], "seen": {"20117": true}}},
        ]}}]},
    });
    let raw = event.to_string();
    let event = normalise(event, &Arrival { raw: Some(raw.as_bytes()), ..arrival() }).unwrap();
    assert_eq!(
        event.payload["extra"],
        json!({
            "user_id": "[user]",
            "order": 201170,
            "c-[user] 2": {"[user]": 1, "20118": 2},
            "c-[user]": "sent so",
            "extra": "a word of its own",
        })
    );
    let frame = &event.payload["exception"]["values"][0]["stacktrace"]["frames"][0];
    assert_eq!(frame["vars"], json!({"ids": ["[user]", 7], "seen": {"[user]": true}}));
    assert_eq!(frame["lineno"], json!(20117));
    for path in ["/extra/user_id", "/extra/c-[user] 2", "/extra/c-[user] 2/[user]"] {
        assert!(rules(&event).contains(&(path, "identity")), "{path}");
    }
}

#[test]
fn the_senders_address_is_inferred_where_the_sdk_wants_it() {
    let address = |event: Value| {
        let arrival = Arrival { remote_ip: Some("203.0.113.24"), ..arrival() };
        normalise(event, &arrival).unwrap().identity.ip_address
    };
    let settings = |word: &str| json!({"platform": "javascript", "sdk": {"settings": {"infer_ip": word}}});
    assert_eq!(address(settings("auto")).as_deref(), Some("203.0.113.24"));
    assert_eq!(address(settings("never")), None);
    assert_eq!(address(json!({"platform": "javascript"})).as_deref(), Some("203.0.113.24"));
    assert_eq!(address(json!({"platform": "python"})), None);
    assert_eq!(address(json!({"user": {"ip_address": "not one"}, "platform": "javascript"})), None);
}

#[test]
fn a_wrong_clock_is_corrected_in_event_and_breadcrumbs() {
    let event = json!({"timestamp": "2026-11-23T13:59:50Z", "breadcrumbs": [{"timestamp": 1_795_442_385}]});
    let event =
        normalise(event, &Arrival { sent_at: Some("2026-11-23T14:00:00Z".parse().unwrap()), ..arrival() })
            .unwrap();
    assert_eq!(event.occurred_at.to_string(), "2026-11-23T11:59:50Z");
    assert!(!event.time_was_clamped);
    assert_eq!(event.payload["timestamp"], "2026-11-23T11:59:50Z");
    assert_eq!(event.payload["breadcrumbs"]["values"][0]["timestamp"], "2026-11-23T11:59:45Z");
}

#[test]
fn lists_are_cut_where_they_say_least() {
    let frames: Vec<Value> = (0..300).map(|line| json!({"function": "f", "lineno": line})).collect();
    let crumbs: Vec<Value> = (0..130).map(|number| json!({"message": number.to_string()})).collect();
    let event = normalise(
        json!({
            "exception": [{"type": "E", "stacktrace": {"frames": frames}}],
            "breadcrumbs": crumbs,
            "extra": {"long": "ä".repeat(10_000), "deep": deep(40)},
        }),
        &arrival(),
    )
    .unwrap();
    let stacktrace = &event.payload["exception"]["values"][0]["stacktrace"];
    let kept = stacktrace["frames"].as_array().unwrap();
    assert_eq!((kept.len(), &kept[124]["lineno"], &kept[125]["lineno"]), (250, &json!(124), &json!(175)));
    assert_eq!(stacktrace["frames_omitted"], json!([125, 175]));
    let crumbs = event.payload["breadcrumbs"]["values"].as_array().unwrap();
    assert_eq!((crumbs.len(), &crumbs[0]["message"]), (100, &json!("30")));
    assert!(event.payload["extra"]["long"].as_str().unwrap().len() <= 8_192);
    assert_eq!(
        rules(&event),
        [
            ("/exception/values/0/stacktrace/frames", "limit"),
            ("/breadcrumbs/values", "limit"),
            ("/extra/deep/a/a/a/a/a/a/a/a/a/a/a", "limit"),
            ("/extra/long", "limit"),
        ]
    );
}

#[test]
fn objects_lose_overlong_keys_and_what_is_beyond_the_most() {
    let many: Map<String, Value> = (0..1_010).map(|number| (format!("k{number:04}"), Value::Null)).collect();
    let long = Map::from_iter([("x".repeat(257), json!(1)), ("y".repeat(256), json!(2))]);
    let event = normalise(json!({"extra": {"many": many, "long": long}}), &arrival()).unwrap();
    assert_eq!(event.payload["extra"]["many"].as_object().unwrap().len(), 1_000);
    assert_eq!(event.payload["extra"]["long"], json!({"y".repeat(256): 2}));
    assert_eq!(rules(&event), [("/extra/long", "limit"), ("/extra/many", "limit")]);
}

#[test]
fn events_made_to_be_slow_are_not() {
    let started = std::time::Instant::now();
    let event = json!({
        "user": {"id": "12345"},
        "logentry": {"message": "%(".repeat(300_000), "params": {"a": 1}},
        "extra": {"words": "12345 ".repeat(100_000), "keys": {"k".repeat(300_000): vec!["12345"; 1_000]}},
        "exception": [{"type": "E", "stacktrace": {"frames": [{"function": "<".repeat(200_000)}]}}],
    });
    let event = normalise(event, &arrival()).unwrap();
    let _ = crate::grouping::group(&event.payload, &Ruling::default());
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    assert!(event.removals.iter().map(|removal| removal.path.len()).sum::<usize>() < 10_000);
}

fn deep(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!({ "a": inner }))
}

#[test]
fn a_compiled_frame_of_a_library_is_not_the_applications_even_if_the_sdk_says_so() {
    let frame = |path: &str| json!({"function": "f", "abs_path": path, "in_app": true});
    let frames = vec![
        json!({"function": "main", "in_app": true}),
        frame("/rustc/59807616/library/std/src/rt.rs"),
        frame("/usr/local/cargo/registry/src/index/serde-1.0/src/lib.rs"),
        frame("/srv/codeland/rusty/src/main.rs"),
    ];
    let event = stored(
        json!({"platform": "native", "exception": [{"type": "panic", "stacktrace": {"frames": frames}}]}),
    );
    let frames = event["exception"]["values"][0]["stacktrace"]["frames"].as_array().unwrap();
    let in_app: Vec<_> = frames.iter().map(|frame| frame["in_app"] == true).collect();
    assert_eq!(in_app, [false, false, false, true]);
}

#[test]
fn nul_characters_never_reach_a_column() {
    let event = normalise(
        json!({"release": "a\0b", "environment": "c\0", "exception": [{"type": "E\0", "value": "v\0w"}]}),
        &arrival(),
    )
    .unwrap();
    assert_eq!(event.release.as_deref(), Some("a b"));
    assert_eq!(event.environment.as_deref(), Some("c"));
    assert_eq!(describe(&event.payload).title, "E : v w");
}

#[test]
fn what_is_composed_of_short_parts_is_shortened_like_any_other() {
    let part = "x".repeat(1_000);
    let list: Vec<&str> = (0..20).map(|_| part.as_str()).collect();
    let event = json!({
        "logentry": {"message": "%s".repeat(20), "params": list},
        "exception": {"type": "E", "value": list, "stacktrace": {"frames": [{"function": "f"}]}},
        "request": {"headers": {"accept": list}},
        "tags": {"a": part},
        "fingerprint": [part],
    });
    let (read, extent) = parse_measured(event.to_string().as_bytes()).unwrap();
    let event = normalise(read, &Arrival { extent: Some(extent), ..arrival() }).unwrap();
    let bytes = |pointer: &str| event.payload.pointer(pointer).and_then(Value::as_str).unwrap().len();
    assert_eq!(bytes("/logentry/formatted"), 8 << 10);
    assert_eq!(bytes("/exception/values/0/value"), 8 << 10);
    assert!(bytes("/request/headers/0/1") <= 8 << 10);
    assert!(rules(&event).contains(&("/exception/values/0/value", "limit")));
    assert!(rules(&event).contains(&("/logentry/formatted", "limit")));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z%{}()\\\\\u{0}-\u{ff}]{0,12}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        proptest::sample::select(vec![
            "values",
            "frames",
            "stacktrace",
            "exception",
            "type",
            "value",
            "mechanism",
            "logentry",
            "message",
            "params",
            "tags",
            "request",
            "headers",
            "user",
            "id",
            "ip_address",
            "breadcrumbs",
            "timestamp",
            "function",
            "filename",
            "module",
            "in_app",
            "fingerprint",
            "threads",
            "contexts",
            "level",
            "platform",
            "event_id",
        ])
        .prop_map(str::to_owned),
        "[a-z]{0,3}",
    ];
    leaf.prop_recursive(6, 60, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(key.clone(), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_known_to_fit_is_normalised_as_if_nothing_were_known(
        event in any_json(),
        long in proptest::collection::vec(prop_oneof![0_usize..9, 1_000_usize..1_050], 0..8),
        deep in 0_usize..14,
    ) {
        let mut event = event;
        let long: Vec<Value> = long.into_iter().map(|count| "y".repeat(count).into()).collect();
        let nested = (0..deep).fold(json!(7), |inner, _| json!([inner]));
        if let Value::Object(event) = &mut event {
            event.insert("extra".to_owned(), json!({"nested": nested, "long": long}));
            event.insert("exception".to_owned(), json!({
                "value": long,
                "stacktrace": {"frames": [{"function": "f", "vars": {"nested": nested, "long": long}}]},
            }));
        }
        let raw = event.to_string();
        let (read, extent) = parse_measured(raw.as_bytes()).unwrap();
        prop_assert_eq!(&read, &event);
        let arrival = Arrival { assigned_id: Some("1".repeat(32).parse().unwrap()), ..arrival() };
        let unknown = normalise(event, &Arrival { raw: Some(raw.as_bytes()), ..arrival.clone() });
        let known = Arrival { raw: Some(raw.as_bytes()), extent: Some(extent), ..arrival };
        prop_assert_eq!(normalise(read, &known), unknown);
    }

    #[test]
    fn any_json_is_stored_or_refused_and_storing_it_again_changes_nothing(event in any_json()) {
        let arrival = Arrival { assigned_id: Some("1".repeat(32).parse().unwrap()), ..arrival() };
        if let Ok(once) = normalise(event, &arrival) {
            let _ = describe(&once.payload);
            let _ = crate::grouping::group(&once.payload, &Ruling::default());
            prop_assert!(once.payload.get("user").is_none());
            let twice = normalise(once.payload.clone(), &arrival).unwrap();
            prop_assert_eq!(twice.payload, once.payload);
        }
    }
}
