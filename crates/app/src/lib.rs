//! The composition root: configuration, telemetry, and the one page that shows who knows whom.
//!
//! [`App::init`] builds every service from a [`Config`]; [`App::start`] begins the background loops of a [`Role`];
//! `http` and `dashboard` take what they need from the result.

mod config;
mod first_steps;
mod maintenance;
mod memory;
mod places;
mod runtime;
mod self_report;
mod settled;
mod sweep;
mod telemetry;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use belvedere_accounts::{AccountsService, OwnersOfProjects};
use belvedere_alerting::{AlertingParts, AlertingService};
use belvedere_audit::AuditService;
use belvedere_business_intelligence::track::{TrackParts, TrackService};
use belvedere_business_intelligence::{BusinessParts, BusinessService};
use belvedere_error_client::ErrorGuard;
use belvedere_error_tracking::logs::LogsService;
use belvedere_error_tracking::monitors::MonitorsService;
use belvedere_error_tracking::quota::{QuotaBook, QuotaParts};
use belvedere_error_tracking::search::SearchService;
use belvedere_error_tracking::{ErrorTrackingService, SourceMapService, TriageService};
use belvedere_event_store::query::{QueryLimits, QueryService, RollupUse};
use belvedere_event_store::{Embedded, Limits, ProjectZones};
use belvedere_intake::{
    Intake, IntakeConfig, IntakeLogService, IntakeParts, IntakeRunner, IntakeStats, Shipper,
};
use belvedere_jobs::{JobQueue, RedisBus};
use belvedere_kernel::{
    Clock, InProcessBus, IntakeHandler, LiveBus, Places, ProjectId, SubjectData, SystemClock, Tasks,
};
use belvedere_learning_analytics::{LearningParts, LearningService};
use belvedere_privacy::{MasterKey, PrivacyService, VaultService};
use belvedere_storage::spool::{Spool, SpoolConfig};
use belvedere_storage::{DatabaseConfig, Dialect, StorageError};
use belvedere_xapi::{XapiParts, XapiService};

pub use belvedere_storage::Database;
pub use config::{
    AlertingSection, Config, ConfigError, DataSection, DatabaseSection, EventsSection, FeaturesSection,
    IntakeSection, LogFormat, LogSection, PrivacySection, RedisSection, SelfReportSection, ServerSection,
    SpoolSection, XapiSection,
};
pub use first_steps::Ready;
pub use runtime::{run, work};
pub use telemetry::{init as init_telemetry, until_interrupted};

/// How often it is looked whether events came that questions will read.
const WARM_EVERY: Duration = Duration::from_millis(100);

/// How often it is looked whether numbers that somebody looks at are too old soon.
const READY_EVERY: Duration = Duration::from_secs(1);

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Door, pages, digest, jobs and schedules: the embedded shape.
    All,
    /// Door and pages; accepted payloads are moved into the shared database for workers.
    Api,
    /// Digest and jobs.
    Worker,
    /// Schedules.
    Scheduler,
}

/// The time zones of projects, for the event store.
struct Zones(Arc<AccountsService>);

#[async_trait]
impl ProjectZones for Zones {
    async fn time_zone(&self, project: ProjectId) -> Result<Option<String>, StorageError> {
        self.0.time_zone(project).await
    }
}

/// Has ready what questions to the events that are asked again will read.
async fn keep_warm(queries: Arc<QueryService>, tasks: Tasks) {
    while tokio::time::timeout(WARM_EVERY, tasks.stopped()).await.is_err() {
        if let Err(error) = queries.keep_warm().await {
            tracing::debug!(%error, "events were not read ahead of questions");
        }
    }
}

/// Has ready what was looked at not long ago.
async fn keep_ready(business: Arc<BusinessService>, tasks: Tasks) {
    if let Err(error) = business.recall_looks().await {
        tracing::warn!(%error, "what was looked at before is not made ready");
    }
    loop {
        let made = tokio::select! {
            made = business.keep_ready() => made,
            () = tasks.stopped() => return,
        };
        if let Err(error) = made {
            tracing::debug!(%error, "numbers are not ready for whoever looks");
        }
        if tokio::time::timeout(READY_EVERY, tasks.stopped()).await.is_ok() {
            return;
        }
    }
}

