//! A project's worth of made-up data behind the real traits, for the tests of the pages and for their preview.

#[path = "fake_triage.rs"]
mod triage;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use belvedere_accounts::{
    AcceptInvite, Accounts, AccountsError, ApiTokenInfo, ApiTokens, ClientInfo, FirstSteps, IngestKeyChange,
    IngestKeyInfo, IngestKeys, InviteInfo, InviteLink, Member, Members, NewApiToken, NewIngestKey, NewInvite,
    NewOrganisation, NewProject, NewSession, NewXapiKey, OrganisationChange, OrganisationInfo,
    PasswordChange, Permission, Principal, ProfileChange, Project, ProjectChange, Rights, Role, RoleChange,
    Scope, Secret, SignIn, XapiKeyInfo, XapiKeys, XapiScope,
};
use belvedere_audit::{AuditError, AuditLog, AuditRow, EntryFilter};
use belvedere_error_tracking::attachment::{
    AttachmentContent, AttachmentFormat, AttachmentId, AttachmentInfo, Attachments, DeleteAttachment,
};
use belvedere_error_tracking::feedback::{
    ChangeFeedback, Contact, Feedback, FeedbackDetail, FeedbackId, FeedbackStatus, FeedbackSummary,
    ListFeedback, RevealContact,
};
use belvedere_error_tracking::grouping::{Explanation, Variant};
use belvedere_error_tracking::grouping_rules::{
    ChangeRules, GroupingRules, InvalidRules, Preview, PreviewGroup, PreviewPart, StoredRules,
};
use belvedere_error_tracking::limits::{
    Category, ChangeLimits, Limits, ProjectLimits, StorageDay, StorageSum, StoredKind,
};
use belvedere_error_tracking::search::{
    CountsCover, EventsFound, IssuesFound, Matching, SaveSearch, SavedSearch, SavedSearchId, Search,
    SearchEditor, SearchEvents, SearchIssues, SearchOwner, SimilarIssue, TagDistribution, TagKey, TagValue,
    TaggedEvent,
};
use belvedere_error_tracking::{
    ErrorTracking, ErrorTrackingError, Event, EventSummary, HourCount, IssueDetail, IssueId, IssueStatus,
    IssueSummary, Level, ListIssues, Recorded, Substatus, Triaged,
};
use belvedere_intake::{HourTally, IntakeError, IntakeLog, Outcome, Requester, SetAside};
use belvedere_kernel::{
    Actor, ApiToken, Clock, Identity, IngestKey, Organisation, ProjectId, Removal, SubjectId, User, XapiKey,
};
use belvedere_privacy::{ChangeSettings, Privacy, PrivacyError, PrivacySettings, RevealSubject};
use belvedere_storage::{Cursor, Id, Page, PageRequest, Timestamp};
use serde_json::{Value, json};

#[path = "happened.rs"]
mod happened;
#[path = "watched.rs"]
mod watched;

/// The secret of the session that is signed in.
pub(crate) const SESSION: &str = "session-of-ada";
/// That session's anti-forgery value.
pub(crate) const CSRF: &str = "4f1c9a";
/// The one project with data; the next number is an empty one, any other is another organisation's.
pub(crate) const PROJECT: i64 = 7;

/// All the services at once.
pub(crate) struct Fake {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) role: Role,
    pub(crate) issues: Mutex<Vec<IssueDetail>>,
    pub(crate) payload: Value,
    /// The comment on every issue.
    pub(crate) comment: Mutex<String>,
    /// Added to every text of a release.
    pub(crate) suffix: String,
    /// What was asked for, in words.
    pub(crate) calls: Mutex<Vec<String>>,
    /// Added to every text about grouping rules.
    pub(crate) grouping_words: String,
}

impl Fake {
    pub(crate) fn new(clock: Arc<dyn Clock>, role: Role) -> Self {
        let issues = Mutex::new(issues(clock.now()));
        Self {
            clock,
            role,
            issues,
            payload: payload(),
            suffix: String::new(),
            comment: Mutex::new("Seen on the demo account too.".to_owned()),
            calls: Mutex::new(Vec::new()),
            grouping_words: String::new(),
        }
    }

    fn note(&self, call: impl Into<String>) {
        self.calls.lock().unwrap().push(call.into());
    }

    fn ago(&self, seconds: u64) -> Timestamp {
        self.clock.now().minus(Duration::from_secs(seconds))
    }

    fn project(&self, number: i64) -> Project {
        let (slug, name) = if number == PROJECT { ("web-shop", "Web shop") } else { ("empty", "Mobile app") };
        Project {
            id: ProjectId(number),
            organisation: organisation().id,
            slug: slug.to_owned(),
            name: name.to_owned(),
            time_zone: "Europe/Berlin".to_owned(),
            is_demo: false,
            created_at: self.ago(86_400 * 40),
        }
    }
}

fn organisation() -> OrganisationInfo {
    OrganisationInfo { id: Id::from_bytes([1; 16]), slug: "acme".to_owned(), name: "Acme".to_owned() }
}

/// The user who is signed in.
pub(crate) fn ada() -> Id<User> {
    Id::from_bytes([2; 16])
}

pub(crate) fn issue_id(number: u8) -> IssueId {
    Id::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, number])
}

/// The id of the newest event of the first issue.
pub(crate) const EVENT: &str = "9b1f0a7c55e24d6fb0f4a1d2c3e4f501";

