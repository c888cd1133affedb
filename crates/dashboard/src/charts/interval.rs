//! A chance with its interval.

use std::fmt;

use askama::filters::HtmlSafe;

use super::escape;

/// A chance from 0 to 1 as a mark on a line, with the interval in which it lies.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Interval {
    pub(crate) low: f64,
    pub(crate) at: f64,
    pub(crate) high: f64,
    /// What it is the chance of, for the text alternative.
    pub(crate) about: String,
}

impl HtmlSafe for Interval {}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, at, high] = [self.low, self.at, self.high].map(|share| share.clamp(0.0, 1.0) * 100.0);
        write!(
            f,
            r#"<svg class="interval" viewBox="0 0 100 12" preserveAspectRatio="none" role="img" aria-label="{}: {at:.0} %, between {low:.0} and {high:.0} %"><rect class="whole" y="5" width="100" height="2"></rect><rect class="range" x="{low:.1}" y="3" width="{:.1}" height="6"></rect><rect class="bar" x="{:.1}" width="1.6" height="12"></rect></svg>"#,
            escape(&self.about),
            (high - low).max(0.5),
            (at - 0.8).max(0.0),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_stays_on_its_line() {
        let interval = Interval { low: -0.5, at: 0.0, high: 2.0, about: "a\"b".to_owned() };
        let html = interval.to_string();
        assert!(html.contains(r#"aria-label="a&quot;b: 0 %, between 0 and 100 %""#), "{html}");
        assert!(html.contains(r#"x="0.0" y="3" width="100.0""#), "{html}");
    }
}