fn query_limits(config: &Config) -> QueryLimits {
    let rollups = if config.events.rollups { RollupUse::WhenCheaper } else { RollupUse::Never };
    QueryLimits { rollups, ..QueryLimits::default() }
}

impl Role {
    fn has_door(self) -> bool {
        matches!(self, Self::All | Self::Api)
    }

    fn works(self) -> bool {
        matches!(self, Self::All | Self::Worker)
    }

    fn schedules(self) -> bool {
        matches!(self, Self::All | Self::Scheduler)
    }
}

/// Every service of a process, built once and shared.
pub struct App {
    /// What the operator decided.
    pub config: Config,
    /// What this process does.
    pub role: Role,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// State.
    pub db: Database,
    /// Background work, and the word to stop.
    pub tasks: Tasks,
    /// Live messages.
    pub bus: Arc<dyn LiveBus>,
    /// Who did what.
    pub audit: Arc<AuditService>,
    /// Who may do what.
    pub accounts: Arc<AccountsService>,
    /// Who a subject is.
    pub privacy: Arc<PrivacyService>,
    /// What happens, in columns.
    pub events: Embedded,
    /// Questions to it.
    pub queries: Arc<QueryService>,
    /// What slices keep about subjects: whoever exports or erases a subject asks all of them.
    pub subject_data: Vec<Arc<dyn SubjectData>>,
    /// What breaks.
    pub errors: Arc<ErrorTrackingService>,
    /// Which issues and events match.
    pub search: Arc<SearchService>,
    /// What leads from generated scripts to their sources.
    pub source_maps: Arc<SourceMapService>,
    /// What people do about it.
    pub triage: Arc<TriageService>,
    /// How much may come in.
    pub quotas: Arc<QuotaBook>,
    /// What programs wrote down.
    pub logs: Arc<LogsService>,
    /// Whether scheduled jobs run.
    pub monitors: Arc<MonitorsService>,
    /// What learners did, as xAPI tools tell it.
    pub xapi: Arc<XapiService>,
    /// What learners did, as the product tells it, and what follows from it.
    pub learning: Arc<LearningService>,
    /// What people do in the product and pay for it.
    pub business: Arc<BusinessService>,
    /// What people do in the product.
    pub track: Arc<TrackService>,
    /// Who is told of it.
    pub alerting: Arc<AlertingService>,
    /// Durable jobs.
    pub jobs: JobQueue,
    /// The door's side of intake; `None` in a process without a door.
    pub intake: Option<Arc<Intake>>,
    /// What intake counted and set aside.
    pub intake_log: Arc<IntakeLogService>,
    /// How intake is doing in this process.
    pub intake_stats: Arc<IntakeStats>,
    spool: Option<Spool>,
    parts: IntakeParts,
    /// `None` where nothing is reported.
    reports: Option<ErrorGuard>,
}

