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
        "Count to ten",
        r#"<span class="tag">optional</span>"#,
        "without gaps over five minutes",
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
    ] {
        assert_eq!(site.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn names_full_of_markup_render_as_text() {
    let site = hostile();
    let course = crate::form::segment(&format!("rust-101{ATTACK}"));
    for path in ["/learning/courses".to_owned(), format!("/learning/courses/{course}")] {
        let page = site.get(&format!("/projects/7{path}")).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(page.text().contains("{{7*7}}"), "{path}");
        assert_inert(page.text(), &path);
    }
}

#[tokio::test]
async fn learning_is_for_those_who_may_see_analytics_while_it_is_on() {
    for role in [Role::PrivacyOfficer, Role::Auditor] {
        let site = Site::new(role);
        assert_eq!(site.get("/projects/7/learning/courses").await.status, StatusCode::FORBIDDEN);
    }
    let officer = Site::new(Role::PrivacyOfficer).get("/projects/7").await;
    assert!(!officer.text().contains("/learning/"), "{}", officer.text());
    let off = Site::with(Role::Owner, |_, state| state.learning = None);
    assert_eq!(off.get("/projects/7/learning/courses").await.status, StatusCode::NOT_FOUND);
    assert!(!off.get("/projects/7").await.text().contains("/learning/"));
}
