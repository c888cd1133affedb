use belvedere_accounts::Scope;
use belvedere_storage::testing::run;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::house::{Answer, EVENT_ID, House, request, with_token};

const BOUNDARY: &str = "----WebKitFormBoundary7MA4YWxkTrZu0gW";

async fn get(house: &House, token: &str, uri: &str) -> Answer {
    house.send(with_token(Method::GET, uri, token, "")).await
}

/// A form with files of these names.
fn form(files: &[(&str, &str)]) -> String {
    let part = |(name, content): &(&str, &str)| {
        format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: text/html\r\n\r\n{content}\r\n"
        )
    };
    format!("{}--{BOUNDARY}--\r\n", files.iter().map(part).collect::<String>())
}

async fn attach(house: &House, event: &str, kind: &str, body: String) -> Answer {
    let uri = format!("/api/{}/events/{event}/attachments/?sentry_key={}", house.project(), house.key());
    house.send(request(Method::POST, &uri, &[("content-type", kind)], body)).await
}

async fn with_event(house: &House) {
    let uri = format!("/api/{}/envelope/?sentry_key={}", house.project(), house.key());
    let body = format!("{{\"event_id\":\"{EVENT_ID}\"}}\n{{\"type\":\"event\"}}\n{{\"message\":\"x\"}}");
    assert_eq!(house.send(request(Method::POST, &uri, &[], body)).await.status, StatusCode::OK);
}

#[test]
fn files_of_a_form_are_stored_and_handed_out_inert() {
    run(async {
        let house = House::new().await;
        with_event(&house).await;
        let files = [
            ("../evil\r\nX-Injected: 1.html", "<script>alert(1)</script>"),
            ("drawing.svg", "<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
            ("photo.html", "GIF89a<script>alert(1)</script>"),
        ];
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        // A line break within a header ends it: the first file has no readable headers.
        let refused = attach(&house, EVENT_ID, &kind, form(&files)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
        let answer = attach(&house, EVENT_ID, &kind, form(&files[1..])).await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::CREATED, ""));
        house.digest().await;

        let token = house.token(&[Scope::Read]).await;
        let uri = format!("/api/v1/events/{EVENT_ID}/attachments");
        let listed = get(&house, &token, &uri).await.json();
        let seen: Vec<_> = listed["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| {
                (file["name"].as_str().unwrap(), file["format"].as_str().unwrap(), &file["size_bytes"])
            })
            .collect();
        assert_eq!(seen, [("drawing.svg", "text", &json!(59)), ("photo.html", "gif", &json!(31))]);
        for (index, kind) in [(0, "application/octet-stream"), (1, "image/gif")] {
            let id = listed["items"][index]["id"].as_str().unwrap();
            let file = get(&house, &token, &format!("{uri}/{id}")).await;
            assert_eq!(file.status, StatusCode::OK);
            assert_eq!(file.text, files[index + 1].1);
            assert_eq!(file.header("content-type"), kind);
            assert_eq!(file.header("x-content-type-options"), "nosniff");
            assert_eq!(
                file.header("content-security-policy"),
                "default-src 'none'; frame-ancestors 'none'; sandbox"
            );
            assert!(file.header("content-disposition").starts_with("attachment; filename=\""));
        }
    });
}

#[test]
fn names_in_envelopes_cannot_write_headers_of_their_own() {
    run(async {
        let house = House::new().await;
        with_event(&house).await;
        let uri = format!("/api/{}/envelope/?sentry_key={}", house.project(), house.key());
        let headers = json!({
            "type": "attachment", "length": 1, "filename": "a\"\r\nSet-Cookie: x=1; b=\u{202e}.txt",
            "content_type": "text/html\r\nX: y",
        });
        let body = format!("{{\"event_id\":\"{EVENT_ID}\"}}\n{headers}\nx\n");
        house.send(request(Method::POST, &uri, &[], body)).await;
        house.digest().await;
        let token = house.token(&[Scope::Read]).await;
        let uri = format!("/api/v1/events/{EVENT_ID}/attachments");
        let file = get(&house, &token, &uri).await.json()["items"][0].clone();
        let answer = get(&house, &token, &format!("{uri}/{}", file["id"].as_str().unwrap())).await;
        assert_eq!(answer.header("set-cookie"), "");
        assert_eq!(
            answer.header("content-disposition"),
            "attachment; filename=\"a_  Set-Cookie_ x_1_ b__.txt\"; \
             filename*=UTF-8''a%22%20%20Set-Cookie%3A%20x%3D1%3B%20b%3D%EF%BF%BD.txt"
        );
    });
}

#[test]
fn what_is_no_form_or_names_no_event_is_refused() {
    run(async {
        let house = House::new().await;
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        let body = form(&[("a.txt", "x")]);
        for (event, kind, body) in [
            ("none", kind.as_str(), body.clone()),
            (EVENT_ID, "text/plain", body.clone()),
            (EVENT_ID, "multipart/form-data", body.clone()),
            (EVENT_ID, &kind, String::new()),
            (EVENT_ID, &kind, body[..body.len() - 10].to_owned()),
            (EVENT_ID, &kind, form(&[("a", "x"); 101])),
        ] {
            let answer = attach(&house, event, kind, body).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{event} {kind}: {answer:?}");
            assert!(!answer.header("x-sentry-error").is_empty());
        }
        assert_eq!(house.deliveries().await.len(), 0);
    });
}

