//! What goes up and what goes down over time, as bars on both sides of a line; with one part, a level over time.

use std::fmt::Write as _;

use askama::Template;
use askama::filters::HtmlSafe;

use super::{HEIGHT, Part, Svg, WIDTH, escape};

/// One bar: when in words, how much of each part, and the same in words.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FlowBar {
    pub(crate) label: String,
    /// In the order of the parts that go up, then of those that go down.
    pub(crate) parts: Vec<u64>,
    /// The cells of its row in the table.
    pub(crate) texts: Vec<String>,
}

/// Bars with their scale, a text alternative and the table of their numbers.
#[derive(Debug, Template)]
#[template(path = "parts/flow_chart.html")]
pub(crate) struct FlowChart {
    svg: Svg,
    peak: String,
    first: String,
    middle: String,
    last: String,
    columns: Vec<String>,
    parts: Vec<Part>,
    rows: Vec<(String, Vec<String>)>,
}

impl HtmlSafe for FlowChart {}

/// What a chart of flows says besides its bars.
pub(crate) struct FlowCaption {
    /// The text alternative, with unit and period.
    pub(crate) about: String,
    /// The greatest level in words.
    pub(crate) peak: String,
    /// The heads of the table.
    pub(crate) columns: Vec<String>,
}

impl FlowChart {
    /// Bars oldest first; the first `up` of the parts go up from the line, the others down.
    pub(crate) fn new(bars: Vec<FlowBar>, parts: &[Part], up: usize, caption: FlowCaption) -> Self {
        let label = |index: usize| bars.get(index).map(|bar| bar.label.clone()).unwrap_or_default();
        Self {
            svg: Svg(draw(&bars, parts, up, &caption.about)),
            peak: caption.peak,
            first: label(0),
            middle: label(bars.len() / 2),
            last: label(bars.len().saturating_sub(1)),
            columns: caption.columns,
            parts: if parts.len() > 1 { parts.to_vec() } else { Vec::new() },
            rows: bars.into_iter().map(|bar| (bar.label, bar.texts)).collect(),
        }
    }
}

fn draw(bars: &[FlowBar], parts: &[Part], up: usize, about: &str) -> String {
    let sum = |bar: &FlowBar, is_up: bool| -> u64 {
        let own = bar.parts.iter().enumerate().filter(|(place, _)| (*place < up) == is_up);
        own.map(|(_, quantity)| *quantity).fold(0, u64::saturating_add)
    };
    let most = |is_up: bool| bars.iter().map(|bar| sum(bar, is_up)).max().unwrap_or(0);
    let (most_up, most_down) = (most(true) as f64, most(false) as f64);
    let height = f64::from(HEIGHT) - 1.0;
    let scale = if most_up + most_down > 0.0 { height / (most_up + most_down) } else { 0.0 };
    let line = if most_up + most_down > 0.0 { most_up * scale + 0.5 } else { height };
    let mut svg = format!(
        r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{}">"#,
        escape(about)
    );
    let _ = write!(svg, r#"<path d="M0 0.5H{WIDTH}"/><path d="M0 {line:.1}H{WIDTH}"/>"#);
    let slot = f64::from(WIDTH) / bars.len().max(1) as f64;
    let gap = (slot * 0.2).min(6.0);
    for (index, bar) in bars.iter().enumerate() {
        let left = slot * index as f64;
        let title = format!("{}: {}", bar.label, bar.texts.join(", "));
        let _ = write!(
            svg,
            r#"<rect class="slot" x="{left:.1}" y="0" width="{slot:.1}" height="{HEIGHT}"><title>{}</title></rect>"#,
            escape(&title)
        );
        let (mut top, mut bottom) = (line, line);
        for (place, (quantity, part)) in bar.parts.iter().zip(parts).enumerate() {
            let size = *quantity as f64 * scale;
            if *quantity == 0 {
                continue;
            }
            let y = if place < up { top - size } else { bottom };
            if place < up {
                top -= size
            } else {
                bottom += size
            }
            let _ = write!(
                svg,
                r#"<rect class="part {}" x="{:.1}" y="{y:.1}" width="{:.1}" height="{:.1}"/>"#,
                part.class,
                left + gap / 2.0,
                slot - gap,
                size.max(1.0)
            );
        }
    }
    svg.push_str("</svg>");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_on_their_side_of_the_line_with_their_numbers_behind_them() {
        let parts = [Part { name: "new", class: "ok" }, Part { name: "churned", class: "bad" }];
        let bar = |label: &str, parts: [u64; 2]| FlowBar {
            label: label.to_owned(),
            parts: parts.to_vec(),
            texts: parts.iter().map(|it| format!("{it}.00")).collect(),
        };
        let caption = FlowCaption {
            about: "MRR <by> month".to_owned(),
            peak: "30.00".to_owned(),
            columns: ["Month", "New", "Churned"].map(str::to_owned).to_vec(),
        };
        let html =
            FlowChart::new(vec![bar("a<b", [30, 10]), bar("c", [0, 0])], &parts, 1, caption).to_string();
        assert!(html.contains(r#"aria-label="MRR &lt;by&gt; month""#), "{html}");
        assert!(html.contains("<title>a&lt;b: 30.00, 10.00</title>"), "{html}");
        // 131 high: three quarters of it above the line, the rest below.
        assert!(html.contains(r#"class="part ok" x="3.0" y="0.5" width="474.0" height="98.2""#), "{html}");
        assert!(html.contains(r#"class="part bad" x="3.0" y="98.8" width="474.0" height="32.8""#), "{html}");
        assert!(html.contains(r#"<th scope="row">a&#60;b</th><td class="n">30.00</td>"#), "{html}");
        for refused in ["style=", "<style", "fill="] {
            assert!(!html.contains(refused), "{refused} in {html}");
        }
        let empty = FlowCaption { about: String::new(), peak: String::new(), columns: Vec::new() };
        assert!(FlowChart::new(Vec::new(), &parts, 1, empty).to_string().contains("</svg>"));
    }
}
