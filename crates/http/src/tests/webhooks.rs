//! Webhooks through the API.

use belvedere_accounts::Scope;
use belvedere_storage::Id;
use belvedere_storage::testing::run;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::house::{Answer, House, with_token};

#[test]
fn administrators_declare_test_and_watch_webhooks() {
    run(async {
        let house = House::new().await;
        let (admin, read) =
            (house.token(&[Scope::Admin]).await, house.token(&[Scope::Read, Scope::Write]).await);
        let send = async |method: Method, path: &str, token: &str, body: Value| -> Answer {
            let body = if body.is_null() { String::new() } else { body.to_string() };
            house.send(with_token(method, &format!("/api/v1/webhooks{path}"), token, body)).await
        };
        let new =
            json!({"url": "https://hooks.example.org/T0", "kinds": ["issue.new", "learning.milestone"]});
        assert_eq!(send(Method::POST, "", &read, new.clone()).await.status, StatusCode::FORBIDDEN);
        let made = send(Method::POST, "", &admin, new.clone()).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.json());
        let made = made.json();
        assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
        assert_eq!(made["kinds"], json!(["learning.milestone", "issue.new"]));
        let id = made["id"].as_str().unwrap();
        let listed = send(Method::GET, "", &admin, Value::Null).await.json();
        assert_eq!((listed[0]["id"].as_str(), &listed[0]["secret"]), (Some(id), &Value::Null));
        for (body, field) in [
            (json!({"url": "http://hooks.example.org/", "kinds": ["issue.new"]}), "url"),
            (json!({"url": "https://169.254.169.254/", "kinds": ["issue.new"]}), "url"),
            (json!({"url": "https://hooks.example.org/", "kinds": []}), "kinds"),
            (json!({"url": "https://hooks.example.org/", "kinds": ["issue.old"]}), "kinds"),
        ] {
            let answer = send(Method::POST, "", &admin, body).await;
            assert_eq!((answer.status, &answer.json()["field"]), (StatusCode::BAD_REQUEST, &json!(field)));
        }
        let one = format!("/{id}");
        let changed = send(Method::PUT, &one, &admin, json!({"kinds": ["learning.struggling"]})).await;
        assert_eq!(
            (changed.status, &changed.json()["kinds"]),
            (StatusCode::OK, &json!(["learning.struggling"]))
        );
        assert_eq!(send(Method::GET, &one, &admin, Value::Null).await.json(), changed.json());
        let rotated = send(Method::POST, &format!("{one}/secret"), &admin, Value::Null).await.json();
        assert!(rotated["secret"] != made["secret"] && rotated["secret"].is_string());

        let ping = send(Method::POST, &format!("{one}/ping"), &admin, Value::Null).await;
        assert_eq!(ping.status, StatusCode::ACCEPTED);
        assert_eq!(house.jobs.count_jobs().await.unwrap().waiting, 1);
        let deliveries = send(Method::GET, &format!("{one}/deliveries"), &admin, Value::Null).await.json();
        let delivery = &deliveries["items"][0];
        assert_eq!((&delivery["id"], &delivery["kind"]), (&ping.json()["id"], &json!("ping")));
        assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("pending"), &json!(0)));
        let again = format!("{one}/deliveries/{}/resend", delivery["id"].as_str().unwrap());
        assert_eq!(send(Method::POST, &again, &admin, Value::Null).await.status, StatusCode::ACCEPTED);
        assert_eq!(send(Method::POST, &again, &read, Value::Null).await.status, StatusCode::FORBIDDEN);

        // Another project's endpoint, another endpoint's delivery, and what is no id.
        let second = house.second_project().await.id;
        let first = house.project();
        let elsewhere = |path: &str| format!("{path}?project={second}");
        let (nobody, here) = (Id::<()>::from_bytes([9; 16]), format!("?project={first}"));
        for (method, path) in [
            (Method::GET, elsewhere(&one)),
            (Method::DELETE, elsewhere(&one)),
            (Method::POST, elsewhere(&format!("{one}/ping"))),
            (Method::POST, elsewhere(&again)),
            (Method::POST, format!("{one}/deliveries/{nobody}/resend{here}")),
            (Method::POST, format!("{one}/deliveries/x/resend{here}")),
            (Method::GET, format!("/{nobody}{here}")),
            (Method::GET, format!("/x{here}")),
        ] {
            let answer = send(method, &path, &admin, Value::Null).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        }
        let gone = send(Method::DELETE, &format!("{one}{here}"), &admin, Value::Null).await;
        assert_eq!(gone.status, StatusCode::NO_CONTENT);
        assert_eq!(send(Method::GET, &here, &admin, Value::Null).await.json(), json!([]));
        for action in ["created", "changed", "secret_rotated", "tested", "resent", "deleted"] {
            let entries = house.audit_entries(&format!("webhook_{action}")).await;
            assert_eq!(entries.len(), 1, "{action}");
            assert!(entries[0].request_id.is_some());
        }
    });
}
