//! Feedback, attachments and limits as a browser meets them.

use belvedere_storage::Id;

use super::fakes::feedback_id;
use super::*;

fn file_path(number: u8) -> String {
    format!("/projects/7/events/{EVENT}/attachments/{}", Id::<()>::from_bytes([number; 16]))
}

#[tokio::test]
async fn attachments_are_listed_with_the_event_and_nothing_in_them_is_markup() {
    let site = Site::new(Role::Member);
    let page = site.get(&format!("/projects/7/events/{EVENT}")).await;
    let text = page.text();
    assert!(text.contains("screenshot.png") && text.contains("core.dmp"), "{text}");
    assert!(text.contains(&"ab".repeat(32)));
    assert!(text.contains(&format!("<img src=\"{}/image\"", file_path(2))));
    assert!(
        text.contains("&lt;img src=x onerror=alert(1)&gt;.html") || text.contains("&#60;img src=x"),
        "{text}"
    );
    assert!(!text.contains("<img src=x") && !text.contains("\"><script>"));
}

#[tokio::test]
async fn a_text_is_shown_escaped_and_only_images_are_served_in_place() {
    let site = Site::new(Role::Member);
    let text = site.get(&file_path(1)).await;
    assert_eq!(text.status, StatusCode::OK);
    assert!(!text.text().contains("<script>alert(1)"), "{}", text.text());
    assert!(text.text().contains("alert(1)"));
    for (number, status) in [(1, StatusCode::NOT_FOUND), (2, StatusCode::OK), (3, StatusCode::NOT_FOUND)] {
        let image = site.get(&format!("{}/image", file_path(number))).await;
        assert_eq!(image.status, status, "{number}");
        if status == StatusCode::OK {
            assert_eq!(image.header("content-type"), "image/png");
            assert_eq!(image.header("x-content-type-options"), "nosniff");
            assert!(image.header("content-security-policy").contains("sandbox"));
        }
    }
    for (number, kind) in [(1, "application/octet-stream"), (2, "image/png"), (3, "application/octet-stream")]
    {
        let file = site.get(&format!("{}/download", file_path(number))).await;
        assert_eq!(file.header("content-type"), kind);
        assert!(file.header("content-disposition").starts_with("attachment; filename=\""));
        assert_eq!(
            file.header("content-security-policy"),
            "default-src 'none'; frame-ancestors 'none'; sandbox"
        );
        assert_eq!(file.header("x-content-type-options"), "nosniff");
    }
}

