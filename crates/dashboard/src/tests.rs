//! The pages as a browser meets them: the whole router, over made-up data.

mod activity;
mod boards;
mod business;
mod fake_business;
mod fake_insights;
mod fake_learning;
mod fake_maps;
mod fake_releases;
mod fake_tutor;
mod fake_webhooks;
mod fakes;
mod gate;
mod grouping;
mod insights;
mod learning;
mod live;
mod markup;
mod pipeline;
mod releases;
mod said;
mod search;
mod source_maps;
mod triage;
mod tutor;
mod watch_pages;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use belvedere_accounts::{ClientInfo, Role};
use belvedere_kernel::{Clock as _, InProcessBus, ManualClock, Tasks};
use belvedere_storage::spool::SpoolDepth;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, COOKIE, LOCATION};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::state::DashboardState;
use crate::{csrf, router};
use fake_business::FakeBusiness;
use fake_insights::{FakeInsights, board_id, cohort_id};
use fake_learning::FakeLearning;
use fake_maps::{FakeMaps, bundle_id};
use fake_webhooks::{FakeWebhooks, endpoint_id};
use fakes::{CSRF, EVENT, Fake, PROJECT, SESSION, issue_id};

/// The dashboard and the fake behind it.
struct Site {
    router: Router,
    fake: Arc<Fake>,
    bus: Arc<InProcessBus>,
    tasks: Tasks,
}

