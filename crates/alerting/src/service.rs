use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use belvedere_jobs::{JobHandler, JobQueue};
use belvedere_kernel::{
    AuditSink, Clock, Entry, KeyOwner, NoticeKind, ProjectId, SubjectData, Target, Vault,
};
use belvedere_storage::{Database, Page, PageRequest, StorageError, Tx};
use http::Uri;
use serde_json::{Value, json};

use crate::deliver::{Deliver, enqueue_in};
use crate::model::{ChangedBy, Delivery, DeliveryId, Endpoint, EndpointChange, EndpointId, NewEndpoint};
use crate::outbox::ping_in;
use crate::send::Sender;
use crate::signature::SigningSecret;
use crate::store::{self, NewRow};
use crate::subject::DeliveryData;
use crate::target::parse_url;
use crate::{AlertingError, Webhooks};

/// The most endpoints of a project.
pub const ENDPOINTS_MAX: u64 = 20;

/// How long deliveries are kept, waiting ones too.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// How many settled deliveries of an endpoint are kept.
const SETTLED_MAX: u64 = 10_000;

/// How long a secret signs after it was replaced.
const OLD_SECRET: Duration = Duration::from_secs(86_400);

/// Everything that alerting needs from the rest of Belvedere.
#[derive(Clone)]
pub struct AlertingParts {
    /// State.
    pub db: Database,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What seals the secrets of endpoints.
    pub vault: Arc<dyn Vault>,
    /// Who did what.
    pub audit: Arc<dyn AuditSink>,
    /// What sends.
    pub jobs: JobQueue,
    /// Whether addresses that are not public, and plain HTTP, may be sent to.
    pub private_targets: bool,
}

pub(crate) struct Core {
    pub(crate) parts: AlertingParts,
    pub(crate) sender: Sender,
}

/// Alerting on a database. A clone is the same service.
#[derive(Clone)]
pub struct AlertingService {
    pub(crate) core: Arc<Core>,
}

impl std::fmt::Debug for AlertingService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AlertingService")
    }
}

impl AlertingService {
    /// The service over a migrated database.
    #[must_use]
    pub fn new(parts: AlertingParts) -> Self {
        let sender = Sender::new(parts.private_targets);
        Self { core: Arc::new(Core { parts, sender }) }
    }

    /// What does [`crate::DELIVERY_JOB`]. It waits for receivers, up to 10 s for each: give it a runner of its own.
    #[must_use]
    pub fn delivery_handler(&self) -> Arc<dyn JobHandler> {
        Arc::new(Deliver(Arc::clone(&self.core)))
    }

    /// The deliveries about people.
    #[must_use]
    pub fn subject_data(&self) -> Arc<dyn SubjectData> {
        Arc::new(DeliveryData(Arc::clone(&self.core)))
    }

    /// Removes old deliveries, and begins anew what a lost job left; until `is_stopped`. To be called every hour.
    ///
    /// # Errors
    /// A storage error; what was done by then stays done.
    pub async fn sweep(&self, is_stopped: impl Fn() -> bool) -> Result<(), StorageError> {
        let AlertingParts { db, clock, jobs, .. } = &self.core.parts;
        let now = clock.now();
        while !is_stopped() && db.write(async |tx| store::sweep_before(tx, now.minus(KEPT)).await).await? > 0
        {
        }
        for endpoint in store::list_overfull(db.read(), SETTLED_MAX).await? {
            while !is_stopped()
                && db.write(async |tx| store::trim_settled(tx, endpoint, SETTLED_MAX).await).await? > 0
            {
            }
        }
        let stalled = store::list_stalled(db.read(), now).await?;
        db.write(async |tx| {
            for endpoint in stalled {
                enqueue_in(tx, jobs, endpoint, now).await?;
            }
            Ok(())
        })
        .await
    }