impl App {
    /// Opens the data directory, the database and the spool, and introduces the services to each other.
    ///
    /// The embedded database is migrated; a PostgreSQL database with pending migrations is refused.
    ///
    /// # Errors
    /// What could not be opened, and why.
    pub async fn init(config: Config, role: Role) -> Result<Self> {
        let data = &config.data.directory;
        create_private_directory(data)?;
        let master_key = master_key(&config)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let tasks = Tasks::default();
        let db = database_with_schema(&config).await?;

        let bus: Arc<dyn LiveBus> = match config.redis.url.as_str() {
            "" => Arc::new(InProcessBus::default()),
            url => Arc::new(RedisBus::connect(url, "belvedere", &*clock, &tasks).context("redis.url")?),
        };

        let vault = Arc::new(VaultService::new(db.clone(), Arc::clone(&clock), &master_key));
        vault
            .check_master_key()
            .await
            .context("the master key is not the one that this database was made with")?;
        let audit = AuditService::new(db.clone(), Arc::clone(&clock), vault.clone());
        let audit = Arc::new(audit.with_owners(Arc::new(OwnersOfProjects)));
        let accounts = Arc::new(AccountsService::new(
            db.clone(),
            Arc::clone(&clock),
            audit.clone(),
            vault.clone(),
            master_key.derive("accounts.lookup"),
        ));
        let privacy =
            Arc::new(PrivacyService::new(db.clone(), Arc::clone(&clock), &master_key, audit.clone()));
        let jobs = JobQueue::new(db.clone(), Arc::clone(&clock), Arc::clone(&bus));
        let alerting = Arc::new(AlertingService::new(AlertingParts {
            db: db.clone(),
            clock: Arc::clone(&clock),
            vault: vault.clone(),
            audit: audit.clone(),
            jobs: jobs.clone(),
            private_targets: config.alerting.private_targets,
        }));
        let of_events = &config.events.directory;
        let of_events =
            if of_events.as_os_str().is_empty() { data.join("events") } else { of_events.clone() };
        let rollups = config.events.rollup_limits().map_err(anyhow::Error::msg)?;
        let limits = Limits { rollups, ..Limits::default() };
        let events = Embedded::new(db.clone(), of_events, Arc::clone(&clock), limits)
            .with_zones(Arc::new(Zones(Arc::clone(&accounts))))
            .with_bus(Arc::clone(&bus));
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let queries = Arc::new(QueryService::new(
            Arc::new(events.clone()),
            match config.events.cache_bytes_max {
                0 => memory::default_cache_bytes(),
                bytes => bytes,
            },
            threads,
            query_limits(&config),
        ));
        let errors = Arc::new(
            ErrorTrackingService::new(
                db.clone(),
                Arc::clone(&clock),
                privacy.clone(),
                privacy.clone(),
                audit.clone(),
            )
            .with_bus(Arc::clone(&bus))
            .with_vault(vault.clone())
            .with_event_store(Arc::new(events.clone()))
            .with_notifier(alerting.clone()),
        );
        let search =
            Arc::new(SearchService::new(db.clone(), Arc::clone(&clock), privacy.clone(), audit.clone()));
        let logs = Arc::new(LogsService::new(db.clone(), Arc::clone(&clock), audit.clone()));
        let monitors = Arc::new(MonitorsService::new(
            db.clone(),
            Arc::clone(&clock),
            privacy.clone(),
            privacy.clone(),
            audit.clone(),
            Arc::clone(&bus),
        ));

        let places = match config.geo.database.as_path() {
            file if file.as_os_str().is_empty() => None,
            file => Some(Arc::new(places::PlacesFile::open(file)?) as Arc<dyn Places>),
        };
        let learning = Arc::new(LearningService::new(LearningParts {
            db: db.clone(),
            clock: Arc::clone(&clock),
            gate: privacy.clone(),
            scrubber: privacy.clone(),
            audit: audit.clone(),
            events: Arc::new(events.clone()),
            bus: Arc::clone(&bus),
            notifier: Some(alerting.clone()),
            zones: Some(Arc::new(Zones(Arc::clone(&accounts)))),
            places: places.clone(),
        }));

        let business = Arc::new(BusinessService::new(BusinessParts {
            db: db.clone(),
            clock: Arc::clone(&clock),
            register: privacy.clone(),
            audit: audit.clone(),
            queries: queries.clone(),
            events: Arc::new(events.clone()),
            scrubber: privacy.clone(),
            zones: Some(Arc::new(Zones(Arc::clone(&accounts)))),
            learning: config.features.learning.then(|| learning.clone() as _),
        }));
        let track = Arc::new(TrackService::new(TrackParts {
            db: db.clone(),
            clock: Arc::clone(&clock),
            gate: privacy.clone(),
            links: privacy.clone(),
            consents: privacy.clone(),
            register: privacy.clone(),
            revenue: Some(business.clone()),
            scrubber: privacy.clone(),
            events: Arc::new(events.clone()),
            places,
            bus: Arc::clone(&bus),
        }));

        let jobs = JobQueue::new(db.clone(), Arc::clone(&clock), Arc::clone(&bus));
        let xapi = Arc::new(XapiService::new(XapiParts {
            db: db.clone(),
            clock: Arc::clone(&clock),
            gate: privacy.clone(),
            register: privacy.clone(),
            vault: vault.clone(),
            audit: audit.clone(),
            events: Some(Arc::new(events.clone())),
            learners: config.features.learning.then(|| learning.clone() as _),
            jobs: Some(jobs.clone()),
            limits: config.xapi.limits(),
            home_page: config.public_url(),
            secret: master_key.derive("xapi"),
        }));
        // Static cohorts first: the event store still knows whose number it is.
        let mut subject_data: Vec<Arc<dyn SubjectData>> = vec![business.cohort_data(), queries.clone()];
        subject_data.extend(xapi.subject_data());
        subject_data.push(learning.subject_data());
        subject_data.push(business.subject_data());
        subject_data.push(alerting.subject_data());
        subject_data.push(privacy.consent_data());
        subject_data.push(privacy.link_data());

        let quotas = Arc::new(QuotaBook::new(QuotaParts { db: db.clone(), clock: Arc::clone(&clock) }));
        let stats = Arc::new(IntakeStats::default());
        let parts = IntakeParts {
            db: db.clone(),
            clock: Arc::clone(&clock),
            bus: Arc::clone(&bus),
            vault: vault.clone(),
            stats: Arc::clone(&stats),
        };
        let spool = if role.has_door() { Some(open_spool(&config)?) } else { None };
        let intake = spool.clone().map(|spool| Arc::new(Intake::new(spool, parts.clone())));
        let intake_log = Arc::new(IntakeLogService::new(parts.clone(), audit.clone()));
        let reports = self_report::start(&config, role, &accounts);
        let source_maps = Arc::new(errors.source_maps(jobs.clone()));
        let triage = Arc::new(errors.triage(accounts.clone(), jobs.clone()));
        Ok(Self {
            config,
            role,
            clock,
            db,
            tasks,
            bus,
            audit,
            accounts,
            privacy,
            events,
            subject_data,
            queries,
            errors,
            search,
            source_maps,
            triage,
            quotas,
            logs,
            monitors,
            xapi,
            learning,
            business,
            track,
            alerting,
            jobs,
            intake,
            intake_log,
            intake_stats: stats,
            spool,
            parts,
            reports,
        })
    }

