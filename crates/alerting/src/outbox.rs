//! From notices to deliveries, in the transaction that makes them true.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use belvedere_kernel::{Notice, Notifier, ProjectId, SubjectId};
use belvedere_storage::{Id, StorageError, Timestamp, Tx};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::deliver::enqueue_in;
use crate::model::{DeliveryId, EndpointId};
use crate::service::{AlertingService, Core};
use crate::store::{self, NewDelivery};

/// What a delivery that only tries an endpoint tells of.
pub const PING: &str = "ping";

/// The largest body of a delivery.
const BODY_BYTES_MAX: usize = 64 << 10;

/// The deliveries of one endpoint that may wait.
const WAITING_MAX: u64 = 10_000;

/// What a receiver gets: the payload that Standard Webhooks recommends, and the project.
pub(crate) fn body(kind: &str, at: Timestamp, project: ProjectId, data: &Value) -> String {
    json!({ "type": kind, "timestamp": at, "project": project, "data": data }).to_string()
}

/// What only one notice of a project has.
pub(crate) fn notice_hash(kind: &str, key: &str) -> Vec<u8> {
    let mut hasher = Sha256::new();
    for part in [kind, key] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().iter().take(16).copied().collect()
}

/// Deliveries under construction.
struct Outgoing {
    project: ProjectId,
    now: Timestamp,
    rows: Vec<NewDelivery>,
}

impl Outgoing {
    fn add(&mut self, endpoint: EndpointId, kind: &str, key: &str, subject: Option<SubjectId>, body: &str) {
        self.rows.push(NewDelivery {
            id: DeliveryId::generate(self.now),
            endpoint,
            kind: kind.to_owned(),
            notice_hash: notice_hash(kind, key),
            subject,
            body: body.to_owned(),
        });
    }

    /// Writes what is not known yet, and has it sent.
    async fn store_in(self, tx: &Tx, core: &Core) -> Result<BTreeSet<EndpointId>, StorageError> {
        let told = store::insert_deliveries(tx, self.project, self.rows, self.now).await?;
        for endpoint in &told {
            let dropped = store::drop_oldest(tx, *endpoint, WAITING_MAX).await?;
            if dropped > 0 {
                store::count_dropped(tx, *endpoint, dropped).await?;
                let project = self.project;
                tracing::warn!(%project, %endpoint, dropped, "too many deliveries wait, the oldest were dropped");
            }
            enqueue_in(tx, &core.parts.jobs, *endpoint, self.now).await?;
        }
        Ok(told)
    }
}

/// A delivery that says nothing.
pub(crate) async fn ping_in(
    tx: &Tx,
    core: &Core,
    project: ProjectId,
    endpoint: EndpointId,
) -> Result<DeliveryId, StorageError> {
    let now = core.parts.clock.now();
    let mut outgoing = Outgoing { project, now, rows: Vec::new() };
    let key = Id::<()>::generate(now).to_string();
    outgoing.add(endpoint, PING, &key, None, &body(PING, now, project, &json!({})));
    let id = outgoing.rows.first().map(|row| row.id);
    outgoing.store_in(tx, core).await?;
    id.ok_or_else(|| StorageError::corrupt("a delivery was not made"))
}

#[async_trait]
impl Notifier for AlertingService {
    async fn notify_in(&self, tx: &Tx, project: ProjectId, notices: &[Notice]) -> Result<(), StorageError> {
        if notices.is_empty() {
            return Ok(());
        }
        let endpoints = store::list_listeners(tx, project).await?;
        if endpoints.is_empty() {
            return Ok(());
        }
        let now = self.core.parts.clock.now();
        let mut outgoing = Outgoing { project, now, rows: Vec::new() };
        let mut too_large: BTreeMap<EndpointId, u64> = BTreeMap::new();
        for notice in notices {
            let mut listeners = endpoints.iter().filter(|it| it.kinds.contains(&notice.kind)).peekable();
            if listeners.peek().is_none() {
                continue;
            }
            let kind = notice.kind.as_str();
            let body = body(kind, now, project, &notice.data);
            for listener in listeners {
                if body.len() > BODY_BYTES_MAX {
                    *too_large.entry(listener.id).or_default() += 1;
                } else {
                    outgoing.add(listener.id, kind, &notice.key, notice.subject, &body);
                }
            }
        }
        for (endpoint, dropped) in too_large {
            store::count_dropped(tx, endpoint, dropped).await?;
            tracing::warn!(%project, %endpoint, dropped, "deliveries of more than 64 KiB were dropped");
        }
        outgoing.store_in(tx, &self.core).await.map(drop)
    }
}
