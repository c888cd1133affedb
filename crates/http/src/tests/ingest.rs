use axum::body::Body;
use belvedere_kernel::ProjectId;
use belvedere_storage::testing::run;
use http::{Method, StatusCode};
use serde_json::json;

use super::codecs::CODECS;
use super::house::{Answer, EVENT_ID, House, request};
use crate::{HttpFeatures, HttpLimits};

/// An envelope with one event, the id where `with_id` says.
fn envelope(with_id: WithId) -> String {
    let (head, event) = match with_id {
        WithId::Header => (json!({ "event_id": "3a60e31a-b547-4d65-aaf8-6eedefe7d501" }), json!({})),
        WithId::Payload => (json!({}), json!({ "event_id": EVENT_ID, "message": "hello" })),
        WithId::Nowhere => (json!({}), json!({ "message": "hello" })),
    };
    format!("{head}\n{{\"type\":\"event\"}}\n{event}\n")
}

#[derive(Clone, Copy)]
enum WithId {
    Header,
    Payload,
    Nowhere,
}

async fn post(house: &House, uri: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
    house.send(request(Method::POST, uri, headers, body)).await
}

fn auth(key: &str) -> String {
    format!("Sentry sentry_key={key}, sentry_version=7, sentry_client=sentry.python/2.75.0")
}

#[test]
fn an_envelope_is_accepted_in_every_auth_form_and_kept_as_it_came() {
    run(async {
        let house = House::new().await;
        let auth = auth(house.key());
        let path = format!("/api/{}/envelope/", house.project());
        let in_query = format!("{path}?sentry_version=7&sentry_key={}", house.key());
        let basic = format!("Basic {}", base64(&format!("{}:", house.key())));
        let dsn = format!("https://{}@belvedere.example/{}", house.key(), house.project());
        let tunnelled =
            format!("{{\"event_id\":\"{EVENT_ID}\",\"dsn\":\"{dsn}\"}}\n{{\"type\":\"event\"}}\n{{}}");
        let plain = envelope(WithId::Header);
        let cases = [
            (path.as_str(), vec![("x-sentry-auth", auth.as_str())], plain.as_str()),
            (path.trim_end_matches('/'), vec![("authorization", &auth)], &plain),
            (&in_query, vec![("content-type", "text/plain;charset=UTF-8")], &plain),
            (&path, vec![("authorization", &basic)], &plain),
            (&path, vec![], &tunnelled),
            ("/tunnel", vec![], &tunnelled),
            ("/tunnel/", vec![], &tunnelled),
        ];
        let mut bodies = Vec::new();
        for (uri, headers, body) in cases {
            let answer = post(&house, uri, &headers, body.to_owned()).await;
            assert_eq!(answer.status, StatusCode::OK, "{uri} {headers:?}: {answer:?}");
            assert_eq!(answer.text, format!("{{\"id\":\"{EVENT_ID}\"}}"));
            assert_eq!(answer.header("content-type"), "application/json");
            assert_eq!(answer.header("access-control-allow-origin"), "*");
            bodies.push(body.to_owned());
        }
        let deliveries = house.deliveries().await;
        assert_eq!(
            deliveries.iter().map(|delivery| delivery.body.to_vec()).collect::<Vec<_>>(),
            bodies.iter().map(|body| body.as_bytes().to_vec()).collect::<Vec<_>>()
        );
        assert!(deliveries.iter().all(|delivery| delivery.kind == "sentry.envelope"
            && delivery.project == house.project()
            && delivery.key == house.first.key.id
            && delivery.assigned_id.is_none()
            && delivery.encoding.is_none()));
    });
}

fn base64(text: &str) -> String {
    use ::base64::Engine;
    ::base64::prelude::BASE64_STANDARD.encode(text)
}

