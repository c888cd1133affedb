//! Alerting: telling others, outside Belvedere, what became true. So far by webhooks.
//!
//! A slice that finds something out hands a notice to [`belvedere_kernel::Notifier`] in its own transaction. That writes
//! a delivery for each endpoint of the project that wants this kind of notice, and a job for each such endpoint; the
//! job sends what is due ([`AlertingService::delivery_handler`]).
//!
//! Invariants:
//! - A delivery exists if and only if the transaction that made its notice true was committed, once for each endpoint,
//!   kind and key as long as it is kept.
//! - A delivery is sent at least once and always under the same id: a worker that dies between sending and writing that
//!   down makes its receiver hear it twice, which the id tells.
//! - It is tried 14 times over about a day, then dead until somebody sends it again.
//! - Nothing is sent to an address that is not public, unless the operator allows it; redirects are not followed.
//! - A secret is sealed, and shown when it is made and never again.
//! - Limits: 20 endpoints of a project; 64 KiB a body; 10,000 waiting deliveries of an endpoint, beyond which the oldest
//!   are dropped and counted; 10,000 settled ones; all for 30 days; 4 in flight to an endpoint.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use belvedere_alerting::{AlertingError, AlertingParts, AlertingService, ChangedBy, NewEndpoint, Webhooks as _};
//! use belvedere_jobs::JobQueue;
//! use belvedere_kernel::{Actor, AuditSink, InProcessBus, NoticeKind, ProjectId, SystemClock, Vault};
//! use belvedere_storage::{Database, DatabaseConfig};
//!
//! # async fn start(audit: Arc<dyn AuditSink>, vault: Arc<dyn Vault>) -> Result<(), AlertingError> {
//! let db = Database::connect(&DatabaseConfig::new("sqlite://belvedere.db?mode=rwc")).await?;
//! let clock = Arc::new(SystemClock);
//! let jobs = JobQueue::new(db.clone(), clock.clone(), Arc::new(InProcessBus::default()));
//! let alerting = AlertingService::new(AlertingParts { db, clock, vault, audit, jobs, private_targets: false });
//! let new = NewEndpoint {
//!     url: "https://hooks.example.org/belvedere".to_owned(),
//!     kinds: vec![NoticeKind::MilestoneReached],
//! };
//! let by = ChangedBy { actor: Actor::System("example"), request_id: None };
//! let (_, secret) = alerting.create_endpoint(ProjectId(1), new, &by).await?;
//! println!("verify deliveries with {}", secret.reveal());
//! # Ok(())
//! # }
//! ```

mod deliver;
mod error;
mod model;
mod outbox;
mod retry;
mod send;
mod service;
mod signature;
mod store;
mod subject;
mod target;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use belvedere_kernel::ProjectId;
use belvedere_storage::{Page, PageRequest};

pub use deliver::DELIVERY_JOB;
pub use error::AlertingError;
pub use model::{
    ChangedBy, Delivery, DeliveryId, DeliveryState, Endpoint, EndpointChange, EndpointId, NewEndpoint,
};
pub use outbox::PING;
pub use service::{AlertingParts, AlertingService, ENDPOINTS_MAX};
pub use signature::SigningSecret;

/// The endpoints of projects and what was delivered to them. Each change is an audit entry.
#[async_trait]
pub trait Webhooks: Send + Sync {
    /// The endpoints of a project, the oldest first; at most 20.
    async fn list_endpoints(&self, project: ProjectId) -> Result<Vec<Endpoint>, AlertingError>;

    /// One endpoint; `None` also if it is another project's.
    async fn find_endpoint(
        &self,
        project: ProjectId,
        endpoint: EndpointId,
    ) -> Result<Option<Endpoint>, AlertingError>;

    /// Makes an endpoint; its secret is not shown again.
    async fn create_endpoint(
        &self,
        project: ProjectId,
        new: NewEndpoint,
        by: &ChangedBy,
    ) -> Result<(Endpoint, SigningSecret), AlertingError>;

    /// Changes where an endpoint is, what it is told of, or whether it is told. What waits for a disabled endpoint is
    /// sent once it is enabled again, if that is within 30 days.
    async fn change_endpoint(
        &self,
        project: ProjectId,
        endpoint: EndpointId,
        change: EndpointChange,
        by: &ChangedBy,
    ) -> Result<Endpoint, AlertingError>;

    /// Deletes an endpoint and all its deliveries, waiting ones too.
    async fn delete_endpoint(
        &self,
        project: ProjectId,
        endpoint: EndpointId,
        by: &ChangedBy,
    ) -> Result<(), AlertingError>;

    /// Gives an endpoint a new secret; for 24 hours the one before signs as well.
    async fn rotate_secret(
        &self,
        project: ProjectId,
        endpoint: EndpointId,
        by: &ChangedBy,
    ) -> Result<SigningSecret, AlertingError>;

    /// Delivers something to an enabled endpoint that says nothing, to try it.
    async fn ping(
        &self,
        project: ProjectId,
        endpoint: EndpointId,
        by: &ChangedBy,
    ) -> Result<DeliveryId, AlertingError>;

    /// The deliveries of an endpoint, the latest first.
    async fn list_deliveries(
        &self,
        project: ProjectId,
        endpoint: EndpointId,
        page: PageRequest,
    ) -> Result<Page<Delivery>, AlertingError>;

    /// Sends a delivery again, whatever became of it, under the same id and with all its attempts.
    async fn resend(
        &self,
        project: ProjectId,
        endpoint: EndpointId,
        delivery: DeliveryId,
        by: &ChangedBy,
    ) -> Result<(), AlertingError>;
}
