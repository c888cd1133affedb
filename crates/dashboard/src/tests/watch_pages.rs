//! Crons and logs.

use super::*;

#[tokio::test]
async fn crons_show_how_jobs_stand_and_hostile_names_stay_text() {
    let site = Site::new(Role::Member);
    let list = site.get("/projects/7/crons").await;
    for part in
        ["Nightly backup", "0 3 * * * Europe/Berlin", "90.0 %", "2 failures in a row", r#"class="strip""#]
    {
        assert!(list.text().contains(part), "{part}: {}", list.text());
    }
    let page = site.get("/projects/7/crons/nightly-backup").await;
    for part in ["Europe/Berlin", ">Unmute</button>", ">Pause</button>", "1 min 50 s", "trace%3A4bf92f35"] {
        assert!(page.text().contains(part), "{part}");
    }
    for page in [list, page] {
        assert!(!page.text().contains("<script>alert"), "{}", page.text());
    }
    assert_eq!(site.get("/projects/7/crons/ghost").await.status, StatusCode::NOT_FOUND);
    let fragment = site.get("/projects/7/crons/nightly-backup?fragment=rows").await;
    assert!(fragment.text().contains(r#"<template data-part="cron-runs">"#));
}

#[tokio::test]
async fn monitors_are_made_changed_switched_and_deleted_by_forms() {
    let site = Site::new(Role::Member);
    let form = "slug=sync&name=Sync&schedule=every+15+minutes&timezone=UTC&checkin_margin=2&max_runtime=5";
    let made = site.post("/projects/7/crons/new", form).await;
    assert_eq!(made.header("location"), "/projects/7/crons/sync?done=saved");
    let refused = site.post("/projects/7/crons/new", "slug=taken&schedule=%40daily").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text().contains("Slug: there is a monitor taken already"), "{}", refused.text());
    let odd = site.post("/projects/7/crons/new", "slug=odd&schedule=61+*+*+*+*").await;
    assert!(odd.text().contains("Schedule: minute: &#34;61&#34; is not from 0 to 59"), "{}", odd.text());
    site.post("/projects/7/crons/nightly-backup/edit", "schedule=*%2F5+*+*+*+*").await;
    site.post("/projects/7/crons/nightly-backup/switch", "to=paused").await;
    let gone = site.post("/projects/7/crons/nightly-backup/delete", "").await;
    assert_eq!(gone.header("location"), "/projects/7/crons");
    assert_eq!(
        site.calls(),
        [
            "create_monitor sync every 15 minutes UTC",
            "update_monitor nightly-backup */5 * * * *",
            "switch_monitor nightly-backup Some(true) None",
            "delete_monitor nightly-backup",
        ]
    );
    let analyst = Site::new(Role::Analyst);
    assert_eq!(analyst.post("/projects/7/crons/new", form).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn logs_are_shown_with_their_counts_and_hostile_bodies_stay_text() {
    let site = Site::new(Role::Owner);
    let page = site.get("/projects/7/logs").await;
    for part in ["payment 3 declined", "warn</span>", "records in all", "q=voucher%3A", "Older", "Save"] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    assert!(page.text().contains(r#"data-live-topic="log.records""#));
    assert!(!page.text().contains("<script>alert"), "{}", page.text());
    let wrong = site.get("/projects/7/logs?q=level%3Aloud").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text().contains("level: loud is none of trace, debug, info, warn, error, fatal"));
    let older = site.get("/projects/7/logs?after=1~2").await;
    assert!(!older.text().contains("data-live-topic"));
    let fragment = site.get("/projects/7/logs?fragment=rows").await;
    assert!(fragment.text().contains(r#"<template data-part="logs">"#));
    let empty = site.get("/projects/8/logs").await;
    assert!(
        empty.text().contains("enable_logs=True") && empty.text().contains("/api/8/integration/otlp/v1/logs")
    );
    let event = site.get(&format!("/projects/7/events/{EVENT}")).await;
    assert!(event.text().contains("Logs of the same trace"));
    site.post("/projects/7/logs/settings", "days=14&megabytes=512").await;
    assert_eq!(site.calls(), ["change_log_settings 14 536870912"]);
}
