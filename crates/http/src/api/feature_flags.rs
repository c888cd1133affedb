//! Feature flags.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use belvedere_accounts::Permission;
use belvedere_business_intelligence::feature_flag::{FeatureFlag, FlagChange, FlagCondition, NewFlag};
use belvedere_business_intelligence::insight::PropertyOp;
use belvedere_storage::Timestamp;
use http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::business::changed_by;
use super::input::{InProject, JsonBody, PathText, project};
use crate::problem::Problem;
use crate::routes::{Access, Caller, Routes};
use crate::state::Shared;

pub(super) fn routes(routes: Routes) -> Routes {
    let view = Access::Needs(Permission::ViewAnalytics);
    let manage = Access::Needs(Permission::ManageFeatureFlags);
    routes
        .get("/api/v1/feature_flags", view, list_feature_flags)
        .post("/api/v1/feature_flags", manage, create_feature_flag)
        .get("/api/v1/feature_flags/{key}", view, find_feature_flag)
        .put("/api/v1/feature_flags/{key}", manage, update_feature_flag)
        .delete("/api/v1/feature_flags/{key}", manage, delete_feature_flag)
}

/// Something that must hold of what a client tells of whoever asks; upper and lower case are alike.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FlagConditionSchema {
    /// The name of a property, 1 to 200 bytes.
    property: String,
    /// `is`, `is_not`, `contains`, `greater`, `less`, `set` or `not_set`.
    op: String,
    /// With what it is compared; left out for `set` and `not_set`.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

impl From<FlagCondition> for FlagConditionSchema {
    fn from(condition: FlagCondition) -> Self {
        Self { property: condition.property, op: condition.op.as_str().to_owned(), value: condition.value }
    }
}

/// Something that some have and others have not.
#[derive(Serialize, ToSchema)]
pub(super) struct FeatureFlagAnswer {
    /// What programs ask for.
    key: String,
    /// Its number in the project.
    number: i64,
    /// What it is for.
    note: String,
    /// Whether anybody has it.
    is_active: bool,
    /// How many in a hundred have it, of those for whom the conditions hold.
    share_percent: u8,
    /// What must hold, all of it.
    conditions: Vec<FlagConditionSchema>,
    /// What those are given who have it; null for nothing.
    payload: Option<Value>,
    /// From 1, one more with each change.
    version: i64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was changed.
    #[schema(value_type = String, format = DateTime)]
    changed_at: Timestamp,
}

impl From<FeatureFlag> for FeatureFlagAnswer {
    fn from(flag: FeatureFlag) -> Self {
        Self {
            key: flag.key,
            number: flag.number,
            note: flag.note,
            is_active: flag.is_active,
            share_percent: flag.share_percent,
            conditions: flag.conditions.into_iter().map(Into::into).collect(),
            payload: flag.payload.and_then(|payload| serde_json::from_str(&payload).ok()),
            version: flag.version,
            created_at: flag.created_at,
            changed_at: flag.changed_at,
        }
    }
}

fn active() -> bool {
    true
}

/// A flag to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewFeatureFlagBody {
    /// The project's number or slug; may be left out while there is only one.
    project: Option<String>,
    /// What programs ask for: 1 to 100 letters, digits, dashes, underscores and dots; no two of a project the same.
    key: String,
    /// What it is for, at most 200 characters.
    #[serde(default)]
    note: String,
    /// Whether anybody has it; true if left out.
    #[serde(default = "active")]
    is_active: bool,
    /// How many in a hundred have it: 0 to 100.
    share_percent: u8,
    /// What must hold, all of it; at most 10.
    #[serde(default)]
    conditions: Vec<FlagConditionSchema>,
    /// JSON of at most 8 KiB that those are given who have it.
    payload: Option<Value>,
}

/// Tells `null` from what is left out.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// What changes about a flag; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FeatureFlagChangeBody {
    /// What it is for.
    note: Option<String>,
    /// Whether anybody has it.
    is_active: Option<bool>,
    /// How many in a hundred have it.
    share_percent: Option<u8>,
    /// What must hold.
    conditions: Option<Vec<FlagConditionSchema>>,
    /// What those are given who have it; null for nothing.
    #[serde(default, deserialize_with = "given")]
    payload: Option<Value>,
}

