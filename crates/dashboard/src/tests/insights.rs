//! Questions that people put together.

use super::markup::assert_inert;
use super::*;

const PAGES: [&str; 6] = [
    "/projects/7/insights/trends?event=error&by=plan",
    "/projects/7/insights/trends?event=error&measure=sum&of=amount&by=plan",
    "/projects/7/insights/trends?event=error&formula=A-B",
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
async fn a_trend_of_values_says_of_which() {
    let site = Site::new(Role::Analyst);
    let path = "/projects/7/insights/trends?event=error&measure=average&of=amount&days=7&by=plan";
    let page = site.get(path).await;
    for part in [
        r#"<option value="average" selected>Average value</option>"#,
        r#"name="of" maxlength="100""#,
        "average of amount per day, 7 days; <b>1.25</b> over all of them",
        "error: average of amount per day",
        r#"<th scope="col" class="n">average of amount</th>"#,
        r#"<td class="n">1.25</td>"#,
        r#"<th scope="col" class="n">Average of amount</th>"#,
        r#"<td class="n" data-label="average of amount">1.25</td>"#,
        "measure=average&#38;of=amount&#38;unit=day",
    ] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    let wrong = site.get("/projects/7/insights/trends?measure=sum&of=country").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    for part in ["Of: country is no name of a property with numbers.", r#"value="country""#] {
        assert!(wrong.text().contains(part), "{part}: {}", wrong.text());
    }
}

#[tokio::test]
async fn a_formula_is_shown_with_what_it_is_computed_from() {
    let site = Site::new(Role::Analyst);
    let path = "/projects/7/insights/trends?event=error&measure=people&formula=A+/+B+*+100&event2=signup&measure2=sum\
                &of2=amount&event3=left&unit=month";
    let page = site.get(path).await;
    let asked = "formula A / B * 100 Subjects name=error > Sum name=signup";
    assert!(site.calls().contains(&asked.to_owned()), "{:?}", site.calls());
    for part in [
        r#"<details class="formula" open>"#,
        r#"name="formula" maxlength="200""#,
        r#"value="A / B * 100""#,
        "<small>A / B * 100 per month, 30 days</small>",
        r#"<th scope="col" class="n">A / B * 100</th><th scope="col" class="n">A</th><th scope="col" class="n">B</th>"#,
        r#"<td class="n">0.38</td><td class="n">3</td><td class="n">8,000.5</td>"#,
        r#"<dt>A</dt><dd class="bidi">error: people</dd>"#,
        r#"<dt>B</dt><dd class="bidi">signup: sum of amount</dd>"#,
        r#"<span class="tag">C</span>"#,
        "event2=signup&#38;measure2=sum&#38;of2=amount&#38;formula=A%20%2F%20B%20%2A%20100",
    ] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    let wrong = site.get("/projects/7/insights/trends?formula=A+/+F").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    for part in ["Formula: at character 5: there is no series F.", r#"value="A / F""#] {
        assert!(wrong.text().contains(part), "{part}: {}", wrong.text());
    }
    let csv = site.get(&path.replace("trends?", "trends/table?format=csv&")).await;
    assert!(csv.text().starts_with("month,A,B,formula\r\n"), "{}", csv.text());
    assert!(csv.text().ends_with(",3,8000.5,0.375\r\n"), "{}", csv.text());
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
