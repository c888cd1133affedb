//! Product events through the doors of Segment's, PostHog's and Jitsu's clients.

use axum::body::Body;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use belvedere_business_intelligence::track::event::{AnalyticsEvent, EventKind};
use belvedere_storage::testing::run;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::codecs::CODECS;
use super::house::{Answer, House, request, send};

async fn post(house: &House, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
    house.send(request(Method::POST, path, headers, body)).await
}

/// What the doors put on disk.
async fn events(house: &House) -> Vec<AnalyticsEvent> {
    let deliveries = house.deliveries().await;
    assert!(deliveries.iter().all(|delivery| delivery.kind == "track.events" && delivery.encoding.is_none()));
    let bodies = deliveries.iter().map(|it| serde_json::from_slice::<Vec<AnalyticsEvent>>(&it.body).unwrap());
    bodies.flatten().collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let (_, encode) = CODECS.iter().find(|(token, _)| *token == "gzip").unwrap();
    encode(&mut text.as_bytes())
}

fn item(kind: &str) -> Value {
    json!({"type": kind, "userId": "ada", "event": "Signed Up", "groupId": "g", "previousId": "v1"})
}

#[test]
fn every_path_of_segments_clients_takes_its_call() {
    run(async {
        let house = House::new().await;
        let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{}:", house.key())));
        let paths = [
            ("identify", ["/v1/identify", "/v1/i"]),
            ("track", ["/v1/track", "/v1/t"]),
            ("page", ["/v1/page", "/v1/p"]),
            ("screen", ["/v1/screen", "/v1/s"]),
            ("group", ["/v1/group", "/v1/g"]),
            ("alias", ["/v1/alias", "/v1/a"]),
        ];
        for (kind, [long, short]) in paths {
            let answer = post(&house, long, &[("authorization", &basic)], item(kind).to_string()).await;
            assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!({"success": true})), "{long}");
            // A browser says who it is in the body, and calls it text so that nobody has to be asked first.
            let mut body = item(kind);
            body["writeKey"] = house.key().into();
            let headers = [("content-type", "text/plain"), ("origin", "https://shop.example")];
            let answer = post(&house, short, &headers, body.to_string()).await;
            assert_eq!(answer.status, StatusCode::OK, "{short}");
            assert_eq!(answer.header("access-control-allow-origin"), "*");
        }
        for (path, body) in [
            ("/v1/batch", json!({"batch": [item("track"), item("page")]})),
            ("/v1/b", json!({"batch": [item("track")], "writeKey": house.key()})),
        ] {
            let answer = post(&house, path, &[("authorization", &basic)], body.to_string()).await;
            assert_eq!(answer.json(), json!({"success": true}), "{path}");
        }
        for (path, kind) in [("identify", "identify"), ("track", "track"), ("page", "page")] {
            let path = format!("/api/s/{path}");
            let answer = post(&house, &path, &[("x-write-key", house.key())], item(kind).to_string()).await;
            assert_eq!(answer.json(), json!({"success": true}), "{path}");
        }
        let events = events(&house).await;
        assert_eq!(events.len(), 18);
        assert!(events.iter().all(|event| event.message_id.len() == 26 && event.user_id.is_some()));
        let kinds: Vec<EventKind> = events.iter().take(12).map(|event| event.kind).collect();
        use EventKind::{Alias, Group, Identify, Page, Screen, Track};
        let expected =
            [Identify, Identify, Track, Track, Page, Page, Screen, Screen, Group, Group, Alias, Alias];
        assert_eq!(kinds, expected);
    });
}

#[test]
fn bodies_are_decoded_whatever_their_headers_say() {
    run(async {
        let house = House::new().await;
        let body = json!({"batch": [item("track")], "writeKey": house.key()}).to_string();
        for (token, encode) in CODECS {
            let answer =
                post(&house, "/v1/batch", &[("content-encoding", token)], encode(&mut body.as_bytes())).await;
            assert_eq!(answer.status, StatusCode::OK, "{token}");
        }
        for content_type in ["application/x-www-form-urlencoded", "text/plain"] {
            let answer = post(&house, "/v1/batch", &[("content-type", content_type)], gzip(&body)).await;
            assert_eq!(answer.status, StatusCode::OK, "{content_type}");
        }
        let bomb = gzip(&"[".repeat(600_000));
        let answer = post(&house, "/v1/batch", &[], bomb).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(
            answer.json()["detail"],
            "invalid event: the body has 600000 bytes, at most 512000 are allowed"
        );
        let answer = post(&house, "/v1/batch", &[], " ".repeat(512_001)).await;
        assert_eq!(answer.json()["detail"], "invalid event: the body has more than 512000 bytes");
        assert_eq!(events(&house).await.len(), 6);
    });
}

