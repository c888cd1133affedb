use serde_json::json;

use super::*;

fn group(event: &Value) -> Grouping {
    super::group(event, &Ruling::default())
}

fn hash(event: &Value) -> [u8; 16] {
    group(event).hash
}

/// A Python exception raised in `function` with `context` as the line of source.
fn raised(kind: &str, value: &str, function: &str, lineno: u32) -> Value {
    json!({"platform": "python", "exception": {"values": [{"type": kind, "value": value, "stacktrace": {"frames": [
        {"module": "django.core", "function": "handle", "in_app": false, "lineno": lineno, "context_line": "  call(request)"},
        {"module": "shop.views", "function": function, "in_app": true, "lineno": lineno, "abs_path": format!("/srv/{lineno}/views.py")},
    ]}}]}})
}

#[test]
fn line_numbers_directories_and_messages_do_not_matter_beside_a_stack_trace() {
    let first = group(&raised("KeyError", "'a'", "pay", 10));
    assert_eq!(first.hash, hash(&raised("KeyError", "'b'", "pay", 99)));
    assert_eq!(first.reason, "type and frames of the application of the exception");
    assert_eq!(first.values, ["type: KeyError", "frame: shop.views | pay"]);
    assert_eq!(first.version, 2);
    assert_eq!(first.older_hash, None);
    assert_eq!(first.explanation.chosen_by, "built-in rule: exceptions and their stack traces");
    assert_eq!(first.explanation.variant, Some(Variant::Application));
    assert_eq!(first.explanation.left_out, ["1 system frame"]);
}

#[test]
fn another_type_or_another_frame_of_the_application_is_another_issue() {
    let first = hash(&raised("KeyError", "x", "pay", 1));
    assert_ne!(first, hash(&raised("ValueError", "x", "pay", 1)));
    assert_ne!(first, hash(&raised("KeyError", "x", "refund", 1)));
}

#[test]
fn frames_of_libraries_count_only_when_there_are_no_others() {
    let mut event = raised("KeyError", "x", "pay", 1);
    event["exception"]["values"][0]["stacktrace"]["frames"][0]["function"] = "other".into();
    assert_eq!(hash(&event), hash(&raised("KeyError", "x", "pay", 1)));
    event["exception"]["values"][0]["stacktrace"]["frames"][1]["in_app"] = false.into();
    let grouping = group(&event);
    assert_eq!(
        grouping.values,
        ["type: KeyError", "frame: django.core | other | call(request)", "frame: shop.views | pay"]
    );
    assert_eq!(grouping.reason, "type and frames of the exception");
}

#[test]
fn a_varying_number_in_the_message_does_not_split_an_exception_without_frames() {
    let event = |value: &str| json!({"exception": {"values": [{"type": "NotFound", "value": value}]}});
    assert_eq!(hash(&event("user 17 not found")), hash(&event("user 18 not found")));
    assert_ne!(hash(&event("user 17 not found")), hash(&event("basket 17 not found")));
    let grouping = group(&event("user 17 not found"));
    assert_eq!(grouping.values, ["type: NotFound", "message: user <int> not found"]);
    assert_eq!(grouping.reason, "type and message of the exception");
}

#[test]
fn every_exception_of_a_chain_counts() {
    let chain = |cause: &str, value: &str| {
        let mut event = raised("CheckoutError", "x", "pay", 1);
        let system = json!({"type": cause, "value": value, "stacktrace": {"frames": [
            {"module": "psycopg", "function": "connect", "in_app": false},
        ]}});
        event["exception"]["values"].as_array_mut().unwrap().insert(0, system);
        event
    };
    let grouping = group(&chain("OperationalError", "server db-1 is gone"));
    assert_eq!(grouping.values, ["type: OperationalError", "type: CheckoutError", "frame: shop.views | pay"]);
    assert_eq!(grouping.reason, "type and frames of the application of each of 2 exceptions");
    assert_eq!(grouping.hash, hash(&chain("OperationalError", "server db-2 has gone")));
    assert_ne!(grouping.hash, hash(&chain("TimeoutError", "server db-1 is gone")));
}

#[test]
fn a_captured_message_is_grouped_by_its_message() {
    let event = |value: &str, function: &str| {
        json!({"platform": "javascript", "logentry": {"formatted": value}, "exception": {"values": [
            {"value": value, "mechanism": {"synthetic": true}, "stacktrace": {"frames": [
                {"filename": "http://shop.example/main.js", "function": function, "in_app": true},
            ]}},
        ]}})
    };
    let grouping = group(&event("basket b-88412 was abandoned", "n"));
    assert_eq!(
        (grouping.reason.as_str(), grouping.values),
        ("message", vec!["message: basket b-<int> was abandoned".to_owned()])
    );
    assert_eq!(grouping.hash, hash(&event("basket b-7 was abandoned", "uO")));
    assert_ne!(grouping.hash, hash(&event("customer left", "n")));
}

