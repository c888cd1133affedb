//! Steps of a way as pairs of bars.

use std::fmt;

use askama::Template;
use askama::filters::HtmlSafe;

use super::{escape, share};
use crate::wording::Count;

/// A step: how many began it, how many of them finished it, and where they were last.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FunnelStep {
    pub(crate) label: String,
    /// What the step is called besides its label; may be empty.
    pub(crate) id: String,
    pub(crate) started: u64,
    pub(crate) completed: u64,
    /// Of those who began it, the share that did not finish it, as a text.
    pub(crate) drop_off: String,
    pub(crate) stopped_here: u64,
    /// How long it takes, as a text.
    pub(crate) median: String,
}

/// Steps as bars with their numbers, a text alternative each, and the table of all numbers.
#[derive(Debug, Template)]
#[template(path = "parts/funnel_chart.html")]
pub(crate) struct FunnelChart {
    steps: Vec<StepRow>,
}

#[derive(Debug)]
struct StepRow {
    label: String,
    id: String,
    started: Count,
    completed: Count,
    drop_off: String,
    stopped_here: Count,
    median: String,
    bar: StepBar,
}

impl HtmlSafe for FunnelChart {}

impl FunnelChart {
    /// Bars of `steps` in their order; the longest is `whole`, or the largest step if that is more.
    pub(crate) fn new(steps: Vec<FunnelStep>, whole: u64) -> Self {
        let whole = steps.iter().map(|step| step.started.max(step.completed)).fold(whole, u64::max);
        let row = |step: FunnelStep| StepRow {
            bar: StepBar {
                started: share(step.started, whole, 100.0, 0.0),
                completed: share(step.completed, whole, 100.0, 0.0),
                text: format!(
                    "{}: {} started, {} completed, {} stopped here",
                    step.label,
                    Count(step.started),
                    Count(step.completed),
                    Count(step.stopped_here)
                ),
            },
            label: step.label,
            id: step.id,
            started: Count(step.started),
            completed: Count(step.completed),
            drop_off: step.drop_off,
            stopped_here: Count(step.stopped_here),
            median: step.median,
        };
        Self { steps: steps.into_iter().map(row).collect() }
    }
}

/// Two bars on top of each other, in hundredths of the width.
#[derive(Debug)]
struct StepBar {
    started: f32,
    completed: f32,
    text: String,
}

impl HtmlSafe for StepBar {}

impl fmt::Display for StepBar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            r#"<svg class="funnel-bar" viewBox="0 0 100 16" preserveAspectRatio="none" role="img" aria-label="{text}"><title>{text}</title><rect class="whole" width="{}" height="16"></rect><rect class="bar" width="{}" height="16"></rect></svg>"#,
            self.started,
            self.completed,
            text = escape(&self.text),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(label: &str, started: u64, completed: u64) -> FunnelStep {
        FunnelStep {
            label: label.to_owned(),
            id: String::new(),
            started,
            completed,
            drop_off: "25 %".to_owned(),
            stopped_here: 3,
            median: "4 min 0 s".to_owned(),
        }
    }

    #[test]
    fn steps_are_as_long_as_their_share_and_have_their_numbers_behind_them() {
        let html = FunnelChart::new(vec![step("a<b", 1_500, 750), step("none", 0, 0)], 3_000).to_string();
        assert!(html.contains(r#"class="whole" width="50""#), "{html}");
        assert!(html.contains(r#"class="bar" width="25""#), "{html}");
        assert!(
            html.contains(r#"aria-label="a&lt;b: 1,500 started, 750 completed, 3 stopped here""#),
            "{html}"
        );
        assert!(html.contains(r#"<th scope="row" class="bidi">a&#60;b"#), "{html}");
        for refused in ["style=", "<style", "fill="] {
            assert!(!html.contains(refused), "{refused} in {html}");
        }
    }
}