#[test]
fn every_encoding_is_understood_and_kept() {
    run(async {
        let house = House::new().await;
        let auth = auth(house.key());
        let path = format!("/api/{}/envelope/", house.project());
        for (token, encode) in CODECS {
            let body = encode(&mut envelope(WithId::Payload).as_bytes());
            let headers = [("x-sentry-auth", auth.as_str()), ("content-encoding", token)];
            let answer = post(&house, &path, &headers, body.clone()).await;
            assert_eq!(answer.text, format!("{{\"id\":\"{EVENT_ID}\"}}"), "{token}: {answer:?}");
            let damaged = post(&house, &path, &headers, body[..body.len() - 3].to_vec()).await;
            assert_eq!(damaged.status, StatusCode::BAD_REQUEST, "{token}: {damaged:?}");
            assert_eq!(
                damaged.json(),
                json!({ "detail": format!("body is not valid {token}"), "causes": [] })
            );
            let delivery = house.deliveries().await.pop().unwrap();
            assert_eq!((delivery.encoding.as_deref(), delivery.body.to_vec()), (Some(token), body));
        }
        assert_eq!(house.noted().await, [("envelope".to_owned(), "invalid".to_owned(), 4)]);
    });
}

#[test]
fn an_event_without_id_gets_one_and_what_needs_none_gets_none() {
    run(async {
        let house = House::new().await;
        let auth = auth(house.key());
        let headers = [("x-sentry-auth", auth.as_str()), ("user-agent", "sentry.python/2.75.0")];
        let path = format!("/api/{}/envelope/", house.project());
        let answer = post(&house, &path, &headers, envelope(WithId::Nowhere)).await;
        let given = answer.json()["id"].as_str().unwrap().to_owned();
        assert_eq!(given.len(), 32);
        let session = post(&house, &path, &headers, "{}\n{\"type\":\"session\"}\n{}").await;
        assert_eq!((session.status, session.text.as_str()), (StatusCode::OK, "{}"));
        let empty = post(&house, &path, &headers, "{}\n").await;
        assert_eq!((empty.status, empty.text.as_str()), (StatusCode::OK, "{}"));
        let deliveries = house.deliveries().await;
        assert_eq!(deliveries[0].assigned_id, Some(given));
        assert_eq!(deliveries[0].user_agent.as_deref(), Some("sentry.python/2.75.0"));
        assert_eq!(deliveries[1].assigned_id, None);
    });
}

#[test]
fn unknown_item_types_and_damaged_items_do_not_cost_the_envelope() {
    run(async {
        let house = House::new().await;
        let auth = auth(house.key());
        let body = format!(
            "{{\"event_id\":\"{EVENT_ID}\"}}\n{{\"type\":\"of_tomorrow\"}}\n1\nnonsense\n\n{{\"type\":\"attachment\",\"length\":99}}\nshort"
        );
        let path = format!("/api/{}/envelope/", house.project());
        let answer = post(&house, &path, &[("x-sentry-auth", &auth)], body).await;
        assert_eq!((answer.status, answer.text), (StatusCode::OK, format!("{{\"id\":\"{EVENT_ID}\"}}")));
    });
}

#[test]
fn legacy_events_are_accepted_plain_compressed_and_in_base64() {
    run(async {
        let house = House::new().await;
        let auth = auth(house.key());
        let event = json!({ "event_id": EVENT_ID, "message": "hello" }).to_string();
        let zlib = CODECS[1].1(&mut event.as_bytes());
        let path = format!("/api/{}/store/", house.project());
        let cases: [(&str, Option<&str>, Vec<u8>); 4] = [
            (&path, None, event.clone().into_bytes()),
            ("/api/store/", None, event.clone().into_bytes()),
            ("/api/store", Some("deflate"), zlib.clone()),
            (&path, None, base64_bytes(&zlib)),
        ];
        for (uri, encoding, body) in cases {
            let mut headers = vec![("x-sentry-auth", auth.as_str())];
            headers.extend(encoding.map(|encoding| ("content-encoding", encoding)));
            let answer = post(&house, uri, &headers, body).await;
            assert_eq!(
                (answer.status, answer.text),
                (StatusCode::OK, format!("{{\"id\":\"{EVENT_ID}\"}}")),
                "{uri}"
            );
        }
        let deliveries = house.deliveries().await;
        assert!(deliveries.iter().all(|delivery| delivery.kind == "sentry.store"));
        assert_eq!(deliveries[3].encoding.as_deref(), Some("deflate"));
        assert_eq!(deliveries[3].body, zlib);
        for wrong in ["", "[]", "{\"event_id\":", "no json at all"] {
            let answer = post(&house, &path, &[("x-sentry-auth", &auth)], wrong).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}: {answer:?}");
            assert!(!answer.json()["detail"].as_str().unwrap().is_empty());
        }
    });
}

