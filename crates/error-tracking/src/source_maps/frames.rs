//! Frames of generated scripts become frames of the sources. Pure: what is needed has been looked up before.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::cache::Loaded;
use super::decode::{Origin, SourceMap};
use super::model::BundleId;
use super::paths::{SourcePath, source_path};
use super::script::{Position, Script, original_function};

/// Lines of source before and after the line of the call.
const CONTEXT_LINES: usize = 5;

/// The longest line of source that is kept, in characters; longer ones are cut.
const LINE_CHARS_MAX: usize = 240;

/// The longest name of a function that is kept, in characters.
const NAME_CHARS_MAX: usize = 256;

/// The most frames of one event that are mapped: outer and inner ones of deep recursion stay as they are.
const FRAMES_MAX: usize = 500;

/// The attribute of a frame's `data` that says why it could not be mapped.
pub(crate) const UNMAPPED: &str = "unmapped";

/// A script that frames lie in, with its map.
#[derive(Debug, Clone)]
pub(crate) struct Mapped {
    pub(crate) map: Arc<Loaded>,
    pub(crate) script: Option<Arc<Loaded>>,
    /// Where the map lies, which its sources are relative to.
    pub(crate) map_url: String,
    pub(crate) bundle: BundleId,
    /// `debug_id` or `url`.
    pub(crate) found_by: &'static str,
}

/// What is known of the script at a path.
#[derive(Debug, Clone)]
pub(crate) enum Located {
    Mapped(Mapped),
    /// A map is needed and is not there: why, as it is kept with the frame.
    Lacking(Value),
    /// Nobody uploaded anything that could be meant.
    Unknown,
}

/// What the mapping of an event's frames amounted to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FrameCounts {
    pub(crate) mapped: usize,
    pub(crate) failed: usize,
}

/// Where a frame's script is: its path with the place in it.
pub(crate) fn path_of(frame: &Map<String, Value>) -> Option<&str> {
    let text = |key: &str| frame.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let path = text("abs_path").or_else(|| text("filename"))?;
    let is_script = !path.starts_with("node:")
        && !path.starts_with('<')
        && !path.contains("[native code]")
        && frame.get("lineno").and_then(Value::as_u64).is_some_and(|line| line > 0);
    is_script.then_some(path)
}

/// The path under which the SDK names the frame's script in `debug_meta` where it differs from [`path_of`].
pub(crate) fn other_path_of(frame: &Map<String, Value>) -> Option<&str> {
    frame.get("filename").and_then(Value::as_str).filter(|path| !path.is_empty())
}

/// Visits whatever of an event has a stack trace: its exceptions, its threads and the event itself.
pub(crate) fn for_each_holder(event: &mut Value, visit: &mut dyn FnMut(&mut Map<String, Value>)) {
    let Value::Object(event) = event else { return };
    for key in ["exception", "threads"] {
        let values = event.get_mut(key).and_then(|list| list.get_mut("values")).and_then(Value::as_array_mut);
        for holder in values.into_iter().flatten().filter_map(Value::as_object_mut) {
            if holder.contains_key("stacktrace") {
                visit(holder);
            }
        }
    }
    if event.contains_key("stacktrace") {
        visit(event);
    }
}

/// Visits every frame of an event.
pub(crate) fn for_each_frame<'a>(event: &'a Value, visit: &mut dyn FnMut(&'a Map<String, Value>)) {
    let values = |key: &str| event.get(key).and_then(|list| list.get("values")).and_then(Value::as_array);
    let holders = ["exception", "threads"].into_iter().filter_map(values).flatten().chain([event]);
    for holder in holders {
        let frames = holder.get("stacktrace").and_then(|trace| trace.get("frames")).and_then(Value::as_array);
        frames.into_iter().flatten().filter_map(Value::as_object).for_each(&mut *visit);
    }
}

