//! The pages of webhooks.

use belvedere_storage::Id;

use super::fake_webhooks::{FakeWebhooks, endpoint_id};
use super::*;

const PATH: &str = "/projects/7/settings/webhooks";

fn site_with(role: Role, suffix: &str) -> (Site, Arc<FakeWebhooks>) {
    let webhooks = Arc::new(FakeWebhooks::new("2026-11-23T12:00:00Z".parse().unwrap(), suffix));
    let given = webhooks.clone();
    (Site::with(role, move |_, state| state.webhooks = given), webhooks)
}

#[tokio::test]
async fn webhooks_are_listed_with_what_waits_and_shown_with_their_deliveries() {
    let (site, _) = site_with(Role::Admin, "");
    let list = site.get(PATH).await;
    for part in [
        "https://hooks.example.org/belvedere",
        "learning.milestone, learning.struggling",
        "1,204",
        "Make webhook",
    ] {
        assert!(list.text().contains(part), "{part}");
    }
    let page = site.get(&format!("{PATH}/{}", endpoint_id())).await;
    for part in ["503 come back later", "connection refused", "204", ">pending<", ">delivered<", ">dead<"] {
        assert!(page.text().contains(part), "{part}");
    }
    assert!(page.text().contains("next <time") && page.text().contains("after=3"));
    assert!(site.get("/projects/8/settings/webhooks").await.text().contains("Nobody is told yet"));
}

#[tokio::test]
async fn a_secret_is_shown_once_and_what_cannot_be_used_is_said() {
    let (site, webhooks) = site_with(Role::Owner, "");
    let form = "url=https%3A%2F%2Fhooks.example.org%2F&learning.milestone=1&issue.new=1";
    let made = site.post(PATH, form).await;
    assert_eq!(made.status, StatusCode::OK);
    assert!(made.text().contains("whsec_AQEBAQEB"));
    let call = "create https://hooks.example.org/ [MilestoneReached, IssueNew]";
    assert_eq!(*webhooks.calls.lock().unwrap(), [call]);
    assert!(!site.get(PATH).await.text().contains("whsec_"));
    let refused = site.post(PATH, "url=https%3A%2F%2Ftyped.example%2F").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text().contains("Kinds: must have at least one"));
    assert!(refused.text().contains(r#"value="https://typed.example/""#));
}

#[tokio::test]
async fn what_is_done_to_a_webhook_is_done_by_forms_of_administrators() {
    let (site, webhooks) = site_with(Role::Admin, "");
    let one = format!("{PATH}/{}", endpoint_id());
    let delivery = Id::<()>::from_bytes([3; 16]);
    let to = async |path: &str, form: &str| site.post(path, form).await.header("location").to_owned();
    assert_eq!(to(&one, "url=https://a.example/&issue.new=1").await, format!("{one}?done=saved"));
    assert_eq!(to(&format!("{one}/ping"), "").await, format!("{one}?done=pinged"));
    assert_eq!(to(&format!("{one}/deliveries/{delivery}/resend"), "").await, format!("{one}?done=resent"));
    let rotated = site.post(&format!("{one}/secret"), "").await;
    assert!(rotated.text().contains("whsec_AgICAgIC"));
    assert_eq!(to(&format!("{one}/delete"), "").await, format!("{PATH}?done=gone"));
    let resend = format!("resend {delivery}");
    let calls = ["change Some([IssueNew]) Some(false)", "ping", &resend, "rotate", "delete"];
    assert_eq!(*webhooks.calls.lock().unwrap(), calls);
    for path in [
        format!("/projects/8/settings/webhooks/{}", endpoint_id()),
        format!("{PATH}/{delivery}"),
        format!("{PATH}/x"),
    ] {
        assert_eq!(site.get(&path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let (site, webhooks) = site_with(Role::Member, "");
    assert_eq!(site.get(PATH).await.status, StatusCode::FORBIDDEN);
    assert_eq!(site.post(&format!("{one}/delete"), "").await.status, StatusCode::FORBIDDEN);
    assert!(webhooks.calls.lock().unwrap().is_empty());
    assert!(!site.get("/projects/7/settings").await.text().contains("Webhooks"));
}

#[tokio::test]
async fn what_receivers_answer_stays_text() {
    let (site, _) = site_with(Role::Owner, markup::ATTACK);
    for path in [PATH.to_owned(), format!("{PATH}/{}", endpoint_id())] {
        markup::assert_inert(site.get(&path).await.text(), &path);
    }
}