fn conditions(bodies: Vec<FlagConditionSchema>) -> Result<Vec<FlagCondition>, Problem> {
    let condition = |body: FlagConditionSchema| {
        let op = PropertyOp::find(&body.op);
        let why = "op must be is, is_not, contains, greater, less, set or not_set";
        let op = op.ok_or_else(|| Problem::invalid("conditions", why))?;
        Ok(FlagCondition { property: body.property, op, value: body.value })
    };
    bodies.into_iter().map(condition).collect()
}

fn text(payload: Value) -> Option<String> {
    Some(payload).filter(|payload| !payload.is_null()).map(|payload| payload.to_string())
}

/// List a project's feature flags by key
#[utoipa::path(get, path = "/api/v1/feature_flags", tag = "feature flags", params(InProject),
    responses((status = 200, description = "At most 200 flags", body = Vec<FeatureFlagAnswer>)))]
pub(super) async fn list_feature_flags(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
) -> Result<Json<Vec<FeatureFlagAnswer>>, Problem> {
    let flags = shared.feature_flags.list_flags(project.id).await?;
    Ok(Json(flags.into_iter().map(Into::into).collect()))
}

/// Make a feature flag
#[utoipa::path(post, path = "/api/v1/feature_flags", tag = "feature flags", request_body = NewFeatureFlagBody,
    responses((status = 201, description = "The new flag", body = FeatureFlagAnswer)))]
pub(super) async fn create_feature_flag(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    JsonBody(body): JsonBody<NewFeatureFlagBody>,
) -> Result<(StatusCode, Json<FeatureFlagAnswer>), Problem> {
    let project = project(&shared, &caller, body.project.as_deref()).await?;
    let new = NewFlag {
        key: body.key,
        note: body.note,
        is_active: body.is_active,
        share_percent: body.share_percent,
        conditions: conditions(body.conditions)?,
        payload: body.payload.and_then(text),
    };
    let flag = shared.feature_flags.create_flag(project.id, new, &changed_by(&caller)).await?;
    Ok((StatusCode::CREATED, Json(flag.into())))
}

/// Find a feature flag
#[utoipa::path(get, path = "/api/v1/feature_flags/{key}", tag = "feature flags",
    params(("key" = String, Path, description = "The flag's key"), InProject),
    responses((status = 200, description = "The flag", body = FeatureFlagAnswer)))]
pub(super) async fn find_feature_flag(
    State(shared): State<Arc<Shared>>,
    PathText(key): PathText,
    InProject(project): InProject,
) -> Result<Json<FeatureFlagAnswer>, Problem> {
    Ok(Json(shared.feature_flags.find_flag(project.id, &key).await?.into()))
}

/// Change who has a feature flag
#[utoipa::path(put, path = "/api/v1/feature_flags/{key}", tag = "feature flags", request_body = FeatureFlagChangeBody,
    params(("key" = String, Path, description = "The flag's key"), InProject),
    responses((status = 200, description = "The flag as it is now", body = FeatureFlagAnswer)))]
pub(super) async fn update_feature_flag(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    PathText(key): PathText,
    InProject(project): InProject,
    JsonBody(body): JsonBody<FeatureFlagChangeBody>,
) -> Result<Json<FeatureFlagAnswer>, Problem> {
    let change = FlagChange {
        note: body.note,
        is_active: body.is_active,
        share_percent: body.share_percent,
        conditions: body.conditions.map(conditions).transpose()?,
        payload: body.payload.map(text),
    };
    Ok(Json(shared.feature_flags.change_flag(project.id, &key, change, &changed_by(&caller)).await?.into()))
}

/// Delete a feature flag: nobody has it from then on
#[utoipa::path(delete, path = "/api/v1/feature_flags/{key}", tag = "feature flags",
    params(("key" = String, Path, description = "The flag's key"), InProject),
    responses((status = 204, description = "It is gone")))]
pub(super) async fn delete_feature_flag(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    PathText(key): PathText,
    InProject(project): InProject,
) -> Result<StatusCode, Problem> {
    shared.feature_flags.delete_flag(project.id, &key, &changed_by(&caller)).await?;
    Ok(StatusCode::NO_CONTENT)
}
