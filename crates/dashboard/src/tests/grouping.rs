//! The rules of grouping: tried, saved, and what is wrong with them.

use super::*;

const PATH: &str = "/projects/7/settings/grouping";

#[tokio::test]
async fn rules_are_shown_with_their_revision() {
    let page = Site::new(Role::Owner).get(PATH).await;
    let text = page.text();
    assert!(text.contains("# of &#60;vendors&#62;\npath:**/vendor/** -&#62; -app"), "{text}");
    assert!(text.contains("name=\"revision\" value=\"3\""));
    assert!(!text.contains("id=\"preview\""));
}

#[tokio::test]
async fn a_preview_says_what_would_join_split_and_go() {
    let page =
        Site::new(Role::Owner).post(PATH, "action=preview&revision=3&rules=level%3Ainfo+-%3E+ignore").await;
    assert_eq!(page.status, StatusCode::OK);
    let text = page.text();
    for part in [
        "12 now, 11 with these rules",
        "Would come together",
        "Would come apart",
        "Would be left out",
        "Fault 5",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // What was tried is still in the form.
    assert!(text.contains("level:info -&#62; ignore"));
    assert!(text.contains(&format!("/projects/7/issues/{}", issue_id(3))));
}

#[tokio::test]
async fn wrong_rules_come_back_with_line_and_column() {
    let site = Site::new(Role::Owner);
    let page = site.post(PATH, "action=preview&revision=3&rules=wrong").await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        page.text().contains("Rules: line 2, column 6: expected -&#62; and what is to be done"),
        "{}",
        page.text()
    );
    let page = site.post(PATH, "action=save&revision=2&rules=level%3Ainfo+-%3E+ignore").await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.text().contains("changed by somebody else"));
    let page = site.post(PATH, "action=save&revision=3&rules=level%3Ainfo+-%3E+ignore").await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn who_may_not_manage_the_project_can_look_and_try() {
    let site = Site::new(Role::Member);
    assert!(!site.get(PATH).await.text().contains("value=\"save\""));
    assert_eq!(site.post(PATH, "action=preview&revision=3&rules=x").await.status, StatusCode::OK);
    assert_eq!(site.post(PATH, "action=save&revision=3&rules=x").await.status, StatusCode::FORBIDDEN);
}