fn base64_bytes(bytes: &[u8]) -> Vec<u8> {
    use ::base64::Engine;
    ::base64::prelude::BASE64_STANDARD.encode(bytes).into_bytes()
}

#[test]
fn what_is_no_envelope_is_refused_with_the_place() {
    run(async {
        let house = House::new().await;
        let auth = auth(house.key());
        let path = format!("/api/{}/envelope/", house.project());
        for (body, detail) in [
            ("", "envelope is empty"),
            ("[]\n", "envelope headers are not a JSON object (column 0)"),
            ("{\"event_id\"", "envelope headers are not a JSON object (column 11)"),
        ] {
            let answer = post(&house, &path, &[("x-sentry-auth", &auth)], body).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST);
            assert_eq!(answer.json(), json!({ "detail": detail, "causes": [] }));
            assert_eq!(answer.header("x-sentry-error"), detail);
        }
        assert!(house.deliveries().await.is_empty());
    });
}

#[test]
fn only_a_working_key_of_the_named_project_lets_in() {
    run(async {
        let house = House::new().await;
        let other = house.second_project().await;
        let good = auth(house.key());
        let unknown = auth("00000000000000000000000000000000");
        let own = format!("/api/{}/envelope/", house.project());
        let foreign_dsn = format!("{{\"dsn\":\"https://{}@h/{}\"}}\n", house.key(), other.id);
        for (uri, header, body, status) in [
            (own.as_str(), None, "{}\n", StatusCode::UNAUTHORIZED),
            (own.as_str(), Some("Sentry sentry_version=7"), "{}\n", StatusCode::UNAUTHORIZED),
            (own.as_str(), Some(unknown.as_str()), "{}\n", StatusCode::FORBIDDEN),
            (&format!("/api/{}/envelope/", other.id), Some(good.as_str()), "{}\n", StatusCode::FORBIDDEN),
            ("/api/999999/envelope/", Some(good.as_str()), "{}\n", StatusCode::FORBIDDEN),
            ("/api/nonsense/envelope/", Some(good.as_str()), "{}\n", StatusCode::FORBIDDEN),
            ("/tunnel", None, foreign_dsn.as_str(), StatusCode::FORBIDDEN),
            ("/tunnel", None, "{\"dsn\":\"nonsense\"}\n", StatusCode::UNAUTHORIZED),
        ] {
            let headers: Vec<_> = header.into_iter().map(|value| ("x-sentry-auth", value)).collect();
            let answer = post(&house, uri, &headers, body.to_owned()).await;
            assert_eq!(answer.status, status, "{uri} {header:?}: {answer:?}");
            assert!(!answer.header("x-sentry-error").is_empty());
            assert_eq!(
                answer.header("access-control-expose-headers"),
                "x-sentry-error,x-sentry-rate-limits,retry-after"
            );
        }
        assert!(house.deliveries().await.is_empty());
    });
}

#[test]
fn browsers_may_send_from_allowed_origins_only() {
    run(async {
        let house = House::new().await;
        let key = house.limited_key(None, &["https://app.example", "https://*.app.example"]).await;
        let path = format!("/api/{}/envelope/?sentry_key={}", house.project(), key.public_key);
        for (origin, status) in [
            (Some("https://app.example"), StatusCode::OK),
            (Some("https://eu.app.example"), StatusCode::OK),
            (None, StatusCode::OK),
            (Some("https://evil.example"), StatusCode::FORBIDDEN),
            (Some("null"), StatusCode::FORBIDDEN),
        ] {
            let headers: Vec<_> = origin.into_iter().map(|origin| ("origin", origin)).collect();
            assert_eq!(post(&house, &path, &headers, "{}\n").await.status, status, "{origin:?}");
        }
    });
}

#[test]
fn preflight_requests_are_answered() {
    run(async {
        let house = House::new().await;
        for uri in ["/api/1/envelope/", "/api/1/store/", "/api/store/", "/tunnel", "/api/1/security/"] {
            let answer =
                house.send(request(Method::OPTIONS, uri, &[("origin", "https://a.example")], "")).await;
            assert_eq!(answer.status, StatusCode::OK, "{uri}");
            assert_eq!(answer.header("access-control-allow-origin"), "*");
            assert_eq!(answer.header("access-control-allow-methods"), "POST");
            assert_eq!(answer.header("access-control-max-age"), "3600");
            assert_eq!(
                answer.header("access-control-allow-headers"),
                "x-sentry-auth,x-requested-with,x-forwarded-for,origin,referer,accept,content-type,authentication,\
                 authorization,content-encoding,transfer-encoding,x-write-key"
            );
        }
    });
}

