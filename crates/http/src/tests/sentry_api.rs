//! What `sentry-cli` asks for before it does anything.

use axum::body::Body;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use belvedere_accounts::Scope;
use belvedere_storage::testing::run;
use http::{Method, StatusCode};
use serde_json::json;

use super::house::{House, request, with_token};

#[test]
fn a_token_is_told_what_it_may_do_and_where_it_belongs() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Write]).await;
        let slug = house.first.organisation.slug.clone();
        let get = async |uri: &str| house.send(with_token(Method::GET, uri, &token, "")).await;
        let info = get("/api/0/").await;
        assert_eq!(
            info.json(),
            json!({"version": "0", "auth": {"scopes": ["org:ci", "project:releases", "event:write"]}, "user": null})
        );
        let organisations = get("/api/0/organizations/").await.json();
        assert_eq!((&organisations[0]["slug"], organisations.as_array().unwrap().len()), (&json!(slug), 1));
        assert_eq!(organisations[0]["dateCreated"], "2026-11-23T12:04:05Z");
        let projects = get(&format!("/api/0/organizations/{slug}/projects/")).await.json();
        assert_eq!(projects[0]["id"], house.project().to_string());
        assert_eq!(get("/api/0/projects/").await.json(), projects);
        let project = get(&format!("/api/0/projects/{slug}/{}/", house.first.project.slug)).await.json();
        assert_eq!(project, projects[0]);
    });
}

#[test]
fn old_tools_give_the_token_as_a_user() {
    run(async {
        let house = House::new().await;
        let token = house.token(&[Scope::Read]).await;
        let basic = |user: &str| format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:")));
        for (path, user, status) in [
            ("/api/0/", token.as_str(), StatusCode::OK),
            ("/api/0/", "wrong", StatusCode::UNAUTHORIZED),
            // Only there.
            ("/api/v1/projects", token.as_str(), StatusCode::UNAUTHORIZED),
        ] {
            let asked = request(Method::GET, path, &[("authorization", &basic(user))], Body::empty());
            assert_eq!(house.send(asked).await.status, status, "{path} {user}");
        }
    });
}

#[test]
fn refusals_are_plain_json_with_a_detail_and_strangers_find_nothing() {
    run(async {
        let house = House::new().await;
        let stranger = house.stranger().await;
        let token = house.token_of(&stranger, &[Scope::Read]).await;
        let (slug, project) = (&house.first.organisation.slug, &house.first.project.slug);
        for uri in [
            format!("/api/0/organizations/{slug}/"),
            format!("/api/0/organizations/{slug}/projects/"),
            format!("/api/0/organizations/{slug}/repos/"),
            format!("/api/0/projects/{slug}/{project}/"),
            format!("/api/0/projects/strangers/{project}/"),
            "/api/0/nothing/of/the/sort/".to_owned(),
        ] {
            let answer = house.send(with_token(Method::GET, &uri, &token, "")).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{uri}");
            assert_eq!(answer.header("content-type"), "application/json", "{uri}");
            assert!(answer.json()["detail"].is_string(), "{uri}");
        }
    });
}
