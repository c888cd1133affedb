//! The job that sends what is due to an endpoint.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use belvedere_jobs::{JobError, JobHandler, JobQueue, NewJob, RunningJob};
use belvedere_kernel::{Actor, Entry, KeyOwner, ProjectId, Target};
use belvedere_storage::{StorageError, Timestamp, Tx};
use futures_util::future::join_all;
use serde_json::json;

use crate::AlertingError;
use crate::error::enqueue_failure;
use crate::model::{DeliveryState, EndpointId};
use crate::retry;
use crate::send::{Answer, Message};
use crate::service::Core;
use crate::signature::{SigningSecret, signatures};
use crate::store::{self, Claimed, Outcome};
use crate::target::parse_url;

/// The job that sends what is due to an endpoint.
pub const DELIVERY_JOB: &str = "alerting.deliver";

/// How many deliveries are in flight to an endpoint at one time.
const IN_FLIGHT_MAX: u64 = 4;

/// How long a worker may hold deliveries, several times as long as sending takes; those of a worker that died are then
/// due again.
const HELD: Duration = Duration::from_secs(60);

/// How long one job goes on while there is more to send, so that other endpoints get their turn.
const ROUND_MAX: Duration = Duration::from_secs(30);

/// When an endpoint that took nothing of a round is tried next, unless something new is to be sent.
const PAUSE: Duration = Duration::from_secs(5);

/// The receiver wants no more (Standard Webhooks, "Responding to webhooks").
const GONE: u16 = 410;

/// Has what is due to an endpoint sent from `run_at` on.
pub(crate) async fn enqueue_in(
    tx: &Tx,
    jobs: &JobQueue,
    endpoint: EndpointId,
    run_at: Timestamp,
) -> Result<(), StorageError> {
    let job = NewJob {
        run_at: Some(run_at),
        key: Some(format!("{DELIVERY_JOB}:{endpoint}")),
        ..NewJob::new(DELIVERY_JOB, json!({ "endpoint": endpoint }))
    };
    jobs.enqueue_in(tx, job).await.map(drop).map_err(enqueue_failure)
}

/// Sends what is due to an endpoint.
pub(crate) struct Deliver(pub(crate) Arc<Core>);

#[async_trait]
impl JobHandler for Deliver {
    async fn run(&self, job: &RunningJob) -> Result<(), JobError> {
        let endpoint = job.payload["endpoint"].as_str().and_then(|text| text.parse().ok());
        let endpoint =
            endpoint.ok_or_else(|| JobError::GiveUp("the payload names no endpoint".to_owned()))?;
        let earliest = match self.0.deliver(endpoint).await {
            Ok(earliest) => earliest,
            Err(AlertingError::Storage(error)) => return Err(JobError::Storage(error)),
            Err(error) => return Err(JobError::Failed(error.to_string())),
        };
        self.0.parts.db.write(async |tx| self.0.finish_in(tx, job, endpoint, earliest).await).await
    }
}

/// Deliveries in the hands of this worker.
pub(crate) struct Round {
    project: ProjectId,
    url: String,
    secrets: Vec<SigningSecret>,
    deliveries: Vec<Claimed>,
}

impl Core {
    /// Sends until nothing is due, nothing was taken, or others should have their turn; before when the next round
    /// need not begin.
    async fn deliver(&self, endpoint: EndpointId) -> Result<Timestamp, AlertingError> {
        let clock = &self.parts.clock;
        let end = clock.now().plus(ROUND_MAX);
        while clock.now() < end {
            let Some(round) = self.claim(endpoint).await? else { break };
            let outcomes = self.send(&round).await;
            let is_any_delivered = outcomes.iter().any(|outcome| outcome.state == DeliveryState::Delivered);
            self.settle(endpoint, round.project, &outcomes).await?;
            if !is_any_delivered {
                return Ok(clock.now().plus(PAUSE));
            }
        }
        Ok(clock.now())
    }