    async fn find(&self, project: ProjectId, endpoint: EndpointId) -> Result<Endpoint, AlertingError> {
        self.find_endpoint(project, endpoint).await?.ok_or(AlertingError::NotFound("webhook"))
    }

    fn check_url(&self, url: &str) -> Result<Uri, AlertingError> {
        parse_url(url, self.core.parts.private_targets).map_err(|why| AlertingError::invalid("url", why))
    }

    async fn record(
        &self,
        tx: &Tx,
        (project, endpoint): (ProjectId, EndpointId),
        by: &ChangedBy,
        (action, detail): (&'static str, Value),
    ) -> Result<(), StorageError> {
        let entry = Entry {
            project: Some(project),
            target: Some(Target { kind: "webhook", id: endpoint.to_string() }),
            request_id: by.request_id.clone(),
            detail,
            ..Entry::new(by.actor, action)
        };
        self.core.parts.audit.record(tx, entry).await
    }
}

/// Kinds in their order, each once.
fn check_kinds(mut kinds: Vec<NoticeKind>) -> Result<Vec<NoticeKind>, AlertingError> {
    if kinds.is_empty() {
        return Err(AlertingError::invalid("kinds", "must have at least one"));
    }
    kinds.sort_unstable();
    kinds.dedup();
    Ok(kinds)
}

/// What an audit entry says of an endpoint: not its path, which often is a secret.
fn detail_of(uri: &Uri, kinds: &[NoticeKind], is_enabled: bool) -> Value {
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    json!({ "host": uri.host(), "kinds": kinds, "is_enabled": is_enabled })
}

#[async_trait]
impl Webhooks for AlertingService {
    async fn list_endpoints(&self, project: ProjectId) -> Result<Vec<Endpoint>, AlertingError> {
        Ok(store::list_endpoints(self.core.parts.db.read(), project, None).await?)
    }

    async fn find_endpoint(
        &self,
        project: ProjectId,
        endpoint: EndpointId,
    ) -> Result<Option<Endpoint>, AlertingError> {
        Ok(store::list_endpoints(self.core.parts.db.read(), project, Some(endpoint)).await?.pop())
    }

    async fn create_endpoint(
        &self,
        project: ProjectId,
        new: NewEndpoint,
        by: &ChangedBy,
    ) -> Result<(Endpoint, SigningSecret), AlertingError> {
        let uri = self.check_url(&new.url)?;
        let kinds = check_kinds(new.kinds)?;
        let (secret, now) = (SigningSecret::random(), self.core.parts.clock.now());
        let endpoint = Endpoint {
            id: EndpointId::generate(now),
            project,
            url: new.url,
            kinds,
            is_enabled: true,
            waiting: 0,
            dead: 0,
            dropped: 0,
            created_at: now,
        };
        self.core
            .parts
            .db
            .write(async |tx| {
                if store::count_endpoints(tx, project).await? >= ENDPOINTS_MAX {
                    return Err(AlertingError::invalid("url", "the project has 20 webhooks already"));
                }
                let sealed = self.core.parts.vault.seal_in(tx, KeyOwner::System, secret.as_bytes()).await?;
                let (id, url, kinds) = (endpoint.id, endpoint.url.as_str(), endpoint.kinds.as_slice());
                store::insert_endpoint(tx, NewRow { id, project, url, kinds, secret_sealed: sealed, now })
                    .await?;
                let detail = detail_of(&uri, kinds, true);
                self.record(tx, (project, id), by, ("webhook_created", detail)).await?;
                Ok(())
            })
            .await?;
        Ok((endpoint, secret))
    }

