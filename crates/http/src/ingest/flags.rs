//! Feature flags as PostHog's clients ask for them: the answers for somebody, and what servers decide by themselves.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_business_intelligence::feature_flag::{
    Decided, FeatureFlag, FlagCondition, Reason, Told, decide,
};
use belvedere_business_intelligence::insight::PropertyOp;
use belvedere_business_intelligence::track::ITEM;
use belvedere_kernel::ProjectId;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{Refusal, preflight};
use super::posthog::unwrap_form;
use super::sentry::{Door, refuse};
use super::track::{encoding_of, json_answer};
use crate::api::{Parameters, project};
use crate::problem::Problem;
use crate::routes::{Access, Caller, Routes};
use crate::state::Shared;

const FLAGS: [&str; 4] = ["/flags", "/flags/", "/decide", "/decide/"];

/// Where servers ask for flags, which they then decide by themselves.
const DEFINITIONS: [&str; 4] = [
    "/flags/definitions",
    "/flags/definitions/",
    "/api/feature_flag/local_evaluation",
    "/api/feature_flag/local_evaluation/",
];

/// The largest question for flags, in bytes.
const QUESTION_BYTES_MAX: usize = 256 << 10;

/// The longest id that flags are decided for, in bytes.
const ID_BYTES_MAX: usize = 500;

pub(super) fn routes(mut routes: Routes) -> Routes {
    for path in FLAGS {
        routes = routes.post(path, Access::IngestKey, flags).options(path, super::PREFLIGHT, preflight);
    }
    for path in DEFINITIONS {
        routes = routes.get(path, Access::Needs(Permission::ViewAnalytics), definitions);
    }
    routes
}

/// Who asks, and what is told of them. Nothing of it is kept.
#[derive(Deserialize)]
struct Asker {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    api_key: Option<String>,
    /// A text or a number.
    #[serde(default)]
    distinct_id: Value,
    #[serde(default)]
    person_properties: Option<Told>,
    /// All where it is left out.
    #[serde(default)]
    flag_keys_to_evaluate: Option<Vec<String>>,
}

impl Asker {
    fn id(&self) -> Result<Option<String>, Refusal> {
        let id = match &self.distinct_id {
            Value::String(id) => id.clone(),
            Value::Number(id) => id.to_string(),
            _ => String::new(),
        };
        if id.len() > ID_BYTES_MAX {
            return Err(Refusal::Event(format!("distinct_id: must have at most {ID_BYTES_MAX} bytes")));
        }
        Ok(Some(id).filter(|id| !id.is_empty()))
    }
}

/// The flags of whoever asks, in the shapes of all versions of the question.
async fn flags(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut door = Door::new(&shared, parts, None);
    match ask(&shared, &mut door, body).await {
        Ok(answer) => json_answer(StatusCode::OK, &answer),
        Err(refusal) => refuse(&door, refusal, ITEM),
    }
}

async fn ask(shared: &Shared, door: &mut Door<'_>, body: axum::body::Body) -> Result<Value, Refusal> {
    let body = shared.bodies.read(body, QUESTION_BYTES_MAX).await?;
    if body.bytes.is_empty() && !door.has_key() {
        return Err(Refusal::NoWriteKey);
    }
    let look = |bytes: &[u8], is_whole: bool| {
        is_whole.then(|| match unwrap_form(bytes) {
            Some(json) => serde_json::from_slice::<Asker>(&json.unwrap_or_default()),
            None => serde_json::from_slice::<Asker>(bytes),
        })
    };
    let asker = shared.bodies.decode(encoding_of(door, &body.bytes), &body.bytes, look).await?;
    let asker = asker.map_err(|error| Refusal::Event(error.to_string()))?;
    let key = door.authenticate_track(asker.token.as_deref().or(asker.api_key.as_deref())).await?;
    let Some(id) = asker.id()? else { return Ok(answer(&[])) };
    let flags = shared.feature_flags.flags_now(key.project).await?;
    let told = asker.person_properties.unwrap_or_default();
    let is_wanted = |flag: &&FeatureFlag| {
        let wanted = asker.flag_keys_to_evaluate.as_ref();
        flag.is_active && wanted.is_none_or(|keys| keys.contains(&flag.key))
    };
    let decided: Vec<(&FeatureFlag, Decided)> =
        flags.iter().filter(is_wanted).map(|flag| (flag, decide(flag, &id, &told))).collect();
    Ok(answer(&decided))
}