#[test]
fn what_is_wrong_is_named_counted_and_costs_nothing_else() {
    run(async {
        let house = House::new().await;
        let key = house.key();
        let wrong = json!({"type": "track", "userId": "ada"});
        let body = json!({"batch": [wrong, item("track"), 7], "writeKey": key}).to_string();
        let answer = post(&house, "/v1/batch", &[], body).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(
            answer.json(),
            json!({"success": true, "accepted": 1, "refused": 2, "errors": [
                {"index": 0, "field": "event", "reason": "is missing"},
                {"index": 2, "field": "", "reason": "is not an object"},
            ]})
        );
        let body = json!({"event": "A", "writeKey": key}).to_string();
        let large =
            json!({"event": "A", "userId": "ada", "writeKey": key, "properties": {"a": "x".repeat(33_000)}});
        let answer = post(&house, "/v1/t", &[], large.to_string()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        let answer = post(&house, "/v1/track", &[], body).await;
        assert_eq!((answer.status, &answer.json()["success"]), (StatusCode::BAD_REQUEST, &json!(false)));
        assert_eq!(answer.json()["errors"][0]["reason"], "is missing, and so is anonymousId");
        let many = json!({"batch": vec![7; 150], "api_key": key}).to_string();
        let answer = post(&house, "/batch/", &[], many).await;
        assert_eq!((answer.status, &answer.json()["status"]), (StatusCode::BAD_REQUEST, &json!("Error")));
        assert_eq!(answer.json()["refused"], 150);
        assert_eq!(answer.json()["errors"].as_array().unwrap().len(), 100);
        assert_eq!(house.noted().await, [("product_event".to_owned(), "invalid".to_owned(), 154)]);
    });
}

#[test]
fn keys_limits_origins_and_the_switch_are_as_at_the_other_doors() {
    run(async {
        let mut house = House::new().await;
        let body = |key: &str| json!({"batch": [item("track")], "writeKey": key}).to_string();
        let nobody = post(&house, "/v1/batch", &[], json!({"batch": [item("track")]}).to_string()).await;
        assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
        assert!(nobody.json()["detail"].as_str().unwrap().starts_with("no write key"), "{}", nobody.json());
        let stranger = post(&house, "/v1/batch", &[], body(&"0".repeat(32))).await;
        assert_eq!(stranger.status, StatusCode::FORBIDDEN);
        let limited = house.limited_key(Some(1), &["https://shop.example"]).await.public_key;
        let elsewhere = [("origin", "https://other.example")];
        assert_eq!(post(&house, "/v1/b", &elsewhere, body(&limited)).await.status, StatusCode::FORBIDDEN);
        // The limit is remembered by one router.
        let router = house.router();
        let first = send(&router, request(Method::POST, "/v1/b", &[], body(&limited))).await;
        let second = send(&router, request(Method::POST, "/v1/b", &[], body(&limited))).await;
        assert_eq!((first.status, second.status), (StatusCode::OK, StatusCode::TOO_MANY_REQUESTS));
        assert!(second.header("retry-after").parse::<u32>().unwrap() > 0);
        let key = house.key().to_owned();
        house.state.features.business_intelligence = false;
        assert_eq!(post(&house, "/v1/batch", &[], body(&key)).await.status, StatusCode::NOT_FOUND);
        let gone = house.send(request(Method::GET, &format!("/array/{key}/config"), &[], "")).await;
        assert_eq!(gone.status, StatusCode::NOT_FOUND);
        let noted = house.noted().await;
        assert!(noted.contains(&("product_event".to_owned(), "switched_off".to_owned(), 2)), "{noted:?}");
        assert!(noted.contains(&("product_event".to_owned(), "rate_limited".to_owned(), 1)), "{noted:?}");
        let asked = house.send(request(Method::OPTIONS, "/api/s/track", &[], "")).await;
        assert_eq!(asked.status, StatusCode::OK);
        assert!(asked.header("access-control-allow-headers").contains("x-write-key"));
    });
}

#[test]
fn a_browser_is_told_to_send_everything_here() {
    run(async {
        let house = House::new().await;
        let path = format!("/v1/projects/{}/settings", house.key());
        let settings = house.send(request(Method::GET, &path, &[], "")).await;
        let segment = &settings.json()["integrations"]["Segment.io"];
        assert_eq!(segment["apiHost"], "belvedere.example/v1");
        assert_eq!(segment["protocol"], "https");
        let path = format!("/v1/projects/{}/settings", "0".repeat(32));
        assert_eq!(house.send(request(Method::GET, &path, &[], "")).await.status, StatusCode::FORBIDDEN);
        let script = house.send(request(Method::GET, "/b.js", &[], "")).await;
        assert_eq!(script.header("content-type"), "text/javascript; charset=utf-8");
        assert!(script.header("cache-control").contains("max-age"));
    });
}

#[test]
fn every_path_of_posthogs_clients_is_answered() {
    run(async {
        let house = House::new().await;
        let key = house.key();
        let one = json!({"api_key": key, "event": "A", "distinct_id": "ada"}).to_string();
        for path in ["/e", "/e/", "/i/v0/e", "/i/v0/e/", "/capture", "/capture/"] {
            let answer = post(&house, path, &[], one.clone()).await;
            assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!({"status": "Ok"})), "{path}");
        }
        let page = json!({"api_key": key, "batch": [{"event": "$pageview", "uuid": "u1",
            "properties": {"distinct_id": "v1", "$device_id": "v1"}}]})
        .to_string();
        // A page sends compressed text without saying so, and a form when it closes.
        let headers = [("content-type", "text/plain"), ("origin", "https://shop.example")];
        let answer = post(&house, "/e/?compression=gzip-js&ver=1.449.2", &headers, gzip(&page)).await;
        assert_eq!(answer.status, StatusCode::OK);
        let form = format!("data={}", BASE64_STANDARD.encode(&page).replace('+', "%2B").replace('=', "%3D"));
        let form_type = [("content-type", "application/x-www-form-urlencoded")];
        let answer = post(&house, "/e/?compression=base64", &form_type, form).await;
        assert_eq!(answer.status, StatusCode::OK);
        let events = events(&house).await;
        assert_eq!(events.len(), 8);
        assert_eq!((events[7].kind, events[7].message_id.as_str()), (EventKind::Page, "u1"));
        let question = json!({"token": key, "distinct_id": "ada"}).to_string();
        for path in ["/flags/?v=2", "/flags?v=2", "/decide/?v=3", "/decide"] {
            let answer = post(&house, path, &[], gzip(&question)).await;
            let flags = answer.json();
            assert_eq!(
                (answer.status, &flags["flags"], &flags["featureFlags"]),
                (StatusCode::OK, &json!({}), &json!({}))
            );
        }
        let nobody = post(&house, "/flags/?v=2", &[], "{}").await;
        assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
        let config = house.send(request(Method::GET, &format!("/array/{key}/config"), &[], "")).await;
        assert_eq!(config.json()["supportedCompression"], json!(["gzip", "gzip-js"]));
        let script = house.send(request(Method::GET, &format!("/array/{key}/config.js"), &[], "")).await;
        assert!(script.text.contains("_POSTHOG_REMOTE_CONFIG"));
    });
}