#[test]
fn a_template_is_what_counts_of_a_message() {
    let event =
        |name: &str| json!({"logentry": {"message": "no %s here", "formatted": format!("no {name} here")}});
    assert_eq!(hash(&event("cheese")), hash(&event("bread")));
    assert_eq!(group(&event("bread")).values, ["message: no %s here"]);
}

#[test]
fn a_synthetic_type_does_not_count_beside_frames() {
    let event = |kind: &str| {
        let mut event = raised(kind, "x", "pay", 1);
        event["exception"]["values"][0]["mechanism"] = json!({"synthetic": true});
        event
    };
    assert_eq!(hash(&event("SIGSEGV")), hash(&event("SIGBUS")));
    let bare = json!({"exception": {"values": [{"type": "SIGSEGV", "mechanism": {"synthetic": true}}]}});
    assert_eq!(group(&bare).values, ["type: SIGSEGV"]);
}

#[test]
fn the_fingerprint_of_the_client_decides() {
    let with = |fingerprint: Value, value: &str| {
        let mut event = raised("KeyError", value, "pay", 1);
        event["fingerprint"] = fingerprint;
        event["tags"] = json!([["region", "eu"]]);
        event["transaction"] = "/checkout".into();
        event
    };
    let default = hash(&raised("KeyError", "x", "pay", 1));
    assert_eq!(hash(&with(json!(["{{ default }}"]), "x")), default);
    assert_eq!(hash(&with(json!([]), "x")), default);

    let own = group(&with(
        json!(["stock", "{{ tags.region }}-{{type}}", "{{ transaction }}", "{{ tags.none }}", "{{ odd }}"]),
        "x",
    ));
    assert_eq!(own.reason, "fingerprint of the client");
    assert_eq!(own.explanation.chosen_by, "fingerprint that the client sent");
    assert_eq!(own.explanation.variant, None);
    assert_eq!(
        own.values,
        [
            "fingerprint: stock",
            "fingerprint: eu-KeyError",
            "fingerprint: /checkout",
            "fingerprint: <no tags.none>",
            "fingerprint: {{ odd }}",
        ]
    );

    let both = group(&with(json!(["{{ default }}", "stock"]), "x"));
    assert_eq!(both.reason, "fingerprint of the client together with the default rules");
    assert_eq!(both.values, ["type: KeyError", "frame: shop.views | pay", "fingerprint: stock"]);
    assert_ne!(both.hash, default);
}

#[test]
fn values_cannot_be_shifted_into_each_other() {
    let event = |parts: Value| json!({"fingerprint": parts});
    assert_ne!(hash(&event(json!(["a", "bc"]))), hash(&event(json!(["ab", "c"]))));
}

#[test]
fn members_of_an_exception_group_count_once_each() {
    let event = |members: usize| {
        let mut values = vec![json!({"type": "ValueError", "value": "negative"}); members];
        values.push(
            json!({"type": "ExceptionGroup", "value": "rows", "mechanism": {"is_exception_group": true}}),
        );
        json!({"exception": {"values": values}})
    };
    assert_eq!(hash(&event(1)), hash(&event(7)));
}

#[test]
fn only_a_lone_thread_speaks_for_the_event() {
    let thread = |function: &str| json!({"stacktrace": {"frames": [{"module": "a", "function": function, "in_app": true}]}});
    let alone = group(&json!({"platform": "java", "threads": {"values": [thread("run")]}}));
    assert_eq!(alone.reason, "stack trace of the only thread, frames of the application");
    assert_eq!(alone.values, ["frame: a | run"]);
    let several = group(&json!({"platform": "java", "threads": {"values": [thread("run"), thread("wait")]}}));
    assert_eq!(several.reason, "nothing but where the event came from");
}

#[test]
fn minified_names_at_other_hosts_and_depths_of_recursion_do_not_matter() {
    let event = |host: &str, depth: usize| {
        let frame = json!({"filename": format!("https://{host}/a.js"), "function": "Object.walk", "in_app": true, "lineno": depth});
        json!({"platform": "javascript", "exception": {"values": [{"type": "RangeError", "stacktrace": {"frames": vec![frame; depth]}}]}})
    };
    assert_eq!(hash(&event("a.example", 3)), hash(&event("b.example", 90)));
    let grouping = group(&event("a.example", 3));
    assert_eq!(grouping.values, ["type: RangeError", "frame: walk"]);
    assert_eq!(grouping.explanation.left_out, ["2 frames of a recursion"]);
}

#[test]
fn an_event_that_says_nothing_is_grouped_by_where_it_came_from() {
    assert_eq!(
        group(&json!({"platform": "other", "logger": "cron"})).values,
        ["logger: cron", "platform: other"]
    );
    assert_eq!(group(&json!(null)).values, Vec::<String>::new());
}
