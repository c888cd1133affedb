//! Shares over time as a line, and parts of a whole as stacked bars.

use std::fmt::Write as _;

use askama::Template;
use askama::filters::HtmlSafe;

use super::{HEIGHT, Svg, WIDTH, escape, share};
use crate::wording::{Count, percent};

/// One point of a share: when in words, and how much of how much.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SharePoint {
    pub(crate) label: String,
    pub(crate) part: u64,
    pub(crate) whole: u64,
}

/// A line of percentages with its scale, its text alternative and the table of its numbers.
#[derive(Debug, Template)]
#[template(path = "parts/share_chart.html")]
pub(crate) struct ShareChart {
    svg: Svg,
    floor: u64,
    first: String,
    middle: String,
    last: String,
    column: &'static str,
    unit: &'static str,
    rows: Vec<ShareRow>,
}

#[derive(Debug)]
struct ShareRow {
    label: String,
    percent: String,
    part: Count,
    whole: Count,
}

impl HtmlSafe for ShareChart {}

impl ShareChart {
    /// A line of `points`, oldest first. The scale begins at the highest of a few percentages that lies below all
    /// points; where there is nothing to be a share of, the line has a gap.
    pub(crate) fn new(
        points: Vec<SharePoint>,
        about: &str,
        column: &'static str,
        unit: &'static str,
    ) -> Self {
        let shares: Vec<Option<f64>> = points
            .iter()
            .map(|point| (point.whole > 0).then(|| point.part as f64 / point.whole as f64 * 100.0))
            .collect();
        let least = shares.iter().flatten().copied().fold(100.0, f64::min);
        let floor = [99_u64, 95, 90, 75, 50].into_iter().find(|floor| least > *floor as f64).unwrap_or(0);
        let label = |index: usize| points.get(index).map(|point| point.label.clone()).unwrap_or_default();
        let (part, whole) =
            points.iter().fold((0, 0), |sum, point| (sum.0 + point.part, sum.1 + point.whole));
        let alternative = format!("{about}: {} over all", percent(part, whole));
        Self {
            svg: Svg(draw_line(&shares, &points, floor, &alternative)),
            floor,
            first: label(0),
            middle: label(points.len() / 2),
            last: label(points.len().saturating_sub(1)),
            column,
            unit,
            rows: points
                .into_iter()
                .map(|point| ShareRow {
                    percent: percent(point.part, point.whole),
                    part: Count(point.part),
                    whole: Count(point.whole),
                    label: point.label,
                })
                .collect(),
        }
    }
}

fn open_svg(alternative: &str) -> String {
    format!(
        r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{}">"#,
        escape(alternative)
    )
}

fn rules(svg: &mut String) {
    for y in [0.5, HEIGHT / 2.0, HEIGHT - 0.5] {
        let _ = write!(svg, r#"<path d="M0 {y}H{WIDTH}"/>"#);
    }
}

fn draw_line(shares: &[Option<f64>], points: &[SharePoint], floor: u64, alternative: &str) -> String {
    let mut svg = open_svg(alternative);
    rules(&mut svg);
    let slot = f64::from(WIDTH) / shares.len().max(1) as f64;
    let span = 100.0 - floor as f64;
    let y = |share: f64| (f64::from(HEIGHT) - 1.0) * (100.0 - share) / span + 0.5;
    let mut path = String::new();
    let mut is_drawing = false;
    for (index, share) in shares.iter().enumerate() {
        let x = slot * (index as f64 + 0.5);
        match share {
            Some(share) => {
                let step = if is_drawing { 'L' } else { 'M' };
                let _ = write!(path, "{step}{x:.1} {:.1}", y(*share));
                // A point between two gaps would not be seen.
                if !is_drawing && shares.get(index + 1).is_none_or(Option::is_none) {
                    let _ = write!(path, "h{:.1}", slot.min(6.0));
                }
                is_drawing = true;
            }
            None => is_drawing = false,
        }
    }
    let _ = write!(svg, r#"<path class="trend" d="{path}"/>"#);
    for (index, point) in points.iter().enumerate() {
        let title = format!("{}: {}", point.label, percent(point.part, point.whole));
        let _ = write!(
            svg,
            r#"<rect class="slot" x="{:.1}" y="0" width="{slot:.1}" height="{HEIGHT}"><title>{}</title></rect>"#,
            slot * index as f64,
            escape(&title)
        );
    }
    svg.push_str("</svg>");
    svg
}

/// Parts of what happened in one period, in the order of the chart's names.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stack {
    pub(crate) label: String,
    pub(crate) parts: Vec<u64>,
}

/// A name of a part, with the class that colours it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) class: &'static str,
}

/// Stacked bars with their key, their scale, a text alternative and the table of their numbers.
#[derive(Debug, Template)]
#[template(path = "parts/stack_chart.html")]
pub(crate) struct StackChart {
    svg: Svg,
    peak: Count,
    first: String,
    middle: String,
    last: String,
    column: &'static str,
    parts: Vec<Part>,
    rows: Vec<(String, Vec<u64>)>,
}