#[test]
fn files_and_feedback_of_another_project_are_not_found() {
    run(async {
        let house = House::new().await;
        with_event(&house).await;
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        attach(&house, EVENT_ID, &kind, form(&[("a.txt", "x")])).await;
        report(&house, EVENT_ID, "name=Ada&email=ada%40example.com&comments=It+broke").await;
        house.digest().await;
        let token = house.token(&[Scope::Read, Scope::Write]).await;
        let uri = format!("/api/v1/events/{EVENT_ID}/attachments");
        let file = get(&house, &token, &uri).await.json()["items"][0]["id"].as_str().unwrap().to_owned();
        let said = get(&house, &token, "/api/v1/feedback").await.json()["items"][0]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        house.second_project().await;
        let stranger = house.stranger().await;
        house.project_of(&stranger).await;
        let foreign = house.token_of(&stranger, &[Scope::Read, Scope::Write]).await;
        let paths = [format!("{uri}/{file}"), format!("/api/v1/feedback/{said}")];
        for path in &paths {
            for (token, project) in [(&token, "second"), (&foreign, "second")] {
                for method in [Method::GET, Method::DELETE] {
                    let uri = format!("{path}?project={project}");
                    let answer = house.send(with_token(method.clone(), &uri, token, "")).await;
                    assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {uri}: {answer:?}");
                }
            }
        }
        let of_other_event = format!("/api/v1/events/{}/attachments/{file}?project=1", "1".repeat(32));
        assert_eq!(get(&house, &token, &of_other_event).await.status, StatusCode::NOT_FOUND);
        let reader = house.token(&[Scope::Read]).await;
        for path in &paths {
            let uri = format!("{path}?project=1");
            let denied = house.send(with_token(Method::DELETE, &uri, &reader, "")).await;
            assert_eq!(denied.status, StatusCode::FORBIDDEN, "{denied:?}");
            let deleted = house.send(with_token(Method::DELETE, &uri, &token, "")).await;
            assert_eq!(deleted.status, StatusCode::NO_CONTENT, "{deleted:?}");
            assert_eq!(get(&house, &token, &uri).await.status, StatusCode::NOT_FOUND);
        }
        assert_eq!(house.audit_entries("attachment_deleted").await.len(), 1);
        assert_eq!(house.audit_entries("feedback_deleted").await.len(), 1);
    });
}

async fn report(house: &House, event: &str, form: &str) -> Answer {
    let dsn = format!("https%3A%2F%2F{}%40belvedere.example%2F{}", house.key(), house.project());
    let uri = format!("/api/embed/error-page/?dsn={dsn}&eventId={event}");
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    house.send(request(Method::POST, &uri, &headers, form.to_owned())).await
}

#[test]
fn the_dialogue_after_a_crash_becomes_feedback_beside_its_event() {
    run(async {
        let house = House::new().await;
        let script =
            house.send(request(Method::GET, "/api/embed/error-page/?dsn=x&eventId=y", &[], "")).await;
        assert_eq!(script.header("content-type"), "text/javascript; charset=utf-8");
        assert_eq!(script.header("access-control-allow-origin"), "*");
        assert!(!script.text.contains("innerHTML"));
        for (event, form) in [
            ("none", "comments=x"),
            (EVENT_ID, "name=Ada"),
            (EVENT_ID, "comments=++"),
            (EVENT_ID, &format!("comments=x&name={}", "n".repeat(255))),
        ] {
            let answer = report(&house, event, form).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{form}: {answer:?}");
        }
        let answer =
            report(&house, EVENT_ID, "name=%3Cb%3EAda&email=ada%40example.com&comments=It+broke%0Atwice")
                .await;
        assert_eq!(answer.json(), json!({ "id": EVENT_ID }));
        house.digest().await;
        let token = house.token(&[Scope::Read, Scope::Write]).await;
        let listed = get(&house, &token, "/api/v1/feedback?status=unresolved").await;
        assert!(!listed.text.contains("ada@"), "{}", listed.text);
        let said = listed.json()["items"][0].clone();
        assert_eq!(
            (&said["message"], &said["source"], &said["associated_event_id"], &said["has_contact"]),
            (&json!("It broke\ntwice"), &json!("user_report"), &json!(EVENT_ID), &json!(true))
        );
        let uri = format!("/api/v1/feedback/{}", said["id"].as_str().unwrap());
        let change = json!({ "status": "spam" }).to_string();
        let changed = house.send(with_token(Method::PUT, &uri, &token, change)).await;
        assert_eq!(changed.json()["status"], "spam");
        assert_eq!(
            get(&house, &token, "/api/v1/feedback?status=unresolved").await.json()["items"],
            json!([])
        );
        assert_eq!(get(&house, &token, "/api/v1/feedback?issue=x").await.status, StatusCode::BAD_REQUEST);
        let _: Value = house.audit_entries("feedback_status_changed").await[0].detail.clone().unwrap();
    });
}