/// Maps the frames of `holder`'s stack trace; the frames as they came are kept beside them as `raw_stacktrace`.
pub(crate) fn map_stacktrace(
    holder: &mut Map<String, Value>,
    located: &HashMap<String, Located>,
    source_text: &dyn Fn(BundleId, &str) -> Option<Arc<Loaded>>,
    room: &mut usize,
) -> FrameCounts {
    let mut counts = FrameCounts::default();
    let Some(stacktrace) = holder.get("stacktrace").filter(|trace| trace.is_object()) else { return counts };
    let Some(frames) = stacktrace.get("frames").and_then(Value::as_array) else { return counts };
    let places: Vec<Option<Place<'_>>> = frames.iter().map(|frame| Place::of(frame, located)).collect();
    if places.iter().all(Option::is_none) {
        return counts;
    }
    let mut changed: Vec<Value> = Vec::with_capacity(frames.len());
    let mut caller: Option<&Place<'_>> = None;
    for (frame, place) in frames.iter().zip(&places) {
        let mut frame = frame.clone();
        if let (Value::Object(frame), Some(place)) = (&mut frame, place)
            && *room > 0
        {
            *room -= 1;
            match map_frame(frame, place, caller, source_text) {
                Ok(()) => counts.mapped += 1,
                Err(why) => {
                    counts.failed += 1;
                    set_data(frame, UNMAPPED, why);
                }
            }
        }
        caller = place.as_ref();
        changed.push(frame);
    }
    if counts.mapped > 0 {
        let raw = holder.get("stacktrace").cloned();
        holder.entry("raw_stacktrace").or_insert_with(|| raw.unwrap_or_default());
    }
    if let Some(Value::Object(stacktrace)) = holder.get_mut("stacktrace") {
        stacktrace.insert("frames".to_owned(), changed.into());
    }
    counts
}

/// How many frames of one event may be mapped.
pub(crate) fn frames_room() -> usize {
    FRAMES_MAX
}

/// Undoes the mapping of an event: its frames are as they came.
pub(crate) fn unmap(event: &mut Value) {
    for_each_holder(event, &mut unmap_stacktrace);
}

fn unmap_stacktrace(holder: &mut Map<String, Value>) {
    if let Some(raw) = holder.remove("raw_stacktrace") {
        holder.insert("stacktrace".to_owned(), raw);
    }
    let frames =
        holder.get_mut("stacktrace").and_then(|trace| trace.get_mut("frames")).and_then(Value::as_array_mut);
    for frame in frames.into_iter().flatten() {
        let Some(Value::Object(data)) = frame.get_mut("data") else { continue };
        data.remove(UNMAPPED);
        if data.is_empty()
            && let Value::Object(frame) = frame
        {
            frame.remove("data");
        }
    }
}

/// A frame's place in a script of which something is known.
struct Place<'a> {
    position: Result<Position, Value>,
    located: &'a Located,
    function: String,
}

impl<'a> Place<'a> {
    fn of(frame: &Value, located: &'a HashMap<String, Located>) -> Option<Self> {
        let frame = frame.as_object()?;
        let located = located.get(path_of(frame)?)?;
        if matches!(located, Located::Unknown) {
            return None;
        }
        let number =
            |key: &str| frame.get(key).and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
        let position = match (number("lineno"), number("colno").filter(|column| *column > 0)) {
            (Some(line), Some(column)) => Ok(Position { line, column }),
            _ => Err(json!({"why": "no_column"})),
        };
        let function = frame.get("function").and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(Self { position, located, function })
    }

    fn map(&self) -> Option<(Position, &SourceMap, Option<&Script>)> {
        let Located::Mapped(mapped) = self.located else { return None };
        let Loaded::Map(map) = &*mapped.map else { return None };
        let script = match mapped.script.as_deref() {
            Some(Loaded::Text(script)) => Some(script),
            _ => None,
        };
        Some((*self.position.as_ref().ok()?, map, script))
    }
}

