//! The addresses under `/api/0` that `sentry-cli` and the plugins of bundlers call, with an API token of ours.
//!
//! Only what those tools need is here; the API for everything else is `/api/v1`. The token comes as `Authorization:
//! Bearer`, or, as old tools have it, as the user of `Authorization: Basic`. What a handler refuses is a JSON object
//! with the reason in `detail`. Another organisation, or a project of another one, is answered as if it did not exist.

mod accounts;
mod issues;
mod releases;
mod scene;
mod uploads;

use axum::response::Response;
use belvedere_accounts::Permission;
use http::HeaderValue;
use http::header::CONTENT_TYPE;

use crate::routes::{Access, Routes};
use crate::state::HttpFeatures;

/// Where this API begins.
pub(crate) const BASE: &str = "/api/0/";

/// An address as the tools write it, with a slash at its end, and without.
macro_rules! both {
    ($path:literal) => {
        [concat!($path, "/"), $path]
    };
}

pub(crate) fn routes(mut routes: Routes, features: HttpFeatures) -> Routes {
    let view = Access::Needs(Permission::ViewProjects);
    for path in both!("/api/0") {
        routes = routes.get(path, view, accounts::show_token);
    }
    for path in both!("/api/0/users/me") {
        routes = routes.get(path, view, accounts::show_self);
    }
    for path in both!("/api/0/organizations") {
        routes = routes.get(path, view, accounts::list_organisations);
    }
    for path in both!("/api/0/organizations/{organisation}") {
        routes = routes.get(path, view, accounts::show_organisation);
    }
    for path in both!("/api/0/organizations/{organisation}/projects") {
        routes = routes.get(path, view, accounts::list_projects);
    }
    for path in both!("/api/0/projects") {
        routes = routes.get(path, view, accounts::list_projects_of_token);
    }
    for path in both!("/api/0/projects/{organisation}/{project}") {
        routes = routes.get(path, view, accounts::show_project);
    }
    let read = Access::Needs(Permission::ViewReleases);
    for path in both!("/api/0/organizations/{organisation}/repos") {
        routes = routes.get(path, read, accounts::list_repositories);
    }
    if !features.error_tracking {
        return routes;
    }
    for path in both!("/api/0/projects/{organisation}/{project}/issues") {
        routes = routes.get(path, Access::Needs(Permission::ViewIssues), issues::list);
    }
    let write = Access::Needs(Permission::UploadReleaseFiles);
    // Releases belong to the organisation, and to a project for tools of old.
    for path in [
        both!("/api/0/organizations/{organisation}/releases"),
        both!("/api/0/projects/{organisation}/{project}/releases"),
    ]
    .concat()
    {
        routes = routes.get(path, read, releases::list).post(path, write, releases::create);
    }
    for path in [
        both!("/api/0/organizations/{organisation}/releases/{version}"),
        both!("/api/0/projects/{organisation}/{project}/releases/{version}"),
    ]
    .concat()
    {
        routes = routes.get(path, read, releases::show).put(path, write, releases::update);
        routes = routes.delete(path, write, releases::delete);
    }
    for path in [
        both!("/api/0/organizations/{organisation}/releases/{version}/commits"),
        both!("/api/0/projects/{organisation}/{project}/releases/{version}/commits"),
    ]
    .concat()
    {
        routes = routes.get(path, read, releases::list_commits);
    }
    for path in [
        both!("/api/0/organizations/{organisation}/releases/{version}/deploys"),
        both!("/api/0/projects/{organisation}/{project}/releases/{version}/deploys"),
    ]
    .concat()
    {
        routes = routes.get(path, read, releases::list_deploys).post(path, write, releases::add_deploy);
    }
    for path in both!("/api/0/organizations/{organisation}/releases/{version}/previous-with-commits") {
        routes = routes.get(path, read, releases::show_previous_with_commits);
    }
    upload_routes(routes)
}

fn upload_routes(mut routes: Routes) -> Routes {
    let upload = Access::Needs(Permission::UploadReleaseFiles);
    for path in both!("/api/0/organizations/{organisation}/chunk-upload") {
        routes = routes.get(path, upload, uploads::show_options);
        routes = routes.post(path, upload, uploads::store_chunks);
    }
    for path in both!("/api/0/organizations/{organisation}/artifactbundle/assemble") {
        routes = routes.post(path, upload, uploads::assemble);
    }
    for path in both!("/api/0/organizations/{organisation}/releases/{version}/assemble") {
        routes = routes.post(path, upload, uploads::assemble_of_release);
    }
    for path in both!("/api/0/projects/{organisation}/{project}/files/difs/assemble") {
        routes = routes.post(path, upload, uploads::refuse_debug_files);
    }
    routes
}

/// Gives refusals the media type that the tools look into; their body has the `detail` that they show.
pub(crate) fn as_plain_json(response: &mut Response) {
    if response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json") {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
}
