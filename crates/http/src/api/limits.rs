//! What a project keeps and how much of it may arrive.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use belvedere_accounts::Project;
use belvedere_error_tracking::limits::{Category, ChangeLimits, ProjectLimits, Quota, SpikeProtection};
use belvedere_storage::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::input::{JsonBody, PathText, project};
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

/// How many days of storage are listed.
const DAYS: u32 = 30;

/// What a project keeps and how much of it may arrive.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsBody {
    /// How long events, feedback and their attachments are kept, in days: 1 to 3,650.
    event_days: u32,
    /// How many of an issue's newest events are kept in full, 10 to 1,000,000; of older ones the first of each hour.
    events_in_full: u32,
    /// How many bytes of attachments are kept; none with 0.
    attachment_bytes_max: u64,
    /// Whether text and JSON attachments of up to 1 MiB are scrubbed like events.
    scrubs_attachments: bool,
    /// Whether name and e-mail address of feedback are kept, sealed.
    keeps_contacts: bool,
    /// What happens when errors arrive in unusual numbers.
    spike_protection: SpikeBody,
    /// The most that may arrive, by category: `error`, `transaction`, `session`, `attachment` (bytes), `log`,
    /// `monitor`, `feedback`, `default`. No limit where there is none.
    #[serde(default)]
    quotas: BTreeMap<String, QuotaBody>,
}

/// Protection against errors in unusual numbers.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SpikeBody {
    /// Whether it is on.
    is_on: bool,
    /// How many times a busy hour is unusual: 2 to 1,000.
    multiplier: u32,
}

/// The most of one category that may arrive; null is unlimited.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct QuotaBody {
    /// In a minute, for each process that receives.
    #[serde(default)]
    per_minute: Option<u64>,
    /// In a month (UTC).
    #[serde(default)]
    per_month: Option<u64>,
}

impl From<ProjectLimits> for LimitsBody {
    fn from(limits: ProjectLimits) -> Self {
        let quota = |(category, quota): (Category, Quota)| {
            let body = QuotaBody { per_minute: quota.per_minute, per_month: quota.per_month };
            (category.as_str().to_owned(), body)
        };
        Self {
            event_days: limits.event_days,
            events_in_full: limits.events_in_full,
            attachment_bytes_max: limits.attachment_bytes_max,
            scrubs_attachments: limits.scrubs_attachments,
            keeps_contacts: limits.keeps_contacts,
            spike_protection: SpikeBody {
                is_on: limits.spike_protection.is_on,
                multiplier: limits.spike_protection.multiplier,
            },
            quotas: limits.quotas.into_iter().map(quota).collect(),
        }
    }
}

impl LimitsBody {
    fn into_limits(self) -> Result<ProjectLimits, Problem> {
        let quota = |(category, quota): (String, QuotaBody)| {
            let category = category.parse::<Category>();
            let category = category
                .map_err(|error| Problem::invalid("quotas", format!("has a name that is {error}")))?;
            Ok((category, Quota { per_minute: quota.per_minute, per_month: quota.per_month }))
        };
        Ok(ProjectLimits {
            event_days: self.event_days,
            events_in_full: self.events_in_full,
            attachment_bytes_max: self.attachment_bytes_max,
            scrubs_attachments: self.scrubs_attachments,
            keeps_contacts: self.keeps_contacts,
            spike_protection: SpikeProtection {
                is_on: self.spike_protection.is_on,
                multiplier: self.spike_protection.multiplier,
            },
            quotas: self.quotas.into_iter().map(quota).collect::<Result<_, Problem>>()?,
        })
    }
}

/// What a project takes on disk, and what its doors have let in.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StorageAnswer {
    /// All that is stored, by kind.
    kinds: Vec<StoredAnswer>,
    /// What is stored of the last 30 days, by the day on which it was received.
    days: Vec<StoredDayAnswer>,
    /// What was let in since the beginning of the month (UTC): items, of attachments bytes.
    usage: BTreeMap<String, u64>,
}

/// What one kind takes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StoredAnswer {
    /// `event`, `attachment` or `feedback`.
    kind: &'static str,
    /// How many.
    items: u64,
    /// Bytes as stored, compressed.
    bytes: u64,
}

/// What one kind takes of one day.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StoredDayAnswer {
    /// The beginning of the day (UTC).
    #[schema(value_type = String, format = DateTime)]
    day: Timestamp,
    #[serde(flatten)]
    stored: StoredAnswer,
}

async fn project_of(shared: &Shared, caller: &Caller, path: &PathText) -> Result<Project, Problem> {
    project(shared, caller, Some(&path.0)).await
}

/// Read a project's limits
#[utoipa::path(get, path = "/api/v1/projects/{project}/limits", tag = "projects",
    params(("project" = String, Path, description = "The project's number or slug")),
    responses((status = 200, description = "What is set, or the default", body = LimitsBody)))]
pub(super) async fn find_limits(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
) -> Result<Json<LimitsBody>, Problem> {
    let project = project_of(&shared, &caller, &path).await?;
    Ok(Json(shared.project_limits.find_limits(project.id).await?.into()))
}

/// Replace a project's limits
#[utoipa::path(put, path = "/api/v1/projects/{project}/limits", tag = "projects", request_body = LimitsBody,
    params(("project" = String, Path, description = "The project's number or slug")),
    responses((status = 200, description = "What is set now", body = LimitsBody)))]
pub(super) async fn update_limits(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
    JsonBody(body): JsonBody<LimitsBody>,
) -> Result<Json<LimitsBody>, Problem> {
    let project = project_of(&shared, &caller, &path).await?;
    let change = ChangeLimits {
        actor: caller.principal.actor,
        organisation: caller.principal.organisation,
        project: project.id,
        limits: body.into_limits()?,
        request_id: caller.client.request_id.clone(),
    };
    shared.project_limits.change_limits(change).await?;
    Ok(Json(shared.project_limits.find_limits(project.id).await?.into()))
}

/// Read what a project takes on disk
#[utoipa::path(get, path = "/api/v1/projects/{project}/storage", tag = "projects",
    params(("project" = String, Path, description = "The project's number or slug")),
    responses((status = 200, description = "By kind and by day", body = StorageAnswer)))]
pub(super) async fn find_storage(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: PathText,
) -> Result<Json<StorageAnswer>, Problem> {
    let project = project_of(&shared, &caller, &path).await?;
    let limits = &shared.project_limits;
    let (kinds, days, usage) = tokio::join!(
        limits.sum_storage(project.id),
        limits.list_storage_days(project.id, DAYS),
        limits.list_usage(project.id),
    );
    let stored = |kind: &'static str, items, bytes| StoredAnswer { kind, items, bytes };
    Ok(Json(StorageAnswer {
        kinds: kinds?.into_iter().map(|sum| stored(sum.kind.as_str(), sum.items, sum.bytes)).collect(),
        days: days?
            .into_iter()
            .map(|day| StoredDayAnswer {
                day: day.day,
                stored: stored(day.kind.as_str(), day.items, day.bytes),
            })
            .collect(),
        usage: usage?.into_iter().map(|(category, used)| (category.as_str().to_owned(), used)).collect(),
    }))
}
