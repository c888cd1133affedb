//! The pages of learning.

use super::markup::{ATTACK, assert_inert};
use super::*;

/// A site whose learning texts all end in markup.
fn hostile() -> Site {
    Site::with(Role::Owner, |_, state| {
        let learning = Arc::new(FakeLearning::new(state.clock.now(), ATTACK));
        state.learning = Some(learning.clone());
        state.learning_settings = learning;
    })
}

#[tokio::test]
async fn courses_are_listed_with_how_far_learners_come() {
    let site = Site::new(Role::Analyst);
    let page = site.get("/projects/7/learning/courses").await;
    assert_eq!(page.status, StatusCode::OK);
    for part in [
        r#"href="/projects/7/learning/courses/rust-101""#,
        "First steps in Rust",
        r#"data-label="enrolled">2,400<"#,
        r#"data-label="completed">475<small class="change">25 %</small>"#,
        r#"data-label="active in 14 d">310<"#,
        "4 h 20 min",
        r#"href="/projects/7/learning/courses?after=rust-101""#,
        r#"<a href="/projects/7/learning/courses" aria-current="page">Courses</a>"#,
    ] {
        assert!(page.text().contains(part), "{part} in {}", page.text());
    }
    let next = site.get("/projects/7/learning/courses?after=rust-101").await;
    assert!(next.text().contains("No more courses") && next.text().contains("First page"));
}