/// Whom an event is about, in a word.
fn whom(event: &AnalyticsEvent) -> &'static str {
    match (event.user_id.as_deref(), event.anonymous_id.is_some(), event.previous_id.is_some()) {
        (Some("user-7"), _, true) => "user-7, who was a visitor",
        (Some("user-7"), true, _) => "user-7 as visitor",
        (Some("user-7"), false, _) => "user-7",
        (None, true, _) => "visitor",
        (None, false, _) => "nobody",
        (Some(_), _, _) => "somebody else",
    }
}

/// Sends what a client sent, as `tests/track/record.mjs` wrote it down, and says what was taken of it.
async fn replay(client: &str) -> Vec<String> {
    let file = format!("{}/../../tests/fixtures/track/{client}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let house = House::new().await;
    house.clock.set("2026-11-29T12:00:00Z".parse().unwrap());
    let text = text.replace(&"0".repeat(32), house.key());
    for sent in serde_json::from_str::<Vec<Value>>(&text).unwrap() {
        let word = |name: &str| sent[name].as_str();
        let basic = word("basic").map(|basic| format!("Basic {}", BASE64_STANDARD.encode(basic)));
        let headers = [
            ("content-type", word("content_type")),
            ("content-encoding", word("content_encoding")),
            ("authorization", basic.as_deref()),
            ("x-write-key", word("write_key")),
        ];
        let headers: Vec<(&str, &str)> =
            headers.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let body = match &sent["body"] {
            Value::Null => Vec::new(),
            Value::String(text) => text.clone().into_bytes(),
            body if sent["compressed"] == true => gzip(&body.to_string()),
            body => body.to_string().into_bytes(),
        };
        let method = word("method").unwrap().parse().unwrap();
        let answer = house.send(request(method, word("path").unwrap(), &headers, body)).await;
        assert!(answer.status.is_success(), "{client} {}: {}", sent["path"], answer.text);
        assert!(!answer.text.contains("\"errors\":["), "{client} {}: {}", sent["path"], answer.text);
    }
    let name = |event: &AnalyticsEvent| format!("{} of {}", event.stored_name(), whom(event));
    events(&house).await.iter().map(name).collect()
}

#[test]
fn what_real_clients_sent_is_taken_whole() {
    run(async {
        let all = |of: &str| -> Vec<String> { of.split("; ").map(str::to_owned).collect() };
        for (client, expected) in [
            (
                "segment-python",
                "page_view of user-7; identify of user-7 as visitor; Order Completed of user-7; group of user-7; \
                 alias of user-7, who was a visitor; screen_view of user-7",
            ),
            (
                "segment-node",
                "page_view of visitor; identify of user-7 as visitor; Order Completed of user-7; group of user-7; \
                 alias of user-7, who was a visitor; screen_view of user-7",
            ),
            (
                "segment-browser",
                "page_view of visitor; identify of user-7 as visitor; Order Completed of user-7 as visitor; \
                 group of user-7 as visitor",
            ),
            (
                "posthog-python",
                "Order Completed of user-7; identify of user-7; alias of user-7, who was a visitor; group of nobody; \
                 $feature_flag_called of user-7",
            ),
            (
                "posthog-node",
                "Order Completed of user-7; identify of user-7; alias of user-7, who was a visitor; group of nobody; \
                 $feature_flag_called of user-7",
            ),
            (
                "posthog-browser",
                "page_view of visitor; page_view of visitor; identify of user-7 as visitor; \
                 Order Completed of user-7; group of user-7",
            ),
            (
                "rudderstack-python",
                "identify of user-7; Order Completed of user-7; page_view of user-7; group of user-7",
            ),
            ("rudderstack-node", "identify of user-7; Order Completed of user-7; page_view of user-7"),
            (
                "jitsu",
                "identify of user-7 as visitor; Order Completed of user-7 as visitor; \
                 page_view of user-7 as visitor",
            ),
            (
                "amplitude",
                "Opened of visitor; identify of user-7 as visitor; Order Completed of user-7 as visitor; \
                 group of user-7",
            ),
            ("umami", "page_view of nobody; Order Completed of nobody"),
            ("plausible", "page_view of nobody; Order Completed of nobody"),
            (
                "b.js",
                "page_view of visitor; identify of user-7 as visitor; Order Completed of user-7 as visitor; \
                 page_view of user-7 as visitor",
            ),
        ] {
            let mut taken = replay(client).await;
            let mut expected = all(expected);
            // Some clients send several requests at once.
            taken.sort();
            expected.sort();
            assert_eq!(taken, expected, "{client}");
        }
    });
}

#[test]
fn clients_that_know_no_ids_are_taken_by_their_address() {
    run(async {
        let house = House::new().await;
        let view = json!({"n": "pageview", "u": "https://shop.example/a", "d": house.key()}).to_string();
        let answer = post(&house, "/api/event", &[("content-type", "text/plain")], view).await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::ACCEPTED, "ok"));
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        let wrong = json!({"n": "pageview", "d": house.key()}).to_string();
        let answer = post(&house, "/api/event", &[], wrong).await;
        assert_eq!(
            (answer.status, &answer.json()["errors"][0]["field"]),
            (StatusCode::BAD_REQUEST, &json!("url"))
        );
        let view = json!({"type": "event", "payload": {"website": house.key(), "url": "/a"}}).to_string();
        let answer = post(&house, "/api/send", &[], view).await;
        assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!({"ok": true})));
        let nobody = post(&house, "/api/send", &[], "{\"payload\": {}}").await;
        assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
        let events = events(&house).await;
        assert!(events.len() == 2 && events.iter().all(|event| event.is_by_address));
    });
}
