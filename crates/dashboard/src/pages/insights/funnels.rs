//! How many people get through the steps of a way.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use belvedere_accounts::Permission;
use belvedere_event_store::kernel::funnel::{FunnelBreakdown, FunnelGroup, FunnelRules, Touch};
use belvedere_event_store::query::AskFunnel;

use super::{GROUPS_MAX, Ground, breakdown_of, days_of, dimensions, event_of, group_name, periods, words};
use crate::form::Pairs;
use crate::layout::{Layout, Scene, Section};
use crate::pages::activity::Choice;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Visitor;
use crate::state::DashboardState;
use crate::wording::{Count, percent};

/// Steps of the form, and of the form without any.
const STEPS_MAX: usize = 8;
const STEPS_MIN: usize = 3;

const WINDOWS: [(&str, &str); 5] = [
    ("1", "within 1 day"),
    ("7", "within 7 days"),
    ("14", "within 14 days"),
    ("30", "within 30 days"),
    ("90", "within 90 days"),
];

/// A step of the way.
struct Step {
    name: String,
    people: Count,
    /// In hundredths of those of the first step.
    width: String,
    of_first: String,
    of_before: String,
    median: String,
}

/// The people of one text.
struct Row {
    group: String,
    people: Vec<Count>,
    through: String,
}

#[derive(Template)]
#[template(path = "insights/funnels.html")]
struct FunnelsPage {
    layout: Layout,
    base: String,
    choices: Vec<Vec<Choice>>,
    windows: Vec<Choice>,
    periods: Vec<Choice>,
    by: String,
    dimensions: Vec<&'static str>,
    days: u16,
    window: String,
    names: Vec<String>,
    /// None until there are two steps.
    steps: Option<Vec<Step>>,
    rows: Vec<Row>,
}

/// `GET /projects/{project}/insights/funnels`: for those who may see analytics.
pub(super) async fn show(
    State(state): State<Arc<DashboardState>>,
    visitor: Visitor,
    Path(project): Path<String>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let scene = Scene::open(state, visitor, &project, Permission::ViewAnalytics).await?;
    let ground = Ground::of(&scene).await?;
    let names: Vec<String> = pairs.all("step").into_iter().take(STEPS_MAX).map(str::to_owned).collect();
    let window = WINDOWS.into_iter().find(|(days, _)| *days == pairs.text("window")).unwrap_or(WINDOWS[1]);
    let days = days_of(&pairs);
    let (mut steps, mut rows) = (None, Vec::new());
    if names.len() > 1 {
        let limit = GROUPS_MAX;
        let breakdown = breakdown_of(&pairs)?;
        let breakdown = breakdown.map(|field| FunnelBreakdown { field, touch: Touch::First, limit });
        let window = Duration::from_secs(86_400 * window.0.parse::<u64>().unwrap_or(7));
        let ask = AskFunnel {
            span: ground.span(&scene, days)?,
            steps: names.iter().map(|name| event_of(name)).collect::<Result<_, _>>()?,
            window_ms: i64::try_from(window.as_millis()).unwrap_or(i64::MAX),
            rules: FunnelRules::default(),
            breakdown,
        };
        let answer = scene.state.queries.funnel(ask).await?;
        if let Some((whole, parts)) = answer.groups.split_first() {
            steps = Some(steps_of(&names, whole));
            rows = parts.iter().map(row_of).collect();
        }
    }
    let shown = (names.len() + 1).clamp(STEPS_MIN, STEPS_MAX);
    let chosen = |step: usize| names.get(step).map_or("", String::as_str);
    Ok(respond::page(&FunnelsPage {
        layout: scene.layout(Section::Funnels, &pairs).await?,
        base: scene.base(),
        choices: (0..shown).map(|step| ground.events(chosen(step), "No step")).collect(),
        windows: words(&WINDOWS, window.0),
        periods: periods(days),
        by: pairs.text("by").to_owned(),
        dimensions: dimensions(),
        days,
        window: window.1.to_owned(),
        names,
        steps,
        rows,
    }))
}

fn steps_of(names: &[String], whole: &FunnelGroup) -> Vec<Step> {
    let first = whole.steps.first().map_or(0, |step| step.subjects);
    let before = std::iter::once(first).chain(whole.steps.iter().map(|step| step.subjects));
    let steps = names.iter().zip(&whole.steps).zip(before).map(|((name, step), before)| Step {
        name: name.clone(),
        people: Count(step.subjects),
        width: format!("{:.1}", if first > 0 { step.subjects as f64 / first as f64 * 100.0 } else { 0.0 }),
        of_first: percent(step.subjects, first),
        of_before: percent(step.subjects, before),
        median: step.median_ms.map(time_text).unwrap_or_default(),
    });
    steps.collect()
}

fn row_of(group: &FunnelGroup) -> Row {
    let first = group.steps.first().map_or(0, |step| step.subjects);
    let last = group.steps.last().map_or(0, |step| step.subjects);
    Row {
        group: group_name(&group.group),
        people: group.steps.iter().map(|step| Count(step.subjects)).collect(),
        through: percent(last, first),
    }
}

/// `4 min`, `2.5 h`, `3.1 days`
fn time_text(milliseconds: i64) -> String {
    let seconds = milliseconds as f64 / 1_000.0;
    match seconds {
        s if s < 60.0 => format!("{s:.0} s"),
        s if s < 3_600.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3_600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_the_unit_that_fits() {
        let texts = [4_400, 240_000, 9_000_000, 270_000_000].map(time_text);
        assert_eq!(texts, ["4 s", "4 min", "2.5 h", "3.1 days"]);
    }
}