fn issues(now: Timestamp) -> Vec<IssueDetail> {
    let titles = [
        (
            "TypeError: cannot read properties of undefined (reading 'trim')",
            "runTests in src/lesson/runner.ts",
            Level::Error,
            "javascript",
        ),
        (
            "shop.errors.PaymentDeclined: card was declined by the issuer after three attempts",
            "charge in shop/payment/gateway.py",
            Level::Fatal,
            "python",
        ),
        (
            "could not reach the recommendation service, showing the default list instead",
            "recommend in shop/home.py",
            Level::Warning,
            "python",
        ),
        (
            "thread 'main' panicked at called `Option::unwrap()` on a `None` value",
            "importer::catalogue::read_row in src/catalogue.rs",
            Level::Error,
            "native",
        ),
        ("Cache refreshed while stale", "refresh in shop/cache.py", Level::Info, "python"),
        ("ReferenceError: gtag is not defined", "onConsent in src/consent.ts", Level::Error, "javascript"),
    ];
    let status = [
        IssueStatus::Unresolved,
        IssueStatus::Unresolved,
        IssueStatus::Unresolved,
        IssueStatus::Unresolved,
        IssueStatus::Ignored,
        IssueStatus::Resolved,
    ];
    titles
        .iter()
        .enumerate()
        .map(|(index, (title, culprit, level, platform))| {
            let hourly: Vec<u64> =
                (0..24).map(|hour| ((hour * 7 + index * 5) % 11 * (hour / (4 + index * 3))) as u64).collect();
            let daily: Vec<u64> = (0..14).map(|day| ((day * day + index * 31) % 190) as u64).collect();
            IssueDetail {
                summary: IssueSummary {
                    id: issue_id(index as u8 + 1),
                    number: 1_482 - 13 * index as i64,
                    title: (*title).to_owned(),
                    culprit: (*culprit).to_owned(),
                    level: *level,
                    status: status[index],
                    substatus: if index == 1 { Substatus::Regressed } else { Substatus::Ongoing },
                    assigned_to: (index == 0).then(ada),
                    platform: (*platform).to_owned(),
                    events: 12_904 / (index as u64 * index as u64 * 3 + 1),
                    subjects: 1_904 / (index as u64 * 7 + 1),
                    first_seen: now.minus(Duration::from_secs(3_000 + 86_400 * index as u64 * 3)),
                    last_seen: now.minus(Duration::from_secs(14 + 331 * index as u64 * index as u64)),
                    hourly,
                },
                daily,
                first_release: Some("shop@4.12.0".to_owned()),
                last_release: Some("shop@4.12.3".to_owned()),
                grouping_version: 1,
                grouping_reason: "exception type and the functions of the app's own frames".to_owned(),
                grouping_values: vec![
                    "TypeError".to_owned(),
                    "src/lesson/runner.ts runTests".to_owned(),
                    "src/lesson/editor.tsx onSubmit".to_owned(),
                ],
                grouping_explanation: Explanation {
                    chosen_by: "built-in rule: exceptions and their stack traces".to_owned(),
                    variant: Some(Variant::Application),
                    left_out: vec!["12 system frames".to_owned(), "1 frame of a recursion".to_owned()],
                    frame_rules: vec!["path:**/vendor/** -> -app".to_owned()],
                },
                latest_event: Some(EVENT.to_owned()),
                triaged: Triaged {
                    regressed_in: Some("shop@4.12.3".to_owned()),
                    release_before_regression: Some("shop@4.12.2".to_owned()),
                    suggested_owner: Some(ada()),
                    ..Triaged::default()
                },
            }
        })
        .collect()
}