fn answer(decided: &[(&FeatureFlag, Decided)]) -> Value {
    let flags: Map<String, Value> =
        decided.iter().map(|(flag, decided)| (flag.key.clone(), detail(flag, *decided))).collect();
    let values: Map<String, Value> =
        decided.iter().map(|(flag, decided)| (flag.key.clone(), decided.is_on.into())).collect();
    let payload = |(flag, decided): &(&FeatureFlag, Decided)| {
        let payload = flag.payload.as_ref().filter(|_| decided.is_on)?;
        Some((flag.key.clone(), payload.as_str().into()))
    };
    let payloads: Map<String, Value> = decided.iter().filter_map(payload).collect();
    json!({
        "flags": flags, "featureFlags": values, "featureFlagPayloads": payloads,
        "errorsWhileComputingFlags": false, "config": {"enable_collect_everything": false},
        "supportedCompression": ["gzip", "gzip-js"], "sessionRecording": false, "isAuthenticated": false,
        "toolbarParams": {}, "siteApps": [],
    })
}

fn detail(flag: &FeatureFlag, decided: Decided) -> Value {
    let (code, description) = match decided.reason {
        Reason::Match => ("condition_match", "The conditions hold"),
        Reason::OutOfShare => ("out_of_rollout_bound", "The id is not in the share"),
        Reason::NoMatch => ("no_condition_match", "A condition does not hold"),
        Reason::Inactive => ("disabled", "Nobody has the flag"),
    };
    json!({
        "key": flag.key, "enabled": decided.is_on, "variant": null,
        "reason": {"code": code, "condition_index": 0, "description": description},
        "metadata": {
            "id": flag.number, "version": flag.version, "description": flag.note,
            "payload": flag.payload.as_ref().filter(|_| decided.is_on),
        },
    })
}

#[derive(Deserialize)]
struct Wanted {
    /// A project's key; the only project's if it is left out.
    #[serde(default)]
    token: Option<String>,
}

/// The flags themselves, for a server that decides by itself. For programs with a token of the API, as they tell who gets
/// what.
async fn definitions(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Json<Value>, Problem> {
    let named: Option<ProjectId> = match wanted.token.as_deref() {
        None => None,
        Some(key) => match shared.ingest_keys.find_ingest_key(key).await? {
            Some(key) => Some(key.project),
            None => return Err(Problem::not_found("project")),
        },
    };
    let project = project(&shared, &caller, named.map(|project| project.to_string()).as_deref()).await?;
    let flags = shared.feature_flags.flags_now(project.id).await?;
    let flags: Vec<Value> = flags.iter().map(definition).collect();
    Ok(Json(json!({ "flags": flags, "group_type_mapping": {}, "cohorts": {} })))
}

fn definition(flag: &FeatureFlag) -> Value {
    let properties: Vec<Value> = flag.conditions.iter().map(property).collect();
    let payloads = flag.payload.as_ref().map_or_else(|| json!({}), |payload| json!({ "true": payload }));
    json!({
        "id": flag.number, "key": flag.key, "name": flag.note, "active": flag.is_active, "deleted": false,
        "version": flag.version, "ensure_experience_continuity": false,
        "filters": {
            "groups": [{
                "properties": properties, "rollout_percentage": flag.share_percent, "variant": null,
            }],
            "payloads": payloads, "multivariate": null, "aggregation_group_type_index": null,
        },
    })
}

fn property(condition: &FlagCondition) -> Value {
    let operator = match condition.op {
        PropertyOp::Is => "exact",
        PropertyOp::IsNot => "is_not",
        PropertyOp::Contains => "icontains",
        PropertyOp::Greater => "gt",
        PropertyOp::Less => "lt",
        PropertyOp::Set => "is_set",
        PropertyOp::NotSet => "is_not_set",
    };
    let value = condition.value.as_deref().unwrap_or(operator);
    json!({ "key": condition.property, "type": "person", "operator": operator, "value": value, "negation": false })
}