#[tokio::test]
async fn files_of_another_event_or_project_are_not_found() {
    let site = Site::new(Role::Owner);
    let of_other_event = file_path(1).replace(EVENT, &"1".repeat(32));
    let of_other_project = file_path(1).replace("/projects/7/", "/projects/8/");
    for path in [of_other_event, of_other_project, file_path(9), file_path(1) + "x"] {
        for end in ["", "/download", "/image"] {
            assert_eq!(site.get(&format!("{path}{end}")).await.status, StatusCode::NOT_FOUND, "{path}{end}");
        }
        let deleted = site.post(&format!("{path}/delete"), "").await;
        assert_eq!(deleted.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(site.post_raw(&format!("{}/delete", file_path(1)), "").await.status, StatusCode::FORBIDDEN);
    assert_eq!(site.calls(), Vec::<String>::new());
    let deleted = site.post(&format!("{}/delete", file_path(1)), "").await;
    assert_eq!(deleted.header("location"), format!("/projects/7/events/{EVENT}?done=gone"));
    assert_eq!(site.calls().len(), 1);
}

#[tokio::test]
async fn what_people_said_stands_beside_the_error_and_in_a_list_of_its_own() {
    let site = Site::new(Role::Member);
    for path in [
        format!("/projects/7/issues/{}", issue_id(1)),
        "/projects/7/feedback".to_owned(),
        format!("/projects/7/feedback/{}", feedback_id()),
    ] {
        let page = site.get(&path).await;
        assert!(page.text().contains("The pay button does nothing."), "{path}");
        assert!(!page.text().contains("<script>alert"), "{path}");
        assert!(!page.text().contains("href=\"javascript:"), "{path}");
        assert!(!page.text().contains("lovelace@"), "{path}");
    }
    let other = site.get(&format!("/projects/7/issues/{}", issue_id(2))).await;
    assert!(!other.text().contains("What people said"));
    let empty = site.get("/projects/8/feedback").await;
    assert!(empty.text().contains("Nobody has said anything yet"));
    assert_eq!(
        site.get(&format!("/projects/8/feedback/{}", feedback_id())).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(site.get("/projects/7/feedback/x").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_contact_is_shown_to_those_who_may_see_it_and_only_by_a_form() {
    let path = format!("/projects/7/feedback/{}/reveal", feedback_id());
    let member = Site::new(Role::Member);
    assert_eq!(member.post(&path, "").await.status, StatusCode::FORBIDDEN);
    assert_eq!(member.calls().iter().filter(|call| *call == "reveal_contact").count(), 0);
    let owner = Site::new(Role::Owner);
    assert_eq!(owner.post_raw(&path, "").await.status, StatusCode::FORBIDDEN);
    let page = owner.post(&path, "").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains("lovelace@mail.example"));
    assert!(!page.text().contains("<b>Ada"));
}

#[tokio::test]
async fn feedback_is_resolved_assigned_to_members_and_deleted() {
    let site = Site::new(Role::Member);
    let path = format!("/projects/7/feedback/{}", feedback_id());
    for (end, form, status) in [
        ("status", "status=spam", StatusCode::SEE_OTHER),
        ("status", "status=gone", StatusCode::BAD_REQUEST),
        ("assign", "assignee=", StatusCode::SEE_OTHER),
        ("assign", &format!("assignee={}", Id::<()>::from_bytes([3; 16])), StatusCode::SEE_OTHER),
        ("assign", &format!("assignee={}", Id::<()>::from_bytes([77; 16])), StatusCode::BAD_REQUEST),
        ("delete", "", StatusCode::SEE_OTHER),
    ] {
        assert_eq!(site.post(&format!("{path}/{end}"), form).await.status, status, "{end} {form}");
    }
    let grace = Id::<()>::from_bytes([3; 16]);
    assert_eq!(
        site.calls(),
        [
            "change_feedback SetStatus(Spam)".to_owned(),
            "change_feedback Assign(None)".to_owned(),
            format!("change_feedback Assign(Some({grace:?}))"),
            "change_feedback Delete".to_owned(),
        ]
    );
    let analyst = Site::new(Role::Analyst);
    assert_eq!(analyst.post(&format!("{path}/delete"), "").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn limits_are_read_from_the_form_and_faults_are_named() {
    let site = Site::new(Role::Owner);
    let form = |days: &str, errors: &str| {
        format!(
            "event_days={days}&events_in_full=500&attachment_megabytes=64&scrubs_attachments=1&spike_multiplier=5\
             &error_per_month={errors}&attachment_per_minute=2"
        )
    };
    let path = "/projects/7/settings/limits";
    let saved = site.post(path, &form("30", "1,000,000")).await;
    assert_eq!(saved.header("location"), "/projects/7/settings/limits?done=saved");
    assert_eq!(
        site.calls(),
        ["change_limits 30 {Error: Quota { per_minute: None, per_month: Some(1000000) }, \
          Attachment: Quota { per_minute: Some(2097152), per_month: None }}"]
    );
    for (days, errors, why) in [
        ("0", "", "Event_days: must be from 1 to 3650"),
        ("", "", "event days: must be given"),
        ("30", "many", "error per month: is not a whole number"),
    ] {
        let page = site.post(path, &form(days, errors)).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{days} {errors}");
        assert!(page.text().contains(why), "{why}: {}", page.text());
    }
    let member = Site::new(Role::Member);
    assert_eq!(member.get(path).await.status, StatusCode::OK);
    assert_eq!(member.post(path, &form("30", "")).await.status, StatusCode::FORBIDDEN);
}
