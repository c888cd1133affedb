//! What the routes work with.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use belvedere_accounts::{Accounts, ApiTokens, IngestKeys, SignIn, XapiKeys};
use belvedere_alerting::Webhooks;
use belvedere_audit::AuditLog;
use belvedere_business_intelligence::feature_flag::FeatureFlags;
use belvedere_business_intelligence::insight::{Boards, Cohorts, Insights};
use belvedere_business_intelligence::{Business, RevenueRecords};
use belvedere_error_tracking::attachment::Attachments;
use belvedere_error_tracking::feedback::Feedback;
use belvedere_error_tracking::grouping_rules::GroupingRules;
use belvedere_error_tracking::limits::Limits;
use belvedere_error_tracking::logs::Logs;
use belvedere_error_tracking::monitors::Monitors;
use belvedere_error_tracking::quota::QuotaBook;
use belvedere_error_tracking::search::Search;
use belvedere_error_tracking::{ErrorTracking, Releases, SourceMaps, Triage};
use belvedere_event_store::query::Queries;
use belvedere_intake::{Intake, IntakeLog, IntakeStats};
use belvedere_kernel::{Clock, IngestKey, XapiKey};
use belvedere_learning_analytics::{Learning, LearningSettings};
use belvedere_storage::Database;
use belvedere_xapi::{Limits as XapiLimits, RecordStore};

use crate::body::Bodies;
use crate::metrics::Metrics;
use crate::rate_limit::RateLimits;

/// Everything that the routes need from the rest of Belvedere.
#[derive(Clone)]
pub struct HttpState {
    /// Organisations and projects.
    pub accounts: Arc<dyn Accounts>,
    /// Whose API token it is.
    pub sign_in: Arc<dyn SignIn>,
    /// The keys by which SDKs send.
    pub ingest_keys: Arc<dyn IngestKeys>,
    /// The keys by which learning tools use the xAPI record store.
    pub xapi_keys: Arc<dyn XapiKeys>,
    /// The xAPI record store.
    pub xapi: Arc<dyn RecordStore>,
    /// What bounds requests to it.
    pub xapi_limits: XapiLimits,
    /// The tokens by which programs use the API.
    pub api_tokens: Arc<dyn ApiTokens>,
    /// What learners do.
    pub learning: Arc<dyn Learning>,
    /// What people declare of courses and milestones, and say of flags.
    pub learning_settings: Arc<dyn LearningSettings>,
    /// How the business does.
    pub business: Arc<dyn Business>,
    /// What is told of revenue.
    pub revenue_records: Arc<dyn RevenueRecords>,
    /// Questions worth keeping.
    pub insights: Arc<dyn Insights>,
    /// Boards of them, and the links to these.
    pub boards: Arc<dyn Boards>,
    /// People with something in common.
    pub cohorts: Arc<dyn Cohorts>,
    /// Who gets what.
    pub feature_flags: Arc<dyn FeatureFlags>,
    /// Who is told of what, and what they were told.
    pub webhooks: Arc<dyn Webhooks>,
    /// Issues and events.
    pub errors: Arc<dyn ErrorTracking>,
    /// Which of them match, and what their tags say.
    pub search: Arc<dyn Search>,
    /// Releases and their sessions.
    pub releases: Arc<dyn Releases>,
    /// What leads from generated scripts to their sources.
    pub source_maps: Arc<dyn SourceMaps>,
    /// What people do with issues.
    pub triage: Arc<dyn Triage>,
    /// Files that came with events.
    pub attachments: Arc<dyn Attachments>,
    /// What people say.
    pub feedback: Arc<dyn Feedback>,
    /// What projects keep, and how much of it may arrive.
    pub project_limits: Arc<dyn Limits>,
    /// Whether something may come in at this moment.
    pub quotas: Arc<QuotaBook>,
    /// Logs.
    pub logs: Arc<dyn Logs>,
    /// Monitored jobs.
    pub monitors: Arc<dyn Monitors>,
    /// The projects' own rules of grouping.
    pub grouping_rules: Arc<dyn GroupingRules>,
    /// Questions to events.
    pub queries: Arc<dyn Queries>,
    /// Where accepted requests go.
    pub intake: Arc<Intake>,
    /// What became of them.
    pub intake_log: Arc<dyn IntakeLog>,
    /// How intake fares in this process.
    pub intake_stats: Arc<IntakeStats>,
    /// Who did what.
    pub audit: Arc<dyn AuditLog>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Only to ask whether it is there.
    pub db: Database,
    /// Limits of bodies.
    pub limits: HttpLimits,
    /// What is switched on.
    pub features: HttpFeatures,
    /// The address for DSNs, without a slash at its end, such as `https://belvedere.example`.
    pub public_url: String,
    /// Bearer token for `/metrics`; `None`: only from this machine.
    pub metrics_token: Option<String>,
}

/// Limits of request bodies; those of connections are in [`crate::ServerLimits`].
#[derive(Debug, Clone)]
pub struct HttpLimits {
    /// The largest body as sent.
    pub body_bytes_max: usize,
    /// The largest body after decompression.
    pub decompressed_bytes_max: usize,
    /// All bodies in memory at one time; further ones wait. At least one largest body as sent and one decompressed.
    pub bodies_in_memory_bytes_max: usize,
    /// How long a client may take to send a body, waiting for memory included.
    pub body_timeout: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            body_bytes_max: 20 << 20,
            decompressed_bytes_max: 20 << 20,
            bodies_in_memory_bytes_max: 48 << 20,
            body_timeout: Duration::from_secs(30),
        }
    }
}

/// Which slices are switched on.
#[derive(Debug, Clone, Copy)]
pub struct HttpFeatures {
    /// Receive and show errors.
    pub error_tracking: bool,
    /// The xAPI record store.
    pub xapi: bool,
    /// Receive and show what learners do.
    pub learning: bool,
    /// Receive what people do in the product, and show what it earns.
    pub business_intelligence: bool,
}

impl Default for HttpFeatures {
    fn default() -> Self {
        Self { error_tracking: true, xapi: true, learning: true, business_intelligence: true }
    }
}

/// [`HttpState`] and what this crate itself keeps between requests.
pub(crate) struct Shared {
    state: HttpState,
    pub(crate) metrics: Metrics,
    pub(crate) bodies: Bodies,
    pub(crate) ingest_rates: RateLimits<IngestKey>,
    pub(crate) xapi_rates: RateLimits<XapiKey>,
}

impl Shared {
    pub(crate) fn new(state: HttpState) -> Self {
        let bodies = Bodies::new(&state.limits);
        Self {
            state,
            metrics: Metrics::default(),
            bodies,
            ingest_rates: RateLimits::default(),
            xapi_rates: RateLimits::default(),
        }
    }
}

impl Deref for Shared {
    type Target = HttpState;

    fn deref(&self) -> &HttpState {
        &self.state
    }
}
