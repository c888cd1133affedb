//! Bar charts as SVG whose colours come from the style sheet, so that one drawing serves both colour schemes.
//!
//! The drawing holds shapes only and stretches with its card; its few words are HTML beside it and keep their size.

mod flow;
mod funnel;
mod interval;
mod share;

use std::fmt::{self, Write as _};

use askama::Template;
use askama::filters::HtmlSafe;
use charts_rs::{Canvas, Line, Rect};

use crate::wording::Count;

pub(crate) use flow::{FlowBar, FlowCaption, FlowChart};
pub(crate) use funnel::{FunnelChart, FunnelStep};
pub(crate) use interval::Interval;
pub(crate) use share::{Part, ShareChart, SharePoint, Stack, StackChart};

const WIDTH: f32 = 960.0;
const HEIGHT: f32 = 132.0;

/// Markup that this module made: shapes and escaped text only.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Svg(String);

impl HtmlSafe for Svg {}

impl fmt::Display for Svg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One bar: how many, and when in words.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) quantity: u64,
}

/// A bar chart with its scale, its text alternative and the table of its numbers.
#[derive(Debug, Template)]
#[template(path = "parts/bar_chart.html")]
pub(crate) struct BarChart {
    svg: Svg,
    is_small: bool,
    peak: Count,
    unit: &'static str,
    first: String,
    middle: String,
    last: String,
    column: &'static str,
    bars: Vec<Bar>,
}

impl HtmlSafe for BarChart {}

/// What a bar chart says besides its bars.
pub(crate) struct Caption<'a> {
    /// The text alternative, such as `Events per hour in the last 24 hours`.
    pub(crate) about: &'a str,
    /// What is counted, in the plural.
    pub(crate) unit: &'static str,
    /// What a bar stands for, as the head of the table's first column.
    pub(crate) column: &'static str,
    pub(crate) is_small: bool,
}

impl BarChart {
    /// A chart of `bars`, oldest first; the last one is the period that has not ended yet.
    pub(crate) fn new(bars: Vec<Bar>, caption: &Caption<'_>) -> Self {
        let peak = bars.iter().map(|bar| bar.quantity).max().unwrap_or(0);
        let total: u64 = bars.iter().map(|bar| bar.quantity).sum();
        let alternative =
            format!("{}: {} {} in all, at most {}", caption.about, Count(total), caption.unit, Count(peak));
        let label = |index: usize| bars.get(index).map(|bar| bar.label.clone()).unwrap_or_default();
        Self {
            svg: Svg(draw_bars(&bars, peak, caption.unit, &alternative)),
            is_small: caption.is_small,
            peak: Count(peak),
            unit: caption.unit,
            first: label(0),
            middle: label(bars.len() / 2),
            last: label(bars.len().saturating_sub(1)),
            column: caption.column,
            bars,
        }
    }
}

fn draw_bars(bars: &[Bar], peak: u64, unit: &str, alternative: &str) -> String {
    let mut canvas = Canvas::new(WIDTH, HEIGHT);
    canvas.compact = true;
    for y in [0.5, HEIGHT / 2.0, HEIGHT - 0.5] {
        // The only shapes without a class: the style sheet draws them thin, however the drawing is stretched.
        canvas.line(Line { left: 0.0, top: y, right: WIDTH, bottom: y, ..Line::default() });
    }
    let slot = WIDTH / bars.len().max(1) as f32;
    let gap = (slot * 0.2).min(6.0);
    for (index, bar) in bars.iter().enumerate() {
        let left = slot * index as f32;
        canvas.rect(Rect {
            left,
            top: 0.0,
            width: slot,
            height: HEIGHT,
            class: Some("slot".to_owned()),
            title: Some(format!("{}: {} {unit}", bar.label, Count(bar.quantity))),
            ..Rect::default()
        });
        if bar.quantity > 0 {
            let height = share(bar.quantity, peak, HEIGHT - 1.0, 2.0);
            let class = if index + 1 == bars.len() { "now" } else { "bar" };
            canvas.rect(column(left + gap / 2.0, slot - gap, HEIGHT, height, class));
        }
    }
    opened(&canvas, "", alternative)
}

/// A row's trend: 24 small bars, the quiet hours as a thin line.
pub(crate) fn sparkline(quantities: &[u64]) -> Svg {
    sparkline_of(quantities, "events")
}

/// The same of `unit`, in the plural.
pub(crate) fn sparkline_of(quantities: &[u64], unit: &str) -> Svg {
    let peak = quantities.iter().copied().max().unwrap_or(0);
    let total: u64 = quantities.iter().sum();
    let text = format!("{} {unit} in the last 24 hours, at most {} in an hour", Count(total), Count(peak));
    spark(quantities, &text)
}

/// Small bars with a text alternative, oldest first.
pub(crate) fn spark(quantities: &[u64], alternative: &str) -> Svg {
    const WIDTH: f32 = 108.0;
    const HEIGHT: f32 = 26.0;
    let mut canvas = Canvas::new(WIDTH, HEIGHT);
    canvas.compact = true;
    let peak = quantities.iter().copied().max().unwrap_or(0);
    let slot = WIDTH / quantities.len().max(1) as f32;
    for (index, quantity) in quantities.iter().enumerate() {
        let left = slot * index as f32;
        let (height, class) =
            if *quantity == 0 { (1.0, "rest") } else { (share(*quantity, peak, HEIGHT - 1.0, 2.0), "bar") };
        canvas.rect(column(left, slot - 1.0, HEIGHT, height, class));
    }
    Svg(opened(&canvas, "spark", alternative))
}