impl HtmlSafe for StackChart {}

impl StackChart {
    /// Bars of `stacks`, oldest first, whose parts are named by `parts`, from the bottom up.
    pub(crate) fn new(stacks: Vec<Stack>, parts: &[Part], about: &str, column: &'static str) -> Self {
        let peak = stacks.iter().map(|stack| stack.parts.iter().sum::<u64>()).max().unwrap_or(0);
        let total = stacks.iter().flat_map(|stack| &stack.parts).sum::<u64>();
        let label = |index: usize| stacks.get(index).map(|stack| stack.label.clone()).unwrap_or_default();
        let alternative = format!("{about}: {} in all, at most {}", Count(total), Count(peak));
        Self {
            svg: Svg(draw_stacks(&stacks, parts, peak, &alternative)),
            peak: Count(peak),
            first: label(0),
            middle: label(stacks.len() / 2),
            last: label(stacks.len().saturating_sub(1)),
            column,
            parts: parts.to_vec(),
            rows: stacks.into_iter().map(|stack| (stack.label, stack.parts)).collect(),
        }
    }
}

fn draw_stacks(stacks: &[Stack], parts: &[Part], peak: u64, alternative: &str) -> String {
    let mut svg = open_svg(alternative);
    rules(&mut svg);
    let slot = WIDTH / stacks.len().max(1) as f32;
    let gap = (slot * 0.2).min(6.0);
    for (index, stack) in stacks.iter().enumerate() {
        let left = slot * index as f32;
        let named: Vec<String> = stack
            .parts
            .iter()
            .zip(parts)
            .filter(|(quantity, _)| **quantity > 0)
            .map(|(quantity, part)| format!("{} {}", Count(*quantity), part.name))
            .collect();
        let title = if named.is_empty() { "none".to_owned() } else { named.join(", ") };
        let _ = write!(
            svg,
            r#"<rect class="slot" x="{left:.1}" y="0" width="{slot:.1}" height="{HEIGHT}"><title>{}: {}</title></rect>"#,
            escape(&stack.label),
            escape(&title)
        );
        let mut top = HEIGHT;
        for (quantity, part) in stack.parts.iter().zip(parts).filter(|(quantity, _)| **quantity > 0) {
            let height = share(*quantity, peak, HEIGHT - 1.0, 1.0).min(top);
            top -= height;
            let (x, width) = (left + gap / 2.0, slot - gap);
            let _ = write!(
                svg,
                r#"<rect class="part {}" x="{x:.1}" y="{top:.1}" width="{width:.1}" height="{height:.1}"/>"#,
                part.class
            );
        }
    }
    svg.push_str("</svg>");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(part: u64, whole: u64) -> SharePoint {
        SharePoint { label: "a<b".to_owned(), part, whole }
    }

    #[test]
    fn the_scale_of_a_share_begins_below_its_least_point() {
        for (part, floor) in
            [(1_000, 99), (991, 99), (990, 95), (950, 90), (900, 75), (760, 75), (500, 0), (0, 0)]
        {
            let chart = ShareChart::new(vec![point(1, 1), point(part, 1_000)], "Share", "Day", "sessions");
            assert_eq!(chart.floor, floor, "{part}");
        }
    }

    #[test]
    fn gaps_stay_gaps_and_lonely_points_are_seen() {
        let chart =
            ShareChart::new(vec![point(1, 1), point(0, 0), point(1, 2)], "Share <x>", "Day", "sessions");
        let html = chart.to_string();
        assert!(html.contains(r#"aria-label="Share &lt;x&gt;: 66.66 % over all""#), "{html}");
        assert_eq!(html.matches(['M']).count() - 3, 2, "{html}");
        assert!(html.contains("<title>a&lt;b: none</title>"), "{html}");
        assert!(!html.contains("style="), "{html}");
        assert!(ShareChart::new(Vec::new(), "", "", "").to_string().contains("</svg>"));
    }

    #[test]
    fn stacks_show_their_parts_and_their_numbers() {
        let parts = [Part { name: "healthy", class: "p0" }, Part { name: "crashed", class: "p4" }];
        let stacks = vec![
            Stack { label: "a<b".to_owned(), parts: vec![3, 1] },
            Stack { label: "c".to_owned(), parts: vec![0, 0] },
        ];
        let html = StackChart::new(stacks, &parts, "Sessions", "Day").to_string();
        assert!(html.contains("<title>a&lt;b: 3 healthy, 1 crashed</title>"), "{html}");
        assert!(html.contains("<title>c: none</title>"), "{html}");
        // Two bars and two in the key.
        assert_eq!(html.matches(r#"class="part p"#).count(), 4, "{html}");
        assert!(html.contains(r#"aria-label="Sessions: 4 in all, at most 4""#), "{html}");
    }
}
