//! What people do with issues, by forms alone.

use belvedere_storage::Id;

use super::*;

#[tokio::test]
async fn an_issue_has_actions_a_timeline_and_a_suspect_release() {
    let site = Site::new(Role::Member);
    let page = site.get(&format!("/projects/7/issues/{}", issue_id(2))).await;
    for part in [
        r#"name="action" value="resolve:next""#,
        r#"name="action" value="ignore:hours:24""#,
        r#"name="action" value="archive""#,
        "Seen on the demo account too.",
        "resolved it unless a release after shop@4.12.1 has it",
        "Came back in shop@4.12.3",
        "Assigned to Ada by the rule path:src/lesson/**",
        "First seen in shop@4.12.0",
        r#"<a class="link" href="/projects/7/releases/shop%404.12.3">shop@4.12.3</a>"#,
        r#"after <a class="link" href="/projects/7/releases/shop%404.12.2">shop@4.12.2</a>"#,
        r#"<span class="tag bad">regressed</span>"#,
        r#"name="hash" value="aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa""#,
        "?activity=older#timeline",
    ] {
        assert!(page.text().contains(part), "{part} is missing");
    }
    // Who may only look is shown no button.
    let analyst = Site::new(Role::Analyst).get(&format!("/projects/7/issues/{}", issue_id(2))).await;
    assert!(analyst.text().contains("Seen on the demo account too."));
    assert!(!analyst.text().contains(r#"name="action""#));
}

#[tokio::test]
async fn actions_reach_triage_as_they_were_chosen() {
    let site = Site::new(Role::Member);
    let path = format!("/projects/7/issues/{}", issue_id(1));
    for (form, done) in [
        ("action=resolve", "resolved"),
        ("action=resolve:release", "resolved-release"),
        ("action=resolve:next", "resolved-release"),
        ("action=ignore", "ignored"),
        ("action=ignore:events:100", "ignored"),
        ("action=ignore:custom&counted=subjects&count=1,000&minutes=60", "ignored"),
        ("action=archive", "archived"),
        ("action=reopen", "unresolved"),
        ("action=assign&assigned_to=", "assigned"),
    ] {
        let answer = site.post(&format!("{path}/change"), form).await;
        assert_eq!(answer.header("location"), format!("{path}?done={done}"), "{form}");
    }
    let deleted = site.post(&format!("{path}/change"), "action=discard").await;
    assert_eq!(deleted.header("location"), "/projects/7/issues?done=deleted");
    assert_eq!(
        site.calls(),
        [
            "change_issues 1 Resolve(Now)",
            "change_issues 1 Resolve(InRelease(None))",
            "change_issues 1 Resolve(InNextRelease)",
            "change_issues 1 Ignore(ForEver)",
            "change_issues 1 Ignore(More { counted: Events, count: 100, minutes: None })",
            "change_issues 1 Ignore(More { counted: Subjects, count: 1000, minutes: Some(60) })",
            "change_issues 1 Archive",
            "change_issues 1 Reopen",
            "change_issues 1 Assign(None)",
            "change_issues 1 Delete { discards: true }",
        ]
    );
    for form in [
        "action=ignore:custom&count=many",
        "action=assign&assigned_to=ada",
        "action=",
        "action=merge&others=x",
    ] {
        let refused = site.post(&format!("{path}/change"), form).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{form}");
    }
}

#[tokio::test]
async fn picked_issues_are_changed_together_and_one_lands_in_the_same_list() {
    let site = Site::new(Role::Member);
    let list = site.get("/projects/7/issues").await;
    assert!(list.text().contains(&format!(r#"name="issue" value="{}""#, issue_id(1))));
    assert!(list.text().contains(r#"action="/projects/7/issues/bulk""#));
    assert!(list.text().contains(r#"<span class="who">Ada</span>"#));
    let picked = format!("issue={}&issue={}", issue_id(1), issue_id(3));
    let done = site
        .post("/projects/7/issues/bulk", &format!("{picked}&action=resolve&status=all&q=a%26b&sort=events"))
        .await;
    assert_eq!(done.header("location"), "/projects/7/issues?status=all&q=a%26b&sort=events&done=resolved");
    let merged = site.post("/projects/7/issues/bulk", &format!("{picked}&action=merge")).await;
    assert_eq!(merged.header("location"), format!("/projects/7/issues/{}?done=merged", issue_id(1)));
    assert_eq!(site.calls(), ["change_issues 2 Resolve(Now)", "merge_issues 2"]);
    let nothing = site.post("/projects/7/issues/bulk", "action=resolve").await;
    assert_eq!(nothing.status, StatusCode::BAD_REQUEST);
    assert!(nothing.text().contains("pick at least one issue first"));
}

#[tokio::test]
async fn a_similar_issue_is_merged_from_the_page_by_who_may() {
    let page = format!("/projects/7/issues/{}", issue_id(1));
    let form = format!(
        r#"<input type="hidden" name="issue" value="{}"><input type="hidden" name="issue" value="{}"><button type="submit" class="btn small" name="action" value="merge">"#,
        issue_id(1),
        issue_id(2),
    );
    assert!(Site::new(Role::Member).get(&page).await.text().contains(&form));
    assert!(!Site::new(Role::Analyst).get(&page).await.text().contains(r#"value="merge""#));
}

#[tokio::test]
async fn everything_that_matches_is_changed_only_if_it_is_as_many_as_was_said() {
    let site = Site::new(Role::Member);
    let stale = site.post("/projects/7/issues/bulk", "matching=17&action=archive").await;
    assert_eq!(stale.status, StatusCode::BAD_REQUEST);
    assert!(stale.text().contains("other issues match by now"), "{}", stale.text());
    // The made-up list gives its four unresolved issues on both of its pages.
    let done = site.post("/projects/7/issues/bulk", "matching=8&action=archive").await;
    assert_eq!(done.status, StatusCode::SEE_OTHER);
    assert_eq!(site.calls(), ["change_issues 8 Archive"]);
}

#[tokio::test]
async fn changes_need_the_permission_the_anti_forgery_value_and_an_own_project() {
    let path = format!("/projects/7/issues/{}", issue_id(1));
    let forms = [
        (format!("{path}/change"), "action=resolve"),
        (format!("{path}/comments"), "text=hello"),
        (format!("{path}/comments/{}", Id::<()>::from_bytes([1; 16])), "text=hello"),
        (format!("{path}/unmerge"), "hash=a"),
        ("/projects/7/issues/bulk".to_owned(), "action=delete&issue=1"),
        ("/projects/7/settings/ownership".to_owned(), "rules="),
        (format!("/projects/7/settings/discards/{}/lift", Id::<()>::from_bytes([0x85; 16])), ""),
    ];
    let (member, analyst) = (Site::new(Role::Owner), Site::new(Role::Analyst));
    for (path, form) in &forms {
        let forged = member.post_raw(path, form).await;
        assert_eq!(forged.status, StatusCode::FORBIDDEN, "{path}");
        let refused = analyst.post(path, form).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
        let elsewhere = member.post(&path.replace("/projects/7/", "/projects/9/"), form).await;
        assert_eq!(elsewhere.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert!(member.calls().is_empty(), "{:?}", member.calls());
    // An id that the project does not have.
    let unknown = member.post(&format!("/projects/7/issues/{}/change", issue_id(99)), "action=resolve").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn comments_are_written_changed_and_deleted() {
    let site = Site::new(Role::Member);
    let path = format!("/projects/7/issues/{}", issue_id(1));
    site.post(&format!("{path}/comments"), "text=a%0D%0A%3Cb%3E").await;
    let comment = format!("{path}/comments/{}", Id::<()>::from_bytes([1; 16]));
    site.post(&comment, "text=better&action=save").await;
    site.post(&comment, "text=better&action=delete").await;
    site.post(&format!("{path}/unmerge"), "hash=aa&hash=bb").await;
    let expected = [
        "comment a\r\n<b>",
        r#"change_comment Some("better")"#,
        "change_comment None",
        r#"unmerge_issue ["aa", "bb"]"#,
    ];
    assert_eq!(site.calls(), expected);
}

#[tokio::test]
async fn ownership_shows_addresses_and_says_what_is_wrong() {
    let site = Site::new(Role::Admin);
    let page = site.get("/projects/7/settings/ownership").await;
    assert!(page.text().contains("path:src/lesson/** ada@acme.example"), "{}", page.text());
    // Who has no address is named by id.
    assert!(page.text().contains(&format!("url:*/pay/* {}", Id::<()>::from_bytes([4; 16]))));
    assert!(page.text().contains("Cache refreshed while stale"));
    let refused = site.post("/projects/7/settings/ownership", "rules=path:a+nobody@x.example").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text().contains("Rules: line 1, column 8: nobody of the organisation has this address."));
    assert!(refused.text().contains("path:a nobody@x.example</textarea>"));
    site.post("/projects/7/settings/ownership", "rules=path:a+ada@acme.example%0D%0A&assigns=1").await;
    site.post(&format!("/projects/7/settings/discards/{}/lift", Id::<()>::from_bytes([5; 16])), "").await;
    let lifted = format!("lift_discard {}", Id::<()>::from_bytes([5; 16]));
    assert_eq!(site.calls(), [r#"set_ownership "path:a ada@acme.example\n" true"#, &lifted]);
}