    /// Begins the background loops of this process's role; they end after [`Tasks::stop`].
    pub fn start(&self) {
        let intake_config = IntakeConfig {
            batch_records_max: self.config.intake.batch_records_max,
            batch_bytes_max: self.config.intake.batch_bytes_max,
            tries_max: self.config.intake.tries_max,
            poll: Duration::from_secs(self.config.intake.poll_seconds),
            ..IntakeConfig::default()
        };
        if let Some(intake) = &self.intake {
            self.tasks.spawn("intake counts", Arc::clone(intake).run(self.tasks.clone()));
            self.tasks.spawn("quotas", Arc::clone(&self.quotas).run(self.tasks.clone()));
            self.tasks.spawn("xapi writer", Arc::clone(&self.xapi).run(self.tasks.clone()));
            self.tasks.spawn("questions", keep_warm(Arc::clone(&self.queries), self.tasks.clone()));
            if self.config.features.business_intelligence {
                self.tasks.spawn("numbers", keep_ready(Arc::clone(&self.business), self.tasks.clone()));
            }
        }
        match &self.spool {
            Some(spool) if self.role == Role::Api => {
                let shipper = Shipper::new(spool.clone(), self.parts.clone(), intake_config);
                self.tasks.spawn("shipper", shipper.run(self.tasks.clone()));
            }
            spool if self.role.works() => {
                let runner = IntakeRunner::new(self.parts.clone(), intake_config, self.intake_handlers());
                runner.start(spool.clone(), &self.tasks);
            }
            _ => {}
        }
        if self.role.works() {
            self.tasks.spawn("jobs", maintenance::runner(self).run(self.tasks.clone()));
            self.tasks.spawn("learners", Arc::clone(&self.learning).run(self.tasks.clone()));
            self.tasks.spawn("deliveries", maintenance::delivery_runner(self).run(self.tasks.clone()));
        }
        if self.role.schedules() {
            self.tasks.spawn("schedules", maintenance::scheduler(self).run(self.tasks.clone()));
        }
    }

