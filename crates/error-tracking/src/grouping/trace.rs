use std::collections::HashMap;

use serde_json::{Map, Value};

use super::frame::{Line, line_of};
use super::machinery::without_machinery;
use super::{Variant, Version};

/// The mark on a frame that a rule of the project left out of grouping: `false`.
pub(crate) const IN_GROUPING: &str = "in_grouping";

/// The lines of a stack trace, outermost first, without repetitions by recursion.
#[derive(Default)]
pub(super) struct Trace {
    pub(super) application: Vec<String>,
    pub(super) all: Vec<String>,
    counts: LeftOut,
    recursion_of_application: usize,
}

/// How many frames of which kind were left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    system: usize,
    recursion: usize,
    machinery: usize,
    nameless: usize,
    by_rule: usize,
}

impl LeftOut {
    pub(super) fn add(&mut self, other: &Self) {
        self.system += other.system;
        self.recursion += other.recursion;
        self.machinery += other.machinery;
        self.nameless += other.nameless;
        self.by_rule += other.by_rule;
    }

    pub(super) fn into_words(self) -> Vec<String> {
        let words = [
            (self.system, "system frame", "system frames"),
            (self.recursion, "frame of a recursion", "frames of a recursion"),
            (self.machinery, "frame that only aborts or throws", "frames that only abort or throw"),
            (self.nameless, "frame without a name or of the SDK", "frames without a name or of the SDK"),
            (self.by_rule, "frame by a rule of the project", "frames by rules of the project"),
        ];
        let said = |(count, one, several): (usize, &str, &str)| {
            (count > 0).then(|| format!("{count} {}", if count == 1 { one } else { several }))
        };
        words.into_iter().filter_map(said).collect()
    }
}

impl Trace {
    pub(super) fn of(holder: &Map<String, Value>, event: &Value, version: Version) -> Self {
        let platform = event.get("platform").and_then(Value::as_str).unwrap_or_default();
        let frames = holder.get("stacktrace").and_then(|trace| trace.get("frames")).and_then(Value::as_array);
        let Some(frames) = frames else { return Self::default() };
        let mut trace = Self::default();
        let mut lines: Vec<Line> = Vec::with_capacity(frames.len());
        for frame in frames.iter().filter_map(Value::as_object) {
            if version >= Version::Two && frame.get(IN_GROUPING).and_then(Value::as_bool) == Some(false) {
                trace.counts.by_rule += 1;
                continue;
            }
            match line_of(frame, platform, version) {
                Some(line) => lines.push(line),
                None => trace.counts.nameless += 1,
            }
        }
        if version >= Version::Two {
            trace.counts.machinery = without_machinery(&mut lines);
        }
        let of_application: Vec<&Line> = lines.iter().filter(|line| line.in_app).collect();
        trace.counts.system = lines.len() - of_application.len();
        (trace.application, trace.recursion_of_application) = without_recursion(&of_application, version);
        let everything: Vec<&Line> = lines.iter().collect();
        (trace.all, trace.counts.recursion) = without_recursion(&everything, version);
        trace
    }

    /// What was left out if `variant` is what counts.
    pub(super) fn left_out(&self, variant: Variant) -> LeftOut {
        match variant {
            Variant::Application => LeftOut { recursion: self.recursion_of_application, ..self.counts },
            Variant::System => LeftOut { system: 0, ..self.counts },
        }
    }
}

/// The texts of `lines` without cycles, and how many were left out.
///
/// When a function is entered again, everything since its first entry is forgotten and its latest call stands for it.
/// So what remains is a way without cycles to where it failed: the same for every depth of a recursion, direct or by
/// way of other functions. Frames without a function's name only lose immediate repetitions.
fn without_recursion(lines: &[&Line], version: Version) -> (Vec<String>, usize) {
    let mut way: Vec<&Line> = Vec::with_capacity(lines.len());
    let mut entered: HashMap<u64, usize> = HashMap::new();
    for line in lines {
        if way.last().is_some_and(|last| last.text == line.text) {
            continue;
        }
        if version >= Version::Two
            && let Some(function) = line.function_key
        {
            if let Some(at) = entered.get(&function).copied() {
                for forgotten in way.drain(at..) {
                    if let Some(function) = forgotten.function_key {
                        entered.remove(&function);
                    }
                }
            }
            entered.insert(function, way.len());
        }
        way.push(line);
    }
    let left_out = lines.len() - way.len();
    (way.into_iter().map(|line| line.text.clone()).collect(), left_out)
}
