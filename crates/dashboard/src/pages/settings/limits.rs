//! What a project keeps, for how long, and how much of it may arrive.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_error_tracking::limits::{
    Category, ChangeLimits, ProjectLimits, Quota, SpikeProtection, StorageDay, StorageSum, StoredKind,
};
use belvedere_storage::Timestamp;

use super::{SettingsTab, tabs, with_status_of};
use crate::charts::{Bar, BarChart, Caption};
use crate::form::{CheckedForm, Pairs};
use crate::layout::{Layout, Scene, Section};
use crate::pages::done;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::wording::{Bytes, Count, day};

/// How many days of storage are shown.
const DAYS: u32 = 30;

const MEGABYTE: u64 = 1 << 20;

/// A category with its quotas.
struct QuotaRow {
    name: &'static str,
    label: &'static str,
    unit: &'static str,
    used: String,
    per_minute: String,
    per_month: String,
}

/// What one kind takes on disk.
struct StoredRow {
    label: &'static str,
    items: Count,
    bytes: Bytes,
}

#[derive(Template)]
#[template(path = "settings/limits.html")]
struct LimitsPage {
    layout: Layout,
    tabs: Vec<SettingsTab>,
    error: Option<String>,
    may_manage: bool,
    limits: ProjectLimits,
    attachment_megabytes: u64,
    quotas: Vec<QuotaRow>,
    stored: Vec<StoredRow>,
    stored_bytes: Bytes,
    chart: BarChart,
}

/// `GET /projects/{project}/settings/limits`
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewProjects).await?;
    let limits = scene.state.project_limits.find_limits(scene.id()).await?;
    page(&scene, &pairs, limits, None).await
}

/// `POST /projects/{project}/settings/limits`
pub(crate) async fn change(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    CheckedForm(form): CheckedForm,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ManageProjects).await?;
    let limits = match read(&form) {
        Ok(limits) => limits,
        Err(why) => {
            let former = scene.state.project_limits.find_limits(scene.id()).await?;
            return page(&scene, &Pairs::default(), former, Some(why)).await;
        }
    };
    let change = ChangeLimits {
        actor: scene.principal().actor,
        organisation: scene.principal().organisation,
        project: scene.id(),
        limits: limits.clone(),
        request_id: scene.client().request_id.clone(),
    };
    match scene.state.project_limits.change_limits(change).await {
        Ok(()) => Ok(done(&format!("{}/settings/limits", scene.base()), "saved")),
        Err(error) => {
            let error = Refusal::from(error).into_form_error()?;
            page(&scene, &Pairs::default(), limits, Some(error)).await
        }
    }
}

/// The limits of a form; what is no number is named.
fn read(form: &Pairs) -> Result<ProjectLimits, String> {
    let number = |name: &str| -> Result<Option<u64>, String> {
        let text = form.text(name).replace([',', ' '], "");
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| format!("{}: is not a whole number", name.replace('_', " ")))
    };
    let needed =
        |name: &str| number(name)?.ok_or_else(|| format!("{}: must be given", name.replace('_', " ")));
    let short = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let mut limits = ProjectLimits {
        event_days: short(needed("event_days")?),
        events_in_full: short(needed("events_in_full")?),
        attachment_bytes_max: needed("attachment_megabytes")?.saturating_mul(MEGABYTE),
        scrubs_attachments: form.is_ticked("scrubs_attachments"),
        keeps_contacts: form.is_ticked("keeps_contacts"),
        spike_protection: SpikeProtection {
            is_on: form.is_ticked("spike_protection"),
            multiplier: short(needed("spike_multiplier")?),
        },
        ..ProjectLimits::default()
    };
    for category in Category::ALL {
        let scale = if category == Category::Attachment { MEGABYTE } else { 1 };
        let of = |span: &str| {
            let quantity = number(&format!("{}_{span}", category.as_str()))?;
            Ok::<_, String>(quantity.map(|quantity| quantity.saturating_mul(scale)))
        };
        let quota = Quota { per_minute: of("per_minute")?, per_month: of("per_month")? };
        if quota != Quota::default() {
            limits.quotas.insert(category, quota);
        }
    }
    Ok(limits)
}

async fn page(
    scene: &Scene,
    pairs: &Pairs,
    limits: ProjectLimits,
    error: Option<String>,
) -> Result<Response, Refusal> {
    let has_error = error.is_some();
    let service = &scene.state.project_limits;
    let (sums, days, usage) = tokio::join!(
        service.sum_storage(scene.id()),
        service.list_storage_days(scene.id(), DAYS),
        service.list_usage(scene.id()),
    );
    let (sums, usage) = (sums?, usage?);
    let quotas = Category::ALL.map(|category| {
        let used = usage.iter().find(|(of, _)| *of == category).map_or(0, |(_, used)| *used);
        quota_row(category, limits.quotas.get(&category).copied().unwrap_or_default(), used)
    });
    let stored: u64 = sums.iter().map(|sum| sum.bytes).sum();
    let page = LimitsPage {
        layout: scene.layout(Section::Settings, pairs).await?,
        tabs: tabs(scene, "/limits"),
        error,
        may_manage: scene.may(Permission::ManageProjects),
        attachment_megabytes: limits.attachment_bytes_max / MEGABYTE,
        limits,
        quotas: quotas.into(),
        stored: sums.iter().map(stored_row).collect(),
        stored_bytes: Bytes(stored),
        chart: storage_chart(&days?, scene.now),
    };
    Ok(with_status_of(has_error, respond::page(&page)))
}

fn quota_row(category: Category, quota: Quota, used: u64) -> QuotaRow {
    let is_bytes = category == Category::Attachment;
    let shown = |quantity: Option<u64>| {
        let scale = if is_bytes { MEGABYTE } else { 1 };
        quantity.map(|quantity| quantity.div_ceil(scale).to_string()).unwrap_or_default()
    };
    QuotaRow {
        name: category.as_str(),
        label: match category {
            Category::Error => "Errors",
            Category::Transaction => "Transactions and spans",
            Category::Session => "Sessions",
            Category::Attachment => "Attachments",
            Category::Log => "Logs",
            Category::Monitor => "Check-ins",
            Category::Feedback => "Feedback",
            Category::Default => "All else",
        },
        unit: if is_bytes { "MB" } else { "items" },
        used: if is_bytes { Bytes(used).to_string() } else { Count(used).to_string() },
        per_minute: shown(quota.per_minute),
        per_month: shown(quota.per_month),
    }
}

fn stored_row(sum: &StorageSum) -> StoredRow {
    StoredRow {
        label: match sum.kind {
            StoredKind::Event => "Events",
            StoredKind::Attachment => "Attachments",
            StoredKind::Feedback => "Feedback",
            StoredKind::Log => "Logs",
        },
        items: Count(sum.items),
        bytes: Bytes(sum.bytes),
    }
}

/// What is stored of each of the last days, in kilobytes.
fn storage_chart(days: &[StorageDay], now: Timestamp) -> BarChart {
    let start = now.start_of_day().minus(Duration::from_secs(86_400) * (DAYS - 1));
    let bars = (0..DAYS).map(|index| {
        let at = start.plus(Duration::from_secs(86_400) * index);
        let bytes: u64 = days.iter().filter(|stored| stored.day == at).map(|stored| stored.bytes).sum();
        Bar { label: day(at), quantity: bytes.div_ceil(1_000) }
    });
    let caption = Caption {
        about: "Stored kilobytes by the day of receipt, last 30 days",
        unit: "kB",
        column: "Day (UTC)",
        is_small: true,
    };
    BarChart::new(bars.collect(), &caption)
}
