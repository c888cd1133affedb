//! The API for programs, under `/api/v1`: JSON in and out, an API token with every request.

mod accounts;
mod answer;
mod attachments;
mod audit;
mod business;
mod feature_flags;
mod feedback;
mod grouping_rules;
mod input;
mod insights;
mod issues;
mod learning;
mod limits;
mod logs;
mod monitors;
mod pipeline;
mod query;
mod releases;
mod search;
mod search_answer;
mod source_maps;
mod triage;
mod webhooks;
mod xapi_keys;

pub(crate) use input::{JsonBody, Parameters, project};

use axum::response::{IntoResponse, Response};
use belvedere_accounts::Permission;
use http::header::CONTENT_TYPE;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi as _};

use crate::routes::{Access, Routes};
use crate::state::HttpFeatures;
use crate::xapi::RecordStorePaths;

pub(crate) fn routes(routes: Routes, features: HttpFeatures) -> Routes {
    let needs = Access::Needs;
    let routes = routes
        .get(
            "/api/v1/openapi.json",
            Access::Public("describes the API and holds nothing else"),
            serve_openapi,
        )
        .get("/api/v1/projects", needs(Permission::ViewProjects), accounts::list_projects)
        .post("/api/v1/projects", needs(Permission::ManageProjects), accounts::create_project)
        .get("/api/v1/projects/{project}", needs(Permission::ViewProjects), accounts::find_project)
        .put("/api/v1/projects/{project}", needs(Permission::ManageProjects), accounts::update_project)
        .get("/api/v1/ingest_keys", needs(Permission::ViewKeys), accounts::list_ingest_keys)
        .post("/api/v1/ingest_keys", needs(Permission::ManageKeys), accounts::create_ingest_key)
        .put("/api/v1/ingest_keys/{id}", needs(Permission::ManageKeys), accounts::update_ingest_key)
        .delete("/api/v1/ingest_keys/{id}", needs(Permission::ManageKeys), accounts::revoke_ingest_key)
        .get("/api/v1/xapi_keys", needs(Permission::ViewKeys), xapi_keys::list_xapi_keys)
        .post("/api/v1/xapi_keys", needs(Permission::ManageKeys), xapi_keys::create_xapi_key)
        .delete("/api/v1/xapi_keys/{id}", needs(Permission::ManageKeys), xapi_keys::revoke_xapi_key)
        .get("/api/v1/api_tokens", needs(Permission::ManageTokens), accounts::list_api_tokens)
        .post("/api/v1/api_tokens", needs(Permission::ManageTokens), accounts::create_api_token)
        .delete("/api/v1/api_tokens/{id}", needs(Permission::ManageTokens), accounts::revoke_api_token)
        .get("/api/v1/pipeline", needs(Permission::ViewIssues), pipeline::find_pipeline)
        .get("/api/v1/pipeline/set_aside", needs(Permission::ReplaySetAside), pipeline::list_set_aside)
        .post(
            "/api/v1/pipeline/set_aside/{id}/replay",
            needs(Permission::ReplaySetAside),
            pipeline::replay_set_aside,
        )
        .delete(
            "/api/v1/pipeline/set_aside/{id}",
            needs(Permission::ReplaySetAside),
            pipeline::discard_set_aside,
        )
        .post("/api/v1/query/trend", needs(Permission::ViewAnalytics), query::trend)
        .post("/api/v1/query/active", needs(Permission::ViewAnalytics), query::active)
        .post("/api/v1/query/funnel", needs(Permission::ViewAnalytics), query::funnel)
        .post("/api/v1/query/retention", needs(Permission::ViewAnalytics), query::retention)
        .post("/api/v1/query/lifecycle", needs(Permission::ViewAnalytics), query::lifecycle)
        .post("/api/v1/query/path", needs(Permission::ViewAnalytics), query::path)
        .post("/api/v1/query/session", needs(Permission::ViewAnalytics), query::session)
        .post("/api/v1/query/percentile", needs(Permission::ViewAnalytics), query::percentile)
        .post("/api/v1/query/top", needs(Permission::ViewAnalytics), query::top)
        .post("/api/v1/query/formula", needs(Permission::ViewAnalytics), query::formula)
        .post("/api/v1/query/interval", needs(Permission::ViewAnalytics), query::interval)
        .post("/api/v1/query/subjects", needs(Permission::ViewAnalytics), query::subjects)
        .post("/api/v1/query/timeline", needs(Permission::ViewAnalytics), query::timeline)
        .get("/api/v1/events/properties", needs(Permission::ViewAnalytics), query::list_properties)
        .get("/api/v1/events/names", needs(Permission::ViewAnalytics), query::list_names)
        .get("/api/v1/events/values", needs(Permission::ViewAnalytics), query::list_values)
        .get("/api/v1/audit", needs(Permission::ViewAudit), audit::list_entries);
    let routes = webhooks::routes(routes);
    let routes = if features.learning { learning::routes(routes) } else { routes };
    let routes = match features.business_intelligence {
        true => feature_flags::routes(insights::routes(business::routes(routes))),
        false => routes,
    };
    if !features.error_tracking {
        return routes;
    }
    routes
        .get("/api/v1/issues", needs(Permission::ViewIssues), issues::list_issues)
        .get("/api/v1/issues/{id}", needs(Permission::ViewIssues), issues::find_issue)
        .put("/api/v1/issues", needs(Permission::ManageIssues), triage::update_issues)
        .put("/api/v1/issues/{id}", needs(Permission::ManageIssues), triage::update_issue)
        .delete("/api/v1/issues/{id}", needs(Permission::ManageIssues), triage::delete_issue)
        .post("/api/v1/issues/merge", needs(Permission::ManageIssues), triage::merge_issues)
        .get("/api/v1/issues/{id}/hashes", needs(Permission::ViewIssues), triage::list_hashes)
        .post("/api/v1/issues/{id}/unmerge", needs(Permission::ManageIssues), triage::unmerge_issue)
        .get("/api/v1/issues/{id}/activity", needs(Permission::ViewIssues), triage::list_activity)
        .get("/api/v1/issues/{id}/comments", needs(Permission::ViewIssues), triage::list_comments)
        .post("/api/v1/issues/{id}/comments", needs(Permission::ManageIssues), triage::comment)
        .put(
            "/api/v1/issues/{id}/comments/{comment}",
            needs(Permission::ManageIssues),
            triage::change_comment,
        )
        .delete(
            "/api/v1/issues/{id}/comments/{comment}",
            needs(Permission::ManageIssues),
            triage::delete_comment,
        )
        .get("/api/v1/issues/{id}/events", needs(Permission::ViewIssues), issues::list_events)
        .get("/api/v1/issues/{id}/tags", needs(Permission::ViewIssues), search::list_issue_tags)
        .get("/api/v1/issues/{id}/similar", needs(Permission::ViewIssues), search::list_similar)
        .get("/api/v1/events/{event_id}", needs(Permission::ViewIssues), issues::find_event)
        .get("/api/v1/tags", needs(Permission::ViewIssues), search::list_tags)
        .get("/api/v1/tags/{key}/values", needs(Permission::ViewIssues), search::list_tag_values)
        .get("/api/v1/saved_searches", needs(Permission::ViewIssues), search::list_saved_searches)
        .post("/api/v1/saved_searches", needs(Permission::ManageIssues), search::create_saved_search)
        .put("/api/v1/saved_searches/{id}", needs(Permission::ManageIssues), search::update_saved_search)
        .delete("/api/v1/saved_searches/{id}", needs(Permission::ManageIssues), search::delete_saved_search)
        .get("/api/v1/releases", needs(Permission::ViewReleases), releases::list_releases)
        .post("/api/v1/releases", needs(Permission::UploadReleaseFiles), releases::save_release)
        .get("/api/v1/releases/{version}", needs(Permission::ViewReleases), releases::find_release)
        .delete("/api/v1/releases/{version}", needs(Permission::UploadReleaseFiles), releases::delete_release)
        .get("/api/v1/releases/{version}/deploys", needs(Permission::ViewReleases), releases::list_deploys)
        .post(
            "/api/v1/releases/{version}/deploys",
            needs(Permission::UploadReleaseFiles),
            releases::add_deploy,
        )
        .get("/api/v1/releases/{version}/commits", needs(Permission::ViewReleases), releases::list_commits)
        .post(
            "/api/v1/releases/{version}/commits",
            needs(Permission::UploadReleaseFiles),
            releases::set_commits,
        )
        .get("/api/v1/releases/{version}/health", needs(Permission::ViewReleases), releases::read_health)
        .get("/api/v1/releases/{version}/issues", needs(Permission::ViewReleases), releases::list_issues)
        .get("/api/v1/releases/{version}/compare", needs(Permission::ViewReleases), releases::compare)
        .get("/api/v1/source_maps", needs(Permission::ViewIssues), source_maps::list_bundles)
        .get("/api/v1/source_maps/storage", needs(Permission::ViewIssues), source_maps::find_storage)
        .get("/api/v1/source_maps/{id}", needs(Permission::ViewIssues), source_maps::find_bundle)
        .delete("/api/v1/source_maps/{id}", needs(Permission::UploadReleaseFiles), source_maps::delete_bundle)
        .get(
            "/api/v1/events/{event_id}/attachments",
            needs(Permission::ViewIssues),
            attachments::list_attachments,
        )
        .get(
            "/api/v1/events/{event_id}/attachments/{id}",
            needs(Permission::ViewIssues),
            attachments::read_attachment,
        )
        .delete(
            "/api/v1/events/{event_id}/attachments/{id}",
            needs(Permission::ManageIssues),
            attachments::delete_attachment,
        )
        .get("/api/v1/feedback", needs(Permission::ViewIssues), feedback::list_feedback)
        .get("/api/v1/feedback/{id}", needs(Permission::ViewIssues), feedback::find_feedback)
        .put("/api/v1/feedback/{id}", needs(Permission::ManageIssues), feedback::update_feedback)
        .delete("/api/v1/feedback/{id}", needs(Permission::ManageIssues), feedback::delete_feedback)
        .get("/api/v1/projects/{project}/limits", needs(Permission::ViewProjects), limits::find_limits)
        .put("/api/v1/projects/{project}/limits", needs(Permission::ManageProjects), limits::update_limits)
        .get("/api/v1/projects/{project}/storage", needs(Permission::ViewProjects), limits::find_storage)
        .get("/api/v1/logs", needs(Permission::ViewIssues), logs::search_logs)
        .get("/api/v1/logs/counts", needs(Permission::ViewIssues), logs::count_logs)
        .get("/api/v1/monitors", needs(Permission::ViewIssues), monitors::list_monitors)
        .post("/api/v1/monitors", needs(Permission::ManageIssues), monitors::create_monitor)
        .get("/api/v1/monitors/{slug}", needs(Permission::ViewIssues), monitors::find_monitor)
        .put("/api/v1/monitors/{slug}", needs(Permission::ManageIssues), monitors::update_monitor)
        .delete("/api/v1/monitors/{slug}", needs(Permission::ManageIssues), monitors::delete_monitor)
        .get("/api/v1/monitors/{slug}/check_ins", needs(Permission::ViewIssues), monitors::list_check_ins)
        .get("/api/v1/grouping_rules", needs(Permission::ViewIssues), grouping_rules::find_rules)
        .put("/api/v1/grouping_rules", needs(Permission::ManageProjects), grouping_rules::change_rules)
        .post("/api/v1/grouping_rules/preview", needs(Permission::ViewIssues), grouping_rules::preview_rules)
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Belvedere",
        description = "Issues, events, projects, keys and what became of everything that arrived. Errors are \
                       problem details (RFC 9457); `x-request-id` names a request in the log. A list's `next`, \
                       handed back as `cursor`, gives its next page."
    ),
    paths(
        serve_openapi,
        accounts::list_projects,
        accounts::create_project,
        accounts::find_project,
        accounts::update_project,
        accounts::list_ingest_keys,
        accounts::create_ingest_key,
        accounts::update_ingest_key,
        accounts::revoke_ingest_key,
        xapi_keys::list_xapi_keys,
        xapi_keys::create_xapi_key,
        xapi_keys::revoke_xapi_key,
        accounts::list_api_tokens,
        accounts::create_api_token,
        accounts::revoke_api_token,
        pipeline::find_pipeline,
        pipeline::list_set_aside,
        pipeline::replay_set_aside,
        pipeline::discard_set_aside,
        audit::list_entries,
        webhooks::list_webhooks,
        webhooks::create_webhook,
        webhooks::find_webhook,
        webhooks::update_webhook,
        webhooks::delete_webhook,
        webhooks::rotate_secret,
        webhooks::ping_webhook,
        webhooks::list_deliveries,
        webhooks::resend_delivery,
        query::trend,
        query::active,
        query::funnel,
        query::retention,
        query::lifecycle,
        query::path,
        query::session,
        query::percentile,
        query::top,
        query::formula,
        query::interval,
        query::subjects,
        query::timeline,
        query::list_properties,
        query::list_names,
        query::list_values,
        learning::find_learner,
        learning::list_mastery,
        learning::recommend,
        learning::list_statements,
        learning::list_courses,
        learning::find_now,
        learning::find_course,
        learning::list_learners,
        learning::list_items,
        learning::list_away,
        learning::compare_cohorts,
        learning::find_structure,
        learning::set_structure,
        learning::list_struggling,
        learning::find_precision,
        learning::give_feedback,
        learning::report_tutor,
        learning::list_milestones,
        learning::find_rules,
        learning::set_rules,
        business::find_metrics,
        business::find_changes,
        business::count_present,
        business::find_revenue,
        business::list_movements,
        business::list_plans,
        business::list_cohorts,
        business::find_rules,
        business::set_rules,
        business::record_subscriptions,
        business::import_subscriptions,
        business::set_rates,
        insights::list_insights,
        insights::create_insight,
        insights::find_insight,
        insights::update_insight,
        insights::delete_insight,
        insights::answer_insight,
        insights::list_dashboards,
        insights::create_dashboard,
        insights::find_dashboard,
        insights::update_dashboard,
        insights::delete_dashboard,
        insights::list_links,
        insights::create_link,
        insights::revoke_link,
        insights::list_saved_cohorts,
        insights::create_cohort,
        insights::find_cohort,
        insights::list_cohort_sizes,
        insights::update_cohort,
        insights::delete_cohort,
        feature_flags::list_feature_flags,
        feature_flags::create_feature_flag,
        feature_flags::find_feature_flag,
        feature_flags::update_feature_flag,
        feature_flags::delete_feature_flag,
        issues::list_issues,
        issues::find_issue,
        triage::update_issues,
        triage::update_issue,
        triage::delete_issue,
        triage::merge_issues,
        triage::list_hashes,
        triage::unmerge_issue,
        triage::list_activity,
        triage::list_comments,
        triage::comment,
        triage::change_comment,
        triage::delete_comment,
        issues::list_events,
        issues::find_event,
        releases::list_releases,
        releases::save_release,
        releases::find_release,
        releases::delete_release,
        releases::list_deploys,
        releases::add_deploy,
        releases::list_commits,
        releases::set_commits,
        releases::read_health,
        releases::list_issues,
        releases::compare,
        search::list_issue_tags,
        search::list_similar,
        search::list_tags,
        search::list_tag_values,
        search::list_saved_searches,
        search::create_saved_search,
        search::update_saved_search,
        search::delete_saved_search,
        source_maps::list_bundles,
        source_maps::find_storage,
        source_maps::find_bundle,
        source_maps::delete_bundle,
        attachments::list_attachments,
        attachments::read_attachment,
        attachments::delete_attachment,
        feedback::list_feedback,
        feedback::find_feedback,
        feedback::update_feedback,
        feedback::delete_feedback,
        limits::find_limits,
        limits::update_limits,
        limits::find_storage,
        logs::search_logs,
        logs::count_logs,
        monitors::list_monitors,
        monitors::create_monitor,
        monitors::find_monitor,
        monitors::update_monitor,
        monitors::delete_monitor,
        monitors::list_check_ins,
        grouping_rules::find_rules,
        grouping_rules::change_rules,
        grouping_rules::preview_rules,
    ),
    components(schemas(crate::problem::Problem, answer::IssueSort, answer::IssueStatus, releases::ReleaseSort, releases::ReleaseIssuesKind, releases::StepWord)),
    modifiers(&RecordStorePaths, &TokenScheme),
    security(("token" = [])),
)]
struct Description;

struct TokenScheme;

impl Modify for TokenScheme {
    fn modify(&self, openapi: &mut OpenApi) {
        let scheme =
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("an API token")).build();
        openapi.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::Http(scheme));
        // Every operation can fail in the same form.
        let problem = utoipa::openapi::ResponseBuilder::new()
            .description("A problem (RFC 9457)")
            .content(
                "application/problem+json",
                utoipa::openapi::ContentBuilder::new()
                    .schema(Some(utoipa::openapi::Ref::from_schema_name("Problem")))
                    .build(),
            )
            .build();
        for item in openapi.paths.paths.values_mut() {
            let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
            for operation in operations.into_iter().flatten() {
                operation.responses.responses.insert("default".to_owned(), problem.clone().into());
            }
        }
    }
}

/// The API's description (OpenAPI 3.1), generated from the code that serves it.
#[must_use]
pub fn openapi() -> OpenApi {
    Description::openapi()
}

/// This description
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    tag = "api",
    security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = Object))
)]
async fn serve_openapi() -> Response {
    // Serialising strings, numbers and maps with text keys cannot fail.
    let text = openapi().to_json().unwrap_or_default();
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}