/// An answer, read to its end.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Site {
    fn new(role: Role) -> Self {
        Self::with(role, |_, _| {})
    }

    fn with(role: Role, change: impl FnOnce(&mut Fake, &mut DashboardState)) -> Self {
        let clock = Arc::new(ManualClock::new("2026-11-23T12:00:00Z".parse().unwrap()));
        let mut fake = Fake::new(clock.clone(), role);
        let other = Arc::new(Fake::new(clock.clone(), role));
        let bus = Arc::new(InProcessBus::default());
        let tasks = Tasks::default();
        let depth = SpoolDepth {
            records: 12,
            bytes: 600,
            oldest_seq: Some(1),
            durable_seq: 12,
            bytes_max: 1_000,
            quarantined_bytes: 0,
        };
        let learning = Arc::new(FakeLearning::new(clock.now(), ""));
        let insights = Arc::new(FakeInsights::new(clock.now(), ""));
        let mut state = DashboardState {
            accounts: other.clone(),
            members: other.clone(),
            sign_in: other.clone(),
            ingest_keys: other.clone(),
            api_tokens: other.clone(),
            xapi_keys: Some(other.clone()),
            errors: Some(other.clone()),
            releases: Some(other.clone()),
            source_maps: Some(Arc::new(FakeMaps::new(clock.now(), ""))),
            triage: other.clone(),
            search: other.clone(),
            attachments: other.clone(),
            feedback: other.clone(),
            project_limits: other.clone(),
            logs: other.clone(),
            queries: other.clone(),
            rollup_checks: other.clone(),
            monitors: other.clone(),
            learning: Some(learning.clone()),
            learning_settings: learning,
            business: Some(Arc::new(FakeBusiness::new(clock.now(), "", &["EUR"]))),
            insights: insights.clone(),
            boards: insights.clone(),
            cohorts: insights.clone(),
            feature_flags: insights,
            webhooks: Arc::new(FakeWebhooks::new(clock.now(), "")),
            grouping_rules: other.clone(),
            intake_log: other.clone(),
            spool_depth: Some(Arc::new(move || depth)),
            audit: other.clone(),
            privacy: other,
            bus: bus.clone(),
            tasks: tasks.clone(),
            clock,
            public_url: "https://bv.example".to_owned(),
            secure_cookies: true,
        };
        change(&mut fake, &mut state);
        let fake = Arc::new(fake);
        state.accounts = fake.clone();
        state.members = fake.clone();
        state.sign_in = fake.clone();
        state.ingest_keys = fake.clone();
        state.api_tokens = fake.clone();
        state.xapi_keys = state.xapi_keys.map(|_| fake.clone() as _);
        state.errors = state.errors.map(|_| fake.clone() as _);
        state.triage = fake.clone();
        state.search = fake.clone();
        state.releases = state.releases.map(|_| fake.clone() as _);
        state.attachments = fake.clone();
        state.feedback = fake.clone();
        state.project_limits = fake.clone();
        state.grouping_rules = fake.clone();
        state.intake_log = fake.clone();
        state.logs = fake.clone();
        state.queries = fake.clone();
        state.rollup_checks = fake.clone();
        state.monitors = fake.clone();
        state.audit = fake.clone();
        state.privacy = fake.clone();
        Self { router: router(state), fake, bus, tasks }
    }

    async fn send(&self, mut request: Request<Body>) -> Response<Body> {
        let client = ClientInfo { request_id: Some("01REQUEST".to_owned()), ..ClientInfo::default() };
        request.extensions_mut().insert(client);
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn answer(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.send(request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// A signed-in visitor opens `path`.
    async fn get(&self, path: &str) -> Answer {
        self.answer(signed_in("GET", path).body(Body::empty()).unwrap()).await
    }

    /// A signed-in visitor sends a form that carries their anti-forgery value.
    async fn post(&self, path: &str, form: &str) -> Answer {
        self.post_raw(path, &format!("csrf={}&{form}", csrf::mask(CSRF))).await
    }

    async fn post_raw(&self, path: &str, form: &str) -> Answer {
        let request = signed_in("POST", path).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.answer(request.body(Body::from(form.to_owned())).unwrap()).await
    }

    fn calls(&self) -> Vec<String> {
        self.fake.calls.lock().unwrap().clone()
    }
}

fn signed_in(method: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(path).header(COOKIE, format!("belvedere_session={SESSION}"))
}

/// Every page that an owner can open by an address.
fn pages() -> Vec<String> {
    let own = [
        "".to_owned(),
        "/issues".to_owned(),
        "/issues?status=all&q=a&environment=production&sort=events&after=1~2".to_owned(),
        format!("/issues/{}", issue_id(1)),
        format!("/issues/{}/events", issue_id(1)),
        format!("/issues/{}/events?q=plan:pro&columns=time,tag.plan&column=trace", issue_id(1)),
        format!("/issues/{}/tags/plan", issue_id(1)),
        "/issues/searches?q=a&sort=trend".to_owned(),
        format!("/events/{EVENT}"),
        "/releases?environment=production&sort=last_seen".to_owned(),
        "/releases/shop%402.14.0?range=90d".to_owned(),
        "/releases/shop%402.14.0/compare?base=8fea2d6".to_owned(),
        "/crons".to_owned(),
        "/crons/new".to_owned(),
        "/crons/nightly-backup".to_owned(),
        "/crons/nightly-backup/edit".to_owned(),
        "/logs?q=declined&level=warn&span=7d".to_owned(),
        "/events".to_owned(),
        "/events?name=error&dimension=course&value=rust-101&span=30d&after=1~2".to_owned(),
        "/events/subjects/318".to_owned(),
        "/events/subjects/n5".to_owned(),
        "/learning/courses".to_owned(),
        "/learning/courses/rust-101".to_owned(),
        "/learning/learners?course=rust-101&after=1".to_owned(),
        "/learning/learners/318".to_owned(),
        "/learning/struggling?all=1".to_owned(),
        "/learning/tutor?days=90".to_owned(),
        "/business?period=week".to_owned(),
        "/business/revenue".to_owned(),
        "/insights/funnels?step=signup&step=error&by=plan".to_owned(),
        "/dashboards".to_owned(),
        format!("/dashboards/{}", board_id()),
        format!("/dashboards/{}/links", board_id()),
        "/cohorts".to_owned(),
        format!("/cohorts/{}", cohort_id(1)),
        "/feature-flags".to_owned(),
        "/feature-flags/new-editor".to_owned(),
        "/pipeline".to_owned(),
        format!("/pipeline/set-aside/{}", belvedere_storage::Id::<()>::from_bytes([5; 16])),
        "/audit?action=authn_login_success&from=2026-11-01&to=2026-11-23&here=1".to_owned(),
        "/settings".to_owned(),
        "/settings/keys".to_owned(),
        "/settings/xapi-keys".to_owned(),
        "/settings/tokens".to_owned(),
        "/settings/members".to_owned(),
        "/settings/limits".to_owned(),
        "/settings/privacy".to_owned(),
        "/settings/webhooks".to_owned(),
        format!("/settings/webhooks/{}", endpoint_id()),
        "/settings/source-maps".to_owned(),
        format!("/settings/source-maps/{}", bundle_id(1)),
        "/settings/ownership".to_owned(),
        "/feedback".to_owned(),
        "/feedback?status=spam&q=a".to_owned(),
        format!("/feedback?issue={}", issue_id(1)),
        format!("/feedback/{}", fakes::feedback_id()),
        format!("/events/{EVENT}/attachments/{}", belvedere_storage::Id::<()>::from_bytes([1; 16])),
        format!("/events/{EVENT}/attachments/{}", belvedere_storage::Id::<()>::from_bytes([2; 16])),
        "/settings/grouping".to_owned(),
        "/settings/account".to_owned(),
    ];
    own.iter().map(|path| format!("/projects/{PROJECT}{path}")).chain(["/projects/new".to_owned()]).collect()
}

#[tokio::test]
async fn every_page_opens_and_says_where_one_is() {
    let site = Site::new(Role::Owner);
    for path in pages() {
        let page = site.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(page.text().contains("<h1"), "{path}");
        assert!(page.text().contains("Web shop"), "{path}");
    }
}

#[tokio::test]
async fn the_list_of_issues_shows_counts_filters_and_the_next_page() {
    let site = Site::new(Role::Owner);
    let page = site.get("/projects/7/issues").await;
    let text = page.text();
    assert!(
        text.contains("<b>TypeError:</b> cannot read properties of undefined (reading &#39;trim&#39;)"),
        "{text}"
    );
    assert!(text.contains(">12,904<") && text.contains(">1,904<"));
    assert!(text.contains(
        r#"<time datetime="2026-11-23T11:59:46Z" title="2026-11-23T11:59:46Z" data-ago>14 s ago</time>"#
    ));
    assert!(text.contains(r#"href="/projects/7/issues?status=unresolved&#38;after=1~2""#));
    assert!(!text.contains("ReferenceError"), "resolved issues are not in the list of unresolved ones");
    let found = site.get("/projects/7/issues?status=all&q=GTAG").await;
    assert!(found.text().contains("ReferenceError") && !found.text().contains("TypeError"));
    let nothing = site.get("/projects/7/issues?q=%3Cscript%3E").await;
    assert!(
        nothing.text().contains("No issue matches") && nothing.text().contains(r#"value="&#60;script&#62;""#)
    );
    let wrong = site.get("/projects/7/issues?q=is%3Aodd").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.text().contains("Query, character 4: expected one of"), "{}", wrong.text());
    site.get("/projects/7/issues?time=24h&environment=staging&sort=trend").await;
    let asked = "search_issues Some(\"staging\") Some(2026-11-22T13:00:00Z) Trend".to_owned();
    assert!(site.calls().contains(&asked), "{:?}", site.calls());
    let odd = site.get("/projects/7/issues?after=nonsense").await;
    assert_eq!(odd.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_issue_shows_its_newest_event_with_everything_that_was_sent() {
    let site = Site::new(Role::Owner);
    let page = site.get(&format!("/projects/7/issues/{}", issue_id(1))).await;
    for part in [
        "report.push(out.result.trim() === c.expected);",
        "3 frames in @app/store and react-dom",
        "Caused by",
        "result out of range",
        "not handled",
        "sandbox answered without a result",
        "Chrome 142",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        r#"href="https://app.example/rust-101/lesson-4?hint=1""#,
        "Subject 318",
        "shop@4.12.3",
        "production",
        "sentry.javascript.browser/11.12.0",
        "removed: credit_card",
        "src/lesson/editor.tsx onSubmit",
        r#"href="/projects/7/events/00000000000000000000000000000001""#,
        r#"href="/projects/7/events/9b1f0a7c55e24d6fb0f4a1d2c3e4f501/raw""#,
        "Events per hour in the last 24 hours: 289 events in all, at most 40",
    ] {
        assert!(page.text().contains(part), "{part} is missing");
    }
    let raw = site.get(&format!("/projects/7/events/{EVENT}/raw")).await;
    assert_eq!(raw.header("content-type"), "application/json; charset=utf-8");
    let value: serde_json::Value = serde_json::from_slice(&raw.body).unwrap();
    assert_eq!(value, fakes::payload());
}

#[tokio::test]
async fn states_are_changed_by_forms_only_and_the_page_says_so() {
    let site = Site::new(Role::Member);
    let path = format!("/projects/7/issues/{}", issue_id(1));
    let changed = site.post(&format!("{path}/change"), "action=resolve").await;
    assert_eq!(
        (changed.status, changed.header("location")),
        (StatusCode::SEE_OTHER, format!("{path}?done=resolved").as_str())
    );
    let page = site.get(&format!("{path}?done=resolved")).await;
    assert!(page.text().contains("Resolved. A new event reopens the issue."));
    assert!(page.text().contains(">Reopen</button>"));
    let odd = site.post(&format!("{path}/change"), "action=gone").await;
    assert_eq!(odd.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_empty_project_says_what_to_do_with_its_dsn() {
    let site = Site::new(Role::Owner);
    let page = site.get("/projects/8").await;
    let dsn = format!("https://{}@bv.example/8", "a1".repeat(16));
    assert!(page.text().contains(&format!(r#"<code id="dsn">{dsn}</code>"#)));
    for language in ["import sentry_sdk", "@sentry/browser", "@sentry/node", "sentry::init"] {
        assert!(page.text().contains(language), "{language}");
    }
    let analyst = Site::new(Role::Analyst).get("/projects/8").await;
    assert!(!analyst.text().contains("a1a1a1a1"), "an analyst may not see keys");
}

#[tokio::test]
async fn settings_reach_their_services_and_errors_come_back_with_the_form() {
    let site = Site::new(Role::Owner);
    let saved = site.post("/projects/7/settings", "name=Shop&slug=shop&time_zone=UTC").await;
    assert_eq!(saved.header("location"), "/projects/7/settings?done=saved");
    let refused = site.post("/projects/7/settings", "name=Shop&slug=shop&time_zone=Mars%2FOlympus").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text().contains("Time_zone: is not an IANA time zone."));
    assert!(refused.text().contains(r#"value="Mars/Olympus""#));
    site.post(
        "/projects/7/settings/keys",
        "label=web&rate_limit=60&origins=https%3A%2F%2Fa.example%0D%0A%0D%0A",
    )
    .await;
    let odd = site.post("/projects/7/settings/keys", "label=web&rate_limit=many").await;
    assert_eq!(odd.status, StatusCode::UNPROCESSABLE_ENTITY);
    let made = site.post("/projects/7/settings/xapi-keys", "label=LMS&state=1").await;
    assert!(made.text().contains("bxs_secret"), "the secret is shown this once");
    site.post("/projects/7/settings/privacy", "analytics=1&scrub_keys=iban%0Ataxid").await;
    site.post(&format!("/projects/7/settings/members/{}/role", fakes::ada()), "role=admin").await;
    let replayed =
        format!("/projects/7/pipeline/set-aside/{}/replay", belvedere_storage::Id::<()>::from_bytes([5; 16]));
    site.post(&replayed, "").await;
    let calls = site.calls();
    let expected = [
        "update_project Shop",
        r#"create_ingest_key web Some(60) ["https://a.example"]"#,
        "create_xapi_key LMS [State]",
        r#"change_settings analytics true keys ["iban", "taxid"]"#,
        "set_role admin",
    ];
    assert_eq!(calls[..5], expected);
    assert!(calls[5].starts_with("replay_set_aside ") && calls[5].ends_with(" by user"));
    let gone = site.post(&replayed.replace("replay", "discard"), "").await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_tokens_secret_is_shown_once_and_never_in_an_address() {
    let site = Site::new(Role::Owner);
    let made = site.post("/projects/7/settings/tokens", "label=ci&read=1&days=90").await;
    assert_eq!(made.status, StatusCode::OK);
    assert!(made.text().contains("bv_the-secret-of-the-token"));
    assert_eq!(made.header("cache-control"), "no-store");
    assert!(!site.get("/projects/7/settings/tokens").await.text().contains("bv_the-secret"));
    let refused = site.post("/projects/7/settings/tokens", "label=ci").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text().contains("Scopes: must be at least one."));
}

#[tokio::test]
async fn a_token_whose_end_cannot_be_read_is_not_made() {
    let site = Site::new(Role::Owner);
    for days in ["0", "3651", "soon", "-1"] {
        let refused = site.post("/projects/7/settings/tokens", &format!("label=ci&read=1&days={days}")).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{days}");
        assert!(refused.text().contains("Days must be a number from 1 to 3,650, or nothing."), "{days}");
        assert!(!refused.text().contains("bv_the-secret"), "{days}");
    }
    for days in ["3650", ""] {
        let made = site.post("/projects/7/settings/tokens", &format!("label=ci&read=1&days={days}")).await;
        assert!(made.text().contains("bv_the-secret-of-the-token"), "{days}");
    }
}

#[tokio::test]
async fn people_are_numbers_until_somebody_who_may_asks_who_they_are() {
    let site = Site::new(Role::PrivacyOfficer);
    let revealed = site.post("/projects/7/subjects/318/reveal", &format!("event={EVENT}")).await;
    assert!(revealed.text().contains("joan@example.com"));
    assert_eq!(site.calls(), ["reveal_subject 318"]);
    let member = Site::new(Role::Member);
    let refused = member.post("/projects/7/subjects/318/reveal", "").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(member.calls(), ["denied reveal_subjects"]);
    let page = member.get(&format!("/projects/7/events/{EVENT}")).await;
    assert!(!page.text().contains("Show who this is"));
}

#[tokio::test]
async fn the_audit_log_takes_the_last_day_whole() {
    let site = Site::new(Role::Auditor);
    let page = site.get("/projects/7/audit?action=authn_login_fail&to=2026-11-23").await;
    assert!(page.text().contains("authn_login_success"));
    assert_eq!(site.calls(), [r#"list_entries Some("authn_login_fail") Some("2026-11-24T00:00:00Z")"#]);
    assert_eq!(site.get("/projects/7/audit?to=soon").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn sections_that_a_role_may_not_see_are_neither_shown_nor_served() {
    let site = Site::new(Role::Auditor);
    let page = site.get("/projects/7/audit").await;
    assert!(
        !page.text().contains(r#"href="/projects/7/issues""#) && !page.text().contains("data-live-stream")
    );
    assert_eq!(site.get("/").await.header("location"), "/projects/7/audit");
    for path in ["", "/issues", "/pipeline", "/settings/keys", "/settings/tokens"] {
        assert_eq!(site.get(&format!("/projects/7{path}")).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    let denied = [
        "list_entries None None",
        "denied view_issues",
        "denied view_issues",
        "denied view_issues",
        "denied view_keys",
        "denied manage_tokens",
    ];
    assert_eq!(site.calls(), denied);
}

#[tokio::test]
async fn pages_of_a_slice_that_is_switched_off_do_not_exist() {
    let site = Site::with(Role::Owner, |_, state| state.errors = None);
    let page = site.get("/projects/7/pipeline").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(!page.text().contains(r#"href="/projects/7/issues""#));
    assert_eq!(site.get("/projects/7/issues").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn fragments_hold_the_changing_parts_of_their_page() {
    let site = Site::new(Role::Owner);
    let pages = [
        ("/projects/7".to_owned(), "overview"),
        ("/projects/7/issues".to_owned(), "issues"),
        ("/projects/7/pipeline".to_owned(), "pipeline"),
        (format!("/projects/7/issues/{}", issue_id(1)), "issue"),
        (format!("/projects/7/issues/{}/events", issue_id(1)), "events"),
    ];
    for (path, part) in pages {
        let page = site.get(&path).await;
        let fragment = site.get(&format!("{path}?fragment=rows")).await;
        assert!(page.text().contains(&format!(r#"data-part="{part}""#)), "{path}");
        assert!(fragment.text().contains(&format!(r#"<template data-part="{part}">"#)), "{path}");
        assert!(fragment.text().contains(r#"<template data-part="nav-issues">4</template>"#), "{path}");
        assert!(!fragment.text().contains("<html"), "{path}");
    }
}

#[tokio::test]
async fn answers_are_compressed_for_those_who_take_it() {
    let site = Site::new(Role::Owner);
    let request =
        signed_in("GET", "/projects/7/issues").header(ACCEPT_ENCODING, "gzip, br").body(Body::empty());
    let small = site.answer(request.unwrap()).await;
    assert_eq!(small.headers[CONTENT_ENCODING], "br");
    let mut text = Vec::new();
    brotli::BrotliDecompress(&mut small.body.as_slice(), &mut text).unwrap();
    assert!(String::from_utf8(text).unwrap().contains("TypeError"));
    let plain = site.get("/projects/7/issues").await;
    assert!(plain.headers.get(CONTENT_ENCODING).is_none() && plain.body.len() > small.body.len() * 3);
}

#[tokio::test]
async fn assets_are_named_by_content_and_kept_for_ever() {
    let site = Site::new(Role::Owner);
    let page = site.get("/projects/7/issues").await;
    let (_, rest) = page.text().split_once(r#"<link rel="stylesheet" href=""#).unwrap();
    let (path, _) = rest.split_once('"').unwrap();
    let css = site.get(path).await;
    assert_eq!(css.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(css.header("content-type"), "text/css; charset=utf-8");
    let old = site.get("/assets/belvedere-000000000000.css").await;
    assert_eq!((old.status, old.header("cache-control")), (StatusCode::NOT_FOUND, "no-store"));
}

#[tokio::test]
async fn after_making_a_project_one_lands_in_it() {
    let site = Site::new(Role::Admin);
    let made = site.post("/projects/new", "name=Mobile+app&time_zone=Europe%2FBerlin").await;
    assert_eq!(made.headers[LOCATION], "/projects/8?done=project");
    assert_eq!(
        site.calls(),
        ["create_project Mobile app Europe/Berlin", "create_ingest_key default None []"]
    );
}
