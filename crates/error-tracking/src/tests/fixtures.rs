use std::path::PathBuf;

use belvedere_kernel::Delivery;
use belvedere_storage::database_tests;
use belvedere_storage::testing::TestDatabase;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::fakes::{Bench, PROJECT, delivery};
use crate::encoding::decode_body;
use crate::envelope::parse_outline;
use crate::event::parse_event;
use crate::{ErrorTracking, ListIssues};

database_tests!(what_real_sdks_send_is_stored_item_by_item, errors_of_real_sdks_are_presented_well);

/// What is known of a captured request.
#[derive(Deserialize)]
struct Capture {
    path: String,
    headers: std::collections::BTreeMap<String, String>,
    items: Vec<String>,
    event_id: Option<String>,
}

fn captures() -> Vec<(String, Capture, Vec<u8>)> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/sentry");
    let mut captures = Vec::new();
    for entry in std::fs::read_dir(&directory).unwrap() {
        let body = entry.unwrap().path();
        if body.extension().is_some_and(|extension| extension == "body") {
            let capture = std::fs::read(body.with_extension("json")).unwrap();
            let name = body.file_stem().unwrap().to_string_lossy().into_owned();
            captures.push((name, serde_json::from_slice(&capture).unwrap(), std::fs::read(&body).unwrap()));
        }
    }
    captures.sort_by(|left, right| left.0.cmp(&right.0));
    assert!(captures.len() > 60, "only {} captured requests in {}", captures.len(), directory.display());
    captures
}

fn deliver(capture: &Capture, body: &[u8]) -> Option<Delivery> {
    if capture.path.contains("/security/") {
        // As the door hands it on.
        let item = format!(
            "{{}}\n{{\"type\":\"raw_security\",\"length\":{},\"sentry_release\":\"storefront@4.1.0\"}}\n",
            body.len()
        );
        let body = Bytes::from([item.as_bytes(), body].concat());
        return Some(Delivery { body, ..delivery("sentry.envelope", b"") });
    }
    let kind = if capture.path.contains("/envelope") || capture.path.contains("/tunnel") {
        "sentry.envelope"
    } else if capture.path.contains("/store") {
        "sentry.store"
    } else {
        return None;
    };
    let encoding = capture.headers.get("content-encoding").cloned();
    Some(Delivery { encoding, body: Bytes::copy_from_slice(body), ..delivery(kind, b"") })
}

/// The events that real SDKs sent, with the name of the capture.
pub(super) fn events_of_real_sdks() -> Vec<(String, Value)> {
    let mut events = Vec::new();
    for (name, capture, body) in captures() {
        let Some(delivery) = deliver(&capture, &body) else { continue };
        let body = decode_body(delivery.encoding.as_deref(), &delivery.body, 1 << 20).unwrap();
        if delivery.kind == "sentry.envelope" {
            let outline = parse_outline(&body).unwrap();
            for item in outline.items.iter().filter(|item| item.kind == "event") {
                events.push((name.clone(), parse_event(&body[item.payload.clone()]).unwrap()));
            }
        } else if let Ok(event) = parse_event(&body) {
            events.push((name, event));
        }
    }
    events
}

async fn what_real_sdks_send_is_stored_item_by_item(db: TestDatabase) {
    let bench = Bench::new(db);
    let mut read = 0;
    for (name, capture, body) in captures() {
        let Some(delivery) = deliver(&capture, &body) else { continue };
        let kind = delivery.kind.clone();
        let (stored, rejected) = bench.take_in(&kind, vec![delivery]).await.unwrap();
        assert_eq!(rejected, [], "{name}");
        let mut counted: Vec<String> = Vec::new();
        for tally in stored.tallies.iter().filter(|tally| !tally.item.starts_with("client:")) {
            // The ends of runs come before their beginnings here, and know nothing of their monitors.
            let is_early = tally.item == "check_in" && tally.reason == "unknown_monitor";
            assert!(matches!(tally.reason, "" | "not_yet_supported") || is_early, "{name}: {tally:?}");
            // Logs are counted by record, not by container.
            let quantity = if tally.item == "log" { 1 } else { tally.quantity };
            counted.extend((0..quantity).map(|_| tally.item.clone()));
        }
        let mut expected = capture.items.clone();
        if expected == ["csp-report"] {
            // The report, and the event that it became.
            expected = vec!["event".to_owned(), "raw_security".to_owned()];
        }
        expected.sort();
        counted.sort();
        assert_eq!(counted, expected, "{name}");
        if capture.items.iter().any(|item| item == "event")
            && let Some(id) = &capture.event_id
        {
            let event = bench.errors.find_event(PROJECT, id).await.unwrap();
            let event = event.unwrap_or_else(|| panic!("{name}: no event {id}"));
            assert!(!event.time_was_clamped, "{name}: {}", event.summary.occurred_at);
            assert_ne!(event.summary.title, "<unlabeled event>", "{name}");
        }
        read += 1;
    }
    assert!(read > 60, "only {read} deliveries");
}

async fn errors_of_real_sdks_are_presented_well(db: TestDatabase) {
    let bench = Bench::new(db);
    let captures = captures();
    for (name, title, culprit) in [
        (
            "browser_exception",
            "TypeError: Cannot read properties of undefined (reading 'filter')",
            "/assets/main.js in uO",
        ),
        ("browser_message", "customer left the checkout", "/assets/main.js in mi"),
        ("node_message", "basket b-88412 was abandoned", "/srv/codeland/web/node.mjs in Object.message"),
        (
            "python_flask_error_gzip",
            "CheckoutError: payment of basket b-88412 failed at authorise",
            "shop/services/checkout.py in settle",
        ),
        (
            "rust_panic",
            "panic: import failed: Row { number: 2, source: Parse(ParseIntError { kind: InvalidDigit }) }",
            "main.rs in depot::main::{{closure}}",
        ),
    ] {
        let (_, capture, body) = captures.iter().find(|(other, ..)| other == name).unwrap();
        bench.take_in("sentry.envelope", vec![deliver(capture, body).unwrap()]).await.unwrap();
        let event =
            bench.errors.find_event(PROJECT, capture.event_id.as_ref().unwrap()).await.unwrap().unwrap();
        assert_eq!((event.summary.title.as_str(), event.culprit.as_str()), (title, culprit), "{name}");
        assert_eq!(event.payload.get("user"), None, "{name}");
        assert!(event.summary.subject.is_some(), "{name}");
    }
    // The same error, sent in two encodings, is one issue.
    let (_, capture, body) = captures.iter().find(|(name, ..)| name == "python_flask_error_br").unwrap();
    bench.take_in("sentry.envelope", vec![deliver(capture, body).unwrap()]).await.unwrap();
    let issues = bench.errors.list_issues(ListIssues::first(PROJECT)).await.unwrap().items;
    assert_eq!(issues.len(), 5);
}