    async fn change_endpoint(
        &self,
        project: ProjectId,
        endpoint: EndpointId,
        change: EndpointChange,
        by: &ChangedBy,
    ) -> Result<Endpoint, AlertingError> {
        let mut changed = self.find(project, endpoint).await?;
        changed.url = change.url.unwrap_or(changed.url);
        changed.is_enabled = change.is_enabled.unwrap_or(changed.is_enabled);
        if let Some(kinds) = change.kinds {
            changed.kinds = check_kinds(kinds)?;
        }
        let uri = self.check_url(&changed.url)?;
        let now = self.core.parts.clock.now();
        self.core
            .parts
            .db
            .write(async |tx| {
                if !store::update_endpoint(tx, &changed).await? {
                    return Err(AlertingError::NotFound("webhook"));
                }
                if changed.is_enabled && changed.waiting > 0 {
                    enqueue_in(tx, &self.core.parts.jobs, endpoint, now).await?;
                }
                let detail = detail_of(&uri, &changed.kinds, changed.is_enabled);
                self.record(tx, (project, endpoint), by, ("webhook_changed", detail)).await?;
                Ok(())
            })
            .await?;
        Ok(changed)
    }

    async fn delete_endpoint(
        &self,
        project: ProjectId,
        endpoint: EndpointId,
        by: &ChangedBy,
    ) -> Result<(), AlertingError> {
        self.core
            .parts
            .db
            .write(async |tx| {
                if !store::delete_endpoint(tx, project, endpoint).await? {
                    return Err(AlertingError::NotFound("webhook"));
                }
                self.record(tx, (project, endpoint), by, ("webhook_deleted", Value::Null)).await?;
                Ok(())
            })
            .await
    }

    async fn rotate_secret(
        &self,
        project: ProjectId,
        endpoint: EndpointId,
        by: &ChangedBy,
    ) -> Result<SigningSecret, AlertingError> {
        let secret = SigningSecret::random();
        let until = self.core.parts.clock.now().plus(OLD_SECRET);
        self.core
            .parts
            .db
            .write(async |tx| {
                let sealed = self.core.parts.vault.seal_in(tx, KeyOwner::System, secret.as_bytes()).await?;
                if !store::replace_secret(tx, project, endpoint, sealed, until).await? {
                    return Err(AlertingError::NotFound("webhook"));
                }
                self.record(tx, (project, endpoint), by, ("webhook_secret_rotated", Value::Null)).await?;
                Ok(())
            })
            .await?;
        Ok(secret)
    }

    async fn ping(
        &self,
        project: ProjectId,
        endpoint: EndpointId,
        by: &ChangedBy,
    ) -> Result<DeliveryId, AlertingError> {
        if !self.find(project, endpoint).await?.is_enabled {
            return Err(AlertingError::invalid("is_enabled", "the webhook is disabled"));
        }
        self.core
            .parts
            .db
            .write(async |tx| {
                let delivery = ping_in(tx, &self.core, project, endpoint).await?;
                let detail = json!({ "delivery": delivery });
                self.record(tx, (project, endpoint), by, ("webhook_tested", detail)).await?;
                Ok(delivery)
            })
            .await
    }

    async fn list_deliveries(
        &self,
        project: ProjectId,
        endpoint: EndpointId,
        page: PageRequest,
    ) -> Result<Page<Delivery>, AlertingError> {
        self.find(project, endpoint).await?;
        let deliveries = store::list_deliveries(self.core.parts.db.read(), project, endpoint, &page).await?;
        deliveries.ok_or_else(|| AlertingError::invalid("cursor", "is not one that a page gave"))
    }

    async fn resend(
        &self,
        project: ProjectId,
        endpoint: EndpointId,
        delivery: DeliveryId,
        by: &ChangedBy,
    ) -> Result<(), AlertingError> {
        let now = self.core.parts.clock.now();
        self.core
            .parts
            .db
            .write(async |tx| {
                if !store::restart(tx, project, endpoint, delivery, now).await? {
                    return Err(AlertingError::NotFound("delivery"));
                }
                enqueue_in(tx, &self.core.parts.jobs, endpoint, now).await?;
                let detail = json!({ "delivery": delivery });
                self.record(tx, (project, endpoint), by, ("webhook_resent", detail)).await?;
                Ok(())
            })
            .await
    }
}
