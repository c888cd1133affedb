//! The door of the xAPI record store, under `/xapi`: both versions at once, chosen by `X-Experience-API-Version`.

mod answer;
mod call;
mod description;
mod documents;
mod mixed;
mod parameters;
mod statements;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use belvedere_accounts::XapiScope;
use belvedere_xapi::json::Json;
use belvedere_xapi::statement::{Ifi, Path, check_agent};
use belvedere_xapi::value;
use belvedere_xapi::{Version, XapiError};
use http::{Method, StatusCode};

use crate::routes::{Access, Routes};
use crate::state::Shared;

pub(crate) use answer::dress;
pub(crate) use description::RecordStorePaths;

use answer::{Refusal, json};
use call::{Call, Visit};

/// What every address begins with.
pub(crate) const BASE: &str = "/xapi";

const PREFLIGHT: Access = Access::Public("browsers send no credentials with a preflight request");
const ABOUT: Access = Access::Public("says which versions of the specification are spoken, and nothing else");

pub(crate) fn routes(mut routes: Routes) -> Routes {
    let key = Access::XapiKey;
    routes = routes
        .get("/xapi/about", ABOUT, about)
        .get("/xapi/statements", key, statements)
        .put("/xapi/statements", key, statements)
        .post("/xapi/statements", key, statements)
        .get("/xapi/activities", key, activities)
        .post("/xapi/activities", key, activities)
        .get("/xapi/agents", key, agents)
        .post("/xapi/agents", key, agents)
        .get("/xapi/activities/state", key, state)
        .put("/xapi/activities/state", key, state)
        .post("/xapi/activities/state", key, state)
        .delete("/xapi/activities/state", key, state)
        .get("/xapi/activities/profile", key, activity_profile)
        .put("/xapi/activities/profile", key, activity_profile)
        .post("/xapi/activities/profile", key, activity_profile)
        .delete("/xapi/activities/profile", key, activity_profile)
        .get("/xapi/agents/profile", key, agent_profile)
        .put("/xapi/agents/profile", key, agent_profile)
        .post("/xapi/agents/profile", key, agent_profile)
        .delete("/xapi/agents/profile", key, agent_profile);
    for path in [
        "/xapi/about",
        "/xapi/statements",
        "/xapi/activities",
        "/xapi/agents",
        "/xapi/activities/state",
        "/xapi/activities/profile",
        "/xapi/agents/profile",
    ] {
        routes = routes.options(path, PREFLIGHT, answer::preflight);
    }
    routes
}

/// Answers a call to a resource: finds out whose it is, hands it to `resource`, and words what went wrong.
async fn serve<F>(shared: Arc<Shared>, request: Request, resource: F) -> Response
where
    F: for<'a> AsyncFnOnce(&'a Shared, Visit, Call) -> Result<Response, Refusal>,
{
    let visited = Visit::begin(&shared, request).await;
    let (version, result) = match visited {
        Ok((visit, call, share)) => {
            let version = visit.version;
            let result = resource(&shared, visit, call).await;
            drop(share);
            (version, result)
        }
        Err((version, refusal)) => (version, Err(refusal)),
    };
    answer::finish(&shared, version, result)
}

async fn statements(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    serve(shared, request, async |shared, visit, call| match call.method {
        Method::PUT | Method::POST => statements::store(shared, visit, call).await,
        Method::GET | Method::HEAD => statements::find(shared, visit, call).await,
        _ => Err(Refusal::method()),
    })
    .await
}

async fn state(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    serve(shared, request, async |shared, visit, call| {
        documents::serve(shared, visit, call, documents::Kind::State).await
    })
    .await
}

async fn activity_profile(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    serve(shared, request, async |shared, visit, call| {
        documents::serve(shared, visit, call, documents::Kind::ActivityProfile).await
    })
    .await
}

async fn agent_profile(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    serve(shared, request, async |shared, visit, call| {
        documents::serve(shared, visit, call, documents::Kind::AgentProfile).await
    })
    .await
}

async fn activities(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    serve(shared, request, async |shared, visit, mut call| {
        visit.require(shared, &[XapiScope::StatementsRead, XapiScope::Profile]).await?;
        call.only_read()?;
        let id = call.parameters.require("activityId", activity_id)?;
        call.parameters.end()?;
        Ok(json(StatusCode::OK, shared.xapi.find_activity(visit.key.project, &id).await?))
    })
    .await
}

async fn agents(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    serve(shared, request, async |shared, visit, mut call| {
        visit.require(shared, &[XapiScope::StatementsRead, XapiScope::Profile]).await?;
        call.only_read()?;
        let agent = call.parameters.require("agent", agent)?;
        call.parameters.end()?;
        Ok(json(StatusCode::OK, shared.xapi.find_person(visit.key.project, &agent).await?))
    })
    .await
}

async fn about(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let version = call::version_of(request.headers()).unwrap_or(Version::Two);
    let result = if shared.features.xapi {
        // Clients of 1.0.x refuse a list with versions that they do not know.
        let versions = match version {
            Version::One => r#"{"version":["1.0.3","1.0.2","1.0.1","1.0.0"]}"#,
            Version::Two => r#"{"version":["2.0.0","1.0.3","1.0.2","1.0.1","1.0.0"]}"#,
        };
        Ok(json(StatusCode::OK, versions.to_owned()))
    } else {
        Err(Refusal::switched_off())
    };
    answer::finish(&shared, version, result)
}

fn activity_id(text: &str) -> Result<String, String> {
    if value::is_iri(text) { Ok(text.to_owned()) } else { Err("must be an absolute IRI".to_owned()) }
}

/// An agent or identified group in a parameter.
fn agent(text: &str) -> Result<Ifi, String> {
    /// An agent has objects in it, and no more.
    const DEPTH_MAX: usize = 8;
    let json = Json::parse(text.as_bytes(), DEPTH_MAX).map_err(|error| XapiError::from(error).to_string())?;
    check_agent(&json, &Path::Root).map_err(|error| error.to_string())
}
