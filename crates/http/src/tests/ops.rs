use std::net::SocketAddr;

use belvedere_storage::testing::run;
use http::{Method, StatusCode};
use serde_json::json;

use super::house::{House, request};
use crate::{ClientAddress, Peer};

fn metrics_from(peer: &str, client: &str, headers: &[(&str, &str)]) -> http::Request<axum::body::Body> {
    let mut request = request(Method::GET, "/metrics", headers, "");
    request.extensions_mut().insert(Peer(SocketAddr::new(peer.parse().unwrap(), 4_711)));
    request.extensions_mut().insert(ClientAddress(client.parse().unwrap()));
    request
}

#[test]
fn liveness_and_readiness_tell_the_parts() {
    run(async {
        let house = House::new().await;
        let alive = house.send(request(Method::GET, "/healthz", &[], "")).await;
        assert_eq!((alive.status, alive.json()), (StatusCode::OK, json!({ "status": "ok" })));
        let ready = house.send(request(Method::GET, "/readyz", &[], "")).await;
        let parts = json!({ "status": "ok", "database": "ok", "spool": "ok", "intake": "ok" });
        assert_eq!((ready.status, ready.json()), (StatusCode::OK, parts));
        house.state.db.close().await.unwrap();
        let away = house.send(request(Method::GET, "/readyz", &[], "")).await;
        let parts =
            json!({ "status": "unavailable", "database": "unavailable", "spool": "ok", "intake": "ok" });
        assert_eq!((away.status, away.json()), (StatusCode::SERVICE_UNAVAILABLE, parts));
    });
}

#[test]
fn metrics_count_what_was_answered_and_refused() {
    run(async {
        let house = House::new().await;
        let router = house.router();
        let good = format!("/api/{}/envelope/?sentry_key={}", house.project(), house.key());
        for uri in [&good, &good, "/api/1/envelope/"] {
            super::house::send(&router, request(Method::POST, uri, &[], "{}\n")).await;
        }
        super::house::send(&router, request(Method::GET, "/no/such/thing", &[], "")).await;
        let metrics = super::house::send(&router, metrics_from("127.0.0.1", "127.0.0.1", &[])).await;
        assert_eq!(metrics.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        for line in [
            "belvedere_http_requests_total{route=\"/api/{project}/envelope/\",status=\"2xx\"} 2",
            "belvedere_http_requests_total{route=\"/api/{project}/envelope/\",status=\"4xx\"} 1",
            "belvedere_http_requests_total{route=\"unmatched\",status=\"4xx\"} 1",
            "belvedere_http_request_seconds_count{route=\"/api/{project}/envelope/\"} 3",
            "belvedere_ingest_refused_total{reason=\"unauthenticated\"} 1",
            "belvedere_intake_accepted_total 2",
            "belvedere_spool_records 2",
            "belvedere_intake_stalled 0",
        ] {
            assert!(metrics.text.lines().any(|found| found == line), "{line} is not in\n{}", metrics.text);
        }
    });
}

#[test]
fn metrics_are_for_this_machine_or_for_the_token() {
    run(async {
        let mut house = House::new().await;
        for (peer, client, headers, status) in [
            ("127.0.0.1", "127.0.0.1", vec![], StatusCode::OK),
            ("::ffff:127.0.0.1", "127.0.0.1", vec![], StatusCode::OK),
            ("192.0.2.1", "192.0.2.1", vec![], StatusCode::UNAUTHORIZED),
            ("127.0.0.1", "203.0.113.9", vec![], StatusCode::UNAUTHORIZED),
            ("127.0.0.1", "127.0.0.1", vec![("x-forwarded-for", "203.0.113.9")], StatusCode::UNAUTHORIZED),
        ] {
            let answer = house.send(metrics_from(peer, client, &headers)).await;
            assert_eq!(answer.status, status, "{peer} {client} {headers:?}");
        }
        house.state.metrics_token = Some("correct".to_owned());
        for (token, status) in [("correct", StatusCode::OK), ("wrong", StatusCode::UNAUTHORIZED)] {
            let bearer = format!("Bearer {token}");
            let answer =
                house.send(metrics_from("192.0.2.1", "192.0.2.1", &[("authorization", &bearer)])).await;
            assert_eq!(answer.status, status, "{token}");
        }
        let without = house.send(metrics_from("127.0.0.1", "127.0.0.1", &[])).await;
        assert_eq!(without.status, StatusCode::UNAUTHORIZED);
    });
}