fn map_frame(
    frame: &mut Map<String, Value>,
    place: &Place<'_>,
    caller: Option<&Place<'_>>,
    source_text: &dyn Fn(BundleId, &str) -> Option<Arc<Loaded>>,
) -> Result<(), Value> {
    let mapped = match place.located {
        Located::Mapped(mapped) => mapped,
        Located::Lacking(why) => return Err(why.clone()),
        Located::Unknown => return Ok(()),
    };
    let position = place.position.clone()?;
    let (map, script) = match &*mapped.map {
        Loaded::Map(map) => (map, place.map().and_then(|(_, _, script)| script)),
        Loaded::Damaged(why) => {
            return Err(json!({"why": "damaged_map", "map": mapped.map_url, "detail": why}));
        }
        Loaded::Text(_) => return Err(json!({"why": "damaged_map", "map": mapped.map_url})),
    };
    let Some(origin) = map.find(position.line, position.column) else {
        return Err(json!({"why": "no_such_place", "map": mapped.map_url}));
    };
    let caller = caller.and_then(Place::map);
    let function = original_function(map, script, &place.function, position, caller);
    let path = source_path(&origin.source.path, &mapped.map_url);
    write_frame(frame, &origin, &path, function);
    let uploaded = match origin.source.content {
        Some(_) => None,
        None => source_text(mapped.bundle, &path.whole),
    };
    let text = match (&origin.source.content, uploaded.as_deref()) {
        (Some(text), _) => Some(&**text),
        (None, Some(Loaded::Text(text))) => Some(text.text()),
        _ => None,
    };
    write_context(frame, text, origin.line);
    set_data(frame, "sourcemap", mapped.map_url.as_str().into());
    set_data(frame, "resolved_with", mapped.found_by.into());
    Ok(())
}

fn write_frame(
    frame: &mut Map<String, Value>,
    origin: &Origin<'_>,
    path: &SourcePath,
    function: Option<String>,
) {
    if let Some(function) = function {
        let function: String = function.chars().take(NAME_CHARS_MAX).collect();
        frame.insert("function".to_owned(), function.into());
    }
    frame.insert("abs_path".to_owned(), path.whole.as_str().into());
    frame.insert("filename".to_owned(), path.file.as_str().into());
    if path.module.is_empty() {
        frame.remove("module");
    } else {
        frame.insert("module".to_owned(), path.module.as_str().into());
    }
    frame.insert("lineno".to_owned(), origin.line.into());
    frame.insert("colno".to_owned(), origin.column.into());
    if path.is_library || origin.source.is_ignored {
        frame.insert("in_app".to_owned(), false.into());
    }
}

/// The lines around the call; the generated ones, which the SDK may have sent, go in any case.
fn write_context(frame: &mut Map<String, Value>, text: Option<&str>, line: u32) {
    for key in ["pre_context", "context_line", "post_context"] {
        frame.remove(key);
    }
    let Some(text) = text else { return };
    let at = line as usize - 1;
    let first = at.saturating_sub(CONTEXT_LINES);
    let lines: Vec<Value> =
        text.lines().skip(first).take(at - first + 1 + CONTEXT_LINES).map(|line| cut(line).into()).collect();
    let Some((before, rest)) = lines.split_at_checked(at - first) else { return };
    let Some((hit, after)) = rest.split_first() else { return };
    frame.insert("pre_context".to_owned(), before.into());
    frame.insert("context_line".to_owned(), hit.clone());
    frame.insert("post_context".to_owned(), after.into());
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(LINE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

fn set_data(frame: &mut Map<String, Value>, key: &str, value: Value) {
    let data = frame.entry("data").or_insert_with(|| Value::Object(Map::new()));
    if !data.is_object() {
        *data = Value::Object(Map::new());
    }
    if let Value::Object(data) = data {
        data.insert(key.to_owned(), value);
    }
}
