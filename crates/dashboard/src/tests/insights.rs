//! Questions that people put together.

use super::markup::assert_inert;
use super::*;

const PAGES: [&str; 4] = [
    "/projects/7/insights/trends?event=error&by=plan",
    "/projects/7/insights/funnels?step=signup&step=error&by=plan",
    "/projects/7/insights/retention?start=signup&unit=month",
    "/projects/7/insights/paths?event=error",
];

#[tokio::test]
async fn a_trend_has_its_unit_its_period_and_its_parts() {
    let site = Site::new(Role::Analyst);
    let page = site.get("/projects/7/insights/trends?event=error&measure=people&days=7&by=plan").await;
    assert_eq!(page.status, StatusCode::OK);
    // The seven local days that end with the present one.
    assert!(
        site.calls().contains(&"trend Day 2026-11-16T23:00:00Z name=error".to_owned()),
        "{:?}",
        site.calls()
    );
    for part in [
        r#"href="/projects/7/insights/trends" aria-current="page">Trends</a>"#,
        r#"<option value="error" selected>error</option>"#,
        r#"<option value="people" selected>People</option>"#,
        r#"<option value="7" selected>Last 7 days</option>"#,
        "people per day, 7 days; <b>77</b> different people",
        "error: people per day",
        r#"<th scope="row" class="bidi">not set</th>"#,
        r#"<td class="n" data-label="people">77</td><td class="n" data-label="share">100 %</td>"#,
    ] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
}

#[tokio::test]
async fn a_funnel_needs_two_steps_and_says_how_many_get_through() {
    let site = Site::new(Role::Analyst);
    let page = site.get("/projects/7/insights/funnels?step=signup").await;
    assert!(page.text().contains("Choose two steps and more"), "{}", page.text());
    assert_eq!(page.text().matches(r#"name="step""#).count(), 3);
    let path = "/projects/7/insights/funnels?step=signup&step=&step=error&step=hint_used&window=14&days=90";
    let page = site.get(path).await;
    assert_eq!(
        site.calls(),
        ["funnel 2026-08-25T22:00:00Z 1209600000 name=signup > name=error > name=hint_used"]
    );
    assert_eq!(page.text().matches(r#"name="step""#).count(), 4, "there is room for another step");
    for part in [
        r#"<option value="" selected>Step 4</option>"#,
        "first step in the last 90 days, all steps within 14 days",
        r#"<rect class="bar" width="25.0" height="16">"#,
        "<b>200</b> 25 %",
        "50 % of the step before, 4 min after it in the median",
        r#"<th scope="row" class="bidi">hint_used</th><td class="n">200</td><td class="n">25 %</td>"#,
    ] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
}

#[tokio::test]
async fn retention_and_paths_are_tables_with_shares() {
    let site = Site::new(Role::Analyst);
    let page = site.get("/projects/7/insights/retention").await;
    for part in ["the last 8 weeks", ">week 0</th>", r#"<td class="n h5">50.0 %</td>"#] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    let page = site.get("/projects/7/insights/paths?event=error&direction=previous").await;
    assert!(
        site.calls()[0].starts_with("path Previous 2026-10-24T22:00:00Z name=error"),
        "{:?}",
        site.calls()
    );
    for part in [
        "share of 40 paths of 20 people, 30 days",
        "the beginning",
        r#"<td class="n" data-label="share">75 %</td><td class="n" data-label="paths">30</td>"#,
    ] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    let page = site.get("/projects/7/insights/paths").await;
    assert!(page.text().contains("Choose an event"), "{}", page.text());
}

#[tokio::test]
async fn what_is_wrong_is_said_and_nothing_of_others_runs() {
    let site = Site::new(Role::Analyst);
    for path in PAGES {
        assert_inert(site.get(path).await.text(), path);
    }
    for path in ["/projects/7/insights/trends?event=ghost", "/projects/7/insights/paths?event=ghost"] {
        let page = site.get(path).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.text());
        assert!(page.text().contains("No event is named") || page.text().contains("no event is named"));
    }
    let long = "x".repeat(201);
    let page = site.get(&format!("/projects/7/insights/trends?event={long}")).await;
    assert!(page.text().contains("has more than 200 bytes"), "{}", page.text());
    let page = site.get("/projects/7/insights/trends?by=value").await;
    assert!(page.text().contains("value is no name of a property"), "{}", page.text());
}

#[tokio::test]
async fn only_who_may_see_analytics_asks() {
    let site = Site::new(Role::Auditor);
    for path in PAGES {
        assert_ne!(site.get(path).await.status, StatusCode::OK, "{path}");
    }
}
