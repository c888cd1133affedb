//! The page of the tutor.

use super::markup::{ATTACK, assert_inert};
use super::*;

#[tokio::test]
async fn every_figure_of_the_tutor_has_its_interval_and_what_it_rests_on() {
    let site = Site::new(Role::Analyst);
    let page = site.get("/projects/7/learning/tutor").await;
    assert_eq!(page.status, StatusCode::OK);
    for part in [
        r#"<a href="/projects/7/learning/tutor" aria-current="page">Tutor</a>"#,
        r#"<a href="/projects/7/learning/tutor?days=30" aria-current="page">30 days</a>"#,
        "<b>63 %</b><p>58 to 67 %; 540 conversations of 270 learners</p>",
        "<b>2.4</b><p>2.1 to 2.7; 612 of 255 learners, 1,430 messages</p>",
        "<b>71 %</b><p>63 to 78 %; 140 ratings of 70 learners; mean 3.9</p>",
        "<b>3 %</b><p>2 to 5 %; 600 conversations of 300 learners</p>",
        "1 % <span class=\"note\">0 to 2 %; 600 conversations of 300 learners</span>",
        "2.1 s <span class=\"note\">median, 1.6 to 2.6; 1,402 messages</span>",
        "18.20 <span class=\"note\">1,402 messages</span>",
        "0.0498 <span class=\"note\">0.0431 to 0.0565; 340 solved</span>",
        r#"aria-label="Resolution: 62.96 % over all""#,
        r#"data-label="expected">57 %<"#,
        r#"<span class="up">+5 points</span></td><td class="n" data-label="interval of it">+1 to +9<"#,
        "2,310 attempts without help",
        "mastery alone; too few attempts without help",
        "1 failing, these first",
        r#"<td class="bidi">AmbiguousColumn</td>"#,
        r#"aria-label="Resolution, SQL joins: 30 %, between 18 and 45 %""#,
        "7 more with fewer than five learners",
        // Without a draw there is no effect, and the page says what to send.
        "needs a randomised hold-out",
        r#""metadata": {"withheld": true, "withhold_share": 0.1}"#,
    ] {
        assert!(page.text().contains(part), "{part} in {}", page.text());
    }
}

#[tokio::test]
async fn an_effect_is_shown_for_help_that_a_draw_withheld() {
    let page = Site::new(Role::Owner).get("/projects/7/learning/tutor?days=90").await;
    for part in [
        "a draw gave it 214 times and withheld it 103 times",
        r#"<span class="up">+11 points</span></td><td class="n" data-label="interval">+6 to +16<"#,
        r#"<span class="">+2 points</span></td><td class="n" data-label="interval">"#,
        "not enough learners",
        "103 of 317 withheld where 158 should have been (chi-square 38.9): chance does not do this",
        r#"<p class="note pad hot">"#,
        "one learner of 4",
    ] {
        assert!(page.text().contains(part), "{part} in {}", page.text());
    }
    assert!(!page.text().contains("needs a randomised hold-out"));
}

#[tokio::test]
async fn a_tutor_that_nobody_asked_says_what_to_send() {
    let page = Site::new(Role::Owner).get("/projects/8/learning/tutor?days=7").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains("Nobody asked the tutor in these 7 days"), "{}", page.text());
    assert!(page.text().contains("<code>tutor_message</code>") && !page.text().contains("class=\"card kpi"));
    // What is no period is the usual one.
    let odd = Site::new(Role::Owner).get("/projects/8/learning/tutor?days=31").await;
    assert!(odd.text().contains("in these 30 days"));
}

#[tokio::test]
async fn the_tutor_is_for_those_who_may_see_analytics_while_learning_is_on() {
    let path = "/projects/7/learning/tutor";
    for role in [Role::PrivacyOfficer, Role::Auditor] {
        assert_eq!(Site::new(role).get(path).await.status, StatusCode::FORBIDDEN);
    }
    let off = Site::with(Role::Owner, |_, state| state.learning = None);
    assert_eq!(off.get(path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(Site::new(Role::Owner).get("/projects/9/learning/tutor").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn topics_full_of_markup_render_as_text() {
    let site = Site::with(Role::Owner, |_, state| {
        state.learning = Some(Arc::new(FakeLearning::new(state.clock.now(), ATTACK)));
    });
    let page = site.get("/projects/7/learning/tutor?days=90").await;
    assert!(page.text().contains("{{7*7}}"));
    assert_inert(page.text(), "the tutor");
}
