//! What programs do with issues.

use axum::body::Body;
use belvedere_accounts::Scope;
use belvedere_error_tracking::{Counted, Ignoring, IssueChange, Resolution};
use belvedere_storage::Id;
use belvedere_storage::testing::run;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::house::{Answer, House, issue_id, with_token};

async fn send(house: &House, token: &str, method: Method, uri: &str, body: &Value) -> Answer {
    house.send(with_token(method, uri, token, Body::from(body.to_string()))).await
}

#[test]
fn every_state_can_be_asked_for() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Read, Scope::Write]).await;
        let uri = format!("/api/v1/issues/{}", issue_id());
        let someone: Id<belvedere_kernel::User> = Id::from_bytes([3; 16]);
        let more = |counted, count, minutes| IssueChange::Ignore(Ignoring::More { counted, count, minutes });
        let cases = [
            (json!({"status": "unresolved"}), IssueChange::Reopen),
            (json!({"status": "archived"}), IssueChange::Archive),
            (json!({"status": "resolved"}), IssueChange::Resolve(Resolution::Now)),
            (
                json!({"status": "resolved", "in_release": "shop@1.2.3"}),
                IssueChange::Resolve(Resolution::InRelease(Some("shop@1.2.3".to_owned()))),
            ),
            (
                json!({"status": "resolved", "in_release": "latest"}),
                IssueChange::Resolve(Resolution::InRelease(None)),
            ),
            (
                json!({"status": "resolved", "in_next_release": true}),
                IssueChange::Resolve(Resolution::InNextRelease),
            ),
            (json!({"status": "ignored"}), IssueChange::Ignore(Ignoring::ForEver)),
            (
                json!({"status": "ignored", "until": "2026-12-01T00:00:00Z"}),
                IssueChange::Ignore(Ignoring::Until("2026-12-01T00:00:00Z".parse().unwrap())),
            ),
            (json!({"status": "ignored", "events": 9}), more(Counted::Events, 9, None)),
            (json!({"status": "ignored", "subjects": 9, "minutes": 5}), more(Counted::Subjects, 9, Some(5))),
            (json!({"assigned_to": someone}), IssueChange::Assign(Some(someone))),
            (json!({"assigned_to": null}), IssueChange::Assign(None)),
        ];
        for (body, change) in cases {
            let answer = send(&house, &token, Method::PUT, &uri, &body).await;
            assert_eq!(answer.status, StatusCode::OK, "{body}: {answer:?}");
            assert_eq!(house.errors.changes.lock().unwrap().pop().unwrap().change, change, "{body}");
        }
        for (body, field) in [
            (json!({}), "status"),
            (json!({"status": "ignored", "in_release": "1"}), "in_release"),
            (json!({"status": "resolved", "in_release": "1", "in_next_release": true}), "in_next_release"),
            (json!({"status": "resolved", "events": 3}), "status"),
            (json!({"status": "ignored", "events": 3, "subjects": 3}), "until"),
            (json!({"status": "ignored", "minutes": 3}), "minutes"),
        ] {
            let answer = send(&house, &token, Method::PUT, &uri, &body).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {answer:?}");
            assert_eq!(answer.json()["field"], field, "{body}");
        }
    });
}

#[test]
fn many_issues_are_changed_by_id_or_by_what_they_have_in_common() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Read, Scope::Write]).await;
        let uri = "/api/v1/issues";
        let by_id = json!({"ids": [issue_id()], "change": {"status": "archived"}});
        let answer = send(&house, &token, Method::PUT, uri, &by_id).await;
        assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!({"changed": 1})));
        let deleted = json!({"ids": [issue_id()], "delete": true, "discard": true});
        send(&house, &token, Method::PUT, uri, &deleted).await;
        let change = house.errors.changes.lock().unwrap().pop().unwrap();
        assert_eq!(change.change, IssueChange::Delete { discards: true });

        // The list has one issue on each page, without end: no count is the right one.
        let stale =
            json!({"matching": {"status": "unresolved", "count": 3}, "change": {"status": "resolved"}});
        let answer = send(&house, &token, Method::PUT, uri, &stale).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{answer:?}");
        assert_eq!(house.errors.changes.lock().unwrap().len(), 1);
        for body in [
            json!({"change": {"status": "resolved"}}),
            json!({"ids": [issue_id()]}),
            json!({"ids": [issue_id()], "change": {}}),
            json!({"ids": [issue_id()], "change": {"status": "resolved"}, "delete": true}),
            json!({"ids": [issue_id()], "matching": {"count": 1}, "change": {"status": "resolved"}}),
            json!({"ids": vec![issue_id(); 201], "change": {"status": "resolved"}}),
            json!({"ids": ["x"], "change": {"status": "resolved"}}),
            json!({"matching": {"count": 10_001}, "change": {"status": "resolved"}}),
        ] {
            let answer = send(&house, &token, Method::PUT, uri, &body).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {answer:?}");
        }
    });
}

