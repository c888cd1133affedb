//! The pages of the business.

use super::markup::{ATTACK, assert_inert};
use super::*;

fn with(suffix: &'static str, currencies: &'static [&'static str]) -> Site {
    Site::with(Role::Analyst, |_, state| {
        state.business = Some(Arc::new(FakeBusiness::new(state.clock.now(), suffix, currencies)));
    })
}

#[tokio::test]
async fn the_executive_page_shows_eight_numbers_with_their_change_and_definition() {
    let site = with("", &["EUR"]);
    let page = site.get("/projects/7/business").await;
    assert_eq!(page.status, StatusCode::OK);
    let text = page.text();
    assert_eq!(text.matches(r#"class="card kpi c3""#).count(), 8, "{text}");
    for part in [
        r#"<a href="/projects/7/business" aria-current="page">Executive</a>"#,
        r##"<a href="#definition-monthly_recurring_revenue">MRR</a>"##,
        r#"<div id="definition-monthly_recurring_revenue"><dt>MRR</dt>"#,
        r#"12,345.00 EUR <span class="change up">+5.2 %</span>"#,
        r#"1,310 <span class="change down">"#,
        r#"9,870 <span class="change ">±0 %</span>"#,
        "31.2 %",
        r#"<rect class="bar" width="12" height="16">"#,
        "<b>640</b> 12.8 %",
        "+25.0 % against the period before",
        r#"<td class="n" data-label="by first touch">310 <span class="note">30.0 %</span></td><td class="n" data-label="by last touch">280 <span class="note">35.0 %</span></td>"#,
        r#"200 <span class="note">10.0 %</span></td><td class="n" data-label="by last touch">0 <span class="note"></span></td>"#,
        r#"<th scope="row" class="bidi">autumn</th><td class="n" data-label="people">120</td>"#,
        r#"<th scope="row" class="bidi">/pricing</th><td class="n" data-label="people">90</td><td class="n" data-label="signed up">50.0 %</td>"#,
        r#"<a href="/projects/7/business/table/landing_pages?period=month&#38;format=parquet" download aria-label="Landing pages as Parquet">"#,
        r#"<th scope="row" class="bidi">rust-101</th>"#,
        "Monthly recurring revenue at the end of each month",
        "People with activity on each of 30 days",
        r#"<td class="n">200</td><td class="n h9">100.0 %</td><td class="n h5">50.0 %</td>"#,
        r#"<a href="/projects/7/business?period=week">This week</a>"#,
        r##"data-part="present"><b>1,042</b> people now"##,
        r#"<b>Sign-ups</b> <span class="down">−50.0 %</span></span><span class="changes-from note">180 &#8594; 90</span>"#,
        r#"<span>country <b class="bidi">DE</b> −72 <span class="note">80.0 % of it</span></span>"#,
        // The others make up for a part of it.
        r#"<span>device <b class="bidi">phone</b> −100</span>"#,
        r#"<td class="bidi">desktop</td><td class="n">60</td><td class="n">70</td><td class="n">+10</td>"#,
        r#"<td class="n" data-label="after they came">6.0 days</td>"#,
        r#"<td class="n">200</td><td class="n h5">50.0 %</td><td class="n h1">4.0 %</td>"#,
        r#"<a href="/projects/7/learning/struggling"><b>37</b></a>"#,
        r#"<dt class="bidi">loops</dt><dd>12</dd>"#,
        "60.0 % <span class=\"note\">50.0 % to 70.0 %; 110 of 40 learners</span>",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("style="));
}

#[tokio::test]
async fn revenue_shows_movements_plans_and_cohorts() {
    let site = with("", &["EUR"]);
    let page = site.get("/projects/7/business/revenue?period=quarter").await;
    assert_eq!(page.status, StatusCode::OK);
    let text = page.text();
    for part in [
        r#"<a href="/projects/7/business/revenue?period=quarter" aria-current="page">This quarter</a>"#,
        "148,140.00 EUR",
        r#"<dt>Churned</dt><dd>"#,
        "gains above the line, losses below",
        r#"<th scope="row" class="bidi">pro</th><td class="n" data-label="MRR">9,345.00 EUR</td>"#,
        r#"<td class="n h9">700.00</td>"#,
        "Quick ratio",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[tokio::test]
async fn a_project_without_anything_says_what_to_send() {
    let site = with("", &["EUR"]);
    let page = site.get("/projects/8/business").await;
    assert!(page.text().contains("Nothing has arrived yet"), "{}", page.text());
    let page = site.get("/projects/8/business/revenue").await;
    let door = "https://bv.example/api/v1/business/subscriptions/import?project=8";
    assert!(page.text().contains(door), "{}", page.text());
}

#[tokio::test]
async fn several_currencies_are_a_choice_and_a_missing_rate_is_named() {
    let site = with("", &["EUR", "USD"]);
    let page = site.get("/projects/7/business/revenue").await;
    for part in [
        "12,345.00 EUR",
        r#"<a href="/projects/7/business/revenue?period=month&#38;currency=EUR" aria-current="page">EUR</a>"#,
        r#"<a href="/projects/7/business/revenue?period=month&#38;currency=USD">USD</a>"#,
    ] {
        assert!(page.text().contains(part), "{part} in {}", page.text());
    }
    for path in ["/projects/7/business/revenue", "/projects/7/business"] {
        let page = site.get(&format!("{path}?currency=USD")).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.text().contains("there is no rate from EUR to USD for 2026-11-22"), "{}", page.text());
    }
    // What does not need the rate is still there.
    let page = site.get("/projects/7/business?currency=USD").await;
    assert!(page.text().contains("9,870"), "{}", page.text());
}

#[tokio::test]
async fn texts_of_others_are_inert_and_pages_exist_with_their_slice() {
    let site = with(ATTACK, &["EUR"]);
    for path in ["/projects/7/business", "/projects/7/business/revenue"] {
        assert_inert(site.get(path).await.text(), path);
    }
    let off = Site::with(Role::Owner, |_, state| state.business = None);
    for path in ["/projects/7/business", "/projects/7/business/revenue"] {
        assert_eq!(off.get(path).await.status, StatusCode::NOT_FOUND);
    }
    assert!(!off.get("/projects/7").await.text().contains("/business"));
}

#[tokio::test]
async fn the_executive_page_follows_who_is_there_now() {
    let site = with("", &["EUR"]);
    let page = site.get("/projects/7/business").await;
    assert!(page.text().contains(r#"data-live-topic="event.appended""#));
    let page = site.get("/projects/7/business?fragment=rows").await;
    let text = page.text();
    assert!(text.contains(r#"<template data-part="present"><b>1,042</b> people now"#), "{text}");
    assert!(!text.contains("<h2>"));
}

#[tokio::test]
async fn tables_of_the_business_are_files() {
    let site = with("", &["EUR"]);
    for (path, kind, start) in [
        (
            "channels?format=csv",
            "text/csv; charset=utf-8; header=present",
            "channel,people,converted,conversion_rate\r\nnewsletter,310,93,0.3\r\n",
        ),
        (
            "channels_last_touch",
            "text/csv; charset=utf-8; header=present",
            "channel,people,converted,conversion_rate\r\nnewsletter,280,98,0.35\r\n",
        ),
        (
            "features_by_cohort?format=csv",
            "text/csv; charset=utf-8; header=present",
            "week,people,feature,adopted\r\n",
        ),
        ("courses?format=json", "application/json", "{\"columns\":[\"course\",\"people\","),
        (
            "changes?format=csv",
            "text/csv; charset=utf-8; header=present",
            "number,dimension,segment,value,before,delta\r\nsignups,",
        ),
        (
            "movements?format=csv",
            "text/csv; charset=utf-8; header=present",
            "from,until,currency,start_mrr_minor,",
        ),
        (
            "plans?format=csv",
            "text/csv; charset=utf-8; header=present",
            "plan,currency,mrr_minor,subscribers\r\n",
        ),
        (
            "cohorts?format=csv",
            "text/csv; charset=utf-8; header=present",
            "cohort,periods_later,currency,mrr_minor,customers\r\n",
        ),
        ("active?format=parquet", "application/vnd.apache.parquet", "PAR1"),
    ] {
        let file = site.get(&format!("/projects/7/business/table/{path}")).await;
        assert_eq!((file.status, file.header("content-type")), (StatusCode::OK, kind), "{path}");
        assert!(file.header("content-disposition").starts_with("attachment; filename=\"business-"));
        assert!(file.body.starts_with(start.as_bytes()), "{path}: {}", String::from_utf8_lossy(&file.body));
    }
    assert_eq!(site.get("/projects/7/business/table/odd").await.status, StatusCode::NOT_FOUND);
    let revenue = site.get("/projects/7/business/revenue").await;
    assert!(revenue.text().contains("/projects/7/business/table/movements?period=month&#38;format=csv"));
    let auditor = Site::new(Role::Auditor);
    let refused = auditor.get("/projects/7/business/table/plans").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}
