//! The six questions of the bench as typed calls: what the answers cost without HTTP.

use std::sync::Arc;
use std::time::{Duration, Instant};

use belvedere_event_store::EventStore;
use belvedere_event_store::columns::Dimension;
use belvedere_event_store::kernel::filter::Filter;
use belvedere_event_store::kernel::funnel::FunnelRules;
use belvedere_event_store::kernel::group::Field;
use belvedere_event_store::kernel::retention::{CohortBy, RetentionMode};
use belvedere_event_store::kernel::top::Rank;
use belvedere_event_store::kernel::trend::{Breakdown, Measures};
use belvedere_event_store::query::{
    AskActive, AskFunnel, AskPercentile, AskRetention, AskTop, AskTrend, Queries, QueryLimits, QueryService,
    Span, Unit,
};
use belvedere_kernel::ProjectId;
use belvedere_storage::Timestamp;

use crate::Failure;

const DAY: Duration = Duration::from_secs(86_400);
const CACHE_BYTES_MAX: usize = 1 << 30;

struct Asked {
    queries: QueryService,
    project: ProjectId,
    end: Timestamp,
}

impl Asked {
    fn last(&self, days: u32) -> Span {
        let from = self.end.minus(DAY * days);
        Span { project: self.project, from, until: self.end, time_zone: "UTC".to_owned() }
    }

    async fn ask(&self, question: &str) -> Result<String, Failure> {
        let steps = || {
            let names = ["course_viewed", "lesson_started", "exercise_answered", "lesson_completed"];
            names.map(Filter::name).to_vec()
        };
        let funnel = |days| AskFunnel {
            span: self.last(days),
            steps: steps(),
            window_ms: 7 * 86_400_000,
            rules: FunnelRules::default(),
            breakdown: None,
        };
        Ok(match question {
            "a daily counts by name, 90 days" => {
                let ask = AskTrend {
                    span: self.last(90),
                    unit: Unit::Day,
                    filter: Filter::all(),
                    measures: Measures::default(),
                    values_of: None,
                    breakdown: Some(Breakdown { field: Field::Name, limit: 40 }),
                };
                self.queries
                    .trend(ask)
                    .await?
                    .series
                    .iter()
                    .map(|series| series.events)
                    .sum::<u64>()
                    .to_string()
            }
            "b active subjects, 30 days" => {
                let ask = AskActive { span: self.last(30), filter: Filter::all() };
                format!("{:?}", self.queries.active(ask).await?.days.last())
            }
            "c funnel, 30 days" => {
                format!("{:?}", self.queries.funnel(funnel(30)).await?.groups.first())
            }
            "c funnel, 180 days" => {
                format!("{:?}", self.queries.funnel(funnel(180)).await?.groups.first())
            }
            "d weekly retention, 12 weeks" => {
                let ask = AskRetention {
                    span: self.last(84),
                    unit: Unit::Week,
                    start: Filter::all(),
                    returned: Filter::all(),
                    cohort_by: CohortBy::FirstStart,
                    mode: RetentionMode::Classic,
                    complete_until: self.end,
                };
                format!("{:?}", self.queries.retention(ask).await?.cohorts.first())
            }
            "e top courses, 180 days" => {
                let ask = AskTop {
                    span: self.last(180),
                    filter: Filter::all(),
                    goal: Some(Filter::name("course_completed")),
                    field: Field::Dimension(Dimension::Course),
                    rank: Rank::Subjects,
                    limit: 10,
                };
                format!("{:?}", self.queries.top(ask).await?.first())
            }
            _ => {
                let ask = AskPercentile {
                    span: self.last(180),
                    unit: Unit::Day,
                    filter: Filter::all(),
                    values_of: None,
                    breakdown: None,
                };
                format!(
                    "{:?}",
                    self.queries.percentile(ask).await?.series.first().map(|it| it.points.last().copied())
                )
            }
        })
    }
}

const QUESTIONS: [&str; 7] = [
    "a daily counts by name, 90 days",
    "b active subjects, 30 days",
    "c funnel, 30 days",
    "c funnel, 180 days",
    "d weekly retention, 12 weeks",
    "e top courses, 180 days",
    "f percentiles, 180 days",
];

/// Prints the first and the median time of each question, and a part of its answer.
pub(crate) async fn run(
    store: Arc<dyn EventStore>,
    project: ProjectId,
    end: Timestamp,
    rounds: usize,
) -> Result<(), Failure> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let queries = QueryService::new(store, CACHE_BYTES_MAX, threads, QueryLimits::default());
    let asked = Asked { queries, project, end };
    for question in QUESTIONS {
        let mut times = Vec::with_capacity(rounds);
        let mut answer = String::new();
        for _ in 0..=rounds {
            let started = Instant::now();
            answer = asked.ask(question).await?;
            times.push(started.elapsed());
        }
        let first = times.remove(0);
        times.sort_unstable();
        let median = times.get(times.len() / 2).copied().unwrap_or_default();
        println!(
            "{question}: first {first:.1?}, median {median:.2?}: {}",
            answer.get(..110).unwrap_or(&answer)
        );
    }
    Ok(())
}