    /// Takes some due deliveries; none while another worker holds some, as it looks again before it ends.
    pub(crate) async fn claim(&self, endpoint: EndpointId) -> Result<Option<Round>, AlertingError> {
        let now = self.parts.clock.now();
        let claimed = self.parts.db.write::<_, StorageError, _>(async |tx| {
            let Some(recipient) = store::lock_recipient(tx, endpoint, now).await? else { return Ok(None) };
            if store::has_claimed(tx, endpoint, now).await? {
                return Ok(None);
            }
            let deliveries = store::claim(tx, endpoint, IN_FLIGHT_MAX, now, now.plus(HELD)).await?;
            Ok(Some((recipient, deliveries)).filter(|(_, deliveries)| !deliveries.is_empty()))
        });
        let Some((recipient, deliveries)) = claimed.await? else { return Ok(None) };
        let mut secrets = Vec::new();
        for sealed in [Some(recipient.secret_sealed), recipient.old_secret_sealed].into_iter().flatten() {
            let opened = self.parts.vault.open(KeyOwner::System, &sealed).await?;
            secrets.push(SigningSecret::from_bytes(opened));
        }
        Ok(Some(Round { project: recipient.project, url: recipient.url, secrets, deliveries }))
    }

    /// Sends the deliveries of a round side by side.
    pub(crate) async fn send(&self, round: &Round) -> Vec<Outcome> {
        join_all(round.deliveries.iter().map(|delivery| self.attempt(round, delivery))).await
    }

    async fn attempt(&self, round: &Round, delivery: &Claimed) -> Outcome {
        let answer = match parse_url(&round.url, self.parts.private_targets) {
            Ok(url) => {
                let (id, timestamp) = (format!("msg_{}", delivery.id), self.parts.clock.now().as_seconds());
                let signature = signatures(&round.secrets, &id, timestamp, &delivery.body);
                let body = delivery.body.clone();
                self.sender.post(Message { url, id, timestamp, signature, body }).await
            }
            Err(why) => Answer::none(format!("the URL {why}")),
        };
        let now = self.parts.clock.now();
        let (state, next_at) = if answer.is_success() {
            (DeliveryState::Delivered, now)
        } else {
            // Who is gone does not come back by being asked again.
            let attempt = if answer.status == Some(GONE) { u32::MAX } else { delivery.attempt };
            match retry::pause(attempt, random_unit(), answer.retry_after) {
                Some(pause) => (DeliveryState::Pending, now.plus(pause)),
                None => (DeliveryState::Dead, now),
            }
        };
        let (status, answer) = (answer.status, answer.text);
        Outcome { id: delivery.id, attempt: delivery.attempt, state, next_at, status, answer }
    }

    async fn settle(
        &self,
        endpoint: EndpointId,
        project: ProjectId,
        outcomes: &[Outcome],
    ) -> Result<(), StorageError> {
        let now = self.parts.clock.now();
        let is_gone = outcomes.iter().any(|outcome| outcome.status == Some(GONE));
        self.parts
            .db
            .write(async |tx| {
                for outcome in outcomes {
                    store::settle(tx, endpoint, outcome, now).await?;
                }
                if is_gone && store::disable(tx, endpoint).await? {
                    tracing::warn!(%project, %endpoint, "an endpoint answered 410 and is disabled");
                    let entry = Entry {
                        project: Some(project),
                        target: Some(Target { kind: "webhook", id: endpoint.to_string() }),
                        detail: json!({ "is_enabled": false, "status": GONE }),
                        ..Entry::new(Actor::System("webhooks"), "webhook_changed")
                    };
                    self.parts.audit.record(tx, entry).await?;
                }
                Ok(())
            })
            .await
    }

    /// Ends a job, and begins the next one where there is more to do.
    async fn finish_in(
        &self,
        tx: &Tx,
        job: &RunningJob,
        endpoint: EndpointId,
        earliest: Timestamp,
    ) -> Result<(), JobError> {
        let now = self.parts.clock.now();
        if store::lock_recipient(tx, endpoint, now).await?.is_some()
            && let Some(due) = store::find_next_due(tx, endpoint, now).await?
        {
            enqueue_in(tx, &self.parts.jobs, endpoint, due.max(earliest)).await?;
        }
        job.finish_in(tx).await
    }
}

/// A random number from 0 to 1; without random numbers, 1.
fn random_unit() -> f64 {
    getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX))
}
