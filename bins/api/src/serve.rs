use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use belvedere_app::{App, until_interrupted};
use belvedere_dashboard::DashboardState;
use belvedere_http::{Http, HttpFeatures, HttpLimits, HttpState, ServerLimits, TrustedProxies};
use tokio::net::TcpListener;

/// Serves until the process is interrupted, then ends without losing anything.
pub(crate) async fn run(app: App, first_steps: bool, json: bool) -> Result<()> {
    let address = app.config.server.address;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("server.address: cannot listen on {address}"))?;
    let router = Http::new(http_state(&app)?).finish(belvedere_dashboard::router(dashboard_state(&app)));
    let ready = if first_steps { Some(app.first_steps().await?) } else { None };
    app.start();
    belvedere_http::serve(router, listener, &app.tasks, server_limits(&app)?);
    match ready {
        Some(ready) if json => println!("{}", serde_json::to_string(&ready)?),
        Some(ready) => println!(
            "Belvedere is at {}\n\n  Sign in, once, within 15 minutes:  {}\n  DSN of the first project:          {}\n\nCtrl-C ends it.",
            ready.address, ready.sign_in, ready.dsn
        ),
        None => tracing::info!(%address, "serving"),
    }
    until_interrupted().await;
    tracing::info!("ending");
    app.stop().await;
    Ok(())
}

fn http_state(app: &App) -> Result<HttpState> {
    let server = &app.config.server;
    Ok(HttpState {
        accounts: app.accounts.clone(),
        sign_in: app.accounts.clone(),
        ingest_keys: app.accounts.clone(),
        api_tokens: app.accounts.clone(),
        xapi_keys: app.accounts.clone(),
        xapi: app.xapi.clone(),
        xapi_limits: app.config.xapi.limits(),
        learning: app.learning.clone(),
        learning_settings: app.learning.clone(),
        business: app.business.clone(),
        revenue_records: app.business.clone(),
        insights: app.business.clone(),
        boards: app.business.clone(),
        cohorts: app.business.clone(),
        feature_flags: app.business.clone(),
        webhooks: app.alerting.clone(),
        errors: app.errors.clone(),
        releases: app.errors.clone(),
        search: app.search.clone(),
        queries: app.queries.clone(),
        source_maps: app.source_maps.clone(),
        triage: app.triage.clone(),
        attachments: app.errors.clone(),
        feedback: app.errors.clone(),
        project_limits: app.errors.clone(),
        quotas: Arc::clone(&app.quotas),
        logs: app.logs.clone(),
        monitors: app.monitors.clone(),
        grouping_rules: app.errors.clone(),
        intake: app.intake.clone().context("a process without a door cannot serve")?,
        intake_log: app.intake_log.clone(),
        intake_stats: Arc::clone(&app.intake_stats),
        audit: app.audit.clone(),
        clock: Arc::clone(&app.clock),
        db: app.db.clone(),
        limits: HttpLimits {
            body_bytes_max: server.body_bytes_max,
            decompressed_bytes_max: server.decompressed_bytes_max,
            bodies_in_memory_bytes_max: server.bodies_in_memory_bytes_max,
            body_timeout: Duration::from_secs(server.body_timeout_seconds),
        },
        features: HttpFeatures {
            error_tracking: app.config.features.error_tracking,
            xapi: app.config.features.xapi,
            learning: app.config.features.learning,
            business_intelligence: app.config.features.business_intelligence,
        },
        public_url: app.config.public_url(),
        metrics_token: Some(server.metrics_token.clone()).filter(|token| !token.is_empty()),
    })
}

fn dashboard_state(app: &App) -> DashboardState {
    let intake = app.intake.clone();
    let public_url = app.config.public_url();
    DashboardState {
        accounts: app.accounts.clone(),
        members: app.accounts.clone(),
        sign_in: app.accounts.clone(),
        ingest_keys: app.accounts.clone(),
        api_tokens: app.accounts.clone(),
        xapi_keys: app.config.features.xapi.then(|| app.accounts.clone() as _),
        errors: app.config.features.error_tracking.then(|| app.errors.clone() as _),
        releases: app.config.features.error_tracking.then(|| app.errors.clone() as _),
        source_maps: app.config.features.error_tracking.then(|| app.source_maps.clone() as _),
        triage: app.triage.clone(),
        search: app.search.clone(),
        queries: app.queries.clone(),
        rollup_checks: Arc::new(app.events.clone()),
        attachments: app.errors.clone(),
        feedback: app.errors.clone(),
        project_limits: app.errors.clone(),
        logs: app.logs.clone(),
        monitors: app.monitors.clone(),
        learning: app.config.features.learning.then(|| app.learning.clone() as _),
        learning_settings: app.learning.clone(),
        business: app.config.features.business_intelligence.then(|| app.business.clone() as _),
        insights: app.business.clone(),
        boards: app.business.clone(),
        cohorts: app.business.clone(),
        feature_flags: app.business.clone(),
        webhooks: app.alerting.clone(),
        grouping_rules: app.errors.clone(),
        intake_log: app.intake_log.clone(),
        spool_depth: intake.map(|intake| Arc::new(move || intake.depth()) as _),
        audit: app.audit.clone(),
        privacy: app.privacy.clone(),
        bus: Arc::clone(&app.bus),
        tasks: app.tasks.clone(),
        clock: Arc::clone(&app.clock),
        secure_cookies: public_url.starts_with("https://"),
        public_url,
    }
}

fn server_limits(app: &App) -> Result<ServerLimits> {
    let server = &app.config.server;
    Ok(ServerLimits {
        connections_max: server.connections_max,
        header_timeout: Duration::from_secs(server.header_timeout_seconds),
        shutdown_timeout: Duration::from_secs(server.shutdown_timeout_seconds),
        trusted_proxies: TrustedProxies::parse(&server.trusted_proxies).context("server.trusted_proxies")?,
        ..ServerLimits::default()
    })
}
