use belvedere_accounts::Role;
use http::StatusCode;

use super::Site;
use super::fakes::{EVENT, issue_id};

fn id(number: u8) -> String {
    belvedere_storage::Id::<()>::from_bytes([number; 16]).to_string()
}

#[tokio::test]
async fn an_issue_shows_its_tags_and_issues_that_look_alike() {
    let site = Site::new(Role::Owner);
    let page = site.get(&format!("/projects/7/issues/{}", issue_id(1))).await;
    let text = page.text();
    for part in [
        "Tags of all events",
        "61 %",
        r#"<rect width="61" height="4">"#,
        "events?q=tags%5Bplan%5D%3A%22free%20trial%22",
        "&#60;script&#62;alert(1)&#60;/script&#62;",
        "#2 TypeError: &#60;b&#62;x&#60;/b&#62; is undefined",
        "72 %: the same type TypeError, 3 of 4 frames in common",
        "q=trace%3A4bf92f3577b34da6a3ce929d0e0e4736",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let tag = site.get(&format!("/projects/7/issues/{}/tags/plan", issue_id(1))).await;
    for part in ["12,904", "free trial", "other values", "&#60;script&#62;", "7 %", "q=tags%5Bplan%5D"] {
        assert!(tag.text().contains(part), "{part} in {}", tag.text());
    }
    assert!(!tag.text().contains("<script>alert"));
    let unknown = site.get(&format!("/projects/7/issues/{}/tags/os", issue_id(1))).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn events_are_searched_and_show_the_columns_that_are_asked_for() {
    let site = Site::new(Role::Owner);
    let path = format!("/projects/7/issues/{}/events", issue_id(1));
    let usual = site.get(&path).await;
    for part in ["Subject 318", "shop@4.12.3", "production", EVENT.get(2..8).unwrap()] {
        assert!(usual.text().contains(part), "{part} in {}", usual.text());
    }
    let chosen = site.get(&format!("{path}?q=plan%3Apro&environment=staging&columns=tag.plan,trace")).await;
    let text = chosen.text();
    assert!(
        text.contains("&#60;i&#62;pro&#60;/i&#62;")
            && text.contains("4bf92f35")
            && !text.contains("Subject 318<")
    );
    assert!(text.contains("columns=tag.plan%2Ctrace") && text.contains("q=plan%3Apro"), "{text}");
    assert!(site.calls().contains(&"search_events Some(\"staging\")".to_owned()), "{:?}", site.calls());
    let wrong = site.get(&format!("{path}?q=level%3Abad")).await;
    assert!(wrong.text().contains("Query, character 7: expected one of debug"), "{}", wrong.text());
}

#[tokio::test]
async fn queries_are_completed() {
    let site = Site::new(Role::Owner);
    let suggest = async |text: &str| {
        site.get(&format!("/projects/7/issues/suggest?text={text}")).await.text().to_owned()
    };
    assert_eq!(suggest("is%3Are").await, r#"["is:resolved","is:regressed"]"#);
    assert_eq!(suggest("!pla").await, r#"["!platform:","!plan:"]"#);
    assert_eq!(suggest("plan%3Afr").await, r#"["plan:\"free trial\""]"#);
    assert_eq!(suggest("level%3Af").await, r#"["level:fatal"]"#);
}

#[tokio::test]
async fn searches_are_saved_changed_and_deleted() {
    let site = Site::new(Role::Member);
    let page = site.get("/projects/7/issues/searches?q=level%3Afatal&sort=trend").await;
    let text = page.text();
    assert!(
        text.contains("Crashes &#60;3") && text.contains("Mine") && text.contains(r#"value="level:fatal""#),
        "{text}"
    );
    let made = site.post("/projects/7/issues/searches", "name=New&query=is%3Anew&sort=trend&shared=1").await;
    assert_eq!(
        (made.status, made.header("location")),
        (StatusCode::SEE_OTHER, "/projects/7/issues/searches?done=saved")
    );
    let wrong = site.post("/projects/7/issues/searches", "name=New&query=is%3Aodd").await;
    assert!(wrong.text().contains("Query, character 4: expected one of"), "{}", wrong.text());
    let taken = site.post("/projects/7/issues/searches", "name=taken&query=").await;
    assert!(taken.text().contains("Name: is taken.") && taken.text().contains(r#"value="taken""#));
    let changed = site.post(&format!("/projects/7/issues/searches/{}", id(1)), "name=x&query=y").await;
    assert_eq!(changed.status, StatusCode::SEE_OTHER);
    let foreign = site.post(&format!("/projects/7/issues/searches/{}", id(9)), "name=x&query=y").await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
    let deleted = site.post(&format!("/projects/7/issues/searches/{}/delete", id(1)), "").await;
    assert_eq!(deleted.status, StatusCode::SEE_OTHER);
    let foreign = site.post(&format!("/projects/7/issues/searches/{}/delete", id(9)), "").await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
    let forged = site.post_raw(&format!("/projects/7/issues/searches/{}/delete", id(1)), "").await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
}
