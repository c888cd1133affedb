//! The pages of source maps.

use super::fake_maps::{FakeMaps, bundle_id};
use super::*;

fn site_with(role: Role, suffix: &str) -> (Site, Arc<FakeMaps>) {
    let maps = Arc::new(FakeMaps::new("2026-11-23T12:00:00Z".parse().unwrap(), suffix));
    let given = maps.clone();
    (Site::with(role, move |_, state| state.source_maps = Some(given)), maps)
}

#[tokio::test]
async fn bundles_are_listed_with_the_commands_to_upload_more() {
    let (site, _) = site_with(Role::Member, "");
    let page = site.get("/projects/7/settings/source-maps").await;
    for part in [
        "shop@4.12.1",
        "without release",
        "9c4cb8aa-72e9-571d-a188-195453d1898f",
        "3.6 MB of 2 GB used",
        "npx sentry-cli sourcemaps inject ./dist",
        "SENTRY_URL=https://bv.example SENTRY_AUTH_TOKEN=… npx sentry-cli sourcemaps upload --org",
        "--project web-shop ./dist",
    ] {
        assert!(page.text().contains(part), "{part}");
    }
    let searched = site.get("/projects/7/settings/source-maps?q=nothing").await;
    assert!(searched.text().contains("Nothing of this project fits."));
    let empty = site.get("/projects/8/settings/source-maps").await;
    assert!(empty.text().contains("No source map yet"));
    let detail = site.get(&format!("/projects/7/settings/source-maps/{}", bundle_id(1))).await;
    assert!(detail.text().contains("~/main.js.map") && detail.text().contains("Delete bundle"));
}

#[tokio::test]
async fn bundles_of_others_do_not_exist_and_deleting_wants_the_permission() {
    let (site, maps) = site_with(Role::Member, "");
    for path in [
        format!("/projects/8/settings/source-maps/{}", bundle_id(1)),
        format!("/projects/7/settings/source-maps/{}", bundle_id(3)),
        "/projects/7/settings/source-maps/x".to_owned(),
        "/projects/9/settings/source-maps".to_owned(),
    ] {
        assert_eq!(site.get(&path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let path = format!("/projects/7/settings/source-maps/{}/delete", bundle_id(1));
    let answer = site.post(&path, "").await;
    assert_eq!(answer.header("location"), "/projects/7/settings/source-maps?done=bundle_deleted");
    assert_eq!(*maps.deleted.lock().unwrap(), [bundle_id(1)]);
    let (site, maps) = site_with(Role::Analyst, "");
    assert_eq!(site.post(&path, "").await.status, StatusCode::FORBIDDEN);
    assert_eq!(maps.deleted.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn names_of_releases_and_files_stay_text() {
    let (site, _) = site_with(Role::Owner, markup::ATTACK);
    for path in ["", &format!("/{}", bundle_id(1))] {
        let path = format!("/projects/7/settings/source-maps{path}");
        markup::assert_inert(site.get(&path).await.text(), &path);
    }
}
