//! Insights that are kept, dashboards, links to them, and cohorts.

use belvedere_business_intelligence::insight::LinkId;

use super::fake_insights::{FakeInsights, SECRET, board_id, cohort_id, insight_id, link_id};
use super::markup::{ATTACK, assert_inert};
use super::*;

fn with(role: Role, suffix: &'static str) -> (Site, Arc<FakeInsights>) {
    let mut kept = None;
    let site = Site::with(role, |_, state| {
        let fake = Arc::new(FakeInsights::new(state.clock.now(), suffix));
        state.insights = fake.clone();
        state.boards = fake.clone();
        state.cohorts = fake.clone();
        state.feature_flags = fake.clone();
        kept = Some(fake);
    });
    (site, kept.unwrap())
}

fn calls(fake: &FakeInsights) -> Vec<String> {
    fake.calls.lock().unwrap().clone()
}

/// A visitor who is not signed in opens `path`.
async fn open(site: &Site, path: &str) -> Answer {
    site.answer(Request::builder().uri(path).body(Body::empty()).unwrap()).await
}

fn shared_path() -> String {
    format!("/shared/{}/{SECRET}", link_id())
}

#[tokio::test]
async fn a_question_is_saved_under_a_name_and_opened_again() {
    let (site, fake) = with(Role::Analyst, "");
    let page = site.get("/projects/7/insights/funnels?step=signup&step=error&window=14").await;
    for part in [
        r#"<input type="hidden" name="question" value="step=signup&#38;step=error&#38;window=14&#38;days=30">"#,
        r#"<span class="bidi">Way in</span></a>"#,
        "/projects/7/insights/funnels/table?step=signup&#38;step=error&#38;window=14&#38;days=30&#38;format=csv",
    ] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    assert!(!page.text().contains("Pin to"), "only what is saved can be pinned");
    assert!(!page.text().contains(">Errors</span>"), "insights of other kinds are on their own pages");
    let form = "kind=funnels&question=step%3Dsignup%26step%3Derror%26window%3D14&name=My+way";
    let saved = site.post("/projects/7/insights/saved", form).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text());
    assert_eq!(
        saved.header("location"),
        format!(
            "/projects/7/insights/funnels?step=signup&step=error&window=14&days=30&insight={}&done=saved",
            insight_id(1)
        )
    );
    assert_eq!(calls(&fake), ["create_insight My way funnel"]);
    // What was saved is shown under its name, and says when the page asks something else by now.
    let path = format!("/projects/7/insights/funnels?step=signup&step=error&insight={}", insight_id(2));
    let page = site.get(&path).await;
    for part in [
        r#"<a href="/projects/7/insights/funnels">Funnels</a> / <b class="bidi">Way in</b></p>"#,
        "Rename",
        r#"<button type="submit" name="board""#,
        r#"disabled><span class="bidi">Product</span><span class="note">there</span>"#,
    ] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    let page = site.get(&format!("{path}&days=90")).await;
    assert!(page.text().contains("changed</span>") && page.text().contains("Save changes"));
    assert!(page.text().contains(&format!(r#"name="insight" value="{}""#, insight_id(2))));
}

#[tokio::test]
async fn what_cannot_be_saved_comes_back_with_its_page() {
    let (site, fake) = with(Role::Member, "");
    let form = "kind=trends&question=event%3Derror%26days%3D90&name=Errors";
    let page = site.post("/projects/7/insights/saved", form).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    for part in [
        "Name: there is one called &#34;Errors&#34; already.",
        r#"<option value="error" selected>"#,
        r#"<option value="90" selected>"#,
        r#"maxlength="100" value="Errors""#,
    ] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    let odd = site.post("/projects/7/insights/saved", "kind=odd&question=&name=a").await;
    assert_eq!(odd.status, StatusCode::NOT_FOUND);
    let id = insight_id(1);
    let pinned = site.post(&format!("/projects/7/insights/saved/{id}/pin"), "name=Product").await;
    assert_eq!(pinned.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(pinned.text().contains("there is one called &#34;Product&#34; already"));
    assert_eq!(calls(&fake), Vec::<String>::new());
}

#[tokio::test]
async fn insights_are_changed_deleted_and_pinned() {
    let (site, fake) = with(Role::Member, "");
    let path = format!("/projects/7/insights/saved/{}", insight_id(3));
    let changed = site.post(&path, "kind=retention&question=unit%3Dday&name=Back").await;
    assert!(changed.header("location").contains("unit=day&insight="), "{}", changed.header("location"));
    let pinned = site.post(&format!("{path}/pin"), &format!("board={}", board_id())).await;
    assert_eq!(pinned.header("location"), format!("/projects/7/dashboards/{}?done=pinned", board_id()));
    site.post(&format!("{path}/pin"), "name=Weekly").await;
    let deleted = site.post(&format!("{path}/delete"), "").await;
    assert_eq!(deleted.header("location"), "/projects/7/insights/retention?done=gone");
    assert_eq!(
        calls(&fake),
        [
            r#"change_insight Some("Back") retention"#.to_owned(),
            "pin_insight 3 full".to_owned(),
            "create_board Weekly with 1".to_owned(),
            format!("delete_insight {}", insight_id(3)),
        ]
    );
}

#[tokio::test]
async fn a_dashboard_shows_its_insights_with_their_numbers() {
    let (site, _) = with(Role::Analyst, "");
    let list = site.get("/projects/7/dashboards").await;
    for part in [
        r#"<a href="/projects/7/dashboards" aria-current="page">Dashboards</a>"#,
        &format!(r#"<a class="open" href="/projects/7/dashboards/{}">Product</a>"#, board_id()),
        "3 insights",
        "2 h ago",
    ] {
        assert!(list.text().contains(part), "{part}: {}", list.text());
    }
    let page = site.get(&format!("/projects/7/dashboards/{}", board_id())).await;
    for part in [
        r#"<section class="card c6"><header><h2 class="bidi"><a class="link" href="/projects/7/insights/trends?event=error"#,
        r#"<section class="card c12"><header><h2 class="bidi"><a class="link" href="/projects/7/insights/retention?"#,
        "events per day, 30 days;",
        "people, last 30 days, within 7 days",
        r#"<td class="n h5">50.0 %</td>"#,
        r#"<th scope="row" class="bidi">error</th><td class="n">"#,
        "/projects/7/insights/trends/table?event=error",
        r#"value="up">Move forward"#,
        "What follows",
    ] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    assert!(!page.text().contains("/links"), "an analyst does not share");
    let empty = site.get("/projects/8/dashboards").await;
    assert!(empty.text().contains("No dashboard yet"));
}

#[tokio::test]
async fn tiles_are_moved_widened_added_and_removed() {
    let (site, fake) = with(Role::Member, "");
    let path = format!("/projects/7/dashboards/{}/tiles", board_id());
    for (insight, action) in
        [(2, "up"), (1, "up"), (1, "down"), (1, "full"), (3, "half"), (2, "remove"), (4, "add")]
    {
        let answer = site.post(&path, &format!("insight={}&action={action}", insight_id(insight))).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{action}: {}", answer.text());
    }
    let of = |tiles: &str| format!("change_board None [{tiles}]");
    assert_eq!(
        calls(&fake),
        [
            of(r#"(2, "half"), (1, "half"), (3, "full")"#),
            of(r#"(1, "half"), (2, "half"), (3, "full")"#),
            of(r#"(2, "half"), (1, "half"), (3, "full")"#),
            of(r#"(1, "full"), (2, "half"), (3, "full")"#),
            of(r#"(1, "half"), (2, "half"), (3, "half")"#),
            of(r#"(1, "half"), (3, "full")"#),
            of(r#"(1, "half"), (2, "half"), (3, "full"), (4, "half")"#),
        ]
    );
    let odd = site.post(&path, &format!("insight={}&action=burn", insight_id(1))).await;
    assert_eq!(odd.status, StatusCode::BAD_REQUEST);
    let taken = site.post("/projects/7/dashboards", "name=Product").await;
    assert_eq!(taken.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(taken.text().contains("already.") && taken.text().contains(r#"value="Product""#));
}

#[tokio::test]
async fn a_link_is_shown_once_and_revoked() {
    let (site, fake) = with(Role::Admin, "");
    let path = format!("/projects/7/dashboards/{}/links", board_id());
    let made = site.post(&path, "days=7").await;
    let address = format!("https://bv.example{}", shared_path());
    assert!(made.text().contains(&format!(r#"<code id="address">{address}</code>"#)), "{}", made.text());
    let page = site.get(&path).await;
    assert!(!page.text().contains(SECRET) && page.text().contains("expired"), "{}", page.text());
    for days in ["0", "3651", "soon"] {
        let refused = site.post(&path, &format!("days={days}")).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{days}");
    }
    let revoked = site.post(&format!("{path}/{}/revoke", link_id()), "").await;
    assert_eq!(revoked.header("location"), format!("{path}?done=revoked"));
    assert_eq!(
        calls(&fake),
        ["create_link Some(2026-11-30T12:00:00Z)".to_owned(), format!("revoke_link {}", link_id())]
    );
    let (member, fake) = with(Role::Member, "");
    assert_eq!(member.get(&path).await.status, StatusCode::FORBIDDEN);
    assert_eq!(member.post(&path, "").await.status, StatusCode::FORBIDDEN);
    assert_eq!(calls(&fake), Vec::<String>::new());
}

#[tokio::test]
async fn a_shared_page_shows_the_board_and_nothing_else() {
    let (site, _) = with(Role::Owner, "");
    let page = open(&site, &shared_path()).await;
    assert_eq!(page.status, StatusCode::OK);
    let text = page.text();
    for part in [
        "<h1 class=\"bidi\">Product</h1>",
        r#"<meta name="robots" content="noindex, nofollow">"#,
        "23 Nov 2026, 12:00:00 UTC",
        "fewer than 5 people",
        "events per day, 30 days;",
        r#"<th scope="row" class="bidi">error</th><td class="n">"#,
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for part in ["<script", "<form", "<nav", "/projects/", "Web shop", "csrf"] {
        assert!(!text.contains(part), "{part}: {text}");
    }
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert_eq!(page.header("x-robots-tag"), "noindex, nofollow");
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("set-cookie"), "");
    assert_eq!(
        page.header("content-security-policy"),
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'none'; frame-ancestors 'none'; \
         base-uri 'none'"
    );
}

#[tokio::test]
async fn the_tables_of_a_shared_page_are_files_that_the_link_leads_to() {
    let (site, _) = with(Role::Owner, "");
    let page = open(&site, &shared_path()).await;
    let file = format!("{}/{}", shared_path(), insight_id(1));
    for format in ["csv", "json", "parquet"] {
        let link = format!(r#"<a href="{file}?format={format}" download>"#);
        assert!(page.text().contains(&link), "{link}: {}", page.text());
    }
    let csv = open(&site, &format!("{file}?format=csv")).await;
    assert_eq!(csv.status, StatusCode::OK);
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8; header=present");
    assert!(csv.header("content-disposition").starts_with("attachment; filename=\""));
    assert_eq!(csv.header("referrer-policy"), "no-referrer");
    assert_eq!(csv.header("x-robots-tag"), "noindex, nofollow");
    assert_eq!(csv.header("cache-control"), "no-store");
    let json = open(&site, &format!("{file}?format=json")).await;
    let table: serde_json::Value = serde_json::from_str(json.text()).unwrap();
    let columns = table["columns"].as_array().unwrap();
    let head = columns.iter().map(|name| name.as_str().unwrap()).collect::<Vec<_>>().join(",");
    assert!(csv.text().starts_with(&head), "{}", csv.text());
    let parquet = open(&site, &format!("{file}?format=parquet")).await;
    assert_eq!(parquet.header("content-type"), "application/vnd.apache.parquet");
    for path in [
        format!("/shared/{}/0f0e/{}", link_id(), insight_id(1)),
        format!("{}/{}", shared_path(), insight_id(9)),
        format!("{}/nonsense", shared_path()),
    ] {
        let missing = open(&site, &path).await;
        assert_eq!(missing.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(missing.header("referrer-policy"), "no-referrer");
    }
}

#[tokio::test]
async fn links_that_show_nothing_are_all_alike_and_many_are_slowed_down() {
    let (site, _) = with(Role::Owner, "");
    let other = LinkId::from_bytes([9; 16]);
    let long = "0".repeat(201);
    let mut pages = Vec::new();
    for path in [
        format!("/shared/{}/0f0e", link_id()),
        format!("/shared/{other}/{SECRET}"),
        format!("/shared/nonsense/{SECRET}"),
        format!("/shared/{}/{long}", link_id()),
    ] {
        let page = open(&site, &path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        pages.push((page.text().to_owned(), page.headers));
    }
    assert!(pages.iter().all(|page| *page == pages[0]));
    for _ in 4..60 {
        assert_eq!(open(&site, &shared_path()).await.status, StatusCode::OK);
    }
    let slowed = open(&site, &shared_path()).await;
    assert_eq!((slowed.status, slowed.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "60"));
    let off = Site::with(Role::Owner, |_, state| state.business = None);
    assert_eq!(open(&off, &shared_path()).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn numbers_are_files() {
    let (site, _) = with(Role::Analyst, "");
    let path = "/projects/7/insights/funnels/table?step=signup&step=error&step=hint_used";
    let file = site.get(&format!("{path}&format=csv")).await;
    assert_eq!(file.header("content-type"), "text/csv; charset=utf-8; header=present");
    assert_eq!(file.header("content-disposition"), r#"attachment; filename="funnels.csv""#);
    let mut lines = file.text().lines();
    assert_eq!(lines.next(), Some("step,event,people,of_first,of_previous,median_seconds"));
    assert_eq!(lines.next(), Some("1,signup,800,1,1,"));
    assert_eq!(lines.last(), Some("3,hint_used,200,0.25,0.5,240"));
    let file = site.get(&format!("{path}&format=json")).await;
    let json: serde_json::Value = serde_json::from_slice(&file.body).unwrap();
    assert_eq!(json["rows"][2][2], 200);
    let file = site.get(&format!("{path}&format=parquet")).await;
    assert_eq!(file.header("content-disposition"), r#"attachment; filename="funnels.parquet""#);
    assert!(file.body.starts_with(b"PAR1") && file.body.ends_with(b"PAR1"));
    let wrong = site.get("/projects/7/insights/funnels/table?step=signup").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.text().contains("steps: must be 2 to 8"), "{}", wrong.text());
}

#[tokio::test]
async fn cohorts_are_made_of_lines_and_small_ones_have_no_size() {
    let (site, fake) = with(Role::Analyst, "");
    let page = site.get("/projects/7/cohorts").await;
    for part in [
        r#"<a href="/projects/7/cohorts" aria-current="page">Cohorts</a>"#,
        "did signup at least 2 times in the last 30 days",
        r#"<td class="n" data-label="people">1,204</td>"#,
        r#"<td class="n" data-label="people">&#60;5</td>"#,
        r#"name="test3""#,
    ] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    let form =
        "name=New&match=any&test1=did_not&what1=paid&days1=7&test2=at_least&what2=&value2=&days2=30&static=1";
    let made = site.post("/projects/7/cohorts", form).await;
    assert_eq!(made.header("location"), format!("/projects/7/cohorts/{}?done=saved", cohort_id(1)));
    let refused = site.post("/projects/7/cohorts", &form.replace("name=New", "name=Cohort+1")).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text().contains(
        r#"name="what1" maxlength="200" placeholder="event or property" list="known-names" value="paid""#
    ));
    let refused = site.post("/projects/7/cohorts", &form.replace("days1=7", "days1=week")).await;
    assert!(
        refused.text().contains("Condition 1: days: must be a number from 1 to 365."),
        "{}",
        refused.text()
    );
    let path = format!("/projects/7/cohorts/{}", cohort_id(1));
    let page = site.get(&path).await;
    assert!(page.text().contains(&format!("/insights/funnels?people={}", cohort_id(1))));
    assert!(page.text().contains(r#"<option value="at_least" selected>"#));
    for part in [
        "People in the cohort at the end of each of 2 weeks",
        r#"<th scope="row">2026-11-09</th><td class="n">&#60;5</td>"#,
        r#"<th scope="row">2026-11-16</th><td class="n">1,208</td>"#,
    ] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    let frozen = site.get(&format!("/projects/7/cohorts/{}", cohort_id(2))).await;
    assert!(frozen.text().contains("A static cohort does not change"), "{}", frozen.text());
    site.post(&path, "name=Renamed&test1=set&what1=team&days1=30").await;
    site.post(&format!("/projects/7/cohorts/{}", cohort_id(2)), "name=Frozen").await;
    site.post(&format!("{path}/delete"), "").await;
    let calls = calls(&fake);
    assert!(calls[0].starts_with("create_cohort New true Rule { matching: Any"), "{calls:?}");
    assert_eq!(
        calls[1..],
        [
            r#"change_cohort Some("Renamed") true"#.to_owned(),
            r#"change_cohort Some("Frozen") false"#.to_owned(),
            format!("delete_cohort {}", cohort_id(1)),
        ]
    );
}

#[tokio::test]
async fn questions_are_asked_about_a_cohort() {
    let (site, _) = with(Role::Analyst, "");
    let cohort = cohort_id(1);
    let page = site.get(&format!("/projects/7/insights/trends?event=error&people={cohort}")).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains(&format!(r#"<option value="{cohort}" selected>Cohort 1</option>"#)));
    assert!(site.calls().iter().any(|call| call.contains("name=error number=Some(1)")), "{:?}", site.calls());
    let gone = site.get(&format!("/projects/7/insights/trends?people={}", cohort_id(9))).await;
    assert_eq!(gone.status, StatusCode::BAD_REQUEST);
    assert!(gone.text().contains("does not exist any more"), "{}", gone.text());
}

#[tokio::test]
async fn names_of_others_are_inert() {
    let (site, _) = with(Role::Owner, ATTACK);
    let board = format!("/projects/7/dashboards/{}", board_id());
    for path in [
        "/projects/7/insights/funnels?step=a&step=b".to_owned(),
        format!("/projects/7/insights/funnels?step=a&step=b&insight={}", insight_id(2)),
        "/projects/7/dashboards".to_owned(),
        format!("{board}/links"),
        board,
        "/projects/7/cohorts".to_owned(),
        format!("/projects/7/cohorts/{}", cohort_id(1)),
        "/projects/7/feature-flags".to_owned(),
        "/projects/7/feature-flags/new-editor".to_owned(),
    ] {
        let page = site.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert_inert(page.text(), &path);
    }
    assert_inert(open(&site, &shared_path()).await.text(), "shared");
}

#[tokio::test]
async fn who_may_only_look_and_who_may_not_even_that() {
    let (site, fake) = with(Role::Auditor, "");
    let board = format!("/projects/7/dashboards/{}", board_id());
    for path in ["/projects/7/dashboards", &board, "/projects/7/cohorts", "/projects/7/insights/trends/table"]
    {
        assert_eq!(site.get(path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    for path in [
        "/projects/7/insights/saved".to_owned(),
        format!("/projects/7/insights/saved/{}", insight_id(1)),
        format!("/projects/7/insights/saved/{}/delete", insight_id(1)),
        format!("/projects/7/insights/saved/{}/pin", insight_id(1)),
        "/projects/7/dashboards".to_owned(),
        board.clone(),
        format!("{board}/delete"),
        format!("{board}/tiles"),
        "/projects/7/cohorts".to_owned(),
        format!("/projects/7/cohorts/{}", cohort_id(1)),
        format!("/projects/7/cohorts/{}/delete", cohort_id(1)),
    ] {
        assert_eq!(site.post(&path, "name=a&kind=trends").await.status, StatusCode::FORBIDDEN, "{path}");
    }
    assert_eq!(calls(&fake), Vec::<String>::new());
    let off = Site::with(Role::Owner, |_, state| state.business = None);
    for path in ["/projects/7/dashboards", "/projects/7/cohorts", "/projects/7/feature-flags"] {
        assert_eq!(off.get(path).await.status, StatusCode::NOT_FOUND);
    }
    let page = off.get("/projects/7/insights/trends").await;
    assert!(page.status == StatusCode::OK && !page.text().contains("/insights/saved"));
}

#[tokio::test]
async fn a_feature_flag_is_made_changed_and_deleted_by_its_form() {
    let (site, fake) = with(Role::Member, "");
    let page = site.get("/projects/7/feature-flags").await;
    for part in [
        r#"<a href="/projects/7/feature-flags" aria-current="page">Feature flags</a>"#,
        r#"<a class="open" href="/projects/7/feature-flags/new-editor">new-editor</a>"#,
        "plan is team and seats is greater than 5",
        r#"<td class="n" data-label="share">25 %</td>"#,
        r#"name="what2""#,
    ] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    let form =
        "key=beta&note=For+all&share=50&active=1&what1=plan&test1=is_not&value1=free&what2=&value2=&payload=";
    let made = site.post("/projects/7/feature-flags", form).await;
    assert_eq!(made.header("location"), "/projects/7/feature-flags?done=saved");
    for (from, to, why) in [
        ("key=beta", "key=new-editor", "there is a flag with this one already"),
        ("share=50", "share=half", "Share: must be a number from 0 to 100."),
    ] {
        let refused = site.post("/projects/7/feature-flags", &form.replace(from, to)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(refused.text().contains(why), "{}", refused.text());
        assert!(refused.text().contains(r#"placeholder="value" value="free""#), "{}", refused.text());
    }
    let path = "/projects/7/feature-flags/new-editor";
    let page = site.get(path).await;
    for part in [r#"<option value="greater" selected>"#, "{&#34;colour&#34;: 1}", "version 3"] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    assert_eq!(site.get("/projects/7/feature-flags/nothing").await.status, StatusCode::NOT_FOUND);
    let changed = site.post(path, "note=&share=0&payload=").await;
    assert_eq!(changed.header("location"), "/projects/7/feature-flags/new-editor?done=saved");
    let gone = site.post(&format!("{path}/delete"), "").await;
    assert_eq!(gone.header("location"), "/projects/7/feature-flags?done=gone");
    assert_eq!(
        calls(&fake),
        [
            "create_flag beta true 50 1",
            "change_flag new-editor Some(false) Some(0) Some(None)",
            "delete_flag new-editor"
        ]
    );
}

#[tokio::test]
async fn whoever_only_asks_about_the_product_may_not_decide_who_gets_what() {
    let (site, fake) = with(Role::Analyst, "");
    let page = site.get("/projects/7/feature-flags/new-editor").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(!page.text().contains("<form class=\"form wide\"") && !page.text().contains("/delete\""));
    let path = "/projects/7/feature-flags";
    for path in [path, &format!("{path}/new-editor"), &format!("{path}/new-editor/delete")] {
        let refused = site.post(path, "key=beta&share=50").await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
    }
    assert_eq!(calls(&fake), Vec::<String>::new());
}
