//! The pages over made-up data at <http://127.0.0.1:8899>, for looking at them while they are changed.
//!
//! Open `/sign-in/link/link-secret` first. Project 8 is empty; every five seconds an event arrives in project 7.

#![allow(missing_docs, clippy::unwrap_used, dead_code)]

#[path = "../src/tests/fake_business.rs"]
mod fake_business;
#[path = "../src/tests/fake_insights.rs"]
mod fake_insights;
#[path = "../src/tests/fake_learning.rs"]
mod fake_learning;
#[path = "../src/tests/fake_maps.rs"]
mod fake_maps;
#[path = "../src/tests/fake_releases.rs"]
mod fake_releases;
#[path = "../src/tests/fake_tutor.rs"]
mod fake_tutor;
#[path = "../src/tests/fake_webhooks.rs"]
mod fake_webhooks;
#[path = "../src/tests/fakes.rs"]
mod fakes;

use std::sync::Arc;
use std::time::Duration;

use belvedere_accounts::Role;
use belvedere_dashboard::{DashboardState, router};
use belvedere_kernel::{Clock as _, InProcessBus, LiveBus as _, LiveMessage, ProjectId, SystemClock, Tasks};
use belvedere_storage::spool::SpoolDepth;
use fakes::{Fake, PROJECT, issue_id};
use serde_json::json;

#[tokio::main]
async fn main() {
    let clock = Arc::new(SystemClock);
    let fake = Arc::new(Fake::new(clock.clone(), Role::Owner));
    let bus = Arc::new(InProcessBus::default());
    let depth = SpoolDepth {
        records: 12,
        bytes: 300_000,
        oldest_seq: Some(1),
        durable_seq: 12,
        bytes_max: 1 << 30,
        quarantined_bytes: 0,
    };
    let insights = Arc::new(fake_insights::FakeInsights::new(clock.now(), ""));
    let learning = Arc::new(fake_learning::FakeLearning::new(clock.now(), ""));
    let state = DashboardState {
        accounts: fake.clone(),
        members: fake.clone(),
        sign_in: fake.clone(),
        ingest_keys: fake.clone(),
        api_tokens: fake.clone(),
        xapi_keys: Some(fake.clone()),
        errors: Some(fake.clone()),
        releases: Some(fake.clone()),
        source_maps: Some(Arc::new(fake_maps::FakeMaps::new(clock.now(), ""))),
        triage: fake.clone(),
        search: fake.clone(),
        attachments: fake.clone(),
        feedback: fake.clone(),
        project_limits: fake.clone(),
        logs: fake.clone(),
        queries: fake.clone(),
        rollup_checks: fake.clone(),
        monitors: fake.clone(),
        learning: Some(learning.clone()),
        learning_settings: learning,
        business: Some(Arc::new(fake_business::FakeBusiness::new(clock.now(), "", &["EUR", "USD"]))),
        insights: insights.clone(),
        boards: insights.clone(),
        cohorts: insights.clone(),
        feature_flags: insights,
        webhooks: Arc::new(fake_webhooks::FakeWebhooks::new(clock.now(), "")),
        grouping_rules: fake.clone(),
        intake_log: fake.clone(),
        spool_depth: Some(Arc::new(move || depth)),
        audit: fake.clone(),
        privacy: fake.clone(),
        bus: bus.clone(),
        tasks: Tasks::default(),
        clock: clock.clone(),
        public_url: "http://127.0.0.1:8899".to_owned(),
        secure_cookies: false,
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8899").await.unwrap();
    let arrivals = async {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let mut issues = fake.issues.lock().unwrap();
            issues[2].summary.events += 1;
            issues[2].summary.last_seen = clock.now();
            drop(issues);
            bus.publish(LiveMessage {
                project: Some(ProjectId(PROJECT)),
                topic: "issue.events".to_owned(),
                data: json!({"issues": [issue_id(3).to_string()]}),
            });
        }
    };
    tokio::select! {
        () = arrivals => {}
        served = axum::serve(listener, router(state)) => served.unwrap(),
    }
}
