//! The pages of releases.

use super::markup::{ATTACK, assert_inert};
use super::*;

#[tokio::test]
async fn releases_are_listed_with_how_they_fare() {
    let site = Site::new(Role::Analyst);
    let page = site.get("/projects/7/releases").await;
    assert_eq!(page.status, StatusCode::OK);
    for part in [
        r#"href="/projects/7/releases/shop%402.14.0""#,
        "deployed to production · 2 commits · 9,000 sessions in 24 h",
        // 9,000 of 16,500, and 36 of 9,000 not free of crashes.
        "54.54 %",
        "99.6 %",
        "+0.05 points",
    ] {
        assert!(page.text().contains(part), "{part} in {}", page.text());
    }
    let none = site.get("/projects/7/releases?q=x").await;
    assert!(none.text().contains("No release matches"));
    let empty = site.get("/projects/8/releases").await;
    assert!(
        empty.text().contains("release: &#34;empty@1.0.0&#34;")
            || empty.text().contains("release: \"empty@1.0.0\""),
        "{}",
        empty.text()
    );
    assert!(empty.text().contains("sentry-cli releases new"));
    assert!(empty.text().contains("export SENTRY_URL=https://bv.example"));
}

#[tokio::test]
async fn a_release_shows_its_charts_issues_deploys_and_commits() {
    let site = Site::new(Role::Owner);
    let page = site.get("/projects/7/releases/shop%402.14.0").await;
    assert_eq!(page.status, StatusCode::OK);
    for part in [
        "Crash-free sessions per day",
        "Share of all sessions per day",
        "Sessions per day",
        "New issues",
        "No resolved issue came back in this release.",
        "Subject 41",
        "Fix the till",
        "<option selected>shop@2.13.1</option>",
    ] {
        assert!(page.text().contains(part), "{part} in {}", page.text());
    }
    // An address that is not of the web is no link.
    assert!(!page.text().contains("javascript:"), "{}", page.text());
    let hourly = site.get("/projects/7/releases/shop%402.14.0?range=24h&environment=staging").await;
    assert!(hourly.text().contains("Crash-free sessions per hour"));
    assert_eq!(site.get("/projects/7/releases/none").await.status, StatusCode::NOT_FOUND);
    assert_eq!(site.get("/projects/8/releases/shop%402.14.0").await.status, StatusCode::NOT_FOUND);
    assert_eq!(site.get("/projects/9/releases").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn two_releases_stand_side_by_side() {
    let site = Site::new(Role::Owner);
    let page = site.get("/projects/7/releases/shop%402.14.0/compare?base=shop%402.13.1").await;
    assert_eq!(page.status, StatusCode::OK);
    for part in
        ["Events per 1,000 sessions", "Only in this one", "Not any more", "In both", "The other way round"]
    {
        assert!(page.text().contains(part), "{part} in {}", page.text());
    }
    let missing = site.get("/projects/7/releases/shop%402.14.0/compare?base=none").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn releases_full_of_markup_render_as_text() {
    let site = Site::with(Role::Owner, |fake, _| fake.suffix = ATTACK.to_owned());
    let version = crate::form::segment(&format!("shop@2.14.0{ATTACK}"));
    let base = crate::form::segment(&format!("shop@2.13.1{ATTACK}"));
    for path in [
        "/projects/7/releases".to_owned(),
        format!("/projects/7/releases/{version}"),
        format!("/projects/7/releases/{version}/compare?base={base}"),
    ] {
        let page = site.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(page.text().contains("{{7*7}}"), "{path}");
        assert_inert(page.text(), &path);
    }
}

#[tokio::test]
async fn auditors_see_no_releases_and_nobody_does_while_errors_are_off() {
    assert_eq!(Site::new(Role::Auditor).get("/projects/7/releases").await.status, StatusCode::FORBIDDEN);
    let off = Site::with(Role::Owner, |_, state| {
        state.errors = None;
        state.releases = None;
    });
    assert_eq!(off.get("/projects/7/releases").await.status, StatusCode::NOT_FOUND);
    assert!(!off.get("/projects/7").await.text().contains("/projects/7/releases"));
}
