//! Where people come from: the text that they touched first or last, and how many of them reach a goal.

use std::sync::Arc;
use std::time::Duration;

use belvedere_event_store::columns::{Dimension, PropName};
use belvedere_event_store::kernel::cohort::Did;
use belvedere_event_store::kernel::filter::{Filter, TextTest};
use belvedere_event_store::kernel::funnel::{FunnelBreakdown, FunnelGroup, FunnelRules, Touch};
use belvedere_event_store::kernel::group::{Field, Group};
use belvedere_event_store::kernel::subject_set::SubjectSet;
use belvedere_event_store::query::{AskCohort, AskFunnel, BREAKDOWN_MAX, QueriesError};

use super::ask::{Asker, Ends, Negated, ROWS_MAX, WINDOW_MS, activity, named, or_none};
use crate::BusinessError;
use crate::model::Channel;

impl Asker<'_> {
    /// People with events of a kind, and of them those who reach the goal, by the texts of a field that they touched.
    async fn touched(
        &self,
        ends: Ends,
        (filter, goal): (Filter, &str),
        (field, touch): (Field, Touch),
    ) -> Result<Vec<FunnelGroup>, QueriesError> {
        let ask = AskFunnel {
            span: self.span(ends),
            steps: vec![filter, named(&[goal])],
            window_ms: WINDOW_MS,
            rules: FunnelRules::default(),
            breakdown: Some(FunnelBreakdown { field, touch, limit: BREAKDOWN_MAX }),
        };
        or_none(self.queries.funnel(ask).await.map(|answer| answer.groups), "breakdown")
    }

    /// By the first touch, and by the last.
    pub(super) async fn channels(
        &self,
        ends: Ends,
        goal: &str,
    ) -> Result<(Vec<Channel>, Vec<Channel>), BusinessError> {
        // The referrer is that of people who have no source at all.
        let has_source = Filter::Dimension(Dimension::UtmSource, TextTest::Set);
        // A source counts up to the end of the window, as it does in the questions below.
        let window = Duration::from_millis(WINDOW_MS.unsigned_abs());
        let span = self.span((ends.0, ends.1.plus(window)));
        let ask = AskCohort { span, filter: has_source, did: Did::AtLeast(1) };
        let with_source = self.queries.cohort(ask).await?;
        let first = self.channels_by(ends, goal, (Touch::First, &with_source)).await?;
        Ok((first, self.channels_by(ends, goal, (Touch::Last, &with_source)).await?))
    }

    async fn channels_by(
        &self,
        ends: Ends,
        goal: &str,
        (touch, with_source): (Touch, &Arc<SubjectSet>),
    ) -> Result<Vec<Channel>, BusinessError> {
        let source = Field::Dimension(Dimension::UtmSource);
        let by_source = self.touched(ends, (activity(), goal), (source, touch)).await?;
        let others = Filter::And(vec![activity(), Filter::Subjects(Arc::clone(with_source)).negated()]);
        let referrer = Field::Dimension(Dimension::Referrer);
        let by_referrer = self.touched(ends, (others, goal), (referrer, touch)).await?;
        let mut channels = rows(&by_source);
        channels.extend(rows(&by_referrer));
        // All others: who touched neither, and with the last touch who found a source only later.
        let all = by_source.first().map(|group| channel("direct", group));
        if let Some(mut direct) = all {
            for channel in &channels {
                direct.count = direct.count.saturating_sub(channel.count);
                direct.converted = direct.converted.saturating_sub(channel.converted);
            }
            channels.push(direct);
        }
        channels.retain(|channel| channel.count > 0);
        Ok(first(channels))
    }

    pub(super) async fn by_property(
        &self,
        ends: Ends,
        goal: &str,
        filter: Filter,
        property: &str,
    ) -> Result<Vec<Channel>, BusinessError> {
        let Some(name) = PropName::try_new(property) else { return Ok(Vec::new()) };
        let groups = self.touched(ends, (filter, goal), (Field::Prop(name), Touch::First)).await?;
        Ok(first(rows(&groups)))
    }
}

fn channel(source: &str, group: &FunnelGroup) -> Channel {
    let people = |place: usize| group.steps.get(place).map_or(0, |step| step.subjects);
    Channel { source: source.to_owned(), count: people(0), converted: people(1) }
}

/// The groups of texts; one host may be a source and a referrer, and is one channel.
fn rows(groups: &[FunnelGroup]) -> Vec<Channel> {
    let named = groups.iter().filter_map(|group| match &group.group {
        Group::Text(text) => Some(channel(text, group)),
        Group::Other => Some(channel("others", group)),
        Group::All | Group::NotSet => None,
    });
    named.filter(|channel| channel.count > 0).collect()
}

fn first(mut channels: Vec<Channel>) -> Vec<Channel> {
    channels.sort_by(|a, b| a.source.cmp(&b.source));
    channels.dedup_by(|later, earlier| {
        let is_same = later.source == earlier.source;
        if is_same {
            earlier.count += later.count;
            earlier.converted += later.converted;
        }
        is_same
    });
    channels.sort_by(|a, b| (b.count, &a.source).cmp(&(a.count, &b.source)));
    channels.truncate(ROWS_MAX);
    channels
}
