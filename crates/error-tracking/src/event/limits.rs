use belvedere_kernel::Removal;
use serde_json::{Map, Value};

use super::parse::Extent;
use super::person::{Needles, REPLACEMENT};

/// The rule under which cuts are listed among the removals.
const RULE: &str = "limit";

/// The most removals that are listed for one event.
pub(super) const REMOVALS_MAX: usize = 1_000;

/// The most frames of one stack trace: the outer half and the inner half of them stay.
const FRAMES_MAX: usize = 250;

/// The most exceptions of one chain: outer and inner ones stay.
const EXCEPTIONS_MAX: usize = 50;

/// The most threads.
const THREADS_MAX: usize = 256;

/// The most breadcrumbs: the latest stay.
const BREADCRUMBS_MAX: usize = 100;

/// The most tags.
const TAGS_MAX: usize = 200;

/// The most entries of any other list or object.
const ENTRIES_MAX: usize = 1_000;

/// The longest key of an object, in bytes; an entry with a longer one is dropped.
const KEY_BYTES_MAX: usize = 256;

/// How deeply lists and objects may nest below a top-level attribute.
const DEPTH_MAX: usize = 12;

/// The longest string, in bytes: a message or a request body.
const STRING_BYTES_MAX: usize = 8 << 10;

/// The longest string within a frame, in bytes: a line of source or a local variable.
const FRAME_STRING_BYTES_MAX: usize = 1 << 10;

/// Text fit for a column: one line without control characters (PostgreSQL refuses NUL), at most `chars` long.
pub(crate) fn clean(text: &str, chars: usize) -> String {
    let text = text.trim_matches(|character: char| character.is_whitespace() || character.is_control());
    let mut cleaned = String::with_capacity(text.len().min(chars * 4));
    for (index, character) in text.chars().enumerate() {
        if index == chars {
            // The last character makes room for the sign that something follows.
            cleaned.pop();
            cleaned.push('…');
            break;
        }
        cleaned.push(if character.is_control() { ' ' } else { character });
    }
    cleaned
}

/// Where in the event a value is: a list that lives on the call stack, so that nothing is built until it is needed.
#[derive(Clone, Copy)]
pub(super) struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Name(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    pub(super) fn name(parent: Option<&'a Path<'a>>, name: &'a str) -> Self {
        Self { parent, step: Step::Name(name) }
    }

    fn index(parent: &'a Path<'a>, index: usize) -> Self {
        Self { parent: Some(parent), step: Step::Index(index) }
    }

    /// As a JSON pointer (RFC 6901).
    fn pointer(&self) -> String {
        let mut text = self.parent.map(Path::pointer).unwrap_or_default();
        text.push('/');
        match self.step {
            Step::Name(name) => text.push_str(&name.replace('~', "~0").replace('/', "~1")),
            Step::Index(index) => text.push_str(&index.to_string()),
        }
        text
    }
}

pub(super) fn note(removals: &mut Vec<Removal>, path: impl FnOnce() -> String, rule: &str) {
    if removals.len() < REMOVALS_MAX {
        removals.push(Removal { path: path(), rule: rule.to_owned() });
    }
}

/// Shortens the lists of the stored shape, each at the end that says least.
pub(super) fn cut_lists(event: &mut Map<String, Value>, removals: &mut Vec<Removal>) {
    for (key, most) in [("exception", EXCEPTIONS_MAX), ("threads", THREADS_MAX)] {
        let Some(Value::Array(values)) = event.get_mut(key).and_then(|list| list.get_mut("values")) else {
            continue;
        };
        if cut_middle(values, most) {
            note(removals, || format!("/{key}/values"), RULE);
        }
        for (index, value) in values.iter_mut().enumerate() {
            if let Value::Object(holder) = value {
                cut_frames(holder, removals, || format!("/{key}/values/{index}"));
            }
        }
    }
    cut_frames(event, removals, String::new);
    if let Some(Value::Array(values)) = event.get_mut("breadcrumbs").and_then(|list| list.get_mut("values"))
        && values.len() > BREADCRUMBS_MAX
    {
        values.drain(..values.len() - BREADCRUMBS_MAX);
        note(removals, || "/breadcrumbs/values".to_owned(), RULE);
    }
    if let Some(Value::Array(tags)) = event.get_mut("tags")
        && tags.len() > TAGS_MAX
    {
        tags.truncate(TAGS_MAX);
        note(removals, || "/tags".to_owned(), RULE);
    }
}

