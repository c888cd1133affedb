//! The audit log.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use belvedere_audit::EntryFilter;
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::{AuditEntry, List};
use super::input::{Parameters, instant, page, project};
use crate::problem::Problem;
use crate::routes::Caller;
use crate::state::Shared;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EntriesWanted {
    /// Only entries with this action.
    action: Option<String>,
    /// Only entries of the actor with this id.
    actor: Option<String>,
    /// Only entries that concern the project of this number or slug.
    project: Option<String>,
    /// Only entries recorded then or later.
    from: Option<String>,
    /// Only entries recorded before then.
    to: Option<String>,
    /// Rows on a page, 1 to 200; 50 if left out.
    limit: Option<u16>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// List the organisation's audit log, newest first
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(EntriesWanted),
    responses((status = 200, description = "A page of entries", body = List<AuditEntry>)))]
pub(super) async fn list_entries(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Parameters(wanted): Parameters<EntriesWanted>,
) -> Result<Json<List<AuditEntry>>, Problem> {
    let project = match wanted.project.as_deref() {
        Some(named) => Some(project(&shared, &caller, Some(named)).await?.id),
        None => None,
    };
    let filter = EntryFilter {
        action: wanted.action,
        actor: wanted.actor,
        project,
        from: instant("from", wanted.from.as_deref())?,
        to: instant("to", wanted.to.as_deref())?,
    };
    let page = page(wanted.limit, wanted.cursor)?;
    let entries = shared.audit.list_entries(caller.principal.organisation, filter, page).await?;
    Ok(List::of(entries, AuditEntry::from))
}