#[tokio::test]
async fn a_project_without_learners_says_how_to_send_a_first_event() {
    let page = Site::new(Role::Owner).get("/projects/8/learning/courses").await;
    let door = format!("https://bv.example/api/8/learning/events?sentry_key={}", "a1".repeat(16));
    assert!(page.text().contains(&door), "{}", page.text());
    assert!(page.text().contains(r#"data-copy="snippet-learning-curl""#));
    let analyst = Site::new(Role::Analyst).get("/projects/8/learning/courses").await;
    assert!(!analyst.text().contains("a1a1a1a1"), "an analyst may not see keys");
}

#[tokio::test]
async fn a_course_shows_its_funnel_its_exercises_and_its_structure() {
    let site = Site::new(Role::Owner);
    let page = site.get("/projects/7/learning/courses/rust-101").await;
    assert_eq!(page.status, StatusCode::OK);
    for part in [
        "learners, of 2,480 with an event in the course",
        "475 learners",
        r#"aria-label="Loops: 1,900 started, 1,520 completed, 190 stopped here""#,
        "drop-off 50 %",
        r#"<td class="n">14 min 0 s</td>"#,
        "1 suspicious, these first",
        "discrimination \u{2212}0.04",
        "70 % of its learners asked for a hint.",
        "type mismatch 30, without a type 10",
        "Count to ten",
        r#"<span class="tag">optional</span>"#,
        "without gaps over five minutes",
        "normalised gain 0.46 (0.41 to 0.51) of 212 learners",
        r#"<th scope="row" class="bidi">2, 3 <span class="note">since "#,
        r#"31 %<small class="change">+6 points (+3 to +9) <span class="tag on">differs</span>"#,
        "<small class=\"change\">\u{2212}4.0 min (\u{2212}2.0 to \u{2212}6.0)</small>",
        "80 learners came too late",
        r#"<a href="/projects/7/learning/learners/318">Subject 318</a></th><td class="n" data-label="away for">9 days<"#,
        r#"data-label="quarter">2 of 4</td><td class="n" data-label="did not come back">75 % (60 to 86 %)<"#,
        r#"<span class="tag warn">at risk</span>"#,
        r#"<span class="tag on">not at risk</span>"#,
        r#"<span class="tag ">not clear yet</span>"#,
        "fewer than five learners: normalised gain.",
        "not assigned at random",
    ] {
        assert!(page.text().contains(part), "{part} in {}", page.text());
    }
    let (first, second) = (page.text().find("Count to ten"), page.text().find(">1.1<"));
    assert!(first < second, "what is suspicious comes first");
}

#[tokio::test]
async fn what_is_another_projects_or_does_not_exist_is_answered_alike() {
    let site = Site::new(Role::Owner);
    for path in [
        "/projects/8/learning/courses/rust-101",
        "/projects/7/learning/courses/none",
        "/projects/9/learning/courses",
        "/projects/8/learning/learners?course=rust-101",
        "/projects/8/learning/learners/318",
        "/projects/7/learning/learners/1",
        "/projects/7/learning/learners/ada",
        "/projects/9/learning/struggling",
    ] {
        assert_eq!(site.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn the_live_page_says_what_happens_and_refreshes_by_parts() {
    let site = Site::new(Role::Analyst);
    let page = site.get("/projects/7/learning/live").await;
    assert_eq!(page.status, StatusCode::OK);
    for part in [
        r#"data-live-topic="learning.events""#,
        r#"<a href="/projects/7/learning/live" aria-current="page">Live</a>"#,
        "<b>52</b><p>77 in the last 30 min</p>",
        "<b>1,517</b><p>17 in the last minute</p>",
        "<b>25 %</b><p>of 400 attempts</p>",
        "tried an exercise <span class=\"tag warn\">wrong</span>",
        r#"<a class="link" href="/projects/7/learning/courses/rust-101">rust-101</a> / 2 / 2.3"#,
        "<td class=\"n\">41</td><td class=\"n\">530</td>",
        "25 min ago",
    ] {
        assert!(page.text().contains(part), "{part} in {}", page.text());
    }
    let rows = site.get("/projects/7/learning/live?fragment=rows").await;
    assert!(rows.text().starts_with("<template data-part=") && rows.text().contains("Latest events"));
    let empty = site.get("/projects/8/learning/live").await;
    assert!(empty.text().contains("says how to send a first one"), "{}", empty.text());
}

#[tokio::test]
async fn names_full_of_markup_render_as_text() {
    let site = hostile();
    let course = crate::form::segment(&format!("rust-101{ATTACK}"));
    for path in [
        "/learning/courses".to_owned(),
        format!("/learning/courses/{course}"),
        "/learning/struggling?all=1".to_owned(),
        "/learning/struggling?fragment=rows".to_owned(),
        "/learning/learners".to_owned(),
        "/learning/learners/318".to_owned(),
        "/learning/live".to_owned(),
    ] {
        let page = site.get(&format!("/projects/7{path}")).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(page.text().contains("{{7*7}}"), "{path}");
        assert_inert(page.text(), &path);
    }
}

#[tokio::test]
async fn learning_is_for_those_who_may_see_analytics_while_it_is_on() {
    let off = Site::with(Role::Owner, |_, state| state.learning = None);
    for path in ["courses", "courses/rust-101", "struggling", "learners", "learners/318", "live"] {
        let path = format!("/projects/7/learning/{path}");
        for role in [Role::PrivacyOfficer, Role::Auditor] {
            assert_eq!(Site::new(role).get(&path).await.status, StatusCode::FORBIDDEN, "{path}");
        }
        assert_eq!(off.get(&path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let officer = Site::new(Role::PrivacyOfficer).get("/projects/7").await;
    assert!(!officer.text().contains("/learning/"), "{}", officer.text());
    assert!(!off.get("/projects/7").await.text().contains("/learning/"));
}

#[tokio::test]
async fn flags_say_who_struggles_with_what_since_when_and_why() {
    let site = Site::new(Role::Member);
    let page = site.get("/projects/7/learning/struggling").await;
    assert_eq!(page.status, StatusCode::OK);
    for part in [
        r#"href="/projects/7/learning/learners/318">Subject 318</a>"#,
        "score 1.25",
        "Ten exercises were tried without three right answers in a row.",
        "<span class=\"factor-weight up\">\u{2212}0.25</span>",
        ">3 d ago</time>",
        "spins their wheels",
        "<b>75 %</b>",
        "9 right, 3 wrong",
        r#"data-live-topic="learning.struggling""#,
    ] {
        assert!(page.text().contains(part), "{part} in {}", page.text());
    }
    assert!(!page.text().contains("Subject 319"));
    let all = site.get("/projects/7/learning/struggling?all=1").await;
    assert!(all.text().contains("Subject 319") && all.text().contains(">cleared</span>"));
    let empty = site.get("/projects/8/learning/struggling").await;
    assert!(empty.text().contains("Nobody struggles"), "{}", empty.text());
    let fragment = site.get("/projects/7/learning/struggling?fragment=rows").await;
    assert!(fragment.text().starts_with(r#"<template data-part="nav-issues">"#));
    assert!(fragment.text().contains(r#"<template data-part="struggling">"#));
}

#[tokio::test]
async fn members_say_whether_a_flag_was_right() {
    let site = Site::new(Role::Member);
    let path = "/projects/7/learning/struggling";
    let judge = format!("{path}/feedback");
    let forged = site.post_raw(&judge, "csrf=x&subject=318&skill=loops&feedback=helped").await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    assert!(!site.get(path).await.text().contains("<dt>Judged</dt>"), "nothing was changed");
    let done = site.post(&judge, "subject=318&skill=loops&feedback=not_struggling&all=1").await;
    assert_eq!(done.header("location"), format!("{path}?all=1&done=judged"));
    let page = site.get(&format!("{path}?done=judged")).await;
    assert!(page.text().contains("<dt>Judged</dt><dd>not struggling</dd>"), "{}", page.text());
    assert!(page.text().contains("Noted. The precision of flags counts it."));
    let odd = site.post(&judge, "subject=318&skill=loops&feedback=maybe").await;
    assert_eq!(odd.status, StatusCode::BAD_REQUEST);
    for missing in ["subject=1&skill=loops", "subject=318&skill=types", "subject=ada&skill=loops"] {
        let answer = site.post(&judge, &format!("{missing}&feedback=helped")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{missing}");
    }
    let other = judge.replace("/7/", "/8/");
    let other = site.post(&other, "subject=318&skill=loops&feedback=helped").await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
    let analyst = Site::new(Role::Analyst);
    assert!(!analyst.get(path).await.text().contains(&judge), "an analyst has no buttons");
    let refused = analyst.post(&judge, "subject=318&skill=loops&feedback=helped").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn learners_are_listed_by_course_as_numbers() {
    let site = Site::new(Role::Analyst);
    let page = site.get("/projects/7/learning/learners").await;
    assert_eq!(page.status, StatusCode::OK);
    for part in [
        r#"<option value="rust-101" selected>First steps in Rust</option>"#,
        r#"href="/projects/7/learning/learners/318""#,
        "Subject 319",
        r#"<span class="tag on">completed</span>"#,
        r#"data-label="active">1 h 10 min<"#,
        r#"href="/projects/7/learning/learners?course=rust-101&#38;after=319""#,
    ] {
        assert!(page.text().contains(part), "{part} in {}", page.text());
    }
    let empty = site.get("/projects/8/learning/learners").await;
    assert!(empty.text().contains("No learner yet"), "{}", empty.text());
}

#[tokio::test]
async fn a_learners_way_shows_progress_skills_milestones_and_what_comes_next() {
    let page = Site::new(Role::Owner).get("/projects/7/learning/learners/318").await;
    assert_eq!(page.status, StatusCode::OK);
    for part in [
        "1,204 learning events",
        "64.28 % right",
        "In the last 8 weeks 12 sessions, 1.5 a week, with 8.0 actions each, on 10 days, at most 3 in a row; regularity",
        "3 days",
        r#"href="/projects/7/learning/courses/rust-101""#,
        "Types",
        r#"aria-label="Chance of a right answer, loops: 41 %, between 22 and 63 %""#,
        "22 to 63 %",
        "Ten exercises were tried",
        "7 days in a row",
        "Course completed: First steps in Rust",
        "First steps in Rust / Types; loops",
        "A right answer has a chance of 41 %",
        r#"href="/projects/7/events/subjects/318""#,
        r#"action="/projects/7/subjects/318/reveal""#,
    ] {
        assert!(page.text().contains(part), "{part} in {}", page.text());
    }
    let analyst = Site::new(Role::Analyst).get("/projects/7/learning/learners/318").await;
    assert!(!analyst.text().contains("/reveal"), "an analyst may not see names");
}