fn cut_frames(holder: &mut Map<String, Value>, removals: &mut Vec<Removal>, path: impl FnOnce() -> String) {
    let Some(Value::Object(stacktrace)) = holder.get_mut("stacktrace") else { return };
    let Some(Value::Array(frames)) = stacktrace.get_mut("frames") else { return };
    let count = frames.len();
    if cut_middle(frames, FRAMES_MAX) {
        // As Sentry's own attribute: the frames from the first number up to the second are left out.
        let omitted = serde_json::json!([FRAMES_MAX / 2, count - FRAMES_MAX / 2]);
        stacktrace.insert("frames_omitted".to_owned(), omitted);
        note(removals, || format!("{}/stacktrace/frames", path()), RULE);
    }
}

fn cut_middle(values: &mut Vec<Value>, most: usize) -> bool {
    let cut = values.len() > most;
    if cut {
        values.drain(most / 2..values.len() - most / 2);
    }
    cut
}

impl Extent {
    /// Whether nothing of this size is too large anywhere in an event, even after normalising has put it a few levels
    /// deeper and added entries.
    fn fits(&self) -> bool {
        self.depth < DEPTH_MAX
            && self.entries <= ENTRIES_MAX - 100
            && self.key_bytes <= KEY_BYTES_MAX
            && self.string_bytes <= FRAME_STRING_BYTES_MAX
    }
}

/// Shortens strings, nesting and all other lists, and takes the person's identifiers out of strings. `received` is how
/// large the event's parts were as it was received, where that is known: most events need not be walked through.
pub(super) fn trim(
    event: &mut Map<String, Value>,
    needles: &Needles,
    removals: &mut Vec<Removal>,
    received: Option<&Extent>,
) {
    if needles.is_empty() && received.is_some_and(Extent::fits) {
        return trim_composed(event, needles, removals);
    }
    if drop_entries(event) {
        note(removals, String::new, RULE);
    }
    for (key, value) in event.iter_mut() {
        // What describes the program, not what it did, names nobody.
        let is_about_program = matches!(
            key.as_str(),
            "sdk" | "modules" | "debug_meta" | "release" | "dist" | "environment" | "event_id"
        );
        let mut trimmer =
            Trimmer { needles, removals, string_bytes_max: STRING_BYTES_MAX, searches: !is_about_program };
        trimmer.visit(value, Path::name(None, key), DEPTH_MAX);
    }
}

/// Shortens the texts that normalising puts together: they can be longer than what they are made of.
fn trim_composed(event: &mut Map<String, Value>, needles: &Needles, removals: &mut Vec<Removal>) {
    let mut trimmer = Trimmer { needles, removals, string_bytes_max: STRING_BYTES_MAX, searches: false };
    for key in ["fingerprint", "logentry", "request", "tags"] {
        if let Some(value) = event.get_mut(key) {
            trimmer.visit(value, Path::name(None, key), DEPTH_MAX);
        }
    }
    let (root, list) = (Path::name(None, "exception"), event.get_mut("exception"));
    let Some(Value::Array(exceptions)) = list.and_then(|list| list.get_mut("values")) else { return };
    let path = Path::name(Some(&root), "values");
    for (index, exception) in exceptions.iter_mut().enumerate() {
        let path = Path::index(&path, index);
        for key in ["type", "value", "module"] {
            if let Some(Value::String(text)) = exception.get_mut(key) {
                trimmer.visit_text(text, Path::name(Some(&path), key));
            }
        }
    }
}

/// Drops entries with overlong keys, and those beyond the most; says whether there were any.
fn drop_entries(object: &mut Map<String, Value>) -> bool {
    let count = object.len();
    if count > ENTRIES_MAX || object.keys().any(|key| key.len() > KEY_BYTES_MAX) {
        let mut kept = 0;
        object.retain(|key, _| {
            let keeps = key.len() <= KEY_BYTES_MAX && kept < ENTRIES_MAX;
            kept += usize::from(keeps);
            keeps
        });
    }
    object.len() < count
}

struct Trimmer<'a> {
    needles: &'a Needles,
    removals: &'a mut Vec<Removal>,
    string_bytes_max: usize,
    searches: bool,
}

