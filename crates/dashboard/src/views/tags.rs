//! How an issue's events are distributed over the values of its tags, and issues that look like it.

use std::fmt;

use askama::filters::HtmlSafe;
use belvedere_error_tracking::search::{SimilarIssue, TagDistribution, TagValue};
use belvedere_kernel::ProjectId;
use belvedere_storage::Timestamp;

use crate::form::address;
use crate::views::issues::issue_href;
use crate::wording::{Ago, Count};

/// How many keys the card on an issue's page shows.
pub(crate) const CARD_KEYS_MAX: usize = 14;

/// How many values of each.
const CARD_VALUES_MAX: usize = 3;

/// A share of a whole as a bar; its width is an attribute of the drawing, no style.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShareBar(pub(crate) u64);

impl HtmlSafe for ShareBar {}

impl fmt::Display for ShareBar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.clamp(1, 100);
        write!(
            f,
            r#"<svg class="share" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true"><rect width="{width}" height="4"></rect></svg>"#
        )
    }
}

/// A key with its commonest values.
#[derive(Debug)]
pub(crate) struct TagView {
    pub(crate) key: String,
    pub(crate) href: String,
    pub(crate) events: Count,
    pub(crate) values: Vec<TagValueView>,
    pub(crate) values_known: Count,
    /// Events with other values; `None` if there are none.
    pub(crate) others: Option<(Count, String)>,
}

/// A value with its share of the events that have the key.
#[derive(Debug)]
pub(crate) struct TagValueView {
    pub(crate) value: String,
    pub(crate) events: Count,
    pub(crate) percent: String,
    pub(crate) bar: ShareBar,
    /// The issue's events with it.
    pub(crate) events_href: String,
    /// Every issue with it.
    pub(crate) issues_href: String,
    pub(crate) first_seen: Ago,
    pub(crate) last_seen: Ago,
}

impl TagView {
    /// All counted values of the key.
    pub(crate) fn new(project: ProjectId, issue: &str, tag: &TagDistribution, now: Timestamp) -> Self {
        let base = issue_href(project, issue);
        let values = tag.values.iter().map(|value| value_view(project, &base, tag, value, now)).collect();
        Self {
            href: format!("{base}/tags/{}", tag.key),
            key: tag.key.clone(),
            events: Count(tag.events),
            values,
            values_known: Count(tag.values_known),
            others: (tag.others > 0).then(|| (Count(tag.others), percent(tag.others, tag.events))),
        }
    }

    /// The commonest values only; the rest are others.
    pub(crate) fn short(project: ProjectId, issue: &str, tag: &TagDistribution, now: Timestamp) -> Self {
        let mut short = tag.clone();
        let rest: u64 = short.values.iter().skip(CARD_VALUES_MAX).map(|value| value.events).sum();
        short.values.truncate(CARD_VALUES_MAX);
        short.others += rest;
        Self::new(project, issue, &short, now)
    }
}

fn value_view(
    project: ProjectId,
    base: &str,
    tag: &TagDistribution,
    value: &TagValue,
    now: Timestamp,
) -> TagValueView {
    let term = term(&tag.key, &value.value);
    TagValueView {
        value: value.value.clone(),
        events: Count(value.events),
        percent: percent(value.events, tag.events),
        bar: ShareBar(value.events.saturating_mul(100).checked_div(tag.events).unwrap_or(0)),
        events_href: address(&format!("{base}/events"), &[("q", &term)]),
        issues_href: search_href(project, &term),
        first_seen: Ago { at: value.first_seen, now },
        last_seen: Ago { at: value.last_seen, now },
    }
}

/// The list of all issues that a query finds.
pub(crate) fn search_href(project: ProjectId, query: &str) -> String {
    address(&format!("/projects/{project}/issues"), &[("status", "all"), ("q", query)])
}

/// A term that finds exactly this tag.
pub(crate) fn term(key: &str, value: &str) -> String {
    let is_plain = value.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '@' | '-' | '+'));
    if is_plain {
        return format!("tags[{key}]:{value}");
    }
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('*', "\\*");
    format!("tags[{key}]:\"{escaped}\"")
}

/// `37 %`, or `< 1 %`.
fn percent(part: u64, whole: u64) -> String {
    match part.saturating_mul(100).checked_div(whole) {
        Some(0) if part > 0 => "< 1 %".to_owned(),
        Some(percent) => format!("{percent} %"),
        None => String::new(),
    }
}

/// An issue that looks like the one on the page.
#[derive(Debug)]
pub(crate) struct SimilarRow {
    pub(crate) id: String,
    pub(crate) href: String,
    pub(crate) number: i64,
    pub(crate) title: String,
    pub(crate) percent: u8,
    pub(crate) reason: String,
    pub(crate) events: Count,
    pub(crate) last_seen: Ago,
}

impl SimilarRow {
    pub(crate) fn new(project: ProjectId, similar: &SimilarIssue, now: Timestamp) -> Self {
        let id = similar.id.to_string();
        Self {
            href: issue_href(project, &id),
            id,
            number: similar.number,
            title: similar.title.clone(),
            percent: similar.percent,
            reason: similar.reason.clone(),
            events: Count(similar.events),
            last_seen: Ago { at: similar.last_seen, now },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distribution(counts: &[u64], others: u64) -> TagDistribution {
        let at = Timestamp::EPOCH;
        let value = |(index, events): (usize, &u64)| TagValue {
            value: format!("v{index}"),
            events: *events,
            first_seen: at,
            last_seen: at,
        };
        TagDistribution {
            key: "plan".to_owned(),
            events: counts.iter().sum::<u64>() + others,
            values: counts.iter().enumerate().map(value).collect(),
            values_known: counts.len() as u64,
            others,
        }
    }

    #[test]
    fn shares_are_of_the_events_that_have_the_key() {
        let tag = TagView::new(ProjectId(7), "01I", &distribution(&[700, 297, 3], 0), Timestamp::EPOCH);
        let shares: Vec<_> = tag.values.iter().map(|value| value.percent.as_str()).collect();
        assert_eq!((shares, tag.others), (vec!["70 %", "29 %", "< 1 %"], None));
        let bar = tag.values[2].bar.to_string();
        assert!(bar.contains(r#"width="1""#) && !bar.contains("style"), "{bar}");
    }

    #[test]
    fn the_card_adds_what_it_leaves_out_to_the_others() {
        let tag =
            TagView::short(ProjectId(7), "01I", &distribution(&[50, 20, 10, 10, 5], 5), Timestamp::EPOCH);
        assert_eq!(tag.values.len(), 3);
        assert_eq!(tag.others, Some((Count(20), "20 %".to_owned())));
    }

    #[test]
    fn terms_quote_what_is_not_plain() {
        assert_eq!(term("release", "shop@2.14.0"), "tags[release]:shop@2.14.0");
        assert_eq!(term("os", "Mac OS"), "tags[os]:\"Mac OS\"");
        assert_eq!(term("x", "a\"b*c\\"), "tags[x]:\"a\\\"b\\*c\\\\\"");
        assert_eq!(search_href(ProjectId(7), "a:b"), "/projects/7/issues?status=all&q=a%3Ab");
    }
}