#[test]
fn timelines_are_read_and_commented_on() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Read, Scope::Write]).await;
        let uri = format!("/api/v1/issues/{}", issue_id());
        let listed = send(&house, &token, Method::GET, &format!("{uri}/activity"), &json!(null)).await.json();
        assert_eq!(
            (&listed["items"][0]["kind"], &listed["items"][0]["comment"]),
            (&json!("comment"), &json!("first words"))
        );
        let comments = send(&house, &token, Method::GET, &format!("{uri}/comments"), &json!(null)).await;
        assert_eq!(comments.json()["items"].as_array().unwrap().len(), 1);
        let made =
            send(&house, &token, Method::POST, &format!("{uri}/comments"), &json!({"text": "hello"})).await;
        assert_eq!((made.status, made.json()["comment"].clone()), (StatusCode::CREATED, json!("hello")));
        let comment = format!("{uri}/comments/{}", Id::<()>::from_bytes([8; 16]));
        let changed = send(&house, &token, Method::PUT, &comment, &json!({"text": "bye"})).await;
        assert_eq!(changed.status, StatusCode::NO_CONTENT);
        let gone = send(&house, &token, Method::DELETE, &comment, &json!(null)).await;
        assert_eq!(gone.status, StatusCode::NO_CONTENT);
        let merged =
            send(&house, &token, Method::POST, "/api/v1/issues/merge", &json!({"ids": [issue_id()]})).await;
        assert_eq!(merged.json()["id"], issue_id().to_string());
    });
}

#[test]
fn issues_of_other_organisations_cannot_be_reached() {
    run(async {
        let house = House::new().await;
        let stranger = house.stranger().await;
        let theirs = house.project_of(&stranger).await.id;
        let token = house.token_of(&stranger, &[Scope::Read, Scope::Write, Scope::Admin]).await;
        let issue = format!("/api/v1/issues/{}", issue_id());
        let comment = format!("{issue}/comments/{}", Id::<()>::from_bytes([8; 16]));
        let change = json!({"status": "resolved"});
        for project in [house.project(), theirs] {
            for (method, path, body) in [
                (Method::PUT, &*issue, change.clone()),
                (Method::DELETE, &*issue, json!(null)),
                (Method::GET, &format!("{issue}/activity"), json!(null)),
                (Method::GET, &format!("{issue}/hashes"), json!(null)),
                (Method::POST, &format!("{issue}/unmerge"), json!({"hashes": ["0".repeat(32)]})),
                (Method::GET, &format!("{issue}/comments"), json!(null)),
                (Method::POST, &format!("{issue}/comments"), json!({"text": "mine"})),
                (Method::PUT, &comment, json!({"text": "mine"})),
                (Method::DELETE, &comment, json!(null)),
            ] {
                let uri = format!("{path}?project={project}");
                let answer = send(&house, &token, method.clone(), &uri, &body).await;
                assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {uri}: {answer:?}");
            }
            let body = json!({"project": project.to_string(), "ids": [issue_id()]});
            let merged = send(&house, &token, Method::POST, "/api/v1/issues/merge", &body).await;
            assert_eq!(merged.status, StatusCode::NOT_FOUND, "{merged:?}");
        }
        let bulk = json!({"project": house.project().to_string(), "ids": [issue_id()], "change": change});
        let answer = send(&house, &token, Method::PUT, "/api/v1/issues", &bulk).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        // In their own project the ids mean nothing.
        let bulk = json!({"project": theirs.to_string(), "ids": [issue_id()], "change": change});
        let answer = send(&house, &token, Method::PUT, "/api/v1/issues", &bulk).await;
        assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!({"changed": 0})));
        assert!(house.errors.changes.lock().unwrap().iter().all(|change| change.act.project == theirs));
    });
}