/// One mark of a strip: its class and what it says.
pub(crate) struct Mark {
    pub(crate) class: &'static str,
    pub(crate) title: String,
}

/// A strip of marks of one height, oldest first, right-aligned in 40 places.
pub(crate) fn strip(marks: &[Mark], about: &str) -> Svg {
    const PLACES: usize = 40;
    const SLOT: f32 = 5.0;
    const HEIGHT: f32 = 20.0;
    let mut canvas = Canvas::new(PLACES as f32 * SLOT, HEIGHT);
    canvas.compact = true;
    let free = PLACES.saturating_sub(marks.len());
    for place in 0..free {
        canvas.rect(column(place as f32 * SLOT, SLOT - 1.5, HEIGHT, 2.0, "rest"));
    }
    for (index, mark) in marks.iter().take(PLACES).enumerate() {
        let bar = column((free + index) as f32 * SLOT, SLOT - 1.5, HEIGHT, HEIGHT, mark.class);
        canvas.rect(Rect { title: Some(mark.title.clone()), ..bar });
    }
    Svg(opened(&canvas, "strip", about))
}

fn column(left: f32, width: f32, base: f32, height: f32, class: &str) -> Rect {
    Rect { left, top: base - height, width, height, class: Some(class.to_owned()), ..Rect::default() }
}

/// The length of `part` where `whole` is `length` long, at least `least`.
fn share(part: u64, whole: u64, length: f32, least: f32) -> f32 {
    if whole == 0 {
        return 0.0;
    }
    let exact = part as f64 / whole as f64 * f64::from(length);
    let rounded = ((exact * 10.0).round() / 10.0) as f32;
    rounded.max(least)
}

/// The canvas as SVG with an opening tag of our own: stretching, classed and with a text alternative.
fn opened(canvas: &Canvas, class: &str, alternative: &str) -> String {
    // Writing shapes without text cannot fail; a chart that did would be left out, not the page.
    let drawn = canvas.svg().unwrap_or_default();
    let shapes = drawn.split_once('>').map_or("", |(_, shapes)| shapes);
    let mut svg = String::with_capacity(shapes.len() + 160);
    let _ =
        write!(svg, r#"<svg viewBox="0 0 {} {}" preserveAspectRatio="none""#, canvas.width, canvas.height);
    if !class.is_empty() {
        let _ = write!(svg, r#" class="{class}""#);
    }
    if alternative.is_empty() {
        svg.push_str(r#" aria-hidden="true">"#);
    } else {
        let _ = write!(svg, r#" role="img" aria-label="{}">"#, escape(alternative));
    }
    svg.push_str(shapes);
    if !shapes.ends_with("</svg>") {
        // A drawing without shapes is one empty tag, of which nothing is left.
        svg.push_str("</svg>");
    }
    svg
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars(quantities: &[u64]) -> Vec<Bar> {
        quantities.iter().map(|quantity| Bar { label: "a<b".to_owned(), quantity: *quantity }).collect()
    }

    #[test]
    fn a_chart_has_a_text_alternative_a_scale_and_its_numbers() {
        let caption =
            Caption { about: "Events per <day>", unit: "events", column: "Day (UTC)", is_small: true };
        let html = BarChart::new(bars(&[0, 1_500, 3_000]), &caption).to_string();
        assert!(
            html.contains(r#"aria-label="Events per &lt;day&gt;: 4,500 events in all, at most 3,000""#),
            "{html}"
        );
        assert!(html.contains("<title>a&lt;b: 1,500 events</title>"), "{html}");
        assert!(html.contains(r#"<span>3,000</span>"#), "{html}");
        assert!(html.contains(r#"<td>a&#60;b</td><td class="n">1500</td>"#), "{html}");
        assert_eq!(html.matches(r#"class="bar""#).count(), 1, "{html}");
        assert_eq!(html.matches(r#"class="now""#).count(), 1, "{html}");
        for refused in ["style=", "<style", "fill=", "#5470"] {
            assert!(!html.contains(refused), "{refused} in {html}");
        }
    }

    #[test]
    fn bars_are_as_high_as_their_share_and_never_invisible() {
        let heights = [0, 1, 500, 1_000].map(|part| share(part, 1_000, 100.0, 2.0));
        assert_eq!(heights, [2.0, 2.0, 50.0, 100.0]);
        assert_eq!(share(0, 0, 100.0, 2.0), 0.0);
    }

    #[test]
    fn a_quiet_trend_is_a_line_and_nothing_fails_without_numbers() {
        let quiet = sparkline(&[0; 24]).to_string();
        assert!(quiet.contains(r#"class="rest""#) && !quiet.contains(r#"class="bar""#), "{quiet}");
        assert!(quiet.contains("0 events in the last 24 hours"));
        assert!(sparkline(&[]).to_string().ends_with("</svg>"));
    }
}