#[test]
fn a_key_beyond_its_limit_is_told_so_by_category_and_its_items_are_counted() {
    run(async {
        let house = House::new().await;
        let router = house.router();
        let key = house.limited_key(Some(2), &[]).await;
        let uri = format!("/api/{}/envelope/?sentry_key={}", house.project(), key.public_key);
        let send = |body: String| super::house::send(&router, request(Method::POST, &uri, &[], body));
        for _ in 0..2 {
            assert_eq!(send(envelope(WithId::Header)).await.status, StatusCode::OK);
        }
        let limited = send(format!("{}{{\"type\":\"attachment\"}}\nx\n", envelope(WithId::Header))).await;
        assert_eq!(limited.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(limited.header("retry-after"), "30");
        assert_eq!(
            limited.header("x-sentry-rate-limits"),
            "30:default;error;transaction;security;attachment;profile;profile_chunk;profile_chunk_ui;replay;span;\
             feedback;log_item;log_byte;trace_metric:key"
        );
        let session = send("{}\n{\"type\":\"session\"}\n{}".to_owned()).await;
        assert_eq!(session.status, StatusCode::OK);
        house.clock.advance(std::time::Duration::from_secs(30));
        assert_eq!(send(envelope(WithId::Header)).await.status, StatusCode::OK);
        let noted = house.noted().await;
        let expected = [("attachment", "rate_limited", 1), ("event", "rate_limited", 1)];
        assert_eq!(noted, expected.map(|(item, reason, count)| (item.to_owned(), reason.to_owned(), count)));
    });
}

#[test]
fn bodies_beyond_the_limits_are_refused_with_413() {
    run(async {
        let limits =
            HttpLimits { body_bytes_max: 1_000, decompressed_bytes_max: 5_000, ..HttpLimits::default() };
        let house = House::with(limits, 64 << 20).await;
        let uri = format!("/api/{}/envelope/?sentry_key={}", house.project(), house.key());
        let long = format!("{{}}\n{{\"type\":\"event\"}}\n{}\n", "x".repeat(1_000));
        let answer = post(&house, &uri, &[], long.clone()).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(answer.json()["detail"], "body is larger than 1000 bytes");
        for (token, encode) in CODECS {
            let bomb = encode(&mut super::codecs::zeroes(6_000));
            let answer = post(&house, &uri, &[("content-encoding", token)], bomb).await;
            assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{token}: {answer:?}");
        }
        assert_eq!(house.noted().await, [("envelope".to_owned(), "too_large".to_owned(), 5)]);
    });
}

#[test]
fn a_full_spool_asks_to_come_back_later_and_recovers() {
    run(async {
        let house = House::with(HttpLimits::default(), 100_000).await;
        let uri = format!("/api/{}/envelope/?sentry_key={}", house.project(), house.key());
        let body = format!("{{}}\n{{\"type\":\"session\"}}\n{}\n", "x".repeat(40_000));
        let mut answers = Vec::new();
        for _ in 0..4 {
            answers.push(post(&house, &uri, &[], body.clone()).await);
        }
        let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        assert_eq!(statuses, [200, 200, 503, 503]);
        assert_eq!(answers[2].header("retry-after"), "10");
        let ready = house.send(request(Method::GET, "/readyz", &[], "")).await;
        assert_eq!(ready.json()["database"], "ok");
        for record in house.spool.try_take(0, 10, 1 << 20).await.unwrap() {
            house.spool.ack(record.seq).await.unwrap();
        }
        assert_eq!(post(&house, &uri, &[], body).await.status, StatusCode::OK);
    });
}

#[test]
fn endpoints_of_features_to_come_take_what_is_sent_and_count_it() {
    run(async {
        let house = House::new().await;
        let (project, key) = (house.project(), house.key());
        for (method, uri, status) in [
            (Method::POST, format!("/api/{project}/nel/?sentry_key={key}"), 200),
            (Method::POST, format!("/api/{project}/minidump/?sentry_key={key}"), 200),
            (Method::POST, format!("/api/{project}/unreal/{key}/"), 200),
            (Method::POST, format!("/api/{project}/otlp/v1/traces?sentry_key={key}"), 200),
        ] {
            let answer = house.send(request(method, &uri, &[], "anything")).await;
            assert_eq!(answer.status.as_u16(), status, "{uri}: {answer:?}");
        }
        let foreign = format!("/api/{}/nel/?sentry_key={key}", ProjectId(project.0 + 1));
        assert_eq!(post(&house, &foreign, &[], "x").await.status, StatusCode::FORBIDDEN);
        let expected = [("minidump", 1), ("nel", 1), ("span", 1), ("unreal_report", 1)];
        assert_eq!(
            house.noted().await,
            expected.map(|(item, count)| (item.to_owned(), "not_yet_supported".to_owned(), count))
        );
    });
}

#[test]
fn reports_of_browsers_are_accepted_durably_with_what_stands_in_their_address() {
    run(async {
        let house = House::new().await;
        let (project, key) = (house.project(), house.key());
        for path in ["security/", "security", "csp-report/", "csp-report"] {
            let uri = format!(
                "/api/{project}/{path}?sentry_key={key}&sentry_release=shop%404.1.0&sentry_environment=eu"
            );
            let report = "{\"csp-report\":{}}";
            let answer = post(&house, &uri, &[("content-type", "application/csp-report")], report).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
        }
        let deliveries = house.deliveries().await;
        assert_eq!(deliveries.len(), 4);
        assert_eq!(deliveries[0].kind, "sentry.envelope");
        let body = String::from_utf8(deliveries[0].body.to_vec()).unwrap();
        let lines: Vec<&str> = body.lines().collect();
        let item: serde_json::Value = serde_json::from_str(lines[1]).unwrap();
        assert_eq!((lines[0], lines[2]), ("{}", "{\"csp-report\":{}}"));
        assert_eq!(item["type"], "raw_security");
        assert_eq!(
            (&item["sentry_release"], &item["sentry_environment"]),
            (&"shop@4.1.0".into(), &"eu".into())
        );
        assert_eq!(item["length"], 17);
        let foreign = format!("/api/{}/security/?sentry_key={key}", ProjectId(project.0 + 1));
        assert_eq!(post(&house, &foreign, &[], "{}").await.status, StatusCode::FORBIDDEN);
        let large = format!("/api/{project}/security/?sentry_key={key}");
        assert_eq!(
            post(&house, &large, &[], "x".repeat(300 << 10)).await.status,
            StatusCode::PAYLOAD_TOO_LARGE
        );
    });
}

#[test]
fn a_door_that_is_switched_off_answers_404_and_counts() {
    run(async {
        let mut house = House::new().await;
        house.state.features = HttpFeatures { error_tracking: false, ..HttpFeatures::default() };
        let uri = format!("/api/{}/envelope/?sentry_key={}", house.project(), house.key());
        assert_eq!(post(&house, &uri, &[], envelope(WithId::Header)).await.status, StatusCode::NOT_FOUND);
        assert_eq!(house.noted().await, [("envelope".to_owned(), "switched_off".to_owned(), 1)]);
        let token = house.token(&[belvedere_accounts::Scope::Read]).await;
        let issues = house.send(super::house::with_token(Method::GET, "/api/v1/issues", &token, "")).await;
        assert_eq!(issues.status, StatusCode::NOT_FOUND);
    });
}

#[test]
fn a_known_key_goes_on_working_while_the_database_is_away() {
    run(async {
        let house = House::new().await;
        let uri = format!("/api/{}/envelope/?sentry_key={}", house.project(), house.key());
        assert_eq!(post(&house, &uri, &[], envelope(WithId::Header)).await.status, StatusCode::OK);
        house.state.db.close().await.unwrap();
        house.clock.advance(std::time::Duration::from_secs(60));
        assert_eq!(post(&house, &uri, &[], envelope(WithId::Header)).await.status, StatusCode::OK);
        let unknown =
            format!("/api/{}/envelope/?sentry_key=00000000000000000000000000000000", house.project());
        let answer = post(&house, &unknown, &[], envelope(WithId::Header)).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.json()["detail"], "cannot look the key up at the moment");
        assert_eq!(answer.header("retry-after"), "10");
        assert_eq!(house.deliveries().await.len(), 2);
    });
}