    /// The readers of every kind of delivery, those of switched-off slices included: what was accepted before the
    /// switch is still digested.
    fn intake_handlers(&self) -> Vec<Arc<dyn IntakeHandler>> {
        let mut handlers = self.errors.intake_handlers();
        handlers.push(self.learning.intake_handler());
        handlers.push(self.track.intake_handler());
        handlers
    }

    /// Tells everything to stop, waits for the background loops, and closes spool and database. Call it after the
    /// door is closed.
    pub async fn stop(&self) {
        if let Some(reports) = &self.reports {
            self_report::flush(reports).await;
        }
        self.tasks.stop();
        self.tasks.ended().await;
        if let Some(intake) = &self.intake {
            intake.close().await;
        }
        if let Err(error) = self.db.close().await {
            tracing::warn!(%error, "the database did not close cleanly");
        }
        if let Some(reports) = &self.reports {
            // What is undelivered waits for the next start.
            let _ = reports.close(Duration::ZERO);
        }
    }
}

fn create_private_directory(path: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(path).with_context(|| format!("data.directory: cannot create {}", path.display()))
}

/// Makes an empty file that nobody else may read, unless there is one: the directory may be one that others may look
/// into. SQLite takes it for a new database and gives its log and index the same mode.
fn create_private_file(path: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("data.directory: cannot create {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn master_key(config: &Config) -> Result<MasterKey> {
    match config.privacy.master_key.as_str() {
        "" => Ok(MasterKey::load_or_create(&config.data.directory.join("master.key"))?),
        digits => digits.parse().context("privacy.master_key"),
    }
}

fn open_spool(config: &Config) -> Result<Spool> {
    let spool = SpoolConfig {
        bytes_max: config.spool.bytes_max,
        segment_bytes: config.spool.segment_bytes,
        linger: Duration::from_micros(config.spool.linger_microseconds),
        ..SpoolConfig::new(config.data.directory.join("spool"))
    };
    Spool::open(spool).context("cannot open the spool")
}

/// Opens the configured database without looking at its schema.
///
/// # Errors
/// When it cannot be reached.
pub async fn connect_database(config: &Config) -> Result<Database> {
    let file: PathBuf = config.data.directory.join("belvedere.db");
    let mut options = match config.database.url.as_str() {
        "" => {
            create_private_directory(&config.data.directory)?;
            create_private_file(&file)?;
            DatabaseConfig::sqlite_file(&file)
        }
        url => DatabaseConfig::new(url),
    };
    options.connections_max = config.database.connections_max;
    options.acquire_timeout = Duration::from_secs(config.database.acquire_timeout_seconds);
    Database::connect(&options).await.context("cannot open the database")
}

/// Opens the database and makes sure that it has the schema of this binary.
async fn database_with_schema(config: &Config) -> Result<Database> {
    let db = connect_database(config).await?;
    if db.dialect() == Dialect::Sqlite {
        db.migrate().await.context("cannot migrate the embedded database")?;
        return Ok(db);
    }
    let pending = db.list_pending_migrations().await.context("cannot read the database's migrations")?;
    if let Some(first) = pending.first() {
        bail!("the database lacks {} migrations, from {first} on; run `api --migrate up`", pending.len());
    }
    Ok(db)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn a_new_database_can_be_read_by_its_owner_alone() {
        let directory = std::env::temp_dir().join(format!("belvedere-app-private-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut config = Config::default();
        config.data.directory.clone_from(&directory);
        let db = database_with_schema(&config).await.unwrap();
        let files = std::fs::read_dir(&directory).unwrap().map(|file| file.unwrap());
        let modes =
            files.map(|file| (file.file_name(), file.metadata().unwrap().permissions().mode() & 0o777));
        let mut modes: Vec<_> = modes.map(|(name, mode)| (name.into_string().unwrap(), mode)).collect();
        modes.sort();
        let expected =
            ["belvedere.db", "belvedere.db-shm", "belvedere.db-wal"].map(|name| (name.to_owned(), 0o600));
        assert_eq!(modes, expected);
        db.close().await.unwrap();
        database_with_schema(&config).await.unwrap().close().await.unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