impl Trimmer<'_> {
    fn visit(&mut self, value: &mut Value, path: Path<'_>, depth: usize) {
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => {
                if self.searches && self.needles.is_identifier(number) {
                    *value = Value::String(REPLACEMENT.to_owned());
                    note(self.removals, || path.pointer(), super::person::RULE);
                }
            }
            Value::String(text) => self.visit_text(text, path),
            Value::Array(_) | Value::Object(_) if depth == 0 => {
                *value = Value::String("...".to_owned());
                note(self.removals, || path.pointer(), RULE);
            }
            Value::Array(list) => {
                if list.len() > ENTRIES_MAX {
                    list.truncate(ENTRIES_MAX);
                    note(self.removals, || path.pointer(), RULE);
                }
                for (index, entry) in list.iter_mut().enumerate() {
                    self.visit(entry, Path::index(&path, index), depth - 1);
                }
            }
            Value::Object(object) => {
                if object.len() > ENTRIES_MAX && drop_entries(object) {
                    note(self.removals, || path.pointer(), RULE);
                }
                if self.searches && self.needles.has_words() {
                    self.rename_keys(object, path);
                }
                let is_stacktrace = object.contains_key("frames");
                let mut has_long_key = false;
                for (key, entry) in object.iter_mut() {
                    if key.len() > KEY_BYTES_MAX {
                        has_long_key = true;
                        continue;
                    }
                    let path = Path::name(Some(&path), key);
                    match (is_stacktrace && key == "frames", entry) {
                        (true, Value::Array(frames)) => self.visit_frames(frames, path, depth - 1),
                        (_, entry) => self.visit(entry, path, depth - 1),
                    }
                }
                if has_long_key && drop_entries(object) {
                    note(self.removals, || path.pointer(), RULE);
                }
            }
        }
    }

    /// Keys that are the person's identifiers, as in `{"u-20117": 3}`.
    fn rename_keys(&mut self, object: &mut Map<String, Value>, path: Path<'_>) {
        let renamed: Vec<(String, String)> =
            object.keys().filter_map(|key| Some((key.clone(), self.needles.replaced_key(key)?))).collect();
        for (key, new) in renamed {
            let Some(value) = object.remove(&key) else { continue };
            let mut name = new.clone();
            let mut number = 2;
            while object.contains_key(&name) {
                name = format!("{new} {number}");
                number += 1;
            }
            note(self.removals, || Path::name(Some(&path), &name).pointer(), super::person::RULE);
            object.insert(name, value);
        }
    }

    /// Frames: names and source lines say where, not who, and grouping needs them as they are. Variables may say who.
    fn visit_frames(&mut self, frames: &mut [Value], path: Path<'_>, depth: usize) {
        let mut inner = Trimmer {
            needles: self.needles,
            removals: self.removals,
            string_bytes_max: FRAME_STRING_BYTES_MAX,
            searches: false,
        };
        for (index, frame) in frames.iter_mut().enumerate() {
            let path = Path::index(&path, index);
            let Value::Object(frame) = frame else { continue };
            for (key, entry) in frame.iter_mut() {
                inner.searches = self.searches && key == "vars";
                inner.visit(entry, Path::name(Some(&path), key), depth.min(8));
            }
        }
    }

    fn visit_text(&mut self, text: &mut String, path: Path<'_>) {
        if self.searches && self.needles.replace_in(text) {
            note(self.removals, || path.pointer(), super::person::RULE);
        }
        if text.len() > self.string_bytes_max {
            text.truncate(text.floor_char_boundary(self.string_bytes_max - 3));
            text.push_str("...");
            note(self.removals, || path.pointer(), RULE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_for_a_column_has_one_line_and_no_control_characters() {
        assert_eq!(clean(" \0 a\0b\nc \0", 10), "a b c");
        assert_eq!(clean("äöüß", 4), "äöüß");
        assert_eq!(clean("äöüßä", 4), "äöü…");
    }

    #[test]
    fn pointers_escape_slashes_and_tildes() {
        let root = Path::name(None, "ex/tra");
        let inner = Path::index(&root, 3);
        assert_eq!(Path::name(Some(&inner), "a~b").pointer(), "/ex~1tra/3/a~0b");
    }
}
