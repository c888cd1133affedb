//! A house to knock at: the real accounts, audit log and spool, and an error tracking that remembers.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use belvedere_accounts::{
    Accounts, AccountsService, ApiTokens, ClientInfo, FirstSteps, IngestKeyInfo, IngestKeys, NewApiToken,
    NewIngestKey, NewOrganisation, NewProject, OwnersOfProjects, Principal, Project, Rights, Role, Scope,
};
use belvedere_alerting::{AlertingParts, AlertingService};
use belvedere_audit::{AuditRow, AuditService, EntryFilter};
use belvedere_business_intelligence::{BusinessParts, BusinessService};
use belvedere_error_tracking::grouping::Explanation;
use belvedere_error_tracking::logs::LogsService;
use belvedere_error_tracking::monitors::MonitorsService;
use belvedere_error_tracking::quota::{QuotaBook, QuotaParts};
use belvedere_error_tracking::search::{
    CountsCover, EventsFound, IssuesFound, Matching, SaveSearch, SavedSearch, SavedSearchId, Search,
    SearchEditor, SearchEvents, SearchIssues, SimilarIssue, TagDistribution, TagKey, TagValue, TaggedEvent,
};
use belvedere_error_tracking::{
    Activity, ActivityKind, ChangeComment, ChangeIssues, Discard, ErrorTracking, ErrorTrackingError,
    ErrorTrackingService, Event, EventSummary, HourCount, IssueDetail, IssueHash, IssueId, IssueStatus,
    IssueSummary, Level, LiftDiscard, ListIssues, MergeIssues, NewComment, Ownership, Recorded, SetOwnership,
    SourceMapService, StatusCounts, Substatus, Triage, Triaged, UnmergeIssue,
};
use belvedere_event_store::query::{Queries, QueryLimits, QueryService};
use belvedere_event_store::{
    Embedded, Event as StoredEvent, EventStore, EventStoreError, Limits as StoreLimits,
};
use belvedere_intake::{HourTally, Intake, IntakeLogService, IntakeParts, IntakeStats};
use belvedere_jobs::JobQueue;
use belvedere_kernel::{
    Actor, Admitted, AuditSink, ConsentGate, Delivery, InProcessBus, KeyOwner, ManualClock, ProjectId,
    RawPerson, Removal, ScrubRules, Scrubber, SubjectId, Tally, Tasks, Vault, VaultError,
};
use belvedere_learning_analytics::{LearningParts, LearningService};
use belvedere_privacy::{MasterKey, PrivacyService, VaultService};
use belvedere_storage::spool::{Spool, SpoolConfig};
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{Cursor, Id, Page, PageRequest, StorageError, Timestamp, Tx};
use belvedere_xapi::{Limits as XapiLimits, XapiParts, XapiService};
use http::{HeaderMap, Method, Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{Http, HttpFeatures, HttpLimits, HttpState, RouteInfo};

/// How many houses this process has had, each with a directory of its own.
static HOUSES: AtomicUsize = AtomicUsize::new(0);

/// 2026-11-23T12:04:05Z
pub(super) const START: Timestamp = Timestamp::from_micros(1_795_435_445_000_000);

pub(super) const EVENT_ID: &str = "3a60e31ab5474d65aaf86eedefe7d501";

/// Tests of secrecy are the privacy slice's.
struct OpenVault;

#[async_trait]
impl Vault for OpenVault {
    async fn seal_in(&self, _: &Tx, _: KeyOwner, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        Ok(plain.to_vec())
    }

    async fn open(&self, _: KeyOwner, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        Ok(sealed.to_vec())
    }
}

/// Lets everybody in as one person and has nothing to remove.
struct Quiet;

#[async_trait]
impl ConsentGate for Quiet {
    async fn admit(&self, _: &Tx, people: &[RawPerson]) -> Result<Vec<Admitted>, StorageError> {
        // `learner-7` is the subject 9; everybody else is the subject 1.
        let admitted = people.iter().map(|person| {
            let number = person.identity.id.as_deref().and_then(|id| id.strip_prefix("learner-"));
            let subject = number.and_then(|number| number.parse::<i64>().ok()).map_or(1, |number| number + 2);
            Admitted { subject: Some(SubjectId(subject)), analytics: true, detailed: true, location: true }
        });
        Ok(admitted.collect())
    }
}

#[async_trait]
impl Scrubber for Quiet {
    async fn load(&self, _: &[ProjectId]) -> Result<Arc<dyn ScrubRules>, StorageError> {
        Ok(Arc::new(Self))
    }
}

impl ScrubRules for Quiet {
    fn scrub(&self, _: ProjectId, _: &mut Value) -> Vec<Removal> {
        Vec::new()
    }
}

/// One issue with one event, in one project; changes and questions are remembered.
#[derive(Default)]
pub(super) struct OneIssue {
    project: Option<ProjectId>,
    pub(super) asked: Mutex<Vec<SearchIssues>>,
    pub(super) asked_events: Mutex<Vec<SearchEvents>>,
    pub(super) saved: Mutex<Vec<SaveSearch>>,
    pub(super) changes: Mutex<Vec<ChangeIssues>>,
}

pub(super) fn issue_id() -> IssueId {
    Id::from_bytes([7; 16])
}

fn issue() -> IssueSummary {
    IssueSummary {
        id: issue_id(),
        number: 1,
        title: "TypeError: x is undefined".to_owned(),
        culprit: "load in app.js".to_owned(),
        level: Level::Error,
        status: IssueStatus::Unresolved,
        substatus: Substatus::Ongoing,
        assigned_to: None,
        platform: "javascript".to_owned(),
        events: 1,
        subjects: 1,
        first_seen: START,
        last_seen: START,
        hourly: vec![0; 24],
    }
}

fn event() -> EventSummary {
    EventSummary {
        event_id: EVENT_ID.to_owned(),
        occurred_at: START,
        received_at: START,
        title: "TypeError: x is undefined".to_owned(),
        level: Level::Error,
        release: Some("web@1.0.0".to_owned()),
        environment: None,
        subject: Some(SubjectId(3)),
    }
}

#[async_trait]
impl ErrorTracking for OneIssue {
    async fn record_event(&self, _: ProjectId, _: Value) -> Result<Recorded, ErrorTrackingError> {
        Err(ErrorTrackingError::InvalidEvent("nothing is recorded here".to_owned()))
    }

    async fn list_issues(&self, _: ListIssues) -> Result<Page<IssueSummary>, ErrorTrackingError> {
        Ok(Page { items: Vec::new(), next: None })
    }

    async fn count_issues(&self, _: ProjectId, _: IssueStatus) -> Result<u64, ErrorTrackingError> {
        Ok(1)
    }

    async fn find_issue(
        &self,
        project: ProjectId,
        id: IssueId,
    ) -> Result<Option<IssueDetail>, ErrorTrackingError> {
        Ok((Some(project) == self.project && id == issue_id()).then(|| IssueDetail {
            summary: issue(),
            daily: vec![0; 14],
            first_release: None,
            last_release: None,
            grouping_version: 1,
            grouping_reason: "stack trace".to_owned(),
            grouping_values: Vec::new(),
            grouping_explanation: Explanation::default(),
            latest_event: Some(EVENT_ID.to_owned()),
            triaged: Triaged::default(),
        }))
    }

    async fn list_events(
        &self,
        project: ProjectId,
        id: IssueId,
        _: PageRequest,
    ) -> Result<Page<EventSummary>, ErrorTrackingError> {
        let items =
            if Some(project) == self.project && id == issue_id() { vec![event()] } else { Vec::new() };
        Ok(Page { items, next: None })
    }

    async fn find_event(&self, project: ProjectId, id: &str) -> Result<Option<Event>, ErrorTrackingError> {
        Ok((Some(project) == self.project && id == EVENT_ID).then(|| Event {
            summary: event(),
            issue: issue_id(),
            platform: "javascript".to_owned(),
            culprit: "load in app.js".to_owned(),
            sdk: None,
            time_was_clamped: false,
            handled: Some(false),
            removals: vec![Removal { path: "/request/headers/Cookie".to_owned(), rule: "cookie".to_owned() }],
            previous: None,
            next: None,
            payload: json!({ "event_id": EVENT_ID }),
        }))
    }

    async fn list_environments(&self, _: ProjectId) -> Result<Vec<String>, ErrorTrackingError> {
        Ok(Vec::new())
    }

    async fn count_events_by_hour(
        &self,
        _: ProjectId,
        _: Timestamp,
        _: Timestamp,
    ) -> Result<Vec<HourCount>, ErrorTrackingError> {
        Ok(Vec::new())
    }
}

fn value() -> TagValue {
    TagValue { value: "pro".to_owned(), events: 1, first_seen: START, last_seen: START }
}

#[async_trait]
impl Search for OneIssue {
    async fn search_issues(&self, search: SearchIssues) -> Result<IssuesFound, ErrorTrackingError> {
        let items = if Some(search.project) == self.project { vec![issue()] } else { Vec::new() };
        self.asked.lock().unwrap().push(search);
        Ok(IssuesFound {
            page: Page { items, next: Some(Cursor::of(&[&"next"])) },
            matching: Matching { count: 1, is_exact: true },
            counts: CountsCover::Tag { key: "environment".to_owned(), value: "prod".to_owned() },
        })
    }

    async fn search_events(&self, search: SearchEvents) -> Result<EventsFound, ErrorTrackingError> {
        let is_ours = Some(search.project) == self.project && search.issue == issue_id();
        self.asked_events.lock().unwrap().push(search);
        let tags = vec![("plan".to_owned(), "pro".to_owned())];
        let event = TaggedEvent { summary: event(), trace: None, tags };
        let items = if is_ours { vec![event] } else { Vec::new() };
        Ok(EventsFound { page: Page { items, next: None }, looked_through: 1 })
    }

    async fn list_tag_keys(&self, _: ProjectId) -> Result<Vec<TagKey>, ErrorTrackingError> {
        Ok(vec![TagKey { key: "plan".to_owned(), events: 1, values: 1 }])
    }

    async fn list_tag_values(
        &self,
        _: ProjectId,
        _: &str,
        prefix: &str,
    ) -> Result<Vec<TagValue>, ErrorTrackingError> {
        Ok(if "pro".starts_with(prefix) { vec![value()] } else { Vec::new() })
    }

    async fn summarise_tags(
        &self,
        project: ProjectId,
        issue: IssueId,
    ) -> Result<Vec<TagDistribution>, ErrorTrackingError> {
        Ok(self.find_tag(project, issue, "plan").await?.into_iter().collect())
    }

    async fn find_tag(
        &self,
        project: ProjectId,
        issue: IssueId,
        key: &str,
    ) -> Result<Option<TagDistribution>, ErrorTrackingError> {
        let is_ours = Some(project) == self.project && issue == issue_id() && key == "plan";
        let tag = TagDistribution {
            key: key.to_owned(),
            events: 2,
            values: vec![value()],
            values_known: 1,
            others: 1,
        };
        Ok(is_ours.then_some(tag))
    }

    async fn list_similar(
        &self,
        project: ProjectId,
        issue: IssueId,
    ) -> Result<Vec<SimilarIssue>, ErrorTrackingError> {
        let is_ours = Some(project) == self.project && issue == issue_id();
        let similar = SimilarIssue {
            id: Id::from_bytes([8; 16]),
            number: 2,
            title: "TypeError: y is undefined".to_owned(),
            events: 1,
            last_seen: START,
            percent: 75,
            reason: "the same type TypeError".to_owned(),
        };
        Ok(if is_ours { vec![similar] } else { Vec::new() })
    }

    async fn list_saved_searches(
        &self,
        _: ProjectId,
        _: Option<Id<belvedere_kernel::User>>,
    ) -> Result<Vec<SavedSearch>, ErrorTrackingError> {
        Ok(Vec::new())
    }

    async fn save_search(&self, search: SaveSearch) -> Result<Option<SavedSearch>, ErrorTrackingError> {
        let id = search.id.unwrap_or(Id::from_bytes([9; 16]));
        let is_ours = Some(search.editor.project) == self.project && id == Id::from_bytes([9; 16]);
        let saved = SavedSearch {
            id,
            owner: search.owner,
            name: search.name.clone(),
            query: search.query.clone(),
            sort: search.sort,
            is_default: search.is_default,
            created_at: START,
        };
        self.saved.lock().unwrap().push(search);
        Ok(is_ours.then_some(saved))
    }

    async fn delete_search(
        &self,
        editor: SearchEditor,
        id: SavedSearchId,
    ) -> Result<bool, ErrorTrackingError> {
        Ok(Some(editor.project) == self.project && id == Id::from_bytes([9; 16]))
    }
}

#[async_trait]
impl Triage for OneIssue {
    async fn change_issues(&self, change: ChangeIssues) -> Result<u64, ErrorTrackingError> {
        let is_known = Some(change.act.project) == self.project && change.issues.contains(&issue_id());
        self.changes.lock().unwrap().push(change);
        Ok(u64::from(is_known))
    }

    async fn merge_issues(&self, merge: MergeIssues) -> Result<IssueId, ErrorTrackingError> {
        self.require(merge.act.project, &merge.issues)
    }

    async fn unmerge_issue(&self, unmerge: UnmergeIssue) -> Result<IssueId, ErrorTrackingError> {
        self.require(unmerge.act.project, &[unmerge.issue])
    }

    async fn list_hashes(&self, _: ProjectId, _: IssueId) -> Result<Vec<IssueHash>, ErrorTrackingError> {
        Ok(Vec::new())
    }

    async fn list_activity(
        &self,
        project: ProjectId,
        issue: IssueId,
        _: PageRequest,
    ) -> Result<Page<Activity>, ErrorTrackingError> {
        self.require(project, &[issue])?;
        Ok(Page { items: vec![activity("first words")], next: None })
    }

    async fn comment(&self, new: NewComment) -> Result<Activity, ErrorTrackingError> {
        self.require(new.act.project, &[new.issue])?;
        Ok(activity(&new.text))
    }

    async fn change_comment(&self, change: ChangeComment) -> Result<(), ErrorTrackingError> {
        self.require(change.act.project, &[change.issue]).map(drop)
    }

    async fn count_by_status(&self, _: ProjectId) -> Result<StatusCounts, ErrorTrackingError> {
        Ok(StatusCounts { unresolved: 1, ..StatusCounts::default() })
    }

    async fn find_ownership(&self, _: ProjectId) -> Result<Ownership, ErrorTrackingError> {
        Ok(Ownership::default())
    }

    async fn set_ownership(&self, _: SetOwnership) -> Result<Ownership, ErrorTrackingError> {
        Ok(Ownership::default())
    }

    async fn list_discards(&self, _: ProjectId, _: PageRequest) -> Result<Page<Discard>, ErrorTrackingError> {
        Ok(Page { items: Vec::new(), next: None })
    }

    async fn lift_discard(&self, _: LiftDiscard) -> Result<(), ErrorTrackingError> {
        Err(ErrorTrackingError::NotFound("discard"))
    }
}

impl OneIssue {
    /// The issue, if it is one of `issues` in its project and all of them are.
    fn require(&self, project: ProjectId, issues: &[IssueId]) -> Result<IssueId, ErrorTrackingError> {
        let is_here = Some(project) == self.project && issues.iter().all(|issue| *issue == issue_id());
        if is_here { Ok(issue_id()) } else { Err(ErrorTrackingError::NotFound("issue")) }
    }
}

fn activity(text: &str) -> Activity {
    Activity {
        id: Some(Id::from_bytes([8; 16])),
        at: START,
        kind: ActivityKind::Comment,
        actor_kind: "user".to_owned(),
        actor_id: None,
        detail: Value::Null,
        comment: Some(text.to_owned()),
        edited_at: None,
    }
}

/// Knows nobody and scrubs nothing.
struct Nobody;

#[async_trait]
impl belvedere_kernel::ConsentGate for Nobody {
    async fn admit(
        &self,
        _: &Tx,
        people: &[belvedere_kernel::RawPerson],
    ) -> Result<Vec<belvedere_kernel::Admitted>, StorageError> {
        let nobody =
            belvedere_kernel::Admitted { subject: None, analytics: false, detailed: false, location: false };
        Ok(vec![nobody; people.len()])
    }
}

#[async_trait]
impl belvedere_kernel::Scrubber for Nobody {
    async fn load(&self, _: &[ProjectId]) -> Result<Arc<dyn belvedere_kernel::ScrubRules>, StorageError> {
        Ok(Arc::new(Self))
    }
}

impl belvedere_kernel::ScrubRules for Nobody {
    fn scrub(&self, _: ProjectId, _: &mut Value) -> Vec<belvedere_kernel::Removal> {
        Vec::new()
    }
}

pub(super) struct House {
    // Dropped before the directory.
    pub(super) spool: Spool,
    _directory: Directory,
    pub(super) db: TestDatabase,
    /// What digests deliveries and knows their attachments, feedback and limits.
    slice: Arc<ErrorTrackingService>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) accounts: Arc<AccountsService>,
    pub(super) errors: Arc<OneIssue>,
    pub(super) releases: Arc<ErrorTrackingService>,
    pub(super) source_maps: Arc<SourceMapService>,
    pub(super) jobs: JobQueue,
    store: Embedded,
    pub(super) learning: Arc<LearningService>,
    pub(super) state: HttpState,
    pub(super) first: FirstSteps,
}

struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl House {
    pub(super) async fn new() -> Self {
        Self::with(HttpLimits::default(), 64 << 20).await
    }

    pub(super) async fn with(limits: HttpLimits, spool_bytes_max: u64) -> Self {
        let db = TestDatabase::sqlite().await;
        let clock = Arc::new(ManualClock::new(START));
        let vault: Arc<dyn Vault> = Arc::new(OpenVault);
        let audit = AuditService::new(db.database(), clock.clone(), Arc::clone(&vault));
        let audit = Arc::new(audit.with_owners(Arc::new(OwnersOfProjects)));
        let sink: Arc<dyn AuditSink> = audit.clone();
        let accounts = AccountsService::new(
            db.database(),
            clock.clone(),
            Arc::clone(&sink),
            Arc::clone(&vault),
            [5; 32],
        );
        let accounts = Arc::new(accounts);
        let first = accounts.first_steps().await.unwrap();
        let name =
            format!("belvedere-http-test-{}-{}", std::process::id(), HOUSES.fetch_add(1, Ordering::Relaxed));
        let directory = Directory(std::env::temp_dir().join(name));
        let config = SpoolConfig {
            bytes_max: spool_bytes_max,
            linger: Duration::ZERO,
            ..SpoolConfig::new(directory.0.clone())
        };
        let spool = Spool::open(config).unwrap();
        let stats = Arc::new(IntakeStats::default());
        let parts = IntakeParts {
            db: db.database(),
            clock: clock.clone(),
            bus: Arc::new(InProcessBus::default()),
            vault,
            stats: Arc::clone(&stats),
        };
        let errors = Arc::new(OneIssue { project: Some(first.project.id), ..OneIssue::default() });
        let master_key: MasterKey = "5a".repeat(32).parse().unwrap();
        let privacy = Arc::new(PrivacyService::new(db.database(), clock.clone(), &master_key, audit.clone()));
        let releases = Arc::new(ErrorTrackingService::new(
            db.database(),
            clock.clone(),
            privacy.clone(),
            privacy.clone(),
            audit.clone(),
        ));
        let register = privacy;
        let jobs = JobQueue::new(db.database(), clock.clone(), Arc::clone(&parts.bus));
        let source_maps = Arc::new(releases.source_maps(jobs.clone()));
        let xapi = Arc::new(XapiService::new(XapiParts {
            db: db.database(),
            clock: clock.clone(),
            gate: register.clone(),
            register: register.clone(),
            vault: Arc::new(VaultService::new(db.database(), clock.clone(), &master_key)),
            audit: Arc::clone(&sink),
            events: None,
            learners: None,
            jobs: None,
            limits: XapiLimits::default(),
            home_page: "https://belvedere.example".to_owned(),
            secret: [7; 32],
        }));
        let alerting = Arc::new(AlertingService::new(AlertingParts {
            db: db.database(),
            clock: clock.clone(),
            vault: Arc::clone(&parts.vault),
            audit: Arc::clone(&sink),
            jobs: jobs.clone(),
            private_targets: false,
        }));
        let tasks = Tasks::default();
        tasks.spawn("xapi writer", xapi.clone().run(tasks.clone()));
        let quiet = Arc::new(Quiet);
        let slice =
            ErrorTrackingService::new(db.database(), clock.clone(), quiet.clone(), quiet, Arc::clone(&sink));
        let slice = Arc::new(slice.with_vault(Arc::clone(&parts.vault)));
        let store =
            Embedded::new(db.database(), directory.0.join("events"), clock.clone(), StoreLimits::default());
        let learning = Arc::new(LearningService::new(LearningParts {
            db: db.database(),
            clock: clock.clone(),
            gate: Arc::new(Quiet),
            scrubber: Arc::new(Quiet),
            audit: Arc::clone(&sink),
            events: Arc::new(store.clone()),
            bus: Arc::new(InProcessBus::default()),
            notifier: None,
            zones: None,
            places: None,
        }));
        let queries = QueryService::new(Arc::new(store.clone()), 1 << 20, 1, QueryLimits::default());
        let queries: Arc<dyn Queries> = Arc::new(queries);
        let business = Arc::new(BusinessService::new(BusinessParts {
            db: db.database(),
            clock: clock.clone(),
            register,
            audit: Arc::clone(&sink),
            queries: Arc::clone(&queries),
            events: Arc::new(store.clone()),
            scrubber: Arc::new(Nobody),
            zones: None,
            learning: Some(learning.clone()),
        }));
        let quotas = QuotaBook::new(QuotaParts { db: db.database(), clock: clock.clone() });
        let state = HttpState {
            accounts: accounts.clone(),
            sign_in: accounts.clone(),
            ingest_keys: accounts.clone(),
            api_tokens: accounts.clone(),
            xapi_keys: accounts.clone(),
            xapi,
            xapi_limits: XapiLimits::default(),
            learning: Arc::clone(&learning) as _,
            learning_settings: learning.clone(),
            business: business.clone(),
            revenue_records: business.clone(),
            insights: business.clone(),
            boards: business.clone(),
            cohorts: business.clone(),
            feature_flags: business,
            webhooks: alerting,
            errors: errors.clone(),
            releases: releases.clone(),
            search: errors.clone(),
            source_maps: source_maps.clone(),
            triage: errors.clone(),
            attachments: slice.clone(),
            feedback: slice.clone(),
            project_limits: slice.clone(),
            quotas: Arc::new(quotas),
            logs: Arc::new(LogsService::new(db.database(), clock.clone(), Arc::clone(&sink))),
            monitors: Arc::new(MonitorsService::new(
                db.database(),
                clock.clone(),
                Arc::new(Nobody),
                Arc::new(Nobody),
                Arc::clone(&sink),
                Arc::new(InProcessBus::default()),
            )),
            grouping_rules: releases.clone(),
            queries,
            intake: Arc::new(Intake::new(spool.clone(), parts.clone())),
            intake_log: Arc::new(IntakeLogService::new(parts, sink)),
            intake_stats: stats,
            audit,
            clock: clock.clone(),
            db: db.database(),
            limits,
            features: HttpFeatures::default(),
            public_url: "https://belvedere.example".to_owned(),
            metrics_token: None,
        };
        Self {
            spool,
            _directory: directory,
            db,
            slice,
            clock,
            accounts,
            errors,
            releases,
            source_maps,
            jobs,
            store,
            learning,
            state,
            first,
        }
    }

    pub(super) fn router(&self) -> Router {
        crate::router(self.state.clone())
    }

    pub(super) fn routes(&self) -> Vec<RouteInfo> {
        Http::new(self.state.clone()).routes().to_vec()
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        send(&self.router(), request).await
    }

    pub(super) fn key(&self) -> &str {
        &self.first.key.public_key
    }

    /// The first project's number.
    pub(super) fn project(&self) -> ProjectId {
        self.first.project.id
    }

    pub(super) fn owner(&self) -> Principal {
        Principal {
            actor: Actor::User(self.first.owner),
            organisation: self.first.organisation.id,
            name: "owner".to_owned(),
            rights: Rights::Role(Role::Owner),
            csrf: None,
        }
    }

    pub(super) async fn token(&self, scopes: &[Scope]) -> String {
        self.token_of(&self.owner(), scopes).await
    }

    pub(super) async fn token_of(&self, principal: &Principal, scopes: &[Scope]) -> String {
        let new = NewApiToken { label: "test".to_owned(), scopes: scopes.to_vec(), expires_at: None };
        self.accounts.create_api_token(principal, new, &ClientInfo::default()).await.unwrap().1.0
    }

    pub(super) async fn second_project(&self) -> Project {
        self.project_of(&self.owner()).await
    }

    pub(super) async fn project_of(&self, principal: &Principal) -> Project {
        let new =
            NewProject { name: "Second".to_owned(), slug: None, time_zone: "UTC".to_owned(), is_demo: false };
        self.accounts.create_project(principal, new, &ClientInfo::default()).await.unwrap()
    }

    /// Another organisation's owner.
    pub(super) async fn stranger(&self) -> Principal {
        let new = NewOrganisation {
            name: "Strangers".to_owned(),
            slug: None,
            owner_name: "Stranger".to_owned(),
            owner_email: "stranger@example.org".to_owned(),
        };
        let (organisation, owner) = self.accounts.create_organisation(new).await.unwrap();
        Principal { actor: Actor::User(owner), organisation: organisation.id, ..self.owner() }
    }

    pub(super) async fn limited_key(&self, per_minute: Option<u32>, origins: &[&str]) -> IngestKeyInfo {
        let new = NewIngestKey {
            project: self.project(),
            label: "limited".to_owned(),
            rate_limit_per_minute: per_minute,
            allowed_origins: origins.iter().map(|origin| (*origin).to_owned()).collect(),
        };
        self.accounts.create_ingest_key(&self.owner(), new, &ClientInfo::default()).await.unwrap()
    }

    /// What was accepted so far.
    pub(super) async fn deliveries(&self) -> Vec<Delivery> {
        let records = self.spool.try_take(0, 1_000, 64 << 20).await.unwrap();
        records.into_iter().map(|record| Delivery::decode(record.payload).unwrap()).collect()
    }

    /// Digests what was accepted so far. (What was digested before is a duplicate.)
    pub(super) async fn digest(&self) -> Vec<Tally> {
        let mut tallies = Vec::new();
        for handler in self.slice.intake_handlers() {
            let deliveries = self.deliveries().await;
            let own = deliveries.into_iter().filter(|delivery| delivery.kind == handler.kind()).collect();
            let prepared = handler.prepare(own).await.unwrap();
            assert_eq!(prepared.rejected, []);
            tallies.extend(self.db.write(async |tx| prepared.batch.store(tx).await).await.unwrap().tallies);
        }
        tallies
    }

    /// Puts events into a project's part of the event store.
    pub(super) async fn append(&self, project: ProjectId, events: &[StoredEvent]) {
        let appended: Result<_, EventStoreError> =
            self.db.write(async |tx| self.store.append_in(tx, project, events).await).await;
        assert_eq!(appended.unwrap().stored, events.len() as u64);
    }

    /// What the door counted so far, as (item, reason, quantity).
    pub(super) async fn noted(&self) -> Vec<(String, String, u64)> {
        self.state.intake.flush().await.unwrap();
        let (from, to) = (START.minus(Duration::from_secs(86_400)), START.plus(Duration::from_secs(86_400)));
        let tallies = self.state.intake_log.list_tallies(self.project(), from, to).await.unwrap();
        tallies.into_iter().map(|HourTally { item, reason, quantity, .. }| (item, reason, quantity)).collect()
    }

    pub(super) async fn audit_entries(&self, action: &str) -> Vec<AuditRow> {
        let filter = EntryFilter { action: Some(action.to_owned()), ..EntryFilter::default() };
        let page = PageRequest::first(100);
        self.state.audit.list_entries(self.first.organisation.id, filter, page).await.unwrap().items
    }
}

pub(super) async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 64 << 20).await.unwrap();
    Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(body.to_vec()).unwrap() }
}

/// A request with `headers`.
pub(super) fn request(
    method: Method,
    uri: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).unwrap()
}

/// A request with a bearer token.
pub(super) fn with_token(method: Method, uri: &str, token: &str, body: impl Into<Body>) -> Request<Body> {
    request(method, uri, &[("authorization", &format!("Bearer {token}"))], body)
}
