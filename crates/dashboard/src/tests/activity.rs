//! Events by name, over time, and one by one.

use belvedere_event_store::query::QueriesError;

use super::markup::{ATTACK, assert_inert};
use super::*;
use crate::refusal::Refusal;

#[tokio::test]
async fn events_are_listed_with_their_names_their_chart_and_where_they_lead() {
    let site = Site::new(Role::Analyst);
    let page = site.get("/projects/7/events").await;
    for part in [
        r#"href="/projects/7/events" aria-current="page">Events</a>"#,
        // The chart: its unit and period, and its table.
        "<h2>Events per hour</h2>",
        "in the last 24 hours, UTC",
        "Events per hour in the last 24 hours: ",
        "Hour (UTC)",
        // Names with their volumes; a few are folded away.
        r#"href="/projects/7/events?name=lesson_opened&#38;span=24h""#,
        ">12,904<",
        "<summary>4 more</summary>",
        // A row: texts lead to events with the same, errors to their issue, subjects to their timeline.
        r#"<time datetime="2026-11-23T11:59:20Z" title="2026-11-23T11:59:20Z">23 Nov 11:59:20</time>"#,
        r#"href="/projects/7/events?dimension=course&#38;value=rust-101&#38;span=24h""#,
        r#"<a class="link nowrap" href="/projects/7/events/subjects/n5">Subject n5</a>"#,
        r#"data-label="value">1.5</td>"#,
        "attempt: 0",
        "&#34;attempt&#34;: 0",
        r#"<a class="btn" rel="next" href="/projects/7/events?span=24h&#38;after=1~2">Older</a>"#,
    ] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    let issue =
        format!(r#"href="/projects/7/issues/{}" title="The issue of this error">error</a>"#, issue_id(1));
    assert!(page.text().contains(&issue), "{issue}");
    assert!(page.text().contains("data-live-stream"));
    let section = page.text().find(r#"href="/projects/7/logs""#).unwrap();
    assert!(section < page.text().find(r#"href="/projects/7/events""#).unwrap(), "after Logs");
}

#[tokio::test]
async fn what_is_chosen_reaches_the_store_and_stays_chosen() {
    let site = Site::new(Role::Owner);
    let page = site.get("/projects/7/events?name=error&dimension=course&value=go+%26+co&span=30d").await;
    assert_eq!(page.status, StatusCode::OK);
    let calls = site.calls();
    assert_eq!(
        calls,
        [
            "trend Day 2026-10-25T00:00:00Z name=error course=go & co",
            "timeline None 2026-10-25T00:00:00Z name=error course=go & co",
            r#"list_values course Some("error")"#,
        ]
    );
    for part in [
        r#"<option value="error" selected>error</option>"#,
        r#"<option value="course" selected>course</option>"#,
        r#"<option value="30d" selected>Last 30 days</option>"#,
        r#"value="go &#38; co" list="values""#,
        r#"<option value="go &#38; friends"></option>"#,
        "Events per day in the last 30 days: ",
        "name=error&#38;dimension=course&#38;value=go%20%26%20co&#38;span=30d&#38;after=1~2",
    ] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    let rare = site.get("/projects/7/events?name=rare&span=7d").await;
    assert!(rare.text().contains(r#"<option value="rare" selected>rare</option>"#));
    assert!(site.calls().contains(&"trend Day 2026-11-17T00:00:00Z name=rare".to_owned()));
    let older = site.get("/projects/7/events?name=error&after=1~2").await;
    assert!(older.text().contains(r#"href="/projects/7/events?name=error&#38;span=24h">Newest</a>"#));
}

#[tokio::test]
async fn a_wrong_filter_is_a_message_and_all_events_are_shown() {
    let site = Site::new(Role::Owner);
    let wrong = [
        ("dimension=shoe&value=40", "Events: no recent event has a property &#34;shoe&#34;"),
        ("value=40", "Choose what \u{201c}40\u{201d} is a value of"),
        ("name=ghost", "Events: no event is named &#34;ghost&#34;"),
        (
            "dimension=a%0A%3Cscript%3Ealert(1)%3C/script%3E",
            "&#60;script&#62;alert(1)&#60;/script&#62; is no name of a property",
        ),
        ("dimension=name&value=x", "name is no name of a property"),
    ];
    for (query, message) in wrong {
        let page = site.get(&format!("/projects/7/events?{query}")).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
        assert!(page.text().contains(message), "{message}: {}", page.text());
        assert!(page.text().contains("All events are shown.") && page.text().contains("lesson_opened"));
    }
    let long = site.get(&format!("/projects/7/events?name={}", "x".repeat(201))).await;
    assert!(long.text().contains("The name has more than 200 bytes"), "{}", long.text());
    assert_eq!(site.get("/projects/7/events?after=nonsense").await.status, StatusCode::BAD_REQUEST);
    let nothing = site.get("/projects/7/events?dimension=country&value=XX").await;
    assert_eq!(nothing.status, StatusCode::OK);
    assert!(nothing.text().contains("No event matches") && nothing.text().contains("show all events"));
}

#[tokio::test]
async fn properties_are_listed_with_their_volumes_and_values() {
    let site = Site::new(Role::Analyst);
    let page = site.get("/projects/7/events/properties?name=signup").await;
    for part in [
        "<h1>Properties</h1>",
        r#"<option value="signup" selected>signup</option>"#,
        r#"href="/projects/7/events/properties?name=signup&#38;property=plan.tier">plan.tier</a>"#,
        ">12,000<",
        "column",
        "Choose a property",
    ] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    let chosen = site.get("/projects/7/events/properties?property=plan.tier").await;
    assert_eq!(site.calls(), ["list_values plan.tier None"]);
    for part in [
        "<h2>Values of plan.tier</h2>",
        r#"href="/projects/7/events?dimension=plan.tier&#38;value=go%20%26%20friends&#38;span=30d">go &#38; friends</a>"#,
        "not set",
    ] {
        assert!(chosen.text().contains(part), "{part}: {}", chosen.text());
    }
    assert_inert(chosen.text(), "properties");
    let wrong = site.get("/projects/7/events/properties?property=shoe").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text().contains("no recent event has a property"), "{}", wrong.text());
    let nothing = site.get("/projects/8/events/properties").await;
    assert!(nothing.text().contains("No event has a property yet"), "{}", nothing.text());
}

#[tokio::test]
async fn a_property_in_the_json_is_filtered_by_like_a_dimension() {
    let site = Site::new(Role::Owner);
    let page = site.get("/projects/7/events?dimension=plan.tier&value=gold&span=7d").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(site.calls().contains(&"timeline None 2026-11-17T00:00:00Z plan.tier=gold".to_owned()));
    assert!(page.text().contains(r#"<option value="plan.tier" selected>plan.tier</option>"#));
    assert!(page.text().contains(r#"data-live-topic="event.appended""#));
}

#[tokio::test]
async fn a_subject_has_a_timeline_by_days() {
    let site = Site::new(Role::PrivacyOfficer);
    let page = site.get("/projects/7/events/subjects/318").await;
    for part in [
        "<h1>Subject 318</h1>",
        "<h2>23 Nov 2026</h2>",
        "<h2>22 Nov 2026</h2>",
        r#"title="2026-11-23T11:59:20Z">11:59:20</time>"#,
        r#"href="/projects/7/events/subjects/318?after=1~2">Older</a>"#,
        r#"action="/projects/7/subjects/318/reveal""#,
        r#"href="/projects/7/events?name=lesson_opened&#38;span=30d""#,
    ] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    assert!(!page.text().contains("Subject</th>"), "it is the same in every row");
    let numbered = site.get("/projects/7/events/subjects/n5").await;
    assert!(numbered.text().contains("<h1>Subject n5</h1>") && !numbered.text().contains("/reveal"));
    assert_eq!(
        site.calls(),
        [
            "timeline Some(SubjectId(318)) 2000-01-01T00:00:00Z ",
            "timeline None 2000-01-01T00:00:00Z number=Some(5)",
        ]
    );
    for odd in ["ghost", "-1", "n4000000000", "318%3Cscript%3E", "318/raw"] {
        let page = site.get(&format!("/projects/7/events/subjects/{odd}")).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{odd}");
    }
    let nobody = site.get("/projects/8/events/subjects/318").await;
    assert!(nobody.text().contains("No event of this subject"), "{}", nobody.text());
    let analyst = Site::new(Role::Analyst).get("/projects/7/events/subjects/318").await;
    assert!(!analyst.text().contains("Show who this is"));
    let event = site.get(&format!("/projects/7/events/{EVENT}")).await;
    assert!(event.text().contains(r#"href="/projects/7/events/subjects/318""#));
}

#[tokio::test]
async fn a_project_without_events_says_how_they_come_in() {
    let site = Site::new(Role::Owner);
    let page = site.get("/projects/8/events").await;
    for part in
        ["No event yet", "Errors appear here by themselves", "@bv.example/8", "set_tag", "Sentry.setUser"]
    {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    assert!(!page.text().contains(r#"<form class="filters""#));
    let analyst = Site::new(Role::Analyst).get("/projects/8/events").await;
    assert!(analyst.text().contains("Ask an administrator") && !analyst.text().contains("a1a1a1a1"));
}

#[tokio::test]
async fn hostile_names_values_and_properties_stay_text() {
    let site = Site::new(Role::Owner);
    let typed = crate::form::address(
        "/projects/7/events",
        &[("name", ATTACK), ("dimension", "browser"), ("value", ATTACK), ("span", ATTACK)],
    );
    for path in
        ["/projects/7/events", "/projects/7/events?fragment=rows", "/projects/7/events/subjects/318", &typed]
    {
        let page = site.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert_inert(page.text(), path);
        assert!(page.text().contains("&#60;script&#62;alert(1)"), "{path}");
    }
}

#[tokio::test]
async fn events_of_others_are_refused_and_their_fragments_hold_what_changes() {
    let site = Site::new(Role::Owner);
    for path in ["/projects/9/events", "/projects/9/events/subjects/318"] {
        assert_eq!(site.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(site.calls(), Vec::<String>::new(), "nothing was asked of the store");
    let auditor = Site::new(Role::Auditor);
    for path in ["/projects/7/events", "/projects/7/events/subjects/318"] {
        assert_eq!(auditor.get(path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    let parts = [("/projects/7/events", "activity"), ("/projects/7/events/subjects/318", "activity-subject")];
    for (path, part) in parts {
        let page = site.get(path).await;
        let fragment = site.get(&format!("{path}?fragment=rows")).await;
        assert!(page.text().contains(&format!(r#"data-part="{part}""#)), "{path}");
        assert!(fragment.text().contains(&format!(r#"<template data-part="{part}">"#)), "{path}");
        assert!(fragment.text().contains(r#"<template data-part="nav-issues">4</template>"#), "{path}");
        assert!(!fragment.text().contains("<html"), "{path}");
    }
}

#[tokio::test]
async fn events_have_a_page_where_errors_have_none() {
    let site = Site::with(Role::Owner, |_, state| state.errors = None);
    let page = site.get("/projects/7/events").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains("lesson_opened") && !page.text().contains("/issues/"));
}

#[test]
fn what_the_store_cannot_answer_says_why() {
    let limit = std::time::Duration::from_secs(5);
    let slow = Refusal::from(QueriesError::TooSlow { limit }).into_form_error().unwrap();
    assert_eq!(slow, "No answer within 5000 ms; ask for a shorter range.");
}
