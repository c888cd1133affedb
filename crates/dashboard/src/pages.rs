//! The routes and their handlers, one file a section.

mod activity;
mod attachments;
mod audit;
mod boards;
mod business;
mod cohorts;
mod crons;
mod events;
mod feature_flags;
mod feedback;
mod gate;
mod insights;
mod issue_events;
mod issue_list;
mod issue_tag;
mod issues;
mod learning;
mod logs;
mod overview;
mod pipeline;
mod projects;
mod properties;
mod query;
mod releases;
mod saved_searches;
mod settings;
mod subjects;
pub(crate) mod triage;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Router, middleware};
use belvedere_storage::{Cursor, PageRequest};

use crate::assets;
use crate::form::Pairs;
use crate::live::{self, Streams};
use crate::refusal::Refusal;
use crate::respond;
use crate::session;
use crate::state::DashboardState;

/// The largest form: two lists of a hundred words and room to spare.
const FORM_BYTES_MAX: usize = 64 << 10;

/// Every route for people; to be merged with those for machines.
///
/// Expects a [`belvedere_accounts::ClientInfo`] among the extensions of each request, from whoever knows the
/// connection; without one, audit entries lack the address and throttling of guesses sees accounts only.
pub fn router(state: DashboardState) -> Router {
    // Compressing the assets takes a moment that the first visitor should not wait for.
    assets::paths();
    let state = Arc::new(state);
    let project = Router::new()
        .route("/", get(overview::show))
        .route("/issues", get(issue_list::list))
        .route("/issues/{issue}", get(issues::show))
        .merge(triage::routes())
        .route("/releases", get(releases::list))
        .route("/releases/{version}", get(releases::show))
        .route("/releases/{version}/compare", get(releases::compare))
        .route("/issues/{issue}/events", get(issue_events::list))
        .route("/issues/{issue}/tags/{key}", get(issue_tag::show))
        .route("/issues/suggest", get(query::suggest))
        .route("/issues/searches", get(saved_searches::show).post(saved_searches::create))
        .route("/issues/searches/{id}", post(saved_searches::update))
        .route("/issues/searches/{id}/delete", post(saved_searches::delete))
        .route("/events", get(activity::list))
        .route("/events/properties", get(properties::list))
        .route("/events/subjects/{subject}", get(activity::show_subject))
        .route("/events/{event}", get(events::show))
        .route("/events/{event}/raw", get(events::raw))
        .route("/events/{event}/attachments/{id}", get(attachments::show))
        .route("/events/{event}/attachments/{id}/download", get(attachments::download))
        .route("/events/{event}/attachments/{id}/image", get(attachments::image))
        .route("/events/{event}/attachments/{id}/delete", post(attachments::delete))
        .route("/feedback", get(feedback::list))
        .route("/feedback/{id}", get(feedback::show))
        .route("/feedback/{id}/reveal", post(feedback::reveal))
        .route("/feedback/{id}/status", post(feedback::set_status))
        .route("/feedback/{id}/assign", post(feedback::assign))
        .route("/feedback/{id}/delete", post(feedback::delete))
        .route("/subjects/{subject}/reveal", post(subjects::reveal))
        .route("/crons", get(crons::list))
        .route("/crons/new", get(crons::new).post(crons::create))
        .route("/crons/{slug}", get(crons::show))
        .route("/crons/{slug}/edit", get(crons::edit).post(crons::change))
        .route("/crons/{slug}/switch", post(crons::switch))
        .route("/crons/{slug}/delete", post(crons::delete))
        .merge(learning::routes())
        .merge(business::routes())
        .merge(insights::routes())
        .merge(boards::routes())
        .merge(cohorts::routes())
        .merge(feature_flags::routes())
        .route("/logs", get(logs::show))
        .route("/logs/settings", post(logs::change))
        .route("/pipeline", get(pipeline::show))
        .route("/pipeline/set-aside/{id}", get(pipeline::show_set_aside))
        .route("/pipeline/set-aside/{id}/replay", post(pipeline::replay))
        .route("/pipeline/set-aside/{id}/discard", post(pipeline::discard))
        .route("/audit", get(audit::show))
        .merge(settings::routes())
        .route("/{*rest}", get(nothing_here));
    let people = Router::new()
        .route("/", get(projects::start))
        .route("/projects/new", get(projects::new).post(projects::create))
        .nest("/projects/{project}", project)
        .route("/organisations/{organisation}/switch", post(gate::switch_organisation))
        .route("/live/{project}", get(live::stream))
        .route("/sign-out", post(gate::sign_out))
        .route("/sign-out/everywhere", post(gate::sign_out_everywhere))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&state), session::require_visitor));
    Router::new()
        .merge(people)
        .route("/sign-in", get(gate::sign_in_form).post(gate::sign_in))
        .route("/sign-in/link/{secret}", get(gate::link_form).post(gate::sign_in_with_link))
        .route("/shared/{link}/{secret}", get(boards::show_shared))
        .route("/shared/{link}/{secret}/{insight}", get(boards::download_shared))
        .route("/join/{secret}", get(gate::join_form).post(gate::join))
        .route("/assets/{name}", get(assets::serve))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(Extension(Arc::new(Streams::default())))
        .layer(Extension(Arc::new(boards::Openings::default())))
        .layer(middleware::from_fn(respond::finish))
        .with_state(state)
}

async fn nothing_here() -> Refusal {
    Refusal::NotFound
}

/// Which page of a list an address asks for.
fn page_request(pairs: &Pairs, limit: u16) -> PageRequest {
    PageRequest::new(limit, pairs.some("after").map(Cursor::from))
}

/// To `path` after something was done, with the word for [`crate::layout::notice`].
fn done(path: &str, word: &str) -> Response {
    Redirect::to(&crate::form::address(path, &[("done", word)])).into_response()
}
