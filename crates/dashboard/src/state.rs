use std::sync::Arc;

use belvedere_accounts::{Accounts, ApiTokens, IngestKeys, Members, SignIn, XapiKeys};
use belvedere_alerting::Webhooks;
use belvedere_audit::AuditLog;
use belvedere_business_intelligence::Business;
use belvedere_business_intelligence::feature_flag::FeatureFlags;
use belvedere_business_intelligence::insight::{Boards, Cohorts, Insights};
use belvedere_error_tracking::attachment::Attachments;
use belvedere_error_tracking::feedback::Feedback;
use belvedere_error_tracking::grouping_rules::GroupingRules;
use belvedere_error_tracking::limits::Limits;
use belvedere_error_tracking::logs::Logs;
use belvedere_error_tracking::monitors::Monitors;
use belvedere_error_tracking::search::Search;
use belvedere_error_tracking::{ErrorTracking, Releases, SourceMaps, Triage};
use belvedere_event_store::RollupChecks;
use belvedere_event_store::query::Queries;
use belvedere_intake::IntakeLog;
use belvedere_kernel::{Clock, LiveBus, Tasks};
use belvedere_learning_analytics::{Learning, LearningSettings};
use belvedere_privacy::Privacy;
use belvedere_storage::spool::SpoolDepth;

/// Everything that the pages need from the rest of Belvedere.
#[derive(Clone)]
pub struct DashboardState {
    /// Organisations and projects.
    pub accounts: Arc<dyn Accounts>,
    /// Their people.
    pub members: Arc<dyn Members>,
    /// Sessions and links.
    pub sign_in: Arc<dyn SignIn>,
    /// The keys by which SDKs send.
    pub ingest_keys: Arc<dyn IngestKeys>,
    /// The tokens by which programs use the API.
    pub api_tokens: Arc<dyn ApiTokens>,
    /// The keys of the xAPI record store; `None` where it is switched off.
    pub xapi_keys: Option<Arc<dyn XapiKeys>>,
    /// Issues and events; `None` when error tracking is switched off, and with it its pages.
    pub errors: Option<Arc<dyn ErrorTracking>>,
    /// Releases; `None` together with errors.
    pub releases: Option<Arc<dyn Releases>>,
    /// What leads from generated scripts to their sources; `None` when error tracking is switched off.
    pub source_maps: Option<Arc<dyn SourceMaps>>,
    /// What people do with issues.
    pub triage: Arc<dyn Triage>,
    /// Which of them match, and what their tags say.
    pub search: Arc<dyn Search>,
    /// Files that came with events.
    pub attachments: Arc<dyn Attachments>,
    /// What people say.
    pub feedback: Arc<dyn Feedback>,
    /// What projects keep, and how much of it may arrive.
    pub project_limits: Arc<dyn Limits>,
    /// Logs; their pages exist with those of errors.
    pub logs: Arc<dyn Logs>,
    /// What can be asked about events, those of errors among them.
    pub queries: Arc<dyn Queries>,
    /// How right what was counted of events beforehand is.
    pub rollup_checks: Arc<dyn RollupChecks>,
    /// Monitored jobs; their pages exist with those of errors.
    pub monitors: Arc<dyn Monitors>,
    /// What learners do; `None` where learning analytics is switched off, and with it its pages.
    pub learning: Option<Arc<dyn Learning>>,
    /// What people declare of courses and say of flags; its pages exist with those of learning.
    pub learning_settings: Arc<dyn LearningSettings>,
    /// How the business does; `None` where business intelligence is switched off, and with it its pages.
    pub business: Option<Arc<dyn Business>>,
    /// Questions worth keeping; their pages exist with those of the business, as those of the two that follow.
    pub insights: Arc<dyn Insights>,
    /// Boards of them, and the links to these.
    pub boards: Arc<dyn Boards>,
    /// People with something in common.
    pub cohorts: Arc<dyn Cohorts>,
    /// Who gets what.
    pub feature_flags: Arc<dyn FeatureFlags>,
    /// Who is told of what, and what they were told.
    pub webhooks: Arc<dyn Webhooks>,
    /// The projects' own rules of grouping.
    pub grouping_rules: Arc<dyn GroupingRules>,
    /// What became of everything that arrived.
    pub intake_log: Arc<dyn IntakeLog>,
    /// How much this process has accepted and not yet digested; `None` where there is no spool.
    pub spool_depth: Option<Arc<dyn Fn() -> SpoolDepth + Send + Sync>>,
    /// Who did what.
    pub audit: Arc<dyn AuditLog>,
    /// How projects treat personal data.
    pub privacy: Arc<dyn Privacy>,
    /// What happens at this moment.
    pub bus: Arc<dyn LiveBus>,
    /// Tells live streams when the process stops.
    pub tasks: Tasks,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The address for DSNs and links, without a slash at its end, such as `https://belvedere.example`.
    pub public_url: String,
    /// Whether cookies are sent over HTTPS only; to be set whenever the public address is HTTPS.
    pub secure_cookies: bool,
}
