//! Who gets in, and what cannot be done in somebody's name.

use super::*;

const SIGN_IN: &str = "email=ada%40acme.example&password=+right+password+";

async fn open_post(site: &Site, path: &str, form: &str, header: Option<(&str, &str)>) -> Answer {
    let mut request = Request::builder().method("POST").uri(path);
    request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    site.answer(request.body(Body::from(form.to_owned())).unwrap()).await
}

async fn open_get(site: &Site, path: &str) -> Answer {
    site.answer(Request::builder().uri(path).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn strangers_are_asked_to_sign_in_and_come_back_to_what_they_wanted() {
    let site = Site::new(Role::Owner);
    for path in pages() {
        let answer = open_get(&site, &path).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
        assert!(answer.header("location").starts_with("/sign-in?next=%2Fprojects%2F"), "{path}");
    }
    assert_eq!(open_get(&site, "/").await.header("location"), "/sign-in");
    assert_eq!(open_get(&site, "/live/7").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(open_get(&site, "/projects/7/issues?fragment=rows").await.status, StatusCode::UNAUTHORIZED);
    let form = open_get(&site, "/sign-in?next=%2Fprojects%2F7%2Fissues").await;
    assert!(form.text().contains(r#"name="next" value="/projects/7/issues""#));
    let elsewhere = open_get(&site, "/sign-in?next=%2F%2Fevil.example").await;
    assert!(elsewhere.text().contains(r#"name="next" value="/""#));
}

#[tokio::test]
async fn a_password_begins_a_session_in_a_cookie_that_scripts_cannot_read() {
    let site = Site::new(Role::Owner);
    let answer = open_post(&site, "/sign-in", &format!("{SIGN_IN}&next=%2Fprojects%2F7"), None).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/projects/7"));
    assert_eq!(
        answer.header("set-cookie"),
        "belvedere_session=session-of-ada; Path=/; HttpOnly; SameSite=Lax; Max-Age=7776000; Secure"
    );
    let plain = Site::with(Role::Owner, |_, state| state.secure_cookies = false);
    let answer = open_post(&plain, "/sign-in", SIGN_IN, None).await;
    assert!(!answer.header("set-cookie").contains("Secure"));
}

#[tokio::test]
async fn wrong_guesses_get_no_cookie_and_too_many_get_a_pause() {
    let site = Site::new(Role::Owner);
    let wrong = open_post(&site, "/sign-in", "email=ada%40acme.example&password=guess", None).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(wrong.header("set-cookie"), "");
    assert!(wrong.text().contains("E-mail address or password is wrong.") && !wrong.text().contains("guess"));
    let paused = open_post(&site, "/sign-in", "email=throttled%40acme.example&password=guess", None).await;
    assert_eq!((paused.status, paused.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "30"));
}

#[tokio::test]
async fn opening_a_sign_in_link_does_not_use_it_up() {
    let site = Site::new(Role::Owner);
    let page = open_get(&site, "/sign-in/link/link-secret").await;
    assert_eq!((page.status, page.header("referrer-policy")), (StatusCode::OK, "no-referrer"));
    assert!(page.text().contains(r#"<form method="post">"#) && !page.text().contains("link-secret"));
    assert!(site.calls().is_empty());
    let signed_in = open_post(&site, "/sign-in/link/link-secret", "", None).await;
    assert_eq!((signed_in.status, signed_in.header("location")), (StatusCode::SEE_OTHER, "/"));
    assert!(signed_in.header("set-cookie").starts_with("belvedere_session=session-of-ada; "));
    let used = open_post(&site, "/sign-in/link/other", "", None).await;
    assert_eq!(used.status, StatusCode::BAD_REQUEST);
    assert!(used.text().contains("used before or has expired"));
}

#[tokio::test]
async fn forms_of_other_sites_are_refused() {
    let site = Site::new(Role::Owner);
    for path in ["/sign-in", "/sign-in/link/link-secret", "/join/invite-secret"] {
        for from in ["cross-site", "same-site"] {
            let answer = open_post(&site, path, SIGN_IN, Some(("sec-fetch-site", from))).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} {from}");
        }
    }
    assert_eq!(
        open_post(&site, "/sign-in", SIGN_IN, Some(("sec-fetch-site", "same-origin"))).await.status,
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn every_form_that_changes_something_needs_the_sessions_own_value() {
    let site = Site::new(Role::Owner);
    let id = belvedere_storage::Id::<()>::from_bytes([5; 16]);
    let paths = [
        format!("/projects/7/issues/{}/change", issue_id(1)),
        format!("/projects/7/issues/{}/comments", issue_id(1)),
        format!("/projects/7/issues/{}/comments/{id}", issue_id(1)),
        format!("/projects/7/issues/{}/unmerge", issue_id(1)),
        "/projects/7/issues/bulk".to_owned(),
        "/projects/7/settings/ownership".to_owned(),
        format!("/projects/7/settings/discards/{id}/lift"),
        format!("/projects/7/pipeline/set-aside/{id}/replay"),
        format!("/projects/7/pipeline/set-aside/{id}/discard"),
        "/projects/7/subjects/318/reveal".to_owned(),
        "/projects/7/settings".to_owned(),
        "/projects/7/settings/keys".to_owned(),
        "/projects/7/settings/xapi-keys".to_owned(),
        format!("/projects/7/settings/xapi-keys/{id}/revoke"),
        format!("/projects/7/settings/keys/{id}"),
        format!("/projects/7/settings/keys/{id}/revoke"),
        "/projects/7/settings/tokens".to_owned(),
        format!("/projects/7/settings/tokens/{id}/revoke"),
        "/projects/7/settings/members".to_owned(),
        format!("/projects/7/settings/members/{id}/role"),
        format!("/projects/7/settings/members/{id}/remove"),
        format!("/projects/7/settings/invites/{id}/revoke"),
        "/projects/7/settings/privacy".to_owned(),
        "/projects/7/settings/grouping".to_owned(),
        "/projects/7/settings/account".to_owned(),
        "/projects/7/settings/password".to_owned(),
        "/projects/new".to_owned(),
        "/sign-out".to_owned(),
        "/sign-out/everywhere".to_owned(),
        format!("/organisations/{id}/switch"),
    ];
    let forms = [
        "status=resolved".to_owned(),
        format!("csrf={CSRF}"),
        format!("csrf={}", csrf::mask("other")),
        "csrf=".to_owned(),
    ];
    for path in &paths {
        for form in &forms {
            assert_eq!(site.post_raw(path, form).await.status, StatusCode::FORBIDDEN, "{path} {form}");
        }
    }
    assert!(site.calls().is_empty(), "{:?}", site.calls());
}

#[tokio::test]
async fn another_organisations_project_does_not_exist() {
    let site = Site::new(Role::Owner);
    for path in pages().iter().filter(|path| path.starts_with("/projects/7")) {
        for project in ["9", "nonsense", "-7", "99999999999"] {
            let path = path.replace("/projects/7", &format!("/projects/{project}"));
            let answer = site.get(&path).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
            assert!(answer.text().contains("Nothing here"), "{path}");
        }
    }
    assert_eq!(site.get("/live/9").await.status, StatusCode::NOT_FOUND);
    assert_eq!(site.post("/projects/9/settings/privacy", "").await.status, StatusCode::NOT_FOUND);
    // Of the visitor's own project, but not in it.
    for path in [
        format!("/issues/{}", issue_id(99)),
        "/events/00000000000000000000000000000000".to_owned(),
        "/events/..%2f..".to_owned(),
        "/no/such/page".to_owned(),
    ] {
        assert_eq!(site.get(&format!("/projects/7{path}")).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert!(site.calls().is_empty());
}

#[tokio::test]
async fn signing_out_ends_the_session_and_takes_the_cookie_back() {
    let site = Site::new(Role::Analyst);
    let answer = site.post("/sign-out", "").await;
    assert_eq!(answer.header("location"), "/sign-in");
    assert_eq!(
        answer.header("set-cookie"),
        "belvedere_session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0; Secure"
    );
    assert_eq!(site.calls(), ["sign_out session-of-ada"]);
}

#[tokio::test]
async fn the_invited_join_with_a_password_or_learn_what_is_wrong_with_it() {
    let site = Site::new(Role::Owner);
    let form = open_get(&site, "/join/invite-secret").await;
    assert!(form.text().contains("Join Acme") && form.text().contains("joan@acme.example"));
    let weak = open_post(&site, "/join/invite-secret", "name=Joan&password=short", None).await;
    assert_eq!(weak.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        weak.text().contains("Password: must be 12 to 200 characters.")
            && weak.text().contains(r#"value="Joan""#)
    );
    let joined =
        open_post(&site, "/join/invite-secret", "name=Joan&password=long+enough+for+this", None).await;
    assert_eq!(joined.header("location"), "/");
    assert_eq!(open_get(&site, "/join/other").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_new_password_comes_with_a_new_session() {
    let site = Site::new(Role::Member);
    let answer = site.post("/projects/7/settings/password", "current=&new=+twelve+or+more+").await;
    assert!(answer.header("set-cookie").starts_with("belvedere_session=rotated; "));
    assert_eq!(site.calls(), ["set_password false"]);
}

#[tokio::test]
async fn forms_beyond_their_limit_are_refused() {
    let site = Site::new(Role::Owner);
    let answer =
        site.post("/projects/7/settings/privacy", &format!("scrub_keys={}", "x".repeat(70_000))).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}