/// A page's worth of event, with removals.
pub(crate) fn payload() -> Value {
    json!({
        "message": "run failed for lesson-4",
        "exception": {"values": [
            {"type": "RangeError", "value": "result out of range", "mechanism": {"type": "chained", "handled": true},
             "stacktrace": {"frames": [{"function": "clamp", "filename": "src/math.ts", "lineno": 8, "colno": 3, "in_app": true,
                "pre_context": ["export function clamp(x: number) {"], "context_line": "  if (x > MAX) throw new RangeError(\"result out of range\");", "post_context": ["  return x;", "}"]}]}},
            {"type": "TypeError", "value": "cannot read properties of undefined (reading 'trim')", "mechanism": {"type": "onunhandledrejection", "handled": false},
             "stacktrace": {"frames": [
                {"function": "submitExercise", "filename": "https://app.example/src/api/exercise.ts", "lineno": 34, "colno": 5, "in_app": true, "context_line": "    await submit(exercise);", "pre_context": ["  try {"], "post_context": ["  } finally {"]},
                {"function": "invokeGuardedCallback", "filename": "https://app.example/node_modules/react-dom/index.js", "lineno": 3945, "colno": 16},
                {"function": "batchedUpdates", "filename": "https://app.example/node_modules/react-dom/index.js", "lineno": 2910, "colno": 9},
                {"function": "dispatch", "filename": "https://app.example/node_modules/@app/store/index.js", "lineno": 88, "colno": 2},
                {"function": "onSubmit", "filename": "https://app.example/src/lesson/editor.tsx", "lineno": 88, "colno": 9, "in_app": true, "context_line": "    runTests(suite, sandbox);", "pre_context": ["  const suite = useSuite();", ""], "post_context": ["  }"]},
                {"function": "runTests", "filename": "https://app.example/src/lesson/runner.ts", "abs_path": "https://app.example/src/lesson/runner.ts?v=8841", "lineno": 121, "colno": 31, "in_app": true,
                 "pre_context": ["  const cases = suite.cases.filter(isVisible);", "  for (const c of cases) {", "    const out = await sandbox.run(c.input);"],
                 "context_line": "    report.push(out.result.trim() === c.expected);", "post_context": ["  }", "  return report;", "}"],
                 "vars": {"c": {"input": "let x = 5;", "expected": "5"}, "token": "[Filtered]", "attempt": 3}}
             ]}}
        ]},
        "breadcrumbs": {"values": [
            {"timestamp": "2026-11-23T11:59:01Z", "category": "navigation", "data": {"from": "/rust-101/lesson-3", "to": "/rust-101/lesson-4"}},
            {"timestamp": "2026-11-23T11:59:22Z", "category": "ui.click", "message": "button.hint > span"},
            {"timestamp": "2026-11-23T11:59:40Z", "type": "http", "category": "fetch", "level": "warning", "data": {"method": "POST", "url": "/api/exercise/17/run", "status_code": 504}},
            {"timestamp": "2026-11-23T11:59:45Z", "category": "console", "level": "error", "message": "sandbox answered without a result"}
        ]},
        "tags": {"browser": "Chrome 142", "locale": "de-DE", "lesson": "lesson-4", "trace.link": "https://traces.example/t/4bf92f"},
        "contexts": {
            "trace": {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7", "op": "ui.action"},
            "browser": {"type": "browser", "name": "Chrome", "version": "142.0.7444.60"},
            "os": {"type": "os", "name": "Windows", "version": "11"},
            "device": {"family": "Desktop", "memory_size": 17_179_869_184_u64, "online": true}
        },
        "request": {"method": "GET", "url": "https://app.example/rust-101/lesson-4?hint=1", "headers": [["User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"], ["Cookie", "[Filtered]"]], "query_string": "hint=1"},
        "extra": {"editor": {"lines": 42, "dirty": true}, "note": "first line\nsecond line", "card": "[Filtered]"},
        "modules": {"react": "19.2.0", "react-dom": "19.2.0"},
        "transaction": "/rust-101/:lesson",
        "server_name": "web-2"
    })
}

fn removals() -> Vec<Removal> {
    [
        ("/request/headers/1/1", "cookie"),
        ("/exception/values/1/stacktrace/frames/5/vars/token", "token"),
        ("/extra/card", "credit_card"),
    ]
    .map(|(path, rule)| Removal { path: path.to_owned(), rule: rule.to_owned() })
    .into()
}

#[async_trait]
impl Accounts for Fake {
    async fn first_steps(&self) -> Result<FirstSteps, AccountsError> {
        Err(AccountsError::NotFound("first step"))
    }
    async fn create_organisation(
        &self,
        _: NewOrganisation,
    ) -> Result<(OrganisationInfo, Id<User>), AccountsError> {
        Err(AccountsError::NotFound("organisation"))
    }
    async fn find_organisation(&self, _: &Principal) -> Result<Option<OrganisationInfo>, AccountsError> {
        Ok(Some(organisation()))
    }
    async fn list_organisations(&self, _: &Principal) -> Result<Vec<OrganisationInfo>, AccountsError> {
        Ok(vec![organisation()])
    }
    async fn update_organisation(
        &self,
        _: &Principal,
        _: OrganisationChange,
        _: &ClientInfo,
    ) -> Result<OrganisationInfo, AccountsError> {
        Ok(organisation())
    }
    async fn list_projects(&self, _: &Principal) -> Result<Vec<Project>, AccountsError> {
        Ok(vec![self.project(PROJECT), self.project(PROJECT + 1)])
    }
    async fn find_project(
        &self,
        _: &Principal,
        project: ProjectId,
    ) -> Result<Option<Project>, AccountsError> {
        Ok((project.0 == PROJECT || project.0 == PROJECT + 1).then(|| self.project(project.0)))
    }
    async fn create_project(
        &self,
        principal: &Principal,
        new: NewProject,
        _: &ClientInfo,
    ) -> Result<Project, AccountsError> {
        principal.require(Permission::ManageProjects)?;
        self.note(format!("create_project {} {}", new.name, new.time_zone));
        Ok(self.project(PROJECT + 1))
    }
    async fn update_project(
        &self,
        _: &Principal,
        change: ProjectChange,
        _: &ClientInfo,
    ) -> Result<Project, AccountsError> {
        if change.time_zone.as_deref() == Some("Mars/Olympus") {
            return Err(AccountsError::Invalid {
                field: "time_zone",
                why: "is not an IANA time zone".to_owned(),
            });
        }
        self.note(format!("update_project {}", change.name.unwrap_or_default()));
        Ok(self.project(PROJECT))
    }
}

#[async_trait]
impl Members for Fake {
    async fn list_members(&self, _: &Principal, _: PageRequest) -> Result<Page<Member>, AccountsError> {
        let member = |user, name: &str, email: &str, role| Member {
            user,
            name: name.to_owned(),
            email: email.to_owned(),
            role,
        };
        let items = vec![
            member(ada(), "Ada", "ada@acme.example", self.role),
            member(Id::from_bytes([3; 16]), "Grace", "grace@acme.example", Role::Admin),
            member(Id::from_bytes([4; 16]), "Linus", "", Role::Analyst),
        ];
        Ok(Page { items, next: None })
    }
    async fn find_self(&self, _: &Principal) -> Result<Option<Member>, AccountsError> {
        Ok(Some(Member {
            user: ada(),
            name: "Ada".to_owned(),
            email: "ada@acme.example".to_owned(),
            role: self.role,
        }))
    }
    async fn update_self(
        &self,
        _: &Principal,
        change: ProfileChange,
        _: &ClientInfo,
    ) -> Result<Member, AccountsError> {
        self.note(format!("update_self {:?} {:?}", change.name, change.email));
        Ok(Member { user: ada(), name: "Ada".to_owned(), email: String::new(), role: self.role })
    }
    async fn set_role(&self, _: &Principal, change: RoleChange, _: &ClientInfo) -> Result<(), AccountsError> {
        self.note(format!("set_role {}", change.role.as_str()));
        Ok(())
    }
    async fn remove_member(
        &self,
        _: &Principal,
        user: Id<User>,
        _: &ClientInfo,
    ) -> Result<(), AccountsError> {
        self.note(format!("remove_member {user}"));
        Ok(())
    }
    async fn invite(
        &self,
        _: &Principal,
        new: NewInvite,
        _: &ClientInfo,
    ) -> Result<InviteLink, AccountsError> {
        let invite = InviteInfo {
            id: Id::from_bytes([9; 16]),
            organisation: organisation(),
            email: new.email,
            role: new.role,
            created_at: self.ago(0),
            expires_at: self.clock.now().plus(Duration::from_secs(7 * 86_400)),
        };
        Ok(InviteLink { invite, secret: Secret("invite-secret".to_owned()) })
    }
    async fn list_invites(
        &self,
        principal: &Principal,
        _: PageRequest,
    ) -> Result<Page<InviteInfo>, AccountsError> {
        let new = NewInvite { email: "joan@acme.example".to_owned(), role: Role::Member };
        let link = self.invite(principal, new, &ClientInfo::default()).await?;
        Ok(Page { items: vec![link.invite], next: None })
    }
    async fn revoke_invite(
        &self,
        _: &Principal,
        _: Id<InviteInfo>,
        _: &ClientInfo,
    ) -> Result<(), AccountsError> {
        Ok(())
    }
}

#[async_trait]
impl SignIn for Fake {
    async fn create_sign_in_link(&self, _: Id<User>) -> Result<Secret, AccountsError> {
        Ok(Secret("link-secret".to_owned()))
    }
    async fn sign_in_with_link(&self, secret: &str, _: &ClientInfo) -> Result<NewSession, AccountsError> {
        self.note(format!("sign_in_with_link {secret}"));
        if secret == "link-secret" { Ok(self.session()) } else { Err(AccountsError::LinkExpired) }
    }
    async fn sign_in_with_password(
        &self,
        email: &str,
        password: &str,
        _: &ClientInfo,
    ) -> Result<NewSession, AccountsError> {
        match (email, password) {
            ("ada@acme.example", " right password ") => Ok(self.session()),
            ("throttled@acme.example", _) => {
                Err(AccountsError::Throttled { retry_after: Duration::from_secs(30) })
            }
            _ => Err(AccountsError::WrongCredentials),
        }
    }
    async fn find_invite(&self, secret: &str) -> Result<Option<InviteInfo>, AccountsError> {
        let new = NewInvite { email: "joan@acme.example".to_owned(), role: Role::Analyst };
        let principal = Principal::system("test", organisation().id);
        let link = self.invite(&principal, new, &ClientInfo::default()).await?;
        Ok(Some(link.invite).filter(|_| secret == "invite-secret"))
    }
    async fn accept_invite(&self, accept: AcceptInvite, _: &ClientInfo) -> Result<NewSession, AccountsError> {
        if accept.password.0.len() < 12 {
            return Err(AccountsError::Invalid {
                field: "password",
                why: "must be 12 to 200 characters".to_owned(),
            });
        }
        Ok(self.session())
    }
    async fn set_password(
        &self,
        _: &Principal,
        change: PasswordChange,
        _: &ClientInfo,
    ) -> Result<NewSession, AccountsError> {
        self.note(format!("set_password {}", change.current.is_some()));
        Ok(NewSession { secret: Secret("rotated".to_owned()), ..self.session() })
    }
    async fn switch_organisation(
        &self,
        _: &str,
        _: Id<Organisation>,
        _: &ClientInfo,
    ) -> Result<NewSession, AccountsError> {
        Ok(self.session())
    }
    async fn sign_out(&self, secret: &str, _: &ClientInfo) -> Result<(), AccountsError> {
        self.note(format!("sign_out {secret}"));
        Ok(())
    }
    async fn sign_out_everywhere(&self, _: &Principal, _: &ClientInfo) -> Result<(), AccountsError> {
        Ok(())
    }
    async fn authenticate_session(&self, secret: &str) -> Result<Option<Principal>, AccountsError> {
        Ok((secret == SESSION).then(|| Principal {
            actor: Actor::User(ada()),
            organisation: organisation().id,
            name: "Ada".to_owned(),
            rights: Rights::Role(self.role),
            csrf: Some(CSRF.to_owned()),
        }))
    }
    async fn authenticate_token(&self, _: &str) -> Result<Option<Principal>, AccountsError> {
        Ok(None)
    }
    async fn record_denied(
        &self,
        _: &Principal,
        permission: Permission,
        _: &ClientInfo,
    ) -> Result<(), AccountsError> {
        self.note(format!("denied {}", permission.as_str()));
        Ok(())
    }
}

impl Fake {
    fn session(&self) -> NewSession {
        let expires_at = self.clock.now().plus(Duration::from_secs(90 * 86_400));
        NewSession { secret: Secret(SESSION.to_owned()), expires_at }
    }

    fn key(&self, number: u8, label: &str, is_revoked: bool) -> IngestKeyInfo {
        IngestKeyInfo {
            id: Id::from_bytes([number; 16]),
            project: ProjectId(PROJECT),
            public_key: format!("{number:02x}").repeat(16),
            label: label.to_owned(),
            rate_limit_per_minute: Some(6_000),
            allowed_origins: vec!["https://app.example".to_owned()],
            created_at: self.ago(86_400 * 30),
            revoked_at: is_revoked.then(|| self.ago(86_400)),
        }
    }
}

#[async_trait]
impl IngestKeys for Fake {
    async fn find_ingest_key(&self, _: &str) -> Result<Option<Arc<IngestKeyInfo>>, AccountsError> {
        Ok(None)
    }
    async fn list_ingest_keys(
        &self,
        _: &Principal,
        _: ProjectId,
        _: PageRequest,
    ) -> Result<Page<IngestKeyInfo>, AccountsError> {
        Ok(Page {
            items: vec![self.key(0xa1, "web app", false), self.key(0xb2, "old server", true)],
            next: None,
        })
    }
    async fn create_ingest_key(
        &self,
        _: &Principal,
        new: NewIngestKey,
        _: &ClientInfo,
    ) -> Result<IngestKeyInfo, AccountsError> {
        self.note(format!(
            "create_ingest_key {} {:?} {:?}",
            new.label, new.rate_limit_per_minute, new.allowed_origins
        ));
        Ok(self.key(0xc3, &new.label, false))
    }
    async fn update_ingest_key(
        &self,
        _: &Principal,
        change: IngestKeyChange,
        _: &ClientInfo,
    ) -> Result<IngestKeyInfo, AccountsError> {
        self.note(format!("update_ingest_key {:?} {:?}", change.label, change.rate_limit_per_minute));
        Ok(self.key(0xa1, "web app", false))
    }
    async fn revoke_ingest_key(
        &self,
        _: &Principal,
        key: Id<IngestKey>,
        _: &ClientInfo,
    ) -> Result<(), AccountsError> {
        self.note(format!("revoke_ingest_key {key}"));
        Ok(())
    }
}

#[async_trait]
impl XapiKeys for Fake {
    async fn authenticate_xapi_key(
        &self,
        _: &str,
        _: &str,
    ) -> Result<Option<Arc<XapiKeyInfo>>, AccountsError> {
        Ok(None)
    }
    async fn list_xapi_keys(
        &self,
        _: &Principal,
        project: ProjectId,
        _: PageRequest,
    ) -> Result<Page<XapiKeyInfo>, AccountsError> {
        let key = XapiKeyInfo {
            id: Id::from_bytes([0xd4; 16]),
            project,
            organisation: Id::from_bytes([1; 16]),
            public_key: "d4".repeat(16),
            label: "LMS".to_owned(),
            scopes: vec![XapiScope::StatementsWrite, XapiScope::State],
            created_at: self.clock.now(),
            revoked_at: None,
        };
        Ok(Page { items: vec![key], next: None })
    }
    async fn create_xapi_key(
        &self,
        principal: &Principal,
        new: NewXapiKey,
        _: &ClientInfo,
    ) -> Result<(XapiKeyInfo, Secret), AccountsError> {
        self.note(format!("create_xapi_key {} {:?}", new.label, new.scopes));
        let key = self.list_xapi_keys(principal, new.project, PageRequest::first(1)).await?.items.remove(0);
        Ok((key, Secret("bxs_secret".to_owned())))
    }
    async fn revoke_xapi_key(
        &self,
        _: &Principal,
        key: Id<XapiKey>,
        _: &ClientInfo,
    ) -> Result<(), AccountsError> {
        self.note(format!("revoke_xapi_key {key}"));
        Ok(())
    }
    async fn record_xapi_denied(&self, _: &XapiKeyInfo, _: &ClientInfo) -> Result<(), AccountsError> {
        Ok(())
    }
}

#[async_trait]
impl ApiTokens for Fake {
    async fn list_api_tokens(
        &self,
        _: &Principal,
        _: PageRequest,
    ) -> Result<Page<ApiTokenInfo>, AccountsError> {
        let token = |number: u8, label: &str, revoked_at| ApiTokenInfo {
            id: Id::from_bytes([number; 16]),
            label: label.to_owned(),
            prefix: format!("bv_{number}f3"),
            scopes: vec![Scope::Read, Scope::Write],
            created_at: self.ago(86_400 * 9),
            last_used_at: Some(self.ago(120)),
            expires_at: None,
            revoked_at,
        };
        Ok(Page {
            items: vec![token(1, "deploy script", None), token(2, "laptop", Some(self.ago(60)))],
            next: None,
        })
    }
    async fn create_api_token(
        &self,
        principal: &Principal,
        new: NewApiToken,
        _: &ClientInfo,
    ) -> Result<(ApiTokenInfo, Secret), AccountsError> {
        if new.scopes.is_empty() {
            return Err(AccountsError::Invalid { field: "scopes", why: "must be at least one".to_owned() });
        }
        let token = self.list_api_tokens(principal, PageRequest::first(1)).await?.items.remove(0);
        Ok((token, Secret("bv_the-secret-of-the-token".to_owned())))
    }
    async fn revoke_api_token(
        &self,
        _: &Principal,
        token: Id<ApiToken>,
        _: &ClientInfo,
    ) -> Result<(), AccountsError> {
        self.note(format!("revoke_api_token {token}"));
        Ok(())
    }
}

#[async_trait]
impl ErrorTracking for Fake {
    async fn record_event(&self, _: ProjectId, _: Value) -> Result<Recorded, ErrorTrackingError> {
        Err(ErrorTrackingError::InvalidEvent("not here".to_owned()))
    }
    async fn list_issues(&self, query: ListIssues) -> Result<Page<IssueSummary>, ErrorTrackingError> {
        if query.project.0 != PROJECT {
            return Ok(Page { items: Vec::new(), next: None });
        }
        if query.page.after.as_ref().is_some_and(|after| after.parts::<2>().is_none()) {
            return Err(ErrorTrackingError::InvalidQuery("the cursor is not one of this list".to_owned()));
        }
        let issues = self.issues.lock().unwrap();
        let text = query.text.unwrap_or_default().to_lowercase();
        let items = issues.iter().map(|issue| issue.summary.clone());
        let items = items.filter(|issue| query.status.is_none_or(|status| status == issue.status));
        let items =
            items.filter(|issue| query.substatus.is_none_or(|substatus| substatus == issue.substatus));
        let items = items.filter(|issue| issue.title.to_lowercase().contains(&text)).collect();
        let next = query.page.after.is_none().then(|| Cursor::of(&[&1, &2]));
        Ok(Page { items, next })
    }
    async fn count_issues(&self, project: ProjectId, status: IssueStatus) -> Result<u64, ErrorTrackingError> {
        let issues = self.issues.lock().unwrap();
        let count = issues.iter().filter(|issue| issue.summary.status == status).count() as u64;
        Ok(if project.0 == PROJECT { count } else { 0 })
    }
    async fn find_issue(
        &self,
        project: ProjectId,
        id: IssueId,
    ) -> Result<Option<IssueDetail>, ErrorTrackingError> {
        let issues = self.issues.lock().unwrap();
        Ok(issues.iter().find(|issue| issue.summary.id == id && project.0 == PROJECT).cloned())
    }
    async fn list_events(
        &self,
        _: ProjectId,
        _: IssueId,
        _: PageRequest,
    ) -> Result<Page<EventSummary>, ErrorTrackingError> {
        let items =
            (0..12).map(|n| self.event_summary(&format!("{n:02x}{}", &EVENT[2..]), n * 611)).collect();
        Ok(Page { items, next: Some(Cursor::of(&[&1, &2])) })
    }
    async fn find_event(
        &self,
        project: ProjectId,
        event_id: &str,
    ) -> Result<Option<Event>, ErrorTrackingError> {
        if event_id != EVENT || project.0 != PROJECT {
            return Ok(None);
        }
        Ok(Some(Event {
            summary: self.event_summary(EVENT, 14),
            issue: issue_id(1),
            platform: "javascript".to_owned(),
            culprit: "runTests in src/lesson/runner.ts".to_owned(),
            sdk: Some("sentry.javascript.browser/11.12.0".to_owned()),
            time_was_clamped: false,
            handled: Some(false),
            removals: removals(),
            previous: Some("00000000000000000000000000000001".to_owned()),
            next: None,
            payload: self.payload.clone(),
        }))
    }
    async fn list_environments(&self, _: ProjectId) -> Result<Vec<String>, ErrorTrackingError> {
        Ok(vec!["production".to_owned(), "staging".to_owned()])
    }
    async fn count_events_by_hour(
        &self,
        project: ProjectId,
        from: Timestamp,
        _: Timestamp,
    ) -> Result<Vec<HourCount>, ErrorTrackingError> {
        let count = |hour: u64| HourCount {
            hour: from.plus(Duration::from_secs(hour * 3_600)),
            events: 180 + (hour * 97) % 240 + if (36..40).contains(&hour) { 900 } else { 0 },
        };
        Ok(if project.0 == PROJECT { (0..48).map(count).collect() } else { Vec::new() })
    }
}

#[async_trait]
impl Search for Fake {
    async fn search_issues(&self, search: SearchIssues) -> Result<IssuesFound, ErrorTrackingError> {
        if search.environment.is_some() {
            self.note(format!("search_issues {:?} {:?} {:?}", search.environment, search.since, search.sort));
        }
        let list = ListIssues { page: search.page, ..ListIssues::first(search.project) };
        let mut page = self.list_issues(list).await?;
        // The fake understands this much of the language.
        let query = |text: &str| {
            let context = belvedere_error_tracking::search::QueryContext::default();
            belvedere_error_tracking::search::parse_query(text, &context).ok()
        };
        let asked = Some(search.query);
        page.items.retain(|issue| {
            let word = format!("is:{}", issue.status.as_str());
            asked == query("")
                || asked == query(&word)
                || (asked == query("GTAG") && issue.title.contains("gtag"))
        });
        let matching = Matching { count: page.items.len() as u64, is_exact: true };
        Ok(IssuesFound { page, matching, counts: CountsCover::AllEvents })
    }

    async fn search_events(&self, search: SearchEvents) -> Result<EventsFound, ErrorTrackingError> {
        self.note(format!("search_events {:?}", search.environment));
        let page = self.list_events(search.project, search.issue, search.page).await?;
        let tagged = |summary: EventSummary| TaggedEvent {
            summary,
            trace: Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
            tags: vec![("plan".to_owned(), "<i>pro</i>".to_owned())],
        };
        let items = page.items.into_iter().map(tagged).collect();
        Ok(EventsFound { page: Page { items, next: page.next }, looked_through: 12_000 })
    }

    async fn list_tag_keys(&self, _: ProjectId) -> Result<Vec<TagKey>, ErrorTrackingError> {
        Ok(vec![TagKey { key: "plan".to_owned(), events: 12_904, values: 2 }])
    }

    async fn list_tag_values(
        &self,
        _: ProjectId,
        key: &str,
        prefix: &str,
    ) -> Result<Vec<TagValue>, ErrorTrackingError> {
        let tag = self.find_tag(ProjectId(PROJECT), issue_id(1), key).await?;
        let values = tag.map(|tag| tag.values).unwrap_or_default();
        Ok(values.into_iter().filter(|value| value.value.starts_with(prefix)).collect())
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
        _: IssueId,
        key: &str,
    ) -> Result<Option<TagDistribution>, ErrorTrackingError> {
        let value = |value: &str, events| TagValue {
            value: value.to_owned(),
            events,
            first_seen: self.ago(86_400),
            last_seen: self.ago(60),
        };
        let values = vec![value("free trial", 8_000), value("<script>alert(1)</script>", 4_000)];
        let tag =
            TagDistribution { key: key.to_owned(), events: 12_904, values, values_known: 2, others: 904 };
        Ok((project.0 == PROJECT && key == "plan").then_some(tag))
    }

    async fn list_similar(&self, _: ProjectId, _: IssueId) -> Result<Vec<SimilarIssue>, ErrorTrackingError> {
        Ok(vec![SimilarIssue {
            id: issue_id(2),
            number: 2,
            title: "TypeError: <b>x</b> is undefined".to_owned(),
            events: 17,
            last_seen: self.ago(600),
            percent: 72,
            reason: "the same type TypeError, 3 of 4 frames in common".to_owned(),
        }])
    }

    async fn list_saved_searches(
        &self,
        project: ProjectId,
        user: Option<Id<User>>,
    ) -> Result<Vec<SavedSearch>, ErrorTrackingError> {
        let saved = |number: u8, owner, name: &str, query: &str| SavedSearch {
            id: Id::from_bytes([number; 16]),
            owner,
            name: name.to_owned(),
            query: query.to_owned(),
            sort: belvedere_error_tracking::IssueSort::Events,
            is_default: false,
            created_at: self.ago(3_600),
        };
        let mut list = vec![saved(1, SearchOwner::Shared, "Crashes <3", "is:unresolved level:fatal")];
        list.extend(user.map(|user| saved(2, SearchOwner::Personal(user), "Mine", "assigned:me")));
        Ok(if project.0 == PROJECT { list } else { Vec::new() })
    }

    async fn save_search(&self, search: SaveSearch) -> Result<Option<SavedSearch>, ErrorTrackingError> {
        self.note(format!("save_search {:?} {} {}", search.id.is_some(), search.name, search.query));
        if search.name == "taken" {
            return Err(ErrorTrackingError::InvalidQuery("name: is taken".to_owned()));
        }
        let mut all = self.list_saved_searches(search.editor.project, search.editor.user).await?;
        Ok(all.pop().filter(|_| search.id.is_none_or(|id| id == Id::from_bytes([1; 16]))))
    }

    async fn delete_search(
        &self,
        editor: SearchEditor,
        id: SavedSearchId,
    ) -> Result<bool, ErrorTrackingError> {
        self.note(format!("delete_search {id}"));
        Ok(editor.project.0 == PROJECT && id == Id::from_bytes([1; 16]))
    }
}

impl Fake {
    fn event_summary(&self, id: &str, seconds: u64) -> EventSummary {
        EventSummary {
            event_id: id.to_owned(),
            occurred_at: self.ago(seconds),
            received_at: self.ago(seconds),
            title: "TypeError: cannot read properties of undefined (reading 'trim')".to_owned(),
            level: Level::Error,
            release: Some("shop@4.12.3".to_owned()),
            environment: Some("production".to_owned()),
            subject: Some(SubjectId(318)),
        }
    }

    fn set_aside(&self, number: u8) -> SetAside {
        SetAside {
            id: Id::from_bytes([number; 16]),
            project: ProjectId(PROJECT),
            kind: "sentry.envelope".to_owned(),
            reason: "item 2 (event): exception.values[0].type is a number, not a string".to_owned(),
            tries: 3,
            received_at: self.ago(7_200),
            set_aside_at: self.ago(7_190),
            replayed_at: (number == 6).then(|| self.ago(60)),
            size_bytes: 23_441,
        }
    }
}

#[async_trait]
impl IntakeLog for Fake {
    async fn list_tallies(
        &self,
        project: ProjectId,
        _: Timestamp,
        _: Timestamp,
    ) -> Result<Vec<HourTally>, IntakeError> {
        let mut tallies = Vec::new();
        for day in 0..7_u64 {
            let hour = self.clock.now().start_of_day().minus(Duration::from_secs(day * 86_400));
            let mut add = |item: &str, outcome, reason: &str, quantity| {
                tallies.push(HourTally {
                    hour,
                    item: item.to_owned(),
                    outcome,
                    reason: reason.to_owned(),
                    quantity,
                });
            };
            add("event", Outcome::Stored, "", 12_340 + day * 1_117);
            add("event", Outcome::Dropped, "duplicate", 3 * (day % 3));
            add("session", Outcome::Dropped, "not_yet_supported", 4_100 + day * 211);
            add("client_report", Outcome::Dropped, "not_yet_supported", 120);
            add("event", Outcome::SetAside, "invalid", u64::from(day == 1));
        }
        Ok(if project.0 == PROJECT { tallies } else { Vec::new() })
    }
    async fn list_set_aside(
        &self,
        project: ProjectId,
        _: PageRequest,
    ) -> Result<Page<SetAside>, IntakeError> {
        let items =
            if project.0 == PROJECT { vec![self.set_aside(5), self.set_aside(6)] } else { Vec::new() };
        Ok(Page { items, next: None })
    }
    async fn count_set_aside(&self, project: ProjectId) -> Result<u64, IntakeError> {
        Ok(u64::from(project.0 == PROJECT))
    }
    async fn find_set_aside(&self, _: ProjectId, id: Id<SetAside>) -> Result<Option<SetAside>, IntakeError> {
        Ok(Some(self.set_aside(5)).filter(|found| found.id == id))
    }
    async fn replay_set_aside(
        &self,
        by: Requester,
        _: ProjectId,
        id: Id<SetAside>,
    ) -> Result<(), IntakeError> {
        self.note(format!("replay_set_aside {id} by {}", by.actor.kind()));
        Ok(())
    }
    async fn discard_set_aside(
        &self,
        _: Requester,
        _: ProjectId,
        _: Id<SetAside>,
    ) -> Result<(), IntakeError> {
        Err(IntakeError::NotFound)
    }
}

#[async_trait]
impl AuditLog for Fake {
    async fn list_entries(
        &self,
        _: Id<Organisation>,
        filter: EntryFilter,
        _: PageRequest,
    ) -> Result<Page<AuditRow>, AuditError> {
        self.note(format!("list_entries {:?} {:?}", filter.action, filter.to.map(|to| to.to_string())));
        let entry = |seq: u64, action: &str, outcome: &str, detail| AuditRow {
            seq,
            at: self.ago(seq * 17),
            organisation: Some(organisation().id),
            project: Some(ProjectId(PROJECT)),
            actor_kind: "user".to_owned(),
            actor_id: Some(ada().to_string()),
            action: action.to_owned(),
            target_kind: Some("ingest_key".to_owned()),
            target_id: Some(Id::<()>::from_bytes([0xa1; 16]).to_string()),
            outcome: outcome.to_owned(),
            request_id: None,
            detail,
            detail_is_damaged: false,
            leaf_hash: "00".repeat(32),
        };
        let items = vec![
            entry(3, "ingest_key_changed", "success", Some(json!({"label": "web app"}))),
            entry(2, "authn_login_fail", "failure", None),
            entry(1, "authn_login_success", "success", Some(Value::Null)),
        ];
        Ok(Page { items, next: None })
    }
    async fn count_entries(&self) -> Result<u64, AuditError> {
        Ok(3)
    }
}

#[async_trait]
impl Privacy for Fake {
    async fn settings(&self, _: ProjectId) -> Result<PrivacySettings, PrivacyError> {
        Ok(PrivacySettings {
            scrub_keys: vec!["iban".to_owned(), "taxid".to_owned()],
            ..PrivacySettings::default()
        })
    }
    async fn change_settings(&self, change: ChangeSettings) -> Result<PrivacySettings, PrivacyError> {
        if change.settings.scrub_keys.iter().any(|key| key.len() < 2) {
            return Err(PrivacyError::Invalid {
                field: "scrub_keys",
                why: "a word has 2 to 64 letters and digits".to_owned(),
            });
        }
        self.note(format!(
            "change_settings analytics {} keys {:?}",
            change.settings.consent_default.analytics, change.settings.scrub_keys
        ));
        Ok(change.settings)
    }
    async fn reveal_subject(&self, reveal: RevealSubject) -> Result<Option<Identity>, PrivacyError> {
        self.note(format!("reveal_subject {}", reveal.subject));
        Ok(Some(Identity { email: Some("joan@example.com".to_owned()), ..Identity::default() }))
    }
    async fn count_subjects(&self, _: ProjectId) -> Result<u64, PrivacyError> {
        Ok(318)
    }
    async fn rotate_salts(&self) -> Result<u64, PrivacyError> {
        Ok(0)
    }
}

/// The page that somebody spoke of, as hostile as it gets.
pub(crate) const SAID_URL: &str = "javascript:alert(document.cookie)";

pub(crate) fn feedback_id() -> FeedbackId {
    Id::from_bytes([5; 16])
}

/// A text that is markup, a picture and something else, by the last digit of their ids.
pub(crate) fn file(number: u8, now: Timestamp) -> AttachmentContent {
    let (name, format, bytes) = match number {
        1 => (
            "<img src=x onerror=alert(1)>.html",
            AttachmentFormat::Text,
            &b"</pre><script>alert(1)</script>"[..],
        ),
        2 => ("screenshot.png", AttachmentFormat::Png, &b"\x89PNG\r\n\x1a\n"[..]),
        _ => ("core.dmp", AttachmentFormat::Other, &b"\x00\x01"[..]),
    };
    let info = AttachmentInfo {
        id: Id::from_bytes([number; 16]),
        event_id: EVENT.to_owned(),
        name: name.to_owned(),
        content_type: "text/html\"><script>".to_owned(),
        kind: "event.attachment".to_owned(),
        format,
        size_bytes: bytes.len() as u64,
        sha256: "ab".repeat(32),
        is_scrubbed: number == 1,
        received_at: now,
    };
    AttachmentContent { info, bytes: bytes.to_vec() }
}

#[async_trait]
impl Attachments for Fake {
    async fn list_attachments(
        &self,
        project: ProjectId,
        event_id: &str,
    ) -> Result<Vec<AttachmentInfo>, ErrorTrackingError> {
        let has_files = project.0 == PROJECT && event_id == EVENT;
        Ok((1..=3).filter(|_| has_files).map(|number| file(number, self.clock.now()).info).collect())
    }
    async fn read_attachment(
        &self,
        project: ProjectId,
        attachment: AttachmentId,
    ) -> Result<Option<AttachmentContent>, ErrorTrackingError> {
        let mut files = (1..=3).map(|number| file(number, self.clock.now()));
        Ok(files.find(|file| project.0 == PROJECT && file.info.id == attachment))
    }
    async fn delete_attachment(&self, delete: DeleteAttachment) -> Result<bool, ErrorTrackingError> {
        self.note(format!("delete_attachment {}", delete.attachment));
        Ok(true)
    }
}

impl Fake {
    fn said(&self) -> FeedbackSummary {
        FeedbackSummary {
            id: feedback_id(),
            event_id: EVENT.to_owned(),
            status: FeedbackStatus::Unresolved,
            message: "The pay button does nothing.\n<script>alert('said')</script>".to_owned(),
            source: "feedback".to_owned(),
            url: Some(SAID_URL.to_owned()),
            associated_event_id: Some(EVENT.to_owned()),
            has_event: true,
            issue: Some(issue_id(1)),
            subject: Some(SubjectId(318)),
            has_contact: true,
            assignee: None,
            environment: Some("production".to_owned()),
            release: Some("shop@4.12.3".to_owned()),
            occurred_at: self.ago(90),
            received_at: self.ago(89),
        }
    }
}

#[async_trait]
impl Feedback for Fake {
    async fn list_feedback(&self, query: ListFeedback) -> Result<Page<FeedbackSummary>, ErrorTrackingError> {
        let has_some = query.project.0 == PROJECT && query.status != Some(FeedbackStatus::Spam);
        let is_about = query.issue.is_none_or(|issue| issue == issue_id(1));
        let items = if has_some && is_about { vec![self.said()] } else { Vec::new() };
        Ok(Page { items, next: None })
    }
    async fn count_feedback(
        &self,
        project: ProjectId,
        status: FeedbackStatus,
    ) -> Result<u64, ErrorTrackingError> {
        Ok(u64::from(project.0 == PROJECT && status == FeedbackStatus::Unresolved))
    }
    async fn find_feedback(
        &self,
        project: ProjectId,
        feedback: FeedbackId,
    ) -> Result<Option<FeedbackDetail>, ErrorTrackingError> {
        Ok((project.0 == PROJECT && feedback == feedback_id()).then(|| FeedbackDetail {
            summary: self.said(),
            replay_id: Some("0173b788f3c84f97a0076fa699e31e4d".to_owned()),
            payload: payload(),
            removals: removals(),
        }))
    }
    async fn change_feedback(&self, change: ChangeFeedback) -> Result<u64, ErrorTrackingError> {
        self.note(format!("change_feedback {:?}", change.act));
        Ok(1)
    }
    async fn reveal_contact(&self, _: RevealContact) -> Result<Option<Contact>, ErrorTrackingError> {
        self.note("reveal_contact");
        let email = Some("lovelace@mail.example".to_owned());
        Ok(Some(Contact { name: Some("<b>Ada</b>".to_owned()), email }))
    }
}

#[async_trait]
impl Limits for Fake {
    async fn find_limits(&self, _: ProjectId) -> Result<ProjectLimits, ErrorTrackingError> {
        Ok(ProjectLimits::default())
    }
    async fn change_limits(&self, change: ChangeLimits) -> Result<(), ErrorTrackingError> {
        let limits = change.limits.checked()?;
        self.note(format!("change_limits {} {:?}", limits.event_days, limits.quotas));
        Ok(())
    }
    async fn sum_storage(&self, project: ProjectId) -> Result<Vec<StorageSum>, ErrorTrackingError> {
        let sum = |kind, items, bytes| StorageSum { project, kind, items, bytes };
        Ok(vec![sum(StoredKind::Event, 12_904, 48_211_904), sum(StoredKind::Attachment, 31, 6_200_000)])
    }
    async fn list_storage_days(
        &self,
        _: ProjectId,
        days: u32,
    ) -> Result<Vec<StorageDay>, ErrorTrackingError> {
        let day = |index: u32| StorageDay {
            day: self.clock.now().start_of_day().minus(Duration::from_secs(86_400) * index),
            kind: StoredKind::Event,
            items: 10,
            bytes: u64::from(index % 7 * 40_000),
        };
        Ok((0..days).map(day).collect())
    }
    async fn list_storage(&self) -> Result<Vec<StorageSum>, ErrorTrackingError> {
        Ok(Vec::new())
    }
    async fn list_usage(&self, _: ProjectId) -> Result<Vec<(Category, u64)>, ErrorTrackingError> {
        Ok(vec![(Category::Error, 12_904), (Category::Attachment, 6_300_000)])
    }
}
#[async_trait]
impl GroupingRules for Fake {
    async fn find_rules(&self, _: ProjectId) -> Result<StoredRules, ErrorTrackingError> {
        let rules = format!("# of <vendors>\npath:**/vendor/** -> -app{}", self.grouping_words);
        Ok(StoredRules { rules, revision: 3, changed_at: None })
    }

    async fn change_rules(&self, change: ChangeRules) -> Result<StoredRules, ErrorTrackingError> {
        if change.revision != Some(3) {
            return Err(ErrorTrackingError::RulesChanged);
        }
        Ok(StoredRules { rules: change.rules, revision: 4, changed_at: None })
    }

    async fn preview_rules(&self, _: ProjectId, rules: &str) -> Result<Preview, ErrorTrackingError> {
        if rules.contains("wrong") {
            let why = "expected -> and what is to be done".to_owned();
            return Err(InvalidRules { line: 2, column: 6, why }.into());
        }
        let part = |number: u8, events: u64| PreviewPart {
            issue: Some(issue_id(number)),
            title: format!("Fault {number}{}", self.grouping_words),
            events,
        };
        let whole =
            |issue, parts| PreviewGroup { issue, title: format!("Whole{}", self.grouping_words), parts };
        Ok(Preview {
            events: 500,
            issues_before: 12,
            issues_after: 11,
            ignored: 40,
            moved: 31,
            joins: vec![whole(None, vec![part(1, 20), part(2, 11)])],
            splits: vec![whole(
                Some(issue_id(3)),
                vec![part(3, 7), PreviewPart { issue: None, ..part(4, 2) }],
            )],
            ignored_events: vec![PreviewPart { issue: None, ..part(5, 40) }],
        })
    }
}
